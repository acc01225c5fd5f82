"""bioRxiv's and medRxiv's list of what was posted, as the service really writes it."""

import json
from datetime import date, timedelta
from typing import Any

import pytest

from digest.errors import SourceError, TemporaryError
from digest.sources import Page, Request
from digest.sources.biorxiv import Biorxiv, Medrxiv
from tests.conftest import MORNING


def row(number: int, **facts: Any) -> dict[str, Any]:
    return {
        "title": f"Preprint {number}",
        "authors": "Ghali, T. R.; Quill, A.",
        "doi": f"10.64898/2026.04.17.{number:06}",
        "date": "2026-4-7",
        "version": "1",
        "category": "neuroscience",
        "abstract": "We <italic>measured</italic> it.",
        "published": "NA",
        **facts,
    }


def listed(*rows: object, cursor: int = 0, total: int | str | None = None, status: str = "ok") -> bytes:
    message = {"status": status, "cursor": cursor, "count": len(rows), "total": len(rows) if total is None else total}
    return json.dumps({"messages": [message], "collection": rows}).encode()


def ask(source: Biorxiv | None = None) -> Request:
    return (source or Biorxiv()).asks(MORNING)[0]


def read(body: bytes, source: Biorxiv | None = None) -> Page:
    return ask(source).read(body)


def test_it_asks_for_the_days_that_may_still_grow_and_for_those_missed() -> None:
    assert ask().url == "https://api.biorxiv.org/details/biorxiv/2026-04-18/2026-04-20/0"
    assert ask(Medrxiv(url="https://mirror.example.org/d")).url.startswith("https://mirror.example.org/d/medrxiv/2026")
    for days, first in ((1, "2026-04-18"), (6, "2026-04-14"), (90, "2026-04-06")):
        (found,) = Biorxiv().asks(MORNING, MORNING - timedelta(days))
        assert f"/{first}/2026-04-20/" in found.url


def test_facts_are_read_and_the_version_makes_no_other_paper() -> None:
    first, second = (s.paper for s in read(listed(row(1), row(1, version="2", date="2026-04-17"))).sightings)
    assert (first.doi, second.doi) == ("10.64898/2026.04.17.000001",) * 2
    assert first.authors == ("Ghali, T. R.", "Quill, A.")
    assert (first.published, second.published) == (date(2026, 4, 7), date(2026, 4, 17))
    assert first.abstract == "We measured it."
    assert (first.categories, first.link) == (
        ("neuroscience",),
        "https://www.biorxiv.org/content/10.64898/2026.04.17.000001",
    )


def test_pages_follow_until_the_total_which_may_be_a_text() -> None:
    page = read(listed(row(1), row(2), total="3"))
    assert page.next
    assert page.next.url.endswith("/2026-04-20/2")
    assert page.next.read(listed(row(3), cursor=2, total="3")).next is None


def test_an_empty_page_that_should_not_be_is_asked_for_again() -> None:
    with pytest.raises(TemporaryError, match="3 papers"):
        read(listed(total=3))


def test_no_posts_is_an_answer_and_another_status_is_not() -> None:
    assert read(listed(status="no posts found")) == Page(())
    with pytest.raises(SourceError, match="try later"):
        read(listed(status="try later"))


def test_categories_choose() -> None:
    page = read(listed(row(1), row(2, category="Cell Biology")), Biorxiv(categories=("cell_biology",)))
    assert [s.paper.title for s in page.sightings] == ["Preprint 2"]


def test_broken_rows_are_named_and_the_rest_is_read() -> None:
    page = read(listed(row(1, date="soon", authors=None), "row", row(3, title="")))
    assert [s.paper.published for s in page.sightings] == [None]
    assert page.skipped == ("row 2: it is not an object", "row 3: it has no title")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"messages": [], "collection": []}', b"[" * 90_000])
def test_what_is_no_list_is_an_error(body: bytes) -> None:
    with pytest.raises(SourceError):
        read(body)
