"""Notice that a history was restored from a backup.

A restored history lacks what was sent, and who unsubscribed, after the backup. So a command that has changed the
history, or is about to send, gives it a higher number, in SQLite's `user_version`, and then writes that number into a
file beside it, the mark. A backup has the number, but not the mark:

  * A history with a lower number than its mark is older than the last one in this place. `run` and `send` refuse to
    send until the mark is deleted.
  * A history without a mark was moved or restored to another place. That is a warning, and a new mark is written.

After a crash or a full disk the mark may be behind the history, and notices less; it is never ahead of it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from digest.files import read_text, write_file
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_BYTES = 32  # of the file
_MAX_NUMBER = 2**31 - 1  # of a user_version


class HistoryMark:
    """The mark of the history at `path`, which is open as `db`."""

    def __init__(self, db: "Database", path: Path) -> None:
        self._db = db
        self.path = path.with_name(path.name + ".mark")

    @property
    def is_missing(self) -> bool:
        """Whether the history was used before, but in another place."""
        return self._number() > 0 and not self._marked()

    @property
    def problem(self) -> str:
        """What is wrong with a history that is older than its mark, and what to do; "" for any other."""
        if not self._is_older():
            return ""
        return (
            f"the history is a restored backup: {self.lacking}; unsubscribe them again with"
            f" `digest subscribers remove`, then delete {self.path} and run again"
        )

    @property
    def lacking(self) -> str:
        """What the history lacks if it is a backup."""
        (last,) = self._db.execute("SELECT max(day) FROM editions").fetchone()
        return f"it lacks what was sent and who unsubscribed since its last mail ({last or 'none'})"

    @contextmanager
    def following(self) -> Iterator[None]:
        """Advance after the block if it changed the history, and no error of SQLite ended it."""
        before, usable = self._db.conn.total_changes, True
        try:
            yield
        except sqlite3.Error:
            usable = False
            raise
        finally:
            if usable and self._db.conn.total_changes != before:
                self.advance()

    def advance(self) -> None:
        """Give the history a higher number than any before in this place, unless it is older than its mark."""
        with transaction(self._db):
            if self._is_older():
                return
            number = min(max(self._number(), self._marked()) + 1, _MAX_NUMBER)
            self._db.execute(f"PRAGMA user_version = {number}")
        with suppress(OSError):  # then it is behind
            write_file(self.path, f"{number}\n".encode(), mode=0o600)

    def _is_older(self) -> bool:
        return 0 < self._number() < self._marked()  # 0: a new history, begun where another one was

    def _number(self) -> int:
        return int(self._db.execute("PRAGMA user_version").fetchone()[0])

    def _marked(self) -> int:
        """Return the number in the file; 0 if it cannot be read."""
        try:
            text = read_text(self.path, _MAX_BYTES).strip()
        except (OSError, UnicodeDecodeError):
            return 0
        return min(int(text), _MAX_NUMBER) if text.isascii() and text.isdecimal() else 0
