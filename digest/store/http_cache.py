"""What services answered last, kept so that they need not send it again. Nothing is lost when it is."""

from collections.abc import Iterable
from datetime import date, timedelta

from sqlite_utils import Database

from digest.sources import CachedResponse
from digest.store.database import transaction

_KEPT_DAYS = 20  # longer than any list is read again


class HttpCache:
    """Answers by address in the database `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def known(self) -> dict[str, CachedResponse]:
        rows = self._db.execute("SELECT url, etag, modified, packed FROM answers")
        return {row[0]: CachedResponse(*row) for row in rows.fetchall()}

    def keep(self, answers: Iterable[CachedResponse], day: date) -> None:
        """Remember these as of `day`, and forget what was not asked for in a long time.

        The body goes with its validators, so it does not matter whether what was read from it has been recorded.
        """
        with transaction(self._db):
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO answers (url, etag, modified, packed, asked) VALUES (?, ?, ?, ?, ?)",
                [(a.url, a.etag, a.modified, a.packed, day.isoformat()) for a in answers],
            )
            self._db.execute("DELETE FROM answers WHERE asked < ?", [(day - timedelta(_KEPT_DAYS)).isoformat()])
