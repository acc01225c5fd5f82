"""When the daily job runs by itself: plans, the crontab and the timers they are written to, and what is found there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from digest.errors import ScheduleError
from digest.schedule import cron, handmade, systemd
from digest.schedule.plan import USUAL, Plan, Rhythm, identity, machine_zone, plain, program

__all__ = ["USUAL", "Found", "Plan", "Rhythm", "found", "identity", "machine_zone", "program"]


@dataclass(frozen=True)
class Found:
    """Something that runs digest by itself.

    `where` is "crontab" or the path of a timer, `what` the line or the timer's OnCalendar, `ours` whether `digest
    schedule` wrote it, `next` when it runs next if that is known, `trouble` what is wrong with it: a sentence or ''.
    """

    where: str
    what: str
    ours: bool
    next: datetime | None
    trouble: str


def found(config: Path, now: datetime, home: Path, machine_zone: tzinfo, environ: Mapping[str, str]) -> list[Found]:
    """All that runs this configuration by itself: our block, lines written by hand, our timer. `now` is in its zone.

    A line by hand that names another configuration is not of this one; a line that names none may be. What cannot be
    read (no crontab program, or one that gives no answer in five seconds) holds nothing.
    """
    config, today = plain(config), now.date()
    crontab = cron.Crontab(environ, machine_zone, today)
    try:
        table = crontab.read()
    except ScheduleError:
        table = b""
    by_hand = _by_hand(table.decode("utf-8", "surrogateescape"), config, now, home, machine_zone)
    timer = _timer(systemd.Timers(environ, home, today), config, now, home)
    return [*_block(table, crontab, config, now, home), *by_hand, *timer]


def _block(table: bytes, crontab: cron.Crontab, config: Path, now: datetime, home: Path) -> Iterator[Found]:
    try:
        block = cron.installed(table, config)
    except ScheduleError as problem:
        yield Found("crontab", f"# BEGIN digest {config}", True, None, str(problem))
        return
    if block is None:
        return
    fault = handmade.trouble(block.program[0], str(config), home) if block.program else ""
    plan = Plan(block.at, block.weekdays, block.zone, config, block.program)
    if not fault and crontab.text(plan) != cron.split(table, config)[1]:
        fault = "it was changed, or written for other clocks than these; `digest schedule install` writes it anew"
    yield Found("crontab", block.words, True, block.next(now), fault or _elsewhere(block, now, ""))


def _by_hand(text: str, config: Path, now: datetime, home: Path, machine: tzinfo) -> Iterator[Found]:
    for line in handmade.handmade(text):
        fault = handmade.trouble(line.program, line.config, home, line.folder, line.path)
        if line.config and not fault and plain(handmade.place(line.config, home, line.folder)) != config:
            continue
        at, wrong_times = handmade.times(line, now, machine)
        yield Found("crontab", line.line, False, at, wrong_times or fault)


def _timer(timers: systemd.Timers, config: Path, now: datetime, home: Path) -> Iterator[Found]:
    timer = timers.installed(config)
    if timer is None:
        return
    place = timers.place(config)
    fault = handmade.trouble(timer.program, str(config), home) if timer.program else f"{place.service} starts nothing"
    if not timer.on:
        fault = "it is not switched on; `digest schedule install --systemd` does that"
    at = timer.next(now) if timer.on else None
    yield Found(str(place.timer), timer.calendar, True, at, fault or _elsewhere(timer, now, " --systemd"))


def _elsewhere(rhythm: Rhythm, now: datetime, option: str) -> str:
    """What to say when the configuration has been given another time zone since."""
    if str(now.tzinfo) == rhythm.zone.key:
        return ""
    return f"it goes by {rhythm.zone.key}, digest.timezone is {now.tzinfo}; `digest schedule install{option}` mends it"
