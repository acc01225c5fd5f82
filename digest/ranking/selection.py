"""Select the papers of a reader's mail and their order. Pure: no I/O.

A `Selection` is made once a day; for each reader it takes a profile and the papers they were shown before:

1. the reader's topics add points, and remove the papers they mute (`topics`);
2. what the reader said about papers adds points to similar ones, or takes some away (`Taste`), and removes none: the
   most trending paper is always in the mail;
3. every candidate gets its trending score (`trending`), papers shown before left out;
4. papers below `min_score`, or without a topic under `topics_only`, are left out;
5. the best are put in order, and one theme does not fill the mail while others wait (`diversify`).

The mail, `explain` and `backtest` all select papers this way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from digest.papers import Paper
from digest.papers.text.fit import plural, snippet
from digest.ranking import Candidate, Profile
from digest.ranking.similarity import (
    PaperSpace,
    Vector,
    cosine,
    dislike_weight,
    scale_taste,
    tf_idf,
)
from digest.ranking.topics import ScorePart, Similarity, Topic, match_topics
from digest.ranking.trending import Ranked, rank, trending

MAX_PAPERS = 120  # fits under Gmail's limit even with the longest titles; the others can be in a later mail
_POOL = 3  # times the papers of a mail: how far down `diversify` looks

# Two papers share a theme when they share at least three words and the cosine of their tf-idf vectors is at least
# 0.2. That holds for four in a hundred pairs of one day's Hugging Face list; with fewer shared words a cosine of short
# abstracts means nothing. Of 30 recorded days with more papers than a mail holds, the rule moved one paper on one day.
_MIN_COSINE = 0.2
_MIN_SHARED_WORDS = 3
_MAX_PER_THEME = 3
_MIN_BADGE = 0.3  # share of a reader's taste from which on the paper has a badge


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide the selection. `weights` is by source; `min_score` is in points, like `Topic.weight`."""

    topics: tuple[Topic, ...]
    weights: Mapping[str, float]
    max_papers: int
    min_score: float
    topics_only: bool
    variety: bool


class Taste:
    """What readers' labels say about candidates.

    `space` holds the candidates, the labelled papers (with their texts in `labelled`) and the `background`, papers with
    which similarity is compared.
    """

    def __init__(
        self, space: PaperSpace, labelled: Mapping[int, Paper], background: Sequence[int], papers: Mapping[int, Paper]
    ) -> None:
        self._space = space
        self._labelled = labelled
        self._pool = list(dict.fromkeys([*papers, *background]))
        self._papers = papers
        self._parts = lru_cache(maxsize=1)(self._score)

    def parts(self, profile: Profile) -> Mapping[int, ScorePart]:
        """Return what the labels of a reader add to the score of each candidate, or take from it."""
        return self._parts(profile.liked, profile.disliked) if profile.liked or profile.disliked else {}

    def _score(self, liked: tuple[int, ...], disliked: tuple[int, ...]) -> dict[int, ScorePart]:
        liked = tuple(paper for paper in liked if paper in self._labelled)
        disliked = tuple(paper for paper in disliked if paper in self._labelled)
        weighs_dislikes = dislike_weight(len(liked), len(disliked)) > 0 and disliked
        if not liked and not weighs_dislikes:
            return {}
        scores = dict(zip(self._pool, scale_taste(self._space.score(liked, disliked, self._pool)), strict=True))
        wanted = [one for one in self._papers if scores[one] > 0 and liked]
        unwanted = [one for one in self._papers if scores[one] < 0 and weighs_dislikes]
        return {
            one: _taste_part(scores[one], self._labelled[near].title)
            for ones, labelled in ((wanted, liked), (unwanted, disliked))
            for one, near in zip(ones, self._space.nearest(labelled, ones) if ones else (), strict=True)
        }


def _taste_part(share: float, title: str) -> ScorePart:
    """Return the points of a share, from -1 to 1, and why: the labelled paper of this title is like it."""
    if share < 0:
        return ScorePart(share, f"because “{snippet(title, 80)}” was not for you")
    asked = "because you asked for more like"
    badge = f"{asked} “{snippet(title, 40)}”" if share >= _MIN_BADGE else ""
    return ScorePart(share, f"{asked} “{snippet(title, 80)}”", badge)


