"""What is wrong with an installation and how to mend it, a line each. Looks at everything and changes nothing.

Checks as a person reads them, and as a machine does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from digest.papers.text.clean import display_width


class Mark(StrEnum):
    """`OK`: nothing to do. `WARN`: worth a look, mail goes out all the same. `FAIL`: a run cannot do its work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is not as it should be, and what to do about it ('' where `said` says it)."""

    mark: Mark
    said: str
    mend: str = ""

    @classmethod
    def told(cls, sentence: str) -> "Problem":
        """A failure as the program tells it anywhere: what is wrong, a semicolon, what to do instead."""
        said, _, mend = sentence.partition("; ")
        return cls(Mark.FAIL, said, mend)


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at and how it stands; `said` and `mend` have a line for each thing that was found."""

    name: str
    mark: Mark
    said: str
    mend: str = ""

    @classmethod
    def of(cls, name: str, fine: str, troubles: Sequence[Problem] = ()) -> "Check":
        """All that is wrong with one thing, under the worst of the marks; `fine` is said when nothing is."""
        if not troubles:
            return cls(name, Mark.OK, fine)
        worst = max((trouble.mark for trouble in troubles), key=list(Mark).index)
        said, mends = (trouble.said for trouble in troubles), (trouble.mend for trouble in troubles if trouble.mend)
        return cls(name, worst, "\n".join(said), "\n".join(mends))


_NAME_WIDTH = 18  # columns: "source huggingface"; what is longer pushes its words to the right
_SIGNS = {Mark.OK: "✓", Mark.WARN: "!", Mark.FAIL: "✗"}
_PLAIN = {Mark.OK: "+", Mark.WARN: "!", Mark.FAIL: "x"}


def format_check(check: Check, encoding: str = "utf-8") -> str:
    """`✓ name  what was found`, and below it an arrow and how to mend it; only letters that `encoding` has."""
    wide = _holds(encoding)
    sign, arrow = (_SIGNS[check.mark], "→") if wide else (_PLAIN[check.mark], "->")
    name = check.name + " " * (_NAME_WIDTH - display_width(check.name))
    first, *rest = check.said.splitlines() or [""]
    below = [*rest, *(f"{arrow} {mend}" for mend in check.mend.splitlines())]
    lines = [f"{sign} {name} {first}", *(" " * (_NAME_WIDTH + 3) + text for text in below)]
    return "\n".join(lines).encode(encoding, "replace").decode(encoding)


def checks_as_json(checks: Sequence[Check]) -> str:
    """One JSON object: `ok` when nothing failed, and every check."""
    well = all(check.mark is not Mark.FAIL for check in checks)
    return json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}, ensure_ascii=False, indent=2)


def _holds(encoding: str) -> bool:
    try:
        "✓✗→".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
