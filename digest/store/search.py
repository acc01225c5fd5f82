"""Full-text search over every paper ever recorded, and the vectors kept with the papers.

Any text a person may type is a query, and never an error.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from digest.papers.text.clean import clean
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_TERMS = 40  # of a query; SQLite's own limit for an expression is far above
_TERM = re.compile(r'(?:(authors?|title|abstract):\s*)?(?:"([^"]*)"?|([^\s"]+))', re.IGNORECASE)
_MAX_RANKED = 20_000  # of the matching papers, the newest: a query like "the" would rank the whole history
_BM25 = {"title": 4.0, "abstract": 1.0, "authors": 2.0}  # the weight of a word in each field


@dataclass(frozen=True, slots=True)
class Hit:
    """A paper that was found: its row, and the day it was first seen."""

    id: int
    first_seen: date


class SearchIndex:
    """The words of every paper in the database `db`, and the vectors computed from them."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def search(self, query: str, since: date = date.min, limit: int = 20) -> list[Hit]:
        """Papers with all terms of `query`, best first; papers with any of them when none has all.

        A term is a word, the beginning of a word with `*`, or a phrase in quotes; in one field when that is named
        before it (`author:`, `title:`, `abstract:`). Words are compared by their stem, without case and accents.
        """
        terms = list(query_terms(query))
        return self._match(" AND ".join(terms), since, limit) or self._match(" OR ".join(terms), since, limit)

    def search_any(self, words: Iterable[str], since: date, limit: int) -> list[Hit]:
        """The papers that share most with the given words, best first."""
        return self._match(" OR ".join(quote_term(word) for word in words), since, limit)

    def newest(self, limit: int) -> list[int]:
        """The rows of the papers recorded last."""
        return [row[0] for row in self._db.execute("SELECT id FROM papers ORDER BY id DESC LIMIT ?", [limit])]

    def vectors(self, method: str, papers: Iterable[int]) -> dict[int, bytes]:
        """The vectors made by `method` that are stored for `papers`."""
        rows = self._db.execute(
            "SELECT paper, vector FROM vectors WHERE method = ? AND paper IN (SELECT value FROM json_each(?))",
            [method, json.dumps(list(papers))],
        )
        return dict(rows.fetchall())

    def store_vectors(self, method: str, vectors: Mapping[int, bytes]) -> None:
        """Store vectors made by `method`, in one commit; those of any other method are deleted: nothing reads them."""
        with transaction(self._db):
            self._db.execute("DELETE FROM vectors WHERE method <> ?", [method])
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO vectors (paper, method, vector) VALUES (?, ?, ?)",
                [(paper, method, vector) for paper, vector in vectors.items()],
            )

    def _match(self, expression: str, since: date, limit: int) -> list[Hit]:
        if not expression:
            return []
        rows = self._db.execute(
            "SELECT id, first_seen FROM (SELECT p.id, p.first_seen, bm25(words, :title, :abstract, :authors) AS rank"
            " FROM words JOIN papers p ON p.id = words.rowid WHERE words MATCH :expression AND p.first_seen >= :since"
            " ORDER BY words.rowid DESC LIMIT :most) ORDER BY rank, id LIMIT :limit",
            {**_BM25, "expression": expression, "since": since.isoformat(), "most": _MAX_RANKED, "limit": limit},
        )
        return [Hit(number, date.fromisoformat(day)) for number, day in rows]


def query_terms(query: str) -> Iterator[str]:
    """The terms of what a person typed, each as a valid FTS5 expression.

    Everything is quoted, so that no word is an operator (https://www.sqlite.org/fts5.html#fts5_strings).
    """
    terms = (term for match in _TERM.finditer(clean(query)) if (term := _to_expression(match)))
    yield from dict.fromkeys(term for term, _ in zip(terms, range(_MAX_TERMS), strict=False))


def _to_expression(match: re.Match[str]) -> str:
    field, phrase, word = match[1] or "", match[2] or "", match[3] or ""
    if not any(char.isalnum() for char in phrase + word):
        return ""
    column = "authors" if field.lower().startswith("author") else field.lower()
    return (f"{column} : " if field else "") + quote_term(phrase or word) + (" *" if word.endswith("*") else "")


def quote_term(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
