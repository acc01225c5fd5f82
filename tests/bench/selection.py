"""What selecting papers costs: once a day, and for each reader with topics, limit and history of their own.

300 new papers a day, on the first day and on the eighth, when 2,400 are candidates and a reader was shown 70. The
papers are on one list with votes, or 50 of them on that and the others on one without; their words are random.

Readers with labels have up to 30, and 1,000 more papers are the background. Those papers' texts are shorter, so that
they have as many words in common as the 73 that abstracts of arXiv have with 3,400 others.
"""

import random
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from statistics import fmean

from digest.papers import Paper
from digest.ranking import Candidate, Listing, Profile
from digest.ranking.embeddings import VectorSpace, fit, installed
from digest.ranking.selection import MAX_PAPERS, Rules, Selection, Taste
from digest.ranking.similarity import BACKGROUND, PaperSpace, WordSpace
from digest.ranking.topics import Topic
from tests.ranking.reference import Reference

READERS, PLAIN, LABELLED = 2_000, 3, 500  # the plain rules are slow
A_DAY, DAYS, TOPICS = 300, 8, 40
FIRST = date(2026, 4, 13)
WEIGHTS = [1 / (n + 20) for n in range(4_000)]  # of words
NONE: frozenset[int] = frozenset()


def timed(what: Callable[[], object]) -> float:
    """The CPU time of one run, in ms."""
    start = time.process_time()
    what()
    return (time.process_time() - start) * 1e3


class Week:
    """Eight days of papers and one of readers, the same each time."""

    def __init__(self, voted: int, readers: int) -> None:
        rng = self.rng = random.Random(1)
        words = self.words = [
            "".join(rng.choices("bcdfglmnprstv", k=2)) + rng.choice("aeiou") + str(n) for n in range(len(WEIGHTS))
        ]
        self.papers = {n: self.paper(150) for n in range(1, A_DAY * DAYS + 1)}
        self.candidates = [self.candidate(n, voted) for n in self.papers]
        self.topics = tuple(
            Topic(f"T{n}", match=tuple(rng.sample(words[1_500:], rng.randint(2, 4)))) for n in range(TOPICS)
        )
        self.readers = [
            Profile(tuple(rng.sample([t.name for t in self.topics], 3)), rng.choice([5, 10, 15]))
            for _ in range(readers)
        ]

    def paper(self, length: int) -> Paper:
        title, abstract = (self.rng.choices(self.words, WEIGHTS, k=k) for k in (9, length))
        return Paper(" ".join(title), abstract=" ".join(abstract))

    def candidate(self, number: int, voted: int) -> Candidate:
        day = FIRST + timedelta((number - 1) // A_DAY)
        votes = int(self.rng.lognormvariate(2.5, 1.2)) if number % A_DAY < voted else None
        return Candidate(number, day, (Listing("voted" if votes is not None else "silent", day, ((day, votes),)),))

    def rules(self, topics: tuple[Topic, ...]) -> Rules:
        return Rules(topics, {}, 10, 0.0, topics_only=False, variety=True)

    def selection(self, day: date, topics: tuple[Topic, ...]) -> Selection:
        known = [one for one in self.candidates if one.first_seen <= day]
        papers = {one.id: self.papers[one.id] for one in known}
        return Selection(self.rules(topics), FIRST, day, known, papers, {})

    def plain(self, day: date) -> Reference:
        known = [one for one in self.candidates if one.first_seen <= day]
        papers = {one.id: self.papers[one.id] for one in known}
        return Reference(self.rules(self.topics), FIRST, day, known, papers, None, lambda one, other: False)


def measure(name: str, voted: int, readers: int) -> None:
    week = Week(voted, readers)
    shown = [NONE] * readers
    for number in range(DAYS):
        day = FIRST + timedelta(number)
        alone, selection = week.selection(day, ()), week.selection(day, week.topics)
        one, ready = timed(partial(alone.pick, Profile(), NONE)), timed(partial(selection.pick, Profile(), NONE))
        start = time.process_time()
        taken = [selection.pick(profile, had) for profile, had in zip(week.readers, shown, strict=True)]
        each = (time.process_time() - start) * 1e3 / readers
        if number in (0, DAYS - 1):
            had = fmean(map(len, shown))
            plain = week.plain(day)
            slow = fmean(timed(partial(plain.pick, week.readers[n], shown[n])) for n in range(PLAIN))
            figures = f"{len(selection.paper_ids):>12,}{had:>8.0f}{one:>12.1f}{ready:>12.0f}{each:>11.3f}"
            print(f"{name:>22}{figures}{slow / each:>13,.0f}")
        shown = [had | {r.trend.id for r in mail} for had, mail in zip(shown, taken, strict=True)]


def by_words(texts: Mapping[int, Paper]) -> Callable[[], PaperSpace]:
    return lambda: WordSpace(texts)


def by_meaning(texts: Mapping[int, Paper]) -> Callable[[], PaperSpace]:
    """A space of vectors that are stored already."""
    vectors = dict(zip(texts, fit(texts.values()).embed(list(texts.values())), strict=True))
    return lambda: VectorSpace(vectors)


def measure_labels(name: str, kind: Callable[[Mapping[int, Paper]], Callable[[], PaperSpace]]) -> None:
    """On the eighth day, with a sixth of the papers on the list with votes."""
    week = Week(A_DAY // 6, LABELLED)
    rng, candidates = week.rng, A_DAY * DAYS
    texts = {n: week.paper(90) for n in range(1, candidates + BACKGROUND + 1)}
    papers = {n: texts[n] for n in range(1, candidates + 1)}
    make = kind(texts)
    spaces: list[PaperSpace] = []
    once = timed(lambda: spaces.append(make()))
    taste = Taste(spaces[0], texts, range(candidates + 1, len(texts) + 1), papers)
    day = FIRST + timedelta(DAYS - 1)
    selection = Selection(week.rules(week.topics), FIRST, day, week.candidates, papers, {}, taste)
    readers = []
    for reader in week.readers:
        labelled = rng.sample(range(1, len(texts) + 1), rng.randint(1, 30))
        likes = rng.randint(0, len(labelled))
        voter = replace(reader, liked=tuple(labelled[:likes]), disliked=tuple(labelled[likes:]))
        readers.append((reader, voter, frozenset(rng.sample(list(papers), 70))))
    had = NONE
    while mail := selection.pick(Profile(max_papers=MAX_PAPERS), had):
        had |= {ranked.trend.id for ranked in mail}  # once a day, each paper is compared with the others
    first = timed(partial(selection.pick, readers[0][1], NONE))
    without = fmean(timed(partial(selection.pick, reader, shown)) for reader, _, shown in readers)
    voters = fmean(timed(partial(selection.pick, voter, shown)) for _, voter, shown in readers)
    print(f"{name:>22}{once:>12.0f}{first:>14.1f}{without:>17.3f}{voters:>14.2f}")


def main(readers: int = READERS) -> None:
    print(f"Selecting papers, ms of CPU; {readers:,} readers with three topics of {TOPICS} and 5, 10 or 15 papers")
    print(f"{'':>22}{'candidates':>12}{'shown':>8}{'no topics':>12}{'40 topics':>12}{'a reader':>11}{'× plain':>13}")
    measure("all with votes", A_DAY, readers)
    measure("a sixth with votes", A_DAY // 6, readers)
    print(f"The same for {LABELLED} readers with 1 to 30 labels")
    print(f"{'':>22}{'a space':>12}{'first reader':>14}{'without labels':>17}{'a reader':>14}")
    measure_labels("by words", by_words)
    if installed():
        measure_labels("with the extra", by_meaning)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else READERS)
