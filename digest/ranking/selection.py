"""Which papers a reader gets, in which order. Pure: no I/O.

A `Selection` is made once a day from values; each reader then adds a profile and the papers they were shown before:

1. every candidate gets its trending score (`trending`), papers shown before left out;
2. the reader's topics add their points, and remove what they mute (`topics`);
3. what scores too little for this configuration is left out;
4. the best are put in order, and one theme does not fill the mail while others wait (`diversify`).

The mail, `explain` and `backtest` all choose papers this way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from digest.papers import Paper
from digest.ranking import Candidate, Profile
from digest.ranking.similarity import Vector, cosine, tf_idf
from digest.ranking.topics import ScorePart, Similarity, Topic, match_topics
from digest.ranking.trending import Ranked, rank, trending

MAX_PAPERS = 120  # in a mail: what surely fits under Gmail's limit, however long the titles; the rest waits
_POOL = 3  # times the papers of a mail: how far down `diversify` looks

# Two papers are on one theme when they share at least three words and the cosine of their tf-idf vectors is at least
# 0.2. That holds for four in a hundred pairs of one day's Hugging Face list; with fewer shared words a cosine of short
# abstracts says nothing. Of 30 recorded days with more papers than a mail holds, the rule moved one paper on one day.
_MIN_COSINE = 0.2
_MIN_SHARED_WORDS = 3
_MAX_PER_THEME = 3


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says about the choice; `weights` are those of the sources, by name."""

    topics: tuple[Topic, ...]
    weights: Mapping[str, float]
    max_papers: int
    min_score: float
    topics_only: bool
    variety: bool


class Selection:
    """The choice of a day. What does not depend on the reader is computed once, however many readers there are.

    `candidates` are the papers first seen from `since` to `day`, `papers` holds the text of each, and `similarities`
    how similar they are to what each topic likes.
    """

    def __init__(
        self,
        rules: Rules,
        since: date,
        day: date,
        candidates: Sequence[Candidate],
        papers: Mapping[int, Paper],
        similarities: Mapping[Topic, Mapping[int, Similarity]],
    ) -> None:
        self.since = since
        self.day = day
        self.paper_ids = [candidate.id for candidate in candidates]
        self._candidates = candidates
        self._rules = rules
        self._papers = papers
        self._similarities = similarities
        self._topic_scores: dict[tuple[Topic, ...], Mapping[int, tuple[ScorePart, ...]]] = {}

    def topics(self, profile: Profile) -> tuple[Topic, ...]:
        """The topics a reader chose; all of them when none of those is in the configuration any more."""
        chosen = profile.topics or ()
        return tuple(topic for topic in self._rules.topics if topic.name in chosen) or self._rules.topics

    def limit(self, profile: Profile) -> int:
        """How many papers a reader's mail holds at most."""
        return min(profile.max_papers or self._rules.max_papers, MAX_PAPERS)

    def pick(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """The papers of a reader's mail, best first; `shown` are those they were shown before."""
        return self.order(profile, shown)[: self.limit(profile)]

    def order(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """All papers that may be shown to a reader, in the order in which mails take them."""
        ranked = [r for r in self.score(profile, shown) if not self.exclusion(profile, r)]
        if not self._rules.variety:
            return ranked
        pool = _POOL * self.limit(profile)
        best = {r.trend.id: r for r in ranked[:pool]}
        return [best[number] for number in diversify(list(best), self._papers)] + ranked[pool:]

    def score(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Every candidate with its whole score, best first, but those muted or in `shown`."""
        trends = trending(self._candidates, self.since, self.day, shown, self._rules.weights)
        wanted = self._score_topics(self.topics(profile))
        return rank((trend for trend in trends if trend.id in wanted), wanted)

    def exclusion(self, profile: Profile, ranked: Ranked) -> str:
        """Why a paper's score is too low for a mail; '' when it is not."""
        if ranked.score < self._rules.min_score:
            return f"its score is below min_score = {self._rules.min_score:g}"
        if self._rules.topics_only and not self._score_topics(self.topics(profile))[ranked.trend.id]:
            return "it matches no topic, and topics_only = true"
        return ""

    def _score_topics(self, topics: tuple[Topic, ...]) -> Mapping[int, tuple[ScorePart, ...]]:
        """What these topics add to each candidate; muted ones are missing."""
        if topics not in self._topic_scores:
            similar = [self._similarities.get(topic, {}) for topic in topics]
            found = ((n, match_topics(topics, p, [s.get(n) for s in similar])) for n, p in self._papers.items())
            self._topic_scores[topics] = {number: parts for number, parts in found if parts is not None}
        return self._topic_scores[topics]


def diversify(order: Sequence[int], papers: Mapping[int, Paper]) -> list[int]:
    """`order`, with each paper that is on one theme with three papers above it moved below all that are not.

    No paper is dropped, the order within both groups stays, and the first paper stays first.
    """
    vectors = dict(zip(order, tf_idf([papers[number] for number in order]), strict=True))
    kept: list[int] = []
    moved: list[int] = []
    for number in order:
        similar = sum(_on_one_theme(vectors[number], vectors[other]) for other in kept)
        (moved if similar >= _MAX_PER_THEME else kept).append(number)
    return kept + moved


def _on_one_theme(one: Vector, other: Vector) -> bool:
    return len(one.keys() & other.keys()) >= _MIN_SHARED_WORDS and cosine(one, other) >= _MIN_COSINE
