"""How far each mailbox of replies has been read, and which letters have been acted on: each letter acts once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING

from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database


class Mailboxes:
    """Mailboxes and letters in the database `db`. A mailbox is known by its name, without secrets."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def cursor(self, mailbox: str) -> str:
        """Up to where the mailbox was read, as its reader counts; '' at first."""
        row = self._db.execute("SELECT cursor FROM mailboxes WHERE name = ?", [mailbox]).fetchone()
        return str(row[0]) if row else ""

    @contextmanager
    def letter(self, mailbox: str, cursor: str, identity: str, day: date) -> Iterator[bool]:
        """One transaction around all that a letter causes: it moves the cursor behind the letter and remembers it.

        Yields whether the letter is to be acted on: False for one that was acted on before, or has no identity.
        """
        with transaction(self._db):
            known = self._db.execute("SELECT 1 FROM letters WHERE id = ?", [identity]).fetchone()
            is_new = bool(identity) and not known
            if is_new:
                self._db.execute("INSERT INTO letters (id, read) VALUES (?, ?)", [identity, day.isoformat()])
            yield is_new
            self._db.execute(
                "INSERT INTO mailboxes (name, cursor) VALUES (?, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor",
                [mailbox, cursor],
            )

    def record_success(self, mailbox: str, now: datetime) -> None:
        """The mailbox was read to its end."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO mailboxes (name, cursor, read) VALUES (?, '', ?)"
                " ON CONFLICT DO UPDATE SET read = excluded.read, failing = NULL, problem = ''",
                [mailbox, now.isoformat()],
            )

    def record_failure(self, mailbox: str, problem: str, now: datetime) -> datetime:
        """The mailbox cannot be read; return since when."""
        with transaction(self._db):
            (since,) = self._db.execute(
                "INSERT INTO mailboxes (name, cursor, failing, problem) VALUES (?, '', ?, ?)"
                " ON CONFLICT DO UPDATE SET failing = coalesce(failing, excluded.failing), problem = excluded.problem"
                " RETURNING failing",
                [mailbox, now.isoformat(), problem],
            ).fetchone()
        return datetime.fromisoformat(since)

    def clear_other_failures(self, mailbox: str) -> None:
        """A mailbox that is no longer configured is no longer one that cannot be read; its cursor stays."""
        with transaction(self._db):
            self._db.execute("UPDATE mailboxes SET failing = NULL, problem = '' WHERE name <> ?", [mailbox])
