"""Checks as a person reads them, and as a machine does."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from digest.doctor import Check, Mark
from digest.text.clean import columns

_NAME = 18  # columns: "source huggingface"; what is longer pushes its words to the right
_SIGNS = {Mark.OK: "✓", Mark.WARN: "!", Mark.FAIL: "✗"}
_PLAIN = {Mark.OK: "+", Mark.WARN: "!", Mark.FAIL: "x"}


def line(check: Check, encoding: str = "utf-8") -> str:
    """`✓ name  what was found`, and below it an arrow and how to mend it; only letters that `encoding` has."""
    wide = _holds(encoding)
    sign, arrow = (_SIGNS[check.mark], "→") if wide else (_PLAIN[check.mark], "->")
    name = check.name + " " * (_NAME - columns(check.name))
    first, *rest = check.said.splitlines() or [""]
    below = [*rest, *(f"{arrow} {mend}" for mend in check.mend.splitlines())]
    lines = [f"{sign} {name} {first}", *(" " * (_NAME + 3) + text for text in below)]
    return "\n".join(lines).encode(encoding, "replace").decode(encoding)


def document(checks: Sequence[Check]) -> str:
    """One JSON object: `ok` when nothing failed, and every check."""
    well = all(check.mark is not Mark.FAIL for check in checks)
    return json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}, ensure_ascii=False, indent=2)


def _holds(encoding: str) -> bool:
    try:
        "✓✗→".encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
