"""Which papers a reader gets, in which order: the one way from the history to a mail, to `explain` and `backtest`."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cached_property

from digest.config import Config
from digest.mail.edition import MOST_PAPERS
from digest.papers import Paper
from digest.pipeline.similar import SimilarPapers
from digest.ranking.diversity import diversify
from digest.ranking.topics import ScorePart, Similarity, Topic, match_topics
from digest.ranking.trending import Ranked, rank, trending
from digest.store.papers import Papers
from digest.store.subscribers import Profile

_POOL = 3  # times the papers of a mail: those among which variety is sought


class Selection:
    """The choice of a day. What does not depend on the reader is found once, however many readers there are.

    What does depend on one is which papers were `shown` and the `profile`.
    """

    def __init__(self, config: Config, history: Papers, likeness: SimilarPapers, day: date) -> None:
        self._config = config
        self._history = history
        self._likeness = likeness
        self.day = day
        self.since = day - timedelta(config.digest.window_days)
        self.candidates = history.candidates(day, config.digest.window_days)
        self._wanted: dict[tuple[Topic, ...], Mapping[int, tuple[ScorePart, ...]]] = {}

    def topics(self, profile: Profile) -> tuple[Topic, ...]:
        """The topics of the configuration that a reader chose; all of them when it has none of those any more."""
        chosen = profile.topics or ()
        return tuple(topic for topic in self._config.topics if topic.name in chosen) or self._config.topics

    def most(self, profile: Profile) -> int:
        """How many papers a reader wants in a mail, which has room for no more than `MOST_PAPERS`."""
        return min(profile.max_papers or self._config.digest.max_papers, MOST_PAPERS)

    def wanted(self, profile: Profile) -> Mapping[int, tuple[ScorePart, ...]]:
        """What a reader's topics add to each candidate; muted ones are not in it."""
        topics = self.topics(profile)
        if topics not in self._wanted:
            alike = [self._alike[topic] for topic in topics]
            found = ((n, match_topics(topics, p, [a.get(n) for a in alike])) for n, p in self._papers)
            self._wanted[topics] = {number: parts for number, parts in found if parts is not None}
        return self._wanted[topics]

    @cached_property
    def _papers(self) -> list[tuple[int, Paper]]:
        return list(self._history.papers(c.id for c in self.candidates))

    @cached_property
    def _alike(self) -> dict[Topic, Mapping[int, Similarity]]:
        numbers = [c.id for c in self.candidates]
        return {topic: self._likeness.alike(topic, numbers) for topic in self._config.topics}

    def scored(self, shown: frozenset[int], profile: Profile) -> list[Ranked]:
        """Every candidate but the muted and the `shown` ones, best first: trending and topics added up."""
        weights = {source.name: source.weight for source in self._config.sources}
        trends = trending(self.candidates, self.since, self.day, shown, weights)
        wanted = self.wanted(profile)
        return rank((t for t in trends if t.id in wanted), wanted)

    def lineup(self, shown: frozenset[int], profile: Profile) -> list[Ranked]:
        """What may be shown, in the order of the mail, which takes as many of the first as it has room for."""
        ranked = [r for r in self.scored(shown, profile) if not self.too_little(r, profile)]
        pool = _POOL * self.most(profile)
        return self._varied(ranked[:pool]) + ranked[pool:] if self._config.digest.variety else ranked

    def too_little(self, ranked: Ranked, profile: Profile) -> str:
        """Why a score is too little for a mail; '' when it is not."""
        settings = self._config.digest
        if ranked.score < settings.min_score:
            return f"its score is below min_score = {settings.min_score:g}"
        if settings.topics_only and not self.wanted(profile)[ranked.trend.id]:
            return "it matches no topic, and topics_only = true"
        return ""

    def _varied(self, ranked: Sequence[Ranked]) -> list[Ranked]:
        known = {r.trend.id: r for r in ranked}
        return [known[number] for number in diversify(list(known), dict(self._history.papers(known)))]
