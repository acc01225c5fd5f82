"""A history from before mails were made of fragments: its mail has the same bytes, and no paper comes twice."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.errors import MailPruned
from digest.mail.message import Fragment
from digest.mail.requests import feedback_token
from digest.store import database
from digest.store.database import open_database
from digest.store.fragments import find_damage
from digest.store.outbox import Appearance, Outbox
from digest.store.papers import Papers
from digest.store.schema import MIGRATIONS, migrate
from digest.store.subscribers import Subscribers
from tests.dying import dying_at_statement

MONDAY = date(2026, 4, 20)
SENDER = "digest@example.org"
ANN, BOB, CYD = "ann@example.org", "bob=the.builder@example.org", "a-" + "long-" * 11 + "name@example.org"
Piece = bytes | str

# As `digest.mail.message` made them: header fields with gaps in a line, parts with gaps between soft line breaks.
HEADER: tuple[Piece, ...] = (
    b"From: digest@example.org\r\nTo: ", "address", b"\r\nMessage-ID: ", "id",
    b"\r\nList-Unsubscribe: <https://example.org/", "token", b">\r\n\r\n",
)  # fmt: skip
FOOTER: tuple[Piece, ...] = (b"To ", "address-qp", b" =E2=80=93 leave: ", "token-qp", b"\r\n")
FEEDBACK: tuple[Piece, ...] = (b"Vote: mailto:x+", "feedback-qp", b"?subject=3D+1", "feedback-qp", b"?subject=3D+2\r\n")


def frame(*pieces: Piece) -> tuple[bytes, str]:
    """The columns `bytes` and `gaps`."""
    content, gaps = b"", []
    for piece in pieces:
        if isinstance(piece, bytes):
            content += piece
        else:
            gaps.append([len(content), piece])
    return content, json.dumps(gaps)


def fill(content: bytes, gaps: str, address: str, token: str, day: date) -> bytes:
    """What an earlier version sent."""

    def lines(value: str) -> bytes:
        text, step, found = value.encode(), 51, b"=\r\n"
        for start in range(0, len(text), step):
            line = text[start : start + step].replace(b"=", b"=3D") + b"=\r\n"
            found += b"=2E" + line[1:] if line.startswith(b".") else line
        return found

    identifier = f"<{day:%Y%m%d}.{hashlib.sha256(f'{token} {day}'.encode()).hexdigest()[:20]}@example.org>"
    parts = {"address": address.encode(), "token": token.encode(), "id": identifier.encode()}
    parts |= {"address-qp": lines(address), "token-qp": lines(token), "feedback-qp": lines(feedback_token(token))}
    message, start = b"", 0
    for offset, name in json.loads(gaps):
        message += content[start:offset] + parts[name]
        start = offset
    return message + content[start:]


class OldHistory:
    """A history of the version before; written by SQL."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.expected: dict[tuple[str, date], bytes] = {}
        with monkeypatch.context() as patched:
            earlier = list(MIGRATIONS)[: list(MIGRATIONS).index("fragments")]
            patched.setattr(database, "MIGRATIONS", {name: MIGRATIONS[name] for name in earlier})
            database.migrations.cache_clear()
            with open_database(path) as db:
                Subscribers(db, b"secret").configure([ANN, BOB, CYD])
        database.migrations.cache_clear()
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("INSERT INTO runs (id, command, day, started) VALUES (1, 'run', '2026-04-20', '')")
        for number in range(1, 40):
            seen = MONDAY + timedelta(number // 10)
            self.db.execute("INSERT INTO papers VALUES (?, ?, '', '{}', ?)", [number, f"On {number}", seen.isoformat()])

    def mail(
        self,
        day: date,
        pieces: Sequence[Piece],
        papers: Sequence[int],
        states: dict[str, str],
        sender: str = SENDER,
    ) -> None:
        """An edition of `day` with these papers, and its deliveries."""
        content, gaps = frame(*pieces)
        edition = self.db.execute(
            "INSERT INTO editions (day, sender, bytes, gaps, created) VALUES (?, ?, ?, ?, ?)",
            [day.isoformat(), sender, content, gaps, f"{day}T06:00:00+00:00"],
        ).lastrowid
        for place, paper in enumerate(papers, start=1):
            self.db.execute("INSERT INTO shown VALUES (?, ?, ?)", [paper, edition, place])
        for address, state in states.items():
            row, token = self.db.execute("SELECT id, token FROM subscribers WHERE address = ?", [address]).fetchone()
            name = f"<{day:%Y%m%d}.{address}>" if sender else ""
            self.db.execute(
                "INSERT INTO deliveries (subscriber, day, edition, message_id, state, doubt, changed)"
                " VALUES (?, ?, ?, ?, ?, ?, '')",
                [row, day.isoformat(), edition, name, state, state == "in doubt"],
            )
            self.expected[address, day] = fill(content, gaps, address, token, day)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OldHistory:
    """Four days of mail: plain, from before readers could vote, with votes, and of several states."""
    history = OldHistory(tmp_path / "history.db", monkeypatch)
    history.mail(MONDAY, [*HEADER, b"Plain\r\n", *FOOTER], [3, 1, 2], {ANN: "sent", BOB: "sent"})
    history.mail(MONDAY, [*HEADER, b"Plain\r\n", *FOOTER], [3, 1, 2], {CYD: "sent"})  # the same, of another audience
    history.mail(MONDAY + timedelta(1), [*HEADER, *FEEDBACK, *FOOTER], [11, 12], {ANN: "in doubt", BOB: "refused"})
    dotted: list[Piece] = [*HEADER, *FEEDBACK, *FOOTER, "address-qp", b".\r\n"]
    history.mail(MONDAY + timedelta(2), [*HEADER, *FEEDBACK, *FOOTER, *FOOTER], [21], {ANN: "pending"})
    history.mail(MONDAY + timedelta(2), dotted, [21], {BOB: "pending"})
    history.mail(MONDAY + timedelta(2), [*HEADER, b"A line\r\n.\r\n..\r\n", "address", b"\r\n"], [22], {CYD: "pending"})
    return history


def test_every_mail_has_the_bytes_that_it_had(old: OldHistory) -> None:
    with open_database(old.path) as db:
        outbox, people = Outbox(db), Subscribers(db, b"secret")
        found = {(to, day): outbox.message_of(people.by_address(to), day) for to, day in old.expected}
        assert found == old.expected
        outbox.recover(1, datetime(2026, 4, 22, 9, tzinfo=UTC))
        claimed = {message.address: message for message in outbox.claim(1) if not message.repeated}
        assert {to: message.content for to, message in claimed.items()} == {
            to: old.expected[to, MONDAY + timedelta(2)] for to in (ANN, BOB, CYD)
        }
        assert {to: message.leading_dots for to, message in claimed.items()} == {ANN: False, BOB: True, CYD: True}
        (doubtful,) = (message for message in outbox.claim(1) if message.repeated)
        assert doubtful.content == old.expected[ANN, MONDAY + timedelta(1)]
        assert list(find_damage(db)) == []
        assert db.execute("SELECT count(*) FROM fragments").fetchone() == (5,), "the same mail is stored once"


def test_what_was_shown_stays_shown_and_where(old: OldHistory) -> None:
    with open_database(old.path) as db:
        outbox, people = Outbox(db), Subscribers(db, b"secret")
        ann, today = people.by_address(ANN), MONDAY + timedelta(2)
        assert outbox.shown_to(ann, range(100), today) == {1, 2, 3, 11, 12, 21}
        assert outbox.mail_of(ann, MONDAY) == [3, 1, 2]
        assert outbox.papers_of_message(f"<20260421.{ANN}>", ann) == {1: 11, 2: 12}
        assert outbox.appearances(2, None) == [Appearance(MONDAY, 3, "sent", 3)]
        assert [mail.papers for mail in outbox.last_mails(ann, 9)] == [1, 2, 3]
        for offset in range(3):
            later = list(outbox.audiences(MONDAY + timedelta(offset), MONDAY - timedelta(7), today, range(1000)))
            readers = [audience.readers for batch in later for audience in batch]
            assert readers == ([] if offset != 1 else [(3,)]), "nobody gets a second mail of a day"
        ((audience, *_),) = outbox.audiences(MONDAY + timedelta(3), MONDAY - timedelta(4), today, range(1000))
        assert audience.readers == (1, 2)
        assert audience.shown == {1, 2, 3, 11, 12, 21}


def test_what_was_deleted_or_imported_or_joined_before(old: OldHistory) -> None:
    """No text, no sender, and no row for a place whose paper was another one's double."""
    old.mail(MONDAY - timedelta(300), [], [31, 32, 33, 34], {ANN: "sent"})
    old.db.execute("DELETE FROM shown WHERE paper IN (31, 33)")
    old.mail(MONDAY - timedelta(400), [], [38, 37], {BOB: "sent"}, sender="")
    with open_database(old.path) as db:
        outbox, people = Outbox(db), Subscribers(db, b"secret")
        ann, bob = people.by_address(ANN), people.by_address(BOB)
        with pytest.raises(MailPruned):
            outbox.message_of(ann, MONDAY - timedelta(300))
        assert outbox.mail_of(ann, MONDAY - timedelta(300)) == [32, 34]
        assert outbox.papers_of_message(f"<20250624.{ANN}>", ann) == {2: 32, 4: 34}
        assert outbox.appearances(34, None) == [Appearance(MONDAY - timedelta(300), 4, "sent", 1)]
        # Paper 32 counts as new since it was first seen on the 23rd, and was in a mail long before.
        day = MONDAY + timedelta(4)
        shown = {
            a.readers: a.shown
            for batch in outbox.audiences(day, MONDAY + timedelta(3), day, range(1000))
            for a in batch
        }
        assert {32, 34} <= shown[1,]
        assert {37, 38} <= shown[2,]
        assert outbox.shown_to(bob, range(100), day) >= {37, 38}


def test_a_history_with_these_mails_can_be_merged_and_goes_on(old: OldHistory) -> None:
    with open_database(old.path) as db:
        Papers(db)._merge_rows(1, 3)  # the mail of Monday had both
        outbox, ann = Outbox(db), Subscribers(db, b"secret").by_address(ANN)
        assert outbox.mail_of(ann, MONDAY) == [3, 3, 2]
        day = MONDAY + timedelta(3)
        ((audience, *_),) = outbox.audiences(day, MONDAY, day, range(1000))
        fragment = Fragment(text=b"new\r\n")
        assert outbox.publish(day, SENDER, [(audience, [fragment], [30])], datetime(2026, 4, 23, 6, tzinfo=UTC)) == 2
        assert outbox.message_of(ann, day) == b"new\r\n"


def test_killed_at_any_step_it_is_migrated_wholly_or_not_at_all(old: OldHistory, tmp_path: Path) -> None:
    old.db.close()
    steps, code = 0, -1
    while code:
        steps += 3
        folder = tmp_path / f"at{steps}"
        folder.mkdir()
        shutil.copy(old.path, folder / "history.db")
        code = migrate_and_die(folder / "history.db", steps)
        with closing(sqlite3.connect(folder / "history.db")) as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
            assert ("shown" in tables) != ("fragments" in tables), steps
        with open_database(folder / "history.db") as db:
            people = Subscribers(db, b"secret")
            for (to, day), expected in old.expected.items():
                assert Outbox(db).message_of(people.by_address(to), day) == expected
    assert steps > 30


def migrate_and_die(path: Path, steps: int) -> int:
    """Migrate in a process that is killed at a statement; return 0 if it came to its end before."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    connection = Database(sqlite3.connect(path))
    connection.conn.execute("PRAGMA journal_mode = WAL")
    connection.conn.set_trace_callback(dying_at_statement(steps))
    database._migrate(connection, path)
    os._exit(0)


def test_an_empty_database_has_the_tables_of_a_migrated_one(old: OldHistory) -> None:
    with open_database(old.path) as db, closing(sqlite3.connect(":memory:")) as empty:
        for steps in MIGRATIONS.values():
            migrate(empty, steps)
        columns = "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY 1, 2"
        migrated = [row for row in db.execute(columns) if row[0] != "_sqlite_migrations"]
        assert empty.execute(columns).fetchall() == migrated
