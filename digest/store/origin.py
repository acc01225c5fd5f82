"""Read the history of another digest, the origin, while that one may be writing it.

SQLite opens it read-only: neither its bytes nor its modification time change. In WAL mode a reader sees the last commit
without making the writer wait. https://www.sqlite.org/wal.html#read_only_databases says what works in a folder that
cannot be written: a log that exists, with its index; and no log at all, where the file is declared `immutable`.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path

from digest.errors import SourceError
from digest.sources import Fetched, PreviousRuns
from digest.store.papers import CopiedPaper, Reading, paper_from_row

_WAIT = 30.0  # seconds for a writer that recovers the log after a crash
_OVERLAP = timedelta(days=14)  # read again each time: a run with --date may have added to days that were copied
_WORST_FIRST = ("failed", "partial", "stale", "empty", "read")


class Origin:
    """The history at `path`, open as `connection`; all of it as it was at the first query."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def fetched(self, name: str, day: date, previous: PreviousRuns) -> Fetched:
        """Return how the origin's sources did in its newest finished fetch of `day`, as the result of a source `name`.

        The origin is `stale` without such a fetch, else as bad as the worst of its sources.
        """
        rows = self._connection.execute(
            "SELECT source, state FROM fetches WHERE run = (SELECT max(r.id) FROM runs r JOIN fetches f ON f.run = r.id"
            " WHERE r.day = ? AND r.finished IS NOT NULL)",
            [day.isoformat()],
        ).fetchall()
        if not rows:
            return Fetched(name, read=1, stale=("its history",), previous=previous, history=self._path)
        worst = min((state for _, state in rows), key=_WORST_FIRST.index)
        bad = [f"its source {source} is {state}" for source, state in rows if state in ("failed", "partial")]
        return Fetched(
            name,
            errors=tuple(bad),
            read=sum(state != "failed" for _, state in rows),
            stale=tuple(source for source, state in rows if state == "stale"),
            empty=tuple(source for source, state in rows if state == "empty"),
            previous=previous,
            history=self._path,
            worst=worst,
        )

    def papers(self, since: date | None) -> Iterator[CopiedPaper]:
        """Yield the papers that were listed since the day `since`, or ever, in the order in which they arrived."""
        start = since - _OVERLAP if since else date.min
        rows = self._connection.execute(
            "SELECT p.id, p.title, p.abstract, p.facts, p.first_seen, s.source, s.day, s.seen, s.votes,"
            " (SELECT json_group_array(name) FROM names WHERE paper = p.id)"
            " FROM papers p JOIN sightings s ON s.paper = p.id"
            " WHERE p.id IN (SELECT paper FROM sightings WHERE seen >= ?) ORDER BY p.id, s.seen, s.source, s.day",
            [start.isoformat()],
        )
        for _, listed in groupby(rows, key=lambda row: row[0]):
            found = list(listed)
            _, title, abstract, facts, first_seen, *_, names = found[0]
            yield CopiedPaper(
                paper_from_row(title, abstract, facts),
                date.fromisoformat(first_seen),
                tuple(json.loads(names)),
                tuple(Reading(date.fromisoformat(r[7]), r[5], date.fromisoformat(r[6]), r[8]) for r in found),
            )


@contextmanager
def open_origin(path: Path) -> Iterator[Origin]:
    """Open the history at `path` to read one state of it. Every failure in the block becomes a SourceError."""
    if not path.is_file():
        raise SourceError("there is no such file; the first run of the digest that it belongs to creates it")
    try:
        with closing(_connect(path)) as connection:
            connection.execute("BEGIN")
            yield Origin(path, connection)
    except sqlite3.Error as error:
        raise SourceError(f"it cannot be read: {_explain(error)}") from None
    except (ValueError, TypeError, KeyError, AttributeError):  # JSON or dates that no digest writes
        raise SourceError("it is damaged, or was written by a version of digest that this one does not know") from None


def _connect(path: Path) -> sqlite3.Connection:
    uri, log = path.absolute().as_uri(), path.with_name(f"{path.name}-wal")
    modes = ["mode=ro"] if log.exists() and log.stat().st_size else ["mode=ro", "mode=ro&immutable=1"]
    for mode in modes:
        connection = sqlite3.connect(f"{uri}?{mode}", uri=True, timeout=_WAIT)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.OperationalError:
            connection.close()
            if mode == modes[-1]:
                raise
        else:
            break
    return connection


def _explain(error: sqlite3.Error) -> str:
    reasons = {
        "file is not a database": "it is not a database, or damaged",
        "no such table": "it does not belong to digest, or to a version that this one does not know",
        "no such column": "it belongs to a version of digest that this one does not know",
        "unable to open": "permission denied, or its log (-wal) cannot be read",
    }
    return next((reason for sign, reason in reasons.items() if sign in str(error)), str(error))
