"""A whole conversation with a real IMAP server and a real SMTP server, typed as a person would; and kills during it."""

import os
import shutil
import signal
from contextlib import suppress
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from digest.config import Config, load
from digest.delivery.smtp import SmtpConnection
from digest.pipeline.run import read_inbox
from digest.store import database
from digest.store.database import open_database
from digest.store.signups import Signups
from digest.store.subscribers import Subscribers
from tests.conftest import MONDAY, Workplace, at, paper
from tests.correspondence import Post, letter, plain, reply
from tests.dovecot import PASSWORD, Dovecot, dovecot, needs_dovecot
from tests.server import Server

pytestmark = pytest.mark.slow

ANN = "ann@reader.example"


class Town(Post):
    """The same with a mailbox on an IMAP server, and mail over SMTP. `transcript` is who wrote what to whom."""

    def __init__(self, workplace: Workplace, mailbox: Dovecot, server: Server) -> None:
        super().__init__(workplace)
        self.mailbox, self.server = mailbox, server
        self.transcript: list[str] = []
        inbox = f'host = "127.0.0.1"\nport = {mailbox.port}\nsecurity = "none"\nusername = "me@example.org"\n'
        workplace.more = workplace.more.replace('path = "letters"\n', inbox)

    def command(self, *words: str, code: int = 0) -> Any:
        self.workplace.config()
        text = self.workplace.path.read_text().replace(
            '[maildir]\npath = "mail"', f'[smtp]\nhost = "127.0.0.1"\nport = {self.server.port}\nsecurity = "none"\n'
        )
        self.workplace.path.write_text(text)
        self.workplace.config = lambda: None  # type: ignore[method-assign, assignment, return-value]
        return super().command(*words, code=code)

    def deliver(self, raw: bytes) -> None:
        self.mailbox.deliver(raw)
        mail = message_from_bytes(raw, policy=policy.default)
        typed = plain(mail).split("\nOn ")[0].strip().replace("\n", " / ")
        self.transcript.append(f"reader: {typed or mail['Subject']}")

    def mails(self) -> list[EmailMessage]:
        found = [message_from_bytes(raw, policy=policy.default) for _, raw in self.server.taken[self.read :]]
        self.read = len(self.server.taken)
        self.transcript += [f"digest: {mail['Subject']}" for mail in found]
        return found


