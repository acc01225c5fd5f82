"""bioRxiv and medRxiv: the preprints of the last days, from the API they share (https://api.biorxiv.org).

A preprint is listed again with each new version; its DOI stays the same. Dates sometimes lack leading zeros, and
numbers may be strings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from digest.errors import SourceError, TemporaryError
from digest.papers import build_paper
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.parsing import build_page, describe_start, first_text, parse_json

_LOOKBACK_DAYS = 2  # the list of a day is complete only some time after that day
_MAX_DAYS = 14


@dataclass(frozen=True)
class Biorxiv:
    """`categories` are those of the service, like "neuroscience"; all categories if there are none."""

    categories: tuple[str, ...] = field(default=(), metadata={"example": '["neuroscience"]'})
    name: str = "biorxiv"
    url: str = field(default="https://api.biorxiv.org/details/", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)
    server: str = field(default="biorxiv", init=False)

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """Request all preprints since `since`: at least from the day before yesterday, at most 14 days."""
        today = now.date()
        first = min(today - timedelta(_LOOKBACK_DAYS), since.date() if since else today)
        return (self._request(max(first, today - timedelta(_MAX_DAYS)), today, 0),)

    def _request(self, first: date, last: date, cursor: int) -> Request:
        return Request(
            url=f"{self.url.rstrip('/')}/{self.server}/{first}/{last}/{cursor}",
            parse=partial(self._parse, first, last, cursor),
            name=f"papers posted from {first} to {last}",
        )

    def _parse(self, first: date, last: date, cursor: int, body: bytes) -> Page:
        total, rows = _parse_collection(body)
        if not rows and cursor < total:
            raise TemporaryError(f"the page is empty although there are {total:,} papers")
        reached = cursor + len(rows)
        next_request = self._request(first, last, reached) if rows and reached < total else None
        return build_page(rows, self._parse_row, "row", cursor + 1, next_request)

    def _parse_row(self, row: object) -> Sighting | None:
        if not isinstance(row, Mapping):
            raise ValueError("it is not a JSON object")
        doi, day = first_text(row, "doi").strip(), _parse_day(row.get("date"))
        paper = build_paper(
            title=first_text(row, "title"),
            abstract=first_text(row, "abstract"),
            authors=[name.strip() for name in first_text(row, "authors").split(";")],
            identifiers=[doi],
            source=self.name,
            published=day,
            categories=[first_text(row, "category")],
            url=f"https://www.{self.server}.org/content/{doi}" if doi else "",
        )
        wanted = {category.casefold().replace("_", " ") for category in self.categories}
        is_wanted = not wanted or wanted & {category.casefold() for category in paper.categories}
        return Sighting(paper, day) if is_wanted else None


@dataclass(frozen=True)
class Medrxiv(Biorxiv):
    name: str = "medrxiv"
    server: str = field(default="medrxiv", init=False)


def _parse_collection(body: bytes) -> tuple[int, list[Any]]:
    """Return the total number of papers, and the rows of this page."""
    document = parse_json(body)
    rows = document.get("collection") if isinstance(document, Mapping) else None
    messages = document.get("messages") if isinstance(document, Mapping) else None
    message = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(rows, list) or not isinstance(message, Mapping):
        raise SourceError(f"the response is not a list of papers: {describe_start(body)}")
    status = first_text(message, "status")
    if status != "ok" and not status.startswith("no posts found"):
        raise SourceError(f"the server reports {status[:200]!r}")
    return _parse_total(message.get("total")), rows


def _parse_total(value: object) -> int:
    """Return a number that may be a string; 0 for anything else."""
    digits = str(value) if isinstance(value, int | str) else ""
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 0


def _parse_day(value: object) -> date | None:
    """Return a date whose month and day may lack a leading zero; None for anything else."""
    try:
        year, month, day = (int(part) for part in str(value).split("-"))
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None
