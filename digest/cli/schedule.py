"""The commands that show, install and remove the schedule of the daily job: in cron, systemd or GitHub Actions."""

import os
import re
from collections.abc import Callable
from datetime import date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest import __version__
from digest.cli.app import App, clock, handle_errors, home, main
from digest.errors import ConfigError, ScheduleError

if TYPE_CHECKING:
    from digest.config import Config
    from digest.operations.github import GithubWorkflow
    from digest.operations.timetable import Plan, Scheduler


class TimeParam(click.ParamType[time]):
    """A time of day as HH:MM."""

    name = "HH:MM"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> time:
        if isinstance(value, time):
            return value
        try:
            return datetime.strptime(value, "%H:%M").time()  # noqa: DTZ007  a clock time without a zone
        except ValueError:
            self.fail(f"{value!r} is not a time of day; write it like 07:30", param, ctx)


class IntervalParam(click.ParamType[int]):
    """A number of minutes: 10m, 30m, 1h, 2h; 0 for off."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([1-9][0-9]?)(m|h)", str(value).strip().lower())
        number, whole, unit = (int(found[1]), 60 if found[2] == "m" else 24, found[2]) if found else (0, 1, "")
        if str(value).lower() != "off" and (not found or number > whole // 2 or whole % number):
            self.fail(f"{value!r} does not divide an hour or a day; write one like 10m, 30m, 1h or off", param, ctx)
        return number * 60 if unit == "h" else number


systemd_option = click.option("--systemd", is_flag=True, help="With a systemd user timer instead of cron.")


github_option = click.option(
    "--github",
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    type=click.Path(path_type=Path, file_okay=False),
    help="With a GitHub Actions workflow in the repository DIR [.], without a server.",
)
requirement_option = click.option(
    "--install",
    "requirement",
    metavar="SPEC",
    help="What pip installs in the workflow: a version, a git URL, a wheel in the repository. [this version]",
)


def time_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --at, --weekdays and --inbox-every, which are None unless given."""
    weekdays = click.option("--weekdays/--every-day", default=None, help="Run from Monday to Friday, or every day.")
    at = click.option("--at", type=TimeParam(), help="Time of day, in the digest's time zone. [07:30]")
    letters = click.option(
        "--inbox-every", type=IntervalParam(), help="Read letters between runs as often: 10m, 1h, or off. [off]"
    )
    return at(weekdays(letters(command)))


@main.group()
def schedule() -> None:
    """Let cron, systemd or GitHub Actions run the daily job.

    Times are in the digest's time zone. To change the schedule, install it again; what is not given stays as it is.
    """


@schedule.command()
@time_options
@systemd_option
@github_option
@requirement_option
@click.pass_obj
@handle_errors
def show(
    app: App,
    at: time | None,
    weekdays: bool | None,
    inbox_every: int | None,
    systemd: bool,
    github: Path | None,
    requirement: str | None,
) -> None:
    """Print what install would write, and the next run."""
    config = app.config()
    if github:
        plan = _plan(config, None, at, weekdays, inbox_every)
        workflow = _github_workflow(config, github, systemd, requirement)
        app.write(workflow.text(plan))
        app.report(f"# {workflow.state(plan)}")
        return
    from digest.operations.timetable import schedulable_path

    _, now = clock(config, None)
    scheduler = _scheduler(systemd, now().date())
    reason = "; run `digest schedule install` with the same options"
    try:
        installed = scheduler.installed(schedulable_path(config.path))
    except ScheduleError as error:
        installed, reason = None, f": {error}"
    plan = _plan(config, installed, at, weekdays, inbox_every)
    app.write(scheduler.text(plan))
    if installed is None:
        state = f"Not installed{reason}."
    elif scheduler.is_current(plan):
        state = "Installed."
    else:
        state = f"Installed differently, for {installed.describe()}{reason} to update it."
    app.report(f"# {state}")
    app.report(f"# {_format_next_run(plan, now())}")


