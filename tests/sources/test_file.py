"""Papers from a JSON Lines file."""

import json
from datetime import date
from pathlib import Path

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.file import File
from tests.conftest import MORNING


def parse(*lines: str) -> Page:
    return File(Path("papers.jsonl"), name="papers").requests(MORNING)[0].parse("\n".join(lines).encode())


def test_every_field_is_parsed() -> None:
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
        "tldr": "It has a title.",
        "keywords": ["titles", "$\\beta$-tests"],
        "organization": "Example Lab",
        "stars": 12,
        "comments": 3,
        "discussion": "https://example.org/talk",
    }
    (sighting,) = parse(json.dumps(row)).sightings
    parsed = sighting.paper
    assert (parsed.title, parsed.abstract, parsed.authors, parsed.categories) == (
        "A title",
        "An abstract.",
        ("A", "B"),
        ("cs.LG",),
    )
    assert (parsed.arxiv, parsed.doi, parsed.published, parsed.code) == (
        "2401.00001",
        "10.1000/x",
        date(2026, 4, 1),
        "https://example.org/c",
    )
    assert (parsed.tldr, parsed.tldr_by, parsed.keywords) == ("It has a title.", "", ("titles", "β-tests"))
    assert (parsed.organization, parsed.stars, parsed.comments, parsed.discussion) == (
        "Example Lab",
        12,
        3,
        "https://example.org/talk",
    )
    assert (sighting.votes, sighting.day) == (5, None)


def test_a_title_is_enough() -> None:
    (sighting,) = parse('{"title": "Only this"}').sightings
    assert (sighting.paper.title, sighting.votes, sighting.paper.link) == ("Only this", None, "")


def test_an_id_may_be_anything() -> None:
    page = parse(
        '{"title": "One title", "id": "p3"}', '{"title": "Two title", "id": 4}', '{"title": "Three title", "id": [1]}'
    )
    assert [s.paper.ident for s in page.sightings] == ["papers:p3", "papers:4", ""]


def test_broken_lines_are_reported_by_number_and_the_others_are_parsed() -> None:
    page = parse(
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
        "line 4: it is not a JSON object",
        "line 5: it has no title",
        "line 6: it has no title",
    )


def test_other_fields_with_a_wrong_type_count_as_missing() -> None:
    wrong = {"abstract": 3, "authors": {"a": 1}, "upvotes": "many", "published": 2026, "categories": 1, "url": []}
    (sighting,) = parse(json.dumps({"title": "T", **wrong})).sightings
    assert (sighting.paper.abstract, sighting.paper.authors, sighting.votes, sighting.paper.published) == (
        "",
        (),
        None,
        None,
    )


@pytest.mark.parametrize("votes", [-1, 1e400, True, None, "7"])
def test_votes_that_are_not_a_number_from_zero_are_ignored(votes: object) -> None:
    (sighting,) = parse(json.dumps({"title": "T", "upvotes": votes})).sightings
    assert sighting.votes is None


def test_a_file_without_any_paper_is_an_error_but_an_empty_file_is_not() -> None:
    assert parse("") == Page(())
    with pytest.raises(SourceError, match="no line holds a paper"):
        parse("<html>", "<body>")
