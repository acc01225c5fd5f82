"""Look up papers by their arXiv identifiers, for topics that like papers which no source ever listed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from digest.sources import Request, Source
from digest.sources.arxiv import API_URL, Arxiv, lookup_request
from digest.sources.file import File
from digest.sources.history import History

_BATCH = 50  # identifiers in one request
_MAX_IDENTIFIERS = 500  # in one run; the next one asks for the others


@dataclass(frozen=True)
class Lookup:
    """Asks the API at `url` for papers by their `identifiers`. Implements `Source`."""

    url: str
    identifiers: tuple[str, ...]
    pause: float
    name: str = "arxiv lookup"
    weight: float = 1.0

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """One request for every fifty papers."""
        starts = range(0, len(self.identifiers), _BATCH)
        return tuple(lookup_request(self.url, self.identifiers[start : start + _BATCH]) for start in starts)


def plan_lookup(identifiers: Sequence[str], sources: Sequence[Source]) -> Lookup | None:
    """Return what asks for these papers; None if there is nothing to ask.

    It asks the API of the configuration's arXiv source, so that no mirror is passed over, or else arXiv's own. Where
    all sources are files or histories, there may be no network.
    """
    if all(isinstance(source, File | History) for source in sources):
        return None
    arxiv = next((source for source in sources if isinstance(source, Arxiv)), None)
    url = arxiv.search_url if arxiv else API_URL
    return Lookup(url, tuple(identifiers[:_MAX_IDENTIFIERS]), Arxiv.pause) if url and identifiers else None
