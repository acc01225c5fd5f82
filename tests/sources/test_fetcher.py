"""Fetching the sources: errors are reported, temporary failures are retried, and the rest goes on."""

import io
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import pytest

from digest.sources import Fetched, Source
from digest.sources.arxiv import Arxiv
from digest.sources.biorxiv import Biorxiv
from digest.sources.fetcher import Fetcher, FetchMemory
from digest.sources.file import File
from digest.sources.huggingface import HuggingFace
from tests.conftest import DATA, MORNING

FEED = (DATA / "arxiv_rss.xml").read_bytes()
NO_MEMORY = FetchMemory()


@dataclass
class Service:
    """A service that gives the listed responses in order, the last one again and again."""

    responses: list[httpx.Response]
    requests: list[httpx.Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = self.responses.pop(0) if len(self.responses) > 1 else self.responses[0]
        return httpx.Response(response.status_code, headers=response.headers, content=response.content)

    def fetch(
        self, *sources: Source, now: datetime = MORNING, max_bytes: int = 2**20, memory: FetchMemory = NO_MEMORY
    ) -> list[Fetched]:
        client = httpx.MockTransport(self)
        return list(
            Fetcher("digest@example.org", client, self.slept.append, max_bytes=max_bytes).fetch(sources, now, memory)
        )


def listed(*ids: int) -> httpx.Response:
    rows = [{"paper": {"id": f"2604.{n:05}", "title": f"Paper {n}", "upvotes": n}} for n in ids]
    return httpx.Response(200, json=rows)


TODAY = HuggingFace(lookback_days=0)


def test_pages_are_followed_to_the_end() -> None:
    service = Service([listed(*range(100)), listed(*range(100, 120)), listed()])
    (fetched,) = service.fetch(TODAY)
    assert len(fetched.sightings) == 120
    assert [dict(request.url.params)["p"] for request in service.requests] == ["0", "1"]


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_temporary_status_is_retried(status: int) -> None:
    service = Service([httpx.Response(status), httpx.Response(status), listed(1)])
    (fetched,) = service.fetch(TODAY)
    assert (len(fetched.sightings), fetched.state, len(service.slept)) == (1, "read", 2)
    assert 1.0 <= service.slept[0] <= 2.0 <= service.slept[1] <= 4.0


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Mon, 20 Apr 2026 10:00:09 GMT", "Date": "Mon, 20 Apr 2026 10:00:00 GMT"}, 9),
        ({"RateLimit": '"api";r=0;t=11'}, 11),
    ],
)
def test_the_wait_that_the_server_asks_for_is_kept(headers: dict[str, str], least: float) -> None:
    service = Service([httpx.Response(429, headers=headers), listed(1)])
    (fetched,) = service.fetch(TODAY)
    assert fetched.state == "read"
    assert least <= service.slept[0] <= least + 1


def test_a_server_that_asks_for_an_hour_is_not_retried() -> None:
    service = Service([httpx.Response(429, headers={"Retry-After": "3600"})])
    (fetched,) = service.fetch(TODAY)
    assert (fetched.state, len(service.requests), service.slept) == ("failed", 1, [])
    assert "asks to wait 3600 seconds" in fetched.errors[0]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_permanent_failure_is_not_retried(status: int) -> None:
    service = Service([httpx.Response(status)])
    (fetched,) = service.fetch(Arxiv(("cs.LG",)))
    assert (fetched.state, len(service.requests)) == ("failed", 1)
    assert str(status) in fetched.errors[0]


def test_a_list_that_does_not_exist_yet_is_not_a_failure() -> None:
    service = Service([httpx.Response(400, json={"error": "Invalid date"})])
    (fetched,) = service.fetch(TODAY)
    assert (fetched.state, fetched.sightings, fetched.errors) == ("read", (), ())


def test_one_broken_list_does_not_stop_the_others() -> None:
    service = Service([listed(1), httpx.Response(404), listed(3)])
    (fetched,) = service.fetch(HuggingFace(lookback_days=4))
    assert (fetched.state, [s.votes for s in fetched.sightings]) == ("partial", [1, 3])
    assert fetched.errors == ("the list of 2026-04-17: the server returned 404 Not Found",)


def test_one_broken_source_does_not_stop_the_others(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"title": "From the file"}')
    service = Service([httpx.Response(404)])
    broken, intact = service.fetch(TODAY, File(tmp_path / "p.jsonl", name="p"))
    assert (broken.state, intact.state) == ("failed", "read")


def test_categories_are_requested_three_seconds_apart() -> None:
    service = Service([httpx.Response(200, content=FEED)])
    (fetched,) = service.fetch(Arxiv(("cs.LG", "cs.CV", "stat.ML")))
    assert (len(service.requests), fetched.read) == (3, 3)
    assert len(service.slept) == 2
    assert all(1.0 < seconds <= 3.0 for seconds in service.slept), "what is left of the three seconds"


