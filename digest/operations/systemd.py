"""A user's systemd timer and the service it starts: two units, whole or not at all, switched on without a bus."""

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError
from digest.files import write_file
from digest.operations.timetable import Plan, Timetable, units

_SECONDS = 10
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CALENDAR = re.compile(r"^OnCalendar=((?:Mon\.\.Fri )?\*-\*-\* (\d\d:\d\d):00 (\S+))$", re.MULTILINE)
_PROGRAM = re.compile(r'^ExecStart="((?:[^"\\]|\\.)*)"', re.MULTILINE)


def service(plan: Plan) -> str:
    first, *rest = plan.command
    # A $ is a variable everywhere but in the path of the program; a % is a specifier everywhere (systemd.service(5)).
    command = " ".join([_quoted(first), *(_quoted(word).replace("$", "$$") for word in rest)])
    return f"""\
[Unit]
Description=Paper digest of {str(plan.config).replace("%", "%%")}

[Service]
Type=oneshot
ExecStart={command}
"""


def timer(plan: Plan, today: date) -> str:
    """The timer; where the clocks leave the time out, with a line for such days, which systemd would skip."""
    days = "Mon..Fri " if plan.weekdays else ""
    late = sorted({f"{_DAYS[at.weekday()]} *-{at:%m}-* {at:%H:%M}:00" for at in plan.late(today)})
    calendar = "\n".join(f"OnCalendar={when} {plan.zone.key}" for when in (f"{days}*-*-* {plan.at:%H:%M}:00", *late))
    return f"""\
[Unit]
Description=Paper digest at {plan.words}

[Timer]
{calendar}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


@dataclass(frozen=True)
class InstalledTimer(Timetable):
    """What a timer says of itself. `program` is "" where that cannot be read; `on` is whether it is switched on."""

    calendar: str
    program: str
    on: bool


@dataclass(frozen=True)
class UnitPaths:
    """The paths of a configuration's units."""

    service: Path
    timer: Path

    @property
    def link(self) -> Path:
        """What switches the timer on: to make it is all that `systemctl enable` does."""
        return self.timer.parent / "timers.target.wants" / self.timer.name


@dataclass(frozen=True)
class SystemdTimers:
    """The systemd units of the person whose environment and home folder these are."""

    environ: Mapping[str, str]
    home: Path
    today: date

    def place(self, config: Path) -> UnitPaths:
        """Where its units are; as two folders may be called alike, a part of a hash is in the name."""
        base = units(self.environ, self.home)
        slug = re.sub(r"[^a-z0-9]+", "-", config.parent.name.lower()).strip("-")[:40] or "papers"
        name = f"digest-{slug}-{hashlib.sha256(os.fsencode(config)).hexdigest()[:6]}"
        return UnitPaths(base / f"{name}.service", base / f"{name}.timer")

    def text(self, plan: Plan) -> bytes:
        place = self.place(plan.config)
        return f"# {place.service}\n{service(plan)}\n# {place.timer}\n{timer(plan, self.today)}".encode()

    def installed(self, config: Path) -> InstalledTimer | None:
        """The timer as it was written; None when there is none, or its times are not ours."""
        place = self.place(config)
        found, starts = _CALENDAR.search(_read(place.timer)), _PROGRAM.search(_read(place.service))
        try:
            return found and InstalledTimer(
                at=time.fromisoformat(found[2]),
                weekdays=found[1].startswith("Mon"),
                zone=ZoneInfo(found[3]),
                calendar=found[1],
                program=re.sub(r"\\(.)", r"\1", starts[1]).replace("%%", "%") if starts else "",
                on=place.link.is_symlink(),
            )
        except (OSError, ValueError, KeyError):
            return None

    def holds(self, plan: Plan) -> bool:
        place = self.place(plan.config)
        as_wanted = _read(place.service) == service(plan) and _read(place.timer) == timer(plan, self.today)
        return as_wanted and place.link.is_symlink()

    def install(self, plan: Plan) -> list[str]:
        """Write the units and switch the timer on; what to tell about it.

        Where the person's systemd cannot be reached (no session, a container) it finds the timer when it starts.
        """
        place = self.place(plan.config)
        if self.holds(plan):
            return [f"The timer is there already: {plan.words}. Nothing was changed."]
        try:
            place.link.parent.mkdir(parents=True, exist_ok=True)
            write_file(place.service, service(plan).encode())
            write_file(place.timer, timer(plan, self.today).encode())
            if not place.link.is_symlink():
                place.link.symlink_to(place.timer)
        except OSError as problem:
            raise ScheduleError(f"{place.timer} cannot be written: {problem.strerror}") from None
        reached = self._systemctl("daemon-reload") and self._systemctl("restart", place.timer.name)
        start = f"systemctl --user daemon-reload && systemctl --user restart {place.timer.name}"
        later = f"Your systemd cannot be reached from here; it starts the timer at your next login, or now: {start}"
        return [
            f"Wrote {place.timer} and the service beside it. The timer is on: {plan.words}.",
            *([] if reached else [later]),
            "It runs while you are logged in; `loginctl enable-linger` lets it run when you are not.",
            f"Should a run fail, this says why: journalctl --user -u {place.service.name}",
        ]

    def remove(self, config: Path) -> list[str]:
        """Stop the timer and take the units away; what to tell about it."""
        place = self.place(config)
        there = [path for path in (place.link, place.timer, place.service) if path.is_symlink() or path.exists()]
        if not there:
            return [f"There is no timer for {config}. Nothing was changed."]
        self._systemctl("stop", place.timer.name)
        try:
            for path in there:
                path.unlink()
        except OSError as problem:
            raise ScheduleError(f"{problem.filename} cannot be removed: {problem.strerror}") from None
        self._systemctl("daemon-reload")
        return [f"Removed {place.timer} and {place.service.name}."]

    def _systemctl(self, *words: str) -> bool:
        """Whether the person's systemd did it; False also where there is none."""
        try:
            done = subprocess.run(  # noqa: S603  whichever systemctl is first on the person's PATH
                ["systemctl", "--user", *words],  # noqa: S607
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
                env=dict(self.environ),
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def _read(path: Path) -> str:
    """The file, "" when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""
