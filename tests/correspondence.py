"""A digest that people write to: its configuration, its mailbox, and what they would type."""

import re
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from tests.conftest import MONDAY, Workplace, paper

SIGNUP = '[signup]\nmailto = "subscribe@example.org"\n'
FEEDBACK = '[feedback]\nmailto = "feedback@example.org"\n'
TOPICS = '[[topics]]\nname = "Diffusion"\nmatch = ["diffusion"]\n[[topics]]\nname = "Robotics"\nmatch = ["robot*"]\n'
TABLES = (
    '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[unsubscribe]\nmailto = "leave@example.org"\n'
    f'{TOPICS}[inbox]\npath = "letters"\n'
)


_numbers = count(1)


def letter(sender: str, to: str, subject: str = "", body: str = "", **fields: str) -> bytes:
    """A letter as a mail program writes it; `fields` are more header fields, with _ for -."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    for name, value in {"Message_ID": f"<{next(_numbers)}@letter.example>", **fields}.items():
        made[name.replace("_", "-")] = value
    made.set_content(body or "\n")
    return made.as_bytes()


def reply(mail: EmailMessage, body: str = "", sender: str = "", **fields: str) -> bytes:
    """What the Reply button of a mail program makes of a mail, with the text that its reader typed above it."""
    quoted = "".join(f"> {line}\n" for line in str(plain(mail)).splitlines())
    attribution = f"On {mail['Date']}, {mail['From']} wrote:\n"
    return letter(
        sender or str(mail["To"]),
        str(mail["Reply-To"] or mail["From"]),
        f"Re: {mail['Subject']}",
        f"{body}\n\n{attribution}{quoted}",
        **{"In_Reply_To": str(mail["Message-ID"]), "References": str(mail["Message-ID"]), **fields},
    )


def plain(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


class Post:
    """A digest with a Maildir for the letters to it and one for its mail. Time stands still until `later`."""

    def __init__(self, workplace: Workplace, more: str = SIGNUP + FEEDBACK, to: Sequence[str] = ()) -> None:
        self.workplace = workplace
        workplace.to = to
        workplace.more = TABLES + more
        self.folder = workplace.folder / "letters"
        for part in ("new", "cur", "tmp"):
            (self.folder / part).mkdir(parents=True)
        self.now = datetime.combine(MONDAY, time(9), ZoneInfo("UTC"))
        self.count = 0
        self.read = 0
        self.list_papers()

    @property
    def today(self) -> date:
        return self.now.date()

    def later(self, **time_passed: float) -> None:
        self.now += timedelta(**time_passed)

    def list_papers(self, *papers: dict[str, Any]) -> None:
        """List these papers, or six new ones of the day."""
        first = (self.today - MONDAY).days * 6
        self.workplace.lists(*(papers or (paper(n, upvotes=100 - n) for n in range(first, first + 6))))

    def deliver(self, raw: bytes) -> None:
        self.count += 1
        (self.folder / "new" / f"{self.count:05}.letter.host").write_bytes(raw)

    def command(self, *words: str, code: int = 0) -> Result:
        self.workplace.config()
        with freeze_time(self.now):
            result = CliRunner().invoke(main, ["-c", str(self.workplace.path), *words])
        assert result.exit_code == code, result.output
        return result

    def get(self, *letters: bytes, code: int = 0) -> list[EmailMessage]:
        """Deliver letters, read them, and return the answers."""
        for raw in letters:
            self.deliver(raw)
        self.command("inbox", code=code)
        return self.mails()

    def mails(self) -> list[EmailMessage]:
        """The mails that were sent since the last call, oldest first."""
        paths = sorted((self.workplace.folder / "mail" / "new").glob("*"), key=lambda path: path.stat().st_mtime_ns)
        found = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths[self.read :]]
        self.read = len(paths)
        return found

    def mail_of_day(self, to: str) -> EmailMessage:
        """List the day's papers, run the daily job, and return the mail to an address."""
        self.list_papers()
        self.command("run")
        (mail,) = (mail for mail in self.mails() if mail["To"] == to and mail["List-Id"])
        return mail

    def join(self, address: str) -> EmailMessage:
        """Subscribe an address by letter; return the welcome mail."""
        (confirmation,) = self.get(letter(address, "subscribe@example.org", "subscribe"))
        (welcome,) = self.get(reply(confirmation))
        return welcome

    def states(self) -> dict[str, str]:
        listed = self.command("subscribers", "list", "--all").stdout.splitlines()[1:]
        return {line.split()[0]: line.split()[1] for line in listed if "@" in line.split()[0]}


TOKEN = re.compile("[a-z2-7]{40}")
