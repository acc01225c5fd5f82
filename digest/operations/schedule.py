"""When the daily job runs by itself: plans, the crontab and the timers they are written to, and what is found there.

What in a crontab and among the timers runs a configuration: our own block, lines written by hand, our own timer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import ScheduleError
from digest.operations import crontab, handmade
from digest.operations.crontab import read_crontab
from digest.operations.timetable import Plan, Timetable, plain, units

if TYPE_CHECKING:
    from digest.operations.systemd import SystemdTimers


@dataclass(frozen=True)
class ScheduledRun:
    """Something that runs digest by itself.

    `where` is "crontab" or the path of a timer, `what` the line or the timer's OnCalendar, `ours` whether `digest
    schedule` wrote it, `next` when it runs next if that is known, `trouble` what is wrong with it: a sentence or ''.
    """

    where: str
    what: str
    ours: bool
    next: datetime | None
    trouble: str


def find_scheduled_runs(
    config: Path, now: datetime, home: Path, machine_zone: tzinfo, environ: Mapping[str, str]
) -> list[ScheduledRun]:
    """All that runs this configuration by itself: our block, lines written by hand, our timer. `now` is in its zone.

    A line by hand that names another configuration is not of this one; a line that names none may be. What cannot be
    read (no crontab program, or one that gives no answer in five seconds) holds nothing.
    """
    try:
        table = read_crontab(environ)
    except ScheduleError:
        table = b""
    try:
        timers = any(units(environ, home).glob("digest-*.timer"))
    except OSError:  # the home folder of somebody else, as under sudo
        timers = False
    if not timers and b"digest" not in table:
        return []
    pass  # only where there is something: `status` need not wait for it

    by_timer = in_timers(config, now, home, environ) if timers else ()
    return [*in_crontab(table, config, now, home, machine_zone, environ), *by_timer]


def in_crontab(
    table: bytes, config: Path, now: datetime, home: Path, machine: tzinfo, environ: Mapping[str, str]
) -> Iterator[ScheduledRun]:
    """What of the crontab `table` does; see `digest.schedule.found`."""
    config = plain(config)
    yield from _block(table, crontab.Crontab(environ, machine, now.date()), config, now, home)
    yield from _by_hand(table.decode("utf-8", "surrogateescape"), config, now, home, machine)


def in_timers(config: Path, now: datetime, home: Path, environ: Mapping[str, str]) -> Iterator[ScheduledRun]:
    """What of the timers does."""
    from digest.operations import systemd  # with hashes, 6 ms

    yield from _timer(systemd.SystemdTimers(environ, home, now.date()), plain(config), now, home)


def _block(table: bytes, own: crontab.Crontab, config: Path, now: datetime, home: Path) -> Iterator[ScheduledRun]:
    try:
        block = crontab.installed(table, config)
    except ScheduleError as problem:
        yield ScheduledRun("crontab", f"# BEGIN digest {config}", True, None, str(problem))
        return
    if block is None:
        return
    fault = handmade.trouble(block.program[0], str(config), home) if block.program else ""
    plan = Plan(block.at, block.weekdays, block.zone, config, block.program)
    if not fault and own.text(plan) != crontab.split(table, config)[1]:
        fault = "it was changed, or written for other clocks than these; `digest schedule install` writes it anew"
    yield ScheduledRun("crontab", block.words, True, block.next(now), fault or _elsewhere(block, now, ""))


def _by_hand(text: str, config: Path, now: datetime, home: Path, machine: tzinfo) -> Iterator[ScheduledRun]:
    for line in handmade.handmade(text):
        fault = handmade.trouble(line.program, line.config, home, line.folder, line.path)
        if line.config and not fault and plain(handmade.place(line.config, home, line.folder)) != config:
            continue
        at, wrong_times = handmade.times(line, now, machine)
        yield ScheduledRun("crontab", line.line, False, at, wrong_times or fault)


def _timer(timers: "SystemdTimers", config: Path, now: datetime, home: Path) -> Iterator[ScheduledRun]:
    timer = timers.installed(config)
    if timer is None:
        return
    place = timers.place(config)
    fault = handmade.trouble(timer.program, str(config), home) if timer.program else f"{place.service} starts nothing"
    if not timer.on:
        fault = "it is not switched on; `digest schedule install --systemd` does that"
    at = timer.next(now) if timer.on else None
    yield ScheduledRun(str(place.timer), timer.calendar, True, at, fault or _elsewhere(timer, now, " --systemd"))


def _elsewhere(rhythm: Timetable, now: datetime, option: str) -> str:
    """What to say when the configuration has been given another time zone since."""
    if str(now.tzinfo) == rhythm.zone.key:
        return ""
    return f"it goes by {rhythm.zone.key}, digest.timezone is {now.tzinfo}; `digest schedule install{option}` mends it"
