"""Tell a watchdog how each run goes, so that a run that does not come is noticed: https://healthchecks.io/docs/http_api/"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from digest import __version__
from digest.errors import Busy
from digest.settings import web_address

log = logging.getLogger("digest")

_SECONDS = 10.0
_RETRIES = 2  # of connections that cannot be made


@dataclass(frozen=True, slots=True)
class Notify:
    """The `[notify]` table. `ping` is asked for after a good run; with /start and /fail behind it otherwise."""

    ping: str = field(default="", repr=False, metadata={"read": web_address})  # whoever knows it can say all is well


@contextmanager
def pinging(settings: Notify) -> Iterator[Callable[[], None]]:
    """Ping success or failure when the block ends; what it yields pings its start.

    A block that ends with Busy pings nothing: the run in progress speaks for itself. GET, since not every watchdog
    takes anything else. A ping that does not get through is a warning in the log and changes nothing.
    """
    if not settings.ping:
        yield lambda: None
        return
    try:
        yield lambda: _ping(settings.ping, "/start")
    except Busy:
        raise
    except BaseException:
        _ping(settings.ping, "/fail")
        raise
    _ping(settings.ping, "")


def _ping(address: str, what: str) -> None:
    import httpx

    url = httpx.URL(address)
    url = url.copy_with(path=url.path.rstrip("/") + what) if what else url
    agent = {"User-Agent": f"paper-digest/{__version__}"}
    transport = httpx.HTTPTransport(retries=_RETRIES)
    try:
        with httpx.Client(headers=agent, timeout=_SECONDS, transport=transport, follow_redirects=True) as client:
            status = client.get(url).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        log.warning("no ping", {"host": url.host, "why": str(problem) or type(problem).__name__})
        return
    if status >= 400:
        log.warning("no ping", {"host": url.host, "why": f"it answered {status}"})
