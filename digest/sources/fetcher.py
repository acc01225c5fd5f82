"""Ask the sources. The only module that speaks HTTP, so paging, retries, politeness and limits are written once, here.

A source is asked request by request; different sources are asked side by side. Whatever goes wrong with one request is
told in its source's `Fetched` and stops nothing else. A body that a service need not send again is read from the last
time it did, so "nothing has changed" comes out as the same papers and never as none.
"""

import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote, urlsplit

import httpx
import tenacity

from digest import __version__
from digest.errors import SourceError, TemporaryError
from digest.sources import Batch, CachedResponse, Fetched, Page, PreviousRuns, Request, Source
from digest.sources.rate_limit import RateLimit

_ATTEMPTS = 4
_LONGEST_WAIT = 60.0  # seconds; a service that asks for more is left alone until the next run
_MOST_PAGES = 200  # in one source and run
_MOST_FILE = 2**30
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_TEMPORARY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class FetchMemory:
    """What earlier runs left: each source's `past`, the `answers` by address, and the file that spaces requests."""

    past: Mapping[str, PreviousRuns] = field(default_factory=dict)
    answers: Mapping[str, CachedResponse] = field(default_factory=dict)
    spacing: Path | None = None


_NO_MEMORY = FetchMemory()


class Fetcher:
    """Asks sources over `client`, or over one of its own that says who it is: program, version and `contact`.

    `sleep` takes seconds. `most` bounds a body in bytes (the largest feed has 5 MB), `deadline` the whole of a source
    in seconds. `screen` shows which sources it waits for, if it is a terminal.
    """

    def __init__(
        self,
        contact: str,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
        most: int = 16 * 2**20,
        deadline: float = 300.0,
        screen: TextIO | None = None,
    ) -> None:
        self._client = client
        self._screen = screen if screen is not None and screen.isatty() else None
        self._agent = f"paper-digest/{__version__} (mailto:{contact})"
        self._sleep = sleep
        self._most = most
        self._deadline = deadline

    def fetch(self, sources: Sequence[Source], now: datetime, memory: FetchMemory = _NO_MEMORY) -> Iterator[Fetched]:
        """What each source lists at the moment `now`, in the order of `sources`, asked side by side."""
        spacing = RateLimit(memory.spacing, self._sleep)
        with ExitStack() as stack:
            client = self._client or stack.enter_context(self._own_client())
            pool = ThreadPoolExecutor(max_workers=max(1, min(8, len(sources))))
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)  # Ctrl-C waits for no slow server
            visits = [
                _SourceFetch(source, memory, client, spacing, self._sleep, self._most, self._deadline)
                for source in sources
            ]
            waiting = [source.name for source in sources]
            self._show(waiting)
            for fetched in pool.map(lambda visit: visit.fetch(now), visits):
                waiting.remove(fetched.source)
                self._show([])  # the one who gets it may have something to say
                yield fetched
                self._show(waiting)

    def _show(self, waiting: Sequence[str]) -> None:
        """The names of the sources that are still being asked, on one line."""
        if self._screen is not None:
            self._screen.write("\r\x1b[K" + (f"Reading {', '.join(waiting)} …"[:78] if waiting else ""))
            self._screen.flush()

    def _own_client(self) -> httpx.Client:
        return httpx.Client(
            headers={"User-Agent": self._agent}, timeout=_TIMEOUT, follow_redirects=True, max_redirects=5
        )


