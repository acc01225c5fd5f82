"""How well `like` finds more of the same: precision at 20 on mixed papers, beside a support vector machine's."""

import json
import lzma
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Any

from digest.papers import Paper, build_paper
from digest.pipeline.similar import LikedPaper, SimilarPapers
from digest.ranking.embeddings import embed, installed, semantic_similarity
from digest.ranking.similarity import tf_idf_similarity
from digest.sources import Sighting
from digest.store.database import open_database
from digest.store.papers import Papers
from digest.store.search import SearchIndex

SHARED = Path(__file__).resolve().parents[3] / "shared" / "papers"
MIXED, LISTING = SHARED / "arxiv-cs-20k.jsonl.xz", SHARED / "listing.jsonl"
POOL, LIKED, FIRST = 2_000, 5, 20

Measure = Callable[[Sequence[Paper], Sequence[Paper]], Sequence[float]]


def papers() -> list[Paper]:
    with lzma.open(MIXED, "rt", encoding="utf-8") as lines:
        return [_paper(json.loads(line)) for line in lines]


def _paper(row: dict[str, Any]) -> Paper:
    return build_paper(
        row["title"],
        abstract=row["abstract"],
        authors=row.get("authors", ()),
        identifiers=[row.get("id", "")],
        categories=row.get("categories", ()),
        source="bench",
    )


def draws(known: Sequence[Paper]) -> Iterator[tuple[str, list[Paper], list[Paper]]]:
    """Five pools, and in each the ten most frequent categories: (category, five liked papers of it, the rest)."""
    often = [category for category, _ in Counter(p.categories[0] for p in known).most_common(10)]
    for seed in range(5):
        rng = random.Random(seed)
        pool = rng.sample(known, POOL)
        for category in often:
            liked = rng.sample([paper for paper in pool if category in paper.categories], LIKED)
            yield category, liked, [paper for paper in pool if paper not in liked]


def by_meaning(known: Sequence[Paper]) -> Measure:
    """The extra's measure; the embeddings are made beforehand, as the history keeps them."""
    vectors = dict(zip((paper.title for paper in known), embed(known), strict=True))

    def measure(liked: Sequence[Paper], pool: Sequence[Paper]) -> Sequence[float]:
        return semantic_similarity(liked, [vectors[p.title] for p in liked], pool, [vectors[p.title] for p in pool])

    return measure


def by_machine(liked: Sequence[Paper], pool: Sequence[Paper]) -> Sequence[float]:
    """tf-idf and a linear support vector machine with the settings of arxiv-sanity-lite."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(
        strip_accents="unicode",
        stop_words="english",
        token_pattern=r"(?u)\b[a-zA-Z_][a-zA-Z0-9_]+\b",
        ngram_range=(1, 2),
        max_features=20_000,
        sublinear_tf=True,
        min_df=5,
    )
    matrix = words.fit_transform([f"{p.title}. {p.abstract}" for p in [*liked, *pool]])
    machine = LinearSVC(class_weight="balanced", max_iter=10_000, tol=1e-6, C=0.01)
    machine.fit(matrix, [1] * len(liked) + [0] * len(pool))
    return list(machine.decision_function(matrix)[len(liked) :])


def precision(measure: Measure, known: Sequence[Paper]) -> tuple[float, float]:
    """The share of the category among the first twenty, and milliseconds a draw."""
    found, taken = [], []
    for category, liked, pool in draws(known):
        start = time.perf_counter()
        scores = measure(liked, pool)
        taken.append(time.perf_counter() - start)
        best = sorted(range(len(pool)), key=lambda n: -scores[n])[:FIRST]
        found.append(fmean(category in pool[n].categories for n in best))
    return fmean(found), 1e3 * fmean(taken)


def hidden(known: Sequence[Paper]) -> tuple[int, int]:
    """How many papers of the listing are among the first 96 like its first, and of how many."""
    listing = [_paper(json.loads(line)) for line in LISTING.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as folder, open_database(Path(folder) / "history.db") as db:
        history = Papers(db)
        history.record("bench", [Sighting(p) for p in [*listing, *known]], date(2026, 4, 20))
        likeness = SimilarPapers(history, SearchIndex(db))
        hits = {hit.id for hit in likeness.find_similar(LikedPaper(1, listing[0]), date.min, 96)}
    return len(hits & set(range(2, len(listing) + 1))), len(listing) - 1


def main() -> None:
    if not MIXED.is_file():
        print(f"Similarity: skipped, there are no papers at {MIXED}")
        return
    known = papers()
    print(f"Similarity: precision at {FIRST} with {LIKED} liked papers among {POOL:,}, 50 draws; ms a draw")
    measures: dict[str, Measure] = {"ours": tf_idf_similarity}
    if installed():
        measures["ours, with the extra"] = by_meaning(known)
    if find_spec("sklearn"):
        measures["tf-idf and LinearSVC"] = by_machine
    for name, measure in measures.items():
        share, took = precision(measure, known)
        print(f"{name:<24}{share:>7.3f}{took:>8.0f}")
    found, among = hidden(known)
    print(f"Of a listing of {among + 1} papers among {len(known):,}, {found} are in the first 96 like its first")


if __name__ == "__main__":
    main()
