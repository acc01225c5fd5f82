"""The outbox: every step is on disk when it returns, and what a dead run held is taken over."""

import os
import random
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.delivery import Message, Outcome, SmtpSettings, State
from digest.delivery.smtp import smtp_delivery
from digest.errors import HistoryError, MailDamaged, MailPruned
from digest.mail.message import Fragment
from digest.papers import build_paper
from digest.pipeline.deliver import Progress, deliver_queue
from digest.ranking import Profile
from digest.sources import Sighting
from digest.store.database import open_database
from digest.store.fragments import find_damage
from digest.store.outbox import Audience, Outbox
from digest.store.papers import Papers
from digest.store.statistics import Statistics
from digest.store.subscribers import Subscriber, Subscribers
from tests.dying import dying_at_statement
from tests.server import Server

MONDAY = date(2026, 4, 20)
SENDER = "digest@example.org"
Mail = tuple[Audience, Sequence[Fragment], Sequence[int]]


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
    fragment = Fragment(head=body + b"\0address\0")
    return sum(Outbox(db).publish(day, SENDER, mails(batch, fragment), now(day)) for batch in audiences(db, day))


def audiences(db: Database, day: date, since: date = MONDAY - timedelta(7)) -> Iterator[list[Audience]]:
    return Outbox(db).audiences(day, since, day, range(1000))


def mails(batch: list[Audience], *fragments: Fragment, papers: Sequence[int] = ()) -> list[Mail]:
    return [(audience, fragments, papers) for audience in batch]


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


# ---- readers as a stream ---------------------------------------------------------------------------------------------


def subscribe(db: Database, *readers: str) -> list[Subscriber]:
    people = Subscribers(db, b"secret")
    people.configure(f"{reader}@example.org" for reader in readers)
    return [people.by_address(f"{reader}@example.org") for reader in readers]


def add_papers(db: Database, first: int, last: int, day: date) -> None:
    rows = [(number, day.isoformat()) for number in range(first, last)]
    db.conn.executemany("INSERT INTO papers VALUES (?, 'A title', '', '{}', ?, NULL)", rows)
    db.conn.commit()


def mail(db: Database, day: date, *papers: int) -> int:
    """Queue a mail with these papers for everybody who has none of that day."""
    fragment, outbox = Fragment(text=b"%d\r\n" % len(papers)), Outbox(db)
    return sum(
        outbox.publish(day, SENDER, mails(batch, fragment, papers=papers), now(day)) for batch in audiences(db, day)
    )


def test_readers_come_by_the_thousand_and_those_who_are_alike_share_an_edition(db: Database) -> None:
    subscribe(db, *(f"reader{n}" for n in range(2_500)))
    people = Subscribers(db, b"secret")
    for n in range(0, 2_500, 100):
        people.choose(people.by_address(f"reader{n}@example.org"), Profile(("Robots",), n % 200 and 3))
    outbox, seen, keys = Outbox(db), list[int](), list[set[object]]()
    for batch in outbox.audiences(MONDAY, MONDAY, MONDAY, range(1000)):
        assert [min(audience.readers) for audience in batch] == sorted(min(a.readers) for a in batch)
        keys.append({audience.key for audience in batch})
        seen += [reader for audience in batch for reader in audience.readers]
        fragments = [Fragment(text=f"{audience.profile}\r\n".encode()) for audience in batch]
        mailed: list[Mail] = [(audience, [fragment], []) for audience, fragment in zip(batch, fragments, strict=True)]
        assert outbox.publish(MONDAY, SENDER, mailed, now()) == sum(audience.size for audience in batch)
    assert (sorted(seen), len(keys)) == ([*range(1, 2_501)], 3)
    assert keys[0] == keys[1] == keys[2]
    assert len(keys[0]) == 3
    assert db.execute("SELECT count(*) FROM editions").fetchone() == (3,)
    assert db.execute("SELECT count(*) FROM fragments").fetchone() == (3,)
    assert list(audiences(db, MONDAY)) == []


