"""The user's systemd timers: two unit files for each configuration, and a link that switches the timer on."""

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.errors import ScheduleError
from digest.files import read_text, write_file
from digest.operations.timetable import Plan, Scheduler, format_interval

_TIMEOUT = 10  # seconds
_MAX_UNIT_BYTES = 64 * 1024
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_CALENDAR = re.compile(r"^OnCalendar=(Mon\.\.Fri )?\*-\*-\* (\d\d:\d\d):00 (\S+)$", re.MULTILINE)
_LETTERS_CALENDAR = re.compile(r"^OnCalendar=(?:\*:0/(\d{1,2})|0/(\d{1,2}):00)$", re.MULTILINE)
_EXEC_START = re.compile(r"^ExecStart=(.*)$", re.MULTILINE)
_QUOTED_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"')


def units_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of the user's own units (systemd.unit(5))."""
    return Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "systemd" / "user"


def format_service(plan: Plan) -> str:
    return _format_service("Paper digest", plan.config, plan.command)


def format_letters_service(plan: Plan) -> str:
    """Return the service that reads letters; it ends with 5 when a run is in progress, which reads them itself."""
    return _format_service("Letters to a paper digest", plan.config, plan.letters_command) + "SuccessExitStatus=5\n"


def format_letters_timer(plan: Plan) -> str:
    hours, minutes = divmod(plan.letters_every, 60)
    when = f"*:0/{minutes}" if minutes else f"0/{hours}:00"
    return f"""\
[Unit]
Description=Letters to a paper digest every {format_interval(plan.letters_every)}

[Timer]
OnCalendar={when}

[Install]
WantedBy=timers.target
"""


def _format_service(what: str, config: Path, words: tuple[str, ...]) -> str:
    first, *rest = words
    # A $ is a variable everywhere but in the path of the program; a % is a specifier everywhere (systemd.service(5)).
    command = " ".join([_quote(first), *(_quote(word).replace("$", "$$") for word in rest)])
    return f"""\
[Unit]
Description={what} ({str(config).replace("%", "%%")})

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

    def existing(self) -> list[Path]:
        """Return the units and the link that exist."""
        return [path for path in (self.link, self.timer, self.service) if path.is_symlink() or path.exists()]


@dataclass(frozen=True)
class SystemdTimers(Scheduler):
    """The systemd units of the user who has this environment and home folder."""

    environ: Mapping[str, str]
    home: Path
    today: date

    def unit_paths(self, config: Path, what: str = "") -> UnitPaths:
        """Return the paths of the units of the run, or of "-letters".

        Part of a hash is in their names, because two folders may share a name.
        """
        folder = units_folder(self.environ, self.home)
        slug = re.sub(r"[^a-z0-9]+", "-", config.parent.name.lower()).strip("-")[:40] or "papers"
        name = f"digest-{slug}-{hashlib.sha256(os.fsencode(config)).hexdigest()[:6]}{what}"
        return UnitPaths(folder / f"{name}.service", folder / f"{name}.timer")

    def text(self, plan: Plan) -> bytes:
        return "\n".join(f"# {path}\n{unit}" for path, unit in self._units(plan).items()).encode()

    def _units(self, plan: Plan) -> dict[Path, str]:
        """Return the text of each unit of a plan."""
        paths, letters = self.unit_paths(plan.config), self.unit_paths(plan.config, "-letters")
        units = {paths.service: format_service(plan), paths.timer: format_timer(plan, self.today)}
        if plan.letters_every:
            units |= {letters.service: format_letters_service(plan), letters.timer: format_letters_timer(plan)}
        return units

    def installed(self, config: Path) -> Plan | None:
        paths = self.unit_paths(config)
        found = _CALENDAR.search(_read(paths.timer))
        if found is None:
            return None
        weekdays, at, zone = found.groups()
        try:
            program = _parse_program(_read(paths.service))
            letters = _LETTERS_CALENDAR.search(_read(self.unit_paths(config, "-letters").timer))
            every = int(letters[1] or 0) + 60 * int(letters[2] or 0) if letters else 0
            return Plan(time.fromisoformat(at), bool(weekdays), ZoneInfo(zone), config, program, every)
        except (OSError, ValueError, KeyError):
            return None

    def is_current(self, plan: Plan) -> bool:
        units = self._units(plan)
        timers = [path for path in units if path.suffix == ".timer"]
        switched_on = all((path.parent / "timers.target.wants" / path.name).is_symlink() for path in timers)
        return {path: _read(path) for path in units} == units and switched_on and not self._surplus(plan)

    def _surplus(self, plan: Plan) -> list[Path]:
        """Return what is left of the units for letters, if the plan has none."""
        return [] if plan.letters_every else self.unit_paths(plan.config, "-letters").existing()

    def install(self, plan: Plan) -> list[str]:
        if self.is_current(plan):
            return [f"The timer is already installed: {plan.describe()}. Nothing was changed."]
        written = [
            self.unit_paths(plan.config),
            *([self.unit_paths(plan.config, "-letters")] if plan.letters_every else []),
        ]
        if surplus := self._surplus(plan):
            self._delete(surplus)
        units, paths = self._units(plan), written[0]
        try:
            paths.link.parent.mkdir(parents=True, exist_ok=True)
            for path, unit in units.items():
                write_file(path, unit.encode())
            for each in written:
                if not each.link.is_symlink():
                    each.link.symlink_to(each.timer)
        except OSError as error:
            raise ScheduleError(f"{paths.timer} cannot be written: {error.strerror}") from None
        # Without a session, or in a container, the user's systemd cannot be reached; it starts the timer at login.
        timers = [each.timer.name for each in written]
        started = self._systemctl("daemon-reload") and self._systemctl("restart", *timers)
        start = f"systemctl --user daemon-reload && systemctl --user restart {' '.join(timers)}"
        later = f"systemd cannot be reached now. It starts the timer when you log in; to start it yourself: {start}"
        return [
            f"Wrote {paths.timer} and its service. The timer is on: {plan.describe()}.",
            *([] if started else [later]),
            "It runs only while you are logged in, unless you run `loginctl enable-linger` once.",
            f"If a run fails, see journalctl --user -u {paths.service.name}",
        ]

    def remove(self, config: Path) -> list[str]:
        paths = self.unit_paths(config)
        existing = [*paths.existing(), *self.unit_paths(config, "-letters").existing()]
        if not existing:
            return [f"There is no timer for {config}. Nothing was changed."]
        self._delete(existing)
        return [f"Removed {paths.timer} and {paths.service.name}."]

    def _delete(self, units: Sequence[Path]) -> None:
        self._systemctl("stop", *(path.name for path in units if path.suffix == ".timer" and not path.is_symlink()))
        try:
            for path in units:
                path.unlink()
        except OSError as error:
            raise ScheduleError(f"{error.filename} cannot be removed: {error.strerror}") from None
        self._systemctl("daemon-reload")

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
