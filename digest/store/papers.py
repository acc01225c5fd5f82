"""Every paper ever listed, under all its names, and each time a source listed it.

A recorded paper is not yet a sent one: see `digest.store.outbox`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import TYPE_CHECKING

from digest.papers import Paper, merge_papers, paper_names, parse_name
from digest.ranking import Candidate, Listing
from digest.sources import Sighting
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class Reading:
    """A paper on the list of the day `listed`, as it was read on the day `seen`; `votes` is None without votes."""

    seen: date
    source: str
    listed: date
    votes: int | None


class Papers:
    """Papers and sightings in the database `db`. A `paper_id` is the number of a row."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def record(self, source: str, sightings: Iterable[Sighting], day: date) -> int:
        """Store what `source` listed when it was read on `day`; return how many papers are new.

        One transaction. Repeating it changes nothing; a later reading on the same day replaces that day's votes.
        """
        new = 0
        with transaction(self._db):
            for sighting in sightings:
                paper_id, is_new = self._store(sighting.paper, day)
                new += is_new
                self._db.execute(
                    "INSERT INTO sightings (paper, source, day, seen, votes) VALUES (:paper, :source,"
                    " coalesce(:listed, (SELECT min(day) FROM sightings"
                    " WHERE paper = :paper AND source = :source), :seen),"
                    " :seen, :votes)"
                    " ON CONFLICT DO UPDATE SET votes = coalesce(excluded.votes, votes)",
                    {
                        "paper": paper_id,
                        "source": source,
                        "listed": sighting.day and sighting.day.isoformat(),
                        "seen": day.isoformat(),
                        "votes": sighting.votes,
                    },
                )
        return new

    def all_listed(self, source: str, sightings: Iterable[Sighting], before: date) -> bool:
        """Return whether `source` listed every one of these on a day before `before`."""
        return all(
            self._db.execute(
                "SELECT 1 FROM names n JOIN sightings s ON s.paper = n.paper WHERE n.name IN"
                " (SELECT value FROM json_each(?)) AND s.source = ? AND s.seen < ? LIMIT 1",
                [json.dumps(paper_names(sighting.paper)), source, before.isoformat()],
            ).fetchone()
            for sighting in sightings
        )

    def candidates(self, day: date, window_days: int) -> list[Candidate]:
        """Return the papers first seen on `day` or in the `window_days` before it, with their listings up to `day`."""
        rows = self._db.execute(
            "SELECT p.id, p.first_seen, s.source, s.day, s.seen, s.votes"
            " FROM papers p JOIN sightings s ON s.paper = p.id"
            " WHERE p.first_seen BETWEEN ? AND ? AND s.seen <= ? ORDER BY p.id, s.source, s.day, s.seen",
            [(day - timedelta(window_days)).isoformat(), day.isoformat(), day.isoformat()],
        )
        return [
            Candidate(paper_id, date.fromisoformat(first_seen), tuple(_listings(readings)))
            for (paper_id, first_seen), readings in groupby(rows, key=lambda row: (row[0], row[1]))
        ]

    def load(self, paper_ids: Iterable[int]) -> dict[int, Paper]:
        """Return papers by id, in the order of their ids; unknown ones are left out."""
        rows = self._db.execute(
            "SELECT id, title, abstract, facts FROM papers WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            [json.dumps(list(paper_ids))],
        )
        return {row[0]: _from_row(*row[1:]) for row in rows}

    def find(self, text: str) -> int | None:
        """Return the id of the paper with this name, title or web address; None if there is none."""
        from digest.papers.text.readable import fold_title

        name = parse_name(text)
        row = self._db.execute(
            "SELECT paper FROM names WHERE name = :name UNION ALL SELECT paper FROM names WHERE name = :title"
            " UNION ALL SELECT paper FROM names"
            " WHERE name > 'id:' AND name < 'id;' AND substr(name, -length(:own)) = :own LIMIT 1",
            {"name": name, "title": "title:" + fold_title(text)[:400], "own": ":" + name.partition(":")[2]},
        ).fetchone()
        return int(row[0]) if row else None

    def readings(self, paper_id: int) -> tuple[date, list[Reading]]:
        """Return the day a paper was first seen, and every reading of a list with it, oldest first.

        Raises TypeError for an unknown paper.
        """
        first = self._db.execute("SELECT first_seen FROM papers WHERE id = ?", [paper_id]).fetchone()[0]
        rows = self._db.execute(
            "SELECT seen, source, day, votes FROM sightings WHERE paper = ? ORDER BY seen, source, day", [paper_id]
        )
        readings = [Reading(date.fromisoformat(r[0]), r[1], date.fromisoformat(r[2]), r[3]) for r in rows]
        return date.fromisoformat(first), readings

    def count_new(self, day: date) -> int:
        """Return how many papers were first seen on `day`."""
        row = self._db.execute("SELECT count(*) FROM papers WHERE first_seen = ?", [day.isoformat()]).fetchone()
        return int(row[0])

    def _store(self, paper: Paper, day: date) -> tuple[int, bool]:
        """Store `paper`, merged with all rows that share a name with it; return its id and whether it is new."""
        names = paper_names(paper)
        rows = self._rows_with_names(names)
        if not rows:
            paper_id = self._insert(paper, day)
            self._add_names(paper_id, names)
            return paper_id, True
        (paper_id, known, first_seen), *others = rows
        merged, seen = known, min(first_seen, day)
        for other_id, other, since in others:
            merged, seen = merge_papers(merged, other), min(seen, since)
            self._merge_rows(other_id, paper_id)
        merged = merge_papers(merged, paper)
        if merged != known or seen != first_seen:
            self._db.execute(
                "UPDATE papers SET title = ?, abstract = ?, facts = ?, first_seen = ? WHERE id = ?",
                [merged.title, merged.abstract, _to_facts(merged), seen.isoformat(), paper_id],
            )
        self._add_names(paper_id, names)
        return paper_id, False

    def _rows_with_names(self, names: Sequence[str]) -> list[tuple[int, Paper, date]]:
        """Return (id, paper, first seen) of every row with any of these names, oldest first."""
        found = self._db.execute(
            "SELECT id, title, abstract, facts, first_seen FROM papers WHERE id IN"
            " (SELECT paper FROM names WHERE name IN (SELECT value FROM json_each(?))) ORDER BY id",
            [json.dumps(names)],
        )
        return [(row[0], _from_row(*row[1:4]), date.fromisoformat(row[4])) for row in found.fetchall()]

    def _insert(self, paper: Paper, day: date) -> int:
        cursor = self._db.execute(
            "INSERT INTO papers (title, abstract, facts, first_seen) VALUES (?, ?, ?, ?)",
            [paper.title, paper.abstract, _to_facts(paper), day.isoformat()],
        )
        return int(cursor.lastrowid or 0)

    def _add_names(self, paper_id: int, names: Iterable[str]) -> None:
        rows = [(name, paper_id) for name in names]
        self._db.conn.executemany("INSERT OR IGNORE INTO names (name, paper) VALUES (?, ?)", rows)

    def _merge_rows(self, other: int, into: int) -> None:
        """Move the names, sightings and appearances of the row `other` to `into`, which is the same paper."""
        for statement in (
            "UPDATE names SET paper = :into WHERE paper = :other",
            "INSERT INTO sightings SELECT :into, source, day, seen, votes FROM sightings WHERE paper = :other"
            " ON CONFLICT DO UPDATE SET votes = max(coalesce(excluded.votes, 0), coalesce(votes, 0))",
            "DELETE FROM sightings WHERE paper = :other",
            "UPDATE OR IGNORE shown SET paper = :into WHERE paper = :other",
            "DELETE FROM shown WHERE paper = :other",
            "DELETE FROM papers WHERE id = :other",
        ):
            self._db.execute(statement, {"into": into, "other": other})


def _listings(rows: Iterable[sqlite3.Row]) -> Iterator[Listing]:
    for (source, day), readings in groupby(rows, key=lambda row: (row[2], row[3])):
        yield Listing(source, date.fromisoformat(day), tuple((date.fromisoformat(r[4]), r[5]) for r in readings))


def _to_facts(paper: Paper) -> str:
    """Return the column `facts`: all fields of a paper but title and abstract, without the empty ones."""
    facts = {key: value for key, value in asdict(paper).items() if value and key not in ("title", "abstract")}
    if paper.published:
        facts["published"] = paper.published.isoformat()
    return json.dumps(facts, ensure_ascii=False)


def _from_row(title: str, abstract: str, facts: str) -> Paper:
    known = json.loads(facts)
    for key in ("authors", "categories"):
        known[key] = tuple(known.get(key, ()))
    if "published" in known:
        known["published"] = date.fromisoformat(known["published"])
    return Paper(title=title, abstract=abstract, **known)