def raising(problem: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def respond(request: httpx.Request) -> httpx.Response:
        raise problem

    return respond


@pytest.mark.parametrize(
    ("problem", "message", "retries"),
    [
        (httpx.ConnectError("refused"), "the server cannot be reached", 1),
        (httpx.ConnectTimeout("slow"), "the server cannot be reached: timed out", 1),
        (httpx.ReadTimeout("slow"), "timed out", 3),
        (httpx.ReadError("reset"), "the connection failed (ReadError)", 3),
        (httpx.RemoteProtocolError("peer closed connection"), "the server did not answer in HTTP", 3),
    ],
)
def test_a_network_failure_is_retried_and_then_reported(problem: Exception, message: str, retries: int) -> None:
    slept: list[float] = []
    client = httpx.MockTransport(raising(problem))
    (fetched,) = Fetcher("a@example.org", client, slept.append).fetch([TODAY], MORNING)
    assert (fetched.state, len(slept)) == ("failed", retries)
    assert message in fetched.errors[0]


@pytest.mark.parametrize("target", ["https://example.org/again", "file:///etc/passwd", "ftp://example.org/x"])
def test_a_bad_redirect_is_not_followed(target: str) -> None:
    service = Service([httpx.Response(302, headers={"Location": target})])
    (fetched,) = service.fetch(TODAY)
    assert fetched.state == "failed"


def test_a_response_that_is_too_large_is_an_error() -> None:
    service = Service([httpx.Response(200, content=b"[" + b" " * 5000)])
    (fetched,) = service.fetch(TODAY, max_bytes=4096)
    assert "larger than" in fetched.errors[0]


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    (fetched,) = Service([]).fetch(File(tmp_path / "none.jsonl", name="none"))
    assert (fetched.state, "No such file" in fetched.errors[0]) == ("failed", True)


def test_a_day_without_requests_is_not_a_failure() -> None:
    (fetched,) = Service([]).fetch(TODAY, now=MORNING - timedelta(1))
    assert (fetched.state, fetched.errors) == ("read", ())


def test_the_user_agent_names_program_and_contact() -> None:
    service = Service([listed(1)])
    service.fetch(TODAY)
    agent = service.requests[0].headers["User-Agent"]
    assert agent.startswith("papers-by-mail/")
    assert "digest@example.org" in agent


def test_a_server_that_cannot_be_reached_is_retried_in_full_if_another_one_can(tmp_path: Path) -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.host == "huggingface.co":
            return listed(1)
        raise httpx.ConnectError("refused")

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(0.05)

    slept: list[float] = []
    lists = HuggingFace(lookback_days=1)
    mirror = HuggingFace(url="https://mirror.example.org/", lookback_days=4, name="mirror")
    fetcher = Fetcher("a@example.org", httpx.MockTransport(respond), slept.append)
    (alone,) = fetcher.fetch([mirror], MORNING)
    assert (len(slept), alone.unreachable, len(alone.errors)) == (1, True, 3)
    slept.clear()
    fetcher = Fetcher("a@example.org", httpx.MockTransport(respond), sleep)
    read, unreachable = fetcher.fetch([lists, mirror], MORNING)
    assert (read.state, unreachable.unreachable, len(slept)) == ("read", True, 3)
    assert unreachable.errors[1].endswith("not requested: the server cannot be reached")


def test_a_broken_row_is_skipped_and_html_is_an_error() -> None:
    service = Service([httpx.Response(200, content=json.dumps([1]).encode()), httpx.Response(200, content=b"<html>")])
    broken_row, html = service.fetch(HuggingFace(lookback_days=0)), service.fetch(HuggingFace(lookback_days=0))
    assert broken_row[0].skipped == ("the list of 2026-04-20, row 1: it is not a JSON object",)
    assert "is not JSON" in html[0].errors[0]


def test_an_unchanged_list_is_taken_from_the_cache() -> None:
    validators = {"ETag": '"a"', "Last-Modified": "Mon, 20 Apr 2026 04:00:00 GMT"}
    service = Service([httpx.Response(200, json=listed(1, 2).json(), headers=validators), httpx.Response(304)])
    (first,) = service.fetch(TODAY)
    (second,) = service.fetch(
        TODAY, memory=FetchMemory(responses={response.url: response for response in first.responses})
    )
    assert service.requests[1].headers["If-None-Match"] == '"a"'
    assert service.requests[1].headers["If-Modified-Since"] == "Mon, 20 Apr 2026 04:00:00 GMT"
    assert (second.state, second.sightings) == ("read", first.sightings)
    assert second.responses == first.responses


def test_a_response_without_validators_or_that_cannot_be_parsed_is_not_cached() -> None:
    bad = httpx.Response(200, content=b"<html>", headers={"ETag": '"x"'})
    assert [Service([response]).fetch(TODAY)[0].responses for response in (listed(1), bad)] == [(), ()]


def test_not_modified_without_a_cached_response_is_an_error() -> None:
    (fetched,) = Service([httpx.Response(304)]).fetch(TODAY)
    assert (fetched.state, "304" in fetched.errors[0]) == ("failed", True)


def test_a_page_that_is_empty_by_mistake_is_requested_again() -> None:
    message = {"messages": [{"status": "ok", "total": "1"}], "collection": []}
    full = {**message, "collection": [{"title": "There it is"}]}
    service = Service([httpx.Response(200, json=message), httpx.Response(200, json=full)])
    (fetched,) = service.fetch(Biorxiv())
    assert (fetched.state, len(fetched.sightings), len(service.slept)) == ("read", 1, 1)


def test_a_source_that_takes_too_long_is_given_up() -> None:
    service = Service([listed(1)])
    client = httpx.MockTransport(service)
    late = Fetcher("a@example.org", client, service.slept.append, deadline=-1.0)
    (fetched,) = late.fetch([TODAY], MORNING)
    assert (fetched.state, service.requests) == ("failed", [])
    assert "not requested: the source took too long" in fetched.errors[0]


def test_a_source_whose_pages_never_end_is_given_up() -> None:
    page = {"messages": [{"status": "ok", "total": "999999999"}], "collection": [{"title": "Again"}]}
    (fetched,) = Service([httpx.Response(200, json=page)]).fetch(Biorxiv())
    assert (fetched.state, fetched.read) == ("partial", 200)
    assert "not requested: the limit is 200 requests" in fetched.errors[0]


def test_two_arxiv_sources_share_a_rate_limit_over_runs(tmp_path: Path) -> None:
    service = Service([httpx.Response(200, content=FEED)])
    memory = FetchMemory(rate_limit_file=tmp_path / "history.db.pace")
    sources = (Arxiv(("cs.LG",), name="one"), Arxiv(("cs.CV",), name="two"))
    service.fetch(*sources, memory=memory)
    service.fetch(*sources, memory=memory)
    assert len(service.slept) == 3
    assert all(1.0 < seconds <= 3.0 for seconds in service.slept)


def test_a_rate_limit_file_from_before_a_restart_is_ignored(tmp_path: Path) -> None:
    for content in ("99999999999.5", "nonsense", "nan"):
        (tmp_path / "pace").write_text(content)
        service = Service([httpx.Response(200, content=FEED)])
        service.fetch(Arxiv(("cs.LG",)), memory=FetchMemory(rate_limit_file=tmp_path / "pace"))
        assert service.slept == []


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://huggingface.co/api/daily_papers", True),
        ("http://127.0.0.1:8790/api/daily_papers", True),
        ("http://huggingface.co/api/daily_papers", False),
        ("https://mirror.example.org/api/daily_papers", False),
        ("https://huggingface.co.example.org/api", False),
    ],
)
def test_the_token_is_sent_to_its_service_only(url: str, sent: bool) -> None:
    source = HuggingFace(url=url, lookback_days=0, token="hf_secret")
    service = Service([listed(1)])
    (fetched,) = service.fetch(source)
    assert (service.requests[0].headers.get("Authorization") == "Bearer hf_secret") is sent
    assert "hf_secret" not in repr(source) + repr(source.requests(MORNING)) + repr(fetched)


