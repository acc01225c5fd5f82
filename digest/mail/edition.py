"""The edition: the content of a mail as values, before it is rendered. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from digest.papers import Paper, paper_names
from digest.papers.text.clean import clean
from digest.papers.text.finding import find_finding
from digest.papers.text.fit import plural, snippet
from digest.ranking.trending import Ranked, TrendKind

EXCERPT = 340  # characters of what a paper found, when they come from its abstract
_MAX_TLDR = 600  # characters of a given summary, shown word for word up to here
_MAX_LINK = 300  # characters of a link beside the title; a longer one costs more than it is worth
_TOP_VOTES = 3  # of a top pick, and of a paper that is called trending: the first one is its submitter's
_LONG_AGO = timedelta(60)
_MAX_BADGES = 3
_MIN_STARS, _MIN_COMMENTS = 10, 3  # from how many on a reader learns something: 90 % of papers have 0 or 1 comment


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper in a mail. Empty fields are left out.

    place          from 1, counted through the whole mail
    id, name       the paper's
    votes          like "413 upvotes"
    origin         the list that they are from, unless it is today's: "from Fri 17 Apr"
    movement       like "+30 since yesterday"
    finding        what the paper found: its summary, or sentences of its `abstract`
    finding_by     the service whose program wrote the summary, '' if none did
    badges         why the paper was selected, in a word or two each: names of topics
    reasons        the same in full
    links          (words, address) of what else there is about the paper
    feedback       (words, address) of what a reader can say about it
    """

    place: int
    id: int
    title: str
    name: str = ""
    link: str = ""
    organization: str = ""
    authors: str = ""
    votes: str = ""
    origin: str = ""
    movement: str = ""
    categories: str = ""
    abstract: str = ""
    finding: str = ""
    finding_by: str = ""
    badges: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    feedback: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the entries below it."""

    heading: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Edition:
    """A day's mail. Empty fields are left out.

    intro          a sentence with the counts, or why there are no papers
    top            the paper that leads, if one is good enough
    notices        a sentence about each source that failed
    archive_url    of the page with this edition in the archive
    signup_link    with which those who got the mail from a reader subscribe
    """

    title: str
    day: date
    intro: str
    top: Entry | None
    sections: tuple[Section, ...]
    notices: tuple[str, ...]
    archive_url: str = ""
    signup_link: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All papers in the order of the mail."""
        return (*((self.top,) if self.top else ()), *(entry for section in self.sections for entry in section.entries))

    @property
    def date_line(self) -> str:
        return format_date(self.day)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many papers were recorded for the first time on the day of an edition, and since when they could come in."""

    new: int
    since: date


def compose(
    title: str,
    day: date,
    ranked: Sequence[Ranked],
    papers: Mapping[int, Paper],
    arrivals: Arrivals,
    notices: Sequence[str],
    why_empty: str = "nothing new for you today",
) -> Edition:
    """Return the edition of `ranked`, best first: a top pick, then the others by section, in rank order in each.

    The best paper is the top pick if it is good enough; papers that are not count as "more papers". `papers` holds the
    text of each, by id; `why_empty` says why there is none, as in "62 new papers, none on your topics".
    """
    top = ranked[:1] if ranked and _is_good(ranked[0]) else []
    rest = ranked[len(top) :]
    kinds = (_Kind.PICKED, *TrendKind)
    groups = [[r for r in rest if _kind(r) is kind] for kind in kinds]
    ordered = [*top, *(r for group in groups for r in group)]
    entries = {r.trend.id: build_entry(place, r, papers[r.trend.id], day) for place, r in enumerate(ordered, start=1)}
    return Edition(
        title=title,
        day=day,
        intro=_intro(ranked, arrivals, day) if ranked else f"{why_empty[:1].upper()}{why_empty[1:]}.",
        top=entries[top[0].trend.id] if top else None,
        sections=tuple(
            Section(_heading(kind, group, day), tuple(entries[r.trend.id] for r in group))
            for kind, group in zip(kinds, groups, strict=True)
            if group
        ),
        notices=tuple(clean(notice) for notice in notices),
    )


def build_entry(place: int, ranked: Ranked, paper: Paper, day: date) -> Entry:
    """Return a ranked paper as the reader sees it."""
    listing = ranked.trend.listing
    parts = [part for part in ranked.parts if part.reason and part.points >= 0]
    authors = [name for name in paper.authors if name != paper.organization]
    return Entry(
        place=place,
        id=ranked.trend.id,
        title=paper.title,
        name=paper_names(paper)[0],
        link=paper.link,
        organization=paper.organization,
        authors=format_authors(authors, 1 if paper.organization else 2),
        votes=plural(listing.votes, "upvote") if listing.votes else "",
        origin=f"from {listing.day:%a} {listing.day.day} {listing.day:%b}"
        if listing.votes and listing.day < day
        else "",
        movement=_format_movement(ranked, day),
        categories=", ".join(paper.categories[:2]),
        abstract=paper.abstract,
        finding=snippet(paper.tldr, _MAX_TLDR) or find_finding(paper.title, paper.abstract, EXCERPT),
        finding_by=paper.tldr_by,
        badges=tuple(dict.fromkeys(part.badge for part in parts if part.badge))[:_MAX_BADGES],
        reasons=tuple(part.reason for part in parts),
        links=tuple((words, link) for words, link in _links(paper) if len(link) <= _MAX_LINK),
    )


class _Kind(Enum):
    PICKED = "picked"


def _is_good(ranked: Ranked) -> bool:
    """Whether a paper may lead the mail: enough readers voted for it, or it is what this one asked for.

    The first paper of a source without votes is only the one that came in first.
    """
    return _is_asked_for(ranked) or (_kind(ranked) is not TrendKind.MORE and ranked.trend.listing.votes is not None)


def _is_asked_for(ranked: Ranked) -> bool:
    return any(part.badge for part in ranked.parts)


def _kind(ranked: Ranked) -> TrendKind | _Kind:
    """Return the kind of paper that the reader is told: one for which hardly anybody voted does not trend."""
    votes = ranked.trend.listing.votes
    kind = TrendKind.MORE if votes is not None and votes < _TOP_VOTES else ranked.trend.kind
    return _Kind.PICKED if kind is TrendKind.MORE and _is_asked_for(ranked) else kind


def _heading(kind: TrendKind | _Kind, ranked: Sequence[Ranked], day: date) -> str:
    listings = [r.trend.listing for r in ranked]
    if kind is _Kind.PICKED:
        return "Picked for you"
    if kind is TrendKind.MORE:
        return "More papers"
    if kind is TrendKind.RISING:  # nothing has risen that was not there before
        known = any(seen < day for listing in listings for seen, _ in listing.readings)
        return "Rising from earlier days" if known else "From the last days"
    voted = [listing.votes is not None for listing in listings]
    return "Trending today" if all(voted) else "New and trending today" if any(voted) else "New today"


def _format_movement(ranked: Ranked, day: date) -> str:
    """Return how the votes rose since they were last read (for rising papers: first read), or ''."""
    readings = [(seen, votes) for seen, votes in ranked.trend.listing.readings if votes is not None]
    earlier = [(seen, votes) for seen, votes in readings if seen < day]
    if not earlier:
        return ""
    seen, before = earlier[0 if ranked.trend.kind is TrendKind.RISING else -1]
    gained, ago = readings[-1][1] - before, (day - seen).days
    return f"+{gained:,} {'since yesterday' if ago == 1 else 'in ' + plural(ago, 'day')}" if gained > 0 else ""


def format_authors(authors: Sequence[str], limit: int = 3) -> str:
    """Return the first authors and the number of the others: "Ann, Bo, Cy +2 more"; one more is named as well."""
    if len(authors) <= limit + 1:
        return ", ".join(authors)
    return ", ".join(authors[:limit]) + f" +{len(authors) - limit:,} more"


def format_date(day: date) -> str:
    """Return a date like "Monday 23 November 2026"."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def format_short_date(day: date) -> str:
    """Return a date like "Mon 23 Nov 2026"."""
    return f"{day:%a} {day.day} {day:%b %Y}"