class _SourceFetch:
    """One source in one run: every request of it, one after another, until its deadline."""

    def __init__(
        self,
        source: Source,
        memory: FetchMemory,
        client: httpx.Client,
        spacing: RateLimit,
        sleep: Callable[[float], None],
        most: int,
        deadline: float,
    ) -> None:
        self._source, self._past, self._known = source, memory.past.get(source.name, PreviousRuns()), memory.answers
        self._client, self._spacing, self._sleep = client, spacing, sleep
        self._most, self._deadline = most, deadline
        self._until = time.monotonic() + deadline
        self._answers: list[CachedResponse] = []

    def fetch(self, now: datetime) -> Fetched:
        pages: list[tuple[Request, Page]] = []
        errors: list[str] = []
        asks = deque(self._source.asks(now, self._past.whole))
        while asks and len(pages) + len(errors) < _MOST_PAGES:
            ask = asks.popleft()
            try:
                if time.monotonic() > self._until:
                    raise SourceError(f"not asked any more after {self._deadline:.0f} seconds")
                pages.append((ask, self._page(ask)))
            except SourceError as problem:
                errors.append(f"{ask.what}: {problem}")
            else:
                if following := pages[-1][1].next:
                    asks.appendleft(following)
        if asks:
            errors.append(f"{asks[0].what}: not asked any more after {_MOST_PAGES} requests")
        return Fetched(
            self._source.name,
            sightings=tuple(sighting for _, page in pages for sighting in page.sightings),
            skipped=tuple(sentence for _, page in pages for sentence in page.skipped),
            errors=tuple(errors),
            read=len(pages),
            batches=tuple(Batch(ask.what, page.sightings) for ask, page in pages if ask.due),
            past=self._past,
            answers=tuple(self._answers),
        )

    def _page(self, ask: Request) -> Page:
        """One answer, tried again while the failure is a passing one and there is time."""
        if urlsplit(ask.url).scheme == "file":
            return ask.read(_read_file(ask.url))
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TemporaryError),
            stop=self._enough,
            wait=_retry_wait,
            sleep=self._sleep,
            reraise=True,
        )
        page: Page = retrying(self._attempt, ask)
        return page

    def _enough(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= _ATTEMPTS or time.monotonic() > self._until

    def _attempt(self, ask: Request) -> Page:
        """Ask once and read the answer; what could be read is worth keeping."""
        with self._spacing.turn(self._source.pause):
            answer = self._answer(ask)
        if answer is None:
            return Page(())
        page = ask.read(zlib.decompress(answer.packed))
        if answer.etag or answer.modified:
            self._answers.append(answer)
        return page

    def _answer(self, ask: Request) -> CachedResponse | None:
        """A new answer, the known one if it still holds, or None for a status that means "nothing yet"."""
        try:
            url = httpx.URL(ask.url, params=dict(ask.params)) if ask.params else httpx.URL(ask.url)
            known = self._known.get(str(url))
            headers = {**ask.headers, **_conditional_headers(known)}
            with self._client.stream("GET", url, headers=headers) as response:
                if response.status_code in ask.closed:
                    return None
                if response.status_code == 304 and known:
                    return known
                _raise_for_status(response)
                etag, modified = (response.headers.get(key, "")[:500] for key in ("ETag", "Last-Modified"))
                return CachedResponse(str(url), etag, modified, self._bounded(response))
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
            raise SourceError(f"it sends us somewhere we will not go: {problem}") from None
        except httpx.TimeoutException:
            raise TemporaryError("no answer in time") from None
        except httpx.DecodingError as problem:
            raise SourceError(f"the answer cannot be decoded: {problem}") from None
        except httpx.HTTPError as problem:
            raise TemporaryError(f"the connection failed: {problem or type(problem).__name__}") from None

    def _bounded(self, response: httpx.Response) -> bytes:
        """The body, packed as it comes; given up when it grows past the limit or trickles past the deadline."""
        packer = zlib.compressobj(1)
        packed, size = bytearray(), 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self._most:
                raise SourceError(f"the answer is larger than {self._most // 2**20} MB")
            if time.monotonic() > self._until:
                raise SourceError(f"the answer was not complete within {self._deadline:.0f} seconds")
            packed += packer.compress(chunk)
        return bytes(packed + packer.flush())


def _conditional_headers(known: CachedResponse | None) -> dict[str, str]:
    """Headers that let the service say "304 Not Modified" (RFC 9110, 13.1)."""
    headers = {"If-None-Match": known.etag, "If-Modified-Since": known.modified} if known else {}
    return {name: value for name, value in headers.items() if value}


def _read_file(url: str) -> bytes:
    path = Path(unquote(urlsplit(url).path))
    try:
        if path.stat().st_size > _MOST_FILE:
            raise SourceError("the file is larger than a gigabyte")
        return path.read_bytes()
    except OSError as problem:
        raise SourceError(f"the file cannot be read: {problem.strerror}") from None


def _raise_for_status(response: httpx.Response) -> None:
    """Raises for everything but a success: passing for what is worth another try."""
    status = response.status_code
    if status == 200:
        return
    said = f"it answered {status} {response.reason_phrase}".rstrip()
    if status not in _TEMPORARY_STATUS:
        raise SourceError(said)
    wait = _requested_wait(response)
    if wait is not None and wait > _LONGEST_WAIT:
        raise SourceError(f"{said} and asks for {wait:.0f} seconds of patience")
    raise TemporaryError(said, wait)


def _requested_wait(response: httpx.Response) -> float | None:
    """Seconds from `Retry-After` (RFC 9110 10.2.3: a number or a date) or Hugging Face's `RateLimit` (`t=` seconds)."""
    said = response.headers.get("Retry-After", "").strip()
    if said.isdigit():
        return float(said)
    if said:
        try:
            until, now = parsedate_to_datetime(said), parsedate_to_datetime(response.headers.get("Date", said))
            return max(0.0, (until - now).total_seconds())
        except (TypeError, ValueError):
            return None
    if response.status_code == 429:
        for part in response.headers.get("RateLimit", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == "t" and value.isdigit():
                return float(value)
    return None


def _retry_wait(state: tenacity.RetryCallState) -> float:
    """What the service asked for; else 1, 2, 4 … seconds and up to as much again: clients must not march in step."""
    problem = state.outcome.exception() if state.outcome else None
    if isinstance(problem, TemporaryError) and problem.wait is not None:
        return problem.wait + random.uniform(0.1, 0.5)
    return 2.0 ** (state.attempt_number - 1) * random.uniform(1.0, 2.0)
