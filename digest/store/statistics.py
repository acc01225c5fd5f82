"""What the database says about runs, sources, the queue and the mailbox: what `status` and `doctor` look at.

Reads only, over a plain connection, so that who only wants to look does not wait for sqlite-utils to be imported.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from digest.store.database import database_error
from digest.store.schema import MIGRATIONS

READABLE = ("read", "partial", "stale", "empty")  # the states of a fetch that got something


class Statistics:
    """The reading side of the database behind `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def _rows(self, question: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        cursor = self._connection.execute(question, values)
        names = [column[0] for column in cursor.description]
        return (dict(zip(names, row, strict=True)) for row in cursor)

    def _number(self, question: str, values: Sequence[Any] = ()) -> int:
        return int(self._connection.execute(question, values).fetchone()[0])

    def runs(self, most: int = 5) -> list[dict[str, Any]]:
        """The newest runs first, each with what it got from its sources."""
        rows = self._rows("SELECT * FROM runs ORDER BY id DESC LIMIT ?", [most])
        return [{**row, "summary": json.loads(row["summary"]), "sources": self._fetches(row["id"])} for row in rows]

    def _fetches(self, run: int) -> list[dict[str, Any]]:
        rows = self._rows("SELECT * FROM fetches WHERE run = ? ORDER BY source", [run])
        return [{"source": row["source"], **_fetch_facts(row)} for row in rows]

    def sources(self) -> list[dict[str, Any]]:
        """Each source as it was last asked, with when it was last read and how often it has failed since."""
        found = [row[0] for row in self._connection.execute("SELECT DISTINCT source FROM fetches ORDER BY source")]
        return [self._source(source) for source in found]

    def _source(self, source: str) -> dict[str, Any]:
        last = self.newest(source, (*READABLE, "failed"))
        good = self.newest(source, READABLE)
        return {
            "source": source,
            "asked": last["started"],
            "read": good["started"] if good else None,
            "failed_runs": self.failed(source, good["run"] if good else 0),
            **_fetch_facts(last),
        }

    def failed(self, source: str, run: int) -> int:
        """How many fetches there were since the one of `run`: all of them failed."""
        return self._number("SELECT count(*) FROM fetches WHERE source = ? AND run > ?", [source, run])

    def newest(self, source: str, states: tuple[str, ...], day: date = date.max) -> dict[str, Any]:
        """The newest fetch of a run up to `day` that ended in one of `states`; empty for none."""
        rows = self._rows(
            "SELECT f.*, r.started, r.day FROM fetches f JOIN runs r ON r.id = f.run WHERE f.source = ?"
            " AND f.state IN (SELECT value FROM json_each(?)) AND r.day <= ? ORDER BY r.day DESC, f.run DESC LIMIT 1",
            [source, json.dumps(states), day.isoformat()],
        )
        return next(iter(rows), {})

    def counts(self) -> dict[str, int]:
        """How many deliveries there are in each state that has any."""
        return dict(self._connection.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())

    def troubled(self, most: int = 20) -> list[dict[str, Any]]:
        """The newest deliveries that did not simply arrive: address, day, state and the last reply."""
        return list(
            self._rows(
                "SELECT s.address, d.day, d.state, d.attempts, d.reply FROM deliveries d"
                " JOIN subscribers s ON s.id = d.subscriber WHERE d.id IN"
                " (SELECT id FROM queue WHERE state = 'in doubt' OR attempts > 0 UNION ALL"
                " SELECT id FROM deliveries WHERE state IN ('refused', 'expired')) ORDER BY d.id DESC LIMIT ?",
                [most],
            )
        )

    def suspended(self, most: int = 20) -> list[dict[str, Any]]:
        """Who gets no more mail because it was refused or came back: the newest addresses, and why."""
        return list(
            self._rows(
                "SELECT address, suspended AS why FROM subscribers WHERE suspended <> '' AND gone IS NULL"
                " ORDER BY coalesce(bounced, refused) DESC, id LIMIT ?",
                [most],
            )
        )

    def lost_topics(self, topics: Iterable[str]) -> dict[str, int]:
        """Topics that subscribers chose and that are none of `topics`: how many of those that get mail chose each."""
        rows = self._connection.execute(
            "SELECT t.value, sum(s.readers) FROM (SELECT topics, count(*) AS readers FROM receivers"
            " WHERE topics IS NOT NULL GROUP BY topics) s JOIN json_each(s.topics) t"
            " WHERE t.value NOT IN (SELECT value FROM json_each(?)) GROUP BY 1 ORDER BY 1",
            [json.dumps(list(topics))],
        )
        return dict(rows.fetchall())

    def mailboxes(self) -> list[dict[str, Any]]:
        """Each mailbox that letters were looked for in: when it was last read, since when it cannot be, and why."""
        return list(self._rows("SELECT name, read, failing, problem FROM mailboxes ORDER BY name"))

    def size(self) -> dict[str, int]:
        """How many papers, subscribers that get mail, editions and messages there are."""
        return {
            "papers": self._number("SELECT count(*) FROM papers"),
            "subscribers": self._number("SELECT count(*) FROM receivers"),
            "editions": self._number("SELECT count(*) FROM editions"),
            "messages": self._number("SELECT count(*) FROM deliveries"),
        }


def _fetch_facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What a fetch came to."""
    lists = {key: json.loads(row[key]) for key in ("skipped", "errors", "late")}
    return {"state": row["state"], "papers": row["papers"], "new": row["new"], **lists}


@contextmanager
def open_statistics(path: Path) -> Iterator[Statistics]:
    """The ledger of the database at `path`, which is made by nobody's looking: while there is none, it is empty.

    Raises HistoryError when it cannot be read.
    """
    if path.exists() and not _current(path):
        from digest.store.database import open_database

        with open_database(path):
            pass  # brings it to today's schema, or says why it cannot be used
    try:
        with closing(sqlite3.connect(path) if path.exists() else _empty()) as connection:
            yield Statistics(connection)
    except sqlite3.Error as problem:
        raise database_error(path, problem) from problem


def size_on_disk(database: Path) -> int:
    """Octets of the database, with what has not been merged into its file yet."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _current(path: Path) -> bool:
    """Whether the database is at today's schema."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'digest'").fetchall()
    except sqlite3.Error:
        return False
    return {row[0] for row in rows} == set(MIGRATIONS)


def _empty() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statements in MIGRATIONS.values():
        for statement in statements:
            connection.execute(statement)
    return connection
