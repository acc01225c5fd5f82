"""Readers who all differ: each gets the papers and the bytes that a mail made for them alone would have."""

import random
import re
from collections.abc import Sequence
from datetime import date, timedelta
from email import message_from_bytes, policy
from itertools import count

import pytest

from digest.mail.message import Placeholders, make_placeholders
from digest.mail.render import RenderedEdition
from digest.mail.requests import feedback_token
from digest.pipeline.context import Context, open_context
from digest.pipeline.day import DayEditions, load_selection
from digest.pipeline.run import fetch_only, run_daily, send_queued
from digest.ranking import Profile
from digest.sources.fetcher import Fetcher
from digest.store.subscribers import Subscriber
from tests.conftest import MONDAY, Workplace, at, html_of, paper, text_of

TOPICS = """
[[sources]]
type = "file"
path = "papers.jsonl"

[[topics]]
name = "Otters"
match = ["otter*", "river bank"]

[[topics]]
name = "Video"
match = ["video*"]
mute = ["part 3*", "seals and seals"]

[[topics]]
name = "Graphs"
authors = ["Ann Author"]
match = ["graph"]
weight = 0.5

[feedback]

[inbox]
path = "letters"
"""
WORDS = "otters video graph seals river bank model data light sound words trees".split()
SUBJECTS = ("Otters", "Video", "Graphs")


def day_of_papers(rng: random.Random, first: int) -> list[dict[str, object]]:
    """Forty papers of which any topic has some."""
    return [
        paper(
            number,
            title=f"On {rng.choice(WORDS)} and {rng.choice(WORDS)}, part {number}",
            abstract=" ".join(rng.choices(WORDS, k=40)).capitalize() + ".",
            authors=rng.sample(["Ann Author", "Bo Writer", "Cy Pen"], 2),
            upvotes=rng.choice([None, 0, 5, 5, 40, 300]),
            tldr="It works & is < 3." if number % 3 == 0 else "",
        )
        for number in range(first, first + 40)
    ]


def random_profile(rng: random.Random) -> Profile:
    return Profile(
        topics=rng.choice([None, tuple(rng.sample(SUBJECTS, rng.randint(1, 3))), ("Gone",)]),
        max_papers=rng.choice([None, 1, 4, 30]),
        days=rng.choice([None, None, frozenset(rng.sample(range(7), 4))]),
    )


def subscribe(place: Workplace, readers: int, rng: random.Random) -> None:
    """Readers of whom some pause, and some have said what they think of papers."""
    with open_context(place.config()) as context:
        for number in range(readers):
            context.subscribers.add(f"reader{number}@example.org", random_profile(rng))
            subscriber = context.subscribers.by_address(f"reader{number}@example.org")
            if rng.random() < 0.1:
                context.subscribers.pause(subscriber, MONDAY + timedelta(rng.randint(1, 3)))
            for paper_id in rng.sample(range(1, 30), 3) if rng.random() < 0.2 else ():
                context.labels.put(subscriber.id, paper_id, rng.random() < 0.7, MONDAY)


def filled(text: str, reader: Subscriber, placeholders: Placeholders) -> str:
    places = count(1)
    text = re.sub(placeholders.place, lambda _: str(next(places)), text)
    for placeholder, value in (
        (placeholders.address, reader.address),
        (placeholders.token, reader.token),
        (placeholders.feedback, feedback_token(reader.token)),
    ):
        text = text.replace(placeholder, value)
    return text


def made_one_by_one(
    context: Context, day: date, readers: Sequence[Subscriber]
) -> dict[Subscriber, tuple[list[int], RenderedEdition]]:
    """The papers of each reader's mail and its texts, rendered as a whole, the last reader first."""
    selection = load_selection(context, day)
    editions = DayEditions(context, selection, ())
    mail = context.renderer.day(editions.masthead, at(day)())
    found = {}
    for reader in reversed(readers):
        edition, _ = editions.edition(reader.profile, context.outbox.shown_to(reader, selection.paper_ids, day))
        found[reader] = [entry.id for entry in edition.entries], mail.render_whole(edition)
    return found


