"""Forget what is older than so many days, but nothing that a promise rests on: what was shown to whom, what is queued.

    goes                                    stays
    sightings                               those of papers that are newer
    papers that were in no mail             papers still listed since, and what `like` names or is measured against
    text and authors of papers in a mail    their titles, identifiers and all their names; who was shown them
    the bytes of a mail                     of mail in the queue; that it was sent, to whom and when
    replies of servers, mail never sent     whatever is in the queue
    runs and what they fetched              each source's last good answers, and its failures since

A paper is known again by its names, and was shown to whoever has a delivery of an edition with it: neither is touched.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta

from sqlite_utils import Database

from digest.config import Config
from digest.errors import ConfigError, HistoryError
from digest.papers.text.fit import plural
from digest.pipeline.similar import BACKGROUND
from digest.store.database import open_database, run_lock, transaction
from digest.store.papers import Papers
from digest.store.statistics import size_on_disk

_LEAST = 30
_CATCHING_UP = 14 + 7  # how far back a source is asked again, and a week to be on the safe side


@dataclass(frozen=True, slots=True)
class PruneResult:
    """How many of each went, and the bytes on disk before and after."""

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


class _Rollback(Exception):
    """Undoes what was only tried."""


def fewest_days(config: Config) -> int:
    """The fewest days that must be kept: a paper may trend all through the window, and be found late."""
    return max(_LEAST, config.digest.window_days + _CATCHING_UP)


def prune(config: Config, today: date, days: int, *, dry: bool = False) -> PruneResult:
    """Forget what is older than `days`, counted from `today`, then give the space back. With `dry`, only count it.

    One transaction; killed in it, nothing is gone. Raises ConfigError when `days` are too few, Busy during a run.
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
        with suppress(_Rollback), transaction(db):
            counts = _forget(db, today - timedelta(days), _liked(config, db))
            if dry:
                raise _Rollback
        if not dry:
            _give_back(db)
        return PruneResult(**counts, before=before, after=size_on_disk(database))


def _liked(config: Config, db: Database) -> tuple[list[int], int]:
    """The rows that a topic likes, and the row up to which papers are not what likeness is measured against."""
    likes = [text for topic in config.topics for text in topic.like]
    newest = db.execute("SELECT id FROM papers ORDER BY id DESC LIMIT 1 OFFSET ?", [BACKGROUND if likes else 0])
    row = newest.fetchone()
    return [found for text in likes if (found := Papers(db).find(text))], row[0] if row else 0


def _forget(db: Database, cutoff: date, liked: tuple[Sequence[int], int]) -> dict[str, int]:
    """Everything, in the order that leaves no reference to what is gone; return how many of each."""
    values = {"cutoff": cutoff.isoformat(), "liked": json.dumps(liked[0]), "up_to": liked[1]}
    counts = {}
    for statement in _TABLES:
        db.execute(statement)
    for what, statement in _STEPS:
        done = db.execute(statement, {k: v for k, v in values.items() if f":{k}" in statement}).rowcount
        if what:
            counts[what] = done
    if db.execute("SELECT 1 FROM pragma_foreign_key_check LIMIT 1").fetchone():
        raise HistoryError("the history does not hold together, so nothing was pruned; put a backup in its place")
    return counts


def _give_back(db: Database) -> None:
    """Bring the file down to what it holds. Safe to be killed in: SQLite puts the smaller file in place at the end."""
    with transaction(db):
        db.execute("INSERT INTO words (words) VALUES ('optimize')")
    db.conn.execute("VACUUM")
    db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# `aged`: editions that are old. `old`: papers that no run can choose any more, and whether a mail has them.
# `needed`: each source's newest fetch of a kind, by which its freshness is told.
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
    # Mail that never left the house has shown nothing, so it is as if it had not been.
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
    # What leads to a paper stays with its title. The second time there is nothing left to remove.
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
    # A source that fails keeps every failure since it was last good: how many there were is told.
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


def format_pruned(removed: PruneResult, *, dry: bool) -> str:
    """What went, for a terminal."""
    parts = [
        _went(removed.papers, "paper", "that were in no mail"),
        _went(removed.texts, "abstract", "of papers that were"),
        _went(removed.sightings, "sighting"),
        _went(removed.mails, "mail text"),
        _went(removed.deliveries, "message", "that were never sent"),
        _went(removed.replies, "reply", words="replies"),
        _went(removed.runs, "run"),
        _went(removed.fetches, "answer", "of sources"),
    ]
    went = ", ".join(filter(None, parts)) or "nothing"
    if dry:
        return f"Would go: {went}."
    return f"Gone: {went}.\n{removed.before / 1e6:,.1f} MB before, {removed.after / 1e6:,.1f} MB now."


def _went(count: int, word: str, more: str = "", words: str = "") -> str:
    return f"{plural(count, word, words)} {more}".rstrip() if count else ""
