"""What a source is: a record that says what to ask and how to read the answer, and touches nothing itself.

A source is a frozen dataclass whose fields are its configuration. `asks(now, since)` names the requests of a run; each
`Ask` carries the function that reads its answer into a `Page`; a page may name the next `Ask`. Paging, retries,
politeness and limits are written once, in `digest.fetch`.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from digest.errors import SourceError
from digest.papers import Paper


@dataclass(frozen=True, slots=True)
class Sighting:
    """A paper as a source lists it.

    `day` is the day of the list; None for a source without such days: then it is the day it first showed the paper.
    `votes` is None where the source has none.
    """

    paper: Paper
    day: date | None = None
    votes: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, read. `skipped` says of each entry that could not be read what is wrong with it."""

    sightings: tuple[Sighting, ...]
    next: "Request | None" = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One request: where, with which query, and how to read the body.

    `read` returns a `Page` or raises `SourceError`, whatever bytes it is given. `what` names the request in messages.
    `closed` are the statuses that mean "there is nothing yet" and no failure. `due` says that the answer must hold
    papers which this source has never listed before: one without is late, not quiet.
    """

    url: str
    read: Callable[[bytes], Page]
    what: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a token
    closed: frozenset[int] = frozenset()
    due: bool = False


class Source(Protocol):
    """`pause` is the least time in seconds between two requests; `weight` scales the trending score.

    `asks` gets the moment of the run and the moment the source was last read whole, None if it never was; both know
    their time zone.
    """

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def pause(self) -> float: ...
    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]: ...


@dataclass(frozen=True, slots=True)
class PreviousRuns:
    """How a source did before: when it was last read `whole`, on which day it was last `read` at all, and how many
    runs in a row have `failed` since.
    """

    whole: datetime | None = None
    read: date | None = None
    failed: int = 0


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A body as it came, packed, and what to show the service next time to be spared it (RFC 9110, 13.1)."""

    url: str
    etag: str
    modified: str
    packed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What one answer listed where something new was `due`."""

    what: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of asking one source: what it listed, what was skipped, and which requests failed and why.

    `read` counts the answers that could be read, `batches` are those that were due. `stale` and `empty` name the
    batches that were not there, see `digest.freshness`. `answers` are worth keeping for the next run.
    """

    source: str
    sightings: tuple[Sighting, ...] = ()
    skipped: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    read: int = 0
    batches: tuple[Batch, ...] = ()
    stale: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    past: PreviousRuns = PreviousRuns()
    answers: tuple[CachedResponse, ...] = ()

    @property
    def state(self) -> str:
        """`failed` (all requests), `partial` (some), `stale` or `empty` (a batch is late), else `read`.

        Nothing to ask for is no failure. Only what was `read` counts as whole.
        """
        if self.errors:
            return "partial" if self.read else "failed"
        return "stale" if self.stale else "empty" if self.empty else "read"


def json_rows(body: bytes) -> list[Any]:
    """The rows of a JSON array; raises SourceError with the beginning of whatever else it is."""
    try:
        rows = json.loads(body)
    except (ValueError, RecursionError):
        raise SourceError(f"the answer is not JSON; it begins with {opening(body)}") from None
    if not isinstance(rows, list):
        raise SourceError(f"the answer is not a list of papers; it begins with {opening(body)}")
    return rows


def opening(body: bytes) -> str:
    """The first characters of a body, for an error message."""
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    return repr(text[:60] + ("…" if len(text) > 60 else "")) if text else "nothing at all"


def text(row: Mapping[str, Any], *keys: str) -> str:
    """The first of `keys` that holds a string, '' where none does."""
    return next((row[key] for key in keys if isinstance(row.get(key), str) and row[key].strip()), "")


def texts(value: object) -> tuple[str, ...]:
    """The strings of a list, or the one string that stands where a list should."""
    given: Iterable[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(item for item in given if isinstance(item, str))


def day_of(value: object) -> date | None:
    """The date an ISO timestamp begins with; its time and zone are left alone. None for anything else."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def count_of(value: object) -> int | None:
    """A number of votes: a whole number from 0 on, however it is written; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)
