"""Every paper ever recorded: found by its words, and with all that happened to it.

Any text a person may type is a query, and never an error.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

from sqlite_utils import Database

from digest.papers.text.clean import clean
from digest.store.database import transaction

_MOST_TERMS = 40  # of a query; SQLite's own limit for an expression is far above
_TERM = re.compile(r'(?:(authors?|title|abstract):\s*)?(?:"([^"]*)"?|([^\s"]+))', re.IGNORECASE)
_MOST_RANKED = 20_000  # of the papers that match, the newest: a query like "the" would rank the whole history
_BM25 = {"title": 4.0, "abstract": 1.0, "authors": 2.0}  # what a word there counts


@dataclass(frozen=True, slots=True)
class Hit:
    """A paper that was found: its row, and the day it was first seen."""

    id: int
    first_seen: date


@dataclass(frozen=True, slots=True)
class RecordedSighting:
    """A paper on the list of the day `listed`, as it was read on `seen`; `votes` is None where the source has none."""

    seen: date
    source: str
    listed: date
    votes: int | None


@dataclass(frozen=True, slots=True)
class Appearance:
    """A paper at a `place` in the mails of a day, what became of them, and how many there were."""

    day: date
    place: int
    state: str
    mails: int


class SearchIndex:
    """The words of every paper in the database `db`, and the vectors made of them."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def search(self, query: str, since: date = date.min, limit: int = 20) -> list[Hit]:
        """Papers with all terms of `query`, the best first; papers with any of them where none has all.

        A term is a word, a word's beginning with `*`, or a phrase in quotes, in the field that is named before it
        (`author:`, `title:`, `abstract:`) or in any. Words are compared by their stem, without case and accents.
        """
        found = list(query_terms(query))
        return self._matching(" AND ".join(found), since, limit) or self._matching(" OR ".join(found), since, limit)

    def akin(self, words: Iterable[str], since: date, limit: int) -> list[Hit]:
        """The papers that share most with the given words, the best first."""
        return self._matching(" OR ".join(quote_term(word) for word in words), since, limit)

    def newest(self, limit: int) -> list[int]:
        """The rows of the papers recorded last."""
        return [row[0] for row in self._db.execute("SELECT id FROM papers ORDER BY id DESC LIMIT ?", [limit])]

    def sightings(self, paper: int) -> tuple[date, list[RecordedSighting]]:
        """The day a paper was first seen, and every reading of a list with it on, oldest first."""
        first = self._db.execute("SELECT first_seen FROM papers WHERE id = ?", [paper]).fetchone()[0]
        rows = self._db.execute(
            "SELECT seen, source, day, votes FROM sightings WHERE paper = ? ORDER BY seen, source, day", [paper]
        )
        sights = [RecordedSighting(date.fromisoformat(r[0]), r[1], date.fromisoformat(r[2]), r[3]) for r in rows]
        return date.fromisoformat(first), sights

    def showings(self, paper: int, subscriber: int | None) -> list[Appearance]:
        """The mails with a paper in them, to one subscriber or (for None) to all, oldest first."""
        rows = self._db.execute(
            "SELECT d.day, s.place, iif(d.state = 'expired' AND d.doubt = 0, 'never sent', d.state) AS came, count(*)"
            " FROM shown s JOIN deliveries d ON d.edition = s.edition"
            " WHERE s.paper = :paper AND (:subscriber IS NULL OR d.subscriber = :subscriber)"
            " GROUP BY d.day, s.place, came ORDER BY d.day, s.place",
            {"paper": paper, "subscriber": subscriber},
        )
        return [Appearance(date.fromisoformat(row[0]), *row[1:]) for row in rows]

    def mails(self, subscriber: int) -> dict[date, list[int]]:
        """The papers of each day's mail to a subscriber, in their order."""
        rows = self._db.execute(
            "SELECT d.day, s.paper FROM deliveries d JOIN shown s ON s.edition = d.edition WHERE d.subscriber = ?"
            " AND NOT (d.state = 'expired' AND d.doubt = 0) ORDER BY d.day, s.place",
            [subscriber],
        )
        found: dict[date, list[int]] = {}
        for day, paper in rows:
            found.setdefault(date.fromisoformat(day), []).append(paper)
        return found

    def vectors(self, method: str, papers: Iterable[int]) -> dict[int, bytes]:
        """Which of `papers` have a vector made by `method`, and that vector."""
        rows = self._db.execute(
            "SELECT paper, vector FROM vectors WHERE method = ? AND paper IN (SELECT value FROM json_each(?))",
            [method, json.dumps(list(papers))],
        )
        return dict(rows.fetchall())

    def keep(self, method: str, vectors: Mapping[int, bytes]) -> None:
        """Store vectors made by `method`, in one commit; those of any other method go, for nothing reads them now."""
        with transaction(self._db):
            self._db.execute("DELETE FROM vectors WHERE method <> ?", [method])
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO vectors (paper, method, vector) VALUES (?, ?, ?)",
                [(paper, method, vector) for paper, vector in vectors.items()],
            )

    def _matching(self, expression: str, since: date, limit: int) -> list[Hit]:
        if not expression:
            return []
        rows = self._db.execute(
            "SELECT id, first_seen FROM (SELECT p.id, p.first_seen, bm25(words, :title, :abstract, :authors) AS rank"
            " FROM words JOIN papers p ON p.id = words.rowid WHERE words MATCH :expression AND p.first_seen >= :since"
            " ORDER BY words.rowid DESC LIMIT :most) ORDER BY rank, id LIMIT :limit",
            {**_BM25, "expression": expression, "since": since.isoformat(), "most": _MOST_RANKED, "limit": limit},
        )
        return [Hit(number, date.fromisoformat(day)) for number, day in rows]


def query_terms(query: str) -> Iterator[str]:
    """The terms of what a person typed, each as an expression of FTS5 that cannot be wrong.

    Everything is quoted, so that no word is an operator (https://www.sqlite.org/fts5.html#fts5_strings).
    """
    found = (term for match in _TERM.finditer(clean(query)) if (term := _term(match)))
    yield from dict.fromkeys(term for term, _ in zip(found, range(_MOST_TERMS), strict=False))


def _term(match: re.Match[str]) -> str:
    field, phrase, word = match[1] or "", match[2] or "", match[3] or ""
    if not any(char.isalnum() for char in phrase + word):
        return ""
    column = "authors" if field.lower().startswith("author") else field.lower()
    return (f"{column} : " if field else "") + quote_term(phrase or word) + (" *" if word.endswith("*") else "")


def quote_term(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
