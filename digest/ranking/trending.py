"""Score how much papers trend, from 0 to 1; the day's top paper scores 1. Pure: no I/O.

In a list with votes (Hugging Face), a paper belongs to one of three kinds:

* *today*: papers of today's list;
* *rising*: papers of older lists that the reader was not shown and that are among the first six of their own list by
  now. A list grows for days (at 08 UTC it has 62 % of its papers with 43 % of their votes), so papers that join late
  or are noticed late would never be in a mail otherwise;
* *more*: the rest, ranked below those two for as long as the window lasts.

Papers of today and rising papers are ordered by votes; nothing else that the sources provide improves on that.
Replayed over 198 recorded list days with 10 papers a mail, the rule catches 3.91 of the day's five finally most voted
papers on the day itself and 4.86 within three days; votes alone catch 3.53 and 4.88, today's papers alone 3.95 and
3.95.

A source without votes has an order but no measure. Its papers take every 4th place of the mail (at weight 1): those
with the most points from the reader's topics first, then newest list first, then in the order of their arrival.

Ties are broken by votes, then by the newer list, then by the order of arrival.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from heapq import merge
from typing import NamedTuple

from digest.ranking import Candidate, Listing
from digest.ranking.topics import ScorePart

_RISING_PLACES = 6  # the first places of a list
_EVERY_NTH = 4  # a source without votes takes every nth place
_ROUNDING = 1e-9  # sums in another order differ by less, scores of different votes by more


class TrendKind(StrEnum):
    TODAY = "today"
    RISING = "rising"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Trend:
    """The trending score of a candidate (the day's top paper scores 1), its kind, and the listing they come from."""

    id: int
    score: float
    kind: TrendKind
    listing: Listing


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its full score, which is the sum of `parts`."""

    trend: Trend
    parts: tuple[ScorePart, ...]

    @property
    def score(self) -> float:
        return sum(part.points for part in self.parts)


class Spot(NamedTuple):
    """A paper in an order that is the same for all readers: its `number` there, from 0, and the listing it is from.

    `score` is the trending score before the day's top paper scores 1; 0 without votes. `tie` breaks ties, lowest first.
    """

    number: int
    paper: int
    score: float
    kind: TrendKind
    listing: Listing
    tie: tuple[int, int, int]


Place = tuple[float, float, tuple[int, int, int], int, Spot]
"""A paper's place in a reader's order, the lowest first: minus the full score, minus the trending score, `Spot.tie`,
the number of the order it is from, and its spot there."""


Levels = Mapping[float, Sequence[int]]
"""The numbers of the spots in an order whose papers have so many points."""


@dataclass(frozen=True, slots=True)
class Ask:
    """The points that a topic, or what a reader said about papers, adds to papers, and their `Levels` in each order."""

    points: Mapping[int, float]
    levels: Sequence[Levels]


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that a reader asks for, added up.

    `points` is the sum for each paper that has any, and `several` its summands, in their order, where there is more
    than one (the sum of floating-point numbers depends on it). Papers in `muted` are not for this reader, and if `only`
    is not None, no others than those. In `levels`, papers with several summands may be at other levels too.

    What a reader said about papers gives most of them points, nearly all different. Then there are no `levels` but
    `lines`: the numbers of the spots in the order of each source without votes, those with the most points first.
    """

    points: Mapping[int, float]
    several: Mapping[int, Sequence[float]]
    levels: Sequence[Levels]
    muted: Set[int]
    only: Set[int] | None
    lines: Mapping[int, Sequence[int]] | None = None

    def allow(self, paper: int) -> bool:
        return paper not in self.muted and (self.only is None or paper in self.only)

    def full_score(self, paper: int, score: float) -> float:
        """Return the sum of the trending score of a paper and its points."""
        return sum((score, *self.several[paper])) if paper in self.several else score + self.points.get(paper, 0.0)


class DayTrends:
    """The trends of a day: computed once, then put in order for any number of readers.

    `candidates` are the papers first seen from `since` to `day`; `weights` has the weight of each source (1 for one
    that was removed). Lists from before `since` are incomplete, so their papers never rise.
    """

    def __init__(self, candidates: Sequence[Candidate], since: date, day: date, weights: Mapping[str, float]) -> None:
        listed = [(one, listing, listing.votes) for one in candidates for listing in one.listings]
        voted = [(one, listing, votes) for one, listing, votes in listed if votes is not None]
        self._voted = _order_voted(voted, since, day, weights)
        self._vote_scores = [(spot.paper, spot.score) for spot in self._voted]
        silent: dict[str, list[tuple[Candidate, Listing]]] = {}
        for one, listing, votes in listed:
            if votes is None:
                silent.setdefault(listing.source, []).append((one, listing))
        self._queues = [_Queue(_order_silent(silent[one], day), weights.get(one, 1.0)) for one in sorted(silent)]
        self.orders = [self._voted, *(queue.spots for queue in self._queues)]
        self._places = [_numbers(spots) for spots in self.orders]

    def ask(self, points: Mapping[int, float]) -> Ask:
        """Return where the papers with these points stand."""
        found: list[dict[float, list[int]]] = [{} for _ in self._places]
        for levels, places in zip(found, self._places, strict=True):
            for paper in points.keys() & places.keys():
                levels.setdefault(points[paper], []).extend(places[paper])
            for numbers in levels.values():
                numbers.sort()
        return Ask(points, found)

    def add_up(self, asks: Sequence[Ask], muted: Set[int] = frozenset(), *, topics_only: bool = False) -> Wishes:
        """Return the wishes of a reader who asks for all of this; with `topics_only`, for nothing else."""
        points: dict[int, float] = {}
        several: dict[int, tuple[float, ...]] = {}
        for ask in asks:
            for paper in points.keys() & ask.points.keys():
                several[paper] = (*several.get(paper, (points[paper],)), ask.points[paper])
            points |= ask.points
        points |= {paper: sum(summands) for paper, summands in several.items()}
        for paper in muted:
            points.pop(paper, None)
        more = self.ask({paper: points[paper] for paper in several if paper in points})
        levels: list[dict[float, Sequence[int]]] = [{} for _ in self._places]
        for ask in (*asks, more):
            for total, added in zip(levels, ask.levels, strict=True):
                for level, numbers in added.items():
                    total[level] = [*total[level], *numbers] if level in total else numbers
        return Wishes(points, several, levels, muted, frozenset(points) if topics_only else None)

    def add_taste(self, wishes: Wishes, taste: Mapping[int, float]) -> Wishes:
        """Return these wishes with the points that come from what the reader said about papers."""
        points = {**taste}
        several: dict[int, Sequence[float]] = {}
        for paper, asked in wishes.points.items():
            several[paper] = (*wishes.several.get(paper, (asked,)), taste.get(paper, 0.0))
            points[paper] = sum(several[paper])
        for paper in wishes.muted:
            points.pop(paper, None)
        lines = {
            order: _highest_first([points.get(spot.paper, 0.0) for spot in queue.spots])
            for order, queue in enumerate(self._queues, start=1)
        }
        return replace(wishes, points=points, several=several, levels=(), lines=lines)

    def walk(self, wishes: Wishes, shown: Set[int]) -> Iterator[Place]:
        """Yield the papers that a reader was not shown and does not mute, the best for this reader first, each once.

        The full score of a paper is its trending score and its points. Papers stand in a few orders in which the full
        score never rises: those with votes and without points, those with votes and the same points (or all with votes,
        sorted for this reader), and the queue of each source without votes. So the next paper is always the first of
        one of these orders, and whoever takes ten papers looks at few more than ten.
        """
        curve = _Curve(self._voted, shown)
        orders = self._with_votes(wishes, shown, curve.highest)
        for number, queue in enumerate(self._queues, start=1):
            orders.append(queue.walk(number, wishes, shown, curve))
        seen: set[int] = set()
        for place in _settle_ties(merge(*orders)):
            paper = place[-1].paper
            if paper not in seen:
                seen.add(paper)
                yield place

    def most_trending(self, wishes: Wishes, shown: Set[int], least: float) -> set[int]:
        """Return the papers with the highest trending score of those with a full score of `least` or more."""
        curve = _Curve(self._voted, shown)
        orders = [self._level(None, range(len(self._voted)), wishes, shown, curve.highest)]
        orders += [queue.walk(number, wishes, shown, curve) for number, queue in enumerate(self._queues, start=1)]
        best, found = 0.0, set[int]()
        for order in orders:
            for full, score, _, _, spot in order:
                if -full >= least:
                    if found and score > best:
                        break  # it never rises again
                    found = found | {spot.paper} if found and score == best else {spot.paper}
                    best = score
        return found

    def _with_votes(self, wishes: Wishes, shown: Set[int], highest: float) -> list[Iterator[Place]]:
        """Return the orders of the papers with votes."""
        if wishes.lines is not None:
            points = wishes.points
            scores = [score / highest + points.get(paper, 0.0) for paper, score in self._vote_scores]
            return [self._level(None, _highest_first(scores), wishes, shown, highest)]
        orders = [self._plain(wishes, shown, highest)] if wishes.only is None else []
        for level, numbers in wishes.levels[0].items():
            orders.append(self._level(level, sorted(numbers), wishes, shown, highest))
        return orders

    def _plain(self, wishes: Wishes, shown: Set[int], highest: float) -> Iterator[Place]:
        """Yield the papers with votes and without points."""
        points, muted = wishes.points, wishes.muted
        for spot in self._voted:
            if spot.paper not in shown and spot.paper not in points and spot.paper not in muted:
                score = -spot.score / highest
                yield score, score, spot.tie, 0, spot

    def _level(
        self, level: float | None, numbers: Sequence[int], wishes: Wishes, shown: Set[int], highest: float
    ) -> Iterator[Place]:
        """Yield the papers with votes and so many points, of those with these numbers; for None, all of those."""
        for number in numbers:
            spot = self._voted[number]
            paper = spot.paper
            if paper not in shown and level in (None, wishes.points.get(paper)) and wishes.allow(paper):
                score = spot.score / highest
                yield -wishes.full_score(paper, score), -score, spot.tie, 0, spot


class _Curve:
    """The trending scores of the papers with votes that a reader was not shown, best first, as far as anyone asks."""

    def __init__(self, voted: Sequence[Spot], shown: Set[int]) -> None:
        self._rest = (spot.score for spot in voted if spot.paper not in shown)
        first = next(self._rest, None)
        self.highest = first or 1.0
        self._scores = [] if first is None else [first / self.highest]

    def at(self, place: int, weight: float) -> float:
        """Return the score that puts the `place`-th paper of a source without votes among those with votes."""
        if weight <= 0:
            return 0.0
        scores = self._scores
        if not scores:
            return weight / place
        ahead = math.floor(place * (_EVERY_NTH - 1) / weight)
        while len(scores) < ahead and (score := next(self._rest, None)) is not None:
            scores.append(score / self.highest)
        if ahead <= len(scores):
            return scores[max(ahead, 1) - 1]
        return scores[-1] * len(scores) / ahead


@dataclass(frozen=True, slots=True)
class _Queue:
    """The papers of a source without votes, newest first."""

    spots: Sequence[Spot]
    weight: float

    def walk(self, order: int, wishes: Wishes, shown: Set[int], curve: _Curve) -> Iterator[Place]:
        """Yield the papers of the queue for a reader. Those that are not for this reader take a place too."""
        for place, spot in enumerate(self._line_up(order, wishes, shown), start=1):
            if wishes.allow(spot.paper):
                score = curve.at(place, self.weight)
                yield -wishes.full_score(spot.paper, score), -score, spot.tie, order, spot

    def _line_up(self, order: int, wishes: Wishes, shown: Set[int]) -> Iterator[Spot]:
        """Yield the papers that were not shown: most points first, those with none as they arrived, negative ones."""
        if wishes.lines is not None:
            yield from (spot for number in wishes.lines[order] if (spot := self.spots[number]).paper not in shown)
            return
        levels = wishes.levels[order]
        ordered = sorted(levels, reverse=True)
        first, last = [one for one in ordered if one > 0], [one for one in ordered if one < 0]
        if wishes.only is None or len(first) < len(ordered):  # else none of the others is for this reader
            last = [0.0, *last]
        for level in [*first, *last]:
            before = -1
            for number in sorted(levels[level]) if level else range(len(self.spots)):
                spot = self.spots[number]
                has = wishes.points.get(spot.paper, 0.0) == level
                if has and spot.paper not in shown and number != before:
                    before = number
                    yield spot


def _highest_first(amounts: Sequence[float]) -> list[int]:
    """Return the places of these amounts, the highest first, the first of equal ones first."""
    return sorted(range(len(amounts)), key=amounts.__getitem__, reverse=True)


def _settle_ties(places: Iterable[Place]) -> Iterator[Place]:
    """Yield places that are in order but for rounding in the order of all their parts."""
    level: list[Place] = []
    for place in places:
        if level and place[0] - level[-1][0] > _ROUNDING:
            yield from sorted(level)
            level = []
        level.append(place)
    yield from sorted(level)


def _order_voted(
    voted: Sequence[tuple[Candidate, Listing, int]], since: date, day: date, weights: Mapping[str, float]
) -> list[Spot]:
    """Return the best spot of each paper with votes, the best paper first."""
    places = _list_places(voted)
    scored: list[tuple[float, tuple[int, int, int], int, TrendKind, Listing]] = []
    for number, (one, listing, votes) in enumerate(voted):
        kind = TrendKind.MORE
        if listing.day == day:
            kind = TrendKind.TODAY
        elif listing.day >= since and places[listing.source, listing.day, one.id] <= _RISING_PLACES:
            kind = TrendKind.RISING
        score = weights.get(listing.source, 1.0) * _vote_score(votes, kind)
        scored.append((-score, _tie(one, listing, votes), number, kind, listing))
    best: dict[int, Spot] = {}
    for score, tie, _, kind, listing in sorted(scored):
        paper = tie[-1]
        if paper not in best:
            best[paper] = Spot(len(best), paper, -score, kind, listing, tie)
    return list(best.values())


def _order_silent(listed: Sequence[tuple[Candidate, Listing]], day: date) -> list[Spot]:
    """Return the spots of a source without votes, the newest papers first, then the newest lists."""
    spots: list[Spot] = []
    for one, listing in sorted(listed, key=lambda pair: (-pair[0].first_seen.toordinal(), _tie(*pair))):
        kind = TrendKind.TODAY if one.first_seen == day else TrendKind.MORE
        spots.append(Spot(len(spots), one.id, 0.0, kind, listing, _tie(one, listing)))
    return spots


def _numbers(spots: Iterable[Spot]) -> dict[int, list[int]]:
    """Return the numbers of the spots of each paper: more than one if a source has it on several lists."""
    numbers: dict[int, list[int]] = {}
    for spot in spots:
        numbers.setdefault(spot.paper, []).append(spot.number)
    return numbers


def _tie(candidate: Candidate, listing: Listing, votes: int = 0) -> tuple[int, int, int]:
    """Return what breaks ties, the lowest first: more votes, the newer list, the earlier arrival."""
    return -votes, -listing.day.toordinal(), candidate.id


def _list_places(voted: Iterable[tuple[Candidate, Listing, int]]) -> dict[tuple[str, date, int], int]:
    """Return (source, list day, candidate) -> the candidate's place in that list by votes, from 1."""
    lists: dict[tuple[str, date], list[tuple[int, int]]] = {}
    for one, listing, votes in voted:
        lists.setdefault((listing.source, listing.day), []).append((-votes, one.id))
    return {
        (*key, paper): place
        for key, listed in lists.items()
        for place, (_, paper) in enumerate(sorted(listed), start=1)
    }


def _vote_score(votes: int, kind: TrendKind) -> float:
    """Return votes on a logarithmic scale, so that a topic's weight can lift ten votes above a hundred."""
    # The kind *more* has a scale below that of the others.
    return 0.03 * math.log1p(votes) if kind is TrendKind.MORE else 1.0 + math.log1p(votes)
