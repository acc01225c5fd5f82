"""Editions for the tests of the mail: of plain papers, and of hostile ones."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from digest import address, message
from digest.edition import Edition, compose
from digest.history import Listing
from digest.leaving import Unsubscribe, leave_link
from digest.message import Frame, Rendered, Slots
from digest.paper import Paper
from digest.ranking import Ranked, Section, Trend
from digest.render import Renderer
from digest.topics import Part

DAY = date(2026, 4, 20)
NOW = datetime(2026, 4, 20, 6, 0, tzinfo=ZoneInfo("Europe/Berlin"))
SENDER = address.mailbox("Paper Digest <digest@mail.example.org>")
SLOTS = message.slots(b"secret" * 6, DAY)
LEAVE = Unsubscribe(mailto="unsubscribe@mail.example.org", url="https://d.example.org/u/{token}")
TOKEN = "abcdefghijklmnopqrstuvwxyz"


def ranked(number: int, votes: int | None = 7, section: Section = Section.TODAY, reasons: Sequence[str] = ()) -> Ranked:
    listing = Listing("hf", DAY, ((DAY, votes),))
    return Ranked(Trend(number, 1.0, section, listing), (Part(1.0, ""), *(Part(0.1, reason) for reason in reasons)))


def edition(papers: Iterable[Paper], title: str = "Trending papers", notices: Sequence[str] = ()) -> Edition:
    known = dict(enumerate(papers, start=1))
    entries = [ranked(n, votes=1000 - n, section=Section.RISING if n % 5 == 4 else Section.TODAY) for n in known]
    return compose(title, DAY, entries, known, len(known), notices)


def rendered(made: Edition, slots: Slots = SLOTS, unsubscribe: Unsubscribe = LEAVE) -> Rendered:
    return Renderer().render(made, slots, leave_link(unsubscribe, SENDER, slots.token))


def framed(made: Edition, unsubscribe: Unsubscribe = LEAVE) -> Frame:
    return message.build(rendered(made, unsubscribe=unsubscribe), made.title, SENDER, unsubscribe, SLOTS, DAY, NOW)


def mail(made: Edition, to: str = "ann@example.org", unsubscribe: Unsubscribe = LEAVE) -> bytes:
    return message.fill(framed(made, unsubscribe), to, TOKEN, DAY.isoformat())


def plain_papers(count: int) -> list[Paper]:
    sentence = "We study a question that nobody has asked before, and answer it with care and 12 % fewer steps. "
    return [
        Paper(
            f"On the {n}th question of learning, and why an answer of moderate length helps",
            abstract=sentence * 12,
            authors=tuple(f"Author Number{i}" for i in range(1 + n % 9)),
            arxiv=f"2604.{n:05}",
            categories=("cs.LG", "stat.ML"),
            code=f"https://github.com/example/question-{n}",
            project=f"https://question-{n}.example.org/",
            huggingface=f"https://huggingface.co/papers/2604.{n:05}",
        )
        for n in range(1, count + 1)
    ]