def check_day(place: Workplace, day: date, previews: int) -> int:
    """Whoever gets mail of the day gets what would be made for them alone; return how many they are."""
    fetch_only(place.config(), day, at(day), Fetcher("digest@example.org"))
    with open_context(place.config()) as context:
        statuses = list(context.subscribers.statuses(day))
        silent = {status.address for status in statuses if context.find_reader(status.address, day)[1]}
        readers = [context.subscribers.by_address(status.address) for status in statuses]
        alone = made_one_by_one(context, day, readers)
        placeholders = make_placeholders(context.secret, day)
    previewed = {reader: place.preview(day, reader.address) for reader in readers[:previews]}
    run_daily(place.config(), day, at(day), Fetcher("digest@example.org"), hold=True)
    mailed = 0
    with open_context(place.config()) as context:
        for reader, (papers, texts) in alone.items():
            raw = context.outbox.message_of(reader, day)
            if raw is None:
                assert not papers or reader.address in silent
                continue
            mailed += 1
            assert previewed.get(reader, raw) == raw
            assert context.outbox.mail_of(reader, day) == papers
            mail = message_from_bytes(raw, policy=policy.default)
            assert mail["Subject"] == texts.subject
            assert text_of(mail).split() == filled(texts.text, reader, placeholders).split()
            whole = filled(texts.html, reader, placeholders)
            assert re.sub(r"\s", "", html_of(mail)) == re.sub(r"\s", "", whole)
    send_queued(place.config(), day, at(day))
    return mailed


@pytest.mark.parametrize(
    ("readers", "seed"), [(16, 1), *(pytest.param(60, seed, marks=pytest.mark.slow) for seed in (2, 3, 4, 5))]
)
def test_everybody_gets_what_would_be_made_for_them_alone(workplace: Workplace, readers: int, seed: int) -> None:
    rng = random.Random(seed)
    workplace.to, workplace.more, workplace.digest = (), TOPICS, {"max_papers": 12}
    workplace.lists(*day_of_papers(rng, 0))
    for folder in ("new", "cur"):
        (workplace.folder / "letters" / folder).mkdir(parents=True)
    fetch_only(workplace.config(), MONDAY - timedelta(1), at(MONDAY), Fetcher("digest@example.org"))
    subscribe(workplace, readers, rng)
    mailed = 0
    for number in range(3):
        workplace.lists(*day_of_papers(rng, 40 * number))
        mailed += check_day(workplace, MONDAY + timedelta(number), previews=3)
    assert mailed > readers


@pytest.mark.slow
def test_six_hundred_readers_who_each_like_another_paper_get_their_reasons(workplace: Workplace) -> None:
    readers, rng = 600, random.Random(1)
    field, other = "otter river bank seal fur whiskers swimming".split(), [f"word{n}" for n in range(24)]

    def listed(number: int, words: Sequence[str]) -> dict[str, object]:
        abstract = " ".join(rng.choices(words, k=35)).capitalize() + "."
        return paper(
            number, title=f"{number}Net: {rng.choice(words)} in a study", abstract=abstract, upvotes=number % 90
        )

    workplace.to, workplace.digest = [f"reader{n}@example.org" for n in range(readers)], {"max_papers": 30}
    workplace.lists(*(listed(n, field) for n in range(readers)), *(listed(n, other) for n in range(2000, 3200)))
    workplace.run(MONDAY)
    with open_context(workplace.config()) as context:
        for number, address in enumerate(workplace.to, start=1):
            context.labels.put(context.subscribers.by_address(address).id, number, True, MONDAY)
    workplace.lists(*(listed(n, other if n % 5 else field) for n in range(5000, 5100)))
    assert workplace.run(MONDAY + timedelta(1)).queued == readers
    for address, mails in workplace.mails().items():
        liked = f"{workplace.to.index(address)}Net"
        reasons = re.findall(r"more like “(\d+Net)", " ".join(text_of(mails[1]).split()))
        assert reasons
        assert set(reasons) == {liked}
