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
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class Wishes:
    """What a reader asked for: the points they give to papers, and which papers must not be in their mail.

    `points` is the sum for each paper that has any, and `several` its summands, in their order, where there is more
    than one (sums of floating-point numbers depend on the order). `only` has the papers that may be in the mail; None
    for all.
    """

    points: Mapping[int, float] = field(default_factory=dict)
    several: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    muted: Set[int] = frozenset()
    only: Set[int] | None = None

    def with_more(self, more: Mapping[int, float]) -> "Wishes":
        """Return these wishes with points added to the papers that are not muted."""
        both = self.points.keys() & more.keys()
        points = {**self.points, **more}
        several = {**self.several}
        for paper in both:
            several[paper] = summands = (*(self.several.get(paper) or (self.points[paper],)), more[paper])
            points[paper] = sum(summands)
        for paper in self.muted & points.keys():
            del points[paper]
        return Wishes(points, several, self.muted, self.only)


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


class DayTrends:
    """The trends of a day: computed once, then put in order for any number of readers.

    `candidates` are the papers first seen from `since` to `day`; `weights` has the weight of each source (1 for one
    that was removed). Lists from before `since` are incomplete, so their papers never rise.
    """

    def __init__(self, candidates: Sequence[Candidate], since: date, day: date, weights: Mapping[str, float]) -> None:
        listed = [(one, listing, listing.votes) for one in candidates for listing in one.listings]
        voted = [(one, listing, votes) for one, listing, votes in listed if votes is not None]
        self._voted = _order_voted(voted, since, day, weights)
        self._voted_at = {spot.paper: spot for spot in self._voted}
        silent: dict[str, list[tuple[Candidate, Listing]]] = {}
        for one, listing, votes in listed:
            if votes is None:
                silent.setdefault(listing.source, []).append((one, listing))
        self._queues = [_Queue(silent[source], day, weights.get(source, 1.0)) for source in sorted(silent)]

    def walk(self, wishes: Wishes, shown: Set[int]) -> Iterator[Place]:
        """Yield the papers that a reader was not shown and does not mute, the best for this reader first, each once.

        The full score of a paper is its trending score and its points. Papers stand in a few orders in which the full
        score never rises: those with votes and without points, as on every reader's day; those with votes and points,
        put in order here; and the queue of each source without votes. So the next paper is always the first of one of
        them, and whoever takes ten papers looks at little more than ten.
        """
        curve = _Curve(self._voted, shown)
        orders = [self._plain(wishes, shown, curve.highest), self._asked(wishes, shown, curve.highest)]
        orders += [queue.walk(n, wishes, shown, curve) for n, queue in enumerate(self._queues, start=1)]
        seen: set[int] = set()
        for place in _settle_ties(merge(*orders)):
            paper = place[-1].paper
            if paper not in seen:
                seen.add(paper)
                yield place

    def _plain(self, wishes: Wishes, shown: Set[int], highest: float) -> Iterator[Place]:
        points, muted = wishes.points, wishes.muted
        for spot in self._voted if wishes.only is None else ():
            paper = spot.paper
            if paper not in shown and paper not in points and paper not in muted:
                score = -spot.score / highest
                yield score, score, spot.tie, 0, spot

    def _asked(self, wishes: Wishes, shown: Set[int], highest: float) -> Iterator[Place]:
        voted_at, several = self._voted_at, wishes.several
        full = {
            paper: voted_at[paper].score / highest + points
            for paper, points in wishes.points.items()
            if paper in voted_at and paper not in shown
        }
        for paper in several.keys() & full.keys():
            full[paper] = sum((voted_at[paper].score / highest, *several[paper]))
        for paper in sorted(full, key=full.__getitem__, reverse=True):
            if wishes.only is None or paper in wishes.only:
                spot = voted_at[paper]
                yield -full[paper], -spot.score / highest, spot.tie, 0, spot


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


class _Queue:
    """The papers of a source without votes in the order in which they arrived, newest first."""

    def __init__(self, listed: Sequence[tuple[Candidate, Listing]], day: date, weight: float) -> None:
        self._weight = weight
        self._spots: list[Spot] = []
        self._at: dict[int, list[int]] = {}
        for one, listing in sorted(listed, key=lambda pair: (-pair[0].first_seen.toordinal(), _tie(*pair))):
            kind = TrendKind.TODAY if one.first_seen == day else TrendKind.MORE
            self._at.setdefault(one.id, []).append(len(self._spots))
            self._spots.append(Spot(len(self._spots), one.id, 0.0, kind, listing, _tie(one, listing)))

    def walk(self, order: int, wishes: Wishes, shown: Set[int], curve: _Curve) -> Iterator[Place]:
        """Yield the papers of the queue for a reader. Muted papers and others that are left out take a place too."""
        points, several, muted, only, weight = wishes.points, wishes.several, wishes.muted, wishes.only, self._weight
        for place, spot in enumerate(self._line_up(wishes, shown), start=1):
            paper = spot.paper
            if paper in muted or (only is not None and paper not in only):
                continue
            score = curve.at(place, weight)
            full = sum((score, *several[paper])) if paper in several else score + points.get(paper, 0.0)
            yield -full, -score, spot.tie, order, spot

    def _line_up(self, wishes: Wishes, shown: Set[int]) -> Iterator[Spot]:
        """Yield the papers that were not shown: most points first, those with none as they arrived, negative ones."""
        at, spots, points = self._at, self._spots, wishes.points
        asked: dict[float, list[int]] = {}
        for paper, some in points.items():
            if some and paper in at and paper not in shown:
                asked.setdefault(some, []).extend(at[paper])
        levels = sorted(asked, reverse=True)
        for level in levels:
            if level > 0:
                yield from (spots[n] for n in sorted(asked[level]))
        yield from (spot for spot in spots if spot.paper not in shown and not points.get(spot.paper))
        for level in levels:
            if level < 0:
                yield from (spots[n] for n in sorted(asked[level]))


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
