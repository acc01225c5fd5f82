"""A person's crontab as bytes, read and written through the program crontab.

A plan in one time zone as lines of a crontab that is read in another: no day is left out, whatever the clocks do.

Debian's cron knows no CRON_TZ and reads every line in the machine's zone. So there is a line at each time that the plan
can be on the machine's clock, and in front of the command stands a guard that leaves when the line comes at the wrong
one. The guard names the wrong times, not the right one: a line that is started by hand, or a minute late, or after a
government has moved its clocks, runs. Running twice a day is harmless, never is not.

Our own marked block in a crontab, and nothing else of it: the rest is byte for byte what it was.

Everything about a crontab's text is bytes, because a line of somebody else's need not be UTF-8.
"""

import os
import re
import shlex
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError
from digest.operations.handmade import command_words
from digest.operations.timetable import DAYS, Plan, Timetable, arguments

_SECONDS = 5
# How crontab -l says that there is none: Debian's, cronie's and macOS's; BusyBox's.
_NONE = re.compile(rb"no crontab for|can't open '[^']*': No such file")


def read_crontab(environ: Mapping[str, str]) -> bytes:
    """The crontab, empty when there is none. Raises ScheduleError when it is not to be had."""
    done = _run(environ, "-l")
    if done.returncode == 0:
        return done.stdout
    if _NONE.search(done.stderr):
        return b""
    raise ScheduleError(f"your crontab cannot be read: {_said(done)}")


def write_crontab(environ: Mapping[str, str], table: bytes) -> None:
    """Put `table` in place of the crontab; an empty one takes it away. Raises ScheduleError, nothing changed then."""
    done = _run(environ, "-", given=table) if table else _run(environ, "-r")
    if done.returncode != 0:
        raise ScheduleError(f"your crontab was not changed: {_said(done)}")


def _run(environ: Mapping[str, str], word: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603  whichever crontab is first on the person's PATH
            ["crontab", word],  # noqa: S607
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**environ, "LC_ALL": "C"},  # that _NONE is in English
        )
    except subprocess.TimeoutExpired:
        raise ScheduleError(
            f"crontab gave no answer in {_SECONDS} seconds; see `crontab -l` before you try again"
        ) from None
    except OSError as problem:
        raise ScheduleError(
            f"the program crontab cannot be started ({problem.strerror}); install cron (Debian: apt install cron),"
            " or let systemd do it: `digest schedule install --systemd`"
        ) from None


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    words = " ".join(done.stderr.decode("utf-8", "replace").split())
    return words or f"crontab ended with exit code {done.returncode} and said nothing"


_SHORT = {"1,2,3,4,5": "1-5", "0,1,2,3,4": "0-4", "2,3,4,5,6": "2-6"}
ClockTimes = set[tuple[time, int]]  # a time on the machine's clock, and by how many days its date is ahead


@dataclass(frozen=True)
class CronLines:
    """The five fields of each line, and what the plan's clock shows when a line is to leave at once.

    `wrong` are times as %H%M. `right` are times as %H%M.%m.%u, to be run though they look wrong: the days on which
    the clocks are changed. Without `wrong` no guard is needed.
    """

    fields: tuple[str, ...]
    wrong: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


def cron_lines(plan: Plan, machine: tzinfo, today: date) -> CronLines:
    """The lines for the two years from `today`; one plain line where both clocks show the same.

    Of all starts, one a day is right: that at the plan's moment, else the nearest, a later one before an earlier one.
    """
    days = dict(plan.moments(today))
    moments = days.values()
    if all(at.astimezone(machine).utcoffset() == at.astimezone(plan.zone).utcoffset() for at in moments):
        return CronLines((f"{plan.at.minute} {plan.at.hour} * * {'1-5' if plan.weekdays else '*'}",))
    slots = _slots(days, machine)
    started = set(_starts(slots, machine, today))
    chosen = {at if at in started else _instead(at, started, plan) for at in moments}
    right = {at.astimezone(plan.zone) for at in chosen}
    wrong = {f"{at.astimezone(plan.zone):%H%M}" for at in started - chosen} - {f"{plan.at:%H%M}"}
    odd = {f"{at:%H%M.%m.%u}" for at in right if f"{at:%H%M}" in wrong and plan.has(at.date())}
    return CronLines(tuple(_fields(plan, slots)), tuple(sorted(wrong)), tuple(sorted(odd)))


