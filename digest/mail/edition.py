"""The edition: the content of a mail as values, before it is rendered. Pure: no I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from digest.papers import Paper
from digest.papers.text.clean import clean
from digest.papers.text.fit import plural
from digest.ranking.trending import Ranked, TrendKind

_HEADINGS = {
    TrendKind.TODAY: "Trending today",
    TrendKind.RISING: "Rising from earlier days",
    TrendKind.MORE: "More papers",
}
_MAX_LINK = 300  # characters of a link beside the title; a longer one costs more than it is worth


@dataclass(frozen=True, slots=True)
class Entry:
    """One paper in a mail. Empty fields are left out.

    `id` is the paper's. `votes` is like "413 upvotes", `movement` like "+30 since yesterday" or "new"; `links` are
    (label, address).
    """

    place: int
    id: int
    title: str
    link: str
    authors: str
    votes: str
    movement: str
    categories: str
    abstract: str
    reasons: tuple[str, ...]
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the entries below it."""

    heading: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Edition:
    """A day's mail. `intro` is a sentence with the counts, `notices` say which sources failed."""

    title: str
    day: date
    intro: str
    top: Entry | None
    sections: tuple[Section, ...]
    notices: tuple[str, ...]

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All papers in the order of the mail."""
        return (*((self.top,) if self.top else ()), *(entry for section in self.sections for entry in section.entries))

    @property
    def date_line(self) -> str:
        return format_date(self.day)


def compose(
    title: str,
    day: date,
    ranked: Sequence[Ranked],
    papers: Mapping[int, Paper],
    new: int,
    notices: Sequence[str],
    why_empty: str = "nothing new for you today",
) -> Edition:
    """Return the edition of `ranked`, best first: a top pick, then a section for each kind of trend, in rank order.

    `papers` holds the text of each, by id; `new` is how many papers were new on `day`, and `why_empty` why none is in
    it, as in "62 new papers, none on your topics".
    """
    first, rest = ranked[:1], ranked[1:]
    ordered = [*first, *(r for kind in TrendKind for r in rest if r.trend.kind is kind)]
    entries = {r.trend.id: build_entry(place, r, papers[r.trend.id], day) for place, r in enumerate(ordered, start=1)}
    sections = [
        Section(_HEADINGS[kind], tuple(entries[r.trend.id] for r in rest if r.trend.kind is kind)) for kind in TrendKind
    ]
    return Edition(
        title=title,
        day=day,
        intro=_intro(ranked, new) if ranked else f"{why_empty[:1].upper()}{why_empty[1:]}.",
        top=entries[first[0].trend.id] if first else None,
        sections=tuple(section for section in sections if section.entries),
        notices=tuple(clean(notice) for notice in notices),
    )


def build_entry(place: int, ranked: Ranked, paper: Paper, day: date) -> Entry:
    """Return a ranked paper as the reader sees it."""
    votes = ranked.trend.listing.votes
    return Entry(
        place=place,
        id=ranked.trend.id,
        title=paper.title,
        link=paper.link,
        authors=format_authors(paper.authors),
        votes="" if votes is None else plural(votes, "upvote"),
        movement=format_movement(ranked, day),
        categories=", ".join(paper.categories[:4]),
        abstract=paper.abstract,
        reasons=tuple(part.reason for part in ranked.parts if part.reason),
        links=tuple((label, link) for label, link in _links(paper) if len(link) <= _MAX_LINK),
    )


def format_movement(ranked: Ranked, day: date) -> str:
    """Return how the votes rose since they were last read (for rising papers: first read), or "new", or ''."""
    readings = [(seen, votes) for seen, votes in ranked.trend.listing.readings if votes is not None]
    earlier = [(seen, votes) for seen, votes in readings if seen < day]
    if not earlier:
        return "new" if ranked.trend.kind is TrendKind.TODAY else ""
    votes = readings[-1][1]
    if ranked.trend.kind is TrendKind.RISING and earlier[0][1] < votes:
        return f"rising: {earlier[0][1]:,} → {votes:,} in {plural((day - earlier[0][0]).days, 'day')}"
    gained = votes - earlier[-1][1]
    ago = (day - earlier[-1][0]).days
    return f"+{gained:,} {'since yesterday' if ago == 1 else 'in ' + plural(ago, 'day')}" if gained > 0 else ""


def format_authors(authors: Sequence[str], limit: int = 3) -> str:
    """Return the first authors and the number of the others: "Ann, Bo, Cy +2 more"; one more is named as well."""
    if len(authors) <= limit + 1:
        return ", ".join(authors)
    return ", ".join(authors[:limit]) + f" +{len(authors) - limit:,} more"


def format_date(day: date) -> str:
    """Return a date like "Monday 23 November 2026"."""
    return f"{day:%A} {day.day} {day:%B %Y}"


def _intro(ranked: Sequence[Ranked], new: int) -> str:
    sources = len({r.trend.listing.source for r in ranked})
    found = f"{plural(len(ranked), 'paper')} from {plural(sources, 'source')}"
    return f"{found}. New on the lists today: {new:,}." if new >= len(ranked) else f"{found}."


def _links(paper: Paper) -> tuple[tuple[str, str], ...]:
    html = f"https://arxiv.org/html/{paper.arxiv}" if paper.arxiv else ""
    named = (
        ("PDF", paper.pdf),
        ("arXiv HTML", html),
        ("Code", paper.code),
        ("Project", paper.project),
        ("Hugging Face", paper.huggingface),
        ("DOI", paper.doi_link if paper.doi_link != paper.link else ""),
    )
    return tuple((label, link) for label, link in named if link)
