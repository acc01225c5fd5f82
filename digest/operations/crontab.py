"""The user's crontab: one block of lines for each configuration; every other byte of it stays as it is.

The crontab is read and written through the program `crontab`, as bytes, because other lines need not be UTF-8.
"""

import os
import re
import shlex
import subprocess
import zoneinfo
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time, tzinfo
from pathlib import Path

from digest.errors import ScheduleError
from digest.operations.timetable import Plan, Scheduler

_TIMEOUT = 5  # seconds
_PROC = Path("/proc")
_UNITS = Path("/run/systemd/generator")  # where systemd-cron, which has no daemon, writes a timer for each line
_DAEMONS = ("cron", "crond", "fcron")  # names of processes: of Debian's cron, and of cronie, dcron and others
# What crontab -l prints when there is no crontab: Debian's, cronie's and macOS's; BusyBox's.
_NO_CRONTAB = re.compile(rb"no crontab for|can't open '[^']*': No such file")


def read_crontab(environ: Mapping[str, str]) -> bytes:
    """Return the crontab, empty if there is none. Raises ScheduleError if it cannot be read."""
    done = _run_crontab(environ, "-l")
    if done.returncode == 0:
        return done.stdout
    if _NO_CRONTAB.search(done.stderr):
        return b""
    raise ScheduleError(f"your crontab cannot be read: {_error_message(done)}")


def find_cron_problem() -> str:
    """Return that no cron daemon runs; how to start it. '' if one does, or where processes cannot be listed.

    On macOS there is no /proc, and launchd starts cron as soon as there is a crontab.
    """
    try:
        if not (_PROC / "1").exists():  # not Linux, or processes of other users are hidden (hidepid)
            return ""
        names = {name for process in _PROC.iterdir() if process.name.isdecimal() and (name := _process_name(process))}
        if names.intersection(_DAEMONS) or any(_UNITS.glob("cron-*.timer")):
            return ""
    except OSError:
        return ""
    if "systemd" in names:
        start = "sudo systemctl enable --now cron (or crond), or use a timer: digest schedule install --systemd"
    else:
        start = "sudo service cron start (in a container: run cron as its main process)"
    return f"no cron daemon is running, so the crontab starts nothing; {start}"


def _process_name(process: Path) -> str:
    """Return the name of a running process; '' if it has ended, or is BusyBox with another applet than crond."""
    try:
        name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        if name == "busybox":
            words = (process / "cmdline").read_bytes().split(b"\0")
            return "crond" if b"crond" in words else ""
        return name
    except OSError:
        return ""


def write_crontab(environ: Mapping[str, str], table: bytes) -> None:
    """Replace the crontab, or delete it if `table` is empty. Raises ScheduleError, and nothing has changed then."""
    done = _run_crontab(environ, "-", table) if table else _run_crontab(environ, "-r")
    if done.returncode != 0:
        raise ScheduleError(f"your crontab was not changed: {_error_message(done)}")


def _run_crontab(environ: Mapping[str, str], option: str, table: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603  the first crontab on the user's PATH
            ["crontab", option],  # noqa: S607
            input=table,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
            env={**environ, "LC_ALL": "C"},  # _NO_CRONTAB is in English
        )
    except subprocess.TimeoutExpired:
        raise ScheduleError(
            f"crontab did not answer within {_TIMEOUT} seconds; check `crontab -l` before you retry"
        ) from None
    except OSError as error:
        raise ScheduleError(
            f"the program crontab cannot be started ({error.strerror}); install cron (Debian: apt install cron),"
            " or use systemd: `digest schedule install --systemd`"
        ) from None


def _error_message(done: "subprocess.CompletedProcess[bytes]") -> str:
    message = " ".join(done.stderr.decode("utf-8", "replace").split())
    return message or f"crontab ended with exit code {done.returncode} and no message"


def cron_lines(plan: Plan, machine: tzinfo, today: date) -> list[str]:
    r"""Return the lines that run a plan from a crontab on a machine in the time zone `machine`.

    The last one reads letters, if the plan has that.

    Debian's cron has no CRON_TZ: it reads every line in the machine's zone. If that zone shows the same time as the
    plan's for two years from `today`, one plain line is enough. Otherwise there is a line for each minute at which the
    plan can be due on the machine's clock, with all its hours, and a guard that checks the plan's clock:

        30 5,6 * * *  case $(TZ=Europe/Berlin date +\%H\%M\%u) in 07*) exec digest -q -c FILE run ;; esac

    The guard ignores the minute, so that a job that starts late still runs; only where two lines are half an hour
    apart (Australia/Lord_Howe) does it check the half hour. If the machine's own clock changes, the hour is `*`: cron
    starts a line with fixed hours once in an hour that comes twice, and a line with `*` every time (cron(8), "Notes").

    Known limit: on the day the clocks go forward, a guarded line does not run at a time that is skipped (02:30). The
    next run catches up; a systemd timer has no such gap. A time that comes twice may run twice, which is harmless.
    """
    return [*_run_lines(plan, machine, today), *_letters_lines(plan)]


