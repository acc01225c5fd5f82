"""The feeds and the site map: Atom (RFC 4287) with archived feeds (RFC 5005), JSON Feed 1.1, sitemaps.org 0.9.

    feed.xml            the newest editions: all of the newest month, and those before it up to at least ten
      │ prev-archive
      ▼
    2026/03/feed.xml    all editions of a month ──▶ 2026/02/feed.xml ──▶ …

A reader who was away for long follows `prev-archive` and misses nothing. The feed of the newest month is not yet final;
so `feed.xml`, which has all of it, leads to the month before. `lxml` writes the XML; no maintained library writes
archived feeds.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from lxml import etree
from lxml.builder import ElementMaker

_ATOM = "http://www.w3.org/2005/Atom"
_HISTORY = "http://purl.org/syndication/history/1.0"
_SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"
_atom = ElementMaker(namespace=_ATOM, nsmap={None: _ATOM, "fh": _HISTORY})
_history = ElementMaker(namespace=_HISTORY, nsmap={"fh": _HISTORY})
_sitemap = ElementMaker(namespace=_SITEMAP, nsmap={None: _SITEMAP})


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """An edition in a feed: its permanent identifier, the address of its page, and what it says, in HTML."""

    tag: str
    url: str
    title: str
    summary: str
    content: str
    created: datetime


@dataclass(frozen=True, slots=True)
class FeedDocument:
    """A feed and where it is: the `home` page it belongs to, its own address, and those of related feeds by relation.

    `archived` is set for the feed of a month.
    """

    tag: str
    title: str
    home: str
    url: str
    links: Sequence[tuple[str, str]]
    entries: Sequence[FeedEntry]
    archived: bool = False


def atom_feed(feed: FeedDocument) -> bytes:
    """Return an Atom feed, the newest entry first. It changes only when its entries do."""
    root = _atom.feed(
        _atom.id(feed.tag),
        _atom.title(feed.title),
        _atom.updated(_moment(max(entry.created for entry in feed.entries))),
        _atom.author(_atom.name(feed.title)),
        _atom.generator("digest"),
        _atom.link(rel="self", type="application/atom+xml", href=feed.url),
        _atom.link(rel="alternate", type="text/html", href=feed.home),
        *(_atom.link(rel=relation, type="application/atom+xml", href=url) for relation, url in feed.links),
        *([_history.archive()] if feed.archived else []),
        *(_atom_entry(entry) for entry in feed.entries),
    )
    return _document(root)


def _atom_entry(entry: FeedEntry) -> etree._Element:
    return _atom.entry(
        _atom.id(entry.tag),
        _atom.title(entry.title),
        _atom.link(rel="alternate", type="text/html", href=entry.url),
        _atom.published(_moment(entry.created)),
        _atom.updated(_moment(entry.created)),
        _atom.summary(entry.summary),
        _atom.content(entry.content, type="html"),
    )


def json_feed(feed: FeedDocument) -> bytes:
    """Return a JSON Feed, version 1.1 (https://www.jsonfeed.org/version/1.1/), the newest entry first."""
    document = {
        "version": "https://jsonfeed.org/version/1.1",
        "title": feed.title,
        "home_page_url": feed.home,
        "feed_url": feed.url,
        "language": "en",
        "authors": [{"name": feed.title}],
        "items": [
            {
                "id": entry.tag,
                "url": entry.url,
                "title": entry.title,
                "summary": entry.summary,
                "content_html": entry.content,
                "date_published": _moment(entry.created),
            }
            for entry in feed.entries
        ],
    }
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def site_map(pages: Iterable[tuple[str, date]]) -> bytes:
    """Return the site map of these pages: (address, day on which it last changed)."""
    root = _sitemap.urlset(
        *(_sitemap.url(_sitemap.loc(url), _sitemap.lastmod(changed.isoformat())) for url, changed in pages)
    )
    return _document(root)


def _moment(moment: datetime) -> str:
    """Return a time of RFC 3339, to the second."""
    return moment.isoformat(timespec="seconds")


def _document(root: etree._Element) -> bytes:
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8", pretty_print=True))
