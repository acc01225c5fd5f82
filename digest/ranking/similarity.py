"""How much papers are like some others, by the words they share. Touches nothing.

Each paper is a unit vector over the words of its title (counted twice) and abstract, with the weights
(1 + log tf) · log(n / df): a word that every paper has weighs nothing, nor does one that no other has. Closeness is the
cosine with the mean of the liked papers plus the mean of the ten papers closest to that (Rocchio's feedback: the
neighbours bring in words which the few liked papers happen not to use).

On mixed pools of 2,000 papers with five liked ones this finds a little more of their category among the first twenty
than a linear support vector machine on the same words does; `make eval` prints both.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev

from digest.papers import Paper
from digest.ranking.topics import normalize

BACKGROUND = 1_000  # of the newest papers: those that similarity is compared with
FEEDBACK = 10  # neighbours that speak for the liked papers as well
_AT_LEAST, _FULLY = 1.5, 4.5  # standard deviations above the mean where likeness begins, and where it is full

Vector = Mapping[str, float]


def words(paper: Paper) -> Counter[str]:
    """How often each word of three letters or more is in title and abstract; the title counts twice."""
    return Counter(w for w in normalize(f"{paper.title} {paper.title} {paper.abstract}").split() if len(w) > 2)


def tf_idf(papers: Sequence[Paper]) -> list[Vector]:
    """A unit vector a paper, weighted by how rare its words are among `papers`."""
    counts = [words(paper) for paper in papers]
    frequency = Counter(word for count in counts for word in count)
    rarity = {word: math.log(len(papers) / n) for word, n in frequency.items() if n > 1}
    return [_unit({w: (1 + math.log(n)) * rarity[w] for w, n in count.items() if w in rarity}) for count in counts]


def distinctive_words(liked: Sequence[Paper], among: Sequence[Paper], most: int) -> list[str]:
    """The words that say most about the liked papers, the best first, by how rare they are `among` others.

    No word weighs nothing here: in a history of two papers the common words are all there is to look for.
    """
    own = Counter(word for paper in liked for word in words(paper).elements())
    frequency = Counter(word for paper in among for word in words(paper) if word in own)
    weight = {w: (1 + math.log(n)) * math.log((len(among) + 2) / (frequency[w] + 1)) for w, n in own.items()}
    return sorted(weight, key=lambda word: (-weight[word], word))[:most]


def tf_idf_similarity(liked: Sequence[Paper], pool: Sequence[Paper]) -> list[float]:
    """The cosine of each paper of `pool` with the liked ones and their neighbours."""
    vectors = tf_idf([*liked, *pool])
    centre, others = _mean(vectors[: len(liked)]), vectors[len(liked) :]
    scores = [cosine(centre, vector) for vector in others]
    nearest = sorted(range(len(others)), key=lambda n: -scores[n])[:FEEDBACK]
    aim = _unit(_sum([centre, _mean([others[n] for n in nearest])]))
    return [cosine(aim, vector) for vector in others]


def nearest_paper(liked: Sequence[Paper], paper: Paper) -> Paper:
    """Which of the liked papers has most words in common with `paper`, for its length."""
    own = words(paper).keys()
    return max(liked, key=lambda one: len(own & words(one).keys()) / math.sqrt(len(words(one)) or 1))


def stand_out_shares(scores: Sequence[float]) -> list[float]:
    """How alike each is, from 0 to 1, measured by how far its closeness stands out from all.

    Cosines of different measures are not comparable, their distance from the mean in standard deviations is: nine of
    ten papers of other categories stay below 1.5, where likeness begins; the best of the same one reach 4.5, where it
    is full.
    """
    middle, spread = (fmean(scores), pstdev(scores)) if scores else (0.0, 0.0)
    reach = (_FULLY - _AT_LEAST) * spread
    return [max(0.0, min(1.0, (s - middle - _AT_LEAST * spread) / reach)) if reach else 0.0 for s in scores]


def cosine(one: Vector, other: Vector) -> float:
    """From 0 (nothing in common) to 1, for unit vectors."""
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
