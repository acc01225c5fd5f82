"""What is trending: a score from 0 to 1 a paper, the most trending of the day at 1. Touches nothing.

The rule, for a list with votes (Hugging Face):

* *today*: papers of today's list;
* *rising*: papers of older lists that the reader was not shown and that have climbed into the first six of their own
  list since. A list grows for days (at 08 UTC it holds 62 % of its papers with 43 % of their votes), and what joins
  late or is found late would otherwise never be in a mail;
* *more*: the rest, which waits its turn behind those two for as long as the window lasts.

Within today and rising, order is plain votes, which nothing else in the answers improves on. Replayed over 198
recorded list days with 10 papers a mail, the rule catches 3.91 of the day's five finally most voted papers on the day
itself and 4.86 within three days; votes alone catch 3.53 and 4.88, today's papers alone 3.95 and 3.95.

A source without votes has an order but no measure. Its papers take every fourth place of the mail (for weight 1),
newest list first, in the order in which they arrived.

Ties are broken by votes, then by the newer list, then by the order of arrival.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from digest.ranking import Candidate, Listing
from digest.ranking.topics import ScorePart

_CLIMBED = 6  # the first so many of a list
_EVERY = 4  # a source without votes takes every so-manieth place


class TrendKind(StrEnum):
    TODAY = "today"
    RISING = "rising"
    MORE = "more"


@dataclass(frozen=True, slots=True)
class Trend:
    """How a candidate trends: its score, the section it belongs to, and the listing that says so."""

    id: int
    score: float
    section: TrendKind
    listing: Listing


@dataclass(frozen=True, slots=True)
class Ranked:
    """A candidate with its whole score; `parts` adds up to it."""

    trend: Trend
    parts: tuple[ScorePart, ...]

    @property
    def score(self) -> float:
        return sum(part.points for part in self.parts)


def trending(
    candidates: Sequence[Candidate], since: date, day: date, shown: frozenset[int], weights: Mapping[str, float]
) -> list[Trend]:
    """Every candidate that is not in `shown`, the most trending on `day` first.

    `candidates` are the papers first seen from `since` to `day`; `weights` are the sources' (1 for one that is not
    there any more). Shown papers count for the standing of the others in their list, and for nothing else. Lists from
    before `since` are not whole any more, so nobody rises in them.
    """
    places = _places(candidates)
    fresh = [c for c in candidates if c.id not in shown]
    voted = [t for c in fresh for t in _voted(c, since, day, places, weights)]
    most = max((t.score for t in voted), default=1.0) or 1.0
    scored = [Trend(t.id, t.score / most, t.section, t.listing) for t in voted]
    curve = [t.score for t in _best(scored)]
    return _best([*scored, *_unvoted(fresh, day, weights, curve)])


def rank(trends: Iterable[Trend], topics: Mapping[int, tuple[ScorePart, ...]]) -> list[Ranked]:
    """Trends with what the reader's topics add, best first."""
    ranked = [Ranked(t, (ScorePart(t.score, ""), *topics.get(t.id, ()))) for t in trends]
    return sorted(ranked, key=lambda r: -r.score)


def _best(trends: Iterable[Trend]) -> list[Trend]:
    """Each paper once, by its best listing, in order."""
    ordered = sorted(trends, key=lambda t: (-t.score, -(t.listing.votes or 0), -t.listing.day.toordinal(), t.id))
    found: dict[int, Trend] = {}
    for trend in ordered:
        found.setdefault(trend.id, trend)
    return list(found.values())


def _places(candidates: Iterable[Candidate]) -> dict[tuple[str, date, int], int]:
    """(source, list day, candidate) -> its place in that list by votes, from 1; papers already shown take theirs."""
    lists: dict[tuple[str, date], list[tuple[int, int]]] = {}
    for candidate in candidates:
        for listing in candidate.listings:
            if listing.votes is not None:
                lists.setdefault((listing.source, listing.day), []).append((-listing.votes, candidate.id))
    return {
        (*where, number): place
        for where, listed in lists.items()
        for place, (_, number) in enumerate(sorted(listed), start=1)
    }


def _voted(
    candidate: Candidate,
    since: date,
    day: date,
    places: Mapping[tuple[str, date, int], int],
    weights: Mapping[str, float],
) -> Iterable[Trend]:
    for listing in candidate.listings:
        if listing.votes is None:
            continue
        if listing.day == day:
            section = TrendKind.TODAY
        else:
            climbed = listing.day >= since and places[listing.source, listing.day, candidate.id] <= _CLIMBED
            section = TrendKind.RISING if climbed else TrendKind.MORE
        weight = weights.get(listing.source, 1.0)
        yield Trend(candidate.id, weight * _strength(listing.votes, section), section, listing)


def _strength(votes: int, section: TrendKind) -> float:
    """Votes on a logarithmic scale: same order, but a paper with ten votes stays within sight of one with a hundred,
    which is what a topic's weight is measured against. Papers that wait have a scale below everyone else's.
    """
    return 0.03 * math.log1p(votes) if section is TrendKind.MORE else 1.0 + math.log1p(votes)


def _unvoted(
    candidates: Iterable[Candidate], day: date, weights: Mapping[str, float], curve: Sequence[float]
) -> Iterable[Trend]:
    queues: dict[str, list[tuple[Candidate, Listing]]] = {}
    for candidate in candidates:
        for listing in candidate.listings:
            if listing.votes is None:
                queues.setdefault(listing.source, []).append((candidate, listing))
    for source, queue in sorted(queues.items()):
        weight = weights.get(source, 1.0)
        queue.sort(key=lambda pair: (-pair[0].first_seen.toordinal(), -pair[1].day.toordinal(), pair[0].id))
        for place, (candidate, listing) in enumerate(queue, start=1):
            section = TrendKind.TODAY if candidate.first_seen == day else TrendKind.MORE
            yield Trend(candidate.id, _at(curve, place, weight), section, listing)


def _at(curve: Sequence[float], place: int, weight: float) -> float:
    """The score that puts the `place`-th paper of a source without votes behind its share of the voted ones."""
    if weight <= 0:
        return 0.0
    ahead = math.floor(place * (_EVERY - 1) / weight)
    if not curve:
        return weight / place
    return curve[ahead - 1] if 0 < ahead <= len(curve) else curve[0] if ahead == 0 else curve[-1] * len(curve) / ahead
