"""Similarity of papers by the words they share, and what all measures of similarity have in common. Pure: no I/O.

`WordSpace` holds papers as unit vectors over the words of their titles and abstracts, with the weights (1 + log tf) ·
log(n / df): a word that all papers have, or only one, has the weight 0. What is wanted is a vector too, by Rocchio's
feedback (1971): the mean of the liked papers minus some of the mean of the disliked ones (`dislike_weight`), plus the
mean of the papers most similar to that, first of ten and then of thirty (they add related words that the few liked
papers do not use). Similarity is the cosine with it.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import lru_cache
from heapq import nlargest
from itertools import chain
from operator import itemgetter, mul
from statistics import fmean
from typing import Protocol

from digest.papers import Paper
from digest.ranking.topics import normalize_words

BACKGROUND = 1_000  # newest papers, with which similarity is compared
_NEIGHBOURS = 10, 30  # how many papers add to the liked ones, in each round
_WORDS = re.compile(r"[^\W_]{3,}")
_UNSURE, _SURE = 0.5, 3.0  # standard deviations from the mean where a reader's taste begins, and is full
_START, _WIDTH = 1.5, 2.0  # standard deviations above the mean where similarity begins; to a share of 0.76 from there
_SAME = 1e-9  # a standard deviation up to this is rounding

# Two papers share a theme from this cosine on, with three of their 40 heaviest words or more: with fewer, a cosine of
# short abstracts means nothing. On 33 recorded lists of Hugging Face that holds for 4.0 % of the pairs of one list when
# the sample has 60 papers, and for 3.8 to 5.0 % with 20 to 120. It moves a paper out of the first 12 on one of the 30
# longer lists. With all words instead of 40, comparing 1,500 papers takes 12 times as long.
_SAME_THEME, _MIN_SHARED_WORDS, _HEAVIEST = 0.066, 3, 40
_EXACT = 1_000_000  # weights are rounded to a millionth

Vector = Mapping[str, float]


def count_words(paper: Paper, titles: int = 1) -> Counter[str]:
    """Count the words of three letters or more in the title, as if it stood there `titles` times, and the abstract."""
    text = " ".join([paper.title] * titles + [paper.abstract])
    # As `normalize_words(text).split()` would give them, in two thirds of the time.
    return Counter(_WORDS.findall(text.lower() if text.isascii() else normalize_words(text)))


def dislike_weight(liked: int, disliked: int) -> float:
    """Return how much the mean of so many disliked papers counts, where that of so many liked ones counts 1.

    A few dislikes say little about a field. On 20,000 records of arXiv with 96 interests, papers found for 5, 10 and 20
    likes and as many dislikes were best with these weights; a weight of 1 found fewer than no dislikes at all.
    """
    return 0.0 if liked + disliked < 5 else 0.25 if disliked < 20 else 0.5


def tf_idf(papers: Sequence[Paper]) -> list[Vector]:
    """Return a unit vector for each paper; words weigh more the fewer of `papers` have them."""
    counts = [count_words(paper) for paper in papers]
    frequency = Counter(chain.from_iterable(counts))
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


class PaperSpace(Protocol):
    """Papers by number in a space where similar ones are close, made once for any number of questions."""

    def score(self, liked: Sequence[int], disliked: Sequence[int], among: Sequence[int]) -> list[float]:
        """Return for each paper of `among` how well it fits the liked papers and how little the disliked ones.

        All are numbers of papers in this space; `liked` and `disliked` may be empty. The scores are cosines: of use
        only beside each other (see `scale_similarities`). Raises KeyError for a paper that is not in the space.
        """
        ...

    def nearest(self, liked: Sequence[int], among: Sequence[int]) -> list[int]:
        """Return for each paper of `among` the one of `liked`, which is not empty, that it is most similar to."""
        ...


class WordSpace:
    """A `PaperSpace` of words: needs nothing but the texts. 0.1 ms for each paper, 0.01 ms for each that is scored."""

    def __init__(self, papers: Mapping[int, Paper]) -> None:
        self._vectors = dict(zip(papers, tf_idf(list(papers.values())), strict=True))
        self._packed = lru_cache(maxsize=1)(self._pack)

    def score(self, liked: Sequence[int], disliked: Sequence[int], among: Sequence[int]) -> list[float]:
        """See `PaperSpace.score`."""
        others = self._packed(tuple(among))
        labelled = {*liked, *disliked}
        free = [n for n, one in enumerate(among) if one not in labelled]
        wanted = start = _sum(
            [self._mean(liked), _scaled(self._mean(disliked), -dislike_weight(len(liked), len(disliked)))]
        )
        scores = others.cosines(wanted)
        for size in _NEIGHBOURS if liked else ():
            nearest = nlargest(neighbours(size, len(free)), free, key=scores.__getitem__)
            wanted = _sum([start, self._mean([among[n] for n in nearest])])
            scores = others.cosines(wanted)
        length = math.sqrt(sum(weight * weight for weight in wanted.values())) or 1.0
        return [score / length for score in scores]

    def nearest(self, liked: Sequence[int], among: Sequence[int]) -> list[int]:
        """See `PaperSpace.nearest`."""
        # There can be thousands, so it looks only at those that have a word of the paper.
        with_word: dict[str, list[tuple[int, float]]] = {}
        for one in liked:
            for word, weight in self._vectors[one].items():
                with_word.setdefault(word, []).append((one, weight))
        return [self._nearest(with_word, other, liked[0]) for other in among]

    def _nearest(self, with_word: Mapping[str, Sequence[tuple[int, float]]], paper: int, first: int) -> int:
        similar = {first: 0.0}
        for word, weight in self._vectors[paper].items():
            for one, its_weight in with_word.get(word, ()):
                similar[one] = similar.get(one, 0.0) + weight * its_weight
        return max(similar, key=lambda one: similar[one])

    def _mean(self, numbers: Sequence[int]) -> Vector:
        return _unit(_sum([self._vectors[one] for one in numbers]))

    def _pack(self, numbers: tuple[int, ...]) -> "_PackedVectors":
        return _PackedVectors([self._vectors[one] for one in numbers])


class _PackedVectors:
    """Unit vectors, packed so that the cosines of another vector with all of them take a third of the time.

    An index of words takes longer from a few liked papers on, because they have most of the frequent words; and the
    cosines of all pairs are too many to keep, and too few readers have use for the same ones.
    """

    def __init__(self, vectors: Sequence[Vector]) -> None:
        self._zeros = dict.fromkeys((word for vector in vectors for word in vector), 0.0)
        places = dict(zip(self._zeros, range(len(self._zeros)), strict=True))
        self._rows = [(_getter([places[word] for word in one]), tuple(one.values())) for one in vectors]

    def cosines(self, wanted: Vector) -> list[float]:
        """Return the cosine of each vector with this one, times the length of this one."""
        weights = list({**self._zeros, **wanted}.values())
        return [_product(select(weights), row) for select, row in self._rows]


def _product(one: Sequence[float], unit: Sequence[float]) -> float:
    """Return the scalar product of a vector and a unit vector, or of two without numbers."""
    # The law of cosines, because these two functions are loops in C, and right to the last digit.
    length, apart = math.hypot(*one), math.dist(one, unit)
    return (length * length + bool(unit) - apart * apart) / 2


def _getter(places: Sequence[int]) -> Callable[[Sequence[float]], Sequence[float]]:
    """Return a function that returns what is at these places of a list."""
    # With fewer than two places, an itemgetter returns no tuple.
    return itemgetter(*places) if len(places) > 1 else lambda items: [items[n] for n in places]


def neighbours(most: int, among: int) -> int:
    """Return how many of so many papers may count as similar to the liked ones: at most a twentieth."""
    return min(most, among // 20)


def scale_similarities(scores: Sequence[float]) -> list[float]:
    """Convert the cosines of a pool of papers to similarities from 0 to 1; a higher cosine above the start is higher.

    Cosines of different measures are not comparable, but their distances from the mean in standard deviations are: nine
    of ten papers of other categories stay below 1.5, which becomes 0; the best of the same one reach 4.5, or 0.9.
    """
    return [math.tanh(max(0.0, z - _START) / _WIDTH) for z in _standard_scores(scores)]


def _standard_scores(scores: Sequence[float]) -> list[float]:
    """Return the distance of each number from the mean in standard deviations: 0 if all are the same."""
    mean = fmean(scores) if scores else 0.0
    away = [score - mean for score in scores]
    deviation = math.sqrt(math.fsum(map(mul, away, away)) / max(len(away), 1))
    return [distance / deviation for distance in away] if deviation > _SAME else [0.0] * len(away)


def scale_taste(scores: Sequence[float]) -> list[float]:
    """Convert the cosines of a pool of papers to what a reader may think of them, from -1 to 1.

    Half a standard deviation from the mean says nothing, three are full. This is more than `scale_similarities` gives,
    because a reader who votes means every paper of the mail, not only those that are surely alike.
    """
    away = _standard_scores(scores)
    sure = [z - _UNSURE if z > _UNSURE else z + _UNSURE if z < -_UNSURE else 0.0 for z in away]
    most = _SURE - _UNSURE
    return [one / most if -most < one < most else math.copysign(1.0, one) for one in sure]


class Themes:
    """Which papers of a day share a theme: those whose texts share some words and are close (`_SAME_THEME`).

    Words have the weights (1 + log tf) · √log((n + 1) / (df + ½)), where n and df count the papers of `sample`: unlike
    in `tf_idf`, other papers may have words that it has not. The root makes that depend less on the size of the sample.
    A paper is compared when it is first asked about, with those asked about before, over an index of their words.
    """

    def __init__(self, papers: Mapping[int, Paper], sample: Iterable[int]) -> None:
        self._papers = papers
        self._counts = {one: count_words(papers[one], titles=2) for one in sample}
        frequency = Counter(word for count in self._counts.values() for word in count)
        papers_and_one = len(self._counts) + 1
        self._rarity = {word: math.sqrt(math.log(papers_and_one / (n + 0.5))) for word, n in frequency.items()}
        self._rarest = math.sqrt(math.log(papers_and_one / 0.5))
        self._with_word: dict[str, list[tuple[int, int]]] = {}
        self._near: dict[int, set[int]] = {}

    def near(self, paper: int) -> Set[int]:
        """Return the papers asked about so far that share a theme with this one."""
        if paper not in self._near:
            self._near[paper] = found = self._compare(paper)
            for other in found:
                self._near[other].add(paper)
        return self._near[paper]

    def _compare(self, paper: int) -> set[int]:
        count = self._counts.get(paper) or count_words(self._papers[paper], titles=2)
        rarity, rarest = self._rarity, self._rarest
        weights = {word: (1 + math.log(n)) * rarity.get(word, rarest) for word, n in count.items()}
        vector = _unit({word: weights[word] for word in sorted(weights, key=lambda w: (-weights[w], w))[:_HEAVIEST]})
        shared: dict[int, int] = {}
        cosines: dict[int, int] = {}
        for word, weight in vector.items():
            # Whole numbers, so that no sum depends on which of two papers was asked about first.
            exact = round(weight * _EXACT)
            known = self._with_word.setdefault(word, [])
            for other, other_weight in known:
                shared[other] = shared.get(other, 0) + 1
                cosines[other] = cosines.get(other, 0) + exact * other_weight
            known.append((paper, exact))
        least = _SAME_THEME * _EXACT**2
        return {other for other, words in shared.items() if words >= _MIN_SHARED_WORDS and cosines[other] >= least}


def _scaled(vector: Vector, factor: float) -> Vector:
    return {word: factor * weight for word, weight in vector.items()}


def _sum(vectors: Sequence[Vector]) -> dict[str, float]:
    total: dict[str, float] = {}
    for vector in vectors:
        for word, weight in vector.items():
            total[word] = total.get(word, 0.0) + weight
    return total


def _unit(vector: dict[str, float]) -> Vector:
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {word: weight / length for word, weight in vector.items() if weight} if length else {}
