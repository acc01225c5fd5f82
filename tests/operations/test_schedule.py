"""The daily job runs once a day whatever the clocks do, and `digest schedule` keeps every other byte of a crontab."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import time as clock
import zoneinfo
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.cli import main
from digest.errors import ScheduleError
from digest.operations.crontab import cron_lines, format_block, parse_block, put_block, remove_block, split_at_block
from digest.operations.schedule import ScheduledRun, find_scheduled_runs
from digest.operations.systemd import SystemdTimers, format_service, format_timer
from digest.operations.timetable import Plan, machine_zone
from tests.conftest import Workplace, paper
from tests.machine import CRONTAB, PATH, programs

CONFIG = Path("/home/ann/papers/config.toml")
PROGRAM = ("/home/ann/bin/digest",)
TODAY = date(2026, 11, 24)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Santiago",  # the clocks change at midnight
    "Australia/Lord_Howe",  # by half an hour
    "Asia/Kolkata",
    "Africa/Cairo",  # on Fridays
    "Africa/Casablanca",  # around Ramadan
    "Pacific/Kiritimati",
    "Pacific/Niue",  # 25 hours away from there
]


def plan(
    at: str = "07:30",
    zone: str = "Europe/Berlin",
    weekdays: bool = False,
    config: Path = CONFIG,
    program: tuple[str, ...] = PROGRAM,
) -> Plan:
    return Plan(time.fromisoformat(at), weekdays, ZoneInfo(zone), config, program)


def block(plan: Plan) -> bytes:
    return format_block(plan, ZoneInfo("UTC"), TODAY)


# The next run


@pytest.mark.parametrize(
    ("zone", "at", "now", "then"),
    [
        ("Europe/Berlin", "07:30", "2026-11-25T06:29:59+00:00", "2026-11-25T07:30:00+01:00"),
        ("Europe/Berlin", "07:30", "2026-11-25T06:30:00+00:00", "2026-11-26T07:30:00+01:00"),
        ("Europe/Berlin", "07:30", "2027-03-27T12:00:00+00:00", "2027-03-28T07:30:00+02:00"),
        ("Europe/Berlin", "02:30", "2027-03-27T12:00:00+00:00", "2027-03-28T03:30:00+02:00"),  # no 02:30 on that day
        ("Europe/Berlin", "02:30", "2027-10-30T12:00:00+00:00", "2027-10-31T02:30:00+02:00"),  # twice; the first counts
        ("Europe/Berlin", "02:30", "2027-10-31T00:30:00+00:00", "2027-11-01T02:30:00+01:00"),
        ("Australia/Lord_Howe", "02:15", "2027-10-02T00:00:00+00:00", "2027-10-03T02:45:00+11:00"),
        ("Asia/Kolkata", "07:30", "2026-11-25T02:00:00+00:00", "2026-11-26T07:30:00+05:30"),
        ("Pacific/Kiritimati", "00:00", "2026-11-24T09:59:00+00:00", "2026-11-25T00:00:00+14:00"),
    ],
)
def test_the_next_run_is_when_the_clock_shows_the_time(zone: str, at: str, now: str, then: str) -> None:
    assert plan(at, zone).next_run(datetime.fromisoformat(now)).isoformat() == then


def test_the_next_run_after_the_first_of_two_equal_times_is_tomorrow() -> None:
    second = datetime(2027, 10, 31, 2, 15, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert plan("02:30").next_run(second).isoformat() == "2027-11-01T02:30:00+01:00"


def test_weekdays_leaves_out_the_weekend_only() -> None:
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert plan(weekdays=True).next_run(friday).date() == date(2026, 11, 30)
    assert plan().next_run(friday).date() == date(2026, 11, 28)


@given(
    zone=st.sampled_from(ZONES),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    now=st.integers(0, 2**21).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
)
def test_from_one_run_to_the_next_it_is_a_day(zone: str, at: time, now: datetime) -> None:
    daily = plan(f"{at:%H:%M}", zone)
    first = daily.next_run(now)
    second = daily.next_run(first)
    assert now < first <= now + timedelta(hours=25)
    assert second.date() - first.date() == timedelta(days=1)


# The lines of a crontab, run by a cron that is played here and by guards that a real shell runs

DAYS = 700


def job_starts(daily: Plan, machine: str) -> Iterator[datetime]:
    """When the plan's lines start the job on a machine in that zone, in the plan's zone."""
    for line in cron_lines(daily, ZoneInfo(machine), TODAY):
        *fields, command = line.split(maxsplit=5)
        local = [start.astimezone(daily.zone) for start in cron_starts(fields, ZoneInfo(machine))]
        shown = [f"{start.hour:02}{start.minute:02}{start.isoweekday()}" for start in local]  # date +%H%M%u
        passing = passes_guard(command, set(shown))
        yield from (start for start, output in zip(local, shown, strict=True) if output in passing)


def cron_starts(fields: list[str], machine: ZoneInfo) -> Iterator[datetime]:
    """When Debian's cron starts a line, in UTC.

    With `*` for the hour it goes by the clock. With fixed hours it starts a line once in an hour that comes twice, and
    right after an hour that is skipped (cron(8), "Notes").
    """
    minute, hours, *every_day, weekdays = fields
    assert every_day == ["*", "*"]
    midnight = datetime.combine(TODAY, time(), machine).astimezone(UTC)
    if hours == "*":
        half_hours = (midnight + timedelta(minutes=int(minute) + 30 * number) for number in range(DAYS * 48))
        yield from (start for start in half_hours if start.astimezone(machine).minute == int(minute))
        return
    for number in range(DAYS):
        for hour in hours.split(","):
            local = datetime.combine(TODAY + timedelta(days=number), time(int(hour), int(minute)))
            while local.replace(tzinfo=machine).astimezone(UTC).astimezone(machine).replace(tzinfo=None) != local:
                local += timedelta(minutes=1)
            if weekdays == "*" or (weekdays == "1-5" and local.isoweekday() <= 5):
                yield local.replace(tzinfo=machine).astimezone(UTC)


def passes_guard(command: str, shown: set[str]) -> set[str]:
    """Return at which of these outputs of `date` a shell runs the job; here the job prints that output."""
    assert "case" not in command or r" date +\%H\%M\%u)" in command
    job = command.replace(" ".join(PROGRAM), 'echo "$shown"').replace("exec ", "")
    script = f"""date() {{ echo "$shown"; }}; for shown in {" ".join(sorted(shown))}; do {job}; done"""
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    return {line.split()[0] for line in done.stdout.splitlines()}


def assert_one_start_a_day(daily: Plan, machine: str) -> None:
    starts = list(job_starts(daily, machine))
    counted = Counter(start.date() for start in starts)
    unusual = set()
    for number in range(2, DAYS - 2):
        day = TODAY + timedelta(days=number)
        first, second = (datetime.combine(day, daily.at.replace(fold=fold), daily.zone) for fold in (0, 1))
        if not daily.runs_on(day):
            assert counted[day] == 0, day
        elif first.utcoffset() == second.utcoffset():
            assert counted[day] == 1, day
        else:  # the time is skipped on that day, or comes twice
            unusual.add(day)
            assert counted[day] in ((0, 1) if daily.moment(day).time() != daily.at else (1, 2)), day
    assert {start.time() for start in starts if start.date() not in unusual} == {daily.at}
    assert len(unusual) <= 8


@pytest.mark.parametrize("machine", ZONES)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("weekdays", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_in_any_zone_on_any_machine_the_job_starts_once_a_day(zone: str, machine: str, weekdays: bool) -> None:
    assert_one_start_a_day(plan("07:30", zone, weekdays), machine)


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    machine=st.sampled_from(ZONES),
    at=st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59])),
    weekdays=st.booleans(),
)
def test_at_any_hour_the_job_starts_once_a_day(zone: str, machine: str, at: time, weekdays: bool) -> None:
    assert_one_start_a_day(plan(f"{at:%H:%M}", zone, weekdays), machine)


@pytest.mark.parametrize(
    ("zone", "machine", "at", "weekdays", "fields", "pattern"),
    [
        ("Europe/Berlin", "Europe/Berlin", "07:30", False, ["30 7 * * *"], ""),
        ("Europe/Berlin", "Europe/Paris", "02:30", True, ["30 2 * * 1-5"], ""),  # two names for one clock
        ("Europe/Berlin", "UTC", "07:30", False, ["30 5,6 * * *"], "07*"),
        ("Europe/Berlin", "UTC", "00:15", True, ["15 22,23 * * *"], "00*[1-5]"),
        ("Europe/Berlin", "UTC", "01:15", False, ["15 0,23 * * *"], "01*"),
        ("Asia/Kolkata", "UTC", "07:30", False, ["0 2 * * *"], "07*"),
        ("Australia/Lord_Howe", "UTC", "07:30", False, ["0 21 * * *", "30 20 * * *"], "07[3-5]*"),
        ("Australia/Lord_Howe", "UTC", "07:15", True, ["15 20 * * *", "45 20 * * *"], "07[0-2]*[1-5]"),
        ("Pacific/Niue", "Pacific/Kiritimati", "23:30", True, ["30 0 * * *"], "23*[1-5]"),
        ("Europe/Berlin", "America/New_York", "07:30", False, ["30 * * * *"], "07*"),  # 01:30, also when it comes twice
    ],
)
def test_the_lines_are_as_plain_as_the_clocks_allow(
    zone: str, machine: str, at: str, weekdays: bool, fields: list[str], pattern: str
) -> None:
    lines = cron_lines(plan(at, zone, weekdays), ZoneInfo(machine), TODAY)
    assert [line.split("  ")[0] for line in lines] == fields
    assert all(f" in {pattern}) exec " in line if pattern else "case" not in line for line in lines)


@pytest.mark.parametrize(
    ("shown", "runs"),
    [("06593", False), ("08003", False), ("07306", False), ("07307", False), ("07301", True), ("07595", True)],
)
def test_a_real_shell_skips_the_wrong_times_silently(shown: str, runs: bool, tmp_path: Path) -> None:
    program = tmp_path / "digest"
    program.write_text('#!/bin/sh\necho "$*" > "$0.done"\n')
    program.chmod(0o755)
    (line,) = cron_lines(plan(weekdays=True, program=(str(program),)), ZoneInfo("UTC"), TODAY)
    script = f"date() {{ echo {shown}; }}; {line.split(maxsplit=5)[-1]}"
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "digest.done").exists() == runs


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("folder", ["plain", "my papers", "100% mine", 'it\'s $HOME `x` "y"', "ünï"])
def test_any_path_arrives_whole_through_cron_and_through_a_shell_alone(folder: str, zone: str, tmp_path: Path) -> None:
    program = tmp_path / folder / "digest"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    daily = plan(zone=zone, config=tmp_path / folder / "config.toml", program=(str(program),))
    (line,) = cron_lines(daily, ZoneInfo("UTC"), TODAY)
    assert ("case" in line) == (zone != "UTC")
    command = line.split(maxsplit=5)[-1]
    assert not re.search(r"(?<!\\)%", command)
    for typed in (command, command.replace(r"\%", "%")):  # by hand; and as cron hands it to the shell
        script = f"date() {{ echo 07301; }}; {typed}"
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["-q", "-c", str(daily.config), "run"]
    assert parse_block(block(daily), daily.config) == daily


def test_a_path_that_no_crontab_can_hold_is_refused(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "two\nlines")
    workplace.folder.mkdir()
    workplace.config()
    result = CliRunner().invoke(main, ["-c", str(workplace.path), "schedule", "show"])
    assert result.exit_code == 2
    assert "rename the file or folder" in result.stderr


# The block in a crontab

OTHERS = b"# mine\nMAILTO=ann\n\n0 1 * * * caf\xe9 \xff\n*/5 * * * * x  \t\n"
BLOCK = block(plan())

# As earlier versions wrote them.
OLD_BLOCKS = [
    (
        plan(zone="UTC"),
        """\
