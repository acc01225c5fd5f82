"""Ping a monitoring service at the start and end of each run, so that it can report a run that fails or is missing.

See https://healthchecks.io/docs/http_api/.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from digest import __version__
from digest.errors import AlreadyRunning, SourceError, Unreachable

if TYPE_CHECKING:
    from digest.sources.web import Answer, Web

log = logging.getLogger("digest")

_SECONDS = 5.0  # in all, with name lookup and redirects: mail waits no longer for a monitoring service
_RETRIES = 2  # when there is no connection


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
    from digest.sources.web import Web  # takes 50 ms to import

    parts = urlsplit(address)
    url = urlunsplit(parts._replace(path=parts.path.rstrip("/") + what)) if what else address
    try:
        with closing(Web(f"papers-by-mail/{__version__}", _SECONDS, max_bytes=0)) as web:
            answer = _get(web, url)
    except SourceError as error:
        log.warning("ping failed", {"host": parts.hostname, "why": str(error)})
    else:
        if answer.status >= 400:
            log.warning("ping failed", {"host": parts.hostname, "why": f"the server returned {answer.phrase}"})


def _get(web: "Web", url: str) -> "Answer":
    for attempt in range(_RETRIES):
        try:
            return web.get(url, body=False)
        except Unreachable:
            time.sleep(0.5 * attempt)
    return web.get(url, body=False)
