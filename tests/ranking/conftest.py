"""Spaces of papers of either kind."""

from collections.abc import Callable, Mapping

import pytest

from digest.papers import Paper
from digest.ranking.embeddings import VectorSpace, fit
from digest.ranking.similarity import PaperSpace, WordSpace

Space = Callable[[Mapping[int, Paper]], PaperSpace]


@pytest.fixture(params=["plain", "semantic"])
def space(request: pytest.FixtureRequest) -> Space:
    if request.param == "plain":
        return WordSpace
    pytest.importorskip("numpy", reason="the extra `semantic` is not installed")
    return by_meaning


def by_meaning(papers: Mapping[int, Paper]) -> PaperSpace:
    texts = list(papers.values())
    return VectorSpace(dict(zip(papers, fit(texts).embed(texts), strict=True)))
