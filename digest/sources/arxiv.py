"""arXiv's daily announcements, a feed a category; what was missed comes from its API.

The feed holds one day's batch: new papers, papers cross-listed from another category, and replacements, which are not
new papers. Its dates are the moment it was rendered and say nothing about its papers. Categories are asked one by one,
because a combined feed is cut at 2,000 entries and what it cuts is the new ones. A batch that has passed never comes
back in the feed.

arXiv's API: the papers of past batches, by when they were submitted.

Its failures come as a feed with one entry titled "Error", and now and then a page is empty that should not be:
https://info.arxiv.org/help/api/user-manual.html.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from digest.errors import SourceError, TemporaryError
from digest.papers import Paper, build_paper
from digest.settings import number_between, quote_value, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.arxiv_calendar import feed_day, is_due, missed, submitted
from digest.sources.syndication import parse_feed, published_day, text_of

_FEEDS = "https://rss.arxiv.org/rss/"
_API = "https://export.arxiv.org/api/query"
_GUID = re.compile(r"oai:arXiv\.org:(\S+)$")
_PREAMBLE = re.compile(r"^arXiv:\S+\s+Announce Type:\s*\S+\s*(?:Abstract:\s*)?", re.IGNORECASE)


def _categories(values: list[str]) -> tuple[str, ...]:
    for value in values:
        if not re.fullmatch(r"[a-z-]+(\.[A-Za-z-]+)?", value):
            raise ValueError(f'{quote_value(value)} is not an arXiv category; write them like "cs.LG" or "math"')
    if not values:
        raise ValueError('the list is empty; write categories like "cs.LG"')
    return tuple(dict.fromkeys(values))


@dataclass(frozen=True)
class Arxiv:
    """`api_url` is arXiv's own unless `url` is a mirror: whoever has a mirror names the API to go with it."""

    categories: tuple[str, ...] = field(
        metadata={"read": _categories, "type": tuple[str, ...], "example": '["cs.LG", "stat.ML"]'}
    )
    name: str = "arxiv"
    url: str = field(default=_FEEDS, metadata={"read": web_address})
    api_url: str = field(default="", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    # "No more than one request every three seconds": https://info.arxiv.org/help/api/tou.html
    pause: float = field(default=3.0, init=False)

    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """The feed of each category, after the batches that were missed since it was last read whole."""
        today = feed_day(now)
        due = is_due(today) and (since is None or feed_day(since) < today)
        feeds = (
            Request(url=self.url + quote(category), read=_parse_feed, what=f"category {category}", due=due)
            for category in self.categories
        )
        api = self.api_url or (_API if self.url == _FEEDS else "")
        gap = missed(since, now) if since and api else []
        return (*([search_request(api, self.categories, gap[0], now)] if gap else []), *feeds)


def _parse_feed(body: bytes) -> Page:
    feed, entries = parse_feed(body)
    if text_of(feed, "title").startswith("Feed error"):
        raise SourceError(f"arXiv says {text_of(feed, 'title')[:200]!r}")
    sightings, skipped = [], []
    for place, entry in enumerate(entries, start=1):
        if text_of(entry, "arxiv_announce_type").startswith("replace"):
            continue
        try:
            sightings.append(Sighting(_feed_paper(entry)))
        except ValueError as problem:
            skipped.append(f"entry {place}: {problem}")
    return Page(tuple(sightings), skipped=tuple(skipped))


def _feed_paper(entry: Any) -> Paper:
    """Facts of an entry. Authors are one comma-separated string; the guid carries identifier and version."""
    guid = _GUID.search(text_of(entry, "id"))
    link = text_of(entry, "link")
    found = build_paper(
        title=text_of(entry, "title"),
        abstract=_PREAMBLE.sub("", text_of(entry, "summary")),
        authors=[name.strip() for name in text_of(entry, "author").split(",")],
        identifiers=[guid[1] if guid else link, text_of(entry, "arxiv_doi")],
        categories=[str(tag.get("term") or "") for tag in entry.get("tags", [])],
        url=link,
        source="arxiv",
    )
    if not found.arxiv:
        raise ValueError(f"{found.title[:60]!r} has no arXiv identifier")
    return found


_PAGE = 500  # the service allows 2,000 and advises to stay well below


def search_request(url: str, categories: Sequence[str], first: date, now: datetime, start: int = 0) -> Request:
    """What `categories` announced from the day `first` on, a page from the entry `start` on, oldest first."""
    window = " TO ".join(f"{moment:%Y%m%d%H%M}" for moment in submitted(first, now))
    # A whole archive ("math") is asked for by its beginning.
    named = " OR ".join(f"cat:{category}{'' if '.' in category else '*'}" for category in categories)
    return Request(
        url=url,
        params={
            "search_query": f"({named}) AND submittedDate:[{window}]",
            "start": str(start),
            "max_results": str(_PAGE),
            "sortBy": "submittedDate",
            "sortOrder": "ascending",
        },
        read=partial(_parse_search, partial(search_request, url, categories, first, now), start),
        what=f"what was announced since {first}",
    )


def _parse_search(following: Any, start: int, body: bytes) -> Page:
    feed, entries = parse_feed(body)
    if len(entries) == 1 and text_of(entries[0], "title").strip() == "Error":
        raise SourceError(f"arXiv says {text_of(entries[0], 'summary').strip()[:200]!r}")
    # feedparser names it by the prefix that the feed happens to give the namespace.
    total = next((text_of(feed, key) for key in feed if key.endswith("totalresults")), "")
    if not total.isdecimal() or len(total) > 9:
        raise SourceError("the answer does not say how many papers there are")
    if not entries and start < int(total):
        raise TemporaryError(f"the page is empty, although there are {int(total):,} papers")
    sightings, skipped = [], []
    for place, entry in enumerate(entries, start=start + 1):
        try:
            sightings.append(Sighting(_search_paper(entry)))
        except ValueError as problem:
            skipped.append(f"result {place}: {problem}")
    reached = start + len(entries)
    return Page(tuple(sightings), following(reached) if entries and reached < int(total) else None, tuple(skipped))


def _search_paper(entry: Any) -> Paper:
    found = build_paper(
        title=text_of(entry, "title"),
        abstract=text_of(entry, "summary"),
        authors=[str(author.get("name") or "") for author in entry.get("authors", [])],
        identifiers=[text_of(entry, "id"), text_of(entry, "arxiv_doi")],
        published=published_day(entry),
        categories=[str(tag.get("term") or "") for tag in entry.get("tags", [])],
        url=text_of(entry, "link"),
        source="arxiv",
    )
    if not found.arxiv:
        raise ValueError(f"{found.title[:60]!r} has no arXiv identifier")
    return found