def _letters_lines(plan: Plan) -> list[str]:
    if not plan.letters_every:
        return []
    hours, minutes = divmod(plan.letters_every, 60)
    when = f"*/{minutes} * * * *" if minutes else f"0 */{hours} * * *"
    return [f"{when}  {' '.join(_quote(word) for word in plan.letters_command)}"]


def _run_lines(plan: Plan, machine: tzinfo, today: date) -> list[str]:
    command = " ".join(_quote(word) for word in plan.command)
    moments = plan.moments(today)
    local = [at.astimezone(machine) for at in moments]
    if all(at.utcoffset() == here.utcoffset() for at, here in zip(moments, local, strict=True)):
        return [f"{plan.at.minute} {plan.at.hour} * * {'1-5' if plan.weekdays else '*'}  {command}"]
    hours = defaultdict(set)
    for here in local:
        hours[here.minute].add(here.hour)
    clock_changes = len({here.utcoffset() for here in local}) > 1
    half_hour = "" if len(hours) == 1 else "[0-2]" if plan.at.minute < 30 else "[3-5]"
    pattern = f"{plan.at:%H}{half_hour}*{'[1-5]' if plan.weekdays else ''}"
    guarded = f"case $(TZ={_quote(plan.zone.key)} date +\\%H\\%M\\%u) in {pattern}) exec {command} ;; esac"
    return [
        f"{minute} {'*' if clock_changes else ','.join(map(str, sorted(hours[minute])))} * * *  {guarded}"
        for minute in sorted(hours)
    ]


def _quote(word: str) -> str:
    r"""Quote a word for a shell, with each % as \% outside of quotes: a bare % is a line break to cron (crontab(5)).

    The shell drops the backslash, so the line also works when it is pasted into a terminal.
    """
    return r"\%".join(shlex.quote(part) if part else "" for part in word.split("%")) or "''"


# The comment that `format_block` writes; blocks of earlier versions have the same.
_DESCRIPTION = re.compile(r"^# (\d\d:\d\d) (\S+), (every day|Monday to Friday)[.;]", re.MULTILINE)
_LETTERS = re.compile(r"^(?:\*/(\d{1,2})|0 \*/(\d{1,2})) [* ]+ \S.* inbox$", re.MULTILINE)


