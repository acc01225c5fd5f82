"""Similarity of papers by the meaning of their words, with the optional extra `semantic` (numpy). Pure: no I/O.

Latent semantic analysis (Deerwester et al. 1990): words that occur in the same papers point in the same direction, so
two papers can be similar without a word in common. A `Basis` holds the strongest of these directions in a history. It
is made from up to `MOST_FITTED` papers in about 0.5 ms each; from then on each paper's vector depends on its own text
alone, so vectors can be stored and new papers join without a new basis, until the history has outgrown it.

Vectors have two scales: all themes tell apart what is in a field, and the strongest ones alone tell fields apart.
Measured as `make eval` does, but with the seeds 100 to 149, that is 0.014 ± 0.006 better in the precision among the
first twenty than 75 themes at once (0.730), as good with the votes of a reader on narrower fields, where fewer themes
alone are worse, and no other setting, stemming, pairs of words, weights of titles, cosines of words beside it, the
nearest of the liked papers or ranking on a graph of neighbours did more.

Word vectors (wordllama) beside it added at most 0.015, so numpy is all that the extra needs. A sentence model on disk
(all-MiniLM-L6-v2, see `sentences`) beside it adds 0.031 ± 0.012, and one paper finds 0.13 of a hundred hidden ones of
its field where it finds 0.08 without; alone it adds nothing.
"""

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from itertools import chain, islice
from typing import Any

from digest.papers import Paper
from digest.ranking.sentences import SentenceModel
from digest.ranking.similarity import count_words, dislike_weight, neighbours

MOST_FITTED = 30_000  # papers from which a basis is made
_THEMES = 100  # dimensions, but no more than a tenth of the papers, since a few papers have few themes
_BROAD = 40  # the strongest of them tell fields apart, where all of them tell apart what is in a field
_FEWEST_THEMES = 8
_SHARPNESS = 0.5  # the strongest themes count more: each is weighted with this power of its strength
_VOCABULARY = 10_000  # most frequent words
_NEIGHBOURS = 10  # how many papers add to the liked ones; a second round of more adds nothing here
_SENTENCES = 1.5  # how much the part of a sentence model counts, where that of the themes counts 1
_CENTRED = 200  # papers whose mean is the centre of a sentence model
_ROUNDING = 1e-6  # cosines of half-precision vectors
_SPARE, _ROUNDS = 20, 3  # of the randomised range finder of Halko, Martinsson and Tropp 2011
_AT_ONCE = 50_000  # numbers of a sparse matrix that are multiplied at once: 20 MB


def installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return find_spec("numpy") is not None


@dataclass(frozen=True, slots=True)
class Basis:
    """The themes of a history: `axes` has a row of half-precision numbers for each of `words`, the strongest one last.

    Two more rows are the means of the papers' unit vectors, in all themes and in the `_BROAD` ones, which are the last
    numbers of theirs. With the sentence model that is named `model`, `centre` is the mean of its vectors, which have a
    part in those made from this basis.
    """

    words: tuple[str, ...]
    axes: bytes
    model: str = ""
    centre: bytes = b""

    def embed(self, papers: Sequence[Paper], model: SentenceModel | None = None) -> list[bytes]:
        """Return the vector of each paper: half-precision numbers of length 1, as bytes. Takes 0.15 ms a paper.

        `model` is the one that the basis was made with, which takes far longer. Raises ConfigError when it is unusable.
        """
        import numpy as np

        if not papers:
            return []
        axes = np.frombuffer(self.axes, dtype=np.float16).astype(np.float32).reshape(len(self.words) + 2, -1)
        columns = {word: n for n, word in enumerate(self.words)}
        counted = _SparseMatrix.of(map(count_words, papers), columns)
        scales = _in_all_and_broad_themes(counted.times(axes[:-2]))
        means = axes[-2], axes[-1][-_BROAD:]
        vectors = _unit_rows(np.hstack([_unit_rows(own - mean) for own, mean in zip(scales, means, strict=True)]))
        if model:
            sentences = model.embed(papers) - (np.frombuffer(self.centre, dtype=np.float16) if self.centre else 0)
            vectors = _unit_rows(np.hstack([vectors, _SENTENCES * _unit_rows(sentences)]))
        return [vector.tobytes() for vector in vectors.astype(np.float16)]


