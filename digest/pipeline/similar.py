"""Find papers by words and by similarity, by meaning if the extra `semantic` is installed; store what that computes.

By meaning, every paper of the history has a stored vector, made when it is first needed; `search --like` compares with
all of them. Their basis is made again whenever the history has twice the papers it was made from: seldom, and from at
most `MOST_FITTED` of them. By words, `search --like` compares with the papers that share the most distinctive words.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from digest.errors import PaperNotFound, SourceError
from digest.papers import Paper, parse_name
from digest.papers.text.fit import snippet
from digest.ranking.embeddings import MOST_FITTED, VectorSpace, fit, installed
from digest.ranking.sentences import SentenceModel
from digest.ranking.similarity import BACKGROUND, PaperSpace, WordSpace, distinctive_words, scale_similarities
from digest.ranking.topics import Similarity, Topic
from digest.sources.library import is_library, read_library
from digest.store.papers import Papers
from digest.store.search import Hit, SearchIndex, StoredBasis

log = logging.getLogger("digest")

_WORDS = 40  # distinctive words of a paper that are searched for
_NEAR = 2_000  # papers with these words that are compared with it
_WIDE = 1_000  # papers with the words of a query that are compared with it
_AT_ONCE = 2_000  # texts in memory while vectors are made
_SENTENCES_AT_ONCE = 200  # the same with a sentence model: five seconds


@dataclass(frozen=True, slots=True)
class LikedPaper:
    """A paper, or a text, that others may be like; `id` is 0 for a text."""

    id: int
    paper: Paper


@dataclass(frozen=True, slots=True)
class Nearness:
    """The title of the liked paper of a topic that a paper is most similar to, and what share of the others is not so
    similar to what the topic likes."""

    topic: str
    to: str
    nearer: float


class SimilarPapers:
    """Similarity among the papers of a history."""

    def __init__(self, papers: Papers, index: SearchIndex, model: SentenceModel | None = None) -> None:
        self._papers = papers
        self._index = index
        self._model = model

    def resolve(self, text: str) -> LikedPaper | None:
        """The paper that `text` names, else `text` itself; None for the name of a paper that was never recorded."""
        paper_id = self._papers.find(text, unlisted=True)
        if paper_id is not None:
            return LikedPaper(paper_id, self._papers.load([paper_id])[paper_id])
        return None if parse_name(text).startswith(("arxiv:", "doi:")) else LikedPaper(0, Paper(text))

    def to_topics(self, topics: Sequence[Topic], papers: Sequence[int]) -> dict[Topic, dict[int, Similarity]]:
        """Which of `papers` are similar to what each topic likes, and how much.

        The papers recorded last are scored beside them, so that a share means the same on days with few papers.
        """
        found: dict[Topic, dict[int, Similarity]] = {}
        if not any(topic.like for topic in topics):
            return found
        pool = list(dict.fromkeys([*papers, *self._index.newest(BACKGROUND)]))
        for topic, space, liked in self._spaces(topics, pool):
            others = [paper_id for paper_id in pool if paper_id not in liked]
            shares = dict(zip(others, scale_similarities(space.score(list(liked), [], others)), strict=True))
            shares |= dict.fromkeys(liked, 1.0)
            similar = [paper_id for paper_id in papers if shares[paper_id] > 0]
            titles = {number: snippet(title, 80) for number, title in liked.items()}
            nearest = zip(similar, space.nearest(list(liked), similar), strict=True)
            found[topic] = {paper_id: Similarity(shares[paper_id], titles[to]) for paper_id, to in nearest}
        return found

    def nearness(self, topics: Sequence[Topic], paper_id: int, papers: Sequence[int]) -> list[Nearness]:
        """How near a paper is to what each topic likes, compared with `papers`."""
        found = []
        pool = list(dict.fromkeys([paper_id, *papers]))
        for topic, space, liked in self._spaces(topics, pool):
            if paper_id not in liked:
                others = [other for other in pool if other not in liked]
                scores = dict(zip(others, space.score(list(liked), [], others), strict=True))
                (nearest,) = space.nearest(list(liked), [paper_id])
                nearer = sum(score < scores[paper_id] for score in scores.values()) / max(len(scores) - 1, 1)
                found.append(Nearness(topic.name, snippet(liked[nearest], 80), nearer))
        return found

    def _spaces(
        self, topics: Sequence[Topic], pool: Sequence[int]
    ) -> Iterator[tuple[Topic, PaperSpace, dict[int, str]]]:
        """Each topic that likes papers, a space of these and the pool, and the titles of what it likes by number."""
        resolved = {topic: [o for text in topic.like for o in self._resolve_for(topic, text)] for topic in topics}
        if not pool or not any(resolved.values()):
            return
        space, numbers = self._space_with([one for liked in resolved.values() for one in liked], pool)
        for topic, liked in resolved.items():
            if liked:
                yield topic, space, {numbers[one]: one.paper.title for one in liked}

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
        scores = self._score(liked, [hit.id for hit in hits])
        return sorted(hits, key=lambda hit: (-scores[hit.id], hit.id))[:limit]

    def find_similar(self, liked: LikedPaper, since: date, limit: int) -> list[Hit]:
        """The papers most like one, of the whole history, best first."""
        scores = self._score_all(liked, since) if installed() else self._score_by_words(liked, since, limit)
        best = sorted(scores, key=lambda paper_id: (-scores[paper_id], paper_id))
        return self._index.hits(best[:limit])

    def space(self, paper_ids: Iterable[int], texts: Sequence[Paper] = ()) -> PaperSpace:
        """These papers, by meaning if the extra is installed, else by words; the given texts are -1, -2 and so on.

        Stores the vectors that it makes. Papers that were deleted are missing.
        """
        made = {-n: text for n, text in enumerate(texts, start=1)}
        if not installed():
            return WordSpace(self._papers.load(paper_ids) | made)
        stored = self._basis()
        wanted = list(paper_ids)
        known = self._index.vectors(stored.id, wanted)
        known |= self._make_vectors(stored, [paper_id for paper_id in wanted if paper_id not in known])
        return VectorSpace(known | dict(zip(made, stored.basis.embed(texts, self._model), strict=True)))

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

    def _space_with(
        self, liked: Sequence[LikedPaper], pool: Iterable[int]
    ) -> tuple[PaperSpace, Mapping[LikedPaper, int]]:
        """A space of the liked papers and the pool, and the number of each liked paper in it."""
        texts = [one for one in liked if not one.id]
        numbers = {one: one.id for one in liked if one.id} | {one: -n for n, one in enumerate(texts, start=1)}
        known = dict.fromkeys([*(one.id for one in liked if one.id), *pool])
        return self.space(known, [one.paper for one in texts]), numbers

    def background(self) -> list[int]:
        """The newest papers, with which similarity is compared."""
        return self._index.newest(BACKGROUND)

    def _score(self, liked: LikedPaper, pool: Sequence[int]) -> dict[int, float]:
        space, numbers = self._space_with([liked], pool)
        return dict(zip(pool, space.score([numbers[liked]], [], pool), strict=True))

    def _score_by_words(self, liked: LikedPaper, since: date, limit: int) -> dict[int, float]:
        """The score of each paper that has the most distinctive words of one."""
        newest = self._index.newest(BACKGROUND)
        words = distinctive_words([liked.paper], list(self._papers.load(newest).values()), _WORDS)
        hits = self._index.search_any(words, since, max(_NEAR, limit + 1))
        found = [hit.id for hit in hits if hit.id != liked.id]
        space, numbers = self._space_with([liked], [*found, *newest])
        return dict(zip(found, space.score([numbers[liked]], [], found), strict=True))

    def _score_all(self, liked: LikedPaper, since: date) -> dict[int, float]:
        """The score of each paper of the history."""
        stored = self._basis()
        if missing := self._index.without_vector(stored.id):
            self._make_vectors(stored, missing)
        vectors = self._index.all_vectors(stored.id, since)
        pool = [paper_id for paper_id in vectors if paper_id != liked.id]
        vectors[liked.id] = stored.basis.embed([liked.paper], self._model)[0]
        return dict(zip(pool, VectorSpace(vectors).score([liked.id], [], pool), strict=True))

    def _basis(self) -> StoredBasis:
        """The stored basis, or a new one if the history has outgrown it."""
        papers, stored = self._index.count(), self._index.basis(self._model.name if self._model else "")
        if stored and papers < 2 * stored.papers:
            return stored
        newest = self._index.newest(MOST_FITTED)
        if len(newest) > _AT_ONCE:
            log.info("learning which words belong together", {"papers": len(newest)})
        texts = (
            paper
            for first in range(0, len(newest), _AT_ONCE)
            for paper in self._papers.load(newest[first : first + _AT_ONCE]).values()
        )
        return self._index.replace_basis(fit(texts, self._model), papers)

    def _make_vectors(self, stored: StoredBasis, paper_ids: Sequence[int]) -> dict[int, bytes]:
        """Make the vectors of these papers, and store them part by part: what an interrupted run has made is kept."""
        at_once = _SENTENCES_AT_ONCE if self._model else _AT_ONCE
        if len(paper_ids) > at_once:  # this takes seconds
            log.info("comparing papers for the first time", {"papers": len(paper_ids)})
        found: dict[int, bytes] = {}
        for first in range(0, len(paper_ids), at_once):
            papers = self._papers.load(paper_ids[first : first + at_once])
            made = dict(zip(papers, stored.basis.embed(list(papers.values()), self._model), strict=True))
            self._index.store_vectors(stored.id, made)
            found |= made
        return found
