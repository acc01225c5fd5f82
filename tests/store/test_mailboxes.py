"""Each message of a mailbox is processed once, and one that cannot be processed stands in nobody's way."""

import sqlite3
from pathlib import Path

import pytest

from digest.ranking import DEFAULT_PROFILE
from digest.store.database import open_database
from digest.store.mailboxes import LetterError, Mailboxes
from digest.store.subscribers import Subscribers
from tests.conftest import MONDAY


def add_and_fail(people: Subscribers) -> None:
    people.add("ann@example.org", DEFAULT_PROFILE)
    raise KeyError("unforeseen")


def test_a_message_that_cannot_be_processed_is_undone_and_not_tried_again(tmp_path: Path) -> None:
    with open_database(tmp_path / "history.db") as db:
        mailboxes, people = Mailboxes(db), Subscribers(db, b"secret" * 4)
        with pytest.raises(LetterError, match="KeyError"), mailboxes.letter("box", "1", "first", MONDAY):
            add_and_fail(people)
        assert people.status("ann@example.org", MONDAY) is None
        assert mailboxes.cursor("box") == "1"
        with mailboxes.letter("box", "1", "first", MONDAY) as is_new:
            assert not is_new
        with mailboxes.letter("box", "2", "second", MONDAY) as is_new:
            assert is_new


def test_an_error_of_the_database_leaves_the_message_to_the_next_reading(tmp_path: Path) -> None:
    with open_database(tmp_path / "history.db") as db:
        mailboxes = Mailboxes(db)
        with pytest.raises(sqlite3.OperationalError), mailboxes.letter("box", "1", "first", MONDAY):
            raise sqlite3.OperationalError("disk I/O error")
        assert mailboxes.cursor("box") == ""
        with mailboxes.letter("box", "1", "first", MONDAY) as is_new:
            assert is_new
