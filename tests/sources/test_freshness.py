"""A source that lists something old or nothing is told from one on a quiet day, and is read again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from digest.operations.status import _format_sources, status_document
from digest.pipeline.context import open_context
from digest.pipeline.preview import preview
from digest.sources import Fetched, PreviousRuns
from digest.sources.fetcher import Fetcher
from digest.sources.freshness import source_notices
from digest.store.statistics import Statistics
from tests.conftest import MONDAY, MORNING, Workplace, at, html_of, paper

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
    """A server for arXiv: the papers in its feed, the papers its API finds, and the HTTP status."""

    feed: Sequence[int] = ()
    results: Sequence[int] = ()
    status: int = 200
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.url.path.startswith("/api"):
            return httpx.Response(self.status, text=format_results(self.results))
        tag = f'"{self.feed}"'
        if request.headers.get("If-None-Match") == tag and self.status == 200:
            return httpx.Response(304)
        return httpx.Response(self.status, text=format_feed(self.feed), headers={"ETag": tag})


def format_feed(numbers: Sequence[int]) -> str:
    items = "".join(
        f"<item><title>Announced {n}</title><guid>oai:arXiv.org:2604.{n:05}v1</guid></item>" for n in numbers
    )
    return f'<rss version="2.0"><channel><title>cs.LG</title>{items}</channel></rss>'


def format_results(numbers: Sequence[int]) -> str:
    entries = "".join(
        f"<entry><id>http://arxiv.org/abs/2604.{n:05}v1</id><title>Announced {n}</title></entry>" for n in numbers
    )
    return (
        '<feed xmlns="http://www.w3.org/2005/Atom" xmlns:o="http://a9.com/-/spec/opensearch/1.1/">'
        f"<o:totalResults>{len(numbers)}</o:totalResults>{entries}</feed>"
    )


DOWN = Fetched("x", errors=("https://example.org/ timed out",))
WEEK = replace(DOWN, previous=PreviousRuns(None, date(2026, 4, 20), 1))


@pytest.mark.parametrize(
    ("fetched", "notices"),
    [
        ([Fetched("x", read=1)], []),
        ([DOWN], ["x was unavailable today; its papers follow tomorrow."]),
        ([WEEK], ["x has been unavailable since 20 April; its papers follow when it is back."]),
        (
            [replace(DOWN, previous=PreviousRuns(None, None, 1))],
            ["x has been unavailable so far; its papers follow when it is back."],
        ),
        (
            [Fetched("x", errors=("a", "b"), read=1)],
            ["x was only partly available today; the other papers follow tomorrow."],
        ),
        (
            [Fetched("x", read=2, stale=("a", "b"))],
            ["x has no new papers yet, although some were due; they follow tomorrow."],
        ),
        (
            [Fetched("x", read=1, skipped=("entry 1: it has no title",))],
            ["x listed entries that could not be read; they are left out."],
        ),
        (
            [replace(DOWN, source=name) for name in ("arxiv", "biorxiv", "The {Journal}")],
            ["arXiv, bioRxiv and The {Journal} were unavailable today; their papers follow tomorrow."],
        ),
        (
            [WEEK, replace(WEEK, source="y")],
            ["x and y have been unavailable since 20 April; their papers follow when they are back."],
        ),
    ],
)
def test_readers_are_told_of_a_problem_in_a_calm_sentence(fetched: list[Fetched], notices: list[str]) -> None:
    assert source_notices(fetched) == notices


@dataclass
class Place:
    workplace: Workplace
    arxiv: Arxiv

    def run(self, day: date, *feed: int) -> str:
        """Run the digest with these papers in the feed; return the state of arXiv."""
        self.arxiv.feed = feed
        self.workplace.lists(paper(day.toordinal() % 1000))
        client = httpx.MockTransport(self.arxiv)
        done = self.workplace.run(day, Fetcher("a@example.org", client, lambda _: None))
        return next(fetched.state for fetched in done.fetched if fetched.source == "arxiv")

    def footer(self) -> str:
        return html_of(self.workplace.mails()["ann@example.org"][-1])

    def status(self) -> tuple[dict[str, Any], str]:
        with open_context(self.workplace.config()) as d:
            document = status_document(Statistics(d.db.conn), d.config.digest.database, (), MORNING)
        arxiv = next(source for source in document["sources"] if source["source"] == "arxiv")
        return arxiv, _format_sources(document["sources"])


@pytest.fixture
def place(workplace: Workplace) -> Place:
    workplace.more = SOURCES
    return Place(workplace, Arxiv())


def test_yesterdays_batch_on_an_announcement_day_is_stale_and_reported_everywhere(place: Place) -> None:
    assert place.run(MONDAY, 901, 902) == "read"
    assert place.run(MONDAY + timedelta(1), 901, 902) == "stale"
    assert "arXiv has no new papers yet, although some were due; they follow tomorrow." in place.footer()
    arxiv, text = place.status()
    assert (arxiv["state"], arxiv["failed_runs"]) == ("stale", 0)
    assert arxiv["late"] == ["category cs.LG still shows an earlier day's papers, although new ones are due"]
    assert "! arxiv: category cs.LG still shows an earlier day's papers" in text


def test_an_empty_feed_on_an_announcement_day_is_empty_and_reported(place: Place) -> None:
    assert place.run(MONDAY) == "empty"
    assert "arXiv has no new papers yet, although some were due; they follow tomorrow." in place.footer()


@pytest.mark.parametrize("feed", [(), (901, 902)])
@pytest.mark.parametrize("day", [SATURDAY, SATURDAY + timedelta(1), LABOUR_DAY])
def test_a_weekend_and_a_holiday_are_not_reported(place: Place, day: date, feed: tuple[int, ...]) -> None:
    assert place.run(day - timedelta(3 if day == LABOUR_DAY else 1), 901, 902) in ("read", "stale")
    assert place.run(day, *feed) == "read"
    assert "due" not in place.footer()


def test_a_second_run_of_the_day_is_not_stale(place: Place) -> None:
    place.run(MONDAY - timedelta(3), 900)
    assert [place.run(MONDAY, 901), place.run(MONDAY, 901)] == ["read", "read"]


def test_a_stale_feed_is_read_again_until_the_batch_is_new(place: Place) -> None:
    place.run(MONDAY, 901)
    states = [place.run(MONDAY + timedelta(1), *feed) for feed in ((901,), (901,), (902, 903))]
    assert states == ["stale", "stale", "read"]


@pytest.mark.parametrize("problem", ["stale", "failed", "off", "empty"])
def test_a_missed_batch_is_read_from_the_api(place: Place, problem: str) -> None:
    place.run(MONDAY, 901)
    if problem != "off":
        place.arxiv.status = 404 if problem == "failed" else 200
        assert place.run(MONDAY + timedelta(1), *((901,) if problem == "stale" else ())) == problem
    place.arxiv.status, place.arxiv.results = 200, (901, 902, 903)
    assert place.run(MONDAY + timedelta(2), 903, 904) == "read"
    searches = [request for request in place.arxiv.requests if request.url.path == "/api/query"]
    assert len(searches) == 1
    with open_context(place.workplace.config()) as d:
        assert all(d.papers.find(f"arxiv:2604.{n:05}") for n in (901, 902, 903, 904))
    assert place.run(MONDAY + timedelta(3), 905) == "read"
    assert len([r for r in place.arxiv.requests if r.url.path == "/api/query"]) == 1, "no batch is missing any more"


def test_a_source_that_keeps_failing_is_reported_with_the_number_of_runs(place: Place) -> None:
    place.run(MONDAY, 901)
    place.arxiv.status = 404
    footers = []
    for later in (1, 2, 3):
        place.run(MONDAY + timedelta(later))
        footers.append(place.footer())
    assert "arXiv was unavailable today; its papers follow tomorrow." in footers[0]
    assert "404" not in footers[0]
    assert all("arXiv has been unavailable since 20 April;" in footer for footer in footers[1:])
    arxiv, text = place.status()
    assert (arxiv["failed_runs"], arxiv["read"][:10]) == (3, "2026-04-20")
    assert re.search(r"^arxiv +failed +2026-04-20", text, re.MULTILINE)
    assert "! arxiv: failed in the last 3 runs, last read 2026-04-20" in text


def test_statistics_hold_for_each_run_what_each_source_listed(place: Place) -> None:
    place.run(MONDAY, 901, 902)
    place.run(MONDAY + timedelta(1), 902, 903)
    with open_context(place.workplace.config()) as d:
        newest, oldest = Statistics(d.db.conn).runs()
    counts = [
        {source["source"]: (source["state"], source["papers"], source["new"]) for source in run["sources"]}
        for run in (oldest, newest)
    ]
    assert counts[0] == {"arxiv": ("read", 2, 2), "papers": ("read", 1, 1)}
    assert counts[1] == {"arxiv": ("read", 2, 1), "papers": ("read", 1, 1)}


def test_an_unchanged_response_gives_its_papers_again(place: Place) -> None:
    """A run that died after a response was cached and before its papers were recorded loses nothing."""
    config = place.workplace.config()
    place.arxiv.feed = (901, 902)
    client = httpx.MockTransport(place.arxiv)
    fetcher = Fetcher("a@example.org", client, lambda _: None)
    with open_context(config) as d:
        memory = d.fetch_memory(MONDAY)
        (first, _) = fetcher.fetch(config.sources, at(MONDAY)(), memory)
        d.http_cache.store(first.responses, MONDAY)  # the run dies here
    assert place.run(MONDAY, 901, 902) == "read"
    assert "If-None-Match" in place.arxiv.requests[-1].headers
    with open_context(config) as d:
        assert d.papers.find("arxiv:2604.00901")


def test_a_feed_unchanged_since_yesterday_is_stale_and_not_empty(place: Place) -> None:
    assert place.run(MONDAY, 901) == "read"
    assert place.run(MONDAY + timedelta(1), 901) == "stale"
    assert "If-None-Match" in place.arxiv.requests[-1].headers


def test_responses_that_are_not_requested_any_more_are_deleted(place: Place) -> None:
    place.run(MONDAY, 901)
    with open_context(place.workplace.config()) as d:
        assert len(d.http_cache.load()) == 1
        d.http_cache.store((), MONDAY + timedelta(21))
        assert d.http_cache.load() == {}


def test_a_preview_before_the_run_does_not_make_the_batch_stale(place: Place) -> None:
    place.run(MONDAY - timedelta(3), 900)
    place.arxiv.feed = (901, 902)
    client = httpx.MockTransport(place.arxiv)
    fetcher = Fetcher("a@example.org", client, lambda _: None)
    preview(place.workplace.config(), MONDAY, "ann@example.org", at(MONDAY), fetcher)
    assert place.run(MONDAY, 901, 902) == "read"
