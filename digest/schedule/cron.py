"""Our own marked block in a crontab, and nothing else of it: the rest is byte for byte what it was.

Everything about a crontab's text is bytes, because a line of somebody else's need not be UTF-8.
"""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError
from digest.schedule.clocks import Lines, lines
from digest.schedule.crontab import read, write
from digest.schedule.handmade import command_words
from digest.schedule.plan import Plan, Rhythm, arguments

_WORDS = re.compile(r"^# (\d\d:\d\d) (\S+), (every day|Monday to Friday)[.;]", re.MULTILINE)


def block(plan: Plan, machine: tzinfo, today: date) -> bytes:
    """The lines of the plan for a crontab that is read in the zone `machine`, between their marks."""
    found = lines(plan, machine, today)
    guard = _guard(plan, found)
    command = " ".join(_quoted(word) for word in plan.command)
    text = [
        _mark("BEGIN", plan.config),
        f"# {plan.words}; `digest schedule remove` takes this block out.",
        f"# Cron goes by {machine} here{_why(found, plan)}",
        *(f"{fields}  {guard}{command}" for fields in found.fields),
        _mark("END", plan.config),
    ]
    return "".join(f"{line}\n" for line in text).encode()


def _mark(which: str, config: Path) -> str:
    return f"# {which} digest {config}"


def _why(found: Lines, plan: Plan) -> str:
    if not found.wrong:
        return "."
    return f", where {plan.at:%H:%M} is not always the same time: a call at the wrong one ends at once."


def _guard(plan: Plan, found: Lines) -> str:
    """Shell that leaves silently at the wrong times, so that cron has nothing to mail.

    Each % has a backslash, for to cron a bare one is a line break (crontab(5)); the shell takes the backslash away too.
    """
    if not found.wrong:
        return ""
    form, star = (r"+\%H\%M.\%m.\%u", "*") if found.right else (r"+\%H\%M", "")
    right = f"{'|'.join(found.right)}) ;; " if found.right else ""
    wrong = "|".join(f"{at}{star}" for at in found.wrong)
    return f"case $(TZ={_quoted(plan.zone.key)} date {form}) in {right}{wrong}) exit ;; esac; exec "


def _quoted(word: str) -> str:
    r"""The word for a shell behind cron, and for a shell alone: each % is \%, outside of any quotes."""
    return r"\%".join(shlex.quote(part) if part else "" for part in word.split("%")) or "''"


@dataclass(frozen=True)
class Installed(Rhythm):
    """What a block says of itself. `program` is () where its line is no longer as it was written."""

    program: tuple[str, ...]


def installed(table: bytes, config: Path) -> Installed | None:
    """The block of this configuration; None when there is none, or its first comment is not ours."""
    text = split(table, config)[1].decode("utf-8", "surrogateescape")
    words = _WORDS.search(text)
    try:
        return words and Installed(
            time.fromisoformat(words[1]), words[3] != "every day", ZoneInfo(words[2]), _program(text, config)
        )
    except (ValueError, OSError, KeyError):
        return None


def _program(text: str, config: Path) -> tuple[str, ...]:
    line = next((line for line in text.splitlines() if not line.startswith("#")), "")
    words = command_words(line.split(maxsplit=5)[-1]) if line else ()
    words = words[words.index("exec") + 1 :] if "exec" in words else words
    tail = arguments(config)
    return words[: -len(tail)] if words[-len(tail) :] == tail else ()


def split(table: bytes, config: Path) -> tuple[bytes, bytes, bytes]:
    """What is before the block of this configuration, the block, what is behind it.

    Without a block all of the table is before it. Raises ScheduleError when its marks are not one pair.
    """
    rows = table.split(b"\n")
    begin, end = (os.fsencode(_mark(which, config)) for which in ("BEGIN", "END"))
    marks = [(number, row == begin) for number, row in enumerate(rows) if row in (begin, end)]
    if not marks:
        return table, b"", b""
    if [begins for _, begins in marks] != [True, False] or _another(rows[marks[0][0] + 1 : marks[1][0]]):
        raise ScheduleError(_broken(rows, marks))
    (first, _), (last, _) = marks
    ends = [len(row) + 1 for row in rows]
    start, stop = sum(ends[:first]), sum(ends[: last + 1])
    return table[:start], table[start:stop], table[stop:]


def _another(rows: list[bytes]) -> bool:
    return any(row.startswith((b"# BEGIN digest ", b"# END digest ")) for row in rows)


def _broken(rows: list[bytes], marks: list[tuple[int, bool]]) -> str:
    number, begins = marks[0]
    row = rows[number].decode("utf-8", "replace")
    fault = "is there more than once" if len(marks) > 2 else f"has lost its {'END' if begins else 'BEGIN'}"
    return (
        f"line {number + 1} of your crontab, {row!r}, {fault}, so that nobody can tell which lines are digest's;"
        " take them and the mark out with `crontab -e`. Nothing was changed"
    )


def put(table: bytes, config: Path, text: bytes) -> bytes:
    """The table with `text` where the block was, else at its end."""
    before, old, after = split(table, config)
    # A last line without its line break cannot be followed by ours and stay as it is; so ours go first.
    return text + table if not old and table and not table.endswith(b"\n") else before + text + after


def take(table: bytes, config: Path) -> bytes:
    """The table without the block."""
    before, _, after = split(table, config)
    return before + after


@dataclass(frozen=True)
class Crontab:
    """The crontab of the person whose environment this is, on a machine in the zone `machine`."""

    environ: Mapping[str, str]
    machine: tzinfo
    today: date

    def text(self, plan: Plan) -> bytes:
        return block(plan, self.machine, self.today)

    def installed(self, config: Path) -> Installed | None:
        return installed(read(self.environ), config)

    def holds(self, plan: Plan) -> bool:
        return split(read(self.environ), plan.config)[1] == self.text(plan)

    def install(self, plan: Plan) -> list[str]:
        """Put the plan's block in, in place of an older one; what to tell about it."""
        table = read(self.environ)
        wanted = put(table, plan.config, self.text(plan))
        if wanted == table:
            return [f"The daily run is in your crontab already: {plan.words}. Nothing was changed."]
        write(self.environ, wanted)
        return [f"Your crontab now holds the daily run: {plan.words}."]

    def remove(self, config: Path) -> list[str]:
        table = read(self.environ)
        left = take(table, config)
        if left == table:
            return [f"Your crontab holds no block for {config}. Nothing was changed."]
        write(self.environ, left)
        return ["Took the daily run out of your crontab; its other lines are as they were."]
