"""Every paper ever seen, under all its names, and every time a source listed it. Seen is not shown."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import groupby

from sqlite_utils import Database

from digest.papers import Paper, merge_papers, paper_names, parse_name
from digest.papers.text.readable import fold_title
from digest.sources import Sighting
from digest.store.database import transaction


@dataclass(frozen=True, slots=True)
class Listing:
    """One source's list with the paper on it: the list's day, and (day of the run, votes) of each reading, in order."""

    source: str
    day: date
    readings: tuple[tuple[date, int | None], ...]

    @property
    def votes(self) -> int | None:
        """The newest count; None where the source has none."""
        return next((votes for _, votes in reversed(self.readings) if votes is not None), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A paper that may still be shown, without its text: `id` is its row in the history."""

    id: int
    first_seen: date
    listings: tuple[Listing, ...]


class Papers:
    """Papers and sightings in the database `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def record(self, source: str, sightings: Iterable[Sighting], day: date) -> int:
        """Store what `source` listed, read on `day`; return how many papers had no row before.

        One transaction. Repeating it changes nothing, a later reading of the same day replaces that day's votes.
        """
        new = 0
        with transaction(self._db):
            for sighting in sightings:
                paper, is_new = self._file(sighting.paper, day)
                new += is_new
                self._db.execute(
                    "INSERT INTO sightings (paper, source, day, seen, votes) VALUES (:paper, :source,"
                    " coalesce(:listed, (SELECT min(day) FROM sightings"
                    " WHERE paper = :paper AND source = :source), :seen),"
                    " :seen, :votes)"
                    " ON CONFLICT DO UPDATE SET votes = coalesce(excluded.votes, votes)",
                    {
                        "paper": paper,
                        "source": source,
                        "listed": sighting.day and sighting.day.isoformat(),
                        "seen": day.isoformat(),
                        "votes": sighting.votes,
                    },
                )
        return new

    def listed(self, source: str, sightings: Iterable[Sighting], before: date) -> bool:
        """Whether `source` listed all of these on days before `before`."""
        return all(
            self._db.execute(
                "SELECT 1 FROM names n JOIN sightings s ON s.paper = n.paper WHERE n.name IN"
                " (SELECT value FROM json_each(?)) AND s.source = ? AND s.seen < ? LIMIT 1",
                [json.dumps(paper_names(sighting.paper)), source, before.isoformat()],
            ).fetchone()
            for sighting in sightings
        )

    def _file(self, paper: Paper, day: date) -> tuple[int, bool]:
        """The row of `paper`, joined from all rows that share a name with it; and whether it is a new one."""
        called = paper_names(paper)
        rows = self._rows(called)
        if not rows:
            row = self._insert(paper, day)
            self._call(row, called)
            return row, True
        (row, known, first_seen), *others = rows
        merged, seen = known, min(first_seen, day)
        for other, text, since in others:
            merged, seen = merge_papers(merged, text), min(seen, since)
            self._join(other, row)
        merged = merge_papers(merged, paper)
        if merged != known or seen != first_seen:
            self._db.execute(
                "UPDATE papers SET title = ?, abstract = ?, facts = ?, first_seen = ? WHERE id = ?",
                [merged.title, merged.abstract, _to_facts(merged), seen.isoformat(), row],
            )
        self._call(row, called)
        return row, False

    def _rows(self, called: Sequence[str]) -> list[tuple[int, Paper, date]]:
        """The rows that any of the names leads to, oldest first."""
        found = self._db.execute(
            "SELECT id, title, abstract, facts, first_seen FROM papers WHERE id IN"
            " (SELECT paper FROM names WHERE name IN (SELECT value FROM json_each(?))) ORDER BY id",
            [json.dumps(called)],
        )
        return [(row[0], _from_row(*row[1:4]), date.fromisoformat(row[4])) for row in found.fetchall()]

    def _insert(self, paper: Paper, day: date) -> int:
        cursor = self._db.execute(
            "INSERT INTO papers (title, abstract, facts, first_seen) VALUES (?, ?, ?, ?)",
            [paper.title, paper.abstract, _to_facts(paper), day.isoformat()],
        )
        return int(cursor.lastrowid or 0)

    def _call(self, row: int, called: Iterable[str]) -> None:
        self._db.conn.executemany("INSERT OR IGNORE INTO names (name, paper) VALUES (?, ?)", [(n, row) for n in called])

    def _join(self, other: int, into: int) -> None:
        """`other` turns out to be the paper `into`: its names, sightings and showings become that one's."""
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

    def candidates(self, day: date, window_days: int) -> list[Candidate]:
        """Papers first seen on `day` or in the `window_days` before, with their listings up to `day`, by id."""
        rows = self._db.execute(
            "SELECT p.id, p.first_seen, s.source, s.day, s.seen, s.votes"
            " FROM papers p JOIN sightings s ON s.paper = p.id"
            " WHERE p.first_seen BETWEEN ? AND ? AND s.seen <= ? ORDER BY p.id, s.source, s.day, s.seen",
            [(day - timedelta(window_days)).isoformat(), day.isoformat(), day.isoformat()],
        )
        return [
            Candidate(number, date.fromisoformat(first_seen), tuple(_listings(readings)))
            for (number, first_seen), readings in groupby(rows, key=lambda row: (row[0], row[1]))
        ]

    def papers(self, numbers: Iterable[int]) -> Iterator[tuple[int, Paper]]:
        """(row, paper) of the given rows, by row, read as they are needed."""
        rows = self._db.execute(
            "SELECT id, title, abstract, facts FROM papers WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            [json.dumps(list(numbers))],
        )
        yield from ((row[0], _from_row(*row[1:])) for row in rows)

    def find(self, text: str) -> int | None:
        """The row of the paper that goes by `text`: any of its names, its title, or its address on the web."""
        name = parse_name(text)
        row = self._db.execute(
            "SELECT paper FROM names WHERE name = :name UNION ALL SELECT paper FROM names WHERE name = :title"
            " UNION ALL SELECT paper FROM names"
            " WHERE name > 'id:' AND name < 'id;' AND substr(name, -length(:own)) = :own LIMIT 1",
            {"name": name, "title": "title:" + fold_title(text)[:400], "own": ":" + name.partition(":")[2]},
        ).fetchone()
        return int(row[0]) if row else None

    def size(self) -> int:
        """How many papers there are."""
        return int(self._db.execute("SELECT count(*) FROM papers").fetchone()[0])

    def count_new(self, day: date) -> int:
        """How many papers were first seen on `day`."""
        return int(
            self._db.execute("SELECT count(*) FROM papers WHERE first_seen = ?", [day.isoformat()]).fetchone()[0]
        )


def _listings(rows: Iterable[sqlite3.Row]) -> Iterator[Listing]:
    for (source, day), readings in groupby(rows, key=lambda row: (row[2], row[3])):
        yield Listing(source, date.fromisoformat(day), tuple((date.fromisoformat(r[4]), r[5]) for r in readings))


def _to_facts(paper: Paper) -> str:
    """All of a paper but title and abstract, empty fields left out."""
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
