"""Papers from a file of JSON Lines."""

import json
from datetime import date
from pathlib import Path

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.file import File
from tests.conftest import MORNING


def read(*lines: str) -> Page:
    return File(Path("papers.jsonl"), name="papers").asks(MORNING)[0].read("\n".join(lines).encode())


def test_every_field_is_read() -> None:
    row = {
        "title": "A title",
        "abstract": "An abstract.",
        "id": "arxiv:2401.00001v2",
        "doi": "10.1000/X",
        "authors": ["A", "B"],
        "url": "https://example.org/p",
        "published": "2026-04-01T10:00:00Z",
        "upvotes": 5,
        "categories": ["cs.LG"],
        "code": "https://example.org/c",
    }
    (sighting,) = read(json.dumps(row)).sightings
    found = sighting.paper
    assert (found.title, found.abstract, found.authors, found.categories) == (
        "A title",
        "An abstract.",
        ("A", "B"),
        ("cs.LG",),
    )
    assert (found.arxiv, found.doi, found.published, found.code) == (
        "2401.00001",
        "10.1000/x",
        date(2026, 4, 1),
        "https://example.org/c",
    )
    assert (sighting.votes, sighting.day) == (5, None)


def test_a_title_is_enough() -> None:
    (sighting,) = read('{"title": "Only this"}').sightings
    assert (sighting.paper.title, sighting.votes, sighting.paper.link) == ("Only this", None, "")


def test_an_id_may_be_anything() -> None:
    page = read(
        '{"title": "One title", "id": "p3"}', '{"title": "Two title", "id": 4}', '{"title": "Three title", "id": [1]}'
    )
    assert [s.paper.ident for s in page.sightings] == ["papers:p3", "papers:4", ""]


def test_broken_lines_are_named_by_number_and_the_rest_is_read() -> None:
    page = read(
        "\ufeff" + '{"title": "First"}',
        "{broken",
        "",
        "[1]",
        '{"abstract": "no title"}',
        '{"title": 5}',
        '{"title": "Last"}',
    )
    assert [s.paper.title for s in page.sightings] == ["First", "Last"]
    assert page.skipped == (
        "line 2: it is not JSON",
        "line 4: it is not an object",
        "line 5: it has no title",
        "line 6: it has no title",
    )


def test_wrong_types_in_other_fields_are_as_good_as_missing() -> None:
    wrong = {"abstract": 3, "authors": {"a": 1}, "upvotes": "many", "published": 2026, "categories": 1, "url": []}
    (sighting,) = read(json.dumps({"title": "T", **wrong})).sightings
    assert (sighting.paper.abstract, sighting.paper.authors, sighting.votes, sighting.paper.published) == (
        "",
        (),
        None,
        None,
    )


@pytest.mark.parametrize("votes", [-1, 1e400, True, None, "7"])
def test_votes_are_whole_numbers_from_zero(votes: object) -> None:
    (sighting,) = read(json.dumps({"title": "T", "upvotes": votes})).sightings
    assert sighting.votes is None


def test_a_file_with_no_paper_in_any_line_is_an_error_and_an_empty_one_is_not() -> None:
    assert read("") == Page(())
    with pytest.raises(SourceError, match="no line of it is a paper"):
        read("<html>", "<body>")