# BEGIN digest /home/ann/papers/config.toml
# 07:30 UTC, every day; `digest schedule remove` takes this block out.
# Cron goes by UTC here.
30 7 * * *  /home/ann/bin/digest -q -c /home/ann/papers/config.toml run
# END digest /home/ann/papers/config.toml
""",
    ),
    (
        plan("02:30", weekdays=True, program=("/home/ann/100% mine/python3", "-m", "digest")),
        """\
# BEGIN digest /home/ann/papers/config.toml
# 02:30 Europe/Berlin, Monday to Friday; `digest schedule remove` takes this block out.
# Cron goes by UTC here, where 02:30 is not always the same time: a call at the wrong one ends at once.
30 0,1 * * 1-5  case $(TZ=Europe/Berlin date +\\%H\\%M.\\%m.\\%u) in 0330.03.7) ;; 0130*|0330*) exit ;; esac; \
exec /home/ann/100\\%' mine/python3' -m digest -q -c /home/ann/papers/config.toml run
# END digest /home/ann/papers/config.toml
""",
    ),
]


@pytest.mark.parametrize(("old_plan", "old"), OLD_BLOCKS)
def test_a_block_of_an_earlier_version_is_recognised_replaced_and_removed(old_plan: Plan, old: str) -> None:
    table = OTHERS + old.encode()
    assert parse_block(table, CONFIG) == old_plan
    assert put_block(table, CONFIG, BLOCK) == OTHERS + BLOCK
    assert remove_block(table, CONFIG) == OTHERS


@given(st.binary())
def test_after_install_and_remove_every_byte_is_as_it_was(table: bytes) -> None:
    once = put_block(table, CONFIG, BLOCK)
    assert put_block(once, CONFIG, BLOCK) == once
    assert split_at_block(once, CONFIG)[1] == BLOCK
    assert remove_block(once, CONFIG) == table
    later = put_block(once, CONFIG, block(plan("06:15", weekdays=True)))
    assert remove_block(later, CONFIG) == table


def test_each_configuration_has_its_own_block() -> None:
    other = Path("/home/ann/papers/config.toml.old")
    with_both = put_block(put_block(OTHERS, CONFIG, BLOCK), other, block(plan(config=other)))
    with_both += b"0 3 * * * later\n"
    assert remove_block(remove_block(with_both, CONFIG), other) == OTHERS + b"0 3 * * * later\n"
    assert split_at_block(with_both, CONFIG)[1] == BLOCK


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (BLOCK.replace(b"# END", b"# FIN"), "line 1 of your crontab"),
        (b"# a\n" + BLOCK.replace(b"# BEGIN", b"# START"), "has no matching BEGIN line"),
        (BLOCK + b"0 1 * * * x\n" + BLOCK, "appears more than once"),
        (BLOCK.replace(b"# END", b"# BEGIN digest /other\n# END"), "has no matching END line"),
    ],
)
def test_a_block_that_lost_a_mark_is_refused_by_line(table: bytes, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        put_block(table, CONFIG, BLOCK)
    with pytest.raises(ScheduleError, match=words):
        remove_block(table, CONFIG)


def test_a_block_contains_the_plan_it_was_made_from() -> None:
    daily = plan("06:05", "America/New_York", weekdays=True)
    assert parse_block(put_block(OTHERS, CONFIG, block(daily)), CONFIG) == daily
    assert parse_block(OTHERS, CONFIG) is None


@given(st.text())
def test_whatever_is_in_a_block_it_can_be_parsed(text: str) -> None:
    first, second, *_, last = BLOCK.splitlines(keepends=True)
    kept = parse_block(b"".join([first, second, text.replace("# ", "").encode(), b"\n", last]), CONFIG)
    assert kept is not None
    assert kept.describe() == plan().describe()


# The units of systemd


def test_a_timer_names_the_zone_and_catches_up() -> None:
    text = format_timer(plan(weekdays=True), TODAY)
    assert "\nOnCalendar=Mon..Fri *-*-* 07:30:00 Europe/Berlin\n" in text
    assert "\nPersistent=true\n" in text
    assert "\nWantedBy=timers.target\n" in text


def test_a_timer_makes_up_for_a_time_that_the_clocks_skip() -> None:
    assert "\nOnCalendar=Sun *-03-* 03:30:00 Europe/Berlin\n" in format_timer(plan("02:30"), TODAY)
    assert format_timer(plan("02:30", weekdays=True), TODAY).count("OnCalendar") == 1  # never on a weekday


def test_a_service_takes_dollars_and_percents_as_they_are() -> None:
    awkward = plan(config=Path('/a/100% $5 "x" \\/c.toml'), program=("/b/100% $5/digest",))
    expected = 'ExecStart="/b/100%% $5/digest" "-q" "-c" "/a/100%% $$5 \\"x\\" \\\\/c.toml" "run"\n'
    assert expected in format_service(awkward)


@pytest.mark.parametrize("program", [('/b/100% $5 "x"/digest',), ("/usr/bin/python3", "-m", "digest")])
def test_units_contain_the_plan_they_were_made_from(program: tuple[str, ...], tmp_path: Path) -> None:
    daily, timers = plan("06:05", weekdays=True, program=program), SystemdTimers({"PATH": ""}, tmp_path, TODAY)
    assert timers.installed(CONFIG) is None
    timers.install(daily)
    assert timers.installed(CONFIG) == daily
    assert timers.is_current(daily)


# The commands


class Machine:
    """A workplace whose PATH begins with a crontab program that keeps its table in a file, and whose zone is UTC."""

    def __init__(self, workplace: Workplace, monkeypatch: pytest.MonkeyPatch, zone: str = "Europe/Berlin") -> None:
        self.bin = workplace.folder / "bin"
        programs(self.bin, monkeypatch)
        workplace.digest["timezone"] = zone
        workplace.config()
        self.workplace, self.home = workplace, workplace.folder
        monkeypatch.setenv("HOME", str(workplace.folder))
        monkeypatch.setenv("TZ", "UTC")
        for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DIGEST_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(workplace.folder)

    def crontab(self, script: str) -> None:
        (self.bin / "crontab").write_text(script)
        (self.bin / "crontab").chmod(0o755)

    @property
    def table(self) -> Path:
        return self.bin / "table"

    def digest(self, *words: str) -> Result:
        return CliRunner().invoke(main, words, catch_exceptions=False)

    def found(self, now: str = "2026-11-25T08:00:00+01:00") -> list[ScheduledRun]:
        moment = datetime.fromisoformat(now).astimezone(ZoneInfo("Europe/Berlin"))
        return find_scheduled_runs(self.workplace.path, moment, self.home, ZoneInfo("UTC"), os.environ)


@pytest.fixture
def machine(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(workplace, monkeypatch)


def test_install_twice_then_remove_leaves_the_crontab_as_it_was(machine: Machine) -> None:
    machine.table.write_bytes(OTHERS)
    first = machine.digest("schedule", "install", "--at", "06:45")
    assert first.exit_code == 0
    assert "06:45 Europe/Berlin, every day" in first.stdout
    assert "Next run: " in first.stdout
    once = machine.table.read_bytes()
    assert once.startswith(OTHERS)
    again = machine.digest("schedule", "install")
    assert "already" in again.stdout
    assert "06:45" in again.stdout  # without --at it stays
    assert machine.table.read_bytes() == once
    assert machine.digest("schedule", "install", "--weekdays").exit_code == 0
    assert "06:45 Europe/Berlin, Monday to Friday" in machine.digest("schedule", "show").stdout
    assert machine.digest("schedule", "install", "--every-day").exit_code == 0
    assert machine.table.read_bytes() == once
    assert machine.digest("schedule", "remove").exit_code == 0
    assert machine.table.read_bytes() == OTHERS
    nothing = machine.digest("schedule", "remove")
    assert nothing.exit_code == 0
    assert "Nothing was changed" in nothing.stdout


def test_a_crontab_that_held_nothing_else_is_gone_after_remove(machine: Machine) -> None:
    machine.digest("schedule", "install")
    assert machine.table.exists()
    machine.digest("schedule", "remove")
    assert not machine.table.exists()


def test_busyboxs_message_that_there_is_no_crontab_is_understood(machine: Machine) -> None:
    machine.crontab(CRONTAB.replace("no crontab for me", "crontab: can't open 'me': No such file or directory"))
    assert machine.digest("schedule", "install").exit_code == 0
    assert machine.table.read_bytes().startswith(b"# BEGIN digest ")


def test_remove_works_when_the_configuration_is_broken(machine: Machine) -> None:
    machine.digest("schedule", "install")
    machine.workplace.path.write_text("no = toml = at all")
    assert machine.digest("schedule", "remove").exit_code == 0
    assert not machine.table.exists()


def test_show_prints_what_install_writes_and_the_rest_as_comments(machine: Machine) -> None:
    before = machine.digest("schedule", "show")
    assert not machine.table.exists()
    machine.digest("schedule", "install")
    wanted = machine.table.read_text()
    assert before.stdout.startswith(wanted)
    after = machine.digest("schedule", "show").stdout.removeprefix(wanted)
    assert after.startswith("# Installed.\n# Next run: ")
    assert all(line.startswith("#") for line in (after + before.stdout.removeprefix(wanted)).splitlines())


def test_show_prints_what_is_installed_and_what_was_asked_for(machine: Machine) -> None:
    machine.digest("schedule", "install")
    shown = machine.digest("schedule", "show", "--at", "06:15").stdout
    assert "\n# 06:15 Europe/Berlin, every day; " in shown
    assert "Installed differently, for 07:30 Europe/Berlin, every day" in shown


def test_with_q_it_prints_nothing(machine: Machine) -> None:
    for command in ("install", "install", "remove", "remove"):
        assert machine.digest("-q", "schedule", command).output == ""


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('#!/bin/sh\necho "You (me) are not allowed to use this program (crontab)" >&2\nexit 1\n', "not allowed"),
        ("#!/bin/sh\nexit 3\n", "exit code 3"),
        (CRONTAB.replace('cat > "$table"', 'echo "bad minute" >&2; exit 1'), "not changed: bad minute"),
    ],
)
def test_an_error_of_the_crontab_program_is_shown(machine: Machine, script: str, words: str) -> None:
    machine.crontab(script)
    result = machine.digest("schedule", "install")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not machine.table.exists()


def test_without_a_crontab_program_it_suggests_systemd(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(machine.home / "nowhere"))
    result = machine.digest("schedule", "install")
    assert result.exit_code == 2
    assert "--systemd" in result.stderr
    assert machine.found() == []
    shown = machine.digest("schedule", "show")
    assert shown.exit_code == 0
    assert all(line.startswith(("#", "30 ")) for line in shown.stdout.splitlines())


def test_a_damaged_block_changes_nothing(machine: Machine) -> None:
    machine.digest("schedule", "install")
    damaged = machine.table.read_bytes().replace(b"# END", b"# ENDE")
    machine.table.write_bytes(damaged)
    for command in ("install", "remove"):
        result = machine.digest("schedule", command)
        assert result.exit_code == 2
        assert "line 1 of your crontab" in result.stderr
    assert machine.table.read_bytes() == damaged
    assert "END" in machine.found()[0].problem


def test_a_timer_is_installed_without_a_running_systemd_and_removed_again(machine: Machine) -> None:
    result = machine.digest("schedule", "install", "--systemd", "--at", "06:45", "--weekdays")
    assert result.exit_code == 0
    assert "systemctl --user" in result.stdout
    folder = machine.home / ".config/systemd/user"
    paths = SystemdTimers({}, machine.home, TODAY).unit_paths(machine.workplace.path)
    assert sorted(p.name for p in folder.iterdir()) == [
        paths.service.name,
        paths.timer.name,
        "timers.target.wants",
    ]
    assert paths.link.resolve() == paths.timer
    again = machine.digest("schedule", "install", "--systemd")
    assert "already" in again.stdout
    assert "06:45 Europe/Berlin, Monday to Friday" in again.stdout
    shown = machine.digest("schedule", "show", "--systemd").stdout
    assert f"# {paths.timer}\n{paths.timer.read_text()}" in shown
    assert "# Installed." in shown
    both = machine.digest("schedule", "install")
    assert "one is enough" in both.stdout
    assert machine.digest("schedule", "remove", "--systemd").exit_code == 0
    assert list(folder.rglob("digest-*")) == []
    assert "Nothing was changed" in machine.digest("schedule", "remove", "--systemd").stdout


@pytest.mark.parametrize("at", ["7", "24:00", "07:60", "7.30", ""])
def test_an_invalid_time_is_a_usage_error(machine: Machine, at: str) -> None:
    result = machine.digest("schedule", "install", "--at", at)
    assert result.exit_code == 2
    assert "07:30" in result.stderr


def test_a_machine_without_the_zones_data_is_refused_where_the_line_would_never_run(
    machine: Machine, tmp_path: Path
) -> None:
    zoneinfo.reset_tzpath([str(tmp_path)])  # Python has its own data in the package tzdata
    try:
        result = machine.digest("schedule", "install")
    finally:
        zoneinfo.reset_tzpath()
    assert result.exit_code == 2
    assert "no data of the time zone Europe/Berlin; install tzdata" in result.stderr
    assert not machine.table.exists()


# What status and doctor read


def test_what_is_installed_is_found_with_its_next_run(machine: Machine) -> None:
    machine.table.write_bytes(OTHERS)
    machine.digest("schedule", "install", "--at", "06:45")
    machine.digest("schedule", "install", "--systemd", "--weekdays")
    by_cron, by_timer = machine.found("2026-11-27T08:00:00+01:00")
    assert by_cron.where == "crontab"
    assert by_cron.what == "06:45 Europe/Berlin, every day"
    assert by_cron.problem == ""
    assert str(by_cron.next) == "2026-11-28 06:45:00+01:00"
    assert by_timer.where.endswith(".timer")
    assert by_timer.what == "07:30 Europe/Berlin, Monday to Friday"
    assert by_timer.problem == ""
    assert str(by_timer.next) == "2026-11-30 07:30:00+01:00"


@pytest.mark.parametrize("option", [[], ["--systemd"]])
def test_a_schedule_for_other_clocks_is_a_problem(machine: Machine, option: list[str]) -> None:
    machine.digest("schedule", "install", *option)
    at = datetime(2026, 11, 25, 8, tzinfo=ZoneInfo("Europe/Berlin"))

    def problem(now: datetime, zone: str) -> str:
        (found,) = find_scheduled_runs(machine.workplace.path, now, machine.home, ZoneInfo(zone), os.environ)
        return found.problem

    assert problem(at, "UTC") == ""
    assert ("run `digest schedule install`" in problem(at, "Europe/Berlin")) == (not option)
    assert "digest.timezone is Asia/Tokyo; run" in problem(at.astimezone(ZoneInfo("Asia/Tokyo")), "UTC")


@pytest.mark.parametrize("option", [[], ["--systemd"]])
def test_a_program_that_is_gone_is_a_problem(
    machine: Machine, option: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/python")
    machine.digest("schedule", "install", *option)
    (found,) = machine.found()
    fix = " ".join(["digest schedule install", *option])
    assert found.problem == f"the program /gone/python is missing or not executable; run `{fix}` to update it"


def test_a_changed_line_is_a_problem_and_a_changed_comment_is_none(machine: Machine) -> None:
    machine.digest("schedule", "install")
    written = machine.table.read_bytes()
    machine.table.write_bytes(written.replace(b"# Cron uses", b"# Cron goes by"))
    assert machine.found()[0].problem == ""
    assert "# Installed." in machine.digest("schedule", "show").stdout
    for old, new in ((b"30 5,6 ", b"30 5 "), (b" -q ", b" "), (b"30 5,6 ", b"#30 5,6 ")):
        machine.table.write_bytes(written.replace(old, new))
        assert "it was edited" in machine.found()[0].problem
        assert "Installed differently" in machine.digest("schedule", "show").stdout


def test_a_timer_that_is_switched_off_is_a_problem(machine: Machine) -> None:
    machine.digest("schedule", "install", "--systemd")
    SystemdTimers({}, machine.home, TODAY).unit_paths(machine.workplace.path).link.unlink()
    (off,) = machine.found()
    assert "switched on" in off.problem
    assert off.next is None


def test_a_timer_whose_service_is_gone_is_a_problem(machine: Machine) -> None:
    machine.digest("schedule", "install", "--systemd")
    SystemdTimers({}, machine.home, TODAY).unit_paths(machine.workplace.path).service.unlink()
    assert "starts nothing" in machine.found()[0].problem


@pytest.mark.parametrize(
    "line",
    [
        "30 7 * * *  {home}/bin/digest -q -c {config} run",
        "30 7 * * mon-fri  cd {home} && {home}/bin/digest --config=config.toml run >> log 2>&1",
        "@daily $HOME/digest -c ~/config.toml run",
        "@daily digest -c ${{HOME}}/config.toml run",
        "@reboot digest run",
        "0 7 * * *  python3 -m digest -c '{config}' run",
        "0 7 * * *  sh -c 'digest run --config \"{config}\"'",
        "  0 7 * * *  digest -c {config} run # mine",
    ],
)
def test_a_crontab_line_of_the_users_own_is_found(machine: Machine, line: str) -> None:
    line = line.format(config=machine.workplace.path, home=machine.home)
    machine.table.write_bytes(OTHERS + f"{line}\n0 1 * * * other run\n".encode())
    assert machine.found() == [ScheduledRun("crontab", line.strip(), None, "")]
    assert "it runs from a crontab line that digest did not write" in machine.digest("status").stdout


@pytest.mark.parametrize(
    "line",
    [
        "0 7 * * *  digest -c {home}/other.toml run",
        "0 7 * * *  digest --config=$HOME/other.toml run",
        "0 7 * * *  digest -c ~/other.toml run",
        "0 7 * * *  digest -c '{config}.old' run",
        "0 7 * * *  digest -c {config} status",
        "0 7 * * *  run-parts {home}/digest",
        "# 0 7 * * *  digest -c {config} run",
    ],
)
def test_other_lines_are_not_of_this_configuration(machine: Machine, line: str) -> None:
    line = line.format(config=machine.workplace.path, home=machine.home)
    other = block(plan(config=machine.home / "other.toml")).decode()
    machine.table.write_text(f"{other}{line}\n")
    assert machine.found() == []
    assert "no run is scheduled" in machine.digest("status").stdout


def test_the_machines_zone_is_that_of_tz_else_of_localtime(tmp_path: Path) -> None:
    local = tmp_path / "localtime"
    assert machine_zone({}, local).key == "UTC"
    assert machine_zone({"TZ": ":Asia/Tokyo"}, local).key == "Asia/Tokyo"
    local.symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert machine_zone({"TZ": "no such zone"}, local).key == "Europe/Berlin"
    local.unlink()
    local.write_bytes(b"no zone")
    assert machine_zone({}, local).key == "UTC"


# With the real programs


@pytest.fixture
def real(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Machine, str]]:
    """A machine whose crontab is Debian's, with the table of a throwaway user."""
    program = shutil.which("crontab", path=PATH)
    if not program or "debian" not in Path("/etc/os-release").read_text(encoding="utf-8").lower():
        pytest.skip("Debian's cron is not installed")
    if os.geteuid() != 0 or not shutil.which("useradd"):
        pytest.skip("only root can make a throwaway user whose crontab may be written")
    user = f"digest-{os.getpid()}"
    subprocess.run(["useradd", "--system", "--no-create-home", user], check=True, capture_output=True)
    try:
        machine = Machine(workplace, monkeypatch)
        machine.crontab(f'#!/bin/sh\nexec {program} -u {user} "$@"\n')
        assert pwd.getpwnam(user)
        yield machine, user
    finally:
        subprocess.run([program, "-u", user, "-r"], check=False, capture_output=True)
        subprocess.run(["userdel", user], check=True, capture_output=True)


