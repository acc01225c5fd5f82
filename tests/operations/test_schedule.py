"""The daily job runs once a day whatever the clocks do, and a crontab keeps every other byte."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.cli import main
from digest.errors import ScheduleError
from digest.operations.crontab import block, cron_lines, installed, put, split, take
from digest.operations.schedule import ScheduledRun, find_scheduled_runs
from digest.operations.systemd import SystemdTimers, service, timer
from digest.operations.timetable import Plan, machine_zone
from tests.conftest import Workplace, paper
from tests.machine import CRONTAB, PATH, programs

CONFIG = Path("/home/ann/papers/config.toml")
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


def plan(at: str = "07:30", zone: str = "Europe/Berlin", weekdays: bool = False, config: Path = CONFIG) -> Plan:
    return Plan(time.fromisoformat(at), weekdays, ZoneInfo(zone), config, ("/home/ann/bin/digest",))


# When it is to run


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
def test_it_runs_next_when_the_clock_on_the_wall_shows_the_time(zone: str, at: str, now: str, then: str) -> None:
    assert plan(at, zone).next(datetime.fromisoformat(now)).isoformat() == then


def test_on_weekdays_only_the_weekend_is_left_out() -> None:
    friday = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert plan(weekdays=True).next(friday).date() == date(2026, 11, 30)
    assert plan().next(friday).date() == date(2026, 11, 28)


@given(
    zone=st.sampled_from(ZONES),
    at=st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    now=st.integers(0, 2**21).map(lambda minutes: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
)
def test_from_one_run_to_the_next_it_is_a_day(zone: str, at: time, now: datetime) -> None:
    it = plan(f"{at:%H:%M}", zone)
    first = it.next(now)
    second = it.next(first)
    assert now < first <= now + timedelta(hours=25)
    assert second.date() - first.date() == timedelta(days=1)


# What cron makes of it


def starts(it: Plan, machine: str, days: int = 700) -> Iterator[datetime]:
    """When the block's lines run the job: cron played by cronsim in the machine's zone, and the guard by fnmatch."""
    begin = datetime.combine(TODAY, time(), ZoneInfo(machine))
    for line in block(it, ZoneInfo(machine), TODAY).decode().splitlines():
        if line.startswith("#"):
            continue
        *fields, command = line.split(maxsplit=5)
        for start in CronSim(" ".join(fields), begin):
            if start > begin + timedelta(days=days):
                break
            local = start.astimezone(it.zone)
            if runs(command, local):
                yield local


def runs(command: str, local: datetime) -> bool:
    guard = re.match(r"case \$\(TZ=\S+ date \+(\S+)\) in (.*?)\) exit ;; esac; exec ", command)
    if guard is None:
        return True
    shown = local.strftime(guard[1].replace("\\", ""))
    right, _, wrong = guard[2].rpartition(") ;; ")
    return shown in right.split("|") or not any(fnmatchcase(shown, pattern) for pattern in wrong.split("|"))


def assert_every_day_has_its_run(it: Plan, machine: str) -> Counter[date]:
    local = list(starts(it, machine))
    counted = Counter(start.date() for start in local)
    exact = Counter(start.date() for start in local if start.time() == it.at)
    for number in range(2, 690):
        day = TODAY + timedelta(days=number)
        assert counted[day] == 0 if not it.has(day) else 1 <= counted[day] <= 2, (day, counted[day])
    assert len(exact) >= len(counted) - 6
    return counted


@pytest.mark.parametrize("machine", ZONES)
@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("weekdays", [False, True])
def test_in_any_zone_on_any_machine_every_day_has_its_run(zone: str, machine: str, weekdays: bool) -> None:
    counted = assert_every_day_has_its_run(plan("07:30", zone, weekdays), machine)
    assert sum(n - 1 for n in counted.values()) <= 20


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "America/New_York"])
def test_from_a_machine_in_utc_a_morning_comes_exactly_once_a_day_and_to_the_minute(zone: str) -> None:
    local = list(starts(plan("07:30", zone), "UTC"))
    assert {start.time() for start in local} == {time(7, 30)}
    assert set(Counter(start.date() for start in local).values()) == {1}


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    machine=st.sampled_from(ZONES),
    at=st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 59])),
    weekdays=st.booleans(),
)
def test_at_any_hour_every_day_has_its_run(zone: str, machine: str, at: time, weekdays: bool) -> None:
    assert_every_day_has_its_run(plan(f"{at:%H:%M}", zone, weekdays), machine)


@pytest.mark.parametrize(
    ("zone", "machine", "at", "weekdays", "fields"),
    [
        ("Europe/Berlin", "Europe/Berlin", "07:30", False, ["30 7 * * *"]),
        ("Europe/Berlin", "Europe/Paris", "02:30", True, ["30 2 * * 1-5"]),  # two names for one clock
        ("Europe/Berlin", "UTC", "07:30", False, ["30 5,6 * * *"]),
        ("Europe/Berlin", "UTC", "00:15", True, ["15 22,23 * * 0-4"]),
        ("Europe/Berlin", "UTC", "01:15", False, ["15 0,23 * * *"]),
        ("Europe/Berlin", "UTC", "01:15", True, ["15 23 * * 0-4", "15 0 * * 1-5"]),
        ("Asia/Kolkata", "UTC", "07:30", False, ["0 2 * * *"]),
        ("Asia/Tokyo", "UTC", "07:30", True, ["30 22 * * 0-4"]),
        ("Australia/Lord_Howe", "UTC", "07:30", False, ["0 21 * * *", "30 20 * * *"]),
        ("Pacific/Niue", "Pacific/Kiritimati", "23:30", True, ["30 0 * * 3,4,5,6,0"]),
    ],
)
def test_the_line_is_as_plain_as_the_clocks_allow(
    zone: str, machine: str, at: str, weekdays: bool, fields: list[str]
) -> None:
    assert list(cron_lines(plan(at, zone, weekdays), ZoneInfo(machine), TODAY).fields) == fields


@pytest.mark.parametrize(
    ("shown", "goes"), [("0630", False), ("0830", False), ("0730", True), ("0731", True), ("1542", True)]
)
def test_a_real_shell_leaves_at_the_wrong_time_without_a_word(shown: str, goes: bool, tmp_path: Path) -> None:
    program = tmp_path / "digest"
    program.write_text('#!/bin/sh\necho "$*" > "$0.done"\n')
    program.chmod(0o755)
    it = Plan(time(7, 30), False, ZoneInfo("Europe/Berlin"), CONFIG, (str(program),))
    line = next(row for row in block(it, ZoneInfo("UTC"), TODAY).decode().splitlines() if not row.startswith("#"))
    script = f"date() {{ echo {shown}; }}; {line.split(maxsplit=5)[-1]}"
    done = subprocess.run(["/bin/sh", "-c", script], env={}, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    assert (tmp_path / "digest.done").exists() == goes


@pytest.mark.parametrize("folder", ["plain", "my papers", "100% mine", 'it\'s $HOME `x` "y"', "ünï"])
def test_any_path_arrives_whole_through_cron_and_through_a_shell_alone(folder: str, tmp_path: Path) -> None:
    program = tmp_path / folder / "digest"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    it = Plan(time(7, 30), False, ZoneInfo("UTC"), tmp_path / folder / "config.toml", (str(program),))
    line = block(it, ZoneInfo("UTC"), TODAY).decode().splitlines()[3].split(maxsplit=5)[-1]
    assert not re.search(r"(?<!\\)%", line)
    for command in (line, line.replace(r"\%", "%")):  # by hand; and as cron hands it to the shell
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["-q", "-c", str(it.config), "run"]
    kept = installed(block(it, ZoneInfo("UTC"), TODAY), it.config)
    assert kept is not None
    assert kept.program == it.program


def test_a_path_that_no_crontab_can_hold_is_refused(tmp_path: Path) -> None:
    workplace = Workplace(tmp_path / "two\nlines")
    workplace.folder.mkdir()
    workplace.config()
    result = CliRunner().invoke(main, ["-c", str(workplace.path), "schedule", "show"])
    assert result.exit_code == 2
    assert "plainer folder" in result.stderr


# The block in a crontab

OTHERS = b"# mine\nMAILTO=ann\n\n0 1 * * * caf\xe9 \xff\n*/5 * * * * x  \t\n"
BLOCK = block(plan(), ZoneInfo("UTC"), TODAY)


@given(st.binary())
def test_after_install_and_remove_every_byte_is_as_it_was(table: bytes) -> None:
    once = put(table, CONFIG, BLOCK)
    assert put(once, CONFIG, BLOCK) == once
    assert split(once, CONFIG)[1] == BLOCK
    assert take(once, CONFIG) == table
    later = put(once, CONFIG, block(plan("06:15", weekdays=True), ZoneInfo("UTC"), TODAY))
    assert take(later, CONFIG) == table


def test_each_configuration_has_its_own_block() -> None:
    other = Path("/home/ann/papers/config.toml.old")
    with_both = put(put(OTHERS, CONFIG, BLOCK), other, block(plan(config=other), ZoneInfo("UTC"), TODAY))
    with_both += b"0 3 * * * later\n"
    assert take(take(with_both, CONFIG), other) == OTHERS + b"0 3 * * * later\n"
    assert split(with_both, CONFIG)[1] == BLOCK


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (BLOCK.replace(b"# END", b"# FIN"), "line 1 of your crontab"),
        (b"# a\n" + BLOCK.replace(b"# BEGIN", b"# START"), "has lost its BEGIN"),
        (BLOCK + b"0 1 * * * x\n" + BLOCK, "more than once"),
        (BLOCK.replace(b"# END", b"# BEGIN digest /other\n# END"), "has lost its END"),
    ],
)
def test_a_block_that_lost_a_mark_is_refused_by_line(table: bytes, words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        put(table, CONFIG, BLOCK)
    with pytest.raises(ScheduleError, match=words):
        take(table, CONFIG)


def test_a_block_tells_what_it_was_made_of() -> None:
    it = plan("06:05", "America/New_York", weekdays=True)
    kept = installed(put(OTHERS, CONFIG, block(it, ZoneInfo("UTC"), TODAY)), CONFIG)
    assert kept is not None
    assert (kept.at, kept.weekdays, kept.zone, kept.program) == (it.at, it.weekdays, it.zone, it.program)
    assert installed(OTHERS, CONFIG) is None


# The units of systemd


def test_a_timer_says_the_zone_and_catches_up() -> None:
    text = timer(plan(weekdays=True), TODAY)
    assert "\nOnCalendar=Mon..Fri *-*-* 07:30:00 Europe/Berlin\n" in text
    assert "\nPersistent=true\n" in text
    assert "\nWantedBy=timers.target\n" in text


def test_a_timer_makes_up_for_a_time_that_the_clocks_leave_out() -> None:
    assert "\nOnCalendar=Sun *-03-* 03:30:00 Europe/Berlin\n" in timer(plan("02:30"), TODAY)
    assert timer(plan("02:30", weekdays=True), TODAY).count("OnCalendar") == 1  # never on a weekday


def test_a_service_takes_dollars_and_percents_as_they_are() -> None:
    it = Plan(time(7), False, ZoneInfo("UTC"), Path('/a/100% $5 "x" \\/c.toml'), ("/b/100% $5/digest",))
    assert 'ExecStart="/b/100%% $5/digest" "-q" "-c" "/a/100%% $$5 \\"x\\" \\\\/c.toml" "run"\n' in service(it)


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
    assert "Next: " in first.stdout
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


def test_busyboxs_way_of_saying_that_there_is_no_crontab_is_understood(machine: Machine) -> None:
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
    assert after.startswith("# Installed.\n# Next: ")
    assert all(line.startswith("#") for line in (after + before.stdout.removeprefix(wanted)).splitlines())


def test_show_tells_what_is_installed_apart_from_what_was_asked_for(machine: Machine) -> None:
    machine.digest("schedule", "install")
    shown = machine.digest("schedule", "show", "--at", "06:15").stdout
    assert "\n# 06:15 Europe/Berlin, every day; " in shown
    assert "Installed otherwise, for 07:30 Europe/Berlin, every day" in shown


def test_with_q_it_says_nothing(machine: Machine) -> None:
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
def test_a_crontab_program_that_refuses_ends_in_its_own_words(machine: Machine, script: str, words: str) -> None:
    machine.crontab(script)
    result = machine.digest("schedule", "install")
    assert result.exit_code == 2
    assert words in result.stderr
    assert not machine.table.exists()


def test_without_a_crontab_program_it_names_the_other_way(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert "END" in machine.found()[0].trouble


def test_a_timer_is_installed_without_a_running_systemd_and_removed_again(machine: Machine) -> None:
    result = machine.digest("schedule", "install", "--systemd", "--at", "06:45", "--weekdays")
    assert result.exit_code == 0
    assert "systemctl --user" in result.stdout
    folder = machine.home / ".config/systemd/user"
    place = SystemdTimers({}, machine.home, TODAY).place(machine.workplace.path)
    assert sorted(p.name for p in folder.iterdir()) == [
        place.service.name,
        place.timer.name,
        "timers.target.wants",
    ]
    assert place.link.resolve() == place.timer
    again = machine.digest("schedule", "install", "--systemd")
    assert "already" in again.stdout
    assert "06:45 Europe/Berlin, Monday to Friday" in again.stdout
    shown = machine.digest("schedule", "show", "--systemd").stdout
    assert f"# {place.timer}\n{place.timer.read_text()}" in shown
    assert "# Installed." in shown
    both = machine.digest("schedule", "install")
    assert "one is enough" in both.stdout
    assert machine.digest("schedule", "remove", "--systemd").exit_code == 0
    assert list(folder.rglob("digest-*")) == []
    assert "Nothing was changed" in machine.digest("schedule", "remove", "--systemd").stdout


@pytest.mark.parametrize("at", ["7", "24:00", "07:60", "7.30", ""])
def test_a_time_that_is_none_is_a_mistake_of_usage(machine: Machine, at: str) -> None:
    result = machine.digest("schedule", "install", "--at", at)
    assert result.exit_code == 2
    assert "07:30" in result.stderr


# What is found for status and doctor


def test_what_is_installed_is_found_with_its_next_run(machine: Machine) -> None:
    machine.table.write_bytes(OTHERS)
    machine.digest("schedule", "install", "--at", "06:45")
    machine.digest("schedule", "install", "--systemd", "--weekdays")
    ours, theirs = machine.found("2026-11-27T08:00:00+01:00")
    assert ours.where == "crontab"
    assert (ours.ours, ours.trouble) == (True, "")
    assert str(ours.next) == "2026-11-28 06:45:00+01:00"
    assert theirs.where.endswith(".timer")
    assert (theirs.ours, theirs.trouble) == (True, "")
    assert str(theirs.next) == "2026-11-30 07:30:00+01:00"


def test_what_was_installed_for_other_clocks_is_in_trouble(machine: Machine) -> None:
    machine.digest("schedule", "install")
    at = datetime(2026, 11, 25, 8, tzinfo=ZoneInfo("Europe/Berlin"))
    path, home = machine.workplace.path, machine.home
    assert not find_scheduled_runs(path, at, home, ZoneInfo("UTC"), os.environ)[0].trouble
    assert "install" in find_scheduled_runs(path, at, home, ZoneInfo("Europe/Berlin"), os.environ)[0].trouble
    tokyo = at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert (
        "digest.timezone is Asia/Tokyo"
        in find_scheduled_runs(path, tokyo, home, ZoneInfo("UTC"), os.environ)[0].trouble
    )


def test_a_timer_that_is_switched_off_is_in_trouble(machine: Machine) -> None:
    machine.digest("schedule", "install", "--systemd")
    SystemdTimers({}, machine.home, TODAY).place(machine.workplace.path).link.unlink()
    (off,) = machine.found()
    assert "switched on" in off.trouble
    assert off.next is None


@pytest.mark.parametrize(
    ("line", "then", "words"),
    [
        ("30 7 * * *  {digest} -q -c {config} run", "2026-11-25T07:30", ""),
        ("30 7 * * mon-fri  cd {home} && {digest} --config=config.toml run >> log 2>&1", "2026-11-25T07:30", ""),
        ("@daily $HOME/digest -c ~/config.toml run", "2026-11-26T00:00", ""),
        ("@reboot {digest} run", "", ""),
        ("0 7 * * *  {python} -m digest -c {config} run", "2026-11-26T07:00", ""),
        ("* * * * *  {digest} -q -c {config} run", "2026-11-25T07:01", "30 7 * * *"),
        ("*/1 8 * * *  {digest} -q -c {config} run", "2026-11-25T08:00", "0 8 * * *"),
        ("* 7 * * *  {digest} -q -c {config} run", "2026-11-25T07:01", "0 7 * * *"),
        ("30 25 * * *  {digest} -q -c {config} run", "", "bad hour"),
        ("30 7 * * 5#1/2  {digest} -q -c {config} run", "", "bad field"),
        ("30 7 * *  {digest} -q -c {config} run", "", "cannot read its times"),
        ("0 0 30 2 *  {digest} -q -c {config} run", "", "bad day"),
        ("30 7 * * *  digest -q -c {config} run", "2026-11-25T07:30", "cron finds no digest"),
        ("30 7 * * *  /gone/digest -q -c {config} run", "2026-11-25T07:30", "no program /gone/digest"),
        ("30 7 * * *  {digest} -q -c /gone/c.toml run", "2026-11-25T07:30", "no configuration /gone/c.toml"),
        ("30 7 * * *  {digest} -c 'half run", "2026-11-25T07:30", "no configuration"),
    ],
)
def test_lines_by_hand_are_found_with_what_is_wrong_with_them(
    machine: Machine, line: str, then: str, words: str
) -> None:
    (machine.home / "digest").write_text("")
    facts = {"digest": machine.home / "digest", "config": machine.workplace.path, "home": machine.home}
    machine.table.write_text(f"MAILTO=ann\n{line.format(python=sys.executable, **facts)}\n0 1 * * * other run\n")
    (entry,) = machine.found()
    assert (entry.where, entry.ours) == ("crontab", False)
    assert words in entry.trouble
    assert bool(entry.trouble) == bool(words)
    expected = datetime.fromisoformat(then).replace(tzinfo=UTC) if then else None
    assert entry.next == expected


def test_a_line_for_every_minute_is_found_out_in_the_last_minute_of_its_hour_too(machine: Machine) -> None:
    machine.table.write_text("* 7 * * *  digest run\n")
    (entry,) = machine.found("2026-11-25T07:58:30+00:00")
    assert "every minute" in entry.trouble


def test_a_path_set_in_the_crontab_is_where_the_program_is_looked_for(machine: Machine) -> None:
    (machine.home / "digest").write_text("")
    (machine.home / "digest").chmod(0o755)
    machine.table.write_text(f'PATH="{machine.home}:/bin"\n30 7 * * *  digest -c {machine.workplace.path} run\n')
    assert machine.found()[0].trouble == ""


def test_a_line_of_another_configuration_and_its_block_are_not_of_this_one(machine: Machine) -> None:
    (machine.home / "digest").write_text("")
    (machine.home / "other.toml").write_text("")
    other = block(plan(config=machine.home / "other.toml"), ZoneInfo("UTC"), TODAY).decode()
    machine.table.write_text(f"{other}0 7 * * * {machine.home}/digest -c {machine.home}/other.toml run\n")
    assert machine.found() == []


@given(st.text(), st.text())
def test_no_crontab_makes_finding_fail(head: str, tail: str) -> None:
    from digest.operations.handmade import handmade, times, trouble

    for line in handmade(f"{head} digest run {tail}\n* * * * * {head} digest {tail} run\n{tail} digest -c {head} run"):
        times(line, datetime(2026, 11, 25, tzinfo=UTC), UTC)
        trouble(line.program, line.config, Path("/nowhere"), line.folder, line.path)


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
    later = datetime.now(ZoneInfo(zone)) + timedelta(hours=5)  # so that this minute is no wrong hour of that time
    assert machine.digest("schedule", "install", "--at", f"{later:%H:%M}").exit_code == 0
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
    place = SystemdTimers({}, machine.home, TODAY).place(machine.workplace.path)
    verify = ["systemd-analyze", "verify", str(place.service), str(place.timer)]
    done = subprocess.run(verify, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    for calendar in re.findall(r"^OnCalendar=(.*)$", place.timer.read_text(), re.MULTILINE):
        done = subprocess.run(["systemd-analyze", "calendar", calendar], capture_output=True, text=True, check=True)
        assert "Next elapse: " in done.stdout
