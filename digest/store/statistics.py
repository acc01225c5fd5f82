"""Read-only queries for `status` and `doctor`.

They use a plain connection, so that `status` does not wait for sqlite-utils to be imported.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from digest.mail.requests import CONFIRM_WITHIN
from digest.store.database import database_error, exists, open_database, utc
from digest.store.schema import MIGRATIONS, migrate

GOOD_STATES = ("read", "partial", "stale", "empty")  # of a fetch that did not fail
_MAX_ROWS = 20

Row = dict[str, Any]


class Statistics:
    """Queries over `connection`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def runs(self, limit: int = 5) -> list[Row]:
        """Return the newest runs, newest first, each with the results of its sources."""
        rows = self._rows("SELECT * FROM runs ORDER BY id DESC LIMIT ?", [limit])
        return [{**row, "summary": json.loads(row["summary"]), "sources": self._fetches(row["id"])} for row in rows]

    def sources(self) -> list[Row]:
        """Return the last fetch of each source, when it was last read, and how many runs have failed since."""
        names = [row[0] for row in self._connection.execute("SELECT DISTINCT source FROM fetches ORDER BY source")]
        return [self._source(name) for name in names]

    def newest_fetch(self, source: str, states: tuple[str, ...], day: date = date.max) -> Row:
        """Return the newest fetch of a run up to `day` that ended in one of `states`; empty if there is none."""
        rows = self._rows(
            "SELECT f.*, r.started, r.day FROM fetches f JOIN runs r ON r.id = f.run WHERE f.source = ?"
            " AND f.state IN (SELECT value FROM json_each(?)) AND r.day <= ? ORDER BY r.day DESC, f.run DESC LIMIT 1",
            [source, json.dumps(states), day.isoformat()],
        )
        return rows[0] if rows else {}

    def count_fetches_since(self, source: str, run: int) -> int:
        """Return how many fetches of `source` came after the one of `run`."""
        return self._number("SELECT count(*) FROM fetches WHERE source = ? AND run > ?", [source, run])

    def deliveries_by_state(self) -> dict[str, int]:
        """Return the number of deliveries in each state that has any."""
        # Without a Message-ID, another digest sent it: see Outbox.import_shown.
        rows = self._connection.execute("SELECT state, count(*) FROM deliveries WHERE message_id <> '' GROUP BY state")
        return dict(rows.fetchall())

    def problem_deliveries(self) -> list[Row]:
        """Return the newest deliveries that failed, are in doubt or were retried: address, day, state, last reply."""
        return self._rows(
            "SELECT s.address, d.day, d.state, d.attempts, d.reply FROM deliveries d"
            " JOIN subscribers s ON s.id = d.subscriber WHERE d.id IN"
            " (SELECT id FROM queue WHERE state = 'in doubt' OR attempts > 0 UNION ALL"
            " SELECT id FROM deliveries WHERE state IN ('refused', 'expired')) ORDER BY d.id DESC LIMIT ?",
            [_MAX_ROWS],
        )

    def suspended(self) -> list[Row]:
        """Return the subscribers suspended last, because mail to them was refused or bounced, and why."""
        return self._rows(
            "SELECT address, suspended AS why FROM subscribers WHERE suspended <> '' AND gone IS NULL"
            " ORDER BY coalesce(bounced, refused) DESC, id LIMIT ?",
            [_MAX_ROWS],
        )

    def missing_topics(self, topics: Iterable[str]) -> dict[str, int]:
        """Return each topic that is not in `topics`, and how many of those who get mail chose it."""
        rows = self._connection.execute(
            "SELECT t.value, sum(s.readers) FROM (SELECT topics, count(*) AS readers FROM receivers"
            " WHERE topics IS NOT NULL GROUP BY topics) s JOIN json_each(s.topics) t"
            " WHERE t.value NOT IN (SELECT value FROM json_each(?)) GROUP BY 1 ORDER BY 1",
            [json.dumps(list(topics))],
        )
        return dict(rows.fetchall())

    def count_readers(self, configured: Iterable[str]) -> int:
        """Return how many get mail, now or after a pause, if the addresses with these keys are in digest.to."""
        return self._number(
            "SELECT count(*) FROM (SELECT value AS key FROM json_each(?)"
            " UNION SELECT key FROM subscribers WHERE subscribed)"
            " WHERE key NOT IN (SELECT key FROM subscribers WHERE gone IS NOT NULL OR suspended <> '')",
            [json.dumps(list(configured))],
        )

    def mailboxes(self) -> list[Row]:
        """Return each mailbox: when it was last read, since when it cannot be read, and why."""
        return self._rows("SELECT name, read, failing, problem FROM mailboxes ORDER BY name")

    def signups(self, now: datetime) -> dict[str, int]:
        """Return how many requests to subscribe are `pending` (not confirmed) or `waiting` for their confirmation mail.

        `today` is how many confirmation mails were written since midnight in the time zone of `now`, the real time.
        """
        open_since = utc(now - CONFIRM_WITHIN)
        midnight = utc(datetime.combine(now.date(), time(), now.tzinfo))
        return {
            "pending": self._number("SELECT count(*) FROM requests WHERE used IS NULL AND answered > ?", [open_since]),
            "waiting": self._number("SELECT count(*) FROM requests WHERE answered IS NULL AND asked > ?", [open_since]),
            "today": self._number("SELECT count(*) FROM requests WHERE answered >= ?", [midnight]),
        }

    def answers_by_state(self) -> dict[str, int]:
        """Return the number of answers to letters in each state that has any."""
        return dict(self._connection.execute("SELECT state, count(*) FROM answer_mails GROUP BY state").fetchall())

    def size(self) -> dict[str, int]:
        """Return the numbers of papers, subscribers who get mail, editions and messages."""
        return {
            "papers": self._number("SELECT count(*) FROM papers"),
            "subscribers": self._number("SELECT count(*) FROM receivers"),
            "editions": self._number("SELECT count(*) FROM editions"),
            "messages": self._number("SELECT count(*) FROM deliveries WHERE message_id <> ''"),
        }

    def holds_addresses(self) -> bool:
        """Return whether anybody is, or was, a subscriber."""
        return bool(self._number("SELECT EXISTS (SELECT 1 FROM subscribers)"))

    def _fetches(self, run: int) -> list[Row]:
        rows = self._rows("SELECT * FROM fetches WHERE run = ? ORDER BY source", [run])
        return [{"source": row["source"], **_fetch_facts(row)} for row in rows]

    def _source(self, source: str) -> Row:
        last = self.newest_fetch(source, (*GOOD_STATES, "failed"))
        good = self.newest_fetch(source, GOOD_STATES)
        return {
            "source": source,
            "asked": last["started"],
            "read": good["started"] if good else None,
            "failed_runs": self.count_fetches_since(source, good["run"] if good else 0),
            **_fetch_facts(last),
        }

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        cursor = self._connection.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def _number(self, sql: str, values: Sequence[Any] = ()) -> int:
        return int(self._connection.execute(sql, values).fetchone()[0])


@contextmanager
def open_statistics(path: Path) -> Iterator[Statistics]:
    """Open the statistics of the database at `path`, all empty while it does not exist; it is not created.

    Raises HistoryError when it cannot be read.
    """
    if exists(path) and not _is_current(path):
        with open_database(path):
            pass  # migrates it, or raises why it cannot be used
    try:
        with closing(sqlite3.connect(path) if exists(path) else _empty_database()) as connection:
            yield Statistics(connection)
    except sqlite3.Error as error:
        raise database_error(path, error) from error


def size_on_disk(database: Path) -> int:
    """Return the bytes of the database, including what is not yet merged into its file."""
    files = (database, database.with_name(f"{database.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _fetch_facts(row: Mapping[str, Any]) -> Row:
    lists = {key: json.loads(row[key]) for key in ("skipped", "errors", "late")}
    return {"state": row["state"], "papers": row["papers"], "new": row["new"], **lists}


def _is_current(path: Path) -> bool:
    """Return whether the database has the current schema."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            rows = connection.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'digest'").fetchall()
    except sqlite3.Error:
        return False
    return {row[0] for row in rows} == set(MIGRATIONS)


def _empty_database() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for steps in MIGRATIONS.values():
        migrate(connection, steps)
    return connection
