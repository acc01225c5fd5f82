"""What the last days' mails would have been under another configuration. Sends and marks nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlite_utils import Database

from digest.config import Config
from digest.papers.text.fit import format_table, snippet
from digest.pipeline.select import Selection
from digest.pipeline.similar import SimilarPapers
from digest.store.papers import Papers
from digest.store.search import SearchIndex
from digest.store.subscribers import Profile, Subscriber

_TITLE = 70


@dataclass(frozen=True, slots=True)
class DayComparison:
    """The titles that a day's mail would have had and had not, had and would not have had, and how many would stay."""

    day: date
    entering: Sequence[str]
    leaving: Sequence[str]
    staying: int


def backtest(db: Database, config: Config, reader: Subscriber, days: Sequence[date]) -> list[DayComparison]:
    """The mails of `days`, in their order, as `config` would have chosen them, beside those the reader was sent.

    What the reader was shown before counts; from the first day on, what the chosen mails would have shown counts.
    """
    history, archive = Papers(db), SearchIndex(db)
    likeness = SimilarPapers(history, archive)
    sent = archive.mails(reader.id)
    shown = frozenset(n for day, papers in sent.items() if day < days[0] for n in papers)
    found = []
    for day in days:
        chosen = _chosen(Selection(config, history, likeness, day), config, shown, reader.profile)
        shown |= frozenset(chosen)
        found.append(_compared(history, day, chosen, sent.get(day, [])))
    return found


def last_days(count: int, today: date) -> list[date]:
    """The last `count` days, today included."""
    return [today - timedelta(n) for n in range(count - 1, -1, -1)]


def _chosen(choice: Selection, config: Config, shown: frozenset[int], profile: Profile) -> list[int]:
    if choice.day.weekday() not in config.digest.days:
        return []
    return [r.trend.id for r in choice.lineup(shown, profile)[: choice.most(profile)]]


def _compared(history: Papers, day: date, chosen: Sequence[int], sent: Sequence[int]) -> DayComparison:
    papers = dict(history.papers({*chosen, *sent}))
    entering = [papers[n].title for n in chosen if n not in sent]
    leaving = [papers[n].title for n in sent if n not in chosen]
    return DayComparison(day, entering, leaving, len(set(chosen) & set(sent)))


def format_backtest(days: Sequence[DayComparison]) -> str:
    """A table for a terminal: + enters, - leaves."""
    return format_table([("DAY", "", "PAPER"), *(row for day in days for row in _rows(day))])


def _rows(day: DayComparison) -> Iterator[tuple[str, str, str]]:
    yield day.day.isoformat(), "", f"{day.staying} stay, {len(day.entering)} enter, {len(day.leaving)} leave"
    yield from (("", "+", snippet(title, _TITLE)) for title in day.entering)
    yield from (("", "-", snippet(title, _TITLE)) for title in day.leaving)
