"""Who may import whom: the flow goes one way, and each third-party package has one home."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "digest"

# Third-party package -> the modules that may import it.
HOMES = {
    "click": {"cli"},  # the whole package
    "cronsim": {"schedule.handmade"},
    "dns": {"doctor.records"},
    "dotenv": {"cli.frame"},
    "feedparser": {"sources.syndication"},
    "httpx": {"fetch", "notify"},
    "tenacity": {"fetch"},
    "idna": {"address"},
    "jinja2": {"render"},
    "premailer": {"render"},
    "numpy": {"semantic"},
    "wordllama": {"semantic"},
    "sqlite_utils": {
        "database",
        "history",
        "outbox",
        "subscribers",
        "journal",
        "answers",
        "desk",
        "archive",
        "lookup",
        "backtest",
        "mailroom",
        "prune",
    },
    "wcwidth": {"text.clean"},
}
# The standard library's doors to the outside, and who may open them.
DOORS = {
    "smtplib": {"delivery.smtp"},
    "imaplib": {"inbox.imap"},
    "ssl": {"delivery.smtp", "inbox.imap"},
    "sqlite3": {"backup", "database", "history", "ledger"},
    "fcntl": {"lock", "spacing"},
}
# Modules that are pure: values in, values out.
PURE = {
    "schedule.clocks",
    "similarity",
    "variety",
    "paper",
    "text.clean",
    "text.fit",
    "text.fold",
    "text.header",
    "text.latex",
    "text.readable",
    "ranking",
    "topics",
    "edition",
    "message",
    "leaving",
    "settings",
    "address",
    "errors",
    "inbox.fields",
    "inbox.letters",
    "inbox.reports",
    "slips",
    "providers",
}
TOUCHING = {
    "os",
    "socket",
    "subprocess",
    "time",
    "random",
    "sqlite3",
    "fcntl",
    "threading",
    "tempfile",
    "shutil",
}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, `if TYPE_CHECKING` and function bodies included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


MODULES = modules()
USED = {name: set(imports(path)) for name, path in MODULES.items()}


@pytest.mark.parametrize("package", sorted(HOMES))
def test_each_package_is_imported_at_home_only(package: str) -> None:
    found = {name for name, used in USED.items() if any(u.split(".")[0] == package for u in used)}
    assert {"cli" if name.startswith("cli.") and package == "click" else name for name in found} == HOMES[package]


def test_no_other_package_is_imported() -> None:
    known = {*HOMES, *sys.stdlib_module_names, "digest"}
    assert {u.split(".")[0] for used in USED.values() for u in used} <= known


@pytest.mark.parametrize("door", sorted(DOORS))
def test_doors_to_the_outside_are_opened_in_one_place(door: str) -> None:
    assert {name for name, used in USED.items() if any(u.split(".")[0] == door for u in used)} <= DOORS[door]


@pytest.mark.parametrize("name", sorted(PURE))
def test_the_core_touches_nothing(name: str) -> None:
    assert not {u.split(".")[0] for u in USED[name]} & TOUCHING


# Module -> the digest modules it may import: what is to its left in the flow, and what everything stands on.
BASE = {"errors", "settings", "text", "address"}
ALLOWED = {
    "errors": set[str](),
    "text": set[str](),
    "text.latex_tables": set[str](),
    "text.latex_pairs": set[str](),
    "text.latex": {"latex_tables", "latex_pairs"},
    "text.clean": set[str](),
    "text.readable": {"clean", "latex"},
    "text.header": {"clean", "readable"},
    "text.fold": {"readable"},
    "text.fit": {"clean"},
    "settings": set[str](),
    "address": {"text"},
    "paper": {"text"},
    "sources": {*BASE, "paper"},
    "topics": {*BASE, "paper"},
    "similarity": {"paper", "topics"},
    "variety": {"paper", "similarity"},
    "semantic": {"paper", "similarity"},
    "archive": {*BASE, "database"},
    "likeness": {*BASE, "archive", "history", "paper", "semantic", "similarity", "topics"},
    "freshness": {"sources"},
    "spacing": {"errors"},
    "fetch": {*BASE, "sources", "spacing"},
    "schema": set[str](),
    "mishap": {"errors"},
    "database": {*BASE, "mishap", "schema"},
    "ledger": {"database", "mishap", "schema"},
    "history": {*BASE, "database", "paper", "sources"},
    "ranking": {*BASE, "history", "topics"},
    "choice": {"config", "edition", "history", "likeness", "paper", "ranking", "subscribers", "topics", "variety"},
    "edition": {*BASE, "freshness", "paper", "ranking", "sources"},
    "leaving": {*BASE},
    "message": {*BASE, "leaving"},
    "render": {*BASE, "edition", "message"},
    "delivery": {*BASE},
    "inbox": {*BASE, "delivery"},
    "mailroom": {*BASE, "database", "inbox", "subscribers", "table"},
    "subscribers": {*BASE, "database"},
    "secret": BASE,
    "journal": {*BASE, "database", "freshness", "ledger", "sources"},
    "answers": {*BASE, "database", "sources"},
    "outbox": {*BASE, "database", "delivery", "message", "subscribers"},
    "lock": BASE,
    "atomic": set[str](),
    "logs": set[str](),
    "notify": BASE,
    "table": {"text"},
    "roster": {*BASE, "subscribers", "table"},
    "overview": {"ledger", "schedule", "table"},
    "schedule": {*BASE, "atomic"},
    "config": {*BASE, "delivery", "inbox", "leaving", "notify", "slips", "sources", "topics", "zones"},
    # It looks at everything; nothing looks at it.
    "doctor": {
        *BASE,
        "answers",
        "config",
        "database",
        "delivery",
        "desk",
        "edition",
        "fetch",
        "freshness",
        "history",
        "inbox",
        "journal",
        "leaving",
        "ledger",
        "message",
        "render",
        "schedule",
        "secret",
        "sources",
        "table",
    },
    "backup": {*BASE, "database", "mishap", "secret"},
    "prune": {*BASE, "config", "database", "history", "ledger", "likeness", "lock", "table"},
    "slips": set[str](),
    "zones": {"settings"},
}


@pytest.mark.parametrize("name", sorted(ALLOWED))
def test_the_flow_goes_one_way(name: str) -> None:
    """Within a package, too: the name of a module in one is compared with its neighbours."""
    package, _, own = name.rpartition(".")
    prefix = f"digest.{package}." if package else "digest."
    inside = {module for module in USED if module == name or module.startswith(f"{name}.")}
    used = {u.removeprefix(prefix).split(".")[0] for module in inside for u in USED[module] if u.startswith(prefix)}
    assert used - {"__version__", own} <= ALLOWED[name]


def test_every_module_says_what_it_promises() -> None:
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


def test_the_clock_is_read_at_the_command_line_alone() -> None:
    for name, path in MODULES.items():
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)}
        assert name == "cli.frame" or not {"datetime.now", "date.today", "datetime.utcnow", "time.time"} & calls, name
