"""How far each mailbox has been read, and which of its messages have been processed (each once)."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING

from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database


class LetterError(Exception):
    """Processing a message failed, and is not tried again."""


class Mailboxes:
    """Mailboxes and their messages in the database `db`. A mailbox is identified by its name, without secrets."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def cursor(self, mailbox: str) -> str:
        """Return the position up to which the mailbox was read; '' at first."""
        row = self._db.execute("SELECT cursor FROM mailboxes WHERE name = ?", [mailbox]).fetchone()
        return str(row[0]) if row else ""

    @contextmanager
    def letter(self, mailbox: str, cursor: str, identity: str, day: date) -> Iterator[bool]:
        """Open a transaction around processing one message; store its identity and the new position.

        Yields whether to process the message: False for one that was processed before, or has no identity. If that
        fails, it is undone, and raised as LetterError once the message is stored as processed: it would fail again.
        Only an error of SQLite ends the reading, and the next one begins with this message.
        """
        failure: Exception | None = None
        with transaction(self._db):
            known = self._db.execute("SELECT 1 FROM letters WHERE id = ?", [identity]).fetchone()
            is_new = bool(identity) and not known
            if is_new:
                self._db.execute("INSERT INTO letters (id, read) VALUES (?, ?)", [identity, day.isoformat()])
            self._db.execute("SAVEPOINT letter")
            try:
                yield is_new
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001  raised below
                self._db.execute("ROLLBACK TO letter")
                failure = error
            self._db.execute("RELEASE letter")
            self._db.execute(
                "INSERT INTO mailboxes (name, cursor) VALUES (?, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor",
                [mailbox, cursor],
            )
        if failure:
            raise LetterError(f"unexpected error ({type(failure).__name__})") from failure

    def record_success(self, mailbox: str, now: datetime) -> None:
        """Record that the mailbox was read to its end."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO mailboxes (name, cursor, read) VALUES (?, '', ?)"
                " ON CONFLICT DO UPDATE SET read = excluded.read, failing = NULL, problem = ''",
                [mailbox, now.isoformat()],
            )

    def record_failure(self, mailbox: str, problem: str, now: datetime) -> datetime:
        """Record that the mailbox cannot be read; return since when."""
        with transaction(self._db):
            (since,) = self._db.execute(
                "INSERT INTO mailboxes (name, cursor, failing, problem) VALUES (?, '', ?, ?)"
                " ON CONFLICT DO UPDATE SET failing = coalesce(failing, excluded.failing), problem = excluded.problem"
                " RETURNING failing",
                [mailbox, now.isoformat(), problem],
            ).fetchone()
        return datetime.fromisoformat(since)

    def clear_other_failures(self, mailbox: str) -> None:
        """Clear the failures of mailboxes that are no longer configured; their positions stay."""
        with transaction(self._db):
            self._db.execute("UPDATE mailboxes SET failing = NULL, problem = '' WHERE name <> ?", [mailbox])