def format_block(plan: Plan, machine: tzinfo, today: date) -> bytes:
    """Return the plan's lines with comments, between a BEGIN mark and an END mark."""
    commands = cron_lines(plan, machine, today)
    zones = f"# Cron uses {machine} here, so each line checks that it is the right time in {plan.zone.key}."
    lines = [
        _mark("BEGIN", plan.config),
        f"# {plan.describe()}; remove this block with `digest schedule remove`.",
        *([zones] if _is_guarded(commands) else []),
        *commands,
        _mark("END", plan.config),
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _is_guarded(commands: list[str]) -> bool:
    return any("  case $(TZ=" in command for command in commands)


def _mark(which: str, config: Path) -> str:
    return f"# {which} digest {config}"


def parse_block(table: bytes, config: Path) -> Plan | None:
    """Return the plan in the block of a configuration, or None if there is no block or its comment is not ours.

    The plan's program is () if its line is no longer as it was written.
    """
    text = split_at_block(table, config)[1].decode("utf-8", "surrogateescape")
    found = _DESCRIPTION.search(text)
    if found is None:
        return None
    at, zone, days = found.groups()
    try:
        return Plan(
            time.fromisoformat(at), days != "every day", zoneinfo.ZoneInfo(zone), config, _parse_program(text),
            _parse_letters(text),
        )  # fmt: skip
    except (ValueError, OSError, KeyError):
        return None


def _parse_program(block: str) -> tuple[str, ...]:
    """Return the words behind the five fields and the guard, up to the options."""
    try:
        words = shlex.split(_commands(block)[0].replace(r"\%", "%"))[5:]
        return tuple(words[words.index("exec") + 1 if "exec" in words else 0 : words.index("-q")])
    except (IndexError, ValueError):
        return ()


def _parse_letters(block: str) -> int:
    """Return every how many minutes letters are read, 0 for never."""
    found = _LETTERS.search(block)
    return int(found[1] or 0) + 60 * int(found[2] or 0) if found else 0


def _commands(block: str) -> list[str]:
    return [line for line in block.splitlines() if line and not line.startswith("#")]


def has_current_block(table: bytes, plan: Plan, machine: tzinfo, today: date) -> bool:
    """Whether the plan's block holds the lines that would be written now; its comments do not matter."""
    block = split_at_block(table, plan.config)[1].decode("utf-8", "surrogateescape")
    return _commands(block) == cron_lines(plan, machine, today)


def split_at_block(table: bytes, config: Path) -> tuple[bytes, bytes, bytes]:
    """Return what is before the block of a configuration, the block, and what is after it.

    Without a block, everything is before it. Raises ScheduleError if its marks are not one pair.
    """
    rows = table.split(b"\n")
    begin, end = (os.fsencode(_mark(which, config)) for which in ("BEGIN", "END"))
    marks = [(number, row == begin) for number, row in enumerate(rows) if row in (begin, end)]
    if not marks:
        return table, b"", b""
    if [begins for _, begins in marks] != [True, False] or _has_mark(rows[marks[0][0] + 1 : marks[1][0]]):
        raise ScheduleError(_describe_broken_block(rows, marks))
    (first, _), (last, _) = marks
    sizes = [len(row) + 1 for row in rows]
    start, stop = sum(sizes[:first]), sum(sizes[: last + 1])
    return table[:start], table[start:stop], table[stop:]


def _has_mark(rows: list[bytes]) -> bool:
    return any(row.startswith((b"# BEGIN digest ", b"# END digest ")) for row in rows)


def _describe_broken_block(rows: list[bytes], marks: list[tuple[int, bool]]) -> str:
    number, begins = marks[0]
    row = rows[number].decode("utf-8", "replace")
    fault = "appears more than once" if len(marks) > 2 else f"has no matching {'END' if begins else 'BEGIN'} line"
    return (
        f"line {number + 1} of your crontab, {row!r}, {fault}, so digest cannot tell which lines it wrote;"
        " delete them and the BEGIN and END lines with `crontab -e`. Nothing was changed"
    )


def put_block(table: bytes, config: Path, block: bytes) -> bytes:
    """Return the table with `block` in place of the old block, else at the end."""
    before, old, after = split_at_block(table, config)
    # A last line without a line break cannot stay as it is with a block after it, so the block goes first.
    return block + table if not old and table and not table.endswith(b"\n") else before + block + after


def remove_block(table: bytes, config: Path) -> bytes:
    before, _, after = split_at_block(table, config)
    return before + after


def _check_zone(key: str) -> None:
    """Raise ScheduleError if `date` does not know a time zone: it would show UTC, and the guard would never pass."""
    if not any(Path(folder, key).is_file() for folder in zoneinfo.TZPATH):
        raise ScheduleError(
            f"this machine has no data of the time zone {key}; install tzdata (Debian: apt install tzdata)"
        )


@dataclass(frozen=True)
class Crontab(Scheduler):
    """The crontab of the user who has this environment, on a machine in the time zone `machine`."""

    environ: Mapping[str, str]
    machine: tzinfo
    today: date

    def text(self, plan: Plan) -> bytes:
        return format_block(plan, self.machine, self.today)

    def installed(self, config: Path) -> Plan | None:
        return parse_block(read_crontab(self.environ), config)

    def is_current(self, plan: Plan) -> bool:
        return has_current_block(read_crontab(self.environ), plan, self.machine, self.today)

    def install(self, plan: Plan) -> list[str]:
        table = read_crontab(self.environ)
        wanted = put_block(table, plan.config, self.text(plan))
        if wanted == table:
            return [f"The daily run is already in your crontab: {plan.describe()}. Nothing was changed."]
        if _is_guarded(cron_lines(plan, self.machine, self.today)):
            _check_zone(plan.zone.key)
        write_crontab(self.environ, wanted)
        return [f"The daily run is now in your crontab: {plan.describe()}."]

    def remove(self, config: Path) -> list[str]:
        table = read_crontab(self.environ)
        rest = remove_block(table, config)
        if rest == table:
            return [f"Your crontab has no schedule for {config}. Nothing was changed."]
        write_crontab(self.environ, rest)
        return ["Removed the daily run from your crontab; its other lines are unchanged."]
