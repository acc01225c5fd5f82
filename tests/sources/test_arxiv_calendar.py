"""arXiv's calendar, and the requests for missed batches."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from digest.sources.arxiv import Arxiv
from digest.sources.arxiv_calendar import HOLIDAYS, feed_day, has_batch, missed_days, submission_window
from tests.conftest import MORNING

UTC = ZoneInfo("UTC")
CATEGORIES = ("cs.LG", "math")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-04-20T03:59", "2026-04-19"),  # in summer the Eastern day begins at 04:00 UTC
        ("2026-04-20T04:00", "2026-04-20"),
        ("2026-01-20T04:59", "2026-01-19"),  # in winter an hour later
        ("2026-01-20T05:00", "2026-01-20"),
        ("2026-03-08T05:00", "2026-03-08"),  # the morning the clocks go forward …
        ("2026-03-09T04:00", "2026-03-09"),  # … and the next day
        ("2026-11-01T04:00", "2026-11-01"),
        ("2026-11-02T04:30", "2026-11-01"),
    ],
)
def test_the_feed_changes_at_midnight_eastern_time(moment: str, day: str) -> None:
    assert feed_day(utc(moment)) == date.fromisoformat(day)


def test_the_feed_day_does_not_depend_on_the_local_time_zone() -> None:
    assert feed_day(datetime(2026, 4, 21, 8, tzinfo=ZoneInfo("Asia/Tokyo"))) == date(2026, 4, 20)


def test_batches_come_on_weekdays_but_not_around_holidays() -> None:
    week = [date(2026, 4, 20) + timedelta(n) for n in range(7)]
    assert [has_batch(day) for day in week] == [True] * 5 + [False] * 2
    for holiday in HOLIDAYS:
        assert not has_batch(holiday)
        assert not has_batch(holiday + timedelta(1))


def test_a_year_without_known_holidays_has_none() -> None:
    assert has_batch(date(2031, 12, 25))


@pytest.mark.parametrize(
    ("since", "days"),
    [
        ("2026-04-20T05:00", []),  # the same batch
        ("2026-04-17T06:00", []),  # Friday's; the weekend has none
        ("2026-04-16T06:00", ["2026-04-17"]),
        ("2026-04-14T06:00", ["2026-04-15", "2026-04-16", "2026-04-17"]),
        ("2026-04-21T06:00", []),  # a run for an earlier day
    ],
)
def test_the_days_between_two_runs_were_missed(since: str, days: list[str]) -> None:
    assert missed_days(utc(since), MORNING) == [date.fromisoformat(day) for day in days]


def test_missed_days_go_back_two_weeks_at_most() -> None:
    missed = missed_days(utc("2025-01-01T06:00"), MORNING)
    assert (missed[0], len(missed)) == (date(2026, 4, 6), 10)


def test_the_submission_window_starts_at_the_deadline_before_and_includes_papers_held_by_moderators() -> None:
    start, end = submission_window(date(2026, 4, 17), MORNING)
    assert (start, end) == (utc("2026-04-11T18:00"), utc("2026-04-17T18:00"))
    assert submission_window(date(2026, 1, 20), MORNING)[0] == utc("2026-01-12T19:00")


def test_a_missed_batch_is_requested_from_the_api_before_the_feeds() -> None:
    source = Arxiv(CATEGORIES, url="https://m.example.org/rss/", api_url="https://m.example.org/api/query")
    search, *feeds = source.requests(MORNING, MORNING - timedelta(4))
    assert search.url == "https://m.example.org/api/query"
    assert search.params["search_query"] == "(cat:cs.LG OR cat:math*) AND submittedDate:[202604111800 TO 202604171800]"
    assert (search.params["start"], search.due) == ("0", False)
    assert [feed.url for feed in feeds] == ["https://m.example.org/rss/cs.LG", "https://m.example.org/rss/math"]


def test_the_api_is_not_requested_without_a_missed_batch_or_for_a_mirror() -> None:
    for source, since in (
        (Arxiv(CATEGORIES), None),
        (Arxiv(CATEGORIES), MORNING - timedelta(3)),
        (Arxiv(CATEGORIES, url="https://m.example.org/rss/"), MORNING - timedelta(9)),
    ):
        assert len(source.requests(MORNING, since)) == 2
    assert Arxiv(CATEGORIES).requests(MORNING, MORNING - timedelta(9))[0].url == "https://export.arxiv.org/api/query"


@pytest.mark.parametrize(
    ("now", "since", "due"),
    [
        (MORNING, None, True),
        (MORNING, MORNING - timedelta(3), True),
        (MORNING, MORNING - timedelta(hours=1), False),  # already read completely today
        (MORNING - timedelta(1), MORNING - timedelta(2), False),  # Sunday
        (utc("2026-09-07T06:00"), utc("2026-09-04T06:00"), False),  # Labor Day
    ],
)
def test_a_new_batch_is_due_once_per_announcement_day(now: datetime, since: datetime | None, due: bool) -> None:
    assert {request.due for request in Arxiv(CATEGORIES).requests(now, since)} == {due}
