"""Any RSS, RDF or Atom feed: a journal, a blog, a repository. Its entries may lack identifiers, dates and authors."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from digest.papers import Paper, build_paper, parse_name
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.syndication import parse_feed, plain_text_of, published_day, strip_markup, text_of

# A DOI inside a publisher's address, without what publishers put behind it: "/doi/full/10.1000/x", "….x/pdf", "….xv2".
_DOI = re.compile(r"/(10\.\d{4,9}/[^\s?#]+?)(?:v\d+)?(?:[./](?:full|abstract|pdf|html|full-text|full\.pdf))*/?$")


@dataclass(frozen=True)
class Feed:
    url: str = field(metadata={"read": web_address, "example": '"https://example.org/feed.xml"'})
    name: str = ""
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)

    @property
    def called(self) -> str:
        """What to call it when it has no name."""
        return (urlsplit(self.url).hostname or "").removeprefix("www.")

    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        return (Request(url=self.url, read=partial(self._read, now.date()), what=self.url),)

    def _read(self, today: date, body: bytes) -> Page:
        _, entries = parse_feed(body)
        sightings, skipped = [], []
        for place, entry in enumerate(entries, start=1):
            try:
                found = self._paper(entry)
            except ValueError as problem:
                skipped.append(f"entry {place}: {problem}")
                continue
            # Its own day puts the newest of a long feed first; a day to come would put it before all others.
            sightings.append(Sighting(found, found.published and min(found.published, today)))
        return Page(tuple(sightings), skipped=tuple(skipped))

    def _paper(self, entry: Any) -> Paper:
        link = _joined(self.url, text_of(entry, "link"))
        return build_paper(
            title=plain_text_of(entry, "title"),
            abstract=_abstract(entry),
            authors=_authors(entry),
            identifiers=_identifiers(entry, link),
            source=self.name,
            published=published_day(entry),
            categories=[str(tag.get("term") or "") for tag in entry.get("tags", [])],
            url=link,
        )


def _joined(base: str, link: str) -> str:
    """`link` as it is meant where the feed stands; '' for what is no address."""
    try:
        return urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return ""


def _abstract(entry: Any) -> str:
    """The summary; for an entry without one its whole content."""
    summary = plain_text_of(entry, "summary")
    if summary.strip():
        return summary
    contents = entry.get("content") or [{}]
    value = contents[0].get("value") or ""
    return strip_markup(value) if "html" in str(contents[0].get("type")) else value


def _authors(entry: Any) -> list[str]:
    """Each author there is an element for; where one element holds them all, its parts if they look like names."""
    names = [strip_markup(str(author.get("name") or "")) for author in entry.get("authors", [])]
    if len(names) != 1:
        return names
    parts = re.split(r"\s*;\s*", names[0]) if ";" in names[0] else re.split(r",\s+(?:and\s+)?|\s+and\s+", names[0])
    return parts if all(" " in part for part in parts) or ";" in names[0] else names


def _identifiers(entry: Any, link: str) -> list[str]:
    """Everything that may name the paper, the surest first: DOI fields, the entry's id, its addresses."""
    own = text_of(entry, "id").strip()
    fields = [text_of(entry, key).strip() for key in ("prism_doi", "dc_identifier", "arxiv_doi")]
    given = [value for value in fields if parse_name(value).startswith(("doi:", "arxiv:"))]
    addresses = [own, link, *(str(other.get("href") or "") for other in entry.get("links", []))]
    within = [unquote(found[1]) for address in addresses if (found := _DOI.search(address.partition("?")[0]))]
    arxiv = [address for address in addresses if parse_name(address).startswith(("arxiv:", "doi:"))]
    return [*given, *arxiv, *within, own.removeprefix("oai:arXiv.org:")]
