"""When the daily job runs by itself: plans, the crontab and the timers they are written to, and what is found there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from digest.errors import ScheduleError
from digest.schedule.crontab import read


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
    try:
        table = read(environ)
    except ScheduleError:
        table = b""
    try:
        timers = any(units(environ, home).glob("digest-*.timer"))
    except OSError:  # the home folder of somebody else, as under sudo
        timers = False
    if not timers and b"digest" not in table:
        return []
    from digest.schedule import finding  # only where there is something: `status` need not wait for it

    by_timer = finding.in_timers(config, now, home, environ) if timers else ()
    return [*finding.in_crontab(table, config, now, home, machine_zone, environ), *by_timer]


def units(environ: Mapping[str, str], home: Path) -> Path:
    """The folder of a person's own systemd units (systemd.unit(5))."""
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"