def fit(papers: Iterable[Paper], model: SentenceModel | None = None) -> Basis:
    """Return the basis of these papers, and of a sentence model if there is one.

    It is the same for the same papers in the same order. Raises ConfigError when the model is unusable.
    """
    import numpy as np

    papers = iter(papers)
    first = list(islice(papers, _CENTRED)) if model else []
    centre = model.embed(first).mean(axis=0).astype(np.float16).tobytes() if model and first else b""
    columns: dict[str, int] = {}
    matrix = _SparseMatrix.of(map(count_words, chain(first, papers)), columns, learn=True)
    height = len(matrix.starts) - 1
    frequency = np.bincount(matrix.columns, minlength=matrix.width)
    chosen = _highest(frequency, _VOCABULARY)
    chosen = chosen[frequency[chosen] > 1]
    names = list(columns)
    rarity = np.log(height / frequency[chosen]).astype(np.float32)
    matrix = matrix.selected(chosen)
    lengths = np.sqrt(np.maximum(matrix.squared().times(rarity[:, None] ** 2), 1e-9))
    strengths, axes = _strongest_axes(matrix.scaled(1 / lengths[:, 0], rarity))
    axes = rarity[:, None] * axes * strengths**_SHARPNESS
    means = np.zeros((2, axes.shape[1]), dtype=np.float32)
    if height:
        for row, scale in zip(means, _in_all_and_broad_themes(matrix.times(axes)), strict=True):
            row[-scale.shape[1] :] = scale.mean(axis=0)
    packed = np.vstack([axes, means]).astype(np.float16).tobytes()
    return Basis(tuple(names[n] for n in chosen), packed, model.name if model else "", centre)


class VectorSpace:
    """A `PaperSpace` by meaning, of the papers' vectors; all are from `embed` of the same basis."""

    def __init__(self, vectors: Mapping[int, bytes]) -> None:
        import numpy as np

        self._rows = {one: row for row, one in enumerate(vectors)}
        packed = np.frombuffer(b"".join(vectors.values()), dtype=np.float16)
        self._vectors = packed.reshape(len(vectors), -1).astype(np.float32) if vectors else np.zeros((0, 1))
        self._pool = lru_cache(maxsize=1)(self._make_pool)

    def score(self, liked: Sequence[int], disliked: Sequence[int], among: Sequence[int]) -> list[float]:
        """See `PaperSpace.score`."""
        import numpy as np

        others, places = self._pool(tuple(among))
        wanted = self._mean(liked) - dislike_weight(len(liked), len(disliked)) * self._mean(disliked)
        if liked:
            scores = others @ wanted
            labelled = [places[one] for one in {*liked, *disliked} if one in places]
            scores[labelled] = -np.inf
            nearest = _highest(scores, neighbours(_NEIGHBOURS, len(places) - len(labelled)))
            wanted = wanted + _unit(others[nearest].sum(axis=0))
        scored: list[float] = (others @ _unit(wanted)).tolist()
        return scored

    def nearest(self, liked: Sequence[int], among: Sequence[int]) -> list[int]:
        """See `PaperSpace.nearest`."""
        cosines = self._select(among) @ self._select(liked).T
        # Two equal vectors can differ in the last digits here, depending on how many there are: the first counts.
        highest = cosines >= cosines.max(axis=1, keepdims=True) - _ROUNDING
        return [liked[n] for n in highest.argmax(axis=1)]

    def _make_pool(self, among: tuple[int, ...]) -> tuple[Any, Mapping[int, int]]:
        """Return the vectors of papers, and at which place each paper is."""
        return self._select(among), {one: place for place, one in enumerate(among)}

    def _select(self, numbers: Sequence[int]) -> Any:
        return self._vectors[[self._rows[one] for one in numbers]]

    def _mean(self, numbers: Sequence[int]) -> Any:
        return _unit(self._select(numbers).sum(axis=0))


