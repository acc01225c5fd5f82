"""The list of preprints from bioRxiv and medRxiv, as the service really writes it."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from digest.errors import SourceError, TemporaryError
from digest.sources import Page, Request
from digest.sources.biorxiv import Biorxiv, Medrxiv
from tests.conftest import MORNING


def row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "title": f"Preprint {number}",
        "authors": "Ghali, T. R.; Quill, A.",
        "doi": f"10.64898/2026.04.17.{number:06}",
        "date": "2026-4-7",
        "version": "1",
        "category": "neuroscience",
        "abstract": "We <italic>measured</italic> it.",
        "published": "NA",
        **fields,
    }


def listed(*rows: object, cursor: int = 0, total: int | str | None = None, status: str = "ok") -> bytes:
    message = {"status": status, "cursor": cursor, "count": len(rows), "total": len(rows) if total is None else total}
    return json.dumps({"messages": [message], "collection": rows}).encode()


def request(source: Biorxiv | None = None) -> Request:
    return (source or Biorxiv()).requests(MORNING)[0]


def parse(body: bytes, source: Biorxiv | None = None) -> Page:
    return request(source).parse(body)


def test_days_that_may_still_grow_and_missed_days_are_requested() -> None:
    assert request().url == "https://api.biorxiv.org/details/biorxiv/2026-04-18/2026-04-20/0"
    assert request(Medrxiv(url="https://mirror.example.org/d")).url.startswith(
        "https://mirror.example.org/d/medrxiv/2026"
    )
    for days, first in ((1, "2026-04-18"), (6, "2026-04-14"), (90, "2026-04-06")):
        (later,) = Biorxiv().requests(MORNING, MORNING - timedelta(days))
        assert f"/{first}/2026-04-20/" in later.url


def test_fields_are_parsed_and_another_version_is_the_same_paper() -> None:
    first, second = (s.paper for s in parse(listed(row(1), row(1, version="2", date="2026-04-17"))).sightings)
    assert (first.doi, second.doi) == ("10.64898/2026.04.17.000001",) * 2
    assert first.authors == ("Ghali, T. R.", "Quill, A.")
    assert (first.published, second.published) == (date(2026, 4, 7), date(2026, 4, 17))
    assert first.abstract == "We measured it."
    assert (first.categories, first.link) == (
        ("neuroscience",),
        "https://www.biorxiv.org/content/10.64898/2026.04.17.000001",
    )


def test_pages_follow_until_the_total_which_may_be_a_string() -> None:
    page = parse(listed(row(1), row(2), total="3"))
    assert page.next
    assert page.next.url.endswith("/2026-04-20/2")
    assert page.next.parse(listed(row(3), cursor=2, total="3")).next is None


def test_a_page_that_is_empty_by_mistake_is_a_temporary_error() -> None:
    with pytest.raises(TemporaryError, match="3 papers"):
        parse(listed(total=3))


def test_no_posts_found_is_an_empty_page_and_another_status_is_an_error() -> None:
    assert parse(listed(status="no posts found")) == Page(())
    with pytest.raises(SourceError, match="try later"):
        parse(listed(status="try later"))


def test_only_papers_of_the_categories_are_taken() -> None:
    page = parse(listed(row(1), row(2, category="Cell Biology")), Biorxiv(categories=("cell_biology",)))
    assert [s.paper.title for s in page.sightings] == ["Preprint 2"]


def test_broken_rows_are_reported_and_the_others_are_parsed() -> None:
    page = parse(listed(row(1, date="soon", authors=None), "row", row(3, title="")))
    assert [s.paper.published for s in page.sightings] == [None]
    assert page.skipped == ("row 2: it is not a JSON object", "row 3: it has no title")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"messages": [], "collection": []}', b"[" * 90_000])
def test_a_response_that_is_not_a_list_is_an_error(body: bytes) -> None:
    with pytest.raises(SourceError):
        parse(body)
