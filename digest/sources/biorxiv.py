"""bioRxiv and medRxiv: what was posted in the last days, by their common API.

A preprint is listed again with each new version; its DOI stays the same. Dates come without leading zeros at times, and
numbers as texts: https://api.biorxiv.org.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from digest.errors import SourceError, TemporaryError
from digest.papers import build_paper
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting, opening, text

_LOOKBACK, _MOST_DAYS = 2, 14  # a day's list is complete some time after the day


@dataclass(frozen=True)
class Biorxiv:
    """`categories` are those of the service, like "neuroscience"; all without any."""

    categories: tuple[str, ...] = field(default=(), metadata={"example": '["neuroscience"]'})
    name: str = "biorxiv"
    url: str = field(default="https://api.biorxiv.org/details/", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)
    server: str = field(default="biorxiv", init=False)

    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """What was posted from the last good reading on: at least since the day before yesterday, at most 14 days."""
        today = now.date()
        first = min(today - timedelta(_LOOKBACK), since.date() if since else today)
        return (self._ask(max(first, today - timedelta(_MOST_DAYS)), today, 0),)

    def _ask(self, first: date, last: date, cursor: int) -> Request:
        return Request(
            url=f"{self.url.rstrip('/')}/{self.server}/{first}/{last}/{cursor}",
            read=partial(self._read, first, last, cursor),
            what=f"what was posted from {first} to {last}",
        )

    def _read(self, first: date, last: date, cursor: int, body: bytes) -> Page:
        total, rows = _collection(body)
        if not rows and cursor < total:
            raise TemporaryError(f"the page is empty, although there are {total:,} papers")
        sightings, skipped = [], []
        for place, row in enumerate(rows, start=cursor + 1):
            try:
                sighting = self._sighting(row)
            except ValueError as problem:
                skipped.append(f"row {place}: {problem}")
                continue
            if not self.categories or {c.casefold() for c in sighting.paper.categories} & self._wanted:
                sightings.append(sighting)
        reached = cursor + len(rows)
        more = self._ask(first, last, reached) if rows and reached < total else None
        return Page(tuple(sightings), more, tuple(skipped))

    @property
    def _wanted(self) -> frozenset[str]:
        return frozenset(category.casefold().replace("_", " ") for category in self.categories)

    def _sighting(self, row: object) -> Sighting:
        if not isinstance(row, Mapping):
            raise ValueError("it is not an object")
        doi, posted = text(row, "doi").strip(), _day(row.get("date"))
        found = build_paper(
            title=text(row, "title"),
            abstract=text(row, "abstract"),
            authors=[name.strip() for name in text(row, "authors").split(";")],
            identifiers=[doi],
            source=self.name,
            published=posted,
            categories=[text(row, "category")],
            url=f"https://www.{self.server}.org/content/{doi}" if doi else "",
        )
        return Sighting(found, posted)


@dataclass(frozen=True)
class Medrxiv(Biorxiv):
    name: str = "medrxiv"
    server: str = field(default="medrxiv", init=False)


def _collection(body: bytes) -> tuple[int, list[Any]]:
    """How many papers there are in all, and the rows of this page."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise SourceError(f"the answer is not JSON; it begins with {opening(body)}") from None
    rows = answer.get("collection") if isinstance(answer, Mapping) else None
    messages = answer.get("messages") if isinstance(answer, Mapping) else None
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(rows, list) or not isinstance(first, Mapping):
        raise SourceError(f"the answer is not a list of papers; it begins with {opening(body)}")
    status = text(first, "status")
    if status != "ok" and not status.startswith("no posts found"):
        raise SourceError(f"it says {status[:200]!r}")
    return _number(first.get("total")), rows


def _number(value: object) -> int:
    """A count, whether it comes as a number or as a text; 0 for anything else."""
    digits = str(value) if isinstance(value, int | str) else ""
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 0


def _day(value: object) -> date | None:
    """A date whose month and day may lack a leading zero."""
    try:
        year, month, day = (int(part) for part in str(value).split("-"))
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None
