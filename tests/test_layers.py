"""The layers: imports go one way, packages are used through `__all__`, and each library is imported in one place."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "digest"

# The packages and top-level modules in the order of the data flow: each imports only from those above it.
ORDER = """
    errors logs files settings toml_hints
    papers sources ranking mail delivery inbound archive
    config store pipeline operations demo cli __main__
""".split()

# Third-party package -> the modules or packages that may import it.
HOMES = {
    "bibtexparser": {"sources.library"},
    "rispy": {"sources.library"},
    "click": {"cli"},
    "dns": {"operations.doctor_domain"},
    "dotenv": {"cli.app"},
    "feedparser": {"sources.syndication"},
    "lxml": {"sources.syndication", "archive.feeds"},
    "pylatexenc": {"archive.bibtex"},
    "httpx": {"sources.web", "sources.fetcher"},
    "httpcore": {"sources.web"},
    "tenacity": {"sources.fetcher"},
    "idna": {"mail.address", "papers"},
    "tomlkit": {"operations.init"},
    "jinja2": {"mail.templates"},
    "premailer": {"mail.render"},
    "cssutils": {"mail.render"},  # which premailer uses
    "numpy": {"ranking.embeddings", "ranking.sentences"},
    "onnxruntime": {"ranking.sentences"},
    "tokenizers": {"ranking.sentences"},
    "sqlite_utils": {"store", "pipeline"},
    "prettytable": {"papers.text.fit"},
    "wcwidth": {"papers.text.clean"},
}
# The same for modules of the standard library that reach out of the process.
STANDARD_HOMES = {
    "smtplib": {"delivery.smtp"},
    "imaplib": {"inbound.imap"},
    "ssl": {"delivery.smtp", "inbound.imap", "sources.web"},
    "sqlite3": {"store"},
    "fcntl": {"store.database", "sources.rate_limit"},
}
# Packages and modules without I/O: values in, values out.
PURE = (
    "errors settings toml_hints papers ranking.trending ranking.topics ranking.similarity ranking.selection"
    " mail.address mail.edition mail.message mail.unsubscribe inbound.headers inbound.letters inbound.dsn"
    " delivery.smtp_protocol archive.feeds archive.bibtex"
).split()
IMPURE = {"os", "socket", "subprocess", "time", "random", "sqlite3", "fcntl", "threading", "tempfile", "shutil"}


def modules() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in ROOT.rglob("*.py")
    }


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, those under `if TYPE_CHECKING` and in function bodies included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = {
                alias.name for alias in node.names if f"{node.module}.{alias.name}".removeprefix("digest.") in MODULES
            }
            yield from (f"{node.module}.{name}" for name in inside)
            if len(inside) < len(node.names):
                yield node.module


MODULES = modules()
USED = {name: set(imports(path)) for name, path in MODULES.items()}


def public_names(path: Path) -> set[str]:
    """The names in `__all__`; none for a module that is no package."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


PUBLIC_NAMES = {name: public_names(path) for name, path in MODULES.items() if "." not in name}


def package_of(name: str) -> str:
    return name.split(".")[0]


@pytest.mark.parametrize("package", sorted(HOMES))
def test_each_library_is_imported_in_one_place(package: str) -> None:
    found = {name for name, used in USED.items() if any(u.split(".")[0] == package for u in used)}
    assert found
    assert all(name in HOMES[package] or package_of(name) in HOMES[package] for name in found)


def test_no_other_package_is_imported() -> None:
    known = {*HOMES, *sys.stdlib_module_names, "digest"}
    assert {u.split(".")[0] for used in USED.values() for u in used} <= known


@pytest.mark.parametrize("module", sorted(STANDARD_HOMES))
def test_files_networks_and_databases_are_reached_from_one_place(module: str) -> None:
    found = {name for name, used in USED.items() if any(u.split(".")[0] == module for u in used)}
    assert all(name in STANDARD_HOMES[module] or package_of(name) in STANDARD_HOMES[module] for name in found)


@pytest.mark.parametrize("name", PURE)
def test_pure_modules_do_no_input_or_output(name: str) -> None:
    inside = [module for module in USED if module == name or module.startswith(f"{name}.")]
    assert inside
    assert not {u.split(".")[0] for module in inside for u in USED[module]} & IMPURE


def test_imports_go_one_way() -> None:
    """Every import from another package names one above. The version is in `digest` itself."""
    assert {package_of(name) for name in MODULES} == {*ORDER, "__init__"}
    wrong = set()
    for name, used in USED.items():
        for target in (package_of(u.removeprefix("digest.")) for u in used if u.startswith("digest.")):
            if target in ORDER and target != package_of(name) and ORDER.index(target) > ORDER.index(package_of(name)):
                wrong.add(f"{package_of(name)} → {target}")
    assert not wrong


def test_packages_are_used_through_their_public_names() -> None:
    """What a module imports from another package is in that package's `__all__`: a name, or a module of it."""
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("digest."):
                package, _, module = node.module.removeprefix("digest.").partition(".")
                if package != package_of(name) and PUBLIC_NAMES[package]:
                    used = {module.split(".")[0]} if module else {alias.name for alias in node.names}
                    assert used <= PUBLIC_NAMES[package], f"{name} imports {used - PUBLIC_NAMES[package]} of {package}"


def test_no_modules_import_each_other() -> None:
    """No circle within a package either, imports inside functions included."""
    graph = {
        name: {m for u in used if (m := u.removeprefix("digest.")) in MODULES and m != name}
        for name, used in USED.items()
    }
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " → ".join((*path[path.index(name) :], name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_all_sql_is_in_one_package() -> None:
    sql = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|CREATE|PRAGMA|BEGIN|VACUUM|ALTER) [A-Za-z(*]")
    packages = set()
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and sql.match(node.value):
                packages.add(package_of(name))
    assert packages == {"store"}


def test_no_two_public_classes_share_a_name() -> None:
    names = [
        node.name
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert sorted(names) == sorted(set(names))


def test_every_module_has_a_docstring() -> None:
    for name, path in MODULES.items():
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), name


def test_the_clock_is_read_only_by_the_command_line() -> None:
    for name, path in MODULES.items():
        calls = {ast.unparse(n.func) for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call)}
        assert name == "cli.app" or not {"datetime.now", "date.today", "datetime.utcnow", "time.time"} & calls, name