def crontab(machine: Machine, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([machine.bin / "crontab", *words], input=given, capture_output=True, check=False)


@pytest.mark.slow
def test_debians_crontab_takes_the_block_and_gives_every_other_line_back(real: tuple[Machine, str]) -> None:
    machine, _ = real
    others = b"# DO NOT EDIT\n# caf\xe9 \xff\nMAILTO=ann\n\n*/5 * * * * /bin/true  \n0 1 * * * date +\\%F\n"
    assert crontab(machine, "-", given=others).returncode == 0
    for words in (["install"], ["install", "--weekdays", "--at", "00:15"], ["install", "--every-day", "--at", "2:30"]):
        result = machine.digest("schedule", *words)
        assert result.exit_code == 0, result.output
        table = crontab(machine, "-l").stdout
        assert table.startswith(others)
        assert table.count(b"# BEGIN digest ") == 1
        assert "already" in machine.digest("schedule", "install").stdout
        assert crontab(machine, "-l").stdout == table
    assert machine.digest("schedule", "remove").exit_code == 0
    assert crontab(machine, "-l").stdout == others


@pytest.mark.slow
def test_without_other_lines_debians_crontab_is_gone_after_remove(real: tuple[Machine, str]) -> None:
    machine, _ = real
    assert machine.digest("schedule", "install").exit_code == 0
    assert machine.digest("schedule", "remove").exit_code == 0
    assert b"no crontab for" in crontab(machine, "-l").stderr
    assert "Nothing was changed" in machine.digest("schedule", "remove").stdout


@pytest.mark.slow
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_the_line_run_by_hand_in_crons_bare_environment_delivers(real: tuple[Machine, str], zone: str) -> None:
    machine, _ = real
    machine.workplace.digest["timezone"] = zone
    machine.workplace.config()
    machine.workplace.lists(paper(1, upvotes=3), paper(2, upvotes=4))
    now = datetime.now(ZoneInfo(zone))
    if now.minute == 59:  # the guard wants this hour
        clock.sleep(60 - now.second)
        now = datetime.now(ZoneInfo(zone))
    assert machine.digest("schedule", "install", "--at", f"{now:%H:%M}").exit_code == 0
    (line,) = (row for row in crontab(machine, "-l").stdout.decode().splitlines() if not row.startswith("#"))
    assert ("case" in line) == (zone != "UTC")
    bare = {"HOME": str(machine.home), "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    command = ["/bin/sh", "-c", line.split(maxsplit=5)[-1]]
    done = subprocess.run(command, env=bare, cwd="/", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert len(machine.workplace.mails()["ann@example.org"]) == 1
    subprocess.run(command, env=bare, cwd="/", check=True)
    assert len(machine.workplace.mails()["ann@example.org"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "options"),
    [("UTC", []), ("Europe/Berlin", ["--weekdays"]), ("Europe/Berlin", ["--at", "02:30"]), ("Asia/Kolkata", [])],
)
def test_systemd_accepts_what_is_written(machine: Machine, zone: str, options: list[str], tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not installed")
    machine.workplace.digest["timezone"] = zone
    machine.workplace.config()
    assert machine.digest("schedule", "install", "--systemd", *options).exit_code == 0
    paths = SystemdTimers({}, machine.home, TODAY).unit_paths(machine.workplace.path)
    verify = ["systemd-analyze", "verify", str(paths.service), str(paths.timer)]
    done = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    for calendar in re.findall(r"^OnCalendar=(.*)$", paths.timer.read_text(), re.MULTILINE):
        done = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=True)
        assert "Next elapse: " in done.stdout
