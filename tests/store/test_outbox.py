"""The outbox: every step is on disk when it returns, and what a dead run held is taken over."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.delivery import Message, Outcome, SmtpSettings, State
from digest.delivery.smtp import smtp_delivery
from digest.mail.message import MessageFrame
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.statistics import Statistics
from digest.store.subscribers import Subscribers
from tests.server import Server

MONDAY = date(2026, 4, 20)


def now(day: date = MONDAY) -> datetime:
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.db"


@pytest.fixture
def db(path: Path) -> Iterator[Database]:
    with open_database(path) as db:
        for day in range(9):
            db.table("runs").insert({"command": "run", "day": str(day), "started": ""})
        yield db


def publish(db: Database, day: date, count: int, body: bytes = b"Subject: x\r\n\r\nto ") -> int:
    """Queue a message for `count` subscribers."""
    Subscribers(db, b"secret").configure(f"reader{n}@example.org" for n in range(count))
    outbox = Outbox(db)
    frame = MessageFrame("digest@example.org", body, ((len(body), "address"),))
    return sum(outbox.publish(audience, frame, [], now(day)) for audience in outbox.audiences(day, [], day))


def claimed(db: Database, run: int, most: int = 10_000) -> list[Message]:
    return [message for message, _ in zip(Outbox(db).claim(run), range(most), strict=False)]


def seen(path: Path) -> dict[str, int]:
    """The states as another process sees them: what is on disk."""
    with open_database(path) as other:
        return Statistics(other.conn).deliveries_by_state()


def settle(db: Database, *outcomes: tuple[Message, State], day: date = MONDAY, run: int = 1) -> None:
    Outbox(db).settle(run, [Outcome(message.key, state, "so it was") for message, state in outcomes], now(day))


def states(db: Database) -> dict[str, int]:
    return Statistics(db.conn).deliveries_by_state()


def test_a_day_is_published_to_each_subscriber_once(db: Database) -> None:
    assert publish(db, MONDAY, 3) == 3
    assert publish(db, MONDAY, 4) == 1
    assert Statistics(db.conn).deliveries_by_state() == {"pending": 4}


def test_the_queue_gives_every_message_once_oldest_first(db: Database) -> None:
    publish(db, MONDAY - timedelta(1), 250)
    publish(db, MONDAY, 250)
    messages = claimed(db, 1)
    assert [m.key for m in messages] == sorted({m.key for m in messages})
    assert len(messages) == 500
    assert messages[0].content == b"Subject: x\r\n\r\nto reader0@example.org"
    assert claimed(db, 1) == []


def test_claims_are_on_disk_by_the_hundred_and_nobody_withdraws_them(db: Database, path: Path) -> None:
    publish(db, MONDAY, 250)
    next(Outbox(db).claim(1))
    with open_database(path) as other:
        Subscribers(other, b"secret").configure([])
        assert Outbox(other).withdraw(MONDAY) == 150
    assert seen(path) == {"pending": 100}
    Outbox(db).release(1, now())
    assert seen(path) == {}


def test_a_message_is_sending_once_that_is_settled(db: Database, path: Path) -> None:
    publish(db, MONDAY, 5)
    a, b, c, *_ = claimed(db, 1)
    settle(db, (a, State.SENDING), (b, State.SENDING))
    assert seen(path) == {"sending": 2, "pending": 3}
    settle(db, (a, State.SENT), (b, State.PENDING), (c, State.SENDING))
    assert seen(path) == {"sent": 1, "sending": 1, "pending": 3}


def test_only_what_was_being_sent_is_in_doubt_after_a_crash(db: Database) -> None:
    publish(db, MONDAY, 150)
    first, second, *_ = claimed(db, 1)
    settle(db, (first, State.SENDING))
    Outbox(db).recover(2, now())
    assert states(db) == {"in doubt": 1, "pending": 149}
    again = claimed(db, 2)
    assert [m.key for m in again] == [*range(first.key, first.key + 150)]
    assert [m.repeated for m in again] == [True] + [False] * 149
    settle(db, (second, State.SENDING), run=2)
    Outbox(db).recover(3, now(MONDAY + timedelta(4)))
    assert db.execute("SELECT state, doubt, count(*) FROM deliveries GROUP BY 1, 2").fetchall() == [
        ("expired", 0, 148),
        ("expired", 1, 2),
    ]


def test_a_database_of_an_earlier_version_keeps_its_doubts(db: Database) -> None:
    """It called all that was claimed `sending`, before anything of it had left."""
    publish(db, MONDAY, 4)
    db.execute("UPDATE deliveries SET state = 'sending', run = 1, attempts = 1 WHERE id < 3")
    db.execute("UPDATE deliveries SET state = 'in doubt', doubt = 1, run = 1, attempts = 1 WHERE id = 3")
    db.execute("UPDATE deliveries SET run = 1, attempts = 1 WHERE id = 4")
    Outbox(db).recover(2, now())
    assert states(db) == {"in doubt": 3, "pending": 1}
    assert [m.repeated for m in claimed(db, 2)] == [True, True, True, False]


def test_a_message_withdrawn_while_it_is_sent_again_keeps_its_outcome(db: Database, path: Path) -> None:
    publish(db, MONDAY, 2)
    settle(db, *((m, State.DOUBT) for m in claimed(db, 1)))
    a, b = claimed(db, 2)
    with open_database(path) as other:
        Subscribers(other, b"secret").configure([])
        assert Outbox(other).withdraw(MONDAY) == 2
    assert states(db) == {"expired": 2}
    settle(db, (a, State.SENDING), (b, State.SENDING), run=2)
    settle(db, (a, State.SENT), (b, State.PENDING), run=2)
    Outbox(db).release(2, now())
    assert states(db) == {"sent": 1, "expired": 1}


def test_what_is_settled_is_on_disk(db: Database, path: Path) -> None:
    publish(db, MONDAY, 4)
    a, b, c, _ = claimed(db, 1)
    settle(db, (a, State.SENT), (b, State.REFUSED), (c, State.DOUBT))
    assert seen(path) == {"sent": 1, "refused": 1, "in doubt": 1, "pending": 1}


def test_what_was_not_come_to_is_released_as_if_never_claimed(db: Database) -> None:
    publish(db, MONDAY, 5)
    a, b, c, *_ = claimed(db, 1)
    settle(db, (a, State.SENDING), (c, State.SENDING))
    settle(db, (a, State.SENT), (b, State.PENDING))
    assert Outbox(db).release(1, now()) == 4
    assert states(db) == {"sent": 1, "pending": 4}
    attempts = [row["attempts"] for row in db.query("SELECT attempts FROM deliveries ORDER BY id")]
    assert attempts == [1, 1, 0, 0, 0]
    assert len(claimed(db, 1)) == 4


def test_a_run_does_not_repeat_what_it_left_in_doubt_and_the_next_one_does(db: Database) -> None:
    publish(db, MONDAY, 2)
    first = claimed(db, 1)
    settle(db, (first[0], State.DOUBT), (first[1], State.SENT))
    assert Outbox(db).release(1, now()) == 0
    assert claimed(db, 1) == []
    Outbox(db).recover(2, now())
    (again,) = claimed(db, 2)
    assert (again.content, again.repeated) == (first[0].content, True)
    assert not first[0].repeated


def test_what_was_in_doubt_and_not_come_to_is_in_doubt_still(db: Database) -> None:
    publish(db, MONDAY, 1)
    settle(db, (claimed(db, 1)[0], State.DOUBT))
    (message,) = claimed(db, 2)
    for announced in (False, True):
        if announced:
            settle(db, (message, State.SENDING), run=2)
        Outbox(db).release(2, now())
        assert Statistics(db.conn).deliveries_by_state() == {"in doubt": 1}
        assert len(claimed(db, 3)) == 1


@pytest.mark.parametrize(("days", "left"), [(3, 2), (4, 0)])
def test_what_has_waited_for_more_than_three_days_expires(db: Database, days: int, left: int) -> None:
    publish(db, MONDAY, 2)
    Outbox(db).recover(1, now(MONDAY + timedelta(days)))
    assert Outbox(db).count_waiting() == left


def test_refusals_on_three_days_suspend_a_subscriber(db: Database) -> None:
    for number in range(3):
        day = MONDAY + timedelta(number)
        assert Statistics(db.conn).suspended() == []
        assert publish(db, day, 2) == 2
        bad, good = claimed(db, 1)
        settle(db, (bad, State.REFUSED), (good, State.SENT), day=day)
    assert Statistics(db.conn).suspended() == [
        {"address": "reader0@example.org", "why": "refused on three days, last on 2026-04-22"}
    ]
    assert publish(db, MONDAY + timedelta(3), 2) == 1


def test_refusals_of_one_day_count_once_and_an_acceptance_forgives_them(db: Database) -> None:
    for number in range(6):
        publish(db, MONDAY + timedelta(number), 1)
    for message in claimed(db, 1):
        settle(db, (message, State.REFUSED))
    assert Statistics(db.conn).suspended() == []
    states = [State.REFUSED, State.SENT, State.REFUSED, State.REFUSED]
    for number, state in enumerate(states, start=6):
        day = MONDAY + timedelta(number)
        publish(db, day, 1)
        settle(db, (claimed(db, 1)[0], state), day=day)
    assert Statistics(db.conn).suspended() == []


def test_an_edition_is_stored_once_however_many_get_it(db: Database, path: Path) -> None:
    publish(db, MONDAY, 2000, body=b"x" * 40_000)
    settle(db, *((message, State.SENT) for message in claimed(db, 1)))
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size < 2000 * 500 + 100_000


def test_lines_with_leading_dots_in_an_older_history_arrive_unchanged(db: Database) -> None:
    body = b"Subject: x\r\n.\r\n\r\n.\r\n..\r\n.\r\nQUIT\r\nto\r\n.\r\n"
    publish(db, MONDAY, 3, body)
    messages = claimed(db, 1)
    assert [message.leading_dots for message in messages] == [True] * 3
    with Server().running() as server:
        deliver = smtp_delivery(SmtpSettings(("127.0.0.1",), server.port, "none"))
        for batch in deliver(iter(messages), lambda: False):
            Outbox(db).settle(1, batch, now())
    assert states(db) == {"sent": 3}
    assert server.taken == [(f"reader{n}@example.org", body + f"reader{n}@example.org\r\n".encode()) for n in range(3)]


def test_a_message_without_leading_dots_says_so(db: Database) -> None:
    publish(db, MONDAY, 2)
    assert [message.leading_dots for message in claimed(db, 1)] == [False, False]