def test_who_was_shown_what_is_the_same_in_the_stream_as_over_all_mails(db: Database) -> None:
    """Some weeks of random mail: sent, refused, expired, in doubt, waiting for too long, and from other digests."""
    chance, outbox = random.Random(1), Outbox(db)
    readers = subscribe(db, *(f"reader{n}" for n in range(40)))
    states = ["sent", "sent", "sent", "refused", "expired", "in doubt", "pending"]
    for offset in range(25):
        day, first = MONDAY + timedelta(offset), 1 + 10 * offset
        add_papers(db, first, first + 10, day)
        for batch in audiences(db, day):
            for audience in batch:
                alone = [
                    Audience((reader,), audience.profile, audience.shown, audience.key) for reader in audience.readers
                ]
                chosen = [(one, [Fragment()], chance.sample(range(max(1, first - 50), first + 10), 4)) for one in alone]
                outbox.publish(day, SENDER, chance.sample(chosen, len(chosen) // 2), now(day))
        db.conn.executemany(
            "UPDATE deliveries SET state = ?, doubt = ? WHERE id = ?",
            [
                (state, state == "in doubt" or chance.random() < 0.1, row)
                for (row,) in db.execute("SELECT id FROM deliveries WHERE day = ?", [day.isoformat()]).fetchall()
                for state in [chance.choice(states)]
            ],
        )
        db.conn.commit()
    db.conn.executemany("INSERT INTO names VALUES (?, ?)", [(f"arxiv:2604.{n:05}", n) for n in range(1, 251)])
    names = [f"arxiv:2604.{n:05}" for n in chance.sample(range(1, 251), 30)]
    outbox.import_shown([(reader, names, MONDAY - timedelta(90)) for reader in readers[::4]], now())
    for window in (0, 3, 10):
        day = MONDAY + timedelta(25)
        since = day - timedelta(window)
        candidates = {row[0] for row in db.execute("SELECT id FROM papers WHERE first_seen >= ?", [since.isoformat()])}
        found = {
            reader: audience.shown & candidates
            for batch in audiences(db, day, since)
            for audience in batch
            for reader in audience.readers
        }
        assert found == {reader.id: outbox.shown_to(reader, candidates, day) for reader in readers}


def test_a_paper_that_counts_as_new_again_is_not_shown_again(db: Database) -> None:
    """What a feed lists counts as first seen on the day on which another source lists it: see `digest.papers`."""
    (ann,) = subscribe(db, "ann")
    papers, later = Papers(db), MONDAY + timedelta(60)
    from_feed = build_paper("On otters", identifiers=["arxiv:2604.00001"], from_feed=True)
    papers.record("feed", [Sighting(from_feed)], MONDAY)
    mail(db, MONDAY, 1)
    settle(db, *((message, State.SENT) for message in claimed(db, 1)))
    papers.record("arxiv", [Sighting(build_paper("On otters", identifiers=["arxiv:2604.00001"]))], later)
    assert [(candidate.id, candidate.first_seen) for candidate in papers.candidates(later, 7)] == [(1, later)]
    ((audience,),) = audiences(db, later, later - timedelta(7))
    assert audience.shown == {1} == outbox_shown(db, ann, later)


def outbox_shown(db: Database, reader: Subscriber, day: date) -> frozenset[int]:
    return Outbox(db).shown_to(reader, range(1_000), day)


def test_two_rows_of_a_paper_that_become_one_keep_every_place(db: Database) -> None:
    ann, bob = subscribe(db, "ann", "bob")
    add_papers(db, 1, 31, MONDAY)
    mail(db, MONDAY, 11, 1, 21, 2)
    Outbox(db).import_shown([(bob, ["arxiv:2604.09999"], MONDAY - timedelta(5))], now())
    Papers(db)._merge_rows(1, 2)
    Papers(db)._merge_rows(31, 2)
    outbox = Outbox(db)
    assert outbox.mail_of(ann, MONDAY) == [11, 2, 21, 2]
    assert [(a.day, a.place, a.mails) for a in outbox.appearances(2, None)] == [
        (MONDAY - timedelta(5), 1, 1),
        (MONDAY, 2, 2),
        (MONDAY, 4, 2),
    ]
    assert outbox.appearances(2, ann.id) == [
        a for a in outbox.appearances(2, ann.id) if a.day == MONDAY and a.mails == 1
    ]
    assert outbox.appearances(11, 0) == [], "an unknown address"


def test_killed_at_any_step_the_next_stream_has_exactly_the_rest(tmp_path: Path) -> None:
    for number, steps in enumerate((5, 40, 700, 1_020, 1_500, 2_040, 2_300, 9_999)):
        path = tmp_path / f"{number}.db"
        with open_database(path) as db:
            subscribe(db, *(f"reader{n}" for n in range(2_100)))
        died = publish_and_die(path, steps)
        with open_database(path) as db:
            (done,) = db.execute("SELECT count(*) FROM deliveries").fetchone()
            assert done in (0, 1_000, 2_000, 2_100)
            assert bool(died) == (done < 2_100)
            assert list(find_damage(db)) == []
            left = [reader for batch in audiences(db, MONDAY) for audience in batch for reader in audience.readers]
            assert left == [*range(done + 1, 2_101)]
            assert mail(db, MONDAY) == 2_100 - done
            assert len({message.address for message in claimed_by_first_run(db)}) == 2_100


def publish_and_die(path: Path, steps: int) -> int:
    """Publish in a process that is killed at a statement; return 0 if it came to its end before."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    with open_database(path) as db:
        db.conn.set_trace_callback(dying_at_statement(steps))
        mail(db, MONDAY, 1, 2, 3)
        os._exit(0)


def claimed_by_first_run(db: Database) -> list[Message]:
    db.table("runs").insert({"command": "run", "day": "", "started": ""})
    return claimed(db, 1)


def test_what_was_not_committed_is_not_remembered(db: Database) -> None:
    """A disk that is full for a moment must not leave mails that name fragments which are not there."""
    subscribe(db, "ann", "bob")
    outbox, fragment = Outbox(db), Fragment(text=b"text\r\n")
    ((audience,),) = outbox.audiences(MONDAY, MONDAY, MONDAY, range(1000))
    db.execute("CREATE TRIGGER full BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'disk is full'); END")
    with pytest.raises(sqlite3.Error):
        outbox.publish(MONDAY, SENDER, mails([audience], fragment), now())
    db.execute("DROP TRIGGER full")
    assert outbox.publish(MONDAY, SENDER, mails([audience], fragment), now()) == 2
    assert list(find_damage(db)) == []
    assert [message.content for message in claimed(db, 1)] == [b"text\r\n"] * 2


# ---- damaged mail ----------------------------------------------------------------------------------------------------

DAMAGES = {
    "missing": "DELETE FROM fragments WHERE id = 2",
    "changed": "UPDATE fragments SET html = html || '.' WHERE id = 2",
    "shortened": "UPDATE fragments SET text = x'' WHERE id = 2",
    "another type": "UPDATE fragments SET text = 'text' WHERE id = 2",
    "counted twice": "UPDATE fragments SET begins_paper = 1 - begins_paper WHERE id = 2",
    "another checksum": "UPDATE fragments SET checksum = x'00' WHERE id = 2",
    "unreadable list": "UPDATE editions SET fragments = '[1, 2' WHERE id = 2",
    "no list": "UPDATE editions SET fragments = '2' WHERE id = 2",
    "empty list": "UPDATE editions SET fragments = '[]' WHERE id = 2",
    "list of lists": "UPDATE editions SET fragments = '[[1], {}]' WHERE id = 2",
    "list of something": "UPDATE editions SET fragments = '[\"a\"]' WHERE id = 2",
}


class Impatient(Progress):
    """Refuses to wait: the only message left must not be tried again."""

    def pause(self, seconds: float) -> None:
        raise AssertionError(f"waits for {seconds} s")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("doubt", [False, True], ids=["pending", "in doubt"])
def test_damaged_mail_is_found_and_never_sent(db: Database, damage: str, doubt: bool) -> None:
    ann, bob, cyd = subscribe(db, "ann", "bob", "cyd")
    add_papers(db, 1, 9, MONDAY)
    ((audience,),) = audiences(db, MONDAY)
    alone = [Audience((reader.id,), audience.profile, frozenset(), audience.key) for reader in (ann, bob, cyd)]
    pieces = [Fragment(head=b"To: \0address\0\r\n\r\n"), Fragment(text=b"to bob", html=b"."), Fragment(text=b"hello")]
    chosen = [(alone[0], [pieces[0]], [1]), (alone[1], pieces[:2], [2]), (alone[2], [pieces[0], pieces[2]], [3])]
    Outbox(db).publish(MONDAY, SENDER, chosen, now())
    if doubt:
        db.execute("UPDATE deliveries SET state = 'in doubt', doubt = 1, run = 1 WHERE subscriber = ?", [bob.id])
    intact = Outbox(db).message_of(bob, MONDAY)
    kept = db.execute("SELECT * FROM fragments WHERE id = 2").fetchone(), "[1,2]"
    db.execute(DAMAGES[damage])
    db.conn.commit()
    with Server().running() as server:
        deliver = smtp_delivery(SmtpSettings(("127.0.0.1",), server.port, "none"))
        for run in (2, 3):
            outbox = Outbox(db)
            outbox.recover(run, now())
            deliver_queue(outbox, deliver, run, now, Impatient())
            assert outbox.count_waiting() == 1
            assert outbox.damage.startswith("its text is damaged: ")
        assert sorted(server.recipients()) == ["ann@example.org", "cyd@example.org"]
        assert list(find_damage(db)) == [(MONDAY, 1)]
        with pytest.raises((MailDamaged, MailPruned), match=r"the mail of 2026-04-20 to bob@example.org is "):
            Outbox(db).message_of(bob, MONDAY)
        (problem,) = Statistics(db.conn).problem_deliveries()
        assert (problem["address"], problem["reply"]) == ("bob@example.org", outbox.damage)
        db.execute("INSERT OR REPLACE INTO fragments VALUES (?, ?, ?, ?, ?, ?, ?)", kept[0])  # as a backup has it
        db.execute("UPDATE editions SET fragments = ? WHERE id = 2", [kept[1]])
        outbox = Outbox(db)
        outbox.recover(4, now())
        deliver_queue(outbox, deliver, 4, now, Impatient())
        assert (outbox.count_waiting(), outbox.damage) == (0, "")
        assert server.taken[-1] == ("bob@example.org", (intact or b"") + b"\r\n")


def test_readers_who_differ_in_old_papers_only_are_one_audience(db: Database) -> None:
    ann, bob, cyd = subscribe(db, "ann", "bob", "cyd")
    Outbox(db).import_shown([(ann, ["arxiv:2604.00001"], MONDAY), (bob, ["arxiv:2604.00002"], MONDAY)], now())
    old = [Papers(db).find_named(f"arxiv:2604.0000{n}") for n in (1, 2)]
    later = MONDAY + timedelta(1)
    assert None not in old
    ((alike,),) = Outbox(db).audiences(later, MONDAY, later, [77])
    assert (alike.readers, alike.shown) == ((ann.id, bob.id, cyd.id), frozenset())
    shown = [
        audience.shown for batch in Outbox(db).audiences(later, MONDAY, later, [old[0] or 0]) for audience in batch
    ]
    assert shown == [{old[0]}, frozenset()]


def test_what_a_failed_publish_stored_is_stored_by_the_next(db: Database) -> None:
    ann, bob = subscribe(db, "ann", "bob")
    add_papers(db, 1, 9, MONDAY)
    outbox, head = Outbox(db), Fragment(head=b"To: \0address\0\r\n\r\n")
    ((audience,),) = audiences(db, MONDAY)
    to_ann, to_bob = (replace(audience, readers=(reader.id,)) for reader in (ann, bob))
    assert outbox.publish(MONDAY, SENDER, [(to_bob, [head], [1])], now()) == 1
    mail = [head, Fragment(text=b"Hello\r\n")]
    nobody = replace(audience, readers=("nobody", object()))  # type: ignore[arg-type]
    with pytest.raises(sqlite3.Error):
        outbox.publish(MONDAY, SENDER, [(nobody, mail, [1])], now())
    assert outbox.publish(MONDAY, SENDER, [(to_ann, mail, [1])], now()) == 1
    assert Outbox(db).message_of(ann, MONDAY) == b"To: ann@example.org\r\n\r\nHello\r\n"


def test_a_damaged_list_of_papers_stops_a_run_before_a_paper_comes_twice(db: Database) -> None:
    add_papers(db, 1, 9, MONDAY)
    publish(db, MONDAY, 2)
    db.execute("UPDATE editions SET papers = 'x'")
    assert [day for day, _ in find_damage(db)] == [MONDAY]
    with pytest.raises(HistoryError, match="a list of the papers in mails is damaged; restore a backup"):
        list(audiences(db, MONDAY + timedelta(1)))


def test_mail_that_stays_damaged_expires_and_has_shown_nothing(db: Database) -> None:
    (ann,) = subscribe(db, "ann")
    add_papers(db, 1, 9, MONDAY)
    mail(db, MONDAY, 1, 2)
    db.execute("DELETE FROM fragments")
    later = MONDAY + timedelta(4)
    assert claimed(db, 1) == []
    assert Outbox(db).release(1, now()) == 0
    assert outbox_shown(db, ann, MONDAY) == {1, 2}
    Outbox(db).recover(2, now(later))
    assert states(db) == {"expired": 1}
    assert outbox_shown(db, ann, later) == frozenset()
    assert [audience.shown for batch in audiences(db, later) for audience in batch] == [frozenset()]


def test_mail_that_was_damaged_once_waits_like_any_other(db: Database) -> None:
    publish(db, MONDAY, 2)
    kept = db.execute("SELECT head FROM fragments").fetchone()
    db.execute("UPDATE fragments SET head = x'00'")
    db.conn.commit()
    assert claimed(db, 1) == []
    assert Outbox(db).release(1, now()) == 0
    db.execute("UPDATE fragments SET head = ?", kept)
    db.conn.commit()
    Outbox(db).recover(2, now())
    assert len(claimed(db, 2)) == Outbox(db).release(2, now()) == len(claimed(db, 2)) == 2


def test_an_id_is_never_given_again(db: Database) -> None:
    """Else a message whose fragment somebody deleted would be assembled with another one."""
    publish(db, MONDAY, 1)
    db.execute("DELETE FROM fragments")
    publish(db, MONDAY + timedelta(1), 1, b"another")
    assert [message.content for message in claimed(db, 1)] == [b"anotherreader0@example.org"]


def test_a_fragment_that_is_stored_again_is_mended(db: Database) -> None:
    publish(db, MONDAY, 1)
    db.execute("UPDATE fragments SET head = x'00'")
    publish(db, MONDAY, 2)
    assert list(find_damage(db)) == []
    assert len(claimed(db, 1)) == 2
