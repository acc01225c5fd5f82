"""Tell a watchdog how each run goes, so that a run that does not come is noticed: https://healthchecks.io/docs/http_api/"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING

from digest import __version__
from digest.errors import AlreadyRunning
from digest.settings import web_address

if TYPE_CHECKING:
    import httpx

log = logging.getLogger("digest")

_SECONDS = 5.0  # in all, names looked up and redirects included: the mail waits no longer for a watchdog
_RETRIES = 2  # of connections that cannot be made


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The `[notify]` table. `ping` is asked for after a good run; with /start and /fail behind it otherwise."""

    ping: str = field(default="", repr=False, metadata={"read": web_address})  # whoever knows it can say all is well


@contextmanager
def pinging(settings: NotifySettings) -> Iterator[Callable[[], None]]:
    """Ping success or failure when the block ends; what it yields pings its start.

    A block that ends with Busy pings nothing: the run in progress speaks for itself. GET, since not every watchdog
    takes anything else. A ping that does not get through is a warning in the log and changes nothing.
    """
    if not settings.ping:
        yield lambda: None
        return
    try:
        yield lambda: _ping(settings.ping, "/start")
    except AlreadyRunning:
        raise
    except BaseException:
        _ping(settings.ping, "/fail")
        raise
    _ping(settings.ping, "")


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
