"""The plan: when the daily job runs and what is started then. The interface that cron and systemd share for it."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError

DEFAULT_TIME = time(7, 30)
_DAYS_AHEAD = 2 * 366  # how far ahead changes of the clocks are taken into account
_WEEKEND = (5, 6)


@dataclass(frozen=True)
class Plan:
    """Run digest for one configuration at a time of day in a time zone, every day or only from Monday to Friday.

    `config` is an absolute path; `program` holds the words that start digest. Between runs, letters are read every
    `letters_every` minutes, a divisor of an hour or a number of hours that divides a day; 0 for never.
    """

    at: time
    weekdays: bool
    zone: ZoneInfo
    config: Path
    program: tuple[str, ...]
    letters_every: int = 0

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, "-q", "-c", str(self.config), "run")

    @property
    def letters_command(self) -> tuple[str, ...]:
        return (*self.program, "-q", "-c", str(self.config), "inbox")

    def describe(self) -> str:
        letters = f"; letters every {format_interval(self.letters_every)}" if self.letters_every else ""
        days = "Monday to Friday" if self.weekdays else "every day"
        return f"{self.at:%H:%M} {self.zone.key}, {days}{letters}"

    def runs_on(self, day: date) -> bool:
        return not (self.weekdays and day.weekday() in _WEEKEND)

    def moment(self, day: date) -> datetime:
        """Return when the job runs on `day`, in `zone`.

        A time that the clocks skip moves by as much as they go forward (PEP 495, fold=0). Of a time that comes twice,
        the first counts.
        """
        return datetime.combine(day, self.at, self.zone).astimezone(UTC).astimezone(self.zone)

    def moments(self, today: date) -> list[datetime]:
        """Return the moments from yesterday until two years ahead, weekends included."""
        return [self.moment(today + timedelta(days=number)) for number in range(-1, _DAYS_AHEAD)]

    def next_run(self, now: datetime) -> datetime:
        """Return the first moment after `now`, in `zone`."""
        today = now.astimezone(self.zone).date()
        days = (today + timedelta(days=number) for number in range(-1, 10))
        # Compared in UTC: two datetimes of one zone compare by their clock times, which can come twice.
        return next(at for day in days if self.runs_on(day) and (at := self.moment(day)).astimezone(UTC) > now)

    def shifted_moments(self, today: date) -> list[datetime]:
        """Return the moments of the next two years at which the clock shows another time, because it skips `at`."""
        return [at for at in self.moments(today) if at.time() != self.at and self.runs_on(at.date())]


def format_interval(minutes: int) -> str:
    """Return "10 minutes", "hour" or "2 hours"."""
    hours, rest = divmod(minutes, 60)
    return f"{minutes} minutes" if rest else "hour" if hours == 1 else f"{hours} hours"


class Scheduler(Protocol):
    """What starts the job at its times: a `Crontab` or `SystemdTimers`.

    Every method raises ScheduleError when the crontab or the units cannot be read or written.
    """

    def text(self, plan: Plan) -> bytes:
        """Return what `install` writes."""

    def installed(self, config: Path) -> Plan | None:
        """Return the plan that is installed for a configuration; its program is () if somebody has edited that."""

    def is_current(self, plan: Plan) -> bool:
        """Whether exactly this plan is installed."""

    def install(self, plan: Plan) -> list[str]:
        """Install the plan, in place of an older one of the same configuration, and return messages for the user."""

    def remove(self, config: Path) -> list[str]:
        """Remove what `install` wrote and nothing else, and return messages for the user."""


def absolute_path(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  absolute() keeps `..`, and resolve() follows links that may change


def schedulable_path(config: Path) -> Path:
    """Return the absolute path of a configuration. Raises ScheduleError if a crontab or unit cannot hold it."""
    path = absolute_path(config)
    if not str(path).isprintable() or str(path) != str(path).strip():
        raise ScheduleError(
            f"{str(path)!r} contains characters that a crontab or a systemd unit cannot hold; rename the file or folder"
        )
    return path


def current_program() -> tuple[str, ...]:
    """Return the words that start this digest from any folder: the command beside Python, else Python itself."""
    command = Path(sys.executable).with_name("digest")
    return (str(command),) if command.is_file() else (sys.executable, "-m", "digest")


def machine_zone(environ: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """Return the time zone that cron uses: $TZ, which containers set for every process, or /etc/localtime, or UTC."""
    target = os.path.realpath(localtime).partition("/zoneinfo/")[2]
    for name in (environ.get("TZ", "").lstrip(":"), target):
        try:
            return ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            continue
    try:
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file, key=str(localtime))
    except (ValueError, OSError):
        return ZoneInfo("UTC")
