"""Search every paper ever recorded: by words, by similarity, or both."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from digest.errors import PaperNotFound
from digest.papers import Paper
from digest.pipeline.similar import SimilarPapers
from digest.store.papers import Papers
from digest.store.search import Hit, SearchIndex

if TYPE_CHECKING:
    from sqlite_utils import Database

_WIDE = 1_000  # papers with the words, among which those like another are looked for


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A paper that was found, and the day it was first seen."""

    paper: Paper
    first_seen: date


def search(db: "Database", query: str, like: str, since: date, limit: int) -> list[SearchResult]:
    """The best `limit` papers first seen from `since` on: with the words of `query`, those most like `like` first.

    Raises PaperNotFound when `like` names a paper that was never recorded.
    """
    papers, index = Papers(db), SearchIndex(db)
    if like:
        hits = _search_like(SimilarPapers(papers, index), index, query, like, since, limit)
    else:
        hits = index.search(query, since, limit)
    found = papers.load(hit.id for hit in hits)
    return [SearchResult(found[hit.id], hit.first_seen) for hit in hits]


def _search_like(
    similar: SimilarPapers, index: SearchIndex, query: str, like: str, since: date, limit: int
) -> list[Hit]:
    liked = similar.resolve(like)
    if liked is None:
        raise PaperNotFound(like)
    if not query:
        return similar.search(liked, since, limit)
    hits = [hit for hit in index.search(query, since, _WIDE) if hit.id != liked.id]
    shares = similar.shares([liked], [hit.id for hit in hits])
    return sorted(hits, key=lambda hit: -shares[hit.id])[:limit]
