"""Fetch all sources of a run.

Different sources are fetched side by side. For each of them:

1. The source names its requests (`Source.requests`), which are sent one after another, through `web`.
2. A source with a `pause` waits its turn: one request at a time and `pause` seconds between them, over all such sources
   and all processes that share a database (`rate_limit`).
3. If an earlier run cached the response, send its validators (RFC 9110, 13.1). On "304 Not Modified" the cached body
   is parsed again, so an unchanged list gives the same papers as before rather than none.
4. Retry a temporary failure: a timeout, a lost connection, a busy server, a page that is empty by mistake. Wait as long
   as the server asks for, else 1, 2 and 4 seconds, up to doubled at random. While no server at all could be reached,
   this machine is probably offline: then there is one retry.
5. Parse the body (`Request.parse`) in a process with limits (`sandbox`), and keep it for the next run if it came with
   validators.
6. Send the request that the page names as the next one, if any, before the others.

A request that fails is reported in the `Fetched` of its source, and nothing else stops, whatever the reason is.
"""

import logging
import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, TextIO
from urllib.parse import unquote, urlencode, urlsplit

import tenacity

from digest import __version__
from digest.errors import SourceError, TemporaryError, Unreachable
from digest.files import read_file
from digest.logs import escape
from digest.sources import Batch, CachedResponse, Fetched, Page, PreviousRuns, Request, Source
from digest.sources.rate_limit import RateLimit
from digest.sources.sandbox import Sandbox
from digest.sources.web import Answer, Web, is_sendable

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("digest")

_ATTEMPTS = 4  # per request
_ATTEMPTS_OFFLINE = 2
_MAX_WAIT = 60.0  # seconds; if a server asks for more, the next run tries again
_MAX_FILE_BYTES = 2**28  # a local file is the user's own
_TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
# Per source and run, for a server whose pages never end. Two weeks of all of arXiv are 20,000 papers in 50 MB.
_MAX_REQUESTS = 200
_MAX_PAPERS = 50_000
_MAX_PAGES = 64 * 2**20  # bytes, as pickles
_MAX_SKIPPED = 1_000  # messages
_MAX_CACHED = 16 * 2**20  # bytes, compressed

