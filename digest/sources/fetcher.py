"""Fetch all sources of a run. The only module of this package that does network I/O.

Different sources are fetched side by side. For each of them:

1. The source names its requests (`Source.requests`), which are sent one after another.
2. A source with a `pause` waits its turn: one request at a time and `pause` seconds between them, over all such sources
   and all processes that share a database (`rate_limit`).
3. If an earlier run cached the response, send its validators (RFC 9110, 13.1). On "304 Not Modified" the cached body
   is parsed again, so an unchanged list gives the same papers as before rather than none.
4. Retry a temporary failure: a timeout, a lost connection, a busy server, a page that is empty by mistake. Wait as long
   as the server asks for, else 1, 2 and 4 seconds, up to doubled at random.
5. Parse the body (`Request.parse`), and keep it for the next run if it came with validators.
6. Send the request that the page names as the next one, if any, before the others.

A request that fails is reported in the `Fetched` of its source, and nothing else stops.
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
from digest.files import read_file
from digest.sources import Batch, CachedResponse, Fetched, Page, PreviousRuns, Request, Source
from digest.sources.rate_limit import RateLimit

_ATTEMPTS = 4  # per request
_MAX_WAIT = 60.0  # seconds; if a server asks for more, the next run tries again
_MAX_REQUESTS = 200  # per source and run, for a server whose pages never end
_MAX_FILE_BYTES = 2**28  # a local file is the user's own
_TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class FetchMemory:
    """What earlier runs left.

    previous            how each source did, by name
    responses           cached responses, by URL
    rate_limit_file     see `RateLimit`
    """

    previous: Mapping[str, PreviousRuns] = field(default_factory=dict)
    responses: Mapping[str, CachedResponse] = field(default_factory=dict)
    rate_limit_file: Path | None = None


_NO_MEMORY = FetchMemory()


class Fetcher:
    """Fetches sources over HTTP.

    contact     an email address for the User-Agent
    client      used instead of an own client
    sleep       takes seconds
    max_bytes   limit for a response; the largest feed known has 5 MB
    deadline    limit for a source with all its requests, in seconds, for a server that sends a byte now and then
    screen      where to show the sources that are being read, if it is a terminal
    """

    def __init__(
        self,
        contact: str,
        client: httpx.Client | None = None,
        sleep: Callable[[float], None] = time.sleep,
        max_bytes: int = 16 * 2**20,
        deadline: float = 300.0,
        screen: TextIO | None = None,
    ) -> None:
        self._client = client
        self._screen = screen if screen is not None and screen.isatty() else None
        self._agent = f"papers-by-mail/{__version__} (mailto:{contact})"
        self._sleep = sleep
        self._max_bytes = max_bytes
        self._deadline = deadline

    def fetch(self, sources: Sequence[Source], now: datetime, memory: FetchMemory = _NO_MEMORY) -> Iterator[Fetched]:
        """Fetch all sources as of `now`, and yield the results in the order of `sources`."""
        rate_limit = RateLimit(memory.rate_limit_file, self._sleep)
        with ExitStack() as stack:
            client = self._client or stack.enter_context(self._own_client())
            pool = ThreadPoolExecutor(max_workers=max(1, min(8, len(sources))))
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)  # Ctrl-C does not wait for a slow server
            fetches = [
                _SourceFetch(source, memory, client, rate_limit, self._sleep, self._max_bytes, self._deadline)
                for source in sources
            ]
            waiting = [source.name for source in sources]
            self._show(waiting)
            for fetched in pool.map(lambda fetch: fetch.run(now), fetches):
                waiting.remove(fetched.source)
                self._show([])  # the caller may print or log
                yield fetched
                self._show(waiting)

    def _show(self, waiting: Sequence[str]) -> None:
        """Show the names of the sources that are still being read, on one line."""
        if self._screen is not None:
            self._screen.write("\r\x1b[K" + (f"Reading {', '.join(waiting)} …"[:78] if waiting else ""))
            self._screen.flush()

    def _own_client(self) -> httpx.Client:
        return httpx.Client(
            headers={"User-Agent": self._agent}, timeout=_TIMEOUT, follow_redirects=True, max_redirects=5
        )


@dataclass(slots=True)
class _SourceFetch:
    """One source in one run. Its deadline is set here."""

    source: Source
    memory: FetchMemory
    client: httpx.Client
    rate_limit: RateLimit
    sleep: Callable[[float], None]
    max_bytes: int
    deadline: float
    end: float = field(init=False)
    to_cache: list[CachedResponse] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.end = time.monotonic() + self.deadline

    def _is_late(self) -> bool:
        return time.monotonic() > self.end

    def run(self, now: datetime) -> Fetched:
        previous = self.memory.previous.get(self.source.name, PreviousRuns())
        pages: list[tuple[Request, Page]] = []
        errors: list[str] = []
        requests = deque(self.source.requests(now, previous.last_complete))
        while requests and len(pages) + len(errors) < _MAX_REQUESTS:
            request = requests.popleft()
            try:
                if self._is_late():
                    raise SourceError(f"not requested: the source took longer than {self.deadline:.0f} seconds")
                page = self._fetch_page(request)
            except SourceError as problem:
                errors.append(f"{request.label}: {problem}")
                continue
            pages.append((request, page))
            if page.next:
                requests.appendleft(page.next)
        if requests:
            errors.append(f"{requests[0].label}: not requested: the limit is {_MAX_REQUESTS} requests per run")
        return Fetched(
            self.source.name,
            sightings=tuple(sighting for _, page in pages for sighting in page.sightings),
            skipped=tuple(message for _, page in pages for message in page.skipped),
            errors=tuple(errors),
            read=len(pages),
            batches=tuple(Batch(request.label, page.sightings) for request, page in pages if request.due),
            previous=previous,
            responses=tuple(self.to_cache),
        )

    def _fetch_page(self, request: Request) -> Page:
        """Send a request, and retry temporary failures. Raises SourceError."""
        if urlsplit(request.url).scheme == "file":
            return request.parse(_read_file(request.url))
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TemporaryError),
            stop=self._is_last_attempt,
            wait=_retry_wait,
            sleep=self.sleep,
            reraise=True,
        )
        page: Page = retrying(self._attempt, request)
        return page

    def _is_last_attempt(self, state: tenacity.RetryCallState) -> bool:
        return state.attempt_number >= _ATTEMPTS or self._is_late()

    def _attempt(self, request: Request) -> Page:
        """Send a request once and parse the response; keep it for the next run only if it could be parsed."""
        with self.rate_limit.wait_turn(self.source.pause):
            response = self._send(request)
        if response is None:
            return Page(())
        page = request.parse(zlib.decompress(response.packed))
        if response.etag or response.modified:
            self.to_cache.append(response)
        return page

    def _send(self, request: Request) -> CachedResponse | None:
        """Return the new response, the cached one if it is still valid, or None for one of `not_yet_statuses`."""
        try:
            url = httpx.URL(request.url, params=dict(request.params)) if request.params else httpx.URL(request.url)
            cached = self.memory.responses.get(str(url))
            headers = {**request.headers, **_conditional_headers(cached)}
            with self.client.stream("GET", url, headers=headers) as response:
                if response.status_code in request.not_yet_statuses:
                    return None
                if response.status_code == 304 and cached:
                    return cached
                _raise_for_status(response)
                etag, modified = (response.headers.get(key, "")[:500] for key in ("ETag", "Last-Modified"))
                return CachedResponse(str(url), etag, modified, self._read_body(response))
        except (httpx.TooManyRedirects, httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
            raise SourceError(f"invalid address or redirect: {problem}") from None
        except httpx.TimeoutException:
            raise TemporaryError("timed out") from None
        except httpx.DecodingError as problem:
            raise SourceError(f"the response cannot be decoded: {problem}") from None
        except httpx.HTTPError as problem:
            raise TemporaryError(f"the connection failed: {problem or type(problem).__name__}") from None

    def _read_body(self, response: httpx.Response) -> bytes:
        """Return the body, compressed. Raises SourceError when it exceeds the size limit or the deadline."""
        compressor = zlib.compressobj(1)
        compressed, size = bytearray(), 0
        for chunk in response.iter_bytes():
            size += len(chunk)
            if size > self.max_bytes:
                raise SourceError(f"the response is larger than {self.max_bytes // 2**20} MB")
            if self._is_late():
                raise SourceError(f"the response was not complete within {self.deadline:.0f} seconds")
            compressed += compressor.compress(chunk)
        return bytes(compressed + compressor.flush())


def _conditional_headers(cached: CachedResponse | None) -> dict[str, str]:
    headers = {"If-None-Match": cached.etag, "If-Modified-Since": cached.modified} if cached else {}
    return {name: value for name, value in headers.items() if value}


def _read_file(url: str) -> bytes:
    path = Path(unquote(urlsplit(url).path))
    try:
        return read_file(path, _MAX_FILE_BYTES)
    except OSError as problem:
        raise SourceError(f"the file cannot be read: {problem.strerror}") from None


def _raise_for_status(response: httpx.Response) -> None:
    """Raise TemporaryError for a status that is worth a retry, SourceError for any other but 200."""
    status = response.status_code
    if status == 200:
        return
    message = f"the server returned {status} {response.reason_phrase}".rstrip()
    if status not in _TEMPORARY_STATUSES:
        raise SourceError(message)
    wait = _requested_wait(response)
    if wait is not None and wait > _MAX_WAIT:
        raise SourceError(f"{message} and asks to wait {wait:.0f} seconds")
    raise TemporaryError(message, wait)


def _requested_wait(response: httpx.Response) -> float | None:
    """Return the seconds in `Retry-After` (RFC 9110, 10.2.3: number or date) or Hugging Face's `RateLimit` (`t=`)."""
    retry_after = response.headers.get("Retry-After", "").strip()
    if retry_after.isdigit():
        return float(retry_after)
    if retry_after:
        try:
            until = parsedate_to_datetime(retry_after)
            now = parsedate_to_datetime(response.headers.get("Date", retry_after))
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
    """Return the seconds to wait before a retry, with jitter so that many clients do not come back at once."""
    problem = state.outcome.exception() if state.outcome else None
    if isinstance(problem, TemporaryError) and problem.wait is not None:
        return problem.wait + random.uniform(0.1, 0.5)
    return 2.0 ** (state.attempt_number - 1) * random.uniform(1.0, 2.0)
