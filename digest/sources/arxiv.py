"""arXiv: the daily feed of each category, and the search API for batches that were missed.

The feed holds the batch of one day: new papers, papers cross-listed from another category, and replacements, which are
skipped because they are not new papers. Its dates are those of the feed, not of the papers. Each category is requested
by itself, because a combined feed is cut off at 2,000 entries and loses the new papers. A past batch never comes back.

The search API finds the papers of past batches by the day they were submitted. It reports an error as a feed with one
entry titled "Error", and some of its pages are empty by mistake: https://info.arxiv.org/help/api/user-manual.html.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from digest.errors import SourceError, TemporaryError
from digest.papers import Paper, build_paper
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.arxiv_calendar import feed_day, has_batch, missed_days, submission_window
from digest.sources.arxiv_categories import check_categories
from digest.sources.parsing import build_page
from digest.sources.syndication import categories_of, parse_feed, publication_day, text_of

_FEED_URL = "https://rss.arxiv.org/rss/"
API_URL = "https://export.arxiv.org/api/query"
_API_PAGE_SIZE = 500  # the API allows 2,000 and recommends much less
_GUID = re.compile(r"^oai:arXiv\.org:(\S+)$")
_PREAMBLE = re.compile(r"^arXiv:\S+\s+Announce Type:\s*\S+\s*(?:Abstract:\s*)?", re.IGNORECASE)


def _check_categories(values: list[str]) -> tuple[str, ...]:
    if not values:
        raise ValueError('must not be empty; write categories like "cs.LG"')
    check_categories(values)
    return tuple(dict.fromkeys(values))


@dataclass(frozen=True)
class Arxiv:
    """`url` is the base URL of the feeds. A mirror is never mixed with arXiv's own API: it needs its own `api_url`."""

    categories: tuple[str, ...] = field(
        metadata={"read": _check_categories, "type": tuple[str, ...], "example": '["cs.LG", "stat.ML"]'}
    )
    name: str = "arxiv"
    url: str = field(default=_FEED_URL, metadata={"read": web_address})
    api_url: str = field(default="", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    # "No more than one request every three seconds": https://info.arxiv.org/help/api/tou.html
    pause: float = field(default=3.0, init=False)

    @property
    def search_url(self) -> str:
        """The address of the search API, '' for a mirror without one."""
        return self.api_url or (API_URL if self.url == _FEED_URL else "")

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """Request the batches missed since `since` from the API, if any, and then the feed of each category."""
        missed = missed_days(since, now) if since and self.search_url else []
        search = [search_request(self.search_url, self.categories, missed[0], now)] if missed else []
        today = feed_day(now)
        due = has_batch(today) and (since is None or feed_day(since) < today)
        feeds = (
            Request(url=self.url + quote(category), parse=_parse_feed, name=f"category {category}", due=due)
            for category in self.categories
        )
        return (*search, *feeds)


def _parse_feed(body: bytes) -> Page:
    feed, entries = parse_feed(body)
    title = text_of(feed, "title")
    if title.startswith("Feed error"):
        raise SourceError(f"arXiv reports {title[:200]!r}")
    return build_page(entries, _parse_feed_entry, "entry")


def _parse_feed_entry(entry: Any) -> Sighting | None:
    """Return the paper of an entry, None for a replacement.

    The authors are one comma-separated string; the guid holds identifier and version.
    """
    if text_of(entry, "arxiv_announce_type").startswith("replace"):
        return None
    guid, link = _GUID.search(text_of(entry, "id")), text_of(entry, "link")
    return _sighting(
        build_paper(
            title=text_of(entry, "title"),
            abstract=_PREAMBLE.sub("", text_of(entry, "summary")),
            authors=[name.strip() for name in text_of(entry, "author").split(",")],
            identifiers=[guid[1] if guid else link, text_of(entry, "arxiv_doi")],
            categories=categories_of(entry),
            url=link,
            source="arxiv",
        )
    )


def search_request(url: str, categories: Sequence[str], first: date, now: datetime, start: int = 0) -> Request:
    """Request the papers announced in `categories` from the day `first` to `now`, oldest first.

    `start` is the number of results on the pages before.
    """
    window = " TO ".join(f"{moment:%Y%m%d%H%M}" for moment in submission_window(first, now))
    # A whole archive ("math") is searched for by prefix.
    any_category = " OR ".join(f"cat:{category}{'' if '.' in category else '*'}" for category in categories)
    return Request(
        url=url,
        params={
            "search_query": f"({any_category}) AND submittedDate:[{window}]",
            "start": str(start),
            "max_results": str(_API_PAGE_SIZE),
            "sortBy": "submittedDate",
            "sortOrder": "ascending",
        },
        parse=partial(_parse_results, partial(search_request, url, categories, first, now), start),
        name=f"papers announced since {first}",
    )


def lookup_request(url: str, identifiers: Sequence[str]) -> Request:
    """Request papers by their arXiv identifiers; the answer lacks those that do not exist."""
    return Request(
        url=url,
        params={"id_list": ",".join(identifiers), "max_results": str(len(identifiers))},
        parse=_parse_lookup,
        name=f"{len(identifiers)} liked papers",
    )


def _parse_lookup(body: bytes) -> Page:
    _, entries = parse_feed(body)
    _check_error(entries)
    return build_page(entries, _parse_result, "result")


def _check_error(entries: Sequence[Any]) -> None:
    if len(entries) == 1 and text_of(entries[0], "title").strip() == "Error":
        raise SourceError(f"arXiv reports {text_of(entries[0], 'summary').strip()[:200]!r}")


def _parse_results(page_from: Callable[[int], Request], start: int, body: bytes) -> Page:
    """Parse a page of search results that begins at `start`; `page_from` builds the request for another page."""
    feed, entries = parse_feed(body)
    _check_error(entries)
    # The key depends on the prefix that the feed gives to the OpenSearch namespace.
    total = next((text_of(feed, key) for key in feed if key.endswith("totalresults")), "")
    if not total.isdecimal() or len(total) > 9:
        raise SourceError("the response does not say how many papers there are")
    if not entries and start < int(total):
        raise TemporaryError(f"the page is empty although there are {int(total):,} papers")
    reached = start + len(entries)
    next_request = page_from(reached) if entries and reached < int(total) else None
    return build_page(entries, _parse_result, "result", start + 1, next_request)


def _parse_result(entry: Any) -> Sighting:
    return _sighting(
        build_paper(
            title=text_of(entry, "title"),
            abstract=text_of(entry, "summary"),
            authors=[str(author.get("name") or "") for author in entry.get("authors", [])],
            identifiers=[text_of(entry, "id"), text_of(entry, "arxiv_doi")],
            published=publication_day(entry),
            categories=categories_of(entry),
            url=text_of(entry, "link"),
            source="arxiv",
        )
    )


def _sighting(paper: Paper) -> Sighting:
    if not paper.arxiv:
        raise ValueError(f"{paper.title[:60]!r} has no arXiv identifier")
    return Sighting(paper)
