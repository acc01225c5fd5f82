"""What in a crontab and among the timers runs a configuration: our own block, lines written by hand, our own timer."""

from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import ScheduleError
from digest.schedule import Found, cron, handmade
from digest.schedule.plan import Plan, Rhythm, plain

if TYPE_CHECKING:
    from digest.schedule.systemd import Timers


def in_crontab(
    table: bytes, config: Path, now: datetime, home: Path, machine: tzinfo, environ: Mapping[str, str]
) -> Iterator[Found]:
    """What of the crontab `table` does; see `digest.schedule.found`."""
    config = plain(config)
    yield from _block(table, cron.Crontab(environ, machine, now.date()), config, now, home)
    yield from _by_hand(table.decode("utf-8", "surrogateescape"), config, now, home, machine)


def in_timers(config: Path, now: datetime, home: Path, environ: Mapping[str, str]) -> Iterator[Found]:
    """What of the timers does."""
    from digest.schedule import systemd  # with hashes, 6 ms

    yield from _timer(systemd.Timers(environ, home, now.date()), plain(config), now, home)


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


def _timer(timers: "Timers", config: Path, now: datetime, home: Path) -> Iterator[Found]:
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
