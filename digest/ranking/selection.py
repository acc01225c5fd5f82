"""Select the papers of a reader's mail and their order. Pure: no I/O.

A `Selection` is made once a day, and each part of it when the first reader needs it. For each reader it takes a profile
and the papers they were shown before. The rules, which `tests/ranking/reference.py` writes out one after another:

1. the reader's topics add points, and remove the papers they mute (`topics`);
2. what the reader said about papers adds points to similar ones, or takes some away (`Taste`), and removes none: the
   most trending paper is always in the mail;
3. every candidate gets its trending score, papers shown before left out (`trending`, which puts them in order too);
4. papers below `min_score`, or without a topic under `topics_only`, are left out;
5. the best are put in order, and one theme does not fill the mail while others wait (`diversify`).

The mail, `explain` and `backtest` all select papers this way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, lru_cache
from itertools import islice, takewhile

from digest.papers import Paper
from digest.papers.text.fit import plural, snippet
from digest.ranking import Candidate, Profile
from digest.ranking.similarity import (
    PaperSpace,
    Themes,
    dislike_weight,
    scale_taste,
)
from digest.ranking.topics import Matches, PaperText, ScorePart, Similarity, Topic, match
from digest.ranking.trending import Ask, DayTrends, Place, Ranked, Trend, Wishes

MAX_PAPERS = 120  # fits under Gmail's limit even with the longest titles; the others can be in a later mail
_POOL = 3  # times the papers of a mail: how far down `diversify` looks
_SAMPLE = 60  # best papers of a day, from which `Themes` learns how rare words are
_SCORES = 4_096  # trending scores that readers share
_REMEMBERED = 32  # choices of topics of which the sums are kept; most readers make the same one

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
        self._pool = tuple(dict.fromkeys([*papers, *background]))
        self._papers = papers
        self._points = lru_cache(maxsize=1)(self._score)

    def points(self, profile: Profile) -> Mapping[int, float]:
        """Return what the labels of a reader add to the score of each candidate, or take from it; 0 is neither.

        The mapping is empty if that is so for all.
        """
        return self._points(*self._labels(profile))

    def parts(self, profile: Profile, papers: Iterable[int]) -> Mapping[int, ScorePart]:
        """Return the parts of the scores of these papers that come from the labels of a reader."""
        points = self.points(profile)
        scored = [(paper, points[paper]) for paper in papers if points.get(paper)]
        found: dict[int, ScorePart] = {}
        for sign, labelled in zip((1, -1), self._labels(profile), strict=True):
            ones = [paper for paper, share in scored if share * sign > 0]
            nearest = self._space.nearest(labelled, ones) if ones else ()
            for one, near in zip(ones, nearest, strict=True):
                found[one] = _taste_part(points[one], self._labelled[near].title)
        return found

    def _labels(self, profile: Profile) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Return the papers that a reader liked and disliked, without those that were deleted."""
        liked, disliked = profile.liked, profile.disliked
        return tuple(filter(self._labelled.__contains__, liked)), tuple(filter(self._labelled.__contains__, disliked))

    def _score(self, liked: tuple[int, ...], disliked: tuple[int, ...]) -> Mapping[int, float]:
        weighs_dislikes = disliked and dislike_weight(len(liked), len(disliked)) > 0
        if not liked and not weighs_dislikes:
            return {}
        shares = scale_taste(self._space.score(liked, disliked, self._pool))
        if not liked or not weighs_dislikes:
            shares = [share if (share > 0) == bool(liked) else 0.0 for share in shares]
        return dict(zip(self._papers, shares, strict=False))  # the pool begins with the candidates


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
        self.papers = papers
        self.paper_ids = [candidate.id for candidate in candidates]
        self._candidates = candidates
        self._rules = rules
        self._similarities = similarities
        self._taste = taste
        self._found: dict[str, tuple[Matches, Ask]] = {}  # by the topic's name, which is its own
        self._ask = lru_cache(maxsize=_REMEMBERED)(self._ask_for_topics)

    @cached_property
    def _trends(self) -> DayTrends:
        return DayTrends(self._candidates, self.since, self.day, self._rules.weights)

    @cached_property
    def _trend(self) -> Callable[[int, int, float], tuple[Trend, ScorePart]]:
        """What most readers' scores of a paper begin with is the same: made once, it costs half."""

        @lru_cache(maxsize=_SCORES)
        def trend(order: int, number: int, score: float) -> tuple[Trend, ScorePart]:
            spot = self._trends.orders[order][number]
            return Trend(spot.paper, score, spot.kind, spot.listing), ScorePart(score, "")

        return trend

    @cached_property
    def _texts(self) -> dict[int, PaperText]:
        return {one: PaperText(paper) for one, paper in self.papers.items()}

    @cached_property
    def _themes(self) -> Themes:
        return Themes(self.papers, self.sample())

    def sample(self) -> list[int]:
        """Return the day's best papers for a reader who chose nothing; they tell how rare words are."""
        best = self._trends.walk(self._trends.add_up((), self._without_text), frozenset())
        return [place[-1].paper for place in islice(best, _SAMPLE)]

    @cached_property
    def _without_text(self) -> frozenset[int]:
        return frozenset(self.paper_ids) - self.papers.keys()

    def topics(self, profile: Profile) -> tuple[Topic, ...]:
        """Return the topics a reader chose, or all if none of those is in the configuration any more."""
        chosen = profile.topics or ()
        return tuple(topic for topic in self._rules.topics if topic.name in chosen) or self._rules.topics

    def max_papers(self, profile: Profile) -> int:
        """Return how many papers a reader's mail has at most."""
        return min(profile.max_papers or self._rules.max_papers, MAX_PAPERS)

    def pick(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return the papers of a reader's mail, best first; `shown` are those they were shown before."""
        wishes = self._wishes(profile)
        return self._rank(profile, islice(self._arrange(profile, wishes, shown), self.max_papers(profile)))

    def order(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all papers that may be shown to a reader, in the order in which mails take them."""
        return self._rank(profile, self._arrange(profile, self._wishes(profile), shown))

    def score(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all candidates except muted ones and those in `shown`, with their full scores, best first."""
        return self._rank(profile, self._trends.walk(replace(self._wishes(profile), only=None), shown))

    def _arrange(self, profile: Profile, wishes: Wishes, shown: frozenset[int]) -> Iterator[Place]:
        """Yield the papers that may be shown to a reader in the order in which mails take them."""
        limit, most = self.max_papers(profile), -self._rules.min_score
        places: Iterator[Place] = takewhile(lambda place: place[0] <= most, self._trends.walk(wishes, shown))
        if self._rules.variety:
            places = diversify(places, self._themes, _POOL * limit)
        if profile.liked or profile.disliked:
            return _with_one_of(self._trends.most_trending(wishes, shown, self._rules.min_score), places, limit)
        return places

    def _rank(self, profile: Profile, places: Iterable[Place]) -> list[Ranked]:
        """Return papers with the parts of their scores."""
        places = list(places)
        parts = self._ask(profile.topics)[1]
        if self._taste:
            parts = [*parts, self._taste.parts(profile, [place[-1].paper for place in places])]
        ranked = []
        for _, score, _, order, spot in places:
            trend, first = self._trend(order, spot.number, -score)
            added = [found[spot.paper] for found in parts if spot.paper in found]
            ranked.append(Ranked(trend, (first, *added)))
        return ranked

    def _wishes(self, profile: Profile) -> Wishes:
        """Return what a reader's topics and labels ask for."""
        asked, _ = self._ask(profile.topics)
        said = self._taste.points(profile) if self._taste else {}
        return self._trends.add_taste(asked, said) if said else asked

    def _ask_for_topics(self, names: tuple[str, ...] | None) -> tuple[Wishes, list[Mapping[int, ScorePart]]]:
        found = [self._find(topic) for topic in self.topics(Profile(names))]
        muted = self._without_text.union(*(matches.muted for matches, _ in found))
        wishes = self._trends.add_up([ask for _, ask in found], muted, topics_only=self._rules.topics_only)
        return wishes, [matches.parts for matches, _ in found]

    def _find(self, topic: Topic) -> tuple[Matches, Ask]:
        """Return what a topic finds among the candidates: computed when the first reader has chosen it."""
        if topic.name not in self._found:
            matches = match(topic, self._texts, self._similarities.get(topic))
            points = {paper: part.points for paper, part in matches.parts.items()}
            self._found[topic.name] = matches, self._trends.ask(points)
        return self._found[topic.name]

    def exclusion(self, profile: Profile, ranked: Ranked) -> str:
        """Return why a paper is left out of mails; '' if it is not."""
        if ranked.score < self._rules.min_score:
            return f"its score is below min_score = {self._rules.min_score:g}"
        if self._rules.topics_only and ranked.trend.id not in self._ask(profile.topics)[0].points:
            return "it matches no topic, and topics_only = true"
        return ""

    def why_empty(self, profile: Profile, shown: frozenset[int]) -> str:
        """Return why there is no paper for a reader, in half a sentence with `{whose}` for "your" or "their"."""
        new = [candidate.id for candidate in self._candidates if candidate.first_seen == self.day]
        if not new:
            return "no new papers"
        wanted, _ = self._ask(profile.topics)
        counts = Counter(self._why_not(paper_id, shown, wanted) for paper_id in new)
        reasons = [f"{count:,} {reason}" for reason, count in counts.most_common()]
        if len(reasons) == 1 < len(new):
            (reason,) = counts
            reasons = [f"none {reason[4:]}" if reason.startswith("not ") else f"all {reason}"]
        elif len(reasons) == 1:
            reasons = list(counts)
        return f"{plural(len(new), 'new paper')}, {', '.join(reasons)}"

    def _why_not(self, paper_id: int, shown: frozenset[int], wishes: Wishes) -> str:
        if paper_id in shown:
            return "already in {whose} mails"
        if paper_id in wishes.muted:
            return "muted by {whose} topics"
        if wishes.only is not None and paper_id not in wishes.only:
            return "not on {whose} topics"
        return f"below the minimum score of {self._rules.min_score:g}"


def diversify(places: Iterator[Place], themes: Themes, pool: int) -> Iterator[Place]:
    """Yield places in order, but of the first `pool` each that shares a theme with three papers above it later.

    It comes below the others of the pool. No paper is dropped, the order within both groups stays, and the first paper
    stays first.
    """
    kept: set[int] = set()
    moved = []
    for place in islice(places, pool):
        paper = place[-1].paper
        if len(themes.near(paper) & kept) >= _MAX_PER_THEME:
            moved.append(place)
        else:
            kept.add(paper)
            yield place
    yield from moved
    yield from places


def _with_one_of(top: Set[int], places: Iterator[Place], limit: int) -> Iterator[Place]:
    """Yield the places in order, with the first paper of `top` among the first `limit`: labels mute nothing."""
    first = list(islice(places, limit))
    if any(place[-1].paper in top for place in first):
        yield from first
    else:
        yield from first[: limit - 1]
        behind = first[limit - 1 :]
        for place in places:
            if place[-1].paper in top:
                yield place
                break
            behind.append(place)
        yield from behind
    yield from places
