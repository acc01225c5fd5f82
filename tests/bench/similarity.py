"""How well `like` and `search --like` find more of the same, through the program's own path, beside a linear support
vector machine on tf-idf (what arxiv-sanity-lite does).

With the environment variable SENTENCE_MODEL, the path of a folder for `[semantic] model`, it measures that as well:
several minutes, and a quarter of an hour more for the listing.
"""

import json
import lzma
import math
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from digest.config import load
from digest.papers import Paper, build_paper
from digest.pipeline import similar
from digest.pipeline.context import Context, open_context
from digest.pipeline.day import load_selection
from digest.ranking import DEFAULT_PROFILE
from digest.ranking.embeddings import installed
from digest.sources import Sighting

SHARED = Path(__file__).resolve().parents[3] / "shared" / "papers"
MIXED, LISTING = SHARED / "arxiv-cs-20k.jsonl.xz", SHARED / "listing.jsonl"
POOL, FIELDS, LIKED, FIRST = 2_000, 10, 5, 20
SEEDS = (0, 1, 2)  # settings are chosen on others, from 100 on
DAY = date(2026, 4, 20)
CONFIG = """
[digest]
from = "digest@example.org"
to = ["ann@example.org"]
max_papers = {places}

[[sources]]
type = "file"
path = "papers.jsonl"

[[topics]]
name = "Mine"
like = {like}

[maildir]
path = "mail"
{semantic}
"""
MODEL = os.environ.get("SENTENCE_MODEL", "")


@dataclass(frozen=True)
class Draw:
    """Papers of a field that are liked, and the papers of all fields among which more of it are wanted."""

    field: str
    liked: Sequence[Paper]
    pool: Sequence[Paper]

    def precision(self, found: Sequence[Paper]) -> float:
        """The share of the field among the first twenty found that are not the liked ones themselves."""
        return fmean(self.field in paper.categories for paper in [p for p in found if p not in self.liked][:FIRST])


Measure = Callable[[Draw], Sequence[Paper]]


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


def draws(known: Sequence[Paper], seeds: Sequence[int]) -> Iterator[Draw]:
    """For each seed a pool and in it the ten most frequent categories; math.IT is another name of cs.IT."""
    frequency = Counter(category for p in known for category in p.categories if category != "math.IT")
    for seed in seeds:
        rng = random.Random(seed)
        pool = rng.sample(known, POOL)
        for category, _ in frequency.most_common(FIELDS):
            yield Draw(category, rng.sample([p for p in pool if category in p.categories], LIKED), pool)


def by_digest(draw: Draw, folder: Path, model: str = "") -> Sequence[Paper]:
    """What a mail has when a list of the pool without votes is recorded and a topic has the liked papers."""
    with _history(folder, draw.pool, [f"arxiv:{p.arxiv}" for p in draw.liked], model) as context:
        ranked = load_selection(context, DAY).pick(DEFAULT_PROFILE, frozenset())
        texts = context.papers.load(one.trend.id for one in ranked)
        return [texts[one.trend.id] for one in ranked]


def _history(folder: Path, known: Sequence[Paper], like: Sequence[str], model: str) -> Any:
    """The context of a history that has these papers; it is filled once."""
    semantic = f"[semantic]\nmodel = {json.dumps(model)}" if model else ""
    text = CONFIG.format(like=json.dumps(like), places=FIRST + LIKED, semantic=semantic)
    (folder / "config.toml").write_text(text, encoding="utf-8")
    config = load(folder / "config.toml", {})
    if not config.digest.database.exists():
        with open_context(config) as context:
            context.papers.record("papers", [Sighting(paper) for paper in known], DAY)
    return open_context(config)


def by_machine(draw: Draw) -> Sequence[Paper]:
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
    matrix = words.fit_transform([f"{p.title}. {p.abstract}" for p in draw.pool])
    machine = LinearSVC(class_weight="balanced", max_iter=10_000, tol=1e-6, C=0.01)
    machine.fit(matrix, [paper in draw.liked for paper in draw.pool])
    scores = machine.decision_function(matrix)
    return [draw.pool[n] for n in sorted(range(len(draw.pool)), key=lambda n: -scores[n])]