@needs_dovecot
def test_a_reader_joins_votes_sees_the_effect_pauses_comes_back_and_leaves(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIGEST_INBOX_PASSWORD", PASSWORD)
    with dovecot() as mailbox, Server().running() as server:
        town = Town(workplace, mailbox, server)
        untouched = "subscribe please"
        (confirmation,) = town.get(letter(f"Ann <{ANN}>", "subscribe@example.org", untouched))
        (welcome,) = town.get(reply(confirmation, "Yes"))
        assert "You are subscribed" in plain(welcome)

        themes = (
            "otters rivers fish fur",
            "stars galaxies dust light",
            "bread flour yeast oven",
            "trains rails brakes",
        )
        more = (
            "roofs tiles beams rain",
            "violins strings bows oak",
            "ice glaciers moraines",
            "coins mints silver kings",
        )
        papers = [
            paper(n, title=f"{words.split()[0].capitalize()} part {n}", abstract=f"{words} {words} study.", upvotes=50)
            for n in range(64)
            for words in [(*themes, *more)[n % 8]]
        ]
        town.list_papers(*papers)
        town.workplace.path.write_text(town.workplace.path.read_text().replace("[digest]", "[digest]\nmax_papers = 8"))
        town.command("run")
        (mail,) = town.mails()
        first = plain(mail)
        places = [int(line.split(".")[0]) for line in first.splitlines() if line[:1].isdigit() and "Otters" in line]
        others = sorted(set(range(1, 9)) - set(places))
        votes = " ".join([*(f"+{n}" for n in places), *(f"-{n}" for n in others)])
        assert not town.get(reply(mail, votes)), "votes are answered by effect"

        town.later(days=1)
        town.command("run")
        (mail,) = town.mails()
        second = plain(mail)
        assert second.count("Otters part") > first.count("Otters part")
        assert "because you asked for more like" in " ".join(second.split())

        (told,) = town.get(reply(mail, "pause 3 days"))
        assert "paused until Friday 24 April 2026" in plain(told)
        town.later(days=1)
        town.command("run")
        assert not town.mails()
        (told,) = town.get(reply(told, "resume"))
        assert "as usual" in plain(told)
        town.command("run")
        assert len(town.mails()) == 1
        (told,) = town.get(reply(mail, "unsubscribe"))
        assert "You are unsubscribed" in plain(told)
        town.later(days=1)
        town.command("run")
        assert not town.mails()
        print("\n".join(town.transcript))
        answers = [raw for _, raw in server.taken if b"auto-replied" in raw]
        senders = server.heard("MAIL")
        assert len(answers) == 5
        assert sum(sender.startswith("FROM:<>") for sender in senders) == 5
        assert set(server.recipients()) == {ANN}
        letters = mailbox.letters()
        assert len(letters) == 6
        assert all(name.startswith("new/") or name.endswith(":2,") for name in letters), "nothing was marked as read"


def killed_at(config: Config, last: int) -> bool:
    """Whether reading the letters was killed at that statement or word, rather than done before it came to it."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            read_dying(config, last)
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def read_dying(config: Config, last: int) -> None:
    """Read the letters, and die at that step: a statement to SQLite, or a word from or to the server."""
    steps = count(1)

    def step(*_: object) -> None:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    connect, write, read = database._connect, SmtpConnection.write, SmtpConnection.read

    def traced(path: Path) -> Database:
        db = connect(path)
        db.conn.set_trace_callback(step)
        return db

    def writing(self: SmtpConnection, data: bytearray) -> None:
        step()
        write(self, data)
        step()

    def reading(self: SmtpConnection) -> bytes:
        step()
        return read(self)

    database._connect = traced
    SmtpConnection.write, SmtpConnection.read = writing, reading  # type: ignore[method-assign]
    read_inbox(config, MONDAY, at(MONDAY))


def test_reading_and_answering_killed_at_any_step_acts_and_answers_once(tmp_path: Path) -> None:
    """A stranger asks, another one confirms, and a reader chooses and votes. Every second step, so that it ends."""
    first = Post(Workplace(tmp_path / "first"))
    first.now -= timedelta(hours=4)
    welcome = first.join(ANN)
    (confirmation,) = first.get(letter("bob@reader.example", "subscribe@example.org", "subscribe"))
    mail = first.mail_of_day(ANN)
    first.deliver(letter("cyd@reader.example", "subscribe@example.org", "subscribe"))
    for raw in (reply(confirmation, "yes"), reply(welcome, "max 3"), reply(mail, "+1 -2")):
        first.deliver(raw)
    kills = copies = 0
    for step in count(1, 2):
        folder = tmp_path / str(step)
        shutil.copytree(first.workplace.folder, folder)
        with Server().running() as server:
            text = (folder / "config.toml").read_text()
            smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            (folder / "config.toml").write_text(text.replace('[maildir]\npath = "mail"', smtp))
            config = load(folder / "config.toml", {})
            killed = killed_at(config, step)
            if killed:
                read_inbox(config, MONDAY, at(MONDAY))
        mails = {raw.split(b"\r\nMessage-ID: ")[1].split(b"\r\n")[0]: (to, raw) for to, raw in server.taken}
        assert sorted(to for to, _ in mails.values()) == [ANN, "bob@reader.example", "cyd@reader.example"]
        assert set(server.taken) == set(mails.values()), "a copy has the same bytes"
        assert len(server.taken) - len(mails) <= int(killed)
        kills, copies = kills + killed, copies + len(server.taken) - len(mails)
        with open_database(config.digest.database) as db:
            people = Subscribers(db, b"x")
            ann, bob = people.by_address(ANN), people.by_address("bob@reader.example")
            assert (ann.profile.max_papers, len(ann.profile.liked), len(ann.profile.disliked)) == (3, 1, 1)
            assert bob.id
            assert Signups(db, b"x").pending(at(MONDAY)()) == ["cyd@reader.example"]
        shutil.rmtree(folder)
        if not killed:
            break
    print(f"{kills} kills up to step {step}, {copies} copies")
    assert kills > 40
