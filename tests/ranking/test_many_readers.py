"""For any reader of any day, the selection is what the rules say, written out in `reference`: to the last bit."""

import random
from datetime import date, timedelta

import pytest

from digest.papers import Paper
from digest.ranking import Candidate, Listing, Profile
from digest.ranking.selection import Rules, Selection, Taste
from digest.ranking.similarity import Themes
from digest.ranking.topics import Topic
from tests.ranking.conftest import Space
from tests.ranking.reference import Reference

DAY = date(2026, 4, 20)
SINCE = DAY - timedelta(7)
WORDS = "otter river fur star dust halo proof lemma axiom graph agent reward token image noise".split()
PEOPLE = ("Ada Byron", "Émilie du Châtelet", "Carl Gauß")
TOPICS = tuple(f"T{n}" for n in range(9))


class World:
    """A random day with its topics, rules and labels: few papers or many, with ties of every kind."""

    def __init__(self, seed: int, papers: int, space: Space) -> None:
        self.rng = random.Random(seed)
        self.votes = self.rng.choice([(3,), (0, 1, 2), tuple(range(200)), (0, 0, 0, 50)])
        count = self.rng.choice([0, 1, 2, papers // 2, papers, papers])
        self.ids = self.rng.sample(range(1, 4 * papers), count)
        candidates = [self.candidate(number) for number in self.ids]
        texts = {number: self.paper() for number in [*self.ids, *range(10_000, 10_030)]}
        labelled = {number: texts[number] for number in [*range(10_000, 10_020), *self.ids[:15]]}
        texts = {number: text for number, text in texts.items() if self.rng.random() < 0.99 or number in labelled}
        papers_of_day = {number: texts[number] for number in self.ids if number in texts}
        self.taste = None
        if self.rng.random() < 0.8:
            self.taste = Taste(space(texts), labelled, [n for n in texts if n >= 10_000], papers_of_day)
        self.labelled = list(labelled)
        rules = Rules(
            topics=tuple(map(self.topic, TOPICS[: self.rng.choice([0, 1, 3, 9])])),
            weights=self.weights(),
            max_papers=self.rng.choice([1, 5, 12]),
            min_score=self.rng.choice([0.0, 0.0, 0.05, 0.4, 1.0, 3.0]),
            topics_only=self.rng.random() < 0.25,
            variety=self.rng.random() < 0.7,
        )
        self.selection = Selection(rules, SINCE, DAY, candidates, papers_of_day, {}, self.taste)
        self.reference = Reference(rules, SINCE, DAY, candidates, papers_of_day, self.taste, self.near)
        self.themes = Themes(papers_of_day, self.selection.sample())

    def near(self, one: int, other: int) -> bool:
        """Whether two papers share a theme; `themes` is not that of the selection, and was asked in another order."""
        self.themes.near(one)
        return one in self.themes.near(other)

    def weights(self) -> dict[str, float]:
        return {source: self.rng.choice([0.0, 0.3, 1.0, 1.0, 1.0, 2.5, 7.0]) for source in "abcd"}

    def candidate(self, number: int) -> Candidate:
        """A paper on up to four lists; `a` and `b` have votes, `c` and `d` have none, and `b` has some."""
        first_seen = DAY - timedelta(self.rng.choice([0, 0, 1, 2, 6, 7]))
        listed = {}
        for _ in range(self.rng.choice([1, 1, 1, 2, 4])):
            source, day = self.rng.choice("abcd"), first_seen - timedelta(self.rng.choice([0, 0, 0, 1, 3]))
            votes = None if source in "cd" or self.rng.random() < 0.2 * (source == "b") else self.rng.choice(self.votes)
            listed[source, day] = Listing(source, day, ((first_seen, votes),))
        return Candidate(number, first_seen, tuple(listed[key] for key in sorted(listed)))

    def paper(self) -> Paper:
        some = self.rng.sample(WORDS, 4)
        words = self.rng.choices(some, k=self.rng.randint(3, 12))
        authors = tuple(self.rng.sample(PEOPLE, self.rng.randint(0, 2)))
        categories = tuple(self.rng.sample(["cs.LG", "cs.CL", "math.CO"], self.rng.randint(0, 2)))
        return Paper(" ".join(some[:2]), abstract=" ".join(words), authors=authors, categories=categories)

    def topic(self, name: str) -> Topic:
        rng = self.rng
        return Topic(
            name,
            match=tuple(rng.sample([*WORDS, "ot*", "gra* agent", "proof lemma"], rng.randint(0, 3))),
            authors=tuple(rng.sample(PEOPLE, rng.randint(0, 1))),
            categories=tuple(rng.sample(["cs.LG", "cs.CL"], rng.randint(0, 1))),
            mute=tuple(rng.sample([*WORDS, "math.CO", "ada byron"], rng.choice([0, 0, 1]))),
            weight=rng.choice([0.0, 0.1, 0.2, 0.3, 1.0, 1.0, 2.5]),
        )

    def reader(self) -> tuple[Profile, frozenset[int]]:
        rng = self.rng
        topics = rng.choice([None, (), ("gone",), ("T1", "gone"), *[tuple(rng.sample(TOPICS, 3))] * 4])
        limit = rng.choice([None, 1, 2, 5, 15, 40, 120])
        likes = rng.randint(0, min(rng.choice([1, 6, 30]), len(self.labelled))) * rng.randint(0, 1)
        liked = (*rng.sample(self.labelled, likes), *rng.choice([(), (), (77_777,)]))  # which was deleted
        disliked = tuple(n for n in self.labelled if n not in liked and rng.random() < rng.choice([0, 0.3, 0.9]))
        if rng.random() < 0.3:
            liked = disliked = ()
        shown = rng.sample(self.ids, int(len(self.ids) * rng.choice([0, 0, 0.1, 0.5, 1.0])))
        return Profile(topics, limit, None, liked, disliked), frozenset([*shown, 99_999])


@pytest.mark.parametrize("seed", range(5))
def test_many_readers_of_many_days_get_what_the_rules_say(seed: int, space: Space) -> None:
    for number in range(20):
        compare(World(100 * seed + number, 30, space), readers=10)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_thousands_of_readers_get_what_the_rules_say(seed: int, space: Space) -> None:
    for number in range(20):
        compare(World(1_000_000 + 100 * seed + number, 120, space), readers=40)


def compare(world: World, readers: int) -> None:
    ours, rules = world.selection, world.reference
    for _ in range(readers):
        profile, shown = world.reader()
        assert ours.pick(profile, shown) == rules.pick(profile, shown)
        order = ours.order(profile, shown)
        assert order == rules.order(profile, shown)
        scored = rules.score(profile, shown)
        assert ours.score(profile, shown) == scored
        assert [not ours.exclusion(profile, one) for one in scored] == [
            not rules.left_out(profile, one) for one in scored
        ]
        assert ours.why_empty(profile, shown) == rules.why_empty(profile, shown)
