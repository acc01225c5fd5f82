"""When the daily job is to run, by the clock on the wall and whatever is done to clocks, and what is run then."""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError

USUAL = time(7, 30)
DAYS = 2 * 366  # how far ahead clock changes are looked at
_WEEKEND = (5, 6)


@dataclass(frozen=True)
class Timetable:
    """Whenever it is `at` in `zone`; with `weekdays` not on Saturday and Sunday."""

    at: time
    weekdays: bool
    zone: ZoneInfo

    @property
    def words(self) -> str:
        return f"{self.at:%H:%M} {self.zone.key}, {'Monday to Friday' if self.weekdays else 'every day'}"

    def has(self, day: date) -> bool:
        return not (self.weekdays and day.weekday() in _WEEKEND)

    def moment(self, day: date) -> datetime:
        """When it runs on that day, in UTC.

        A time that the clocks leave out is as much later as they are put forward (PEP 495, fold=0); of a time that
        comes twice it is the first.
        """
        return datetime.combine(day, self.at, self.zone).astimezone(UTC)

    def moments(self, today: date) -> Iterator[tuple[date, datetime]]:
        """Each day from yesterday to two years ahead with its moment, Saturdays and Sundays included."""
        for number in range(-1, DAYS):
            day = today + timedelta(days=number)
            yield day, self.moment(day)

    def next(self, now: datetime) -> datetime:
        """The first moment after `now`, in `zone`."""
        today = now.astimezone(self.zone).date()
        ahead = ((day, self.moment(day)) for day in (today + timedelta(days=n) for n in range(-1, 10)))
        return next(at for day, at in ahead if at > now and self.has(day)).astimezone(self.zone)

    def late(self, today: date) -> list[datetime]:
        """The moments of the coming two years on which the clock shows another time, because it leaves out `at`."""
        local = (at.astimezone(self.zone) for day, at in self.moments(today) if self.has(day))
        return [at for at in local if at.time() != self.at]


@dataclass(frozen=True)
class Plan(Timetable):
    """Start `program` with `config` in this rhythm."""

    config: Path
    program: tuple[str, ...]

    @property
    def command(self) -> tuple[str, ...]:
        return (*self.program, *arguments(self.config))


def arguments(config: Path) -> tuple[str, ...]:
    """What the program is started with."""
    return "-q", "-c", str(config), "run"


def plain(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  absolute() keeps `..`, and resolve() follows links that may change


def identity(config: Path) -> Path:
    """The one way in which schedules write the path of a configuration. Raises ScheduleError where they cannot."""
    path = plain(config)
    if not str(path).isprintable() or str(path) != str(path).strip():
        raise ScheduleError(f"{str(path)!r} holds what no crontab and no unit can hold; move it into a plainer folder")
    return path


def program() -> tuple[str, ...]:
    """The words that start this digest from anywhere: the command beside Python, links and all, or Python itself."""
    command = Path(sys.executable).with_name("digest")
    return (str(command),) if command.is_file() else (sys.executable, "-m", "digest")


def machine_zone(environ: Mapping[str, str], localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """The zone cron reads its lines in: $TZ, which a container sets for all it runs, else /etc/localtime, else UTC."""
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


def units(environ: Mapping[str, str], home: Path) -> Path:
    """The folder of a person's own systemd units (systemd.unit(5))."""
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
