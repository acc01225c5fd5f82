"""Delete what is older than so many days, but nothing that is still needed: what was shown to whom, what is queued.

    deleted                                 kept
    sightings                               those of papers listed since
    papers that were in no mail             papers listed since, liked ones, and those that likes are compared with
    abstracts, authors of papers in mails   their titles, identifiers and all their names; who was shown them
    the text of a mail                      mail in the queue; that a mail was sent, to whom and when
    replies of servers, mail never sent     whatever is in the queue
    runs and what they fetched              each source's last good results, and its failures since

A paper is recognised by its names, and was shown to everyone with a delivery of an edition with it: both are kept, so a
paper never comes twice, however long ago it was.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

from digest.config import Config
from digest.errors import ConfigError, HistoryError
from digest.ranking.similarity import BACKGROUND
from digest.store.database import open_database, run_lock, transaction
from digest.store.papers import Papers
from digest.store.statistics import size_on_disk

if TYPE_CHECKING:
    from sqlite_utils import Database

_MIN_DAYS = 30
_CATCHING_UP = 14 + 7  # how far back a source is read again, and a week to be on the safe side


@dataclass(frozen=True, slots=True)
class PruneResult:
    """How many of each were deleted, and the bytes on disk before and after."""

    papers: int
    texts: int
    sightings: int
    mails: int
    deliveries: int
    replies: int
    runs: int
    fetches: int
    before: int
    after: int


class _RollbackError(Exception):
    """Undoes what was only tried."""


def fewest_days(config: Config) -> int:
    """The fewest days that must be kept: a paper may trend through the whole window, and be found late."""
    return max(_MIN_DAYS, config.digest.window_days + _CATCHING_UP)


def prune(config: Config, today: date, days: int, *, dry_run: bool = False) -> PruneResult:
    """Delete what is older than `days`, counted from `today`, then shrink the file. With `dry_run`, only count it.

    One transaction: killed in it, nothing is gone. Raises ConfigError when `days` are too few, AlreadyRunning during a
    run.
    """
    if days < (fewest := fewest_days(config)):
        raise ConfigError(
            [f"--older-than: {days} days are too few; the next runs need the last {fewest}: write {fewest}d"]
        )
    database = config.digest.database
    with open_database(database, create=False) as db, run_lock(database):
        before, counts = size_on_disk(database), dict[str, int]()
        # SQLite would look through all deliveries for each run that goes; the check before the commit looks once.
        db.conn.execute("PRAGMA foreign_keys = OFF")
        with suppress(_RollbackError), transaction(db):
            counts = _delete(db, today - timedelta(days), _find_liked(db, config))
            if dry_run:
                raise _RollbackError
        if not dry_run:
            _shrink(db)
        return PruneResult(**counts, before=before, after=size_on_disk(database))


def _find_liked(db: "Database", config: Config) -> tuple[list[int], int]:
    """The rows that topics like, and the last row that likes are not compared with (see `BACKGROUND`)."""
    likes = [text for topic in config.topics for text in topic.like]
    newest = db.execute("SELECT id FROM papers ORDER BY id DESC LIMIT 1 OFFSET ?", [BACKGROUND if likes else 0])
    row = newest.fetchone()
    return [found for text in likes if (found := Papers(db).find(text))], row[0] if row else 0


def _delete(db: "Database", cutoff: date, liked: tuple[Sequence[int], int]) -> dict[str, int]:
    """Delete everything, in the order that leaves no reference to what is gone; return how many of each."""
    values = {"cutoff": cutoff.isoformat(), "liked": json.dumps(liked[0]), "up_to": liked[1]}
    counts = {}
    for statement in _TABLES:
        db.execute(statement)
    for what, statement in _STEPS:
        done = db.execute(statement, {k: v for k, v in values.items() if f":{k}" in statement}).rowcount
        if what:
            counts[what] = done
    if db.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1").fetchone():
        raise HistoryError("the history is inconsistent, so nothing was deleted; restore a backup")
    return counts


def _shrink(db: "Database") -> None:
    """Reduce the file to what it holds. Safe to be killed in: SQLite puts the smaller file in place at the end."""
    with transaction(db):
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.conn.execute("VACUUM")
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# `aged`: editions that are old. `old`: papers that no run can choose any more, and whether a mail has them.
# `needed`: each source's newest fetch of a kind, from which its freshness is judged.
_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS aged (edition INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE IF NOT EXISTS old (paper INTEGER PRIMARY KEY, shown INTEGER NOT NULL)",
    "CREATE TEMP TABLE IF NOT EXISTS needed (kind TEXT, source TEXT, run INTEGER, PRIMARY KEY (kind, source))",
    "DELETE FROM temp.aged",
    "DELETE FROM temp.old",
    "DELETE FROM temp.needed",
)
_STEPS = (
    ("", "INSERT INTO temp.aged SELECT id FROM editions WHERE day < :cutoff"),
    # Mail that never left has shown nothing, so it is as if it had not been queued.
    (
        "deliveries",
        "DELETE FROM deliveries WHERE edition IN (SELECT edition FROM temp.aged) AND state = 'expired' AND doubt = 0",
    ),
    (
        "",
        "DELETE FROM shown WHERE edition IN (SELECT edition FROM temp.aged)"
        " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = shown.edition)",
    ),
    (
        "",
        "DELETE FROM editions WHERE id IN (SELECT edition FROM temp.aged)"
        " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = editions.id)",
    ),
    (
        "mails",
        "UPDATE editions SET bytes = x'', gaps = '[]' WHERE id IN (SELECT edition FROM temp.aged)"
        " AND length(bytes) > 0 AND id NOT IN (SELECT edition FROM queue)",
    ),
    (
        "replies",
        "UPDATE deliveries SET reply = '', run = NULL WHERE edition IN (SELECT edition FROM temp.aged)"
        " AND state IN ('sent', 'refused', 'expired') AND (reply <> '' OR run IS NOT NULL)",
    ),
    (
        "",
        "INSERT INTO temp.old SELECT id, EXISTS (SELECT 1 FROM shown s WHERE s.paper = papers.id) FROM papers"
        " WHERE first_seen < :cutoff AND id <= :up_to AND id NOT IN (SELECT value FROM json_each(:liked))"
        " AND NOT EXISTS (SELECT 1 FROM sightings s WHERE s.paper = papers.id AND s.seen >= :cutoff)",
    ),
    # A paper is seen on the day it is first seen or later, so these are all there are.
    (
        "sightings",
        "DELETE FROM sightings WHERE paper IN (SELECT id FROM papers WHERE first_seen < :cutoff) AND seen < :cutoff",
    ),
    ("", "DELETE FROM names WHERE paper IN (SELECT paper FROM temp.old WHERE NOT shown)"),
    ("", "DELETE FROM vectors WHERE paper IN (SELECT paper FROM temp.old)"),
    ("papers", "DELETE FROM papers WHERE id IN (SELECT paper FROM temp.old WHERE NOT shown)"),
    # The title and the links to the paper stay. The second time there is nothing left to remove.
    (
        "texts",
        "UPDATE papers SET abstract = '', facts = json_remove(facts, '$.authors', '$.categories', '$.published',"
        " '$.code', '$.project', '$.huggingface') WHERE id IN (SELECT paper FROM temp.old WHERE shown)"
        " AND (abstract <> '' OR facts <> json_remove(facts, '$.authors', '$.categories', '$.published',"
        " '$.code', '$.project', '$.huggingface'))",
    ),
    # By kind: any state is one, 'failed' is not good, and only 'read' is whole.
    (
        "",
        "INSERT INTO temp.needed SELECT DISTINCT k.value, f.source, first_value(f.run)"
        " OVER (PARTITION BY k.value, f.source ORDER BY r.day DESC, f.run DESC)"
        ' FROM fetches f JOIN runs r ON r.id = f.run JOIN json_each(\'["any", "good", "whole"]\') k'
        " ON k.value = 'any' OR (k.value = 'good' AND f.state <> 'failed') OR (k.value = 'whole' AND f.state = 'read')",
    ),
    # A source that fails keeps every failure since it was last good: status says how many there were.
    (
        "fetches",
        "DELETE FROM fetches WHERE run IN (SELECT id FROM runs WHERE day < :cutoff)"
        " AND (source, run) NOT IN (SELECT source, run FROM temp.needed)"
        " AND run < (SELECT n.run FROM temp.needed n WHERE n.kind = 'good' AND n.source = fetches.source)",
    ),
    (
        "runs",
        "DELETE FROM runs WHERE day < :cutoff AND id NOT IN (SELECT run FROM fetches)"
        " AND id NOT IN (SELECT run FROM deliveries WHERE run IS NOT NULL)",
    ),
)
