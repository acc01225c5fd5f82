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
        wishes, parts = self._wishes(profile)
        return self._rank(islice(self._arrange(profile, wishes, shown), self.max_papers(profile)), parts)

    def order(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all papers that may be shown to a reader, in the order in which mails take them."""
        wishes, parts = self._wishes(profile)
        return self._rank(self._arrange(profile, wishes, shown), parts)

    def score(self, profile: Profile, shown: frozenset[int]) -> list[Ranked]:
        """Return all candidates except muted ones and those in `shown`, with their full scores, best first."""
        wishes, parts = self._wishes(profile)
        return self._rank(self._trends.walk(replace(wishes, only=None), shown), parts)

    def _arrange(self, profile: Profile, wishes: Wishes, shown: frozenset[int]) -> Iterator[Place]:
        """Yield the papers that may be shown to a reader in the order in which mails take them."""
        limit, most = self.max_papers(profile), -self._rules.min_score
        places: Iterator[Place] = takewhile(lambda place: place[0] <= most, self._trends.walk(wishes, shown))
        if self._rules.variety:
            places = diversify(places, self._themes, _POOL * limit)
        if profile.liked or profile.disliked:
            return _with_one_of(self._trends.most_trending(wishes, shown, self._rules.min_score), places, limit)
        return places

    def _rank(self, places: Iterable[Place], parts: Sequence[Mapping[int, ScorePart]]) -> list[Ranked]:
        """Return papers with the parts of their scores."""
        ranked = []
        for _, score, _, order, spot in places:
            trend, first = self._trend(order, spot.number, -score)
            added = [found[spot.paper] for found in parts if spot.paper in found]
            ranked.append(Ranked(trend, (first, *added)))
        return ranked

    def _wishes(self, profile: Profile) -> tuple[Wishes, list[Mapping[int, ScorePart]]]:
        """Return what a reader's topics and labels ask for, and the parts of the scores that come from them."""
        asked, parts, asks = self._ask(profile.topics)
        said = self._taste.parts(profile) if self._taste else {}
        if not said:
            return asked, parts
        more = self._trends.ask({paper: part.points for paper, part in said.items()})
        return replace(self._trends.add_up((*asks, more), asked.muted), only=asked.only), [*parts, said]

    def _ask_for_topics(self, names: tuple[str, ...] | None) -> tuple[Wishes, list[Mapping[int, ScorePart]], list[Ask]]:
        found = [self._find(topic) for topic in self.topics(Profile(names))]
        muted = self._without_text.union(*(matches.muted for matches, _ in found))
        asks = [ask for _, ask in found]
        wishes = self._trends.add_up(asks, muted, topics_only=self._rules.topics_only)
        return wishes, [matches.parts for matches, _ in found], asks

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
        wanted, _, _ = self._ask(profile.topics)
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
