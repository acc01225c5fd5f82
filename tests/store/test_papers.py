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
from digest.sources.feed import Feed
from digest.store.database import open_database
from digest.store.papers import Papers
from tests.conftest import MORNING

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


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_rows_are_the_consistent_components_of_shared_names(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    numbers = st.integers(1, 5)
    papers = data.draw(
        st.lists(
            st.builds(
                lambda title, arxiv, doi, own: build_paper(
                    f"The title of work {title}",
                    identifiers=[
                        f"2401.0000{arxiv}" if arxiv else "",
                        f"10.1000/{doi}" if doi else "",
                        f"p{own}" if own else "",
                    ],
                    source="source",
                ),
                numbers,
                st.none() | numbers,
                st.none() | numbers,
                st.none() | numbers,
            ),
            max_size=8,
        )
    )
    with open_database(tmp_path_factory.mktemp("history") / "history.db") as db:
        history = Papers(db)
        for _ in range(2):
            for paper in papers:
                history.record("source", [seen(paper)], DAY)
            named: dict[int, set[str]] = {number: set() for number in history.load(range(1000))}
            for name, number in db.execute("SELECT name, paper FROM names"):
                named[number].add(name)
            for group in components(papers):
                found = [number for number, names in named.items() if names & group]
                assert all(named[number] <= group for number in found)
                arxivs, dois = (strong(group, kind) for kind in ("arxiv:", "doi:"))
                if len(arxivs) <= 1 and len(dois) <= 1:
                    assert [named[number] for number in found] == [group]
            for number, paper in history.load(named).items():
                assert strong(named[number], "arxiv:") <= {f"arxiv:{paper.arxiv}"}
                assert strong(named[number], "doi:") <= {f"doi:{paper.doi}"}
            assert {name for names in named.values() for name in names} >= {paper_names(paper)[0] for paper in papers}


def strong(names: set[str], kind: str) -> set[str]:
    return {name for name in names if name.startswith(kind)}


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


def test_a_list_of_many_papers_is_recorded_like_many_lists(tmp_path: Path) -> None:
    preprints = [build_paper(f"Preprint {n}", identifiers=[f"2401.{n:05}"]) for n in range(400)]
    articles = [build_paper(f"Article {n}", identifiers=[f"10.1000/{n}"]) for n in range(400)]
    both = [build_paper(f"Both {n}", identifiers=[f"2401.{n:05}", f"10.1000/{n}"]) for n in range(400)]
    papers = [*preprints, *articles, *both]
    rows = []
    for number, answers in enumerate(([papers], [[paper] for paper in papers])):
        with open_database(tmp_path / f"{number}.db") as db:
            for answer in answers:
                Papers(db).record("source", map(seen, answer), DAY)
            rows.append(Papers(db).load(range(2000)))
    assert len(rows[0]) == 400
    assert rows[0] == rows[1]


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


# ---- what a feed may say about the papers of others ------------------------------------------------------------------


def listed(*items: str, name: str = "feed") -> tuple[Sighting, ...]:
    """What a feed with these items lists."""
    content = "".join(f"<item>{item}</item>" for item in items)
    body = f'<rss version="2.0"><channel><title>F</title>{content}</channel></rss>'.encode()
    return Feed(f"https://{name}.example.org/", name).requests(MORNING)[0].parse(body).sightings


def known_papers(kind: str) -> list[Paper]:
    """Twelve papers of other sources: with arXiv ids, DOIs, both, or by turns one and the other; or titles alone."""
    return [
        build_paper(
            f"The title of work {n}",
            abstract=f"The abstract of work {n}.",
            authors=[f"Author {n}"],
            categories=["cs.LG"],
            published=DAY,
            identifiers=[
                f"2401.{n:05}" if kind in ("arxiv", "both") or (kind == "mixed" and n % 2) else "",
                f"10.1000/{n}" if kind in ("doi", "both") or (kind == "mixed" and not n % 2) else "",
            ],
            source="good",
        )
        for n in range(12)
    ]


LIES = {
    "the title of one, the arXiv id of the next": lambda n: (
        f"<title>The title of work {n}</title><link>https://arxiv.org/abs/2401.{n + 1:05}</link>"
    ),
    "the title of one, the DOI of the next": lambda n: (
        f"<title>The title of work {n}</title><link>https://doi.org/10.1000/{n + 1}</link>"
    ),
    "the arXiv id of one, the DOI of the next": lambda n: (
        f"<title>Something else {n}</title><link>https://arxiv.org/abs/2401.{n:05}</link>"
        f"<guid isPermaLink='false'>doi:10.1000/{n + 1}</guid>"
    ),
    "every title with the same guid": lambda n: (
        f"<title>The title of work {n}</title><guid isPermaLink='false'>urn:x</guid>"
    ),
    "every title with the same DOI": lambda n: (
        f"<title>The title of work {n}</title><link>https://doi.org/10.9999/x</link>"
    ),
    "every title with the same arXiv id": lambda n: (
        f"<title>The title of work {n}</title><link>https://arxiv.org/abs/2401.99999</link>"
    ),
    "identifiers that nobody has yet": lambda n: (
        f"<title>The title of work {n}</title><link>https://arxiv.org/abs/2402.{n:05}</link>"
        f"<guid isPermaLink='false'>doi:10.2000/{n}</guid>"
    ),
}


@pytest.mark.parametrize("kind", ["arxiv", "doi", "both", "mixed", "title"])
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_feed_changes_no_paper_of_another_source(tmp_path: Path, lie: str, kind: str, at_once: bool) -> None:
    with open_database(tmp_path / "history.db") as db:
        history = Papers(db)
        history.record("good", [seen(paper) for paper in known_papers(kind)], DAY)
        before, names = history.load(range(1000)), set(db.execute("SELECT name, paper FROM names"))
        lies = listed(*map(LIES[lie], range(12)))
        for answer in [lies] if at_once else [[sighting] for sighting in lies]:
            history.record("feed", answer, DAY)
        after = history.load(range(1000))
        assert len(before) == 12
        assert {number: after.get(number) for number in before} == before
        assert {pair for pair in db.execute("SELECT name, paper FROM names") if pair[1] in before} == names
        history.record("good", [seen(paper) for paper in known_papers(kind)], DAY + timedelta(1))
        assert {number: history.load(range(1000)).get(number) for number in before} == before


def test_a_guid_that_several_entries_share_names_none_of_them(history: Papers) -> None:
    answer = listed(
        *(
            f"<title>Something about {word}</title><guid isPermaLink='false'>urn:x</guid>"
            for word in "moss tides owls".split()
        )
    )
    assert history.record("feed", answer, DAY) == 3
    assert history.record("feed", answer, DAY + timedelta(1)) == 0
    assert len(history.load(range(1000))) == 3


def test_an_entry_is_known_by_its_guid_when_its_title_is_edited(history: Papers) -> None:
    for title in ("On moss", "On mosses, corrected"):
        history.record("feed", listed(f"<title>{title}</title><guid isPermaLink='false'>urn:1</guid>"), DAY)
    assert [paper.title for paper in history.load(range(1000)).values()] == ["On moss"]


ADVERTISEMENT = (
    "<title>Buy now</title><link>https://arxiv.org/abs/2401.00001</link><description>" + "Buy this. " * 99
) + "</description><author>a@example.org (Eve, Mallory, Trudy)</author><category>cs.AD</category>"
GOOD = build_paper(
    "A good paper",
    abstract="It is short.",
    authors=["Ada Lovelace"],
    identifiers=["2401.00001"],
    categories=["cs.LG"],
    url="https://arxiv.org/abs/2401.00001",
)


@pytest.mark.parametrize("feed_first", [True, False])
def test_a_feed_replaces_no_text_of_a_better_source(history: Papers, feed_first: bool) -> None:
    answers = [("feed", listed(ADVERTISEMENT)), ("arxiv", (seen(GOOD),))]
    for source, answer in answers if feed_first else reversed(answers):
        history.record(source, answer, DAY)
    (paper,) = history.load(range(1000)).values()
    assert (paper.title, paper.abstract, paper.authors, paper.categories, paper.url) == (
        GOOD.title,
        GOOD.abstract,
        GOOD.authors,
        GOOD.categories,
        GOOD.url,
    )


def test_a_feed_that_claims_identifiers_beforehand_hides_no_paper(history: Papers) -> None:
    history.record("feed", listed(ADVERTISEMENT, "<title>A good paper</title>"), DAY - timedelta(30))
    assert history.candidates(DAY, 7) == []
    history.record("arxiv", [seen(GOOD)], DAY)
    (candidate,) = history.candidates(DAY, 7)
    assert history.load([candidate.id])[candidate.id].abstract == GOOD.abstract
    history.record("feed", listed(ADVERTISEMENT), DAY)
    assert len(history.candidates(DAY, 7)) == 1


def test_a_feed_fills_in_what_a_better_source_did_not_say(history: Papers) -> None:
    history.record("file", [seen(build_paper("A good paper", identifiers=["2401.00001"]))], DAY)
    history.record("feed", listed(ADVERTISEMENT.replace("Buy now", "A good paper")), DAY)
    (paper,) = history.load(range(1000)).values()
    assert (paper.abstract[:9], paper.categories) == ("Buy this.", ("cs.AD",))


def test_a_paper_whose_doi_is_learnt_later_stays_one_paper(history: Papers) -> None:
    history.record("arxiv", [seen(build_paper("A good paper", identifiers=["2401.00001v1"]))], DAY)
    history.record("journal", [seen(build_paper("A Good Paper Indeed", identifiers=["10.1000/x"]))], DAY)
    assert len(history.load(range(1000))) == 2
    both = build_paper("A good paper", identifiers=["2401.00001v2", "10.1000/X"])
    assert history.record("arxiv", [seen(both)], DAY + timedelta(1)) == 0
    assert len(history.load(range(1000))) == 1


def test_another_doi_of_the_same_preprint_is_no_other_paper(history: Papers) -> None:
    for doi in ("10.1000/conference", "10.1000/journal"):
        history.record("arxiv", [seen(build_paper(f"Title for {doi}", identifiers=["2401.00001", doi]))], DAY)
    (paper,) = history.load(range(1000)).values()
    assert paper.doi == "10.1000/conference"


def test_papers_that_an_earlier_version_joined_stay_one(history: Papers, tmp_path: Path) -> None:
    """Histories have rows with two arXiv ids, from when a title was enough to join them."""
    history.record("arxiv", [seen(GOOD)], DAY)
    with open_database(tmp_path / "history.db") as db, db.conn:
        db.execute("INSERT INTO names VALUES ('arxiv:2401.00002', 1)")
    again = build_paper("A good paper", identifiers=["2401.00002"])
    for _ in range(2):
        assert history.record("arxiv", [seen(again)], DAY) == 0
    assert history.find("2401.00002") == 1
