"""More like these: by the words papers share, and with the extra by what the words mean."""

import random
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.errors import PaperNotFound
from digest.papers import Paper, build_paper
from digest.pipeline.similar import SimilarPapers
from digest.ranking import embeddings
from digest.ranking.similarity import scale_similarities
from digest.ranking.topics import Topic
from digest.sources import Sighting
from digest.store.database import open_database
from digest.store.papers import Papers
from digest.store.search import SearchIndex

DAY = date(2026, 4, 20)
THEMES = {
    "otters": "otter river fish holt whisker swim fur bank webbed tail stream pups".split(),
    "stars": "stellar mass galaxy redshift telescope orbit nova spectrum dust halo cluster light".split(),
    "proofs": "lemma theorem proof induction logic axiom tactic kernel type checker inference term".split(),
}


def written(theme: str, number: int) -> Paper:
    rng = random.Random(f"{theme}{number}")
    words = [*rng.sample(THEMES[theme], 6), "method", "results"]
    return build_paper(
        f"On {words[0]} {words[1]} {theme[0]}{number}", abstract=" ".join(words), identifiers=[f"{theme}{number}"]
    )


PAPERS = [written(theme, n) for theme in THEMES for n in range(40)]


@pytest.fixture(params=["plain", "semantic"])
def db(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    if request.param == "semantic":
        pytest.importorskip("wordllama", reason="the extra `semantic` is not installed")
    else:
        monkeypatch.setattr(embeddings, "installed", lambda: False)
    with open_database(tmp_path / "history.db") as db:
        Papers(db).record("file", [Sighting(paper) for paper in PAPERS], DAY)
        yield db


def likeness(db: Database) -> SimilarPapers:
    return SimilarPapers(Papers(db), SearchIndex(db))


def test_papers_like_some_are_those_of_their_theme(db: Database) -> None:
    alike = likeness(db).to_topic(Topic("T", like=(PAPERS[0].title, PAPERS[1].title)), range(1, 121))
    strong = [number for number, one in alike.items() if one.share >= 0.1]
    assert len(strong) >= 5
    assert set(strong) <= set(range(1, 41))
    assert (alike[1].share, alike[1].to) == (1.0, PAPERS[0].title)


def test_a_text_will_do_and_an_unknown_name_likes_nothing(db: Database) -> None:
    like = likeness(db)
    liked = like.resolve("otters swim in the river for fish")
    assert liked
    found = like.find_similar(liked, date.min, 5)
    assert {hit.id for hit in found} <= set(range(1, 41))
    assert like.resolve("arxiv:2401.00001") is None
    assert like.to_topic(Topic("T", like=("arxiv:2401.00001",)), range(1, 121)) == {}


def test_search_like_a_paper_leaves_that_paper_out_and_goes_with_words_and_days(db: Database) -> None:
    found = likeness(db).search("", PAPERS[50].title, date.min, 10)
    assert len(found) == 10
    assert PAPERS[50] not in [one for one, _ in found]
    assert all(one.title.split()[-1][0] == "s" for one, _ in found)
    both = likeness(db).search("galaxy", PAPERS[50].title, date.min, 5)
    assert both
    assert all("galaxy" in one.abstract for one, _ in both)
    assert likeness(db).search("", PAPERS[50].title, date(2027, 1, 1), 5) == []
    with pytest.raises(PaperNotFound):
        likeness(db).search("", "2401.00001", date.min, 5)


def test_an_empty_history_is_like_nothing(tmp_path: Path) -> None:
    with open_database(tmp_path / "history.db") as db:
        assert likeness(db).search("otters", "", date.min, 5) == []
        assert likeness(db).search("", "otters", date.min, 5) == []


def test_vectors_are_made_once_and_again_when_the_text_changes(tmp_path: Path) -> None:
    with open_database(tmp_path / "history.db") as db:
        history, archive = Papers(db), SearchIndex(db)
        history.record("file", [Sighting(PAPERS[0]), Sighting(PAPERS[1])], DAY)
        archive.store_vectors("one", {1: b"a", 2: b"b"})
        assert archive.vectors("one", [1, 2, 3]) == {1: b"a", 2: b"b"}
        history.record("file", [Sighting(PAPERS[0])], DAY)
        assert archive.vectors("one", [1]) == {1: b"a"}
        history.record("file", [Sighting(build_paper(PAPERS[0].title, abstract=PAPERS[0].abstract + " and more"))], DAY)
        assert archive.vectors("one", [1, 2]) == {2: b"b"}
        archive.store_vectors("another", {1: b"c"})
        assert archive.vectors("one", [2]) == {}


def test_likeness_is_what_stands_out() -> None:
    assert scale_similarities([]) == []
    assert scale_similarities([0.3, 0.3, 0.3]) == [0.0, 0.0, 0.0]
    shares = scale_similarities([0.1, 0.12] * 50 + [0.9])
    assert shares[:100] == [0.0] * 100
    assert shares[-1] == 1.0