class Selection:
    """The selection of a day. What does not depend on the reader is computed once for all readers.

    `candidates` are the papers first seen from `since` to `day`, `papers` contains the text of each by id, and
    `similarities` how similar they are to what each topic likes. `taste` is None if no reader has labels.
    """

    def __init__(
        self,
        rules: Rules,
        since: date,
        day: date,
        candidates: Sequence[Candidate],
        papers: Mapping[int, Paper],
        similarities: Mapping[Topic, Mapping[int, Similarity]],
        taste: Taste | None = None,
    ) -> None:
        self.since = since
        self.day = day
        self.paper_ids = [candidate.id for candidate in candidates]
        self._candidates = candidates
        self._rules = rules
        self._papers = papers
        self._similarities = similarities
        self._taste = taste
        self._topic_scores: dict[tuple[Topic, ...], Mapping[int, tuple[ScorePart, ...]]] = {}

    def topics(self, profile: Profile) -> tuple[Topic, ...]:
        """Return the topics a reader chose, or all if none of those is in the configuration any more."""
        chosen = profile.topics or ()
        return tuple(topic for topic in self._rules.topics if topic.name in chosen) or self._rules.topics

    def max_papers(self, profile: Profile) -> int:
        """Return how many papers a reader's mail has at most."""
        return min(profile.max_papers or self._rules.max_papers, MAX_PAPERS)

    def pick(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return the papers of a reader's mail, best first; `shown` are those they were shown before."""
        return self.order(profile, shown)[: self.max_papers(profile)]

    def order(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all papers that may be shown to a reader, in the order in which mails take them."""
        ranked = [r for r in self.score(profile, shown) if not self.exclusion(profile, r)]
        if self._rules.variety:
            pool = _POOL * self.max_papers(profile)
            best = {r.trend.id: r for r in ranked[:pool]}
            ranked = [best[paper_id] for paper_id in diversify(list(best), self._papers)] + ranked[pool:]
        return self._with_top(ranked, self.max_papers(profile)) if profile.liked or profile.disliked else ranked

    def score(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all candidates except muted ones and those in `shown`, with their full scores, best first."""
        wanted = self._score_topics(self.topics(profile))
        if self._taste and (taste := self._taste.parts(profile)):
            wanted = {one: (*parts, taste[one]) if one in taste else parts for one, parts in wanted.items()}
        trends = trending(self._candidates, self.since, self.day, shown, self._rules.weights, wanted)
        return rank((trend for trend in trends if trend.id in wanted), wanted)

    def exclusion(self, profile: Profile, ranked: Ranked) -> str:
        """Return why a paper is left out of mails; '' if it is not."""
        if ranked.score < self._rules.min_score:
            return f"its score is below min_score = {self._rules.min_score:g}"
        if self._rules.topics_only and not self._score_topics(self.topics(profile))[ranked.trend.id]:
            return "it matches no topic, and topics_only = true"
        return ""

    def why_empty(self, profile: Profile, shown: frozenset[int]) -> str:
        """Return why there is no paper for a reader, in half a sentence with `{whose}` for "your" or "their"."""
        new = [candidate.id for candidate in self._candidates if candidate.first_seen == self.day]
        if not new:
            return "no new papers"
        wanted = self._score_topics(self.topics(profile))
        counts = Counter(self._why_not(paper_id, shown, wanted) for paper_id in new)
        reasons = [f"{count:,} {reason}" for reason, count in counts.most_common()]
        if len(reasons) == 1 < len(new):
            (reason,) = counts
            reasons = [f"none {reason[4:]}" if reason.startswith("not ") else f"all {reason}"]
        elif len(reasons) == 1:
            reasons = list(counts)
        return f"{plural(len(new), 'new paper')}, {', '.join(reasons)}"

    def _why_not(self, paper_id: int, shown: frozenset[int], wanted: Mapping[int, tuple[ScorePart, ...]]) -> str:
        if paper_id in shown:
            return "already in {whose} mails"
        if paper_id not in wanted:
            return "muted by {whose} topics"
        if self._rules.topics_only and not wanted[paper_id]:
            return "not on {whose} topics"
        return f"below the minimum score of {self._rules.min_score:g}"

    @staticmethod
    def _with_top(order: list[Ranked], limit: int) -> list[Ranked]:
        """Return `order` with the most trending paper among the first `limit`: labels mute nothing."""
        place = max(range(len(order)), key=lambda n: order[n].trend.score, default=0)
        return (
            order
            if place < limit
            else [*order[: limit - 1], order[place], *order[limit - 1 : place], *order[place + 1 :]]
        )

    def _score_topics(self, topics: tuple[Topic, ...]) -> Mapping[int, tuple[ScorePart, ...]]:
        """Return what these topics add to the score of each candidate; muted ones are missing."""
        if topics not in self._topic_scores:
            similar = [self._similarities.get(topic, {}) for topic in topics]
            found = self._topic_scores[topics] = {}
            for paper_id, paper in self._papers.items():
                parts = match_topics(topics, paper, [shares.get(paper_id) for shares in similar])
                if parts is not None:
                    found[paper_id] = parts
        return self._topic_scores[topics]


def diversify(order: Sequence[int], papers: Mapping[int, Paper]) -> list[int]:
    """Return `order`, with each paper that shares a theme with three papers above it moved below the others.

    No paper is dropped, the order within both groups stays, and the first paper stays first.
    """
    vectors = dict(zip(order, tf_idf([papers[paper_id] for paper_id in order], titles=2), strict=True))
    kept: list[int] = []
    moved: list[int] = []
    for paper_id in order:
        similar = sum(_share_theme(vectors[paper_id], vectors[other]) for other in kept)
        (moved if similar >= _MAX_PER_THEME else kept).append(paper_id)
    return kept + moved


def _share_theme(one: Vector, other: Vector) -> bool:
    return len(one.keys() & other.keys()) >= _MIN_SHARED_WORDS and cosine(one, other) >= _MIN_COSINE
