"""Cached HTTP responses. Safe to delete."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import TYPE_CHECKING

from digest.sources import CachedResponse
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_DAYS = 20  # without use; no list is read again after so long
_MAX_BYTES = 64 * 2**20  # in all, since a run reads them all; a month of every service takes 10 MB


class HttpCache:
    """Responses by URL in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def load(self) -> dict[str, CachedResponse]:
        """Return all responses by URL."""
        rows = self._db.execute("SELECT url, etag, modified, packed FROM answers")
        return {row[0]: CachedResponse(*row) for row in rows.fetchall()}

    def store(self, responses: Iterable[CachedResponse], day: date) -> None:
        """Store these as of `day`; delete responses not used for 20 days, and the oldest beyond 64 MB."""
        with transaction(self._db):
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO answers (url, etag, modified, packed, asked) VALUES (?, ?, ?, ?, ?)",
                [(r.url, r.etag, r.modified, r.packed, day.isoformat()) for r in responses],
            )
            self._db.execute("DELETE FROM answers WHERE asked < ?", [(day - timedelta(_MAX_DAYS)).isoformat()])
            self._db.execute(_DELETE_LARGE, [_MAX_BYTES])


_DELETE_LARGE = """
DELETE FROM answers WHERE url IN (
    SELECT url FROM (SELECT url, sum(length(packed)) OVER (ORDER BY asked DESC, url) AS bytes FROM answers)
    WHERE bytes > ?
)
"""
