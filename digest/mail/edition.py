"""The edition: the content of a mail as values, before it is rendered. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum

from digest.papers import Paper, paper_names
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


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A paper as all mails of a day show it. Empty fields are left out. Entries are compared by identity.

    id, name       the paper's
    votes          like "413 upvotes"
    origin         the list that they are from, unless it is today's: "from Fri 17 Apr"
    movement       like "+30 since yesterday"
    finding        what the paper found: its summary, or sentences of its `abstract`
    finding_by     the service whose program wrote the summary, '' if none did
    links          (words, address) of what else there is about the paper
    """

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
    links: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A paper in one reader's mail.

    `place` counts from 1 through the whole mail; `badges` say why the paper was selected, in a word or two each: names
    of topics.
    """

    place: int
    entry: Entry
    badges: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the papers below it."""

    heading: str
    picks: tuple[Pick, ...]


@dataclass(frozen=True, slots=True)
class Masthead:
    """What all editions of a day have in common. Empty fields are left out.

    title          the digest's
    notices        a sentence about each source that failed
    archive_url    of the page with this edition in the archive
    signup_link    with which those who got the mail from a reader subscribe
    """

    title: str
    day: date
    notices: tuple[str, ...] = ()
    archive_url: str = ""
    signup_link: str = ""

    @property
    def date_line(self) -> str:
        return format_date(self.day)


@dataclass(frozen=True, slots=True)
class Edition:
    """A mail of a day.

    intro          a sentence with the counts, or why there are no papers
    top            the paper that leads, if one is good enough
    """

    masthead: Masthead
    intro: str
    top: Pick | None
    sections: tuple[Section, ...]

    @property
    def picks(self) -> tuple[Pick, ...]:
        """All papers in the order of the mail."""
        return (*((self.top,) if self.top else ()), *(pick for section in self.sections for pick in section.picks))

    @property
    def entries(self) -> tuple[Entry, ...]:
        return tuple(pick.entry for pick in self.picks)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many papers were recorded for the first time on the day of an edition, and since when they could come in."""

    new: int
    since: date


class Composer:
    """Composes the editions of a day from papers in order, best first.

    `papers` has the text of each paper by id. What all editions say about a paper is made once.
    """

    def __init__(self, masthead: Masthead, papers: Mapping[int, Paper], arrivals: Arrivals) -> None:
        self.masthead = masthead
        self._papers = papers
        self._arrivals = arrivals
        self._entries: dict[tuple[int, TrendKind, str, date], Entry] = {}

    def compose(self, ranked: Sequence[Ranked], why_empty: str = "nothing new for you today") -> Edition:
        """Return the edition of `ranked`: a top pick, then the others by section, in rank order in each.

        The best paper is the top pick if it is good enough; papers that are not count as "more papers". `why_empty`
        says why there is none, as in "62 new papers, none on your topics".
        """
        day = self.masthead.day
        if not ranked:
            return Edition(self.masthead, f"{why_empty[:1].upper()}{why_empty[1:]}.", None, ())
        has_top = _is_good(ranked[0])
        groups: dict[TrendKind | _Kind, list[Ranked]] = {kind: [] for kind in _SECTIONS}
        for one in ranked[has_top:]:
            groups[_kind(one)].append(one)
        top = self._pick(1, ranked[0]) if has_top else None
        place, sections = 1 + has_top, []
        for kind, group in groups.items():
            if group:
                picks = tuple(self._pick(n, one) for n, one in enumerate(group, start=place))
                sections.append(Section(_heading(kind, group, day), picks))
                place += len(group)
        return Edition(self.masthead, _intro(ranked, self._arrivals, day), top, tuple(sections))

    def _pick(self, place: int, ranked: Ranked) -> Pick:
        trend = ranked.trend
        key = trend.id, trend.kind, trend.listing.source, trend.listing.day
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = build_entry(ranked, self._papers[trend.id], self.masthead.day)
        return Pick(place, entry, _badges(ranked))


def build_entry(ranked: Ranked, paper: Paper, day: date) -> Entry:
    """Return a ranked paper as the mails of `day` show it."""
    listing = ranked.trend.listing
    authors = [name for name in paper.authors if name != paper.organization]
    return Entry(
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
        links=tuple((words, link) for words, link in _links(paper) if len(link) <= _MAX_LINK),
    )


def _badges(ranked: Ranked) -> tuple[str, ...]:
    found = [part.badge for part in ranked.parts if part.badge and part.points >= 0]
    return tuple(dict.fromkeys(found))[:_MAX_BADGES] if found else ()


class _Kind(Enum):
    PICKED = "picked"


_SECTIONS = (_Kind.PICKED, *TrendKind)  # in the order of the mail


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
