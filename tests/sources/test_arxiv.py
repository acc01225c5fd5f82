"""arXiv's feed of a day's announcements, as the service really writes it."""

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.arxiv import Arxiv
from tests.conftest import DATA, MORNING

FEED = (DATA / "arxiv_rss.xml").read_bytes()


def read(body: bytes) -> Page:
    return Arxiv(("cs.LG",)).asks(MORNING)[0].read(body)


def test_each_category_is_asked_for_by_itself() -> None:
    asks = Arxiv(("cs.LG", "stat.ML"), url="https://mirror.example.org/rss/").asks(MORNING)
    assert [ask.url for ask in asks] == [
        "https://mirror.example.org/rss/cs.LG",
        "https://mirror.example.org/rss/stat.ML",
    ]
    assert Arxiv(("cs.LG",)).pause == 3.0


def test_new_and_cross_listed_papers_are_read_and_replacements_are_not() -> None:
    assert [s.paper.arxiv for s in read(FEED).sightings] == ["2604.12001", "2604.12002"]


def test_facts_are_read_and_made_readable() -> None:
    bridge, trees = (s.paper for s in read(FEED).sightings)
    assert bridge.title == "Bridges of Schrödinger and β-Divergences"
    assert bridge.abstract == "We bridge two distributions when a < b & c holds."
    assert bridge.authors == ("Paulo André Silva", "Mei Lin")
    assert bridge.categories == ("cs.LG", "stat.ML")
    assert (trees.doi, trees.link) == ("10.1000/trees.7", "https://arxiv.org/abs/2604.12002")


def test_it_has_neither_votes_nor_a_list_day() -> None:
    assert {(s.votes, s.day) for s in read(FEED).sightings} == {(None, None)}


def test_an_entry_without_a_title_is_named_and_the_rest_is_read() -> None:
    assert read(FEED).skipped == ("entry 5: it has no title",)


def test_a_weekend_feed_is_empty_and_no_error() -> None:
    assert read((DATA / "arxiv_empty.xml").read_bytes()) == Page(())


def test_an_error_that_comes_as_a_feed_is_an_error() -> None:
    with pytest.raises(SourceError, match="Feed error for query"):
        read((DATA / "arxiv_error.xml").read_bytes())


@pytest.mark.parametrize("body", [b"", b"<!DOCTYPE html><html><p>Sorry", b"[]", b"\x00\xff", FEED[: len(FEED) // 2]])
def test_an_answer_that_is_no_whole_feed_is_an_error(body: bytes) -> None:
    with pytest.raises(SourceError):
        read(body)


def test_an_xml_bomb_stays_small() -> None:
    entities = b"".join(b'<!ENTITY %c "%s">' % (n, b"&%c;" % (n - 1) * 10) for n in range(ord("b"), ord("j")))
    item = b"<item><title>x &i;</title><guid>oai:arXiv.org:2604.00001v1</guid></item>"
    bomb = b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "aaaaaaaaaa">' + entities
    bomb += b']><rss version="2.0"><channel><title>&i;</title>' + item + b"</channel></rss>"
    try:
        page = read(bomb)
    except SourceError:
        return
    assert sum(len(s.paper.title) for s in page.sightings) < 1_000