def test_the_token_is_not_sent_along_a_redirect_to_another_host() -> None:
    service = Service([httpx.Response(302, headers={"Location": "https://elsewhere.example.org/x"}), listed(1)])
    service.fetch(HuggingFace(lookback_days=0, token="hf_secret"))
    assert "Authorization" in service.requests[0].headers
    assert "Authorization" not in service.requests[1].headers


class Screen(io.StringIO):
    """A terminal, or a file."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def test_a_terminal_shows_what_is_waited_for_and_is_clean_afterwards(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"title": "From the file"}')
    busy = httpx.Response(429, headers={"Retry-After": "20"})
    for terminal in (True, False):
        service, screen = Service([listed(1), busy, httpx.Response(503), listed(2)]), Screen(terminal)
        sources: list[Source] = [HuggingFace(lookback_days=3), File(tmp_path / "p.jsonl", name="p")]
        transport = httpx.MockTransport(service)
        list(Fetcher("a@example.org", transport, service.slept.append, screen=screen).fetch(sources, MORNING))
        shown = screen.getvalue().split("\r\x1b[K")
        assert shown[-1] == ""
        if terminal:
            assert "huggingface: the list of 2026-04-20 (2 of 2); also p" in shown
            assert "huggingface: the list of 2026-04-20 (2 of 2) · waiting 20 s, as the server ask" in shown
            assert len({line for line in shown if "(2 of 2) · waiting " in line}) == 2
        else:
            assert shown == [""]


def test_the_log_tells_every_request_and_wait(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "digest")
    service = Service([httpx.Response(429, headers={"Retry-After": "7"}), listed(1)])
    service.fetch(TODAY)
    told = [(record.msg, record.args) for record in caplog.records if isinstance(record.args, dict)]
    assert [(event, facts.get("status"), facts.get("why")) for event, facts in told] == [
        ("request", 429, None),
        ("retry", None, "the server returned 429 Too Many Requests"),
        ("request", 200, None),
    ]
    assert all(facts["source"] == "huggingface" for _, facts in told)
    assert (told[1][1]["asked"], told[1][1]["wait"][0]) == (True, "7")
