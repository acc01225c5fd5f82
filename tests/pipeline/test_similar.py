"""More like these: by the words papers share, and with the extra by what the words mean."""

import random
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.errors import PaperNotFound
from digest.papers import Paper, build_paper
from digest.pipeline import similar
from digest.pipeline.similar import LikedPaper, SimilarPapers
from digest.ranking.embeddings import Basis
from digest.ranking.similarity import scale_similarities
from digest.ranking.topics import Similarity, Topic
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
        pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    else:
        monkeypatch.setattr(similar, "installed", lambda: False)
    with open_database(tmp_path / "history.db") as db:
        Papers(db).record("file", [Sighting(paper) for paper in PAPERS], DAY)
        yield db


def likeness(db: Database) -> SimilarPapers:
    return SimilarPapers(Papers(db), SearchIndex(db))


def to_topic(db: Database, *like: str) -> dict[int, Similarity]:
    topic = Topic("T", like=like)
    return likeness(db).to_topics([topic, Topic("other")], range(1, 121)).get(topic, {})


def test_papers_like_some_are_those_of_their_theme(db: Database) -> None:
    alike = to_topic(db, PAPERS[0].title, PAPERS[1].title)
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
    assert to_topic(db, "arxiv:2401.00001") == {}


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


def test_vectors_are_made_once_and_again_when_the_text_or_the_basis_changes(tmp_path: Path) -> None:
    with open_database(tmp_path / "history.db") as db:
        history, index = Papers(db), SearchIndex(db)
        history.record("file", [Sighting(PAPERS[0]), Sighting(PAPERS[1])], DAY)
        assert index.basis() is None
        first = index.replace_basis(Basis(("otter", "river"), b"axes"), 2)
        assert index.basis() == first
        index.store_vectors(first.id, {1: b"a", 2: b"b", 99: b"of a deleted paper"})
        assert index.vectors(first.id, [1, 2, 3]) == index.all_vectors(first.id, date.min) == {1: b"a", 2: b"b"}
        history.record("file", [Sighting(PAPERS[0])], DAY)
        assert index.without_vector(first.id) == []
        history.record("file", [Sighting(build_paper(PAPERS[0].title, abstract=PAPERS[0].abstract + " and more"))], DAY)
        assert (index.vectors(first.id, [1, 2]), index.without_vector(first.id)) == ({2: b"b"}, [1])
        assert index.all_vectors(first.id, DAY + timedelta(1)) == {}
        second = index.replace_basis(Basis((), b""), 2)
        index.store_vectors(first.id, {1: b"by a process that still had the first"})
        assert index.without_vector(second.id) == [1, 2]
        assert index.vectors(first.id, [1, 2]) == {}


def test_the_basis_is_made_again_only_when_the_history_has_doubled(tmp_path: Path) -> None:
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    with open_database(tmp_path / "history.db") as db:
        made = []
        for number in range(len(PAPERS)):
            Papers(db).record("file", [Sighting(PAPERS[number])], DAY)
            likeness(db).space([number + 1])
            stored = SearchIndex(db).basis()
            assert stored
            made.append(stored.papers)
        assert list(dict.fromkeys(made)) == [1, 2, 4, 8, 16, 32, 64]
        assert likeness(db).search("", PAPERS[50].title, date.min, 10)
        assert stored
        assert SearchIndex(db).without_vector(stored.id) == []


def test_how_near_a_paper_is_compared_with_the_others(db: Database) -> None:
    topics = [Topic("O", like=(PAPERS[0].title, PAPERS[1].title)), Topic("S", like=("stellar mass",)), Topic("N")]
    others = range(1, 121)
    near = likeness(db).nearness(topics, 5, others)
    assert [(one.topic, one.to in (PAPERS[0].title, PAPERS[1].title)) for one in near] == [("O", True), ("S", False)]
    assert near[0].nearer > 0.6
    assert near[0].nearer > near[1].nearer
    assert [one.topic for one in likeness(db).nearness(topics, 1, others)] == ["S"], "a liked paper is not near itself"
    best = likeness(db).find_similar(LikedPaper(1, PAPERS[0]), date.min, 1)[0].id
    assert likeness(db).nearness([Topic("O", like=(PAPERS[0].title,))], best, others)[0].nearer == 1.0


def test_likeness_is_what_stands_out() -> None:
    assert scale_similarities([]) == []
    assert scale_similarities([0.3, 0.3, 0.3]) == [0.0, 0.0, 0.0]
    shares = scale_similarities([0.1, 0.12] * 50 + [0.9])
    assert shares[:100] == [0.0] * 100
    assert 0.9 < shares[-1] < 1.0
    apart = scale_similarities([0.0] * 100 + [0.7, 0.8, 0.9])[100:]
    assert apart == sorted(set(apart)), "no two of the best are equal"
