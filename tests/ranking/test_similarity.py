"""A space of papers scores them against those that a reader likes and dislikes, by words and by meaning."""

import random
from collections.abc import Callable, Mapping

import pytest

from digest.papers import Paper
from digest.ranking.embeddings import VectorSpace, fit
from digest.ranking.similarity import PaperSpace, WordSpace

THEMES = {
    "otters": "otter river fish holt whisker swim fur bank webbed tail stream pups".split(),
    "stars": "stellar mass galaxy redshift telescope orbit nova spectrum dust halo cluster light".split(),
    "proofs": "lemma theorem proof induction logic axiom tactic kernel type checker inference term".split(),
}
OTTERS, STARS, PROOFS = range(1, 21), range(21, 41), range(41, 61)
Space = Callable[[Mapping[int, Paper]], PaperSpace]


def papers() -> dict[int, Paper]:
    rng = random.Random(1)
    texts = [" ".join([*rng.sample(words, 6), "method", "results"]) for words in THEMES.values() for _ in range(20)]
    return {n: Paper(f"On {text.split()[0]}", abstract=text) for n, text in enumerate(texts, start=1)}


@pytest.fixture(params=["plain", "semantic"])
def space(request: pytest.FixtureRequest) -> Space:
    if request.param == "plain":
        return WordSpace
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    return by_meaning


def by_meaning(papers: Mapping[int, Paper]) -> PaperSpace:
    texts = list(papers.values())
    return VectorSpace(dict(zip(papers, fit(texts).embed(texts), strict=True)))


def test_papers_like_the_liked_ones_come_first(space: Space) -> None:
    scores = space(papers()).score([1, 2], [], range(3, 61))
    assert {n + 3 for n in sorted(range(58), key=lambda n: -scores[n])[:10]} <= set(OTTERS)


def test_papers_like_the_disliked_ones_come_last_and_the_liked_ones_still_first(space: Space) -> None:
    among = [n for n in range(1, 61) if n not in (1, 2, 21, 22, 23)]
    scores = dict(zip(among, space(papers()).score([1, 2], [21, 22, 23], among), strict=True))
    order = sorted(among, key=lambda n: -scores[n])
    assert set(order[:10]) <= set(OTTERS)
    assert set(order[-10:]) <= set(STARS)


def test_with_disliked_papers_alone_those_like_them_score_least(space: Space) -> None:
    scores = space(papers()).score([], [41, 42, 43, 44, 45], [1, 21, 50])
    assert scores[2] == min(scores)
    assert scores[2] < min(scores[:2])


def test_the_nearest_of_the_liked_papers_is_of_the_same_theme(space: Space) -> None:
    assert space(papers()).nearest([3, 23, 43], [44, 4, 24]) == [43, 3, 23]
    assert space(papers()).nearest([3, 23], []) == []


def test_nothing_liked_or_disliked_tells_nothing_and_the_order_of_the_question_is_the_order_of_the_answer(
    space: Space,
) -> None:
    made = space(papers())
    assert made.score([], [], [1, 21, 41]) == [0.0, 0.0, 0.0]
    assert made.score([1], [], []) == []
    forth, back = made.score([1], [21], [5, 25, 45]), made.score([1], [21], [45, 25, 5])
    assert forth == pytest.approx(back[::-1])


@pytest.mark.parametrize("texts", [[], [Paper("")], [Paper("One"), Paper("One")], [Paper("Two words"), Paper("的 ß")]])
def test_a_history_that_says_nothing_yet_has_a_basis_too(texts: list[Paper]) -> None:
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    vectors = fit(texts).embed([*texts, Paper("Something else", abstract="that no word is known of")])
    assert len({len(vector) for vector in vectors}) == 1
    scores = VectorSpace(dict(enumerate(vectors))).score([0], [], range(len(vectors)))
    assert all(-1.01 <= score <= 1.01 for score in scores)


def test_a_basis_is_the_same_for_the_same_papers_and_knows_words_of_the_same_company() -> None:
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    texts = list(papers().values())
    assert fit(texts) == fit(texts)
    one, two, far = fit(texts).embed([Paper("otter whisker"), Paper("river pups"), Paper("galaxy nova")])
    space = VectorSpace({1: one, 2: two, 3: far})
    near, apart = space.score([1], [], [2, 3])
    assert near > apart + 0.5, "no word in common, but the same papers have them"
