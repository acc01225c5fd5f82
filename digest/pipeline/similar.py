"""Papers like others: finds what is meant, asks the better of the measures that is installed, keeps its vectors."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from digest.papers import Paper, parse_name
from digest.papers.text.fit import snippet
from digest.ranking.embeddings import METHOD, embed, installed, semantic_similarity
from digest.ranking.similarity import distinctive_words, nearest_paper, stand_out_shares, tf_idf_similarity
from digest.ranking.topics import Similarity, Topic
from digest.store.papers import Papers
from digest.store.search import Hit, SearchIndex

log = logging.getLogger("digest")

BACKGROUND = 1_000  # of the newest papers: what likeness stands out from
_WORDS, _NEAR = 40, 400  # how many of the most telling words look for papers, and how many papers they bring


@dataclass(frozen=True, slots=True)
class LikedPaper:
    """A paper or a text to be like; `id` is its row, 0 for a text."""

    id: int
    paper: Paper


class SimilarPapers:
    """Likeness among the papers of a history."""

    def __init__(self, history: Papers, archive: SearchIndex) -> None:
        self._history = history
        self._archive = archive

    def meant(self, text: str) -> LikedPaper | None:
        """The paper that goes by `text`, else `text` itself; None for the name of a paper that was never recorded."""
        row = self._history.find(text)
        if row is not None:
            return LikedPaper(row, dict(self._history.papers([row]))[row])
        return None if parse_name(text).startswith(("arxiv:", "doi:")) else LikedPaper(0, Paper(text))

    def shares(self, liked: Sequence[LikedPaper], papers: Sequence[int]) -> dict[int, float]:
        """How alike each of `papers` is, from 0 to 1 (see `similarity.shares`). A liked paper is as alike as can be."""
        if not liked:
            return {}
        own = {one.id for one in liked}
        pool = [n for n in dict.fromkeys([*papers, *self._archive.newest(BACKGROUND)]) if n not in own]
        scores = self._closeness(liked, dict(self._history.papers(pool)))
        found = dict(zip(scores, stand_out_shares(list(scores.values())), strict=True))
        return {number: 1.0 if number in own else found[number] for number in papers}

    def alike(self, topic: Topic, papers: Sequence[int]) -> dict[int, Similarity]:
        """Which of `papers` are like what the topic likes, and how much."""
        liked = [one for text in topic.like if (one := self._known(topic, text))]
        found = {number: share for number, share in self.shares(liked, papers).items() if share > 0}
        texts = self._history.papers(found)
        return {
            n: Similarity(found[n], snippet(nearest_paper([one.paper for one in liked], paper).title, 80))
            for n, paper in texts
        }

    def _known(self, topic: Topic, text: str) -> LikedPaper | None:
        liked = self.meant(text)
        if liked is None:
            log.warning("no such paper was recorded yet; a text would do as well", {"topic": topic.name, "like": text})
        return liked

    def search(self, liked: LikedPaper, since: date, limit: int) -> list[Hit]:
        """The papers most like one, of the whole history, the best first.

        Its most telling words bring papers, likeness puts them in order.
        """
        newest = dict(self._history.papers(self._archive.newest(BACKGROUND)))
        telling = distinctive_words([liked.paper], list(newest.values()), _WORDS)
        hits = {hit.id: hit for hit in self._archive.akin(telling, since, max(_NEAR, limit + 1)) if hit.id != liked.id}
        pool = newest | dict(self._history.papers(hits))
        pool.pop(liked.id, None)
        scores = self._closeness([liked], pool)
        return sorted(hits.values(), key=lambda hit: (-scores[hit.id], hit.id))[:limit]

    def _closeness(self, liked: Sequence[LikedPaper], pool: Mapping[int, Paper]) -> dict[int, float]:
        texts, papers = [one.paper for one in liked], list(pool.values())
        if installed():
            vectors = self._vectors({**pool, **{one.id: one.paper for one in liked if one.id}})
            own = [vectors[one.id] if one.id else embed([one.paper])[0] for one in liked]
            scores = semantic_similarity(texts, own, papers, [vectors[number] for number in pool])
        else:
            scores = tf_idf_similarity(texts, papers)
        return dict(zip(pool, scores, strict=True))

    def _vectors(self, papers: Mapping[int, Paper]) -> dict[int, bytes]:
        """The vector of each paper: the one it has, else made now and kept."""
        known = self._archive.vectors(METHOD, papers)
        missing = [number for number in papers if number not in known]
        made = dict(zip(missing, embed([papers[number] for number in missing]), strict=True))
        if made:
            self._archive.keep(METHOD, made)
        return known | made
