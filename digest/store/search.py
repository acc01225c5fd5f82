"""Full-text search over every recorded paper, and the stored vectors of the papers.

Any text is a valid query.
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

_MAX_TERMS = 40  # of a query; SQLite's own limit for an expression is far higher
_TERM = re.compile(r'(?:(authors?|title|abstract|keywords?):\s*)?(?:"([^"]*)"?|([^\s"]+))', re.IGNORECASE)
_MAX_RANKED = 20_000  # of the matching papers, the newest: a query like "the" would rank the whole history
_BM25 = {"title": 4.0, "abstract": 1.0, "authors": 2.0, "keywords": 1.0}  # the weight of a word in each field


@dataclass(frozen=True, slots=True)
class Hit:
    """A paper that was found, and the day it was first seen."""

    id: int
    first_seen: date


class SearchIndex:
    """The words of every paper in the database `db`, and the vectors computed from them."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def search(self, query: str, since: date = date.min, limit: int = 20) -> list[Hit]:
        """Return papers with all terms of `query`, best first; papers with any of them if none has all.

        A term is a word, the beginning of a word with `*`, or a phrase in quotes; `author:`, `title:`, `abstract:` or
        `keyword:` before it limits it to that field. Words are compared by their stem, without case and accents.
        """
        terms = list(query_terms(query))
        return self._match(" AND ".join(terms), since, limit) or self._match(" OR ".join(terms), since, limit)

    def search_any(self, words: Iterable[str], since: date, limit: int) -> list[Hit]:
        """Return the papers that have most of the given words, best first."""
        return self._match(" OR ".join(quote_term(word) for word in words), since, limit)

    def newest(self, limit: int) -> list[int]:
        """Return the ids of the papers recorded last."""
        return [row[0] for row in self._db.execute("SELECT id FROM papers ORDER BY id DESC LIMIT ?", [limit])]

    def vectors(self, method: str, paper_ids: Iterable[int]) -> dict[int, bytes]:
        """Return the stored vectors of these papers that `method` made."""
        rows = self._db.execute(
            "SELECT paper, vector FROM vectors WHERE method = ? AND paper IN (SELECT value FROM json_each(?))",
            [method, json.dumps(list(paper_ids))],
        )
        return dict(rows.fetchall())

    def store_vectors(self, method: str, vectors: Mapping[int, bytes]) -> None:
        """Store vectors made by `method`, and delete those of other methods, in one commit."""
        with transaction(self._db):
            self._db.execute("DELETE FROM vectors WHERE method <> ?", [method])
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO vectors (paper, method, vector) VALUES (?, ?, ?)",
                [(paper_id, method, vector) for paper_id, vector in vectors.items()],
            )

    def _match(self, expression: str, since: date, limit: int) -> list[Hit]:
        if not expression:
            return []
        rows = self._db.execute(
            "SELECT id, first_seen FROM"
            " (SELECT p.id, p.first_seen, bm25(words, :title, :abstract, :authors, :keywords) AS rank"
            " FROM words JOIN papers p ON p.id = words.rowid WHERE words MATCH :expression AND p.first_seen >= :since"
            " ORDER BY words.rowid DESC LIMIT :pool) ORDER BY rank, id LIMIT :limit",
            {**_BM25, "expression": expression, "since": since.isoformat(), "pool": _MAX_RANKED, "limit": limit},
        )
        return [Hit(paper_id, date.fromisoformat(day)) for paper_id, day in rows]


def query_terms(query: str) -> Iterator[str]:
    """Return the terms of a query, each as a valid FTS5 expression.

    Each is quoted, so that no word is an operator (https://www.sqlite.org/fts5.html#fts5_strings).
    """
    terms = (term for match in _TERM.finditer(clean(query)) if (term := _to_expression(match)))
    yield from dict.fromkeys(term for term, _ in zip(terms, range(_MAX_TERMS), strict=False))


def _to_expression(match: re.Match[str]) -> str:
    field, phrase, word = match[1] or "", match[2] or "", match[3] or ""
    if not any(char.isalnum() for char in phrase + word):
        return ""
    column = field.lower()
    column = column.rstrip("s") + "s" if column.startswith(("author", "keyword")) else column
    return (f"{column} : " if field else "") + quote_term(phrase or word) + (" *" if word.endswith("*") else "")


def quote_term(text: str) -> str:
    """Return `text` as a string of FTS5, in which nothing is an operator."""
    return '"' + text.replace('"', '""') + '"'
