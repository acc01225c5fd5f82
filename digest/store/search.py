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
from digest.ranking.embeddings import Basis
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


@dataclass(frozen=True, slots=True)
class StoredBasis:
    """The basis of vectors, and how many papers the history had when it was made."""

    id: int
    papers: int
    basis: Basis


class SearchIndex:
    """The words of every paper in the database `db`, and the vectors computed from them with the extra `semantic`."""

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

    def count(self) -> int:
        """Return how many papers there are."""
        return int(self._db.execute("SELECT count(*) FROM papers").fetchone()[0])

    def basis(self, model: str = "") -> StoredBasis | None:
        """Return the basis of the stored vectors, if there is one and it was made with the sentence model `model`."""
        columns = "id, papers, words, axes, model, centre"
        row = self._db.execute(f"SELECT {columns} FROM bases ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608  ours
        stored = StoredBasis(row[0], row[1], Basis(tuple(row[2].split()), *row[3:])) if row else None
        return stored if stored and stored.basis.model == model else None

    def replace_basis(self, basis: Basis, papers: int) -> StoredBasis:
        """Store the basis of a history of so many papers, and delete the one before and its vectors, in one commit."""
        with transaction(self._db):
            self._db.execute("DELETE FROM vectors")
            last = self._db.execute("SELECT coalesce(max(id), 0) FROM bases").fetchone()[0]
            self._db.execute("DELETE FROM bases")
            self._db.execute(
                "INSERT INTO bases (id, papers, words, axes, model, centre) VALUES (?, ?, ?, ?, ?, ?)",
                [last + 1, papers, " ".join(basis.words), basis.axes, basis.model, basis.centre],
            )
        return StoredBasis(last + 1, papers, basis)

    def without_vector(self, basis: int) -> list[int]:
        """Return the ids of all papers that have no vector of this basis yet."""
        rows = self._db.execute("SELECT id FROM papers EXCEPT SELECT paper FROM vectors WHERE basis = ?", [basis])
        return [row[0] for row in rows]

    def vectors(self, basis: int, paper_ids: Iterable[int]) -> dict[int, bytes]:
        """Return the stored vectors of these papers."""
        rows = self._db.execute(
            "SELECT paper, vector FROM vectors WHERE basis = ? AND paper IN (SELECT value FROM json_each(?))",
            [basis, json.dumps(list(paper_ids))],
        )
        return dict(rows.fetchall())

    def all_vectors(self, basis: int, since: date) -> dict[int, bytes]:
        """Return the stored vectors of all papers first seen from `since` on."""
        rows = self._db.execute(
            "SELECT paper, vector FROM vectors WHERE basis = ?"
            " AND paper NOT IN (SELECT id FROM papers WHERE first_seen < ?)",  # "" for papers that no source listed
            [basis, since.isoformat()],
        )
        return dict(rows.fetchall())

    def store_vectors(self, basis: int, vectors: Mapping[int, bytes]) -> None:
        """Store vectors in one commit, unless another process has replaced their basis."""
        with transaction(self._db):
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO vectors (paper, basis, vector)"
                " SELECT p.id, b.id, ? FROM papers p, bases b WHERE p.id = ? AND b.id = ?",
                [(vector, paper_id, basis) for paper_id, vector in vectors.items()],
            )

    def hits(self, paper_ids: Iterable[int]) -> list[Hit]:
        """Return these papers as hits, in the same order."""
        wanted = list(paper_ids)
        rows = self._db.execute(
            "SELECT id, first_seen FROM papers WHERE id IN (SELECT value FROM json_each(?))", [json.dumps(wanted)]
        )
        days = {paper_id: date.fromisoformat(day) for paper_id, day in rows}
        return [Hit(paper_id, days[paper_id]) for paper_id in wanted if paper_id in days]

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
