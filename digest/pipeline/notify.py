"""Tell a watchdog how each run goes, so that a run that does not come is noticed: https://healthchecks.io/docs/http_api/"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from digest import __version__
from digest.errors import AlreadyRunning

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("digest")

_SECONDS = 5.0  # in all, names looked up and redirects included: the mail waits no longer for a watchdog
_RETRIES = 2  # of connections that cannot be made


@contextmanager
def pinging(url: str) -> Iterator[Callable[[], None]]:
    """Ping success or failure when the block ends; the function that it yields pings the start.

    Without a `url` nothing is pinged, nor when the block raises AlreadyRunning: the run in progress does so itself.
    Pings are GET requests, the only ones that every monitoring service accepts. A failed ping is logged as a warning.
    """
    if not url:
        yield lambda: None
        return
    try:
        yield lambda: _ping(url, "/start")
    except AlreadyRunning:
        raise
    except BaseException:
        _ping(url, "/fail")
        raise
    _ping(url, "")


def _ping(address: str, what: str) -> None:
    """Ask, in a thread of its own, since no timeout of a library covers all that can hang."""
    import httpx

    url = httpx.URL(address)
    url = url.copy_with(path=url.path.rstrip("/") + what) if what else url
    said: list[str] = []
    asking = Thread(target=lambda: said.append(_ask(url)), daemon=True)
    asking.start()
    asking.join(_SECONDS)
    if why := said[0] if said else f"it did not answer within {_SECONDS:g} seconds":
        log.warning("no ping", {"host": url.host, "why": why})


def _ask(url: "httpx.URL") -> str:
    """What keeps a ping from getting through; '' for one that does."""
    import httpx

    agent = {"User-Agent": f"paper-digest/{__version__}"}
    transport = httpx.HTTPTransport(retries=_RETRIES)
    try:
        with httpx.Client(headers=agent, timeout=2 * _SECONDS, transport=transport, follow_redirects=True) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        return str(problem) or type(problem).__name__
    return f"it answered {status}" if status >= 400 else ""
