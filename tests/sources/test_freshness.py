"""A source that answers with something old or with nothing is told from a quiet one, and read again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from digest.operations.status import _sources, status_document
from digest.pipeline.context import open_context
from digest.pipeline.preview import preview
from digest.sources.fetcher import Fetcher
from digest.store.statistics import Statistics
from tests.conftest import MONDAY, Workplace, at, html_of, paper

SATURDAY, LABOUR_DAY = date(2026, 4, 25), date(2026, 9, 7)
SOURCES = """
[[sources]]
type = "arxiv"
categories = ["cs.LG"]
url = "https://m.example.org/rss/"
api_url = "https://m.example.org/api/query"
[[sources]]
type = "file"
path = "papers.jsonl"
"""


@dataclass
class Arxiv:
    """arXiv with the papers it shows in its feed, those its API finds, and a status to answer with instead."""

    feed: Sequence[int] = ()
    found: Sequence[int] = ()
    status: int = 200
    asked: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.startswith("/api"):
            return httpx.Response(self.status, text=results(self.found))
        tag = f'"{self.feed}"'
        if request.headers.get("If-None-Match") == tag and self.status == 200:
            return httpx.Response(304)
        return httpx.Response(self.status, text=batch(self.feed), headers={"ETag": tag})


def batch(numbers: Sequence[int]) -> str:
    items = "".join(
        f"<item><title>Announced {n}</title><guid>oai:arXiv.org:2604.{n:05}v1</guid></item>" for n in numbers
    )
    return f'<rss version="2.0"><channel><title>cs.LG</title>{items}</channel></rss>'


def results(numbers: Sequence[int]) -> str:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/2604.{n:05}v1</id><title>Announced {n}</title></entry>" for n in numbers
    )
    return (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/">'
        f"<o:totalResults>{len(numbers)}</o:totalResults>{entries}</feed>"
    )


@dataclass
class Place:
    workplace: Workplace
    arxiv: Arxiv

    def run(self, day: date, *feed: int) -> str:
        """Run the day with these papers in the feed; the state of arXiv afterwards."""
        self.arxiv.feed = feed
        self.workplace.lists(paper(day.toordinal() % 1000))
        client = httpx.Client(transport=httpx.MockTransport(self.arxiv))
        done = self.workplace.run(day, Fetcher("a@example.org", client, lambda _: None))
        return next(fetched.state for fetched in done.fetched if fetched.source == "arxiv")

    def foot(self) -> str:
        return html_of(self.workplace.mails()["ann@example.org"][-1])

    def status(self) -> tuple[dict[str, Any], str]:
        with open_context(self.workplace.config()) as d:
            document = status_document(Statistics(d.db.conn), d.config.digest.database, ())
        found = next(source for source in document["sources"] if source["source"] == "arxiv")
        return found, _sources(document["sources"])


@pytest.fixture
def place(workplace: Workplace) -> Place:
    workplace.more = SOURCES
    return Place(workplace, Arxiv())


def test_yesterdays_batch_on_an_announcement_day_is_stale_and_said_everywhere(place: Place) -> None:
    assert place.run(MONDAY, 901, 902) == "read"
    assert place.run(MONDAY + timedelta(1), 901, 902) == "stale"
    assert "category cs.LG is stale" in place.foot()
    facts, words = place.status()
    assert (facts["state"], facts["failed_runs"]) == ("stale", 0)
    assert facts["late"] == [
        "category cs.LG is stale: it still shows an earlier day's papers, although new ones are due"
    ]
    assert "! arxiv: category cs.LG is stale" in words


def test_an_empty_feed_on_an_announcement_day_is_not_stale_but_no_quiet_day_either(place: Place) -> None:
    assert place.run(MONDAY) == "empty"
    assert "category cs.LG lists nothing, although new papers are due" in place.foot()


@pytest.mark.parametrize("feed", [(), (901, 902)])
@pytest.mark.parametrize("day", [SATURDAY, SATURDAY + timedelta(1), LABOUR_DAY])
def test_a_weekend_and_a_holiday_are_quiet(place: Place, day: date, feed: tuple[int, ...]) -> None:
    assert place.run(day - timedelta(3 if day == LABOUR_DAY else 1), 901, 902) in ("read", "stale")
    assert place.run(day, *feed) == "read"
    assert "due" not in place.foot()


def test_a_second_run_of_the_day_is_not_stale(place: Place) -> None:
    place.run(MONDAY - timedelta(3), 900)
    assert [place.run(MONDAY, 901), place.run(MONDAY, 901)] == ["read", "read"]


def test_a_stale_feed_is_read_again_and_the_batch_is_new_then(place: Place) -> None:
    place.run(MONDAY, 901)
    states = [place.run(MONDAY + timedelta(1), *feed) for feed in ((901,), (901,), (902, 903))]
    assert states == ["stale", "stale", "read"]


@pytest.mark.parametrize("trouble", ["stale", "failed", "off", "empty"])
def test_a_batch_that_passed_unread_is_filled_from_the_api(place: Place, trouble: str) -> None:
    place.run(MONDAY, 901)
    if trouble != "off":
        place.arxiv.status = 404 if trouble == "failed" else 200
        assert place.run(MONDAY + timedelta(1), *((901,) if trouble == "stale" else ())) == trouble
    place.arxiv.status, place.arxiv.found = 200, (901, 902, 903)
    assert place.run(MONDAY + timedelta(2), 903, 904) == "read"
    asked = [request for request in place.arxiv.asked if request.url.path == "/api/query"]
    assert len(asked) == 1
    with open_context(place.workplace.config()) as d:
        assert all(d.papers.find(f"arxiv:2604.{n:05}") for n in (901, 902, 903, 904))
    assert place.run(MONDAY + timedelta(3), 905) == "read"
    assert len([r for r in place.arxiv.asked if r.url.path == "/api/query"]) == 1, "the gap is closed"


def test_what_fails_run_after_run_is_said_louder(place: Place) -> None:
    place.run(MONDAY, 901)
    place.arxiv.status = 404
    feet = []
    for later in (1, 2, 3):
        place.run(MONDAY + timedelta(later))
        feet.append(place.foot())
    assert "arxiv could not be read today (" in feet[0]
    assert "FAILED FOR 2 RUNS, last read 2026-04-20" in feet[1]
    assert "FAILED FOR 3 RUNS, last read 2026-04-20" in feet[2]
    facts, words = place.status()
    assert (facts["failed_runs"], facts["read"][:10]) == (3, "2026-04-20")
    assert "failed for 3 runs" in words
    assert "! arxiv: FAILED FOR 3 RUNS, last read 2026-04-20" in words


def test_status_tells_for_each_run_what_each_source_gave(place: Place) -> None:
    place.run(MONDAY, 901, 902)
    place.run(MONDAY + timedelta(1), 902, 903)
    with open_context(place.workplace.config()) as d:
        newest, oldest = Statistics(d.db.conn).runs()
    told = [
        {source["source"]: (source["state"], source["papers"], source["new"]) for source in run["sources"]}
        for run in (oldest, newest)
    ]
    assert told[0] == {"arxiv": ("read", 2, 2), "papers": ("read", 1, 1)}
    assert told[1] == {"arxiv": ("read", 2, 1), "papers": ("read", 1, 1)}


def test_an_answer_that_has_not_changed_gives_its_papers_again(place: Place) -> None:
    """A run that died between the answer and its record is followed by one that loses nothing."""
    config = place.workplace.config()
    place.arxiv.feed = (901, 902)
    client = httpx.Client(transport=httpx.MockTransport(place.arxiv))
    fetcher = Fetcher("a@example.org", client, lambda _: None)
    with open_context(config) as d:
        remembered = d.fetch_memory(MONDAY)
        (first, _) = fetcher.fetch(config.sources, at(MONDAY)(), remembered)
        d.http_cache.store(first.answers, MONDAY)  # and here it dies
    assert place.run(MONDAY, 901, 902) == "read"
    assert "If-None-Match" in place.arxiv.asked[-1].headers
    with open_context(config) as d:
        assert d.papers.find("arxiv:2604.00901")


def test_a_feed_that_has_not_changed_since_yesterday_is_stale_and_no_empty_answer(place: Place) -> None:
    assert place.run(MONDAY, 901) == "read"
    assert place.run(MONDAY + timedelta(1), 901) == "stale"
    assert "If-None-Match" in place.arxiv.asked[-1].headers


def test_answers_that_nobody_asks_for_any_more_are_forgotten(place: Place) -> None:
    place.run(MONDAY, 901)
    with open_context(place.workplace.config()) as d:
        assert len(d.http_cache.load()) == 1
        d.http_cache.store((), MONDAY + timedelta(21))
        assert d.http_cache.load() == {}


def test_a_preview_before_the_run_does_not_make_the_days_batch_an_old_one(place: Place) -> None:
    place.run(MONDAY - timedelta(3), 900)
    place.arxiv.feed = (901, 902)
    client = httpx.Client(transport=httpx.MockTransport(place.arxiv))
    fetcher = Fetcher("a@example.org", client, lambda _: None)
    preview(place.workplace.config(), MONDAY, "ann@example.org", at(MONDAY), fetcher)
    assert place.run(MONDAY, 901, 902) == "read"
