"""When arXiv announces: which days have a batch of new papers, and which were missed. Knows no clock.

A batch is announced at 20:00 US Eastern time from Sunday to Thursday and stands in the feed of the next Eastern day,
from midnight to midnight: https://info.arxiv.org/help/availability.html.
"""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
_DEADLINE = time(14, 0)  # what is received later waits for the next batch
_HELD = timedelta(4)  # moderation keeps some papers for days: they are announced long after they were submitted
MOST_DAYS = 14  # how far back a missed batch is looked for

# The holidays arXiv has published. Add the next year's when they are out; without them, a holiday is at worst
# reported as a batch that is late, and looked for once more.
HOLIDAYS = frozenset(
    date.fromisoformat(day)
    for day in """
    2026-01-01 2026-01-19 2026-06-19 2026-07-03 2026-09-07 2026-11-26 2026-12-25 2026-12-29 2026-12-31
    """.split()
)


def feed_day(now: datetime) -> date:
    """The day whose batch the feed shows at the moment `now`."""
    return now.astimezone(EASTERN).date()


def is_due(day: date) -> bool:
    """Whether the feed of `day` surely has a batch.

    The published list does not say whether a holiday's own listing or that evening's announcement is left out, so
    neither is counted on.
    """
    return day.weekday() < 5 and day not in HOLIDAYS and day - timedelta(1) not in HOLIDAYS


def missed(since: datetime, now: datetime) -> list[date]:
    """The days between the feed read at `since` and the one of `now` that may have had a batch, newest `MOST_DAYS`."""
    first, today = feed_day(since), feed_day(now)
    days = (today - timedelta(n) for n in range(1, min(MOST_DAYS, (today - first).days - 1) + 1))
    return sorted(day for day in days if day.weekday() < 5)


def submitted(first: date, now: datetime) -> tuple[datetime, datetime]:
    """When the papers of the batches from `first` to the one that stands at `now` can have been submitted, in UTC.

    Between the deadline of the batch before and the last one's, or earlier by what moderation held.
    """
    start, end = _closed(first - timedelta(1)) - _HELD, _closed(feed_day(now))
    return start.astimezone(ZoneInfo("UTC")), end.astimezone(ZoneInfo("UTC"))


def _closed(day: date) -> datetime:
    """The deadline of the newest batch on `day`: the day before, but Thursday at weekends and Friday on a Monday."""
    ago = {5: 2, 6: 3, 0: 3}.get(day.weekday(), 1)
    return datetime.combine(day - timedelta(ago), _DEADLINE, EASTERN)
