"""arXiv's API, which fills what the feeds have let pass."""

from datetime import date

import pytest

from digest.errors import SourceError, TemporaryError
from digest.sources import Request
from digest.sources.arxiv import search_request
from tests.conftest import DATA, MORNING

PAGE = (DATA / "arxiv_api.xml").read_bytes()


def asked() -> Request:
    return search_request("https://export.arxiv.org/api/query", ["cs.LG"], date(2026, 4, 17), MORNING)


def test_facts_are_read() -> None:
    knots, old = (s.paper for s in asked().read(PAGE).sightings)
    assert (knots.title, knots.abstract) == ("Knots in Looms", "We tie k knots.")
    assert (knots.arxiv, knots.doi, knots.authors) == ("2604.13001", "10.1000/knots", ("Mei Lin", "Ada Lovelace"))
    assert (knots.published, knots.categories) == (date(2026, 4, 16), ("cs.LG",))
    assert old.arxiv == "math/0309136"


def test_the_next_page_begins_where_this_one_ends() -> None:
    following = asked().read(PAGE).next
    assert following
    assert following.params == {**asked().params, "start": "2"}
    assert following.read(PAGE.replace(b"<title>An Old One</title>", b"")).next is None


def test_a_page_that_is_empty_at_random_is_asked_for_again() -> None:
    empty = PAGE[: PAGE.index(b"<entry>")] + b"</feed>"
    with pytest.raises(TemporaryError, match="3 papers"):
        asked().read(empty)
    assert asked().read(empty.replace(b">3<", b">0<")).sightings == ()


def test_an_error_that_comes_as_an_entry_is_an_error() -> None:
    error = PAGE[: PAGE.index(b"<entry>")] + b"<entry><title>Error</title><summary>bad date</summary></entry></feed>"
    with pytest.raises(SourceError, match="bad date"):
        asked().read(error)


def test_a_feed_that_does_not_say_how_many_there_are_is_not_the_apis() -> None:
    with pytest.raises(SourceError, match="how many"):
        asked().read((DATA / "feed_atom.xml").read_bytes())
