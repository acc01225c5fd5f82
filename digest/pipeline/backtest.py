"""Compare the last days' mails with those of another configuration. Sends nothing and marks nothing as shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from digest.config import Config
from digest.papers import Paper
from digest.pipeline.context import Context
from digest.pipeline.day import load_selection
from digest.ranking import Profile
from digest.store.subscribers import Subscriber


@dataclass(frozen=True, slots=True)
class DayComparison:
    """The papers that would enter and leave a day's mail, and how many would stay."""

    day: date
    entering: Sequence[Paper]
    leaving: Sequence[Paper]
    staying: int


def backtest(context: Context, tried: Config, subscriber: Subscriber, days: Sequence[date]) -> list[DayComparison]:
    """The mails of `days` as the configuration `tried` would have chosen them, beside those the subscriber was sent.

    `days` are ascending and not empty. What the subscriber was shown before the first day counts; from that day on,
    what the chosen mails would have shown. Each day's candidates are those of its mail.
    """
    context = Context(tried, context.db)
    sent = context.outbox.papers_sent(subscriber.id)
    shown = frozenset(paper_id for day, papers in sent.items() if day < days[0] for paper_id in papers)
    compared = []
    for day in days:
        chosen = _choose(context, day, shown, subscriber.profile)
        shown |= frozenset(chosen)
        compared.append(_compare(context, day, chosen, sent.get(day, [])))
    return compared


def last_days(count: int, today: date) -> list[date]:
    """The last `count` days, today included."""
    return [today - timedelta(n) for n in range(count - 1, -1, -1)]


def _choose(context: Context, day: date, shown: frozenset[int], profile: Profile) -> list[int]:
    if not context.config.digest.mails_on(day):
        return []
    return [ranked.trend.id for ranked in load_selection(context, day, as_mailed=True).pick(profile, shown)]


def _compare(context: Context, day: date, chosen: Sequence[int], sent: Sequence[int]) -> DayComparison:
    papers = context.papers.load({*chosen, *sent})
    entering = [papers[paper_id] for paper_id in chosen if paper_id not in sent]
    leaving = [papers[paper_id] for paper_id in sent if paper_id not in chosen]
    return DayComparison(day, entering, leaving, len(set(chosen) & set(sent)))
