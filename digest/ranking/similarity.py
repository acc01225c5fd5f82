"""Similarity of papers by the words they share. Pure: no I/O.

Each paper is a unit vector over the words of its title (counted twice) and abstract, with the weights
(1 + log tf) · log(n / df): a word that all papers have, or only one, has the weight 0. Similarity is the cosine with
the mean of the liked papers plus the mean of the ten papers most similar to that (Rocchio's feedback: these neighbours
add related words that the few liked papers do not use).

On mixed pools of 2,000 papers with five liked ones this finds a little more of their category among the first twenty
than a linear support vector machine on the same words does; `make eval` prints both.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

from digest.papers import Paper
from digest.ranking.topics import normalize_words

BACKGROUND = 1_000  # newest papers, with which similarity is compared
NEIGHBOURS = 10  # how many papers add to the liked ones
_START, _FULL = 1.5, 4.5  # standard deviations above the mean where similarity begins, and where it is full

Vector = Mapping[str, float]


def count_words(paper: Paper) -> Counter[str]:
    """Count the words of three letters or more in the title and abstract; the title counts twice."""
    return Counter(w for w in normalize_words(f"{paper.title} {paper.title} {paper.abstract}").split() if len(w) > 2)


def tf_idf(papers: Sequence[Paper]) -> list[Vector]:
    """Return a unit vector for each paper; words weigh more the fewer of `papers` have them."""
    counts = [count_words(paper) for paper in papers]
    frequency = Counter(word for count in counts for word in count)
    rarity = {word: math.log(len(papers) / n) for word, n in frequency.items() if n > 1}
    return [_unit({w: (1 + math.log(n)) * rarity[w] for w, n in count.items() if w in rarity}) for count in counts]


def distinctive_words(liked: Sequence[Paper], among: Sequence[Paper], limit: int) -> list[str]:
    """Return up to `limit` words that distinguish the liked papers from the papers `among`, the best first.

    Unlike in `tf_idf`, no word has the weight 0: in a history of two papers all words are common.
    """
    own = Counter(word for paper in liked for word in count_words(paper).elements())
    frequency = Counter(word for paper in among for word in count_words(paper) if word in own)
    weight = {w: (1 + math.log(n)) * math.log((len(among) + 2) / (frequency[w] + 1)) for w, n in own.items()}
    return sorted(weight, key=lambda word: (-weight[word], word))[:limit]


def tf_idf_similarity(liked: Sequence[Paper], pool: Sequence[Paper]) -> list[float]:
    """Return the cosine of each paper of `pool` with the liked papers and their neighbours in it."""
    vectors = tf_idf([*liked, *pool])
    centre, others = _mean(vectors[: len(liked)]), vectors[len(liked) :]
    scores = [cosine(centre, vector) for vector in others]
    nearest = sorted(range(len(others)), key=lambda n: -scores[n])[:NEIGHBOURS]
    target = _unit(_sum([centre, _mean([others[n] for n in nearest])]))
    return [cosine(target, vector) for vector in others]


class Nearest:
    """Finds which of the liked papers has the most words in common with a paper, for its length.

    There can be thousands, so it looks only at those that have a word of the paper.
    """

    def __init__(self, liked: Sequence[Paper]) -> None:
        self._liked = liked
        self._lengths: list[float] = []
        self._with_word: dict[str, list[int]] = {}
        for number, paper in enumerate(liked):
            words = count_words(paper)
            self._lengths.append(math.sqrt(len(words) or 1))
            for word in words:
                self._with_word.setdefault(word, []).append(number)

    def to(self, paper: Paper) -> Paper:
        """Return the nearest liked paper, the first of equal ones."""
        common = Counter[int]()
        for word in count_words(paper):
            common.update(self._with_word.get(word, ()))
        best = max(common, key=lambda number: (common[number] / self._lengths[number], -number), default=0)
        return self._liked[best]


def scale_similarities(scores: Sequence[float]) -> list[float]:
    """Convert the cosines of a pool of papers to similarities from 0 to 1.

    Cosines of different measures are not comparable, but their distances from the mean in standard deviations are: nine
    of ten papers of other categories stay below 1.5, which becomes 0; the best of the same one reach 4.5, or 1.
    """
    mean, deviation = (fmean(scores), pstdev(scores)) if scores else (0.0, 0.0)
    width = (_FULL - _START) * deviation
    return [max(0.0, min(1.0, (s - mean - _START * deviation) / width)) if width else 0.0 for s in scores]


def cosine(one: Vector, other: Vector) -> float:
    """Return the cosine of two unit vectors, from 0 (no word in common) to 1."""
    few, many = (one, other) if len(one) < len(other) else (other, one)
    return sum(weight * many.get(word, 0.0) for word, weight in few.items())


def _mean(vectors: Sequence[Vector]) -> Vector:
    return {word: weight / len(vectors) for word, weight in _sum(vectors).items()}


def _sum(vectors: Sequence[Vector]) -> dict[str, float]:
    total: dict[str, float] = {}
    for vector in vectors:
        for word, weight in vector.items():
            total[word] = total.get(word, 0.0) + weight
    return total


def _unit(vector: dict[str, float]) -> Vector:
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {word: weight / length for word, weight in vector.items() if weight} if length else {}