def _instead(at: datetime, started: set[datetime], plan: Plan) -> datetime:
    """The start that makes up for a moment without one: on the same day, if there is any."""

    def merit(start: datetime) -> tuple[bool, bool, timedelta]:
        return start.astimezone(plan.zone).date() != at.astimezone(plan.zone).date(), start < at, abs(start - at)

    return min(started, key=merit)


def _slots(days: Mapping[date, datetime], machine: tzinfo) -> ClockTimes:
    """What the machine's clock shows at the moments of these days."""
    local = {day: at.astimezone(machine) for day, at in days.items()}
    return {(at.time().replace(fold=0), (at.date() - day).days) for day, at in local.items()}


def _fields(plan: Plan, slots: ClockTimes) -> Iterator[str]:
    """The slots by minute; where it is another day on the machine, Monday to Friday are other days there."""
    hours = defaultdict(set)
    for at, ahead in slots:
        days = ",".join(str((day + ahead) % 7) for day in range(1, 6)) if plan.weekdays else "*"
        hours[at.minute, _SHORT.get(days, days)].add(at.hour)
    for (minute, days), found in sorted(hours.items()):
        yield f"{minute} {','.join(map(str, sorted(found)))} * * {days}"


def _starts(slots: ClockTimes, machine: tzinfo, today: date) -> Iterator[datetime]:
    """When cron starts the lines: a time that comes twice once, one that is left out as soon as the clocks are past it.

    That is how Debian's cron treats jobs of a fixed time, cron(8), "Notes". Where another cron starts one twice, the
    second start is at the plan's time or harmless.
    """
    for number in range(-3, DAYS + 3):
        for at, _ in slots:
            local = datetime.combine(today + timedelta(days=number), at)
            while local.replace(tzinfo=machine).astimezone(UTC).astimezone(machine).replace(tzinfo=None) != local:
                local += timedelta(minutes=1)
            yield local.replace(tzinfo=machine).astimezone(UTC)


_WORDS = re.compile(r"^# (\d\d:\d\d) (\S+), (every day|Monday to Friday)[.;]", re.MULTILINE)


def block(plan: Plan, machine: tzinfo, today: date) -> bytes:
    """The lines of the plan for a crontab that is read in the zone `machine`, between their marks."""
    found = cron_lines(plan, machine, today)
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


def _why(found: CronLines, plan: Plan) -> str:
    if not found.wrong:
        return "."
    return f", where {plan.at:%H:%M} is not always the same time: a call at the wrong one ends at once."


def _guard(plan: Plan, found: CronLines) -> str:
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
class InstalledBlock(Timetable):
    """What a block says of itself. `program` is () where its line is no longer as it was written."""

    program: tuple[str, ...]


def installed(table: bytes, config: Path) -> InstalledBlock | None:
    """The block of this configuration; None when there is none, or its first comment is not ours."""
    text = split(table, config)[1].decode("utf-8", "surrogateescape")
    words = _WORDS.search(text)
    try:
        return words and InstalledBlock(
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

    def installed(self, config: Path) -> InstalledBlock | None:
        return installed(read_crontab(self.environ), config)

    def holds(self, plan: Plan) -> bool:
        return split(read_crontab(self.environ), plan.config)[1] == self.text(plan)

    def install(self, plan: Plan) -> list[str]:
        """Put the plan's block in, in place of an older one; what to tell about it."""
        table = read_crontab(self.environ)
        wanted = put(table, plan.config, self.text(plan))
        if wanted == table:
            return [f"The daily run is in your crontab already: {plan.words}. Nothing was changed."]
        write_crontab(self.environ, wanted)
        return [f"Your crontab now holds the daily run: {plan.words}."]

    def remove(self, config: Path) -> list[str]:
        table = read_crontab(self.environ)
        left = take(table, config)
        if left == table:
            return [f"Your crontab holds no block for {config}. Nothing was changed."]
        write_crontab(self.environ, left)
        return ["Took the daily run out of your crontab; its other lines are as they were."]