@schedule.command()
@time_options
@systemd_option
@github_option
@requirement_option
@click.pass_obj
@handle_errors
def install(
    app: App,
    at: time | None,
    weekdays: bool | None,
    inbox_every: int | None,
    systemd: bool,
    github: Path | None,
    requirement: str | None,
) -> None:
    """Install the schedule, or change it."""
    config = app.config()
    if github:
        workflow = _github_workflow(config, github, systemd, requirement)
        for message in workflow.install(_plan(config, None, at, weekdays, inbox_every)):
            app.report(message)
        return
    from digest.operations.crontab import find_cron_problem
    from digest.operations.timetable import schedulable_path

    _, now = clock(config, None)
    scheduler = _scheduler(systemd, now().date())
    plan = _plan(config, scheduler.installed(schedulable_path(config.path)), at, weekdays, inbox_every)
    for message in scheduler.install(plan):
        app.report(message)
    app.report(_format_next_run(plan, now()))
    if not systemd and (problem := find_cron_problem()):
        what, _, fix = problem.partition("; ")
        app.report(f"But {what}. To start one: {fix}")
    if _is_installed(_scheduler(not systemd), plan):
        other, option = ("Your crontab", "") if systemd else ("A systemd timer", " --systemd")
        app.report(f"{other} runs it too, and one is enough; to remove that one, run `digest schedule remove{option}`")


@schedule.command()
@systemd_option
@github_option
@click.pass_obj
@handle_errors
def remove(app: App, systemd: bool, github: Path | None) -> None:
    """Remove the schedule that install wrote, and nothing else."""
    if github:
        for message in _github_workflow(app.config(), github, systemd, None).remove():
            app.report(message)
        return
    from digest.operations.timetable import schedulable_path

    for message in _scheduler(systemd).remove(schedulable_path(app.find_config())):
        app.report(message)


def _scheduler(systemd: bool, today: date = date.min) -> "Scheduler":
    """Return the user's crontab or timers; `today` only matters for what is written."""
    from digest.operations.crontab import Crontab
    from digest.operations.systemd import SystemdTimers
    from digest.operations.timetable import machine_zone

    if systemd:
        return SystemdTimers(os.environ, home(), today)
    return Crontab(os.environ, machine_zone(os.environ), today)


def _github_workflow(config: "Config", folder: Path, systemd: bool, requirement: str | None) -> "GithubWorkflow":
    """The workflow in a repository, with the secrets that this configuration can use."""
    from digest.cli.app import SECRETS
    from digest.operations.github import GithubWorkflow
    from digest.operations.installation import NAME

    if systemd:
        raise click.UsageError("--systemd and --github exclude each other; use one of them")
    used = {
        "DIGEST_SMTP_PASSWORD": bool(getattr(config.delivery, "username", "")),
        "DIGEST_INBOX_PASSWORD": bool(config.inbox and config.inbox.host),
        "HF_TOKEN": any(source.name == "huggingface" for source in config.sources),
    }
    secrets = [name for name in SECRETS if used[name]]
    return GithubWorkflow(folder.absolute(), config.digest.database, secrets, requirement or f"{NAME}=={__version__}")


def _plan(
    config: "Config", installed: "Plan | None", at: time | None, weekdays: bool | None, letters_every: int | None
) -> "Plan":
    """Return the plan with what was asked for, else with what is installed, else for every day at 07:30.

    Raises ConfigError when letters are to be read and there is no inbox.
    """
    from digest.operations.timetable import DEFAULT_TIME, Plan, current_program, schedulable_path

    if weekdays is None:
        weekdays = installed is not None and installed.weekdays
    if letters_every is None:
        letters_every = installed.letters_every if installed else 0
    if letters_every and config.inbox is None:
        problem = "inbox: is missing, so --inbox-every has nothing to read; write [inbox] with host = … or path = …"
        raise ConfigError([problem], str(config.path))
    return Plan(
        at=at or (installed.at if installed else DEFAULT_TIME),
        weekdays=weekdays,
        zone=config.digest.timezone,
        config=schedulable_path(config.path),
        program=current_program(),
        letters_every=letters_every,
    )


def _format_next_run(plan: "Plan", now: datetime) -> str:
    return f"Next run: {plan.next_run(now):%a %Y-%m-%d %H:%M} {plan.zone.key}"


def _is_installed(scheduler: "Scheduler", plan: "Plan") -> bool:
    try:
        return scheduler.installed(plan.config) is not None
    except ScheduleError:
        return False
