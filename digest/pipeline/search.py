"""What `digest search` answers: papers by their words, by what they are like, or both, as a list or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlite_utils import Database

from digest.errors import PaperNotFound
from digest.mail.edition import format_authors
from digest.papers import Paper
from digest.pipeline.similar import SimilarPapers
from digest.store.papers import Papers
from digest.store.search import Hit, SearchIndex

_WIDE = 1_000  # papers with the words, among which those like another are sought


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A paper that was found, and the day it was first seen."""

    paper: Paper
    first_seen: date


def search(db: Database, query: str, like: str, since: date, limit: int) -> list[SearchResult]:
    """The best `limit` papers first seen from `since` on: with the words of `query`, most like `like` first."""
    history, archive = Papers(db), SearchIndex(db)
    if like:
        hits = _alike(SimilarPapers(history, archive), archive, query, like, since, limit)
    else:
        hits = archive.search(query, since, limit)
    papers = dict(history.papers(hit.id for hit in hits))
    return [SearchResult(papers[hit.id], hit.first_seen) for hit in hits]


def _alike(likeness: SimilarPapers, archive: SearchIndex, query: str, like: str, since: date, limit: int) -> list[Hit]:
    liked = likeness.meant(like)
    if liked is None:
        raise PaperNotFound(like)
    if not query:
        return likeness.search(liked, since, limit)
    hits = [hit for hit in archive.search(query, since, _WIDE) if hit.id != liked.id]
    shares = likeness.shares([liked], [hit.id for hit in hits])
    return sorted(hits, key=lambda hit: -shares[hit.id])[:limit]


def format_results(found: Sequence[SearchResult]) -> str:
    """A list for a terminal."""
    return "\n\n".join(_lines(one) for one in found) or "Nothing found."


def _lines(found: SearchResult) -> str:
    facts = "  ".join(
        filter(None, (found.first_seen.isoformat(), format_authors(found.paper.authors), found.paper.link))
    )
    return f"{found.paper.title}\n    {facts}"


def results_as_json(found: Sequence[SearchResult]) -> str:
    """One JSON array."""
    return json.dumps([_row(one) for one in found], ensure_ascii=False, indent=2)


def _row(found: SearchResult) -> dict[str, Any]:
    paper = found.paper
    return {
        "title": paper.title,
        "authors": list(paper.authors),
        "first_seen": found.first_seen.isoformat(),
        "link": paper.link,
        "arxiv": paper.arxiv,
        "doi": paper.doi,
        "categories": list(paper.categories),
        "abstract": paper.abstract,
    }
