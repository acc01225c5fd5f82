"""How much papers are like some others, by what their words mean: the measure of the extra `semantic`.

A paper's vector is two unit vectors side by side: static word embeddings (wordllama, less the mean of the pool, which
is what abstracts have in common and says nothing) and latent semantic analysis of the pool (Deerwester et al. 1990, by
the randomised range finder of Halko, Martinsson and Tropp 2011). The embeddings know words that few papers here use,
the analysis knows what goes together here; together they find more than either. Only the embeddings are worth keeping:
they cost 0.6 ms a paper and depend on nothing else.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digest.papers import Paper
from digest.ranking.similarity import FEEDBACK, words

METHOD = "wordllama-256-1"  # change it when the vectors change
_TOPICS, _VOCABULARY = 100, 3_000


def installed() -> bool:
    """Whether the extra is there; nothing is imported to find out."""
    return all(find_spec(name) for name in ("numpy", "wordllama"))


def embed(papers: Sequence[Paper]) -> list[bytes]:
    """The embedding of each paper as half-precision bytes."""
    import numpy as np

    found = _model().embed([f"{paper.title}. {paper.abstract}" for paper in papers]) if papers else []
    return [row.astype(np.float16).tobytes() for row in found]


@cache
def _model() -> Any:
    import wordllama

    # The weights are inside the package; without these two it would look for them on the network.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def semantic_similarity(
    liked: Sequence[Paper], liked_vectors: Sequence[bytes], pool: Sequence[Paper], pool_vectors: Sequence[bytes]
) -> list[float]:
    """The cosine of each paper of `pool` with the liked ones and their neighbours; vectors are those of `embed`."""
    import numpy as np

    if not pool:
        return []
    embedded = np.frombuffer(b"".join([*liked_vectors, *pool_vectors]), dtype=np.float16)
    embedded = _units(embedded.reshape(len(liked) + len(pool), -1).astype(np.float32))
    both = np.hstack([_units(embedded - embedded.mean(axis=0)), _latent([*liked, *pool])]) / math.sqrt(2)
    centre, others = both[: len(liked)].mean(axis=0), both[len(liked) :]
    nearest = np.argsort(-(others @ centre), kind="stable")[:FEEDBACK]
    aim = centre + others[nearest].mean(axis=0)
    return [float(score) for score in others @ (aim / max(float(np.linalg.norm(aim)), 1e-9))]


def _latent(papers: Sequence[Paper]) -> Any:
    """Unit vectors of the papers in the space of their strongest common themes."""
    import numpy as np

    matrix = _matrix([words(paper) for paper in papers])
    start = np.random.default_rng(0).standard_normal((len(papers), _TOPICS + 20)).astype(np.float32)
    basis, _ = np.linalg.qr(matrix @ (matrix.T @ start))
    basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    small = basis.T @ matrix
    squares, left = np.linalg.eigh(small @ small.T)
    return _units(basis @ (left * np.sqrt(np.maximum(squares, 0)))[:, -_TOPICS:])


def _matrix(counts: Sequence[Counter[str]]) -> Any:
    """tf-idf weights, a row a paper, of the words most papers have."""
    import numpy as np

    frequency = Counter(word for count in counts for word in count)
    chosen = [word for word, n in frequency.most_common(_VOCABULARY) if n > 1]
    column = {word: n for n, word in enumerate(chosen)}
    rarity = [math.log(len(counts) / frequency[word]) for word in chosen]
    matrix = np.zeros((len(counts), max(len(chosen), 1)), dtype=np.float32)
    for row, count in enumerate(counts):
        for word, times in count.items():
            if (place := column.get(word)) is not None:
                matrix[row, place] = (1 + math.log(times)) * rarity[place]
    return _units(matrix)


def _units(matrix: Any) -> Any:
    """Each row at length 1; a row of nothing stays nothing."""
    import numpy as np

    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
