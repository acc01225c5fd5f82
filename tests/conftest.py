"""What tests share: a workplace with a configuration, papers in a file and mail in a Maildir; all of it real."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from digest.cli.app import SECRETS
from digest.config import Config, load
from digest.pipeline.preview import preview
from digest.pipeline.run import RunReport, run_daily
from digest.sources.fetcher import Fetcher
from tests.machine import programs

DATA = Path(__file__).parent / "data"
SHARED = Path(__file__).resolve().parents[2] / "shared"
MONDAY = date(2026, 4, 20)
MORNING = datetime(2026, 4, 20, 6, tzinfo=ZoneInfo("UTC"))  # of that Monday


@dataclass
class Workplace:
    """A folder with a configuration; days are run in it one by one."""

    folder: Path
    digest: dict[str, Any] = field(default_factory=dict)
    to: Sequence[str] = ("ann@example.org",)
    more: str = ""

    @property
    def path(self) -> Path:
        return self.folder / "config.toml"

    @property
    def papers(self) -> Path:
        return self.folder / "papers.jsonl"

    def lists(self, *rows: dict[str, Any]) -> None:
        """Make the file of papers hold these."""
        self.papers.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    def config(self) -> Config:
        lines = [f"{key} = {json.dumps(value)}" for key, value in self.digest.items()]
        self.path.write_text(
            "\n".join(
                [
                    "[digest]",
                    'from = "Paper Digest <digest@example.org>"',
                    f"to = {json.dumps(list(self.to))}",
                    *lines,
                    self.more or '[[sources]]\ntype = "file"\npath = "papers.jsonl"',
                    '[maildir]\npath = "mail"',
                ]
            ),
            encoding="utf-8",
        )
        return load(self.path, {})

    def run(self, day: date, fetcher: Fetcher | None = None) -> RunReport:
        return run_daily(self.config(), day, at(day), fetcher or Fetcher("digest@example.org"))

    def preview(self, day: date, to: str = "ann@example.org") -> bytes:
        return preview(self.config(), day, to, at(day), Fetcher("digest@example.org")).content

    def mails(self) -> dict[str, list[EmailMessage]]:
        """Every message in the Maildir by recipient, oldest first."""
        found: dict[str, list[EmailMessage]] = {}
        for path in sorted((self.folder / "mail" / "new").glob("*")):
            message = message_from_bytes(path.read_bytes(), policy=policy.default)
            found.setdefault(str(message["To"]), []).append(message)
        return {to: sorted(mails, key=lambda m: m["Date"].datetime) for to, mails in found.items()}

    def titles(self, to: str = "ann@example.org") -> list[list[str]]:
        """The titles of each mail to an address, in their order, oldest mail first."""
        return [titles(mail) for mail in self.mails().get(to, [])]


def at(day: date) -> Callable[[], datetime]:
    """A clock that stands at six in the morning of the day."""
    moment = datetime.combine(day, time(6, 0), ZoneInfo("UTC"))
    return lambda: moment


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body is not None
    return str(body.get_content())


def titles(mail: EmailMessage) -> list[str]:
    """What stands behind the numbers of the plain text (tests give their papers titles of one line)."""
    return re.findall(r"^\d+\. +(.+)$", text_of(mail), re.MULTILINE)


@pytest.fixture(autouse=True)
def isolated_machine(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the crontab, the timers, the home folder or the secrets of whoever runs it."""
    folder = tmp_path_factory.mktemp("machine")
    programs(folder, monkeypatch)
    (folder / "systemctl").write_text("#!/bin/sh\nexit 1\n")
    (folder / "systemctl").chmod(0o755)
    monkeypatch.setenv("HOME", str(folder))
    for name in (*SECRETS, "DIGEST_CONFIG", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def paper(number: int, **facts: Any) -> dict[str, Any]:
    """A line of the file source: paper 7 is arXiv 2604.00007."""
    return {
        "id": f"arxiv:2604.{number:05}",
        "title": f"Paper number {number} on something",
        "abstract": f"It says {number} things. Then it stops.",
        **facts,
    }
