"""The user's systemd timers: two unit files for each configuration, and a link that switches the timer on."""

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
from digest.files import read_text, write_file
from digest.operations.timetable import Plan, Scheduler

_TIMEOUT = 10  # seconds
_MAX_UNIT_BYTES = 64 * 1024
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CALENDAR = re.compile(r"^OnCalendar=(Mon\.\.Fri )?\*-\*-\* (\d\d:\d\d):00 (\S+)$", re.MULTILINE)
_EXEC_START = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
_QUOTED_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')


def units_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of the user's own units (systemd.unit(5))."""
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"


def format_service(plan: Plan) -> str:
    first, *rest = plan.command
    # A $ is a variable everywhere but in the path of the program; a % is a specifier everywhere (systemd.service(5)).
    command = " ".join([_quote(first), *(_quote(word).replace("$", "$$") for word in rest)])
    return f"""\
[Unit]
Description=Paper digest ({str(plan.config).replace("%", "%%")})

[Service]
Type=oneshot
ExecStart={command}
"""


def format_timer(plan: Plan, today: date) -> str:
    """Return the timer; systemd skips a time that the clocks skip, so a line is added for such days."""
    days = "Mon..Fri " if plan.weekdays else ""
    shifted = sorted({f"{_DAYS[at.weekday()]} *-{at:%m}-* {at:%H:%M}:00" for at in plan.shifted_moments(today)})
    times = (f"{days}*-*-* {plan.at:%H:%M}:00", *shifted)
    calendar = "\n".join(f"OnCalendar={when} {plan.zone.key}" for when in times)
    return f"""\
[Unit]
Description=Paper digest at {plan.describe()}

[Timer]
{calendar}
Persistent=true

[Install]
WantedBy=timers.target
"""


def _quote(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


@dataclass(frozen=True)
class UnitPaths:
    """The paths of a configuration's units."""

    service: Path
    timer: Path

    @property
    def link(self) -> Path:
        """The link that switches the timer on; creating it is all that `systemctl enable` does."""
        return self.timer.parent / "timers.target.wants" / self.timer.name


@dataclass(frozen=True)
class SystemdTimers(Scheduler):
    """The systemd units of the user who has this environment and home folder."""

    environ: Mapping[str, str]
    home: Path
    today: date

    def unit_paths(self, config: Path) -> UnitPaths:
        """Return the paths of the units; part of a hash is in their names, because two folders may share a name."""
        folder = units_folder(self.environ, self.home)
        slug = re.sub(r"[^a-z0-9]+", "-", config.parent.name.lower()).strip("-")[:40] or "papers"
        name = f"digest-{slug}-{hashlib.sha256(os.fsencode(config)).hexdigest()[:6]}"
        return UnitPaths(folder / f"{name}.service", folder / f"{name}.timer")

    def text(self, plan: Plan) -> bytes:
        paths = self.unit_paths(plan.config)
        service, timer = format_service(plan), format_timer(plan, self.today)
        return f"# {paths.service}\n{service}\n# {paths.timer}\n{timer}".encode()

    def installed(self, config: Path) -> Plan | None:
        paths = self.unit_paths(config)
        found = _CALENDAR.search(_read(paths.timer))
        if found is None:
            return None
        weekdays, at, zone = found.groups()
        try:
            program = _parse_program(_read(paths.service))
            return Plan(time.fromisoformat(at), bool(weekdays), ZoneInfo(zone), config, program)
        except (OSError, ValueError, KeyError):
            return None

    def is_current(self, plan: Plan) -> bool:
        paths = self.unit_paths(plan.config)
        wanted = (format_service(plan), format_timer(plan, self.today))
        return (_read(paths.service), _read(paths.timer)) == wanted and paths.link.is_symlink()

    def install(self, plan: Plan) -> list[str]:
        paths = self.unit_paths(plan.config)
        if self.is_current(plan):
            return [f"The timer is already installed: {plan.describe()}. Nothing was changed."]
        try:
            paths.link.parent.mkdir(parents=True, exist_ok=True)
            write_file(paths.service, format_service(plan).encode())
            write_file(paths.timer, format_timer(plan, self.today).encode())
            if not paths.link.is_symlink():
                paths.link.symlink_to(paths.timer)
        except OSError as error:
            raise ScheduleError(f"{paths.timer} cannot be written: {error.strerror}") from None
        # Without a session, or in a container, the user's systemd cannot be reached; it starts the timer at login.
        started = self._systemctl("daemon-reload") and self._systemctl("restart", paths.timer.name)
        start = f"systemctl --user daemon-reload && systemctl --user restart {paths.timer.name}"
        later = f"systemd cannot be reached now. It starts the timer when you log in; to start it yourself: {start}"
        return [
            f"Wrote {paths.timer} and its service. The timer is on: {plan.describe()}.",
            *([] if started else [later]),
            "It runs only while you are logged in, unless you run `loginctl enable-linger` once.",
            f"If a run fails, see journalctl --user -u {paths.service.name}",
        ]

    def remove(self, config: Path) -> list[str]:
        paths = self.unit_paths(config)
        existing = [path for path in (paths.link, paths.timer, paths.service) if path.is_symlink() or path.exists()]
        if not existing:
            return [f"There is no timer for {config}. Nothing was changed."]
        self._systemctl("stop", paths.timer.name)
        try:
            for path in existing:
                path.unlink()
        except OSError as error:
            raise ScheduleError(f"{error.filename} cannot be removed: {error.strerror}") from None
        self._systemctl("daemon-reload")
        return [f"Removed {paths.timer} and {paths.service.name}."]

    def _systemctl(self, *words: str) -> bool:
        """Run `systemctl --user`; return whether it succeeded, False also if there is no systemd."""
        try:
            done = subprocess.run(  # noqa: S603  the first systemctl on the user's PATH
                ["systemctl", "--user", *words],  # noqa: S607
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
                env=dict(self.environ),
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def _parse_program(service: str) -> tuple[str, ...]:
    """Return the words of ExecStart up to the options, () if they are not as they were written."""
    line = _EXEC_START.search(service)
    words = [re.sub(r"\\(.)", r"\1", word).replace("%%", "%") for word in _QUOTED_WORD.findall(line[1])] if line else []
    return tuple(words[: words.index("-q")]) if "-q" in words else ()


def _read(path: Path) -> str:
    """Return the text of a file, "" if it cannot be read."""
    try:
        return read_text(path, _MAX_UNIT_BYTES)
    except (OSError, UnicodeDecodeError):
        return ""