@dataclass(frozen=True, slots=True)
class _SparseMatrix:
    """Numbers that are not 0, row by row: `values` in `columns`; row n starts at `starts[n]`.

    scipy has such matrices too, but is twice as large as numpy.
    """

    values: Any
    columns: Any
    starts: Any
    width: int

    @classmethod
    def of(
        cls, counts: Iterable[Mapping[str, int]], columns: dict[str, int], *, learn: bool = False
    ) -> "_SparseMatrix":
        """Return 1 + log of the counts of the words that have a column; with `learn`, new words get one."""
        import numpy as np

        placed, times, starts = array("i"), array("i"), array("q", [0])  # far smaller than a dictionary for each row
        for count in counts:
            for word, n in count.items():
                column = columns.setdefault(word, len(columns)) if learn else columns.get(word, -1)
                if column >= 0:
                    placed.append(column)
                    times.append(n)
            starts.append(len(placed))
        values = 1 + np.log(np.array(times, dtype=np.float32))
        return cls(values, np.array(placed, dtype=np.int32), np.array(starts), len(columns))

    def selected(self, columns: Any) -> "_SparseMatrix":
        """Return the matrix of these columns, in this order."""
        import numpy as np

        places = np.full(self.width, -1, dtype=np.int32)
        places[columns] = np.arange(len(columns))
        kept = places[self.columns] >= 0
        starts = np.concatenate([[0], np.cumsum(kept)])[self.starts]
        return _SparseMatrix(self.values[kept], places[self.columns[kept]], starts, len(columns))

    def squared(self) -> "_SparseMatrix":
        return _SparseMatrix(self.values**2, self.columns, self.starts, self.width)

    def scaled(self, rows: Any, columns: Any) -> "_SparseMatrix":
        """Return this matrix with each row and each column multiplied by a number."""
        import numpy as np

        factors = np.repeat(rows, np.diff(self.starts)) * columns[self.columns]
        return _SparseMatrix((self.values * factors).astype(np.float32), self.columns, self.starts, self.width)

    def transposed(self) -> "_SparseMatrix":
        import numpy as np

        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(len(self.starts) - 1, dtype=np.int32), np.diff(self.starts))[order]
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.columns, minlength=self.width))])
        return _SparseMatrix(self.values[order], rows, starts, len(self.starts) - 1)

    def times(self, dense: Any) -> Any:
        """Return the product with a matrix of `width` rows."""
        import numpy as np

        height = len(self.starts) - 1
        product = np.zeros((height, dense.shape[1]), dtype=np.float32)
        row = 0
        while row < height:
            end = max(int(np.searchsorted(self.starts, self.starts[row] + _AT_ONCE, side="right")) - 1, row + 1)
            part = slice(self.starts[row], self.starts[end])
            full = np.flatnonzero(np.diff(self.starts[row : end + 1]))  # reduceat cannot add up an empty row
            if len(full):
                terms = dense[self.columns[part]] * self.values[part, None]
                product[row + full] = np.add.reduceat(terms, self.starts[row + full] - self.starts[row], axis=0)
            row = end
        return product


def _strongest_axes(matrix: _SparseMatrix) -> tuple[Any, Any]:
    """Return the largest singular values of a matrix and their right singular vectors, a column for each."""
    import numpy as np

    turned = matrix.transposed()
    height = len(matrix.starts) - 1
    themes = min(_THEMES, max(height // 10, _FEWEST_THEMES))
    basis = np.random.default_rng(0).standard_normal((height, themes + _SPARE)).astype(np.float32)
    for _ in range(_ROUNDS):
        basis, _ = np.linalg.qr(matrix.times(turned.times(basis)))
    small = turned.times(basis)  # the matrix within that basis, one column for each of its directions
    squares, mixed = np.linalg.eigh(small.T @ small)
    strengths = np.sqrt(np.maximum(squares[-themes:], 1e-9))
    return strengths, small @ mixed[:, -themes:] / strengths


def _in_all_and_broad_themes(weights: Any) -> tuple[Any, Any]:
    """Return the unit vectors of the rows, and those of their part in the strongest themes."""
    return _unit_rows(weights), _unit_rows(weights[:, -_BROAD:])


def _highest(scores: Any, count: int) -> Any:
    """Return the places of the highest scores, the first of equal ones first."""
    import numpy as np

    if not 0 < count < len(scores):
        return (-scores).argsort(kind="stable")[:count]
    enough = np.flatnonzero(scores >= np.partition(scores, -count)[-count])
    return enough[(-scores[enough]).argsort(kind="stable")[:count]]


def _unit(vector: Any) -> Any:
    """Scale a vector to the length 1; zeros stay as they are."""
    return _unit_rows(vector[None])[0]


def _unit_rows(matrix: Any) -> Any:
    """Scale each row to the length 1; a row of zeros stays as it is."""
    import numpy as np

    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
