"""Delete old data, but nothing that is still needed: what was shown to whom, what is queued.

    deleted                                 kept
    sightings                               those of papers listed since
    papers that were in no mail             papers listed since, (dis)liked ones, and those compared with them
    abstracts, authors of papers in mails   their titles, identifiers and all their names; who was shown them
                                            the public editions, with all their papers: the archive consists of them
    the text of a mail                      mail in the queue; that a mail was sent, to whom and when
    replies of servers, mail never sent     whatever is in the queue
    answers to letters                      what readers said about papers
    runs and what they fetched              each source's last good results, and its failures since

Names and deliveries are kept, so a paper is never sent twice, however old it is.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from digest.errors import HistoryError
from digest.ranking.similarity import BACKGROUND
from digest.store.database import open_database, rolled_back, run_lock, transaction
from digest.store.papers import Papers
from digest.store.statistics import size_on_disk

if TYPE_CHECKING:
    from sqlite_utils import Database

_MIN_DAYS = 30
_MAX_LATE_DAYS = 14 + 7  # how far back a source is read again, and a week as a margin


@dataclass(frozen=True, slots=True)
class PruneResult:
    """The number of deleted rows of each kind, and the bytes on disk before and after."""

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


def min_days(window_days: int) -> int:
    """Return how many days must be kept: a paper may trend through the whole window, and be found late."""
    return max(_MIN_DAYS, window_days + _MAX_LATE_DAYS)


def prune(database: Path, today: date, days: int, likes: Sequence[str], *, dry_run: bool = False) -> PruneResult:
    """Delete what is older than `days`, counted from `today`, then shrink the file. With `dry_run`, only count it.

    `days` is at least `min_days`; `likes` are those of all topics. One transaction: all or nothing, even if the process
    is killed. Raises AlreadyRunning during a run.
    """
    with open_database(database, create=False) as db, run_lock(database):
        before = size_on_disk(database)
        # Else SQLite would search all deliveries for each deleted run; the check before the commit searches them once.
        db.conn.execute("PRAGMA foreign_keys = OFF")
        with rolled_back(db) if dry_run else transaction(db):
            counts = _delete(db, today - timedelta(days), _find_liked(db, likes))
        if not dry_run:
            _shrink(db)
        return PruneResult(**counts, before=before, after=size_on_disk(database))


def _find_liked(db: "Database", likes: Sequence[str]) -> tuple[list[int], int]:
    """Return the papers that topics like, and the newest one that likes are not compared with (see `BACKGROUND`)."""
    labelled = db.execute("SELECT 1 FROM labels LIMIT 1").fetchone()
    newest = db.execute(
        "SELECT id FROM papers ORDER BY id DESC LIMIT 1 OFFSET ?", [BACKGROUND if likes or labelled else 0]
    )
    row = newest.fetchone()
    return [found for text in likes if (found := Papers(db).find(text, unlisted=True))], row[0] if row else 0


def _delete(db: "Database", cutoff: date, liked: tuple[Sequence[int], int]) -> dict[str, int]:
    """Delete in an order that leaves no dangling reference; return the counts."""
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
    """Shrink the file. Safe if killed: SQLite puts the smaller file in place at the end."""
    with transaction(db):
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.conn.execute("VACUUM")
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# `aged`: old editions. `mailed`: the papers of all mails. `old`: those that no run can select any more, and whether a
# mail or a public edition has them.
# `needed`: each source's newest fetch of a kind, which later runs compare with.
_TABLES = (
    "CREATE TEMP TABLE IF NOT EXISTS aged (edition INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE IF NOT EXISTS mailed (paper INTEGER PRIMARY KEY)",
    "CREATE TEMP TABLE IF NOT EXISTS old (paper INTEGER PRIMARY KEY, shown INTEGER NOT NULL)",
    "CREATE TEMP TABLE IF NOT EXISTS needed (kind TEXT, source TEXT, run INTEGER, PRIMARY KEY (kind, source))",
    "DELETE FROM temp.aged",
    "DELETE FROM temp.mailed",
    "DELETE FROM temp.old",
    "DELETE FROM temp.needed",
)
_KEPT_FACTS = (
    "json_remove(facts, '$.authors', '$.categories', '$.published', '$.code', '$.project', '$.huggingface', '$.tldr',"
    " '$.tldr_by', '$.keywords', '$.organization', '$.stars', '$.comments', '$.discussion')"
)
_STEPS = (
    ("", "INSERT INTO temp.aged SELECT id FROM editions WHERE day < :cutoff"),
    # Mail that was never sent has shown nothing.
    (
        "deliveries",
        "DELETE FROM deliveries WHERE edition IN (SELECT edition FROM temp.aged) AND state = 'expired' AND doubt = 0",
    ),
    (
        "",
        "DELETE FROM editions WHERE id IN (SELECT edition FROM temp.aged)"
        " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.edition = editions.id)",
    ),
    (
        "mails",
        "UPDATE editions SET fragments = '[]' WHERE id IN (SELECT edition FROM temp.aged)"
        " AND fragments <> '[]' AND id NOT IN (SELECT edition FROM queue)",
    ),
    # What is left is in the queue. An edition consists of fragments of its own day.
    (
        "",
        "DELETE FROM fragments WHERE day < :cutoff AND id NOT IN (SELECT value FROM editions, json_each(fragments)"
        " WHERE day < :cutoff AND fragments <> '[]')",
    ),
    (
        "replies",
        "UPDATE deliveries SET reply = '', run = NULL WHERE edition IN (SELECT edition FROM temp.aged)"
        " AND state IN ('sent', 'refused', 'expired') AND (reply <> '' OR run IS NOT NULL)",
    ),
    ("", "INSERT OR IGNORE INTO temp.mailed SELECT value FROM editions, json_each(papers)"),
    (
        "",
        "INSERT INTO temp.old SELECT id, id IN (SELECT paper FROM temp.mailed)"
        " OR EXISTS (SELECT 1 FROM public_papers s WHERE s.paper = papers.id) FROM papers"
        " WHERE first_seen < :cutoff AND id <= :up_to AND id NOT IN (SELECT value FROM json_each(:liked))"
        " AND id NOT IN (SELECT paper FROM labels)"
        " AND NOT EXISTS (SELECT 1 FROM sightings s WHERE s.paper = papers.id AND s.seen >= :cutoff)",
    ),
    # Only these papers have sightings before the cutoff; naming them lets SQLite use an index.
    (
        "sightings",
        "DELETE FROM sightings WHERE paper IN (SELECT id FROM papers WHERE first_seen < :cutoff) AND seen < :cutoff",
    ),
    ("", "DELETE FROM names WHERE paper IN (SELECT paper FROM temp.old WHERE NOT shown)"),
    ("", "DELETE FROM vectors WHERE paper IN (SELECT paper FROM temp.old)"),
    ("papers", "DELETE FROM papers WHERE id IN (SELECT paper FROM temp.old WHERE NOT shown)"),
    # The title and the links to the paper stay.
    (
        "texts",
        f"UPDATE papers SET abstract = '', facts = {_KEPT_FACTS} WHERE id IN (SELECT paper FROM temp.old WHERE shown)"  # noqa: S608
        f" AND (abstract <> '' OR facts <> {_KEPT_FACTS})",
    ),
    (
        "",
        "DELETE FROM answer_mails WHERE created < :cutoff AND id NOT IN (SELECT id FROM answer_queue)",
    ),
    # Any state is 'any', all but 'failed' are 'good', and only 'read' is 'whole'.
    (
        "",
        "INSERT INTO temp.needed SELECT DISTINCT k.value, f.source, first_value(f.run)"
        " OVER (PARTITION BY k.value, f.source ORDER BY r.day DESC, f.run DESC)"
        ' FROM fetches f JOIN runs r ON r.id = f.run JOIN json_each(\'["any", "good", "whole"]\') k'
        " ON k.value = 'any' OR (k.value = 'good' AND f.state <> 'failed') OR (k.value = 'whole' AND f.state = 'read')",
    ),
    # A source that fails keeps every failure since it was last good: status shows their number.
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