def _intro(ranked: Sequence[Ranked], arrivals: Arrivals, day: date) -> str:
    """Return how many papers came in, since when, and how many are here."""
    new = f"{plural(arrivals.new, 'paper')} {_since(arrivals.since, day)}"
    earlier = sum(r.trend.listing.readings[0][0] < day for r in ranked)
    if not arrivals.new:
        return f"{plural(len(ranked), 'paper')} from the last days; no list has a new one today."
    if len(ranked) <= arrivals.new:
        return f"{new}; here are {len(ranked):,}." if len(ranked) < arrivals.new else f"{new}."
    return f"{new}, and {earlier:,} from earlier days." if earlier else f"{new}; here are {len(ranked):,}."


def _since(since: date, day: date) -> str:
    if since >= day:
        return "today"
    if day - since > _LONG_AGO:  # a feed can list papers of many years
        return "on the lists"
    return "since yesterday" if since == day - timedelta(1) else f"since {since.day} {since:%B}"


def _links(paper: Paper) -> tuple[tuple[str, str], ...]:
    """Return the links beside that of the title. HTML comes before PDF, which is hard to read on a phone."""
    talk = paper.discussion if paper.comments >= _MIN_COMMENTS else ""
    named = (
        ("HTML", f"https://arxiv.org/html/{paper.arxiv}" if paper.arxiv else ""),
        ("PDF", paper.pdf),
        (f"Code (★ {_short(paper.stars)})" if paper.stars >= _MIN_STARS else "Code", paper.code),
        ("Project", paper.project),
        ("DOI", paper.doi_link),
        (f"Discussion ({paper.comments:,})", talk),
        ("Hugging Face", "" if talk.startswith(paper.huggingface) else paper.huggingface),
    )
    return tuple((words, link) for words, link in named if link and link != paper.link)


def _short(count: int) -> str:
    """Return "950", "1.2k", "48k"."""
    return f"{count:,}" if count < 1000 else f"{count / 1000:.1f}k" if count < 10_000 else f"{count // 1000:,}k"