_SANDBOX = Sandbox()


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
    transport   used instead of the network
    sleep       takes seconds
    max_bytes   limit for a response; the largest feed known has 5 MB
    deadline    limit for a source with all its requests, in seconds
    screen      where to show what is waited for, if it is a terminal
    """

    def __init__(
        self,
        contact: str,
        transport: "httpx.BaseTransport | None" = None,
        sleep: Callable[[float], None] = time.sleep,
        max_bytes: int = 8 * 2**20,
        deadline: float = 300.0,
        screen: TextIO | None = None,
    ) -> None:
        self._transport = transport
        self._screen = screen
        self._agent = f"papers-by-mail/{__version__} (mailto:{contact})"
        self._sleep = sleep
        self._max_bytes = max_bytes
        self._deadline = deadline

    def fetch(self, sources: Sequence[Source], now: datetime, memory: FetchMemory = _NO_MEMORY) -> Iterator[Fetched]:
        """Fetch all sources as of `now`, and yield the results in the order of `sources`."""
        rate_limit, online = RateLimit(memory.rate_limit_file, self._sleep), Event()
        line = _StatusLine(self._screen, [source.name for source in sources])
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(max_workers=max(1, min(8, len(sources))))
            fetches = [
                _SourceFetch(source, memory, self._open_web(stack), rate_limit, self._sleep, online, line)
                for source in sources
            ]
            # After the connections are no longer used, except after Ctrl-C, which does not wait for a slow server.
            stack.callback(pool.shutdown, wait=False, cancel_futures=True)
            for fetched in pool.map(lambda fetch: fetch.run(now), fetches):
                line.remove(fetched.source)  # the caller may print or log
                yield fetched
                line.resume()

    def _open_web(self, stack: ExitStack) -> Web:
        return stack.enter_context(closing(Web(self._agent, self._deadline, self._max_bytes, self._transport)))


class _StatusLine:
    """Shows on one line of a terminal what the first source is waiting for, and which others are being read.

    With -v there is none: the log says more.
    """

    def __init__(self, screen: TextIO | None, names: Sequence[str]) -> None:
        is_wanted = screen is not None and screen.isatty() and not log.isEnabledFor(logging.DEBUG)
        self._screen = screen if is_wanted else None
        self._doing = dict.fromkeys(names, "")
        self._lock = Lock()
        self._hidden = False

    def show(self, name: str, doing: str) -> None:
        """Show what the source `name` is doing from now on."""
        with self._lock:
            if name in self._doing:
                self._doing[name] = doing
                self._draw()

    def remove(self, name: str) -> None:
        """Hide the line until `resume`; the source `name` is done."""
        with self._lock:
            self._doing.pop(name, None)
            self._hidden = True
            self._draw()

    def resume(self) -> None:
        with self._lock:
            self._hidden = False
            self._draw()

    def _draw(self) -> None:
        if self._screen is not None:
            self._screen.write("\r\x1b[K" + ("" if self._hidden else self._text()))
            self._screen.flush()

    def _text(self) -> str:
        names = list(self._doing)
        if not names:
            return ""
        others = f"; also {', '.join(names[1:])}" if names[1:] else ""
        return escape(f"{names[0]}: {self._doing[names[0]] or 'waiting'}{others}")[:78]


@dataclass(slots=True)
class _SourceFetch:
    """One source in one run. `online` is set as soon as any server could be reached."""

    source: Source
    memory: FetchMemory
    web: Web
    rate_limit: RateLimit
    sleep: Callable[[float], None]
    online: Event
    line: _StatusLine
    pages: list[tuple[Request, Page]] = field(init=False, default_factory=list)
    errors: list[str] = field(init=False, default_factory=list)
    to_cache: list[CachedResponse] = field(init=False, default_factory=list)
    unreachable: set[str] = field(init=False, default_factory=set)  # hosts
    size: int = field(init=False, default=0)  # of the pages
    all_unreachable: bool = field(init=False, default=True)
    doing: str = field(init=False, default="")

    def run(self, now: datetime) -> Fetched:
        previous = self.memory.previous.get(self.source.name, PreviousRuns())
        try:
            self._fetch_pages(deque(self.source.requests(now, previous.last_complete)))
        except Exception:  # noqa: BLE001 -- logged there
            self._report_bug("")
        skipped = [message for _, page in self.pages for message in page.skipped]
        if len(skipped) > _MAX_SKIPPED:
            skipped[_MAX_SKIPPED:] = [f"and {len(skipped) - _MAX_SKIPPED:,} more"]
        return Fetched(
            self.source.name,
            sightings=tuple(sighting for _, page in self.pages for sighting in page.sightings),
            skipped=tuple(skipped),
            errors=tuple(self.errors),
            read=len(self.pages),
            batches=tuple(Batch(request.name, page.sightings) for request, page in self.pages if request.due),
            previous=previous,
            responses=tuple(self.to_cache),
            unreachable=bool(self.errors) and self.all_unreachable and not self.pages,
        )

    def _fetch_pages(self, requests: deque[Request]) -> None:
        total = len(requests)
        while requests and not self._is_enough(requests[0]):
            request = requests.popleft()
            number = total - len(requests)
            self._show(request.name + (f" ({number} of {total})" if total > 1 else ""))
            try:
                page = self._fetch_page(request)
            except SourceError as problem:
                self.errors.append(f"{request.name}: {problem}")
                if isinstance(problem, Unreachable):
                    self.unreachable.add(urlsplit(request.url).netloc)
                else:
                    self.all_unreachable = False
            except Exception:  # noqa: BLE001 -- logged there
                self._report_bug(f"{request.name}: ")
            else:
                self.pages.append((request, page))
                if page.next:
                    requests.appendleft(page.next)
                    total += 1

    def _is_enough(self, request: Request) -> bool:
        """Whether the next request is not sent because the source has given too much."""
        if len(self.pages) + len(self.errors) >= _MAX_REQUESTS:
            limit = f"{_MAX_REQUESTS} requests"
        elif sum(len(page.sightings) for _, page in self.pages) > _MAX_PAPERS:
            limit = f"{_MAX_PAPERS:,} papers"
        elif self.size > _MAX_PAGES:
            limit = f"{_MAX_PAGES // 2**20} MB"
        else:
            return False
        self.errors.append(f"{request.name}: not requested: the limit is {limit} per run")
        return True

    def _report_bug(self, where: str) -> None:
        """Make an unexpected exception an error of this source; -v shows where it comes from."""
        log.debug("traceback", {"source": self.source.name}, exc_info=True)
        self.all_unreachable = False
        self.errors.append(f"{where}unexpected error; -v shows the traceback")

    def _show(self, doing: str) -> None:
        self.doing = doing
        self.line.show(self.source.name, doing)

    def _show_wait(self, wait: str) -> None:
        self.line.show(self.source.name, f"{self.doing} · waiting {wait}")

    def _fetch_page(self, request: Request) -> Page:
        """Send a request, and retry temporary failures. Raises SourceError."""
        parts = urlsplit(request.url)
        if parts.scheme == "file":
            return request.parse(_read_file(request.url))
        if parts.netloc in self.unreachable:
            raise Unreachable("not requested: the server cannot be reached")
        if not self.web.seconds_left:
            raise SourceError("not requested: the source took too long")
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TemporaryError),
            stop=self._is_last_attempt,
            wait=_retry_wait,
            before_sleep=self._report_retry,
            sleep=self.sleep,
            reraise=True,
        )
        page: Page = retrying(self._attempt, request)
        return page

    def _is_last_attempt(self, state: tenacity.RetryCallState) -> bool:
        is_offline = isinstance(_problem(state), Unreachable) and not self.online.is_set()
        attempts = _ATTEMPTS_OFFLINE if is_offline else _ATTEMPTS
        return state.attempt_number >= attempts or state.upcoming_sleep >= self.web.seconds_left

    def _report_retry(self, state: tenacity.RetryCallState) -> None:
        problem = _problem(state)
        asked = isinstance(problem, TemporaryError) and problem.wait is not None
        seconds = state.upcoming_sleep
        log.debug("retry", {"source": self.source.name, "request": self.doing, "wait": f"{seconds:.1f}s",
                            "asked": asked, "why": str(problem)})  # fmt: skip
        self._show_wait(f"{seconds:.0f} s" + (", as the server asked" if asked else f": {problem}"))

    def _attempt(self, request: Request) -> Page:
        """Send a request once and parse the response; keep it for the next run only if it could be parsed."""
        if self.source.pause:
            self._show_wait(f"for its turn: one request every {self.source.pause:g} s")
        began = time.monotonic()
        with self.rate_limit.wait_turn(self.source.pause):
            waited = time.monotonic() - began
            if waited > 0.05:
                why = f"one request every {self.source.pause:g} s"
                log.debug("waited", {"source": self.source.name, "seconds": round(waited, 1), "why": why})
            self._show(self.doing)
            answer = self._send(request)
        if answer.status in request.not_yet_statuses:
            return Page(())
        _raise_for_status(answer)
        page, size = _SANDBOX.parse(request.parse, answer.body, self.web.seconds_left)
        self.size += size
        self._cache(_url(request), answer)
        return page

    def _send(self, request: Request) -> Answer:
        """Return the answer; for "304 Not Modified" that of the cached response, with status 200."""
        began, answer = time.monotonic(), None
        cached = self.memory.responses.get(_url(request))
        body = _unpack(cached)
        kept = {"etag": cached.etag, "last-modified": cached.modified} if cached and body is not None else {}
        kept = {name: value for name, value in kept.items() if is_sendable(value)}
        names = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
        try:
            validators = {names[name]: value for name, value in kept.items()}
            answer = self.web.get(_url(request), validators=validators, secrets=request.headers)
        finally:
            if answer or self.web.received:
                self.online.set()
            log.debug("request", {"source": self.source.name, "request": self.doing,
                                  "status": answer.status if answer else "none", "bytes": self.web.received,
                                  "seconds": round(time.monotonic() - began, 2)})  # fmt: skip
        return Answer(200, kept, body) if answer.status == 304 and kept and body is not None else answer

    def _cache(self, url: str, answer: Answer) -> None:
        """Keep a response that came with validators for the next run."""
        etag, modified = answer.headers.get("etag", ""), answer.headers.get("last-modified", "")
        if etag or modified:
            response = CachedResponse(url, etag, modified, zlib.compress(answer.body, 1))
            if sum(len(r.packed) for r in [*self.to_cache, response]) <= _MAX_CACHED:
                self.to_cache.append(response)


def _url(request: Request) -> str:
    """The address of a request with its parameters; also the key of its cached response."""
    return (
        f"{request.url}{'&' if '?' in request.url else '?'}{urlencode(request.params)}"
        if request.params
        else request.url
    )


def _unpack(cached: CachedResponse | None) -> bytes | None:
    """Return the body of a cached response, None if there is none or it is damaged."""
    try:
        return zlib.decompress(cached.packed) if cached else None
    except zlib.error:
        return None


def _read_file(url: str) -> bytes:
    path = Path(unquote(urlsplit(url).path))
    try:
        return read_file(path, _MAX_FILE_BYTES)
    except OSError as problem:
        raise SourceError(f"the file cannot be read: {problem.strerror}") from None


def _raise_for_status(answer: Answer) -> None:
    """Raise TemporaryError for a status that is worth a retry, SourceError for any other but 200."""
    if answer.status == 200:
        return
    message = f"the server returned {answer.phrase}"
    if answer.status not in _TEMPORARY_STATUSES:
        raise SourceError(message)
    wait = _requested_wait(answer)
    if wait is not None and wait > _MAX_WAIT:
        raise SourceError(f"{message} and asks to wait {wait:.0f} seconds")
    raise TemporaryError(message, wait)


def _requested_wait(answer: Answer) -> float | None:
    """Return the seconds in `Retry-After` (RFC 9110, 10.2.3: number or date) or Hugging Face's `RateLimit` (`t=`)."""
    retry_after = answer.headers.get("retry-after", "")
    if retry_after:
        return _seconds(retry_after) if retry_after.isdigit() else _seconds_until(retry_after, answer.headers)
    if answer.status == 429:
        for part in answer.headers.get("ratelimit", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == "t" and value.isdigit():
                return _seconds(value)
    return None


def _seconds(digits: str) -> float:
    return float(digits[:9]) if len(digits) < 10 else 1e9


def _seconds_until(moment: str, headers: Mapping[str, str]) -> float | None:
    """Return the seconds from the answer's own date to `moment`."""
    try:
        now = parsedate_to_datetime(headers.get("date", moment))
        return max(0.0, (parsedate_to_datetime(moment) - now).total_seconds())
    except (TypeError, ValueError, OverflowError, IndexError):
        return None


def _problem(state: tenacity.RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _retry_wait(state: tenacity.RetryCallState) -> float:
    """Return the seconds to wait before a retry, with jitter so that many clients do not come back at once."""
    problem = _problem(state)
    if isinstance(problem, TemporaryError) and problem.wait is not None:
        return problem.wait + random.uniform(0.1, 0.5)
    return 2.0 ** (state.attempt_number - 1) * random.uniform(1.0, 2.0)
