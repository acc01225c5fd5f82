"""What votes bring: the share of a field among the first ten papers, with likes alone and with dislikes as well.

96 interests are 32 fields, each against three others. A reader with such an interest likes k papers of the one field
and dislikes k of the other, four times each, and 2,000 others are put in order. `KNOWN` is what a sketch of the rule
with latent semantic analysis in 200 dimensions found on the same records, which this program has to come up to.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from statistics import fmean

from digest.papers import Paper
from digest.ranking.embeddings import VectorSpace, fit, installed
from digest.ranking.similarity import PaperSpace, WordSpace
from tests.bench.similarity import MIXED, papers

FIELDS, AGAINST, DRAWS, POOL, FIRST = 32, 3, 4, 2_000, 10
KNOWN = {5: (0.330, 0.349), 10: (0.371, 0.397), 20: (0.391, 0.442)}


def draws(known: Sequence[Paper], count: int) -> Iterator[tuple[str, list[int], list[int], list[int]]]:
    """(field, liked, disliked, the others) of each interest and draw; papers are numbered from 1."""
    by_field: dict[str, list[int]] = {}
    for number, paper in enumerate(known, start=1):
        by_field.setdefault(paper.categories[0], []).append(number)
    fields = [field for field, _ in Counter({f: len(n) for f, n in by_field.items()}).most_common(FIELDS)]
    for index, field in enumerate(fields):
        for step in range(1, AGAINST + 1):
            other = fields[(index + 7 * step) % len(fields)]
            for seed in range(DRAWS):
                rng = random.Random(f"{field} {other} {seed}")
                liked, disliked = rng.sample(by_field[field], count), rng.sample(by_field[other], count)
                pool = rng.sample(range(1, len(known) + 1), POOL)
                yield field, liked, disliked, [n for n in pool if n not in {*liked, *disliked}]


def measure(space: PaperSpace, known: Sequence[Paper], count: int) -> tuple[float, float]:
    """The share of the field among the first ten, with likes alone and with dislikes as well."""
    shares: tuple[list[float], list[float]] = ([], [])
    for field, liked, disliked, among in draws(known, count):
        for found, against in zip(shares, ([], disliked), strict=True):
            scores = space.score(liked, against, among)
            best = sorted(range(len(among)), key=lambda n, scores=scores: -scores[n])[:FIRST]  # type: ignore[misc]
            found.append(fmean(field == known[among[n] - 1].categories[0] for n in best))
    return fmean(shares[0]), fmean(shares[1])


def main() -> None:
    if not MIXED.is_file():
        print(f"Feedback: skipped, there are no papers at {MIXED}")
        return
    known = papers()
    numbered = dict(enumerate(known, start=1))
    spaces: dict[str, Callable[[], PaperSpace]] = {"ours": lambda: WordSpace(numbered)}
    if installed():
        spaces["ours, with the extra"] = lambda: VectorSpace(dict(zip(numbered, fit(known).embed(known), strict=True)))
    print(f"Feedback: share of the field in the first {FIRST} of {POOL:,}, with k likes -> with k dislikes as well")
    print(f"{'':<24}" + "".join(f"{f'k = {count}':>18}" for count in KNOWN))
    print(f"{'sketch (LSA-200)':<24}" + "".join(f"{f'{one:.3f} -> {two:.3f}':>18}" for one, two in KNOWN.values()))
    for name, make in spaces.items():
        space = make()
        print(f"{name:<24}", end="")
        for count in KNOWN:
            one, two = measure(space, known, count)
            print(f"{f'{one:.3f} -> {two:.3f}':>18}", end="", flush=True)
        print()


if __name__ == "__main__":
    main()
