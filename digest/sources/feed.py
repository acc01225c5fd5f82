"""Any RSS, RDF or Atom feed: a journal, a blog, a repository. Entries may lack identifiers, dates and authors."""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from digest.papers import build_paper, parse_name
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.parsing import build_page
from digest.sources.syndication import categories_of, parse_feed, plain_text_of, publication_day, strip_markup, text_of

# A DOI in a publisher's URL, and what publishers append: "/doi/full/10.1000/x", "….x/pdf", "….xv2.full.pdf".
_DOI_IN_URL = re.compile(r"/(10\.\d{4,9}/)([^\s?#]+)")
_APPENDED = tuple(f"{sign}{word}" for word in ("full", "full-text", "abstract", "pdf", "html") for sign in "./")
_VERSION = re.compile(r"(?<=.)v\d{1,3}$")
_MAX_URL = 1_500  # characters; no DOI is that long


@dataclass(frozen=True)
class Feed:
    url: str = field(metadata={"read": web_address, "example": '"https://example.org/feed.xml"'})
    name: str = ""
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)

    @property
    def default_name(self) -> str:
        """Name of the source if the configuration gives none."""
        return (urlsplit(self.url).hostname or "").removeprefix("www.")

    @property
    def _request_name(self) -> str:
        """The address without user, password and query, any of which may be a secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        return (Request(url=self.url, parse=partial(self._parse, now.date()), name=self._request_name),)

    def _parse(self, today: date, body: bytes) -> Page:
        _, entries = parse_feed(body)
        return build_page(entries, partial(self._parse_entry, today), "entry")

    def _parse_entry(self, today: date, entry: Any) -> Sighting:
        link = _resolve(self.url, text_of(entry, "link"))
        paper = build_paper(
            title=plain_text_of(entry, "title"),
            abstract=_abstract(entry),
            authors=_authors(entry),
            identifiers=_identifiers(entry, link),
            source=self.name,
            published=publication_day(entry),
            categories=categories_of(entry),
            url=link,
            from_feed=True,
        )
        # The entry's own day ranks the newest of a long feed first; a day in the future would rank above all others.
        return Sighting(paper, paper.published and min(paper.published, today))


def _resolve(base: str, link: str) -> str:
    """Make a link relative to the feed absolute; '' if it is not a valid URL."""
    try:
        return urljoin(base, link.strip()) if link.strip() else ""
    except ValueError:
        return ""


def _abstract(entry: Any) -> str:
    """Return the summary, else the whole content."""
    summary = plain_text_of(entry, "summary")
    if summary.strip():
        return summary
    contents = entry.get("content") or [{}]
    value = contents[0].get("value") or ""
    return strip_markup(value) if "html" in str(contents[0].get("type")) else value


def _authors(entry: Any) -> list[str]:
    """Return the authors. If one element names them all, split it at ";", or at "," and "and" into full names."""
    names = [strip_markup(str(author.get("name") or "")) for author in entry.get("authors", [])]
    if len(names) != 1:
        return names
    if ";" in names[0]:
        return names[0].split(";")
    parts = re.split(r", (?:and )?| and ", " ".join(names[0].split()))
    return parts if all(" " in part for part in parts) else names


def _identifiers(entry: Any, link: str) -> list[str]:
    """Return all possible identifiers, the most reliable first: DOI fields, URLs, and the entry's own id."""
    own = text_of(entry, "id").strip()
    fields = [text_of(entry, key).strip() for key in ("prism_doi", "dc_identifier", "arxiv_doi")]
    urls = [own, link, *(str(other.get("href") or "") for other in entry.get("links", []))]
    known = [value for value in (*fields, *urls) if parse_name(value).startswith(("doi:", "arxiv:"))]
    return [*known, *map(_doi_in_url, urls), own.removeprefix("oai:arXiv.org:")]


def _doi_in_url(url: str) -> str:
    """Return the DOI in a publisher's URL, without what publishers append to it; '' if there is none."""
    match = _DOI_IN_URL.search(url[:_MAX_URL].partition("?")[0])
    if not match:
        return ""
    prefix, suffix = match.groups()
    suffix = suffix.rstrip("/")
    while suffix.endswith(_APPENDED):
        suffix = suffix[: max(suffix.rfind("."), suffix.rfind("/"))]
    return unquote(prefix + _VERSION.sub("", suffix))
