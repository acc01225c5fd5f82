"""Responses of services, kept so that unchanged ones need not be sent again. Losing them loses nothing."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING

from digest.sources import CachedResponse
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database

_KEPT_DAYS = 20  # longer than any list is read again


class HttpCache:
    """Responses by URL in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def load(self) -> dict[str, CachedResponse]:
        """All that is kept, by URL."""
        rows = self._db.execute("SELECT url, etag, modified, packed FROM answers")
        return {row[0]: CachedResponse(*row) for row in rows.fetchall()}

    def store(self, responses: Iterable[CachedResponse], day: date) -> None:
        """Keep these as of `day`, and delete what was not asked for in a long time.

        The body is kept with its validators, so it does not matter whether its papers have been recorded.
        """
        with transaction(self._db):
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO answers (url, etag, modified, packed, asked) VALUES (?, ?, ?, ?, ?)",
                [(r.url, r.etag, r.modified, r.packed, day.isoformat()) for r in responses],
            )
            self._db.execute("DELETE FROM answers WHERE asked < ?", [(day - timedelta(_KEPT_DAYS)).isoformat()])
