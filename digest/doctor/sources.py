"""Every source, asked as a run would ask it, side by side, with what earlier runs remember. Records nothing."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial

from digest.answers import Answers
from digest.config import Config
from digest.database import untouched
from digest.desk import memory
from digest.doctor import Check, Mark, Trouble
from digest.fetch import Fetcher, Memory
from digest.freshness import judged, late
from digest.history import History
from digest.journal import Journal
from digest.sources import Fetched
from digest.table import many


def examine(config: Config, now: datetime, fetcher: Fetcher, readable: bool) -> Iterator[Check]:
    """A check for each source; `readable` says whether the database can be asked what was listed before."""
    with ExitStack() as stack:
        remembered, judge = Memory(), _unjudged
        if readable:
            db = stack.enter_context(untouched(config.digest.database))
            remembered = memory(config, Journal(db), Answers(db), now.date())
            judge = partial(_judged, History(db), now)
        for fetched in fetcher.fetch(config.sources, now, remembered):
            yield told(judge(fetched))


def told(fetched: Fetched) -> Check:
    """How a source stands: whether it was read, and whether what it lists is fresh."""
    listed = _listed(fetched)
    count = len(fetched.skipped)
    if fetched.state == "failed":
        trouble = [_failed(fetched)]
    elif fetched.errors:
        said = f"read in part: {listed}; {fetched.errors[0]}{_more(len(fetched.errors))}"
        trouble = [Trouble(Mark.WARN, said, "nothing to do: the next run asks for it again")]
    elif sentences := late(fetched):
        said = f"{listed}; {sentences[0]}{_more(len(sentences))}"
        trouble = [Trouble(Mark.WARN, said, "nothing to do: the next run looks again")]
    elif count:
        said = f"{listed}; {count:,} {'entries' if count > 1 else 'entry'} left out: {fetched.skipped[0]}"
        trouble = [Trouble(Mark.WARN, said, "the rest is used; mend it if it is yours")]
    else:
        trouble = []
    return Check.of(f"source {fetched.source}", listed, trouble)


def _failed(fetched: Fetched) -> Trouble:
    since = f"; last read {fetched.past.read}" if fetched.past.failed and fetched.past.read else ""
    said = f"{fetched.errors[0]}{_more(len(fetched.errors))}{since}"
    mend = "check its url or path in the configuration, and the network; a later run catches up"
    return Trouble(Mark.FAIL, said, mend)


def _listed(fetched: Fetched) -> str:
    count = len(fetched.sightings)
    days = [day for sighting in fetched.sightings if (day := sighting.day or sighting.paper.published)]
    newest = f", the newest of {max(days)}" if days else ""
    return f"{many(count, 'paper')}{newest}" if count else "it answers, and lists no paper now"


def _more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def _judged(history: History, now: datetime, fetched: Fetched) -> Fetched:
    return judged(fetched, partial(history.listed, fetched.source, before=now.date()))


def _unjudged(fetched: Fetched) -> Fetched:
    """Without a history no paper was listed before: only a batch with nothing in it is late."""
    return judged(fetched, lambda _: False)
