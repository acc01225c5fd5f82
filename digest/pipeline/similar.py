"""Find papers by words and by similarity, with embeddings if they are installed; store the embeddings."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from digest.errors import PaperNotFound, SourceError
from digest.papers import Paper, parse_name
from digest.papers.text.fit import snippet
from digest.ranking.embeddings import METHOD, embed, installed, semantic_similarity
from digest.ranking.similarity import (
    BACKGROUND,
    Nearest,
    distinctive_words,
    scale_similarities,
    tf_idf_similarity,
)
from digest.ranking.topics import Similarity, Topic
from digest.sources.library import is_library, read_library
from digest.store.papers import Papers
from digest.store.search import Hit, SearchIndex

log = logging.getLogger("digest")

_WORDS = 40  # distinctive words of a paper that are searched for
_NEAR = 400  # papers with these words that are compared with it
_WIDE = 1_000  # papers with the words of a query that are compared with it


@dataclass(frozen=True, slots=True)
class LikedPaper:
    """A paper, or a text, that others may be like; `id` is 0 for a text."""

    id: int
    paper: Paper


class SimilarPapers:
    """Similarity among the papers of a history."""

    def __init__(self, papers: Papers, index: SearchIndex) -> None:
        self._papers = papers
        self._index = index

    def resolve(self, text: str) -> LikedPaper | None:
        """The paper that `text` names, else `text` itself; None for the name of a paper that was never recorded."""
        paper_id = self._papers.find(text, unlisted=True)
        if paper_id is not None:
            return LikedPaper(paper_id, self._papers.load([paper_id])[paper_id])
        return None if parse_name(text).startswith(("arxiv:", "doi:")) else LikedPaper(0, Paper(text))

    def shares(self, liked: Sequence[LikedPaper], papers: Sequence[int]) -> dict[int, float]:
        """How similar each of `papers` is, from 0 to 1 (see `scale_similarities`). A liked paper itself has 1."""
        if not liked:
            return {}
        own = {one.id for one in liked}
        near = dict.fromkeys([*papers, *self._index.newest(BACKGROUND)])
        pool = [paper_id for paper_id in near if paper_id not in own]
        scores = self._score(liked, self._papers.load(pool))
        shares = dict(zip(scores, scale_similarities(list(scores.values())), strict=True))
        return {paper_id: 1.0 if paper_id in own else shares[paper_id] for paper_id in papers}

    def to_topic(self, topic: Topic, papers: Sequence[int]) -> dict[int, Similarity]:
        """Which of `papers` are like what the topic likes, and how much."""
        liked = [one for text in topic.like for one in self._resolve_for(topic, text)]
        shares = {paper_id: share for paper_id, share in self.shares(liked, papers).items() if share > 0}
        nearest = Nearest([one.paper for one in liked])
        return {
            paper_id: Similarity(shares[paper_id], snippet(nearest.to(paper).title, 80))
            for paper_id, paper in self._papers.load(shares).items()
        }

    def search(self, query: str, like: str, since: date, limit: int) -> list[tuple[Paper, date]]:
        """The best `limit` papers first seen from `since` on, each with the day on which it was.

        They have the words of `query`; those most like `like` come first. Either may be "". Raises PaperNotFound when
        `like` names a paper that was never recorded.
        """
        hits = self._search_like(query, like, since, limit) if like else self._index.search(query, since, limit)
        papers = self._papers.load(hit.id for hit in hits)
        return [(papers[hit.id], hit.first_seen) for hit in hits]

    def _search_like(self, query: str, like: str, since: date, limit: int) -> list[Hit]:
        liked = self.resolve(like)
        if liked is None:
            raise PaperNotFound(like)
        if not query:
            return self.find_similar(liked, since, limit)
        hits = [hit for hit in self._index.search(query, since, _WIDE) if hit.id != liked.id]
        shares = self.shares([liked], [hit.id for hit in hits])
        return sorted(hits, key=lambda hit: -shares[hit.id])[:limit]

    def find_similar(self, liked: LikedPaper, since: date, limit: int) -> list[Hit]:
        """The papers most like one, of the whole history, best first.

        Its most distinctive words find papers, similarity puts them in order.
        """
        newest = self._papers.load(self._index.newest(BACKGROUND))
        words = distinctive_words([liked.paper], list(newest.values()), _WORDS)
        found = self._index.search_any(words, since, max(_NEAR, limit + 1))
        hits = {hit.id: hit for hit in found if hit.id != liked.id}
        pool = newest | self._papers.load(hits)
        pool.pop(liked.id, None)
        scores = self._score([liked], pool)
        return sorted(hits.values(), key=lambda hit: (-scores[hit.id], hit.id))[:limit]

    def _resolve_for(self, topic: Topic, text: str) -> list[LikedPaper]:
        """The paper, text or papers of a file that a topic likes; nothing, with a warning, for what is not there."""
        if is_library(text):
            try:
                library = read_library(Path(text))
            except SourceError as error:
                log.warning("liked file not read", {"topic": topic.name, "why": str(error)})
                return []
            if library.skipped:
                skipped = {"topic": topic.name, "skipped": len(library.skipped), "why": library.skipped[0]}
                log.warning("liked file read in part", skipped)
            return [LikedPaper(0, paper) for paper in library.papers]
        liked = self.resolve(text)
        if liked is None:
            log.warning("liked paper not found in the history", {"topic": topic.name, "like": text})
        return [liked] if liked else []

    def _score(self, liked: Sequence[LikedPaper], pool: Mapping[int, Paper]) -> dict[int, float]:
        texts, papers = [one.paper for one in liked], list(pool.values())
        if installed():
            vectors = self._vectors({**pool, **{one.id: one.paper for one in liked if one.id}})
            texts_of_own = iter(embed([one.paper for one in liked if not one.id]))
            own = [vectors[one.id] if one.id else next(texts_of_own) for one in liked]
            scores = semantic_similarity(texts, own, papers, [vectors[paper_id] for paper_id in pool])
        else:
            scores = tf_idf_similarity(texts, papers)
        return dict(zip(pool, scores, strict=True))

    def _vectors(self, papers: Mapping[int, Paper]) -> dict[int, bytes]:
        """The vector of each paper: the stored one, else one that is made now and stored."""
        known = self._index.vectors(METHOD, papers)
        missing = [paper_id for paper_id in papers if paper_id not in known]
        made = dict(zip(missing, embed([papers[paper_id] for paper_id in missing]), strict=True))
        if made:
            self._index.store_vectors(METHOD, made)
        return known | made
