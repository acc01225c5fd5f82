"""Explain a paper: where and when it was seen, its score part by part, and why it was or was not sent to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from digest.errors import PaperNotFound
from digest.papers import Paper
from digest.papers.text.fit import plural
from digest.pipeline.context import Context
from digest.pipeline.select import load_selection
from digest.ranking import Profile
from digest.ranking.selection import Selection
from digest.ranking.topics import mute_reason
from digest.ranking.trending import Ranked
from digest.store.outbox import Appearance
from digest.store.papers import Reading


@dataclass(frozen=True, slots=True)
class PaperStatus:
    """The status of a paper for a subscriber on a day.

    `message` follows an address; `ranked` is the score, if there is one, and `rank` its place `among` candidates.
    """

    message: str
    ranked: Ranked | None = None
    rank: int = 0
    among: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about a paper. `statuses` has the addresses of the subscribers with each status."""

    paper: Paper
    day: date
    first_seen: date
    readings: Sequence[Reading]
    appearances: Sequence[Appearance]
    statuses: Sequence[tuple[PaperStatus, Sequence[str]]]


def explain(context: Context, name: str, to: str | None, day: date, today: date | None = None) -> Explanation:
    """Explain the paper that `name` names, for the subscriber `to` or for everyone in digest.to.

    `today` is the real day, by which mail in the queue expires, `day` by default. Raises PaperNotFound when no paper
    has that name.
    """
    paper_id = context.papers.find(name)
    if paper_id is None:
        raise PaperNotFound(name)
    paper = context.papers.load([paper_id])[paper_id]
    first_seen, readings = context.papers.readings(paper_id)
    selection = load_selection(context, day)
    groups: dict[tuple[Profile, frozenset[int]], list[str]] = {}
    for address in [to] if to else context.config.digest.to:
        subscriber = context.subscribers.by_address(address)
        shown = context.outbox.shown_to(subscriber, {paper_id, *selection.paper_ids}, today or day)
        groups.setdefault((subscriber.profile, shown), []).append(address)
    statuses = [
        (_status(context, selection, paper_id, paper, first_seen, *group), addresses)
        for group, addresses in groups.items()
    ]
    appearances = context.outbox.appearances(paper_id, context.subscribers.by_address(to).id if to else None)
    return Explanation(paper, day, first_seen, readings, appearances, statuses)


def _status(
    context: Context,
    selection: Selection,
    paper_id: int,
    paper: Paper,
    first_seen: date,
    profile: Profile,
    shown: frozenset[int],
) -> PaperStatus:
    """The status of a paper for a subscriber who was sent `shown`.

    If `shown` includes the paper, it is scored as if it did not.
    """
    if not selection.since <= first_seen <= selection.day:
        window = context.config.digest.window_days
        return PaperStatus(f"not a candidate: first seen on {first_seen}, and window_days = {window}")
    if reason := mute_reason(selection.topics(profile), paper):
        return PaperStatus(f"not a candidate: {reason}")
    others = shown - {paper_id}
    scored = selection.score(profile, others)
    ranked = next((r for r in scored if r.trend.id == paper_id), None)
    if ranked is None:
        return PaperStatus(f"not a candidate: no source had listed it by {selection.day}")
    message = _message(selection, ranked, paper_id in shown, profile, others)
    return PaperStatus(message, ranked, 1 + scored.index(ranked), len(scored))


def _message(selection: Selection, ranked: Ranked, was_shown: bool, profile: Profile, others: frozenset[int]) -> str:
    if was_shown:
        return "is already in a mail; no paper is sent twice"
    if reason := selection.exclusion(profile, ranked):
        return f"is left out: {reason}"
    limit = plural(selection.max_papers(profile), "paper")
    place = 1 + [r.trend.id for r in selection.order(profile, others)].index(ranked.trend.id)
    if place <= selection.max_papers(profile):
        return f"is number {place} in that day's mail (at most {limit})"
    return f"is number {place}, but a mail has at most {limit}; it can be in a later one"
