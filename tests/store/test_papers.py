"""A paper is one row, whatever it is called and in whatever order its names arrive."""

import itertools
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.papers import Paper, build_paper, paper_names
from digest.sources import Sighting
from digest.store.database import open_database
from digest.store.papers import Papers

DAY = date(2026, 4, 20)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[Papers]:
    with open_database(tmp_path / "history.db") as db:
        yield Papers(db)


def seen(paper: Paper, votes: int | None = None, day: date = DAY) -> Sighting:
    return Sighting(paper, day, votes)


def rows(history: Papers, papers: Iterable[Paper]) -> int:
    """How many rows the names of the papers lead to."""
    return len(
        {
            history.find(name)
            for paper in papers
            for name in paper_names(paper)
            if not name.startswith(("title:", "id:"))
        }
    )


ARXIV = build_paper("A title", identifiers=["2401.00001v1"], source="a")
DOI = build_paper("Quite another title", identifiers=["10.1000/x"], source="b")
BOTH = build_paper("A third title", identifiers=["arXiv:2401.00001v2", "10.1000/X"], source="c")
BY_TITLE = build_paper("QUITE another -- title", source="d")
OTHER = build_paper("Nothing to do with it", identifiers=["2401.00002"], source="a")


@pytest.mark.parametrize("order", list(itertools.permutations([ARXIV, DOI, BOTH, BY_TITLE, OTHER])))
def test_names_connect_in_any_order_of_arrival(tmp_path: Path, order: tuple[Paper, ...]) -> None:
    with open_database(tmp_path / "history.db") as db:
        history = Papers(db)
        for number, paper in enumerate(order):
            history.record(f"source {number}", [seen(paper, votes=number)], DAY)
        assert len(history.load(range(1000))) == 2
        assert history.find("2401.00001") == history.find("doi:10.1000/x") != history.find("2401.00002")
        listings = {c.id: len(c.listings) for c in history.candidates(DAY, 7)}
        assert sorted(listings.values()) == [1, 4]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_rows_are_the_connected_components_of_shared_names(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    numbers = st.integers(1, 5)
    papers = data.draw(
        st.lists(
            st.builds(
                lambda title, arxiv, doi: build_paper(
                    f"The title of work {title}",
                    identifiers=[f"2401.0000{arxiv}" if arxiv else "", f"10.1000/{doi}" if doi else ""],
                ),
                numbers,
                st.none() | numbers,
                st.none() | numbers,
            ),
            max_size=8,
        )
    )
    with open_database(tmp_path_factory.mktemp("history") / "history.db") as db:
        history = Papers(db)
        for paper in papers:
            history.record("source", [seen(paper)], DAY)
        assert len(history.load(range(1000))) == len(components(papers))


def components(papers: list[Paper]) -> list[set[str]]:
    """The oracle: sets of names, joined wherever they meet."""
    groups: list[set[str]] = []
    for paper in papers:
        called = set(paper_names(paper))
        touching = [group for group in groups if group & called]
        groups = [group for group in groups if not group & called] + [called.union(*touching)]
    return groups


def test_recording_again_changes_nothing(history: Papers) -> None:
    assert history.record("source", [seen(ARXIV, 3), seen(OTHER, 4)], DAY) == 2
    before = history.candidates(DAY, 7)
    assert history.record("source", [seen(ARXIV, 3), seen(OTHER, 4)], DAY) == 0
    assert history.candidates(DAY, 7) == before


def test_a_later_reading_of_a_day_takes_the_place_of_the_earlier_one(history: Papers) -> None:
    history.record("source", [seen(ARXIV, 3)], DAY)
    history.record("source", [seen(ARXIV, 9)], DAY)
    history.record("source", [seen(ARXIV, None)], DAY)
    history.record("source", [seen(ARXIV, 12)], DAY + timedelta(1))
    (candidate,) = history.candidates(DAY + timedelta(1), 7)
    assert candidate.listings[0].readings == ((DAY, 9), (DAY + timedelta(1), 12))
    assert candidate.listings[0].votes == 12


def test_the_day_before_does_not_know_the_day_after(history: Papers) -> None:
    history.record("source", [seen(ARXIV, 3)], DAY)
    history.record("source", [seen(ARXIV, 99), seen(OTHER, 5)], DAY + timedelta(1))
    (candidate,) = history.candidates(DAY, 7)
    assert candidate.listings[0].votes == 3


def test_a_paper_is_a_candidate_for_the_window_after_it_was_first_seen(history: Papers) -> None:
    history.record("source", [seen(ARXIV)], DAY)
    for later in range(1, 12):
        history.record("source", [seen(ARXIV)], DAY + timedelta(later))
    assert [bool(history.candidates(DAY + timedelta(n), 7)) for n in (0, 7, 8)] == [True, True, False]


def test_text_comes_back_as_it_went_in(history: Papers) -> None:
    paper = build_paper(
        "O(n²) — 中文 & <b>",
        abstract="…",
        authors=["Émile", "李"],
        identifiers=["2401.00001"],
        categories=["cs.LG"],
        published=DAY,
        url="https://example.org/a",
        code="https://example.org/c",
    )
    history.record("source", [seen(paper)], DAY)
    assert history.load([1]) == {1: paper}


@pytest.mark.parametrize("name", ["p3", "arxiv:2401.00001v7", "https://arxiv.org/abs/2401.00001", "10.1000/X"])
def test_a_paper_is_found_by_any_of_its_names(history: Papers, name: str) -> None:
    history.record(
        "papers", [seen(build_paper("Found", identifiers=["2401.00001", "p3", "10.1000/x"], source="papers"))], DAY
    )
    assert history.find(name) == 1
    assert history.find("p4") is None


def test_a_source_without_list_days_lists_a_paper_on_the_day_it_first_showed_it(history: Papers) -> None:
    history.record("file", [Sighting(ARXIV, votes=10)], DAY)
    history.record("file", [Sighting(ARXIV, votes=480)], DAY + timedelta(2))
    (candidate,) = history.candidates(DAY + timedelta(2), 7)
    assert [(listing.day, listing.readings) for listing in candidate.listings] == [
        (DAY, ((DAY, 10), (DAY + timedelta(2), 480)))
    ]
