"""arXiv's daily feed, as the service really writes it."""

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.arxiv import Arxiv
from tests.conftest import DATA, MORNING

FEED = (DATA / "arxiv_rss.xml").read_bytes()


def parse(body: bytes) -> Page:
    return Arxiv(("cs.LG",)).requests(MORNING)[0].parse(body)


def test_each_category_is_a_request_of_its_own() -> None:
    requests = Arxiv(("cs.LG", "stat.ML"), url="https://mirror.example.org/rss/").requests(MORNING)
    assert [request.url for request in requests] == [
        "https://mirror.example.org/rss/cs.LG",
        "https://mirror.example.org/rss/stat.ML",
    ]
    assert Arxiv(("cs.LG",)).pause == 3.0


def test_new_and_cross_listed_papers_are_taken_and_replacements_are_not() -> None:
    assert [s.paper.arxiv for s in parse(FEED).sightings] == ["2604.12001", "2604.12002"]


def test_fields_are_parsed_and_made_readable() -> None:
    bridge, trees = (s.paper for s in parse(FEED).sightings)
    assert bridge.title == "Bridges of Schrödinger and β-Divergences"
    assert bridge.abstract == "We bridge two distributions when a < b & c holds."
    assert bridge.authors == ("Paulo André Silva", "Mei Lin")
    assert bridge.categories == ("cs.LG", "stat.ML")
    assert (trees.doi, trees.link) == ("10.1000/trees.7", "https://arxiv.org/abs/2604.12002")


def test_there_are_no_votes_and_no_list_day() -> None:
    assert {(s.votes, s.day) for s in parse(FEED).sightings} == {(None, None)}


def test_an_entry_without_a_title_is_reported_and_the_others_are_parsed() -> None:
    assert parse(FEED).skipped == ("entry 5: it has no title",)


def test_an_empty_weekend_feed_is_not_an_error() -> None:
    assert parse((DATA / "arxiv_empty.xml").read_bytes()) == Page(())


def test_a_feed_that_reports_an_error_is_an_error() -> None:
    with pytest.raises(SourceError, match="Feed error for query"):
        parse((DATA / "arxiv_error.xml").read_bytes())


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><html><p>Sorry", b"[]", b"\x00\xff", FEED[: len(FEED) // 2]])
def test_a_response_that_is_not_a_complete_feed_is_an_error(body: bytes) -> None:
    with pytest.raises(SourceError):
        parse(body)


def test_an_xml_bomb_stays_small() -> None:
    entities = b"".join(b'<!ENTITY %c "%s">' % (n, b"&%c;" % (n - 1) * 10) for n in range(ord("b"), ord("j")))
    item = b"<item><title>x &i;</title><guid>oai:arXiv.org:2604.00001v1</guid></item>"
    bomb = b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">' + entities
    bomb += b']><rss version="2.0"><channel><title>&i;</title>' + item + b"</channel></rss>"
    try:
        page = parse(bomb)
    except SourceError:
        return
    assert sum(len(s.paper.title) for s in page.sightings) < 1_000
