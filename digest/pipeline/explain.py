"""What `digest explain` answers: where and when a paper was seen, its score part by part, and why who got it or not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from digest.errors import PaperNotFound
from digest.mail.edition import format_authors, format_date
from digest.papers import Paper
from digest.papers.text.fit import format_table
from digest.pipeline.context import Context
from digest.pipeline.select import Selection
from digest.ranking.topics import muted_by
from digest.ranking.trending import Ranked
from digest.store.search import Appearance, RecordedSighting, SearchIndex
from digest.store.subscribers import Profile

_READERS = 20  # of the configuration, when nobody is named


@dataclass(frozen=True, slots=True)
class PaperStatus:
    """How a paper stands with a reader on a day, in a sentence; its score, if it has one, and rank among `among`."""

    sentence: str
    ranked: Ranked | None = None
    rank: int = 0
    among: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """All there is to say about a paper. `readers` are those who stand alike, by how they stand."""

    paper: Paper
    day: date
    first_seen: date
    sights: Sequence[RecordedSighting]
    showings: Sequence[Appearance]
    readers: Sequence[tuple[PaperStatus, Sequence[str]]]


def explain(d: Context, archive: SearchIndex, name: str, to: str | None, day: date) -> Explanation:
    """The account of the paper that goes by `name`, for the reader `to` or for those of the configuration.

    Raises Unknown when no paper goes by that name, ValueError when `to` is no address.
    """
    row = d.history.find(name)
    if row is None:
        raise PaperNotFound(name)
    paper = dict(d.history.papers([row]))[row]
    first_seen, sights = archive.sightings(row)
    reader = d.subscribers.get(to).id if to else None
    choice = Selection(d.config, d.history, d.likeness, day)
    alike: dict[tuple[frozenset[int], Profile], list[str]] = {}
    for address in [to] if to else list(d.config.digest.to)[:_READERS]:
        subscriber = d.subscribers.get(address)
        shown = d.outbox.shown_to(subscriber, {row, *(c.id for c in choice.candidates)}, day)
        alike.setdefault((shown, subscriber.profile), []).append(address)
    readers = [(standing(d, choice, row, paper, first_seen, *key), who) for key, who in alike.items()]
    return Explanation(paper, day, first_seen, sights, archive.showings(row, reader), readers)


def standing(
    d: Context, choice: Selection, row: int, paper: Paper, first_seen: date, shown: frozenset[int], profile: Profile
) -> PaperStatus:
    """Where the paper stands for somebody who was shown `shown`; if that holds it, it is scored as if it did not."""
    if not choice.since <= first_seen <= choice.day:
        window = d.config.digest.window_days
        return PaperStatus(f"not a candidate: first seen on {first_seen}, and window_days = {window}")
    if why := muted_by(choice.topics(profile), paper):
        return PaperStatus(f"not a candidate: {why}")
    others = shown - {row}
    scored = choice.scored(others, profile)
    found = next((r for r in scored if r.trend.id == row), None)
    if found is None:
        return PaperStatus(f"not a candidate: no source had listed it by {choice.day}")
    rank = 1 + next(n for n, r in enumerate(scored) if r.trend.id == row)
    return PaperStatus(_sentence(choice, found, row in shown, others, profile), found, rank, len(scored))


def _sentence(choice: Selection, found: Ranked, was_shown: bool, others: frozenset[int], profile: Profile) -> str:
    most = choice.most(profile)
    if was_shown:
        return "was shown before, and never comes twice"
    if why := choice.too_little(found, profile):
        return f"is left out: {why}"
    place = 1 + [r.trend.id for r in choice.lineup(others, profile)].index(found.trend.id)
    if place <= most:
        return f"has place {place} of at most {most} in a mail of that day"
    return f"waits at place {place}; a mail has at most {most}"


def format_explanation(account: Explanation) -> str:
    """The account for a terminal."""
    paper = account.paper
    head = "\n".join(filter(None, (paper.title, format_authors(paper.authors), paper.link)))
    readers = [f"{', '.join(who)}: {standing.sentence}." for standing, who in account.readers]
    scores = list(dict.fromkeys("\n".join(_score(account.day, s, s.ranked)) for s, _ in account.readers if s.ranked))
    return "\n\n".join([head, _seen(account), _shown(account.showings), *scores, "\n".join(readers)]).rstrip()


def _seen(account: Explanation) -> str:
    rows = [("READ ON", "SOURCE", "LIST OF", "VOTES")]
    for sight in account.sights:
        votes = "-" if sight.votes is None else f"{sight.votes:,}"
        rows.append((sight.seen.isoformat(), sight.source, sight.listed.isoformat(), votes))
    return f"First seen on {account.first_seen}.\n{format_table(rows)}"


def _shown(showings: Sequence[Appearance]) -> str:
    if not showings:
        return "In no mail so far."
    return "\n".join(
        f"In the mail of {s.day} at place {s.place}: {s.mails:,} {'message' if s.mails == 1 else 'messages'} {s.state}."
        for s in showings
    )


def _score(day: date, standing: PaperStatus, ranked: Ranked) -> Iterator[str]:
    """The score as a sum: what is printed adds up to the last digit."""
    yield f"Score on {format_date(day)}, rank {standing.rank} of {standing.among} candidates:"
    for part in ranked.parts:
        yield f"  {part.points:7.3f}  {part.reason or _trend(ranked)}"
    yield f"  {sum(round(part.points, 3) for part in ranked.parts):7.3f}  in all"


def _trend(ranked: Ranked) -> str:
    listing = ranked.trend.listing
    votes = "no votes" if listing.votes is None else f"{listing.votes:,} upvote{'s' * (listing.votes != 1)}"
    return f"trending ({ranked.trend.section}): {votes} on the list of {listing.source} of {listing.day}"
