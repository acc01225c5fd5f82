"""Hugging Face's daily list, as the service really writes it."""

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.huggingface import HuggingFace
from tests.conftest import DATA, MORNING

MONDAY = date(2026, 4, 20)
LIST = (DATA / "daily_papers.json").read_bytes()


def parse(body: bytes, now: datetime = MORNING) -> Page:
    return HuggingFace(lookback_days=0).requests(now)[0].parse(body)


def test_lists_that_may_still_grow_are_requested_oldest_first() -> None:
    requests = HuggingFace(lookback_days=4).requests(MORNING)
    assert [request.params["date"] for request in requests] == ["2026-04-16", "2026-04-17", "2026-04-20"]
    assert HuggingFace(lookback_days=1).requests(MORNING - timedelta(1)) == ()


def test_only_todays_list_may_not_exist_yet() -> None:
    requests = HuggingFace(lookback_days=4).requests(MORNING)
    assert [400 in request.not_yet_statuses for request in requests] == [False, False, True]


def test_fields_are_taken_from_the_paper_object() -> None:
    engine, compilers, *_ = parse(LIST).sightings
    assert engine.paper.title == "A Note on Engines That Weave Algebra"
    assert engine.paper.abstract == "We show that an engine can weave patterns of algebra, with p < 0.05 & no loss."
    assert engine.paper.authors == ("Ada Lovelace", "Charles Babbage")
    assert engine.paper.link == "https://arxiv.org/abs/2604.11111"
    assert engine.paper.huggingface == "https://huggingface.co/papers/2604.11111"
    assert engine.paper.code == "https://github.com/example/engine"
    assert engine.paper.project == "https://engines.example.org/weave"
    assert (engine.votes, engine.day, engine.paper.published) == (41, MONDAY, date(2026, 4, 16))
    assert (compilers.votes, compilers.paper.project) == (0, "")


def test_what_hugging_face_adds_to_a_paper_is_taken_where_it_is_there() -> None:
    engine, compilers, odd, _ = (sighting.paper for sighting in parse(LIST).sightings)
    assert (engine.tldr, engine.tldr_by) == ("An engine weaves patterns of algebra at p < 0.05.", "Hugging Face")
    assert engine.keywords == ("analytical engine", "algebraic patterns")
    assert (engine.organization, engine.stars, engine.comments) == ("Engine Works", 12, 3)
    assert engine.discussion == "https://huggingface.co/papers/2604.11111#community"
    for bare in (compilers, odd):
        assert (bare.tldr, bare.tldr_by, bare.keywords, bare.organization, bare.stars) == ("", "", (), "", 0)


def test_the_list_day_is_not_a_publication_date() -> None:
    assert {sighting.day for sighting in parse(LIST).sightings} == {MONDAY}


def test_broken_rows_are_reported_and_the_others_are_parsed() -> None:
    page = parse(LIST)
    assert [s.paper.title for s in page.sightings[2:]] == ["Odd but Readable", "No Votes Yet"]
    assert [s.votes for s in page.sightings[2:]] == [None, None]
    assert page.skipped == (
        "the list of 2026-04-20, row 4: it has no title",
        "the list of 2026-04-20, row 5: it is not a JSON object",
    )


def rows(count: int) -> bytes:
    return json.dumps(
        [{"paper": {"id": f"2604.{n:05}", "title": f"Paper {n}", "upvotes": n}} for n in range(count)]
    ).encode()


@pytest.mark.parametrize(("count", "more"), [(0, False), (49, False), (50, True), (99, True), (100, True)])
def test_a_page_that_may_not_be_the_last_is_followed_by_the_next(count: int, more: bool) -> None:
    page = parse(rows(count))
    assert len(page.sightings) == count
    assert (page.next is not None) is more
    if page.next:
        assert (page.next.params["p"], page.next.params["date"]) == ("1", "2026-04-20")
        assert page.next.parse(b"[]").next is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<!DOCTYPE html><html>", b'{"error": "Invalid date"}', LIST[:500], b"\xff\xfe", b"[" * 100_000, b"null"],
)
def test_a_response_that_is_not_a_list_is_an_error_that_shows_its_start(body: bytes) -> None:
    with pytest.raises(SourceError, match="it looks like" if body else "it is empty"):
        parse(body)


@pytest.mark.parametrize(
    "row", [{}, {"paper": None}, {"paper": {"title": {}}}, [], None, 3, {"paper": {"id": 5, "title": " "}}]
)
def test_a_row_without_a_usable_title_is_skipped(row: Any) -> None:
    page = parse(json.dumps([row]).encode())
    assert (page.sightings, len(page.skipped)) == ((), 1)


@pytest.mark.parametrize(
    ("ago", "first"),
    [
        (0, "2026-04-16"),
        (4, "2026-04-16"),
        (7, "2026-04-13"),
        (10, "2026-04-10"),
        (90, "2026-04-06"),
        (-5, "2026-04-16"),
    ],
)
def test_every_list_since_the_last_complete_run_is_requested_up_to_two_weeks(ago: int, first: str) -> None:
    requests = HuggingFace(lookback_days=4).requests(MORNING, MORNING - timedelta(ago))
    assert (requests[0].params["date"], requests[-1].params["date"]) == (first, "2026-04-20")
