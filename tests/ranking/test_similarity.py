"""A space of papers scores them against those that a reader likes and dislikes, by words and by meaning."""

import math
import random
import struct
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

import pytest

from digest.papers import Paper
from digest.ranking.embeddings import VectorSpace, fit
from digest.ranking.similarity import PaperSpace, Vector, WordSpace, scale_taste, tf_idf
from tests.ranking.conftest import Space

THEMES = {
    "otters": "otter river fish holt whisker swim fur bank webbed tail stream pups".split(),
    "stars": "stellar mass galaxy redshift telescope orbit nova spectrum dust halo cluster light".split(),
    "proofs": "lemma theorem proof induction logic axiom tactic kernel type checker inference term".split(),
}
OTTERS, STARS, PROOFS = range(1, 21), range(21, 41), range(41, 61)


def papers() -> dict[int, Paper]:
    rng = random.Random(1)
    texts = [" ".join([*rng.sample(words, 6), "method", "results"]) for words in THEMES.values() for _ in range(20)]
    return {n: Paper(f"On {text.split()[0]}", abstract=text) for n, text in enumerate(texts, start=1)}


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


def test_of_two_equal_papers_the_first_is_the_nearest_however_many_are_asked_about(space: Space) -> None:
    texts = some_papers()
    copies = {300 + n: texts[n] for n in range(1, 30)}
    made = space(texts | copies)
    for count in range(1, 30):
        ones = list(range(1, count + 1))
        others = [300 + one for one in ones]
        assert made.nearest([*ones, *others], others) == made.nearest(ones, others)
        assert made.nearest([*others, *ones], ones) == made.nearest(others, ones)


def some_papers() -> dict[int, Paper]:
    """299 papers with up to 60 words each, a few of which are frequent."""
    rng = random.Random(5)
    words = [f"word{n}" for n in range(400)]
    weights = [1 / (n + 5) for n in range(len(words))]
    return {n: Paper("", abstract=" ".join(rng.choices(words, weights, k=rng.randint(0, 60)))) for n in range(1, 300)}


def test_scores_by_words_are_those_of_rocchios_feedback_written_out() -> None:
    texts = some_papers()
    vectors = dict(zip(texts, tf_idf(list(texts.values())), strict=True))
    compare_with_rocchio(WordSpace(texts), vectors, rounds=(10, 30), within=1e-12)


def test_scores_by_meaning_are_those_of_rocchios_feedback_written_out() -> None:
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    texts = some_papers()
    packed = dict(zip(texts, fit(texts.values()).embed(list(texts.values())), strict=True))
    numbers = {one: struct.unpack(f"{len(vector) // 2}e", vector) for one, vector in packed.items()}
    vectors = {one: {f"{n}": x for n, x in enumerate(vector)} for one, vector in numbers.items()}
    compare_with_rocchio(VectorSpace(packed), vectors, rounds=(10,), within=1e-5)


def compare_with_rocchio(
    space: PaperSpace, vectors: Mapping[int, Vector], rounds: tuple[int, ...], within: float
) -> None:
    rng, among = random.Random(6), list(range(1, 261))
    for _ in range(30):
        labelled = rng.sample(range(1, 300), rng.randint(1, 30))
        split = rng.choice([0, len(labelled), rng.randint(0, len(labelled))])
        liked, disliked = labelled[:split], labelled[split:]
        expected = rocchio(vectors, rounds, liked, disliked, among)
        assert space.score(liked, disliked, among) == pytest.approx(expected, abs=within)
    others = [7, 9]
    assert space.score([1], [], others) == pytest.approx(rocchio(vectors, rounds, [1], [], others), abs=within)


def rocchio(
    vectors: Mapping[int, Vector],
    rounds: tuple[int, ...],
    liked: Sequence[int],
    disliked: Sequence[int],
    among: Sequence[int],
) -> list[float]:
    """The cosine of each paper with the mean of the liked ones, less some of the disliked, plus some like that."""
    words = {word for vector in vectors.values() for word in vector}

    def mean(ones: Sequence[int]) -> dict[str, float]:
        total = {word: sum(vectors[one].get(word, 0.0) for one in ones) for word in words}
        length = math.sqrt(sum(x * x for x in total.values())) or 1.0
        return {word: x / length for word, x in total.items()}

    def product(one: Vector, other: Vector) -> float:
        return sum(x * one[word] for word, x in other.items())

    few = len(liked) + len(disliked) < 5
    against = 0.0 if few else 0.25 if len(disliked) < 20 else 0.5
    likes, dislikes = mean(liked), mean(disliked)
    wanted = start = {word: likes[word] - against * dislikes[word] for word in words}
    others = [one for one in among if one not in {*liked, *disliked}]
    for most in rounds if liked else ():
        best = sorted(others, key=lambda one: -product(wanted, vectors[one]))[: min(most, len(others) // 20)]
        near = mean(best)
        wanted = {word: start[word] + near[word] for word in words}
    length = math.sqrt(sum(x * x for x in wanted.values())) or 1.0
    return [product(wanted, vectors[one]) / length for one in among]


def test_a_taste_begins_half_a_standard_deviation_from_the_mean_and_is_full_at_three() -> None:
    rng = random.Random(6)
    for count in (2, 3, 50, 3_000):
        scores = [rng.choice([0.1, rng.gauss(0.1, 0.05), rng.random()]) for _ in range(count)]
        mean, deviation = fmean(scores), pstdev(scores)
        away = [(score - mean) / deviation for score in scores]
        expected = [math.copysign(max(0.0, min(1.0, (abs(z) - 0.5) / 2.5)), z) for z in away]
        assert scale_taste(scores) == pytest.approx(expected, abs=1e-12)


def test_papers_that_are_all_equally_similar_say_nothing_of_a_taste() -> None:
    assert scale_taste([]) == []
    assert scale_taste([0.1] * 3) == [0.0] * 3, "their mean is not 0.1 to the last digit"
