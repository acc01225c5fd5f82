"""A person's walk: from an empty machine to three mornings of mail, across the night in which the clocks change."""

import json
import os
import re
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner
from freezegun import freeze_time

from digest.cli import main
from tests.conftest import Workplace, paper
from tests.machine import programs

BERLIN = ZoneInfo("Europe/Berlin")
FRIDAY = datetime(2026, 3, 27, 12, tzinfo=BERLIN)


class Person:
    """Somebody at a terminal in an empty home, on a machine whose own zone is UTC."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs(home / "bin", monkeypatch)
        for name, value in (("HOME", str(home)), ("TZ", "UTC"), ("BROWSER", "true")):
            monkeypatch.setenv(name, value)
        for name in ("DIGEST_CONFIG", "DIGEST_SMTP_PASSWORD", "XDG_CONFIG_HOME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(home)
        self.papers = Workplace(home)
        self.now = FRIDAY

    def types(self, words: str, exit_code: int = 0) -> str:
        """What a command prints on standard output; its exit code is as expected and no traceback is shown."""
        with freeze_time(self.now):
            result = CliRunner().invoke(main, words.split()[1:])
        assert result.exit_code == exit_code, result.output
        assert "Traceback" not in result.output
        for path in Path().glob("history.db*"):  # dated by the real clock, which no frozen one moves
            os.utime(path, (self.now.timestamp(), self.now.timestamp()))
        return result.stdout

    def edits(self, old: str, new: str) -> None:
        path = Path("config.toml")
        text = path.read_text()
        assert text.count(old) == 1
        path.write_text(text.replace(old, new))


def test_from_an_empty_machine_to_three_mornings_across_the_change_of_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = Person(tmp_path, monkeypatch)
    assert "digest init" in CliRunner().invoke(main, ["run"]).stderr

    said = person.types("digest init --to me@uni-example.edu --maildir mail --timezone Europe/Berlin")
    assert said.splitlines()[-1] == "  digest doctor"
    person.edits('type = "huggingface"  ', 'type = "file"\npath = "papers.jsonl"  ')

    said = person.types("digest doctor", exit_code=2)
    assert re.search(r"^✗ source papers +.*No such file", said, re.MULTILINE), said
    person.papers.lists(*(paper(n, upvotes=n) for n in range(4)))
    said = person.types("digest doctor")
    assert "✗" not in said
    assert re.search(r"^! schedule +nothing runs the job on a schedule\n +→ digest schedule install", said, re.M)

    assert "4 papers" in person.types("digest preview --open")
    assert Path("digest-preview.html").read_text().startswith("<!DOCTYPE html>")
    assert "Next run: Sat 2026-03-28 07:30 Europe/Berlin" in person.types("digest schedule install")
    assert re.search(r"^✓ schedule +07:30 Europe/Berlin", person.types("digest doctor"), re.MULTILINE)

    mornings = []
    for number in range(3):
        person.papers.lists(*(paper(n, upvotes=n) for n in range(4 + number * 2)))
        person.now = datetime.fromisoformat(json.loads(person.types("digest status --json"))["next_run"])
        mornings.append(person.now)
        assert person.types("digest -q run") == ""
        person.now += timedelta(minutes=20)
        assert person.types("digest run").startswith("Nothing new to send: 1 subscriber already has the mail")

    assert [morning.astimezone(ZoneInfo("UTC")).strftime("%a %H:%M") for morning in mornings] == [
        "Sat 06:30",
        "Sun 05:30",
        "Mon 05:30",
    ]
    mails = person.papers.mails()["me@uni-example.edu"]
    assert [mail["Date"].datetime for mail in mails] == mornings
    assert [mail["Date"].datetime.utcoffset() for mail in mails] == [timedelta(hours=h) for h in (1, 2, 2)]
    shown = person.papers.titles("me@uni-example.edu")
    assert [len(titles) for titles in shown] == [4, 2, 2]
    assert len({title for titles in shown for title in titles}) == 8

    said = person.types("digest status")
    assert len(re.findall(r"^run +2026-03-(?:28|29|30) .* ok ", said, re.MULTILINE)) == 5
    assert "NEXT     Tue 2026-03-31 07:30, by crontab" in said
    assert "3 sent" in said
    assert date.fromisoformat(json.loads(person.types("digest status --json"))["runs"][0]["day"]) == date(2026, 3, 30)
