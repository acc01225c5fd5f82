"""A made-up edition and the message of it: what templates are tried on, and what a test mail holds."""

from datetime import datetime

from digest import message
from digest.config import Config
from digest.edition import Edition, Entry, Part
from digest.leaving import leave_link
from digest.message import Frame, Rendered
from digest.render import Renderer

_SENTENCE = "This abstract was made up to see how a mail of today looks, with 3 < 4, “quotes”, α & β and an – dash. "
_TEST = "This is a test by `digest doctor`: its papers are made up, and nothing of it is remembered."


def edition(config: Config, now: datetime, papers: int) -> Edition:
    """An edition of so many papers, the second of them as bare as a paper can be; none at all for 0."""
    entries = tuple(_bare(place) if place == 2 else _full(place) for place in range(1, papers + 1))
    parts = (Part("Trending today", entries[1:]),) if papers > 1 else ()
    top = entries[0] if entries else None
    return Edition(config.digest.title, now.date(), _TEST, top, parts, ("A source is named here when it fails.",))


def mailed(config: Config, made: Edition, now: datetime, before: str = "") -> tuple[Rendered, Frame]:
    """An edition through the configured templates, its subject with some words `before` it.

    Raises ConfigError naming file and line when a template cannot be rendered.
    """
    sender, slots = config.digest.from_, message.slots(b"a made-up edition", made.day)
    leave = leave_link(config.unsubscribe, sender, slots.token)
    done = Renderer(config.digest.templates).render(made, slots, leave)
    done = Rendered(before + done.subject, done.text, done.html)
    return done, message.build(done, config.digest.title, sender, config.unsubscribe, slots, made.day, now)


def _full(place: int) -> Entry:
    return Entry(
        place=place,
        id=place,
        title=f"A made-up paper, number {place}: what it takes to read a title of ordinary length in the morning",
        link=f"https://arxiv.org/abs/2601.{place:05}",
        authors="Ada Example, Bo Beispiel, Chloé Exemple +4 more",
        votes="12 upvotes",
        movement="new",
        categories="cs.LG, stat.ML",
        abstract=_SENTENCE * 6,
        reasons=("matches a topic",),
        links=tuple((label, f"https://example.org/{place}/{label}") for label in ("PDF", "HTML", "Code", "Project")),
    )


def _bare(place: int) -> Entry:
    return Entry(place, place, f"A made-up paper, number {place}", "", "", "", "", "", "", (), ())
