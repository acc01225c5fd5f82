"""Find the scheduled runs of a configuration: our crontab block or systemd timer, or the user's own crontab lines."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from digest.errors import ScheduleError
from digest.operations.crontab import has_current_block, parse_block, read_crontab
from digest.operations.systemd import SystemdTimers
from digest.operations.timetable import Plan, absolute_path

# A command that runs digest, and the absolute path of the configuration that it names.
_OWN_COMMAND = re.compile(r"\bdigest\b.*\srun\b.*")
_NAMED_CONFIG = re.compile(r"""\s(?:-c|--config)[ =]+["']?([/~$].*)""")


@dataclass(frozen=True)
class ScheduledRun:
    """Something that runs digest by itself.

    `where` is "crontab" or the path of a timer; `what` is the plan in words or the user's own line; `next` is the next
    run, None if unknown; `problem` is what is wrong with it and how to fix it, or "".
    """

    where: str
    what: str
    next: datetime | None
    problem: str


def find_scheduled_runs(
    config: Path, now: datetime, home: Path, machine_zone: tzinfo, environ: Mapping[str, str]
) -> list[ScheduledRun]:
    """Return all that runs this configuration by itself; `now` is in the digest's time zone.

    A crontab that cannot be read (no crontab program, or no answer within five seconds) counts as empty.
    """
    config = absolute_path(config)
    try:
        table = read_crontab(environ)
    except ScheduleError:
        table = b""
    return [
        *_find_block(table, config, now, machine_zone),
        *_find_own_lines(table, config, home),
        *_find_timer(SystemdTimers(environ, home, now.date()), config, now),
    ]


def _find_block(table: bytes, config: Path, now: datetime, machine_zone: tzinfo) -> Iterator[ScheduledRun]:
    try:
        plan = parse_block(table, config)
    except ScheduleError as error:
        yield ScheduledRun("crontab", f"# BEGIN digest {config}", None, str(error))
        return
    if plan is None:
        return
    problem = _find_problem(plan, now, "")
    if not problem and not has_current_block(table, plan, machine_zone, now.date()):
        problem = "it was edited or is out of date; run `digest schedule install` to update it"
    yield ScheduledRun("crontab", plan.describe(), plan.next_run(now), problem)


def _find_own_lines(table: bytes, config: Path, home: Path) -> Iterator[ScheduledRun]:
    """Find lines outside our blocks that run digest, unless they name the absolute path of another configuration."""
    in_block = False
    for line in table.decode("utf-8", "replace").split("\n"):
        if line.startswith(("# BEGIN digest ", "# END digest ")):
            in_block = line.startswith("# BEGIN")
        elif not in_block and not line.lstrip().startswith("#") and (command := _OWN_COMMAND.search(line)):
            named = _NAMED_CONFIG.search(command[0])
            path = re.sub(r"^(~|\$HOME|\$\{HOME\})(?=/)", lambda _: str(home), named[1]) if named else ""
            if not named or f"{path} ".startswith(tuple(f"{config}{end}" for end in " \"'")):
                yield ScheduledRun("crontab", line.strip(), None, "")


def _find_timer(timers: SystemdTimers, config: Path, now: datetime) -> Iterator[ScheduledRun]:
    plan = timers.installed(config)
    if plan is None:
        return
    paths = timers.unit_paths(config)
    enabled = paths.link.is_symlink()
    if not enabled:
        problem = "it is not switched on; run `digest schedule install --systemd` to switch it on"
    elif not plan.program:
        problem = f"{paths.service} starts nothing; run `digest schedule install --systemd` to rewrite it"
    else:
        problem = _find_problem(plan, now, " --systemd")
    yield ScheduledRun(str(paths.timer), plan.describe(), plan.next_run(now) if enabled else None, problem)


def _find_problem(plan: Plan, now: datetime, option: str) -> str:
    """Return what is wrong with an installed plan: its program is gone, or the digest has another time zone now."""
    fix = f"run `digest schedule install{option}` to update it"
    if plan.program and not os.access(plan.program[0], os.X_OK):
        return f"the program {plan.program[0]} is missing or not executable; {fix}"
    if str(now.tzinfo) != plan.zone.key:
        return f"it uses the time zone {plan.zone.key}, but digest.timezone is {now.tzinfo}; {fix}"
    return ""
