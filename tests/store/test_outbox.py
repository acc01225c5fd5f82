"""The outbox: every step is on disk when it returns, and what a dead run held is taken over."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.delivery import Message, Outcome, State
from digest.mail.message import MessageFrame
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.statistics import Statistics
from digest.store.subscribers import Subscribers

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
    return sum(outbox.publish(audience, frame, [], now(day)) for audience in outbox.audiences(day, []))


def claimed(db: Database, run: int, most: int = 10_000) -> list[Message]:
    return [message for message, _ in zip(Outbox(db).claim(run, now), range(most), strict=False)]


def seen(path: Path) -> dict[str, int]:
    """The states as another process sees them: what is on disk."""
    with open_database(path) as other:
        return Statistics(other.conn).deliveries_by_state()


def settle(db: Database, *outcomes: tuple[Message, State], day: date = MONDAY) -> None:
    Outbox(db).settle([Outcome(message.key, state, "so it was") for message, state in outcomes], now(day))


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


def test_claims_are_on_disk_by_the_hundred(db: Database, path: Path) -> None:
    publish(db, MONDAY, 250)
    queue = Outbox(db).claim(1, now)
    next(queue)
    assert seen(path) == {"pending": 150, "sending": 100}


def test_what_is_settled_is_on_disk(db: Database, path: Path) -> None:
    publish(db, MONDAY, 4)
    a, b, c, _ = claimed(db, 1)
    settle(db, (a, State.SENT), (b, State.REFUSED), (c, State.DOUBT))
    assert seen(path) == {"sent": 1, "refused": 1, "in doubt": 1, "sending": 1}


def test_what_was_not_come_to_is_released_as_if_never_claimed(db: Database) -> None:
    publish(db, MONDAY, 5)
    a, b, *_ = claimed(db, 1)
    settle(db, (a, State.SENT), (b, State.PENDING))
    assert Outbox(db).release(1, now()) == 4
    attempts = [row["attempts"] for row in db.query("SELECT attempts FROM deliveries ORDER BY id")]
    assert attempts == [1, 1, 0, 0, 0]
    assert len(claimed(db, 1)) == 4


def test_a_run_does_not_repeat_what_it_left_in_doubt_and_the_next_one_does(db: Database) -> None:
    publish(db, MONDAY, 2)
    first = claimed(db, 1)
    settle(db, (first[0], State.DOUBT), (first[1], State.SENT))
    assert Outbox(db).release(1, now()) == 0
    assert claimed(db, 1) == []
    Outbox(db).recover(2, MONDAY, now())
    (again,) = claimed(db, 2)
    assert (again.content, again.repeated) == (first[0].content, True)
    assert not first[0].repeated


def test_what_was_in_doubt_and_not_come_to_is_in_doubt_still(db: Database) -> None:
    publish(db, MONDAY, 1)
    settle(db, (claimed(db, 1)[0], State.DOUBT))
    claimed(db, 2)
    Outbox(db).release(2, now())
    assert Statistics(db.conn).deliveries_by_state() == {"in doubt": 1}
    assert len(claimed(db, 3)) == 1


def test_the_claims_of_a_dead_run_are_taken_over_at_once_and_unchanged(db: Database) -> None:
    publish(db, MONDAY, 150)
    before = claimed(db, 1, most=10)
    Outbox(db).recover(2, MONDAY, now())
    after = claimed(db, 2)
    assert [m.key for m in after] == [*range(before[0].key, before[0].key + 150)]
    assert [m.content for m in after[:10]] == [m.content for m in before]
    assert [m.repeated for m in after] == [True] * 100 + [False] * 50


@pytest.mark.parametrize(("days", "left"), [(3, 2), (4, 0)])
def test_what_is_older_than_three_days_expires(db: Database, days: int, left: int) -> None:
    publish(db, MONDAY, 2)
    Outbox(db).recover(1, MONDAY + timedelta(days), now())
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
