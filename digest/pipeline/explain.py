"""Explain a paper: where and when it was seen, its score part by part, and why it was or was not sent to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from digest.errors import PaperNotFound
from digest.papers import Paper
from digest.pipeline.context import Context
from digest.pipeline.select import load_selection
from digest.ranking import Profile
from digest.ranking.selection import Selection
from digest.ranking.topics import mute_reason
from digest.ranking.trending import Ranked
from digest.store.outbox import Appearance
from digest.store.papers import Reading

_MAX_READERS = 20  # of digest.to, when no reader is named


@dataclass(frozen=True, slots=True)
class PaperStatus:
    """What became of a paper for a reader on a day, in a sentence; its score, if it has one, and rank of `among`."""

    sentence: str
    ranked: Ranked | None = None
    rank: int = 0
    among: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say about a paper. `readers` groups those for whom it has the same status."""

    paper: Paper
    day: date
    first_seen: date
    readings: Sequence[Reading]
    appearances: Sequence[Appearance]
    readers: Sequence[tuple[PaperStatus, Sequence[str]]]


def explain(context: Context, name: str, to: str | None, day: date) -> Explanation:
    """Explain the paper that `name` names, for the reader `to` or for those of digest.to.

    Raises PaperNotFound when no paper has that name.
    """
    row = context.papers.find(name)
    if row is None:
        raise PaperNotFound(name)
    paper = context.papers.load([row])[row]
    first_seen, readings = context.papers.readings(row)
    selection = load_selection(context, day)
    groups: dict[tuple[Profile, frozenset[int]], list[str]] = {}
    for address in [to] if to else list(context.config.digest.to)[:_MAX_READERS]:
        subscriber = context.subscribers.get(address)
        shown = context.outbox.shown_to(subscriber, {row, *selection.paper_ids}, day)
        groups.setdefault((subscriber.profile, shown), []).append(address)
    readers = [(_status(context, selection, row, paper, first_seen, *key), who) for key, who in groups.items()]
    reader = context.subscribers.get(to).id if to else None
    return Explanation(paper, day, first_seen, readings, context.outbox.appearances(row, reader), readers)


def _status(
    context: Context,
    selection: Selection,
    row: int,
    paper: Paper,
    first_seen: date,
    profile: Profile,
    shown: frozenset[int],
) -> PaperStatus:
    """The status of a paper for a reader who was shown `shown`; if that includes it, it is scored as if it did not."""
    if not selection.since <= first_seen <= selection.day:
        window = context.config.digest.window_days
        return PaperStatus(f"not a candidate: first seen on {first_seen}, and window_days = {window}")
    if why := mute_reason(selection.topics(profile), paper):
        return PaperStatus(f"not a candidate: {why}")
    others = shown - {row}
    scored = selection.score(profile, others)
    ranked = next((r for r in scored if r.trend.id == row), None)
    if ranked is None:
        return PaperStatus(f"not a candidate: no source had listed it by {selection.day}")
    sentence = _sentence(selection, ranked, row in shown, profile, others)
    return PaperStatus(sentence, ranked, 1 + scored.index(ranked), len(scored))


def _sentence(selection: Selection, ranked: Ranked, was_shown: bool, profile: Profile, others: frozenset[int]) -> str:
    limit = selection.limit(profile)
    if was_shown:
        return "was shown before, and never comes twice"
    if why := selection.exclusion(profile, ranked):
        return f"is left out: {why}"
    place = 1 + [r.trend.id for r in selection.order(profile, others)].index(ranked.trend.id)
    if place <= limit:
        return f"has place {place} of at most {limit} in a mail of that day"
    return f"waits at place {place}; a mail has at most {limit}"
