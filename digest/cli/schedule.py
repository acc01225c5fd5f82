"""The commands that let the daily job run by itself: show, install and remove its place in cron or systemd."""

import os
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli.app import App, clock, handle_errors, home, main
from digest.errors import ScheduleError

if TYPE_CHECKING:
    from digest.config import Config
    from digest.operations.crontab import Crontab
    from digest.operations.systemd import SystemdTimers
    from digest.operations.timetable import Plan, Timetable


class TimeParam(click.ParamType[time]):
    """A time of the day as HH:MM."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        if isinstance(value, time):
            return value
        try:
            return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007  a time on the wall, of no zone
        except ValueError:
            self.fail(f"{value!r} is not a time of the day; write one like 07:30", param, ctx)


systemd_option = click.option("--systemd", "as_timer", is_flag=True, help="A systemd timer of yours, not cron.")


def when_options(command: Callable[..., None]) -> Callable[..., None]:
    """--at and --weekdays; without them what is installed stays as it is."""
    weekdays = click.option("--weekdays/--every-day", default=None, help="Monday to Friday only, or every day.")
    at = click.option("--at", type=TimeParam(), help="When, in the digest's time zone. [07:30]")
    return at(weekdays(command))


@main.group()
def schedule() -> None:
    """Let cron, or a systemd timer, run the daily job.

    Times are in the digest's time zone. Installing again changes the time and nothing else; without --at and
    --weekdays the time that is installed stays.
    """


@schedule.command()
@when_options
@systemd_option
@click.pass_obj
@handle_errors
def show(chosen: App, at: time | None, weekdays: bool | None, as_timer: bool) -> None:
    """Print what install writes, and when it runs next."""
    config = chosen.config()
    from digest.operations.timetable import identity

    _, now = clock(config, None)
    way = _way(as_timer, now().date())
    try:
        kept, missing = way.installed(identity(config.path)), ""
    except ScheduleError as problem:
        kept, missing = None, f": {problem}"
    plan = _plan(config, kept, at, weekdays)
    click.echo(way.text(plan), nl=False)
    if kept is None:
        state = f"Not installed{missing or '; `digest schedule install` with the same options does that'}."
    elif way.holds(plan):
        state = "Installed."
    else:
        state = f"Installed otherwise, for {kept.words}; `digest schedule install` with the same options mends that."
    chosen.report(f"# {state}")
    chosen.report(f"# {_next(plan, now())}")


@schedule.command()
@when_options
@systemd_option
@click.pass_obj
@handle_errors
def install(chosen: App, at: time | None, weekdays: bool | None, as_timer: bool) -> None:
    """Let it run by itself from now on; once more changes the time."""
    config = chosen.config()
    from digest.operations.timetable import identity

    _, now = clock(config, None)
    way = _way(as_timer, now().date())
    plan = _plan(config, way.installed(identity(config.path)), at, weekdays)
    for sentence in way.install(plan):
        chosen.report(sentence)
    chosen.report(_next(plan, now()))
    if _installed(_way(not as_timer), plan.config):
        other, option = ("Your crontab", "") if as_timer else ("A systemd timer", " --systemd")
        chosen.report(f"{other} runs it as well, and one is enough: `digest schedule remove{option}`")


@schedule.command()
@systemd_option
@click.pass_obj
@handle_errors
def remove(chosen: App, as_timer: bool) -> None:
    """Take out what install wrote, and nothing else."""
    from digest.operations.timetable import identity

    for sentence in _way(as_timer).remove(identity(chosen.find_config())):
        chosen.report(sentence)


def _way(as_timer: bool, today: date = date.min) -> "Crontab | SystemdTimers":
    """Your crontab, or your timers; `today` matters to what is written alone."""
    from digest.operations.crontab import Crontab
    from digest.operations.systemd import SystemdTimers
    from digest.operations.timetable import machine_zone

    if as_timer:
        return SystemdTimers(os.environ, home(), today)
    return Crontab(os.environ, machine_zone(os.environ), today)


def _plan(config: "Config", kept: "Timetable | None", at: time | None, weekdays: bool | None) -> "Plan":
    """What was asked for; where nothing was, what is installed; where nothing is, every day at half past seven."""
    from digest.operations.timetable import USUAL, Plan, Timetable, identity, program

    usual = kept or Timetable(USUAL, False, config.digest.timezone)
    return Plan(
        at=at or usual.at,
        weekdays=usual.weekdays if weekdays is None else weekdays,
        zone=config.digest.timezone,
        config=identity(config.path),
        program=program(),
    )


def _next(plan: "Plan", now: datetime) -> str:
    return f"Next: {plan.next(now):%a %Y-%m-%d %H:%M} {plan.zone.key}"


def _installed(way: "Crontab | SystemdTimers", config: Path) -> bool:
    try:
        return way.installed(config) is not None
    except ScheduleError:
        return False
