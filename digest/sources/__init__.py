"""Where papers come from: the sources, the requests they make, and the fetcher that sends them.

A source is a frozen dataclass whose fields are its configuration. It does no I/O: `Source.requests` returns the
requests of a run, and each `Request` carries the function that parses its response into a `Page`. A page may hold the
next `Request`. Paging, retries and rate limits are written once, in `fetcher`; limits for what servers can do to us in
`web` (the response) and `sandbox` (what it takes to parse it).

Other packages use the records below and these modules:

    arxiv_categories    check the names of categories
    registry            the class of each source, by the `type` in the configuration
    fetcher             fetch all sources of a run
    history             the history of another digest, which no request reads
    library             read the export of a reference manager
    lookup              ask for papers by their identifiers
    freshness           check for batches that are late, and write the notices for readers
    web                 send a GET request to a server that may be hostile, slow or broken

To add a source, write its module, add it to `registry.SOURCE_TYPES`, and show its keys in config.example.toml.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

from digest.papers import Paper

__all__ = [
    "Batch", "CachedResponse", "Fetched", "Page", "PreviousRuns", "Request", "Sighting", "Source",
    "arxiv_categories", "fetcher", "freshness", "history", "library", "lookup", "registry", "web",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sighting:
    """A paper as a source lists it.

    `day` is the day of the list. A source whose lists have no day leaves it None; then the day on which the source
    first listed the paper counts. `votes` is None if the source has no votes.
    """

    paper: Paper
    day: date | None = None
    votes: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One parsed response. `skipped` holds a message for each entry that could not be parsed."""

    sightings: tuple[Sighting, ...]
    next: "Request | None" = None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP GET request, or a file: URL to read.

    parse               turns the body into a `Page`, or raises SourceError; must accept any bytes
    name                names the request in messages, like "category cs.LG"; without secrets
    not_yet_statuses    HTTP statuses that mean "nothing there yet" and count as an empty page
    due                 the response must list papers that this source has never listed before, else it is late
    """

    url: str
    parse: Callable[[bytes], Page]
    name: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold a token
    not_yet_statuses: frozenset[int] = frozenset()
    due: bool = False


class Source(Protocol):
    """The configuration of a source, and what it requests.

    `weight` scales the trending score of its papers. `pause` is the least time between two requests, in seconds.
    """

    @property
    def name(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def pause(self) -> float: ...

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """Return the requests of a run at `now`.

        `since` is when the source was last read completely, None if it never was. Both are aware of their time zone.
        """
        ...


@dataclass(frozen=True, slots=True)
class PreviousRuns:
    """How a source did in earlier runs.

    last_complete   when all of its requests last succeeded
    last_read       the day on which any of them last succeeded
    failed_runs     how many runs in a row have failed since
    """

    last_complete: datetime | None = None
    last_read: date | None = None
    failed_runs: int = 0


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A body, compressed with zlib, and its validators for a conditional request (RFC 9110, 13.1)."""

    url: str
    etag: str
    modified: str
    packed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the response to a request listed that was `due`."""

    name: str
    sightings: tuple[Sighting, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of fetching one source.

    skipped         a message for each entry that could not be parsed
    errors          a message for each request that failed
    read            how many requests succeeded
    batches         those that were due
    stale, empty    the names of late batches, see `freshness.check_freshness`
    responses       to be cached for the next run
    history         of a digest whose papers are to be copied, then with no sightings; `copied` is their number
    worst           the worst state of that digest's sources
    unreachable     all requests failed because there was no connection to a server
    """

    source: str
    sightings: tuple[Sighting, ...] = ()
    skipped: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    read: int = 0
    batches: tuple[Batch, ...] = ()
    stale: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    previous: PreviousRuns = PreviousRuns()
    responses: tuple[CachedResponse, ...] = ()
    history: Path | None = None
    copied: int = 0
    worst: str = ""
    unreachable: bool = False

    @property
    def papers(self) -> int:
        """How many papers were listed."""
        return len(self.sightings) + self.copied

    @property
    def readable(self) -> bool:
        """Whether there was anything to read, or nothing to request."""
        return bool(self.read) or not self.errors

    @property
    def state(self) -> str:
        """`failed` (all requests), `partial` (some), `stale` or `empty` (a batch is late), else `read`.

        Stored in the database. A source without requests on this day is `read`; only `read` counts as complete.
        """
        if self.worst:
            return self.worst
        if self.errors:
            return "partial" if self.read else "failed"
        return "stale" if self.stale else "empty" if self.empty else "read"
