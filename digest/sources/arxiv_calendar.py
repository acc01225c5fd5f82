"""arXiv's calendar: the days that have a batch of new papers, and the batches that were missed. Pure: no I/O.

A batch is announced at 20:00 US Eastern time from Sunday to Thursday, and is in the feed on the next Eastern day, from
midnight to midnight: https://info.arxiv.org/help/availability.html.
"""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_EASTERN = ZoneInfo("America/New_York")
_DEADLINE = time(14, 0)  # papers submitted later are in the next batch
_MODERATION = timedelta(4)  # some papers are held by moderators, and announced days after they were submitted
_MAX_DAYS = 14  # how far back to look for missed batches

# The holidays that arXiv has published. Add those of the next year when they are out. Without them, a holiday is at
# worst reported as a late batch, and one more request is made.
HOLIDAYS = frozenset(
    date.fromisoformat(day)
    for day in """
    2026-01-01 2026-01-19 2026-06-19 2026-07-03 2026-09-07 2026-11-26 2026-12-25 2026-12-29 2026-12-31
    """.split()
)


def feed_day(now: datetime) -> date:
    """Return the day whose batch is in the feed at `now`."""
    return now.astimezone(_EASTERN).date()


def has_batch(day: date) -> bool:
    """Return whether the feed of `day` certainly has a batch.

    arXiv does not say whether a holiday affects the feed of that day or the announcement of that evening, so neither
    is expected.
    """
    return day.weekday() < 5 and day not in HOLIDAYS and day - timedelta(1) not in HOLIDAYS


def missed_days(since: datetime, now: datetime) -> list[date]:
    """Return the days between the feed at `since` and the feed at `now` that may have had a batch, at most 14 back."""
    first, today = feed_day(since), feed_day(now)
    days = (today - timedelta(n) for n in range(1, min(_MAX_DAYS, (today - first).days - 1) + 1))
    return sorted(day for day in days if day.weekday() < 5)


def submission_window(first: date, now: datetime) -> tuple[datetime, datetime]:
    """Return when the papers of the batches from `first` to the one at `now` were submitted: start and end in UTC.

    From the deadline of the batch before, and earlier still for papers held by moderators, to that of the last batch.
    """
    start = _last_deadline(first - timedelta(1)) - _MODERATION
    return start.astimezone(UTC), _last_deadline(feed_day(now)).astimezone(UTC)


def _last_deadline(day: date) -> datetime:
    """Return the deadline of the newest batch on `day`: the day before, Thursday on weekends, Friday on a Monday."""
    days_ago = {5: 2, 6: 3, 0: 3}.get(day.weekday(), 1)
    return datetime.combine(day - timedelta(days_ago), _DEADLINE, _EASTERN)
