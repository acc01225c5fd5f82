"""The second line of the schedule, which reads letters between runs."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import Workplace
from tests.correspondence import Post


def table() -> str:
    done = subprocess.run(["crontab", "-l"], capture_output=True, text=True, check=False)
    return done.stdout


@pytest.mark.parametrize(
    ("interval", "when"),
    [("10m", "*/10 * * * *"), ("30m", "*/30 * * * *"), ("1h", "0 */1 * * *"), ("6h", "0 */6 * * *")],
)
def test_cron_reads_letters_as_often_as_asked_until_it_is_switched_off(
    workplace: Workplace, interval: str, when: str
) -> None:
    post = Post(workplace)
    post.command("schedule", "install", "--at", "06:45", "--inbox-every", interval)
    run, letters = [line for line in table().splitlines() if not line.startswith("#")]
    assert run.endswith(" run")
    assert letters.startswith(f"{when}  ")
    assert letters.endswith(f"-q -c {post.workplace.path} inbox")
    before = table()
    assert "Nothing was changed" in post.command("schedule", "install").stdout
    assert "Installed." in post.command("schedule", "show").stdout
    assert table() == before
    post.command("schedule", "install", "--inbox-every", "off")
    assert [line.rpartition(" ")[2] for line in table().splitlines() if not line.startswith("#")] == ["run"]
    post.command("schedule", "remove")
    assert table() == ""


def test_a_timer_reads_letters_and_goes_with_the_other(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    post = Post(workplace)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workplace.folder / "units"))
    folder = workplace.folder / "units" / "systemd" / "user"

    def units() -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file() or path.is_symlink())

    post.command("schedule", "install", "--systemd", "--inbox-every", "15m")
    assert len(units()) == 6
    (timer,) = folder.glob("*-letters.timer")
    assert "OnCalendar=*:0/15\n" in timer.read_text()
    assert "SuccessExitStatus=5" in timer.with_suffix(".service").read_text()
    assert "Nothing was changed" in post.command("schedule", "install", "--systemd").stdout
    post.command("schedule", "install", "--systemd", "--inbox-every", "off")
    assert len(units()) == 3
    post.command("schedule", "install", "--systemd", "--inbox-every", "2h")
    post.command("schedule", "remove", "--systemd")
    assert units() == []


@pytest.mark.parametrize("interval", ["7m", "45m", "0m", "13h", "often"])
def test_an_interval_that_divides_no_hour_or_day_is_refused(workplace: Workplace, interval: str) -> None:
    result = Post(workplace).command("schedule", "install", "--inbox-every", interval, code=2)
    assert "write one like 10m, 30m, 1h or off" in result.stderr


def test_without_an_inbox_there_is_nothing_to_read(workplace: Workplace) -> None:
    post = Post(workplace, more="")
    post.workplace.more = post.workplace.more.replace('[inbox]\npath = "letters"\n', "")
    assert "inbox: is missing" in post.command("schedule", "install", "--inbox-every", "10m", code=2).stderr
