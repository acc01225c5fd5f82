"""The rules of the selection written out one after another, for one reader, without any thought of speed.

This is the specification: `digest.ranking.selection` must select the same papers, in the same order, with the same
scores. Whether two papers share a theme (`near`) and what a topic finds in a paper is asked of the program: those are
no rules of order, and have tests of their own.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from math import floor, log1p

from digest.papers import Paper
from digest.ranking import Candidate, Listing, Profile
from digest.ranking.selection import MAX_PAPERS, Rules, Taste
from digest.ranking.topics import PaperText, ScorePart, Topic, match
from digest.ranking.trending import Ranked, Trend, TrendKind

Parts = Mapping[int, tuple[ScorePart, ...]]


class Reference:
    """The selection of a day for one reader at a time. `near(a, b)` says whether two papers share a theme."""

    def __init__(
        self,
        rules: Rules,
        since: date,
        day: date,
        candidates: Sequence[Candidate],
        papers: Mapping[int, Paper],
        taste: Taste | None,
        near: Callable[[int, int], bool],
    ) -> None:
        self.rules, self.since, self.day, self.candidates, self.papers = rules, since, day, candidates, papers
        self.taste, self.near = taste, near
        self._asked: dict[tuple[Topic, ...], Parts] = {}
        self._voted: dict[int, list[Trend]] = {}

    def pick(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        return self.order(profile, shown)[: self.limit(profile)]

    def order(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """The best papers first; a paper that shares a theme with three above it goes below the others of the pool."""
        order = [ranked for ranked in self.score(profile, shown) if not self.left_out(profile, ranked)]
        limit = self.limit(profile)
        if self.rules.variety:
            kept: list[Ranked] = []
            moved: list[Ranked] = []
            for ranked in order[: 3 * limit]:
                alike = [other for other in kept if self.near(ranked.trend.id, other.trend.id)]
                (moved if len(alike) >= 3 else kept).append(ranked)
            order = kept + moved + order[3 * limit :]
        if order and (profile.liked or profile.disliked):
            top = max(order, key=lambda ranked: ranked.trend.score)  # the first of equal ones
            if order.index(top) >= limit:
                order.remove(top)
                order.insert(limit - 1, top)
        return order

    def score(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """All papers that are neither shown nor muted, by the sum of their trending score and what the reader adds."""
        asked = self.asked(profile)
        if self.taste:
            said = self.taste.parts(profile, self.papers)
            asked = {one: (*parts, said[one]) if one in said else parts for one, parts in asked.items()}
        trends = [trend for trend in self.trends(shown, asked) if trend.id in asked]
        ranked = [Ranked(trend, (ScorePart(trend.score, ""), *asked[trend.id])) for trend in trends]
        return sorted(ranked, key=lambda ranked: -ranked.score)

    def left_out(self, profile: Profile, ranked: Ranked) -> bool:
        off_topic = self.rules.topics_only and not self.asked(profile)[ranked.trend.id]
        return off_topic or ranked.score < self.rules.min_score

    def why_empty(self, profile: Profile, shown: frozenset[int]) -> str:
        asked = self.asked(profile)
        counts: dict[str, int] = {}
        for candidate in self.candidates:
            if candidate.first_seen == self.day:
                if candidate.id in shown:
                    reason = "already in {whose} mails"
                elif candidate.id not in asked:
                    reason = "muted by {whose} topics"
                elif self.rules.topics_only and not asked[candidate.id]:
                    reason = "not on {whose} topics"
                else:
                    reason = f"below the minimum score of {self.rules.min_score:g}"
                counts[reason] = counts.get(reason, 0) + 1
        number = sum(counts.values())
        if number == 0:
            return "no new papers"
        if number == 1:
            return f"1 new paper, {next(iter(counts))}"
        if len(counts) == 1:
            (reason,) = counts
            told = f"none {reason[4:]}" if reason.startswith("not ") else f"all {reason}"
            return f"{number:,} new papers, {told}"
        most = sorted(counts.items(), key=lambda pair: -pair[1])
        return f"{number:,} new papers, " + ", ".join(f"{count:,} {reason}" for reason, count in most)

    # ---- what a reader chose ------------------------------------------------------------------------------------

    def limit(self, profile: Profile) -> int:
        return min(profile.max_papers or self.rules.max_papers, MAX_PAPERS)

    def topics(self, profile: Profile) -> tuple[Topic, ...]:
        return tuple(topic for topic in self.rules.topics if topic.name in (profile.topics or ())) or self.rules.topics

    def asked(self, profile: Profile) -> Parts:
        """What each topic adds to each paper, in the order of the topics; without the papers that one mutes."""
        topics = self.topics(profile)
        if topics not in self._asked:
            asked = self._asked[topics] = {}
            for paper_id, paper in self.papers.items():
                found = [match(topic, {paper_id: PaperText(paper)}) for topic in topics]
                if not any(one.muted for one in found):
                    asked[paper_id] = tuple(one.parts[paper_id] for one in found if one.parts)
        return self._asked[topics]

    # ---- trends -------------------------------------------------------------------------------------------------

    def trends(self, shown: frozenset[int], asked: Parts) -> list[Trend]:
        """The best trend of each paper that was not shown, the most trending paper first."""
        new = [candidate for candidate in self.candidates if candidate.id not in shown]
        raw = [trend for candidate in new for trend in self.voted(candidate)]
        highest = max((trend.score for trend in raw), default=1.0) or 1.0
        voted = [Trend(trend.id, trend.score / highest, trend.kind, trend.listing) for trend in raw]
        curve = [trend.score for trend in best_of_each(voted)]
        return best_of_each([*voted, *self.without_votes(new, curve, asked)])

    def voted(self, candidate: Candidate) -> list[Trend]:
        """The trend of a paper by each list with votes that it is on, before the day's top paper scores 1."""
        if candidate.id in self._voted:
            return self._voted[candidate.id]
        trends = self._voted[candidate.id] = []
        for listing in candidate.listings:
            if listing.votes is not None:
                kind = TrendKind.MORE
                if listing.day == self.day:
                    kind = TrendKind.TODAY
                elif listing.day >= self.since and self.place(candidate, listing) <= 6:
                    kind = TrendKind.RISING
                score = (0.03 if kind is TrendKind.MORE else 1.0) * log1p(listing.votes)
                score += 0.0 if kind is TrendKind.MORE else 1.0
                trends.append(Trend(candidate.id, self.weight(listing.source) * score, kind, listing))
        return trends

    def place(self, candidate: Candidate, listing: Listing) -> int:
        """The place of a paper on a list by votes, from 1; papers that were shown count too."""
        listed = [
            (-(other.votes or 0), one.id)
            for one in self.candidates
            for other in one.listings
            if (other.source, other.day) == (listing.source, listing.day) and other.votes is not None
        ]
        return 1 + sorted(listed).index((-(listing.votes or 0), candidate.id))

    def without_votes(self, new: Sequence[Candidate], curve: Sequence[float], asked: Parts) -> list[Trend]:
        """Papers of a list without votes take every fourth place among the others, those that were asked for first."""
        trends = []
        listed = [(one, listing) for one in new for listing in one.listings if listing.votes is None]
        for source in sorted({listing.source for _, listing in listed}):
            queue = [
                (
                    -sum(part.points for part in asked.get(one.id, ())),
                    -one.first_seen.toordinal(),
                    -listing.day.toordinal(),
                    one.id,
                    listing,
                    one.first_seen,
                )
                for one, listing in listed
                if listing.source == source
            ]
            queue.sort(key=lambda row: row[:4])
            for place, (*_, paper_id, listing, first_seen) in enumerate(queue, start=1):
                kind = TrendKind.TODAY if first_seen == self.day else TrendKind.MORE
                trends.append(Trend(paper_id, score_at(curve, place, self.weight(source)), kind, listing))
        return trends

    def weight(self, source: str) -> float:
        return self.rules.weights.get(source, 1.0)


def best_of_each(trends: Sequence[Trend]) -> list[Trend]:
    order = sorted(trends, key=lambda t: (-t.score, -(t.listing.votes or 0), -t.listing.day.toordinal(), t.id))
    best: dict[int, Trend] = {}
    for trend in order:
        best.setdefault(trend.id, trend)
    return list(best.values())


def score_at(curve: Sequence[float], place: int, weight: float) -> float:
    """The score between that of the papers with votes before which `3 * place / weight` of them stand."""
    if weight <= 0:
        return 0.0
    if not curve:
        return weight / place
    ahead = floor(place * 3 / weight)
    if ahead == 0:
        return curve[0]
    return curve[ahead - 1] if ahead <= len(curve) else curve[-1] * len(curve) / ahead
