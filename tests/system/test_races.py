"""Who leaves, pauses or comes while a run is at work, and what a preview knows of a queue that nobody has cleared."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from digest.delivery import Outcome, State
from digest.errors import Undelivered
from digest.mail.message import Fragment
from digest.pipeline.preview import preview
from digest.pipeline.run import plan_run
from digest.ranking import DEFAULT_PROFILE
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.runs import Runs
from digest.store.subscribers import ImportedSubscriber, Subscribers
from tests.conftest import MONDAY, MORNING, Workplace, at, paper
from tests.delivery.test_smtp import at as answers
from tests.pipeline.test_deliver import Installation
from tests.server import Server

SENDER, FRAGMENTS = "digest@example.org", [Fragment(b"To: \0address\0\r\n\r\n")]


@pytest.mark.parametrize("what", ["leave", "pause"])
def test_a_message_in_the_hands_of_a_run_is_not_tried_again_for_who_left_since(workplace: Workplace, what: str) -> None:
    with open_database(workplace.folder / "history.db") as db:
        people, outbox = Subscribers(db, b"x"), Outbox(db)
        for name in ("ann", "bob"):
            people.add(f"{name}@example.org", DEFAULT_PROFILE)
        ((audience,),) = outbox.audiences(MONDAY, MONDAY, MONDAY, range(1000))
        outbox.publish(MONDAY, SENDER, [(audience, FRAGMENTS, [])], MORNING)
        run = Runs(db).begin("run", MONDAY, MORNING)
        claimed = list(outbox.claim(run))
        away(people, what)
        assert outbox.withdraw(MONDAY) == 0, "what may be on its way is not touched"
        outbox.settle(run, [Outcome(message.key, State.PENDING, "451 later") for message in claimed], MORNING)
        assert outbox.release(run, MORNING) == 1
        assert [message.address for message in outbox.claim(run)] == ["ann@example.org"]


def away(people: Subscribers, what: str) -> None:
    bob = people.by_address("bob@example.org")
    if what == "leave":
        people.unsubscribe(bob, MONDAY)
    else:
        people.pause(bob, MONDAY + timedelta(1))


@pytest.mark.parametrize("what", ["leave", "pause"])
def test_who_leaves_while_an_edition_is_written_does_not_get_it(workplace: Workplace, what: str) -> None:
    with open_database(workplace.folder / "history.db") as db:
        people, outbox = Subscribers(db, b"x"), Outbox(db)
        for name in ("ann", "bob"):
            people.add(f"{name}@example.org", DEFAULT_PROFILE)
        ((audience,),) = outbox.audiences(MONDAY, MONDAY, MONDAY, range(1000))
        away(people, what)
        assert outbox.publish(MONDAY, SENDER, [(audience, FRAGMENTS, [])], MORNING) == 1
        assert outbox.message_of(people.by_address("bob@example.org"), MONDAY) is None


def test_a_preview_shows_again_what_waits_unsent_for_too_long(workplace: Workplace) -> None:
    """As the run does: for it, mail that is too old expires, and has shown nothing."""
    installation, friday = Installation(workplace), MONDAY + timedelta(4)
    installation.readers(1)
    with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)
    workplace.lists(*(paper(n) for n in range(2)))
    fetcher = Fetcher("digest@example.org")
    previewed = preview(workplace.config(), friday, "reader0@example.org", at(friday), fetcher).content
    _, planned = plan_run(workplace.config(), friday, at(friday), fetcher)
    workplace.run(friday)
    (mail,) = (workplace.folder / "mail" / "new").iterdir()
    assert mail.read_bytes() == previewed.replace(b"\r\n", b"\n")
    assert len(workplace.titles("reader0@example.org")[0]) == len(planned[0][1].entries) == 5


def test_a_pause_that_is_over_by_its_day_keeps_the_mail_of_that_day_when_an_earlier_day_is_run(
    workplace: Workplace,
) -> None:
    installation = Installation(workplace)
    installation.readers(1)
    with open_database(workplace.folder / "history.db") as db:
        people = Subscribers(db, b"x")
        people.configure(workplace.to)
        people.pause(people.by_address("reader0@example.org"), MONDAY)
        with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
            installation.run(server.port)
        assert Outbox(db).withdraw(MONDAY - timedelta(2)) == 0
    assert installation.counts() == {"pending": 1}


def test_a_run_can_write_while_a_long_list_is_read(workplace: Workplace) -> None:
    path = workplace.folder / "history.db"
    with open_database(path) as db, open_database(path) as other:
        other.conn.execute("PRAGMA busy_timeout = 0")

        def lines() -> Iterator[ImportedSubscriber]:
            for name in ("ann", "bob"):
                yield ImportedSubscriber(f"{name}@example.org")
                Subscribers(other, b"x").add(f"{name}@elsewhere.example", DEFAULT_PROFILE)

        assert Subscribers(db, b"x").import_all(lines(), MONDAY).added == 2
        assert db.table("subscribers").count == 4
