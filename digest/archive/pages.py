"""Render the pages of the archive, and what the feeds say, with the templates.

The templates share the parts of the mail (`_paper.html`). Unlike the mail they need no inlined styles: a page brings
its style sheet along, and asks for nothing else. Links within the archive are relative, so that a copy of it works
wherever it is put; only what others keep (canonical address, OpenGraph, feeds) is absolute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path

from digest.archive import PublicEdition, edition_path, month_path
from digest.mail.edition import Edition, format_date, format_short_date
from digest.mail.render import FittedEntry
from digest.mail.templates import Templates
from digest.papers.text.fit import plural, snippet

_RECENT = 9  # editions on the first page besides the latest


@dataclass(frozen=True, slots=True)
class PageLink:
    """A link to another page: its path in the archive, and its words."""

    path: str
    words: str


class Pages:
    """The pages of the archive at `url`, which ends in a slash, of the digest called `title`.

    A template in the folder `overrides` replaces the bundled one of the same name. Every method raises ConfigError
    naming file and line when a template cannot be rendered.
    """

    def __init__(self, url: str, title: str, overrides: Path | None = None) -> None:
        self.url = url
        self.title = title
        self._templates = Templates(overrides)

    def edition(self, edition: PublicEdition, earlier: date | None, later: date | None) -> bytes:
        """Return the page of an edition; `earlier` and `later` are the days of those before and after it."""
        composed = edition.composed
        values = {
            "edition": composed,
            **_views(composed),
            "anchors": edition.anchors,
            "created": edition.created.isoformat(timespec="seconds"),
            "bibtex": f"{edition.day:%d}.bib",
            "month": _month_link(edition.day),
            "earlier": earlier and _day_link(earlier),
            "later": later and _day_link(later),
        }
        heading = f"{headline(edition)} · {format_short_date(edition.day)}"
        return self._page("edition.html", edition_path(edition.day), heading, values)

    def month(self, editions: Sequence[PublicEdition], earlier: date | None, later: date | None) -> bytes:
        """Return the page of a month with these editions, oldest first; the others are days of the months around it."""
        day = editions[0].day
        values = {
            "name": f"{day:%B %Y}",
            "editions": [_teaser(edition) for edition in reversed(editions)],
            "earlier": earlier and _month_link(earlier),
            "later": later and _month_link(later),
        }
        return self._page("month.html", month_path(day), f"{day:%B %Y}", values)

    def index(self, newest: Sequence[PublicEdition], days: Sequence[date]) -> bytes:
        """Return the first page: the newest editions, newest first, and the months of all `days`."""
        years = [
            (year, [(f"{month:%B}", month_path(month), plural(count, "edition")) for month, count in reversed(months)])
            for year, months in reversed(_months_by_year(days))
        ]
        latest, *recent = newest
        values = {
            "latest": _teaser(latest),
            "view": FittedEntry(latest.composed.entries[0], "top"),
            "recent": [_teaser(edition) for edition in recent[:_RECENT]],
            "years": years,
        }
        return self._page("index.html", "index.html", "", values)

    def feed_entry(self, edition: PublicEdition) -> str:
        """Return what the feeds say about an edition, in HTML."""
        composed = edition.composed
        values = {"edition": composed, **_views(composed), "page": self.url + edition_path(edition.day)}
        return self._templates.fill("feed_entry.html", values)

    def _page(self, template: str, path: str, heading: str, values: Mapping[str, object]) -> bytes:
        """Fill in a template with what every page has, and `values`."""
        shared = {
            "site": self.title,
            "heading": heading,
            "canonical": self.url + path.removesuffix("index.html"),
            "root": "../" * path.count("/"),
            "earlier": None,
            "later": None,
        }
        return self._templates.fill(template, {**shared, **values}).encode()


def headline(edition: PublicEdition) -> str:
    """Return the title of an edition's first paper, and how many there are besides."""
    first = edition.papers[edition.ranked[0].trend.id]
    more = len(edition.ranked) - 1
    return snippet(first.title, 90) + (f" and {more} more" if more else "")


def _teaser(edition: PublicEdition) -> dict[str, object]:
    """Return what a list of editions says about one."""
    entries, anchors = edition.composed.entries, edition.anchors
    return {
        "link": _day_link(edition.day),
        "day": edition.day,
        "date": format_short_date(edition.day),
        "titles": [(entry.title, anchors[entry.id]) for entry in entries[:3]],
        "more": len(entries) - 3,
        "papers": plural(len(entries), "paper"),
    }


def _views(edition: Edition) -> dict[str, object]:
    """Return the papers of an edition for a template, in as much detail as a mail has for the first of them."""
    sections = [
        (section.heading, [FittedEntry(p.entry, "full") for p in section.picks]) for section in edition.sections
    ]
    summaries = sorted({entry.finding_by for entry in edition.entries if entry.finding_by})
    return {
        "top": FittedEntry(edition.top.entry, "top") if edition.top else None,
        "sections": sections,
        "summaries_by": summaries,
    }


def _months_by_year(days: Sequence[date]) -> list[tuple[int, list[tuple[date, int]]]]:
    """Return the months of each year, with the number of their days."""
    months = [(month, len(list(group))) for month, group in groupby(days, key=lambda day: day.replace(day=1))]
    return [(year, list(group)) for year, group in groupby(months, key=lambda month: month[0].year)]


def _day_link(day: date) -> PageLink:
    return PageLink(edition_path(day), format_date(day))


def _month_link(month: date) -> PageLink:
    return PageLink(month_path(month), f"{month:%B %Y}")
