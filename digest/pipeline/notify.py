"""Ping a monitoring service at the start and end of each run, so that it can report a run that fails or is missing.

See https://healthchecks.io/docs/http_api/.
"""

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

_SECONDS = 5.0  # in all, with name lookup and redirects: mail waits no longer for a monitoring service
_RETRIES = 2  # when the connection fails


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
    """Ping in a thread, since no timeout of a library covers all that can hang."""
    import httpx

    url = httpx.URL(address)
    url = url.copy_with(path=url.path.rstrip("/") + what) if what else url
    results: list[str] = []
    thread = Thread(target=lambda: results.append(_send(url)), daemon=True)
    thread.start()
    thread.join(_SECONDS)
    if why := results[0] if results else f"the server did not answer within {_SECONDS:g} seconds":
        log.warning("ping failed", {"host": url.host, "why": why})


def _send(url: "httpx.URL") -> str:
    """Send a ping; return why it failed, or ""."""
    import httpx

    agent = {"User-Agent": f"papers-by-mail/{__version__}"}
    transport = httpx.HTTPTransport(retries=_RETRIES)
    try:
        with httpx.Client(headers=agent, timeout=2 * _SECONDS, transport=transport, follow_redirects=True) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return str(error) or type(error).__name__
    return f"the server returned {status}" if status >= 400 else ""
