"""Read the history of another digest, the origin, while that one may be writing it.

SQLite opens it read-only: neither its bytes nor its modification time change. In WAL mode a reader sees the last commit
without making the writer wait. https://www.sqlite.org/wal.html#read_only_databases says what works in a folder that
cannot be written: a log that exists, with its index; and no log at all, where the file is declared `immutable`.

Whoever writes it may be somebody else. So its papers pass the gate for stored ones (`digest.papers.check_stored`), no
value of it is larger than a few megabytes, and what looks like its tables may not be queries of their own.
"""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from digest.errors import SourceError
from digest.papers import check_count, check_stored
from digest.papers.text.clean import clean
from digest.sources import Fetched, PreviousRuns
from digest.store.papers import CopiedPaper, Reading, paper_from_row

_WAIT = 30.0  # seconds for a writer that recovers the log after a crash
_OVERLAP = timedelta(days=14)  # read again each time: a run with --date may have added to days that were copied
_MAX_BYTES = 4_000_000  # of a value or row: a paper with 3,000 authors takes 300 kB
_MAX_SOURCE = 200  # characters of the name of a source
_NAME = re.compile(r"(?:arxiv|doi|id|title):[^\x00-\x1f\x7f]{1,3500}")  # see digest.papers
_TABLES = ("fetches", "names", "papers", "runs", "sightings")
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
        with _reading():
            found = self._connection.execute(
                "SELECT source, state FROM fetches WHERE run = (SELECT max(r.id) FROM runs r"
                " JOIN fetches f ON f.run = r.id WHERE r.day = ? AND r.finished IS NOT NULL)",
                [day.isoformat()],
            )
            rows = [(_source(source), state) for source, state in found]
            worst = min((state for _, state in rows), key=_WORST_FIRST.index, default="")
        if not rows:
            return Fetched(name, read=1, stale=("its history",), previous=previous, history=self._path)
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
        with _reading():
            rows = self._connection.execute(
                "SELECT p.id, p.title, p.abstract, p.facts, p.first_seen, s.source, s.day, s.seen, s.votes,"
                " (SELECT json_group_array(name) FROM names WHERE paper = p.id)"
                " FROM papers p JOIN sightings s ON s.paper = p.id"
                " WHERE p.id IN (SELECT paper FROM sightings WHERE seen >= ?) ORDER BY p.id, s.seen, s.source, s.day",
                [start.isoformat()],
            )
            for _, listed in groupby(rows, key=lambda row: row[0]):
                yield _copied(list(listed))


@contextmanager
def open_origin(path: Path) -> Iterator[Origin]:
    """Open the history at `path` to read one state of it. Every failure to read it becomes a SourceError."""
    with _reading():
        if not path.is_file():
            raise SourceError("there is no such file; the first run of the digest that it belongs to creates it")
        connection = _connect(path)
    with closing(connection):
        with _reading():
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_BYTES)
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("BEGIN")
            _check_tables(connection)
        yield Origin(path, connection)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn every failure to read an origin into a SourceError, and no other: the reader has a database of its own."""
    try:
        yield
    except sqlite3.Error as error:
        raise SourceError(f"it cannot be read: {_explain(error)}") from None
    except OSError as error:
        raise SourceError(f"it cannot be read: {error.strerror}") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):  # what no digest writes
        raise SourceError("it is damaged, or was written by a version of digest that this one does not know") from None


def _check_tables(connection: sqlite3.Connection) -> None:
    """Raise DatabaseError if a view, which may be a query without end, has the name of a table."""
    views = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'view' AND lower(name) IN (SELECT value FROM json_each(?))",
        [json.dumps(_TABLES)],
    )
    if views.fetchone()[0]:
        raise sqlite3.DatabaseError("no such table")


def _copied(rows: list[tuple[Any, ...]]) -> CopiedPaper:
    """Return the paper in the rows of its readings. Raises as `_reading` expects for what no digest writes."""
    _, title, abstract, facts, first_seen, *_, names = rows[0]
    return CopiedPaper(
        check_stored(paper_from_row(title, abstract, facts)),
        date.fromisoformat(first_seen),
        tuple(name for name in json.loads(names) if _NAME.fullmatch(name)),
        tuple(
            Reading(
                date.fromisoformat(seen),
                _source(source),
                date.fromisoformat(listed),
                None if votes is None else check_count(votes),
            )
            for *_, source, listed, seen, votes, _ in rows
        ),
    )


def _source(name: str) -> str:
    return clean(name[:_MAX_SOURCE])


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
