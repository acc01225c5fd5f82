"""arXiv's search API, which finds the papers of missed batches."""

from datetime import date

import pytest

from digest.errors import SourceError, TemporaryError
from digest.sources import Request
from digest.sources.arxiv import search_request
from tests.conftest import DATA, MORNING

PAGE = (DATA / "arxiv_api.xml").read_bytes()


def request() -> Request:
    return search_request("https://export.arxiv.org/api/query", ["cs.LG"], date(2026, 4, 17), MORNING)


def test_fields_are_parsed() -> None:
    knots, old = (s.paper for s in request().parse(PAGE).sightings)
    assert (knots.title, knots.abstract) == ("Knots in Looms", "We tie k knots.")
    assert (knots.arxiv, knots.doi, knots.authors) == ("2604.13001", "10.1000/knots", ("Mei Lin", "Ada Lovelace"))
    assert (knots.published, knots.categories) == (date(2026, 4, 16), ("cs.LG",))
    assert old.arxiv == "math/0309136"


def test_the_next_page_starts_where_this_one_ends() -> None:
    next_request = request().parse(PAGE).next
    assert next_request
    assert next_request.params == {**request().params, "start": "2"}
    assert next_request.parse(PAGE.replace(b"<title>An Old One</title>", b"")).next is None


def test_a_page_that_is_empty_by_mistake_is_a_temporary_error() -> None:
    empty = PAGE[: PAGE.index(b"<entry>")] + b"</feed>"
    with pytest.raises(TemporaryError, match="3 papers"):
        request().parse(empty)
    assert request().parse(empty.replace(b">3<", b">0<")).sightings == ()


def test_an_entry_that_reports_an_error_is_an_error() -> None:
    error = PAGE[: PAGE.index(b"<entry>")] + b"<entry><title>Error</title><summary>bad date</summary></entry></feed>"
    with pytest.raises(SourceError, match="bad date"):
        request().parse(error)


def test_a_feed_without_a_total_is_an_error() -> None:
    with pytest.raises(SourceError, match="how many"):
        request().parse((DATA / "feed_atom.xml").read_bytes())
