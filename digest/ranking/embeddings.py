"""Similarity of papers by the meaning of their words, with the optional extra `semantic`.

A paper's vector is two unit vectors side by side: static word embeddings (wordllama), minus the mean of the pool, which
all abstracts have in common; and latent semantic analysis of the pool (Deerwester et al. 1990, with the randomised
range finder of Halko, Martinsson and Tropp 2011). The embeddings cover words that are rare in the pool, the analysis
captures which words occur together in it; combined they find more than either alone. Only the embeddings are stored:
they take 0.6 ms a paper and do not depend on the pool.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from digest.papers import Paper
from digest.ranking.similarity import NEIGHBOURS, count_words

METHOD = "wordllama-256-1"  # stored with the vectors; change it when they change
_THEMES, _VOCABULARY = 100, 3_000  # dimensions and words of the latent semantic analysis


def installed() -> bool:
    """Return whether the extra is installed, without importing it."""
    return all(find_spec(name) for name in ("numpy", "wordllama"))


def embed(papers: Sequence[Paper]) -> list[bytes]:
    """Return the embedding of each paper: 256 half-precision numbers as bytes."""
    import numpy as np

    vectors = _model().embed([f"{paper.title}. {paper.abstract}" for paper in papers]) if papers else []
    return [vector.astype(np.float16).tobytes() for vector in vectors]


@cache
def _model() -> Any:
    import wordllama

    # The weights are inside the package; without these two arguments it would look for them on the network.
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)


def semantic_similarity(
    liked: Sequence[Paper], liked_vectors: Sequence[bytes], pool: Sequence[Paper], pool_vectors: Sequence[bytes]
) -> list[float]:
    """Return the same as `tf_idf_similarity`, by meaning; the given vectors are those of `embed`."""
    import numpy as np

    if not pool:
        return []
    embedded = np.frombuffer(b"".join([*liked_vectors, *pool_vectors]), dtype=np.float16)
    embedded = _unit_rows(embedded.reshape(len(liked) + len(pool), -1).astype(np.float32))
    both = np.hstack([_unit_rows(embedded - embedded.mean(axis=0)), _latent([*liked, *pool])]) / math.sqrt(2)
    centre, others = both[: len(liked)].mean(axis=0), both[len(liked) :]
    nearest = np.argsort(-(others @ centre), kind="stable")[:NEIGHBOURS]
    target = centre + others[nearest].mean(axis=0)
    return [float(score) for score in others @ (target / max(float(np.linalg.norm(target)), 1e-9))]


def _latent(papers: Sequence[Paper]) -> Any:
    """Return unit vectors of the papers in the space of their strongest common themes."""
    import numpy as np

    matrix = _tf_idf_matrix([count_words(paper) for paper in papers])
    start = np.random.default_rng(0).standard_normal((len(papers), _THEMES + 20)).astype(np.float32)
    basis, _ = np.linalg.qr(matrix @ (matrix.T @ start))
    basis, _ = np.linalg.qr(matrix @ (matrix.T @ basis))
    small = basis.T @ matrix
    squares, left = np.linalg.eigh(small @ small.T)
    return _unit_rows(basis @ (left * np.sqrt(np.maximum(squares, 0)))[:, -_THEMES:])


def _tf_idf_matrix(counts: Sequence[Counter[str]]) -> Any:
    """Return tf-idf weights of the most frequent words that more than one paper has, a row for each paper."""
    import numpy as np

    frequency = Counter(word for count in counts for word in count)
    chosen = [word for word, n in frequency.most_common(_VOCABULARY) if n > 1]
    columns = {word: n for n, word in enumerate(chosen)}
    rarity = [math.log(len(counts) / frequency[word]) for word in chosen]
    matrix = np.zeros((len(counts), max(len(chosen), 1)), dtype=np.float32)
    for row, count in enumerate(counts):
        for word, times in count.items():
            if (column := columns.get(word)) is not None:
                matrix[row, column] = (1 + math.log(times)) * rarity[column]
    return _unit_rows(matrix)


def _unit_rows(matrix: Any) -> Any:
    """Scale each row to the length 1; a row of zeros stays as it is."""
    import numpy as np

    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
