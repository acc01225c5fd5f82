"""Explain a paper: where and when it was seen, its score part by part, and why it was or was not sent to whom.

For a day that was mailed, that is what the mail of that day was chosen from: the candidates as they were recorded by
then, without the papers of earlier mails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from digest.errors import PaperNotFound
from digest.papers import Paper
from digest.papers.text.fit import plural
from digest.pipeline.context import Context
from digest.pipeline.day import load_selection
from digest.pipeline.similar import Nearness
from digest.ranking import Profile
from digest.ranking.selection import Selection
from digest.ranking.topics import mute_reason
from digest.ranking.trending import Ranked
from digest.store.outbox import Appearance
from digest.store.papers import Reading

_MAX_TITLES = 6  # that a message lists


@dataclass(frozen=True, slots=True)
class PaperStatus:
    """The status of a paper for a subscriber on a day.

    `message` follows an address. `silence` is why the subscriber gets no mail now, or ''. `ranked` is the score, if
    there is one, and `rank` its place `among` candidates; `place` is that in the mail of the day, 0 if it is in none.
    """

    message: str
    silence: str = ""
    ranked: Ranked | None = None
    rank: int = 0
    among: int = 0
    place: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything known about a paper. `statuses` has the addresses of the subscribers with each status, `nearness` how
    near it is to what each of their topics likes."""

    paper: Paper
    day: date
    first_seen: date
    readings: Sequence[Reading]
    appearances: Sequence[Appearance]
    statuses: Sequence[tuple[PaperStatus, Sequence[str]]]
    nearness: Sequence[Nearness]


@dataclass(frozen=True, slots=True)
class _Reader:
    """What a status depends on. `shown` are the papers of earlier mails, `mail` those of that day's, if there is one.

    Without a mail of that day, `shown` are those of all mails.
    """

    profile: Profile
    silence: str
    shown: frozenset[int]
    mail: tuple[int, ...] | None


def explain(context: Context, name: str, to: str | None, day: date, today: date | None = None) -> Explanation:
    """Explain the paper that `name` names, for the subscriber `to` or for everyone in digest.to.

    `name` is one of its names, its title, or the beginning of its title. `today` is the real day, by which mail in the
    queue expires, `day` by default. Raises PaperNotFound when no paper has that name or several have, and
    UnknownSubscriber.
    """
    paper_id = _find_paper(context, name)
    paper = context.papers.load([paper_id])[paper_id]
    first_seen, readings = context.papers.readings(paper_id)
    groups: dict[_Reader, list[str]] = {}
    now = load_selection(context, day)
    ids = {paper_id, *now.paper_ids}
    with context.as_configured():
        for address in [to] if to else context.config.digest.to:
            subscriber, silence = context.find_reader(address, today or day)
            mail = context.outbox.mail_of(subscriber, day)
            shown = context.outbox.shown_to(subscriber, ids, today or day, date.max if mail is None else day)
            reader = _Reader(subscriber.profile, silence, shown, None if mail is None else tuple(mail))
            groups.setdefault(reader, []).append(address)
    mailed = any(reader.mail is not None for reader in groups)
    then = load_selection(context, day, as_mailed=True) if mailed else now
    statuses = [
        (_status(context, now if reader.mail is None else then, paper_id, paper, first_seen, reader), addresses)
        for reader, addresses in groups.items()
    ]
    appearances = context.outbox.appearances(paper_id, context.subscribers.by_address(to).id if to else None)
    topics = dict.fromkeys(topic for reader in groups for topic in now.topics(reader.profile))
    nearness = context.similar.nearness(list(topics), paper_id, now.paper_ids)
    return Explanation(paper, day, first_seen, readings, appearances, statuses, nearness)


def _find_paper(context: Context, name: str) -> int:
    paper_id = context.papers.find(name)
    if paper_id is not None:
        return paper_id
    found = context.papers.find_by_beginning(name, _MAX_TITLES)
    if len(found) == 1:
        return found[0]
    raise PaperNotFound(name, [paper.title for paper in context.papers.load(found).values()])


def _status(
    context: Context, selection: Selection, paper_id: int, paper: Paper, first_seen: date, reader: _Reader
) -> PaperStatus:
    """The status of a paper for a reader.

    If `reader.shown` includes the paper, it is scored as if it did not.
    """
    mail = reader.mail or ()
    place = mail.index(paper_id) + 1 if paper_id in mail else 0
    others = reader.shown - {paper_id}
    scored = selection.score(reader.profile, others)
    ranked = next((r for r in scored if r.trend.id == paper_id), None)
    rank = 1 + scored.index(ranked) if ranked else 0
    if place:
        message = f"is number {place} of {len(mail)} in the mail of {selection.day}"
    elif ranked:
        message = _message(selection, ranked, paper_id in reader.shown, reader, others)
    else:
        message = f"not a candidate: {_why_no_candidate(context, selection, paper, first_seen, reader)}"
    return PaperStatus(message, reader.silence, ranked, rank, len(scored), place)


def _why_no_candidate(context: Context, selection: Selection, paper: Paper, first_seen: date, reader: _Reader) -> str:
    if not selection.since <= first_seen <= selection.day:
        return f"first seen on {first_seen}, and window_days = {context.config.digest.window_days}"
    if reason := mute_reason(selection.topics(reader.profile), paper):
        return reason
    when = f"by {selection.day}" if reader.mail is None else f"when the mail of {selection.day} was made"
    return f"no source had listed it {when}"


def _message(selection: Selection, ranked: Ranked, was_shown: bool, reader: _Reader, others: frozenset[int]) -> str:
    if was_shown:
        return "is already in a mail; no paper is sent twice"
    if reason := selection.exclusion(reader.profile, ranked):
        return f"is left out: {reason}"
    limit = plural(selection.max_papers(reader.profile), "paper")
    place = 1 + [r.trend.id for r in selection.order(reader.profile, others)].index(ranked.trend.id)
    fits = place <= selection.max_papers(reader.profile)
    if reader.mail is not None:
        had = f"the mail of {selection.day} has {plural(len(reader.mail), 'paper')}"
        why = "with today's configuration it would be in it" if fits else "it can be in a later one"
        return f"is number {place}, but {had}; {why}"
    if fits:
        return f"is number {place} in that day's mail (at most {limit})"
    return f"is number {place}, but a mail has at most {limit}; it can be in a later one"
