"""The results of `digest doctor`, and their formats: lines for people, JSON for programs."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from digest.papers.text.clean import display_width


class Mark(StrEnum):
    """`OK`: nothing to do. `WARN`: worth a look, but mail is sent. `FAIL`: a run fails, or secrets are exposed."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem and how to fix it; `fix` is '' if there is no advice, or `message` has it."""

    mark: Mark
    message: str
    fix: str = ""

    @classmethod
    def parse(cls, error: str) -> "Problem":
        """The failure that an error message describes: what is wrong, "; ", what to do."""
        message, _, fix = error.partition("; ")
        return cls(Mark.FAIL, message, fix)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. `message` and `fix` have a line for each problem."""

    name: str
    mark: Mark
    message: str
    fix: str = ""

    @classmethod
    def of(cls, name: str, message: str, problems: Iterable[Problem]) -> "Check":
        """The check that found `problems`, with the worst of their marks; `message` is its text if there are none."""
        found = list(problems)
        if not found:
            return cls(name, Mark.OK, message)
        worst = max((problem.mark for problem in found), key=list(Mark).index)
        fixes = (problem.fix for problem in found if problem.fix)
        return cls(name, worst, "\n".join(problem.message for problem in found), "\n".join(fixes))


_NAME_WIDTH = 18  # columns: "source huggingface"; a longer name moves its message to the right
_SIGNS = {Mark.OK: "✓", Mark.WARN: "!", Mark.FAIL: "✗"}
_ASCII = str.maketrans({"✓": "+", "✗": "x", "→": "->"})


def format_check(check: Check, encoding: str = "utf-8") -> str:
    """Format a check as `✓ name  message`, with `→ fix` on the lines below.

    Signs that `encoding` lacks become ASCII, other characters "?".
    """
    name = check.name + " " * (_NAME_WIDTH - display_width(check.name))
    first, *rest = check.message.splitlines() or [""]
    below = [*rest, *(f"→ {fix}" for fix in check.fix.splitlines())]
    lines = [f"{_SIGNS[check.mark]} {name}  {first}", *(" " * (_NAME_WIDTH + 4) + line for line in below)]
    text = "\n".join(lines)
    try:
        "✓✗→".encode(encoding)
    except UnicodeEncodeError:
        text = text.translate(_ASCII)
    return text.encode(encoding, "replace").decode(encoding)


def checks_document(checks: Sequence[Check]) -> dict[str, Any]:
    """The document of `doctor --json`: `ok`, which is true when no check failed, and `checks`."""
    ok = all(check.mark is not Mark.FAIL for check in checks)
    return {"ok": ok, "checks": [asdict(check) for check in checks]}