def precisions(measure: Measure, asked: Sequence[Draw]) -> tuple[list[float], float]:
    """The precision of each draw, and milliseconds a draw (the least of each pool's, which may have to be recorded)."""
    found, taken = [], []
    for draw in asked:
        start = time.perf_counter()
        ranked = measure(draw)
        taken.append(time.perf_counter() - start)
        found.append(draw.precision(ranked))
    return found, 1e3 * sorted(taken)[len(taken) // 2]


def digest_precisions(asked: Sequence[Draw], model: str) -> tuple[list[float], float]:
    with tempfile.TemporaryDirectory() as name:
        folders = {id(draw.pool): Path(name) / str(id(draw.pool)) for draw in asked}
        for folder in folders.values():
            folder.mkdir()
        return precisions(lambda draw: by_digest(draw, folders[id(draw.pool)], model), asked)


def hidden(known: Sequence[Paper], model: str) -> tuple[list[float], float]:
    """What share of the listing `search --like` finds among as many, by each of its papers; seconds a search."""
    listing = [_paper(json.loads(line)) for line in LISTING.read_text(encoding="utf-8").splitlines()]
    with tempfile.TemporaryDirectory() as name, _history(Path(name), [*listing, *known], ["a text"], model) as context:
        _find(context, listing[0], len(listing))  # makes the vectors
        start = time.perf_counter()
        found = [_find(context, paper, len(listing)) for paper in listing[::4]]
        return found, (time.perf_counter() - start) / len(found)


def _find(context: Context, paper: Paper, size: int) -> float:
    liked = context.similar.resolve(paper.title)
    assert liked is not None
    hits = {hit.id for hit in context.similar.find_similar(liked, date.min, size - 1)}
    return len(hits & set(range(1, size + 1))) / (size - 1)


def interval(values: Sequence[float]) -> float:
    """Half the width of the interval that has the mean with a confidence of 95 %."""
    return 1.96 * stdev(values) / math.sqrt(len(values))


def main(seeds: Sequence[int]) -> None:
    if not MIXED.is_file():
        print(f"Similarity: skipped, there are no papers at {MIXED}")
        return
    known = papers()
    asked = list(draws(known, seeds))
    print(
        f"Precision among the first {FIRST} with {LIKED} liked papers of {FIELDS} fields among {POOL:,};"
        f" {len(asked)} draws of the seeds {seeds}; beside the machine: pairs"
    )
    machine = precisions(by_machine, asked) if find_spec("sklearn") else None
    if machine:
        print(f"  tf-idf and LinearSVC  {fmean(machine[0]):.3f} ± {interval(machine[0]):.3f}{machine[1]:>30.0f} ms")
    ways = [("digest", False, "")]
    ways += [("digest[semantic]", True, "")] if installed() else []
    ways += [("digest[onnx]", True, MODEL)] if MODEL else []
    for name, meaning, model in ways:
        similar.installed = partial(bool, meaning)  # type: ignore[attr-defined]
        found, took = digest_precisions(asked, model)
        beside = ""
        if machine:
            more = [one - other for one, other in zip(found, machine[0], strict=True)]
            beside = f"{fmean(found) / fmean(machine[0]):.2f} times, + {fmean(more):.3f} ± {interval(more):.3f}"
        print(f"  {name:<20}  {fmean(found):.3f} ± {interval(found):.3f}  {beside}{took:>6.0f} ms", flush=True)
        shares, seconds = hidden(known, model)
        print(
            f"    of a listing hidden among {len(known):,}, its first paper finds {shares[0]:.2f},"
            f" one of its papers {fmean(shares):.2f} on average; {1e3 * seconds:.0f} ms a search",
            flush=True,
        )


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
