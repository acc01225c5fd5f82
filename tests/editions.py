"""Editions for the tests of the mail: of plain papers, and of hostile ones."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from zoneinfo import ZoneInfo

from digest.archive import PublicEdition
from digest.mail.address import parse_mailbox
from digest.mail.edition import Arrivals, Composer, Edition, Masthead, Pick
from digest.mail.message import MessageFrame, build_frame, fill_frame, make_placeholders
from digest.mail.render import RenderedEdition, Renderer
from digest.mail.requests import FeedbackSettings
from digest.mail.unsubscribe import UnsubscribeSettings
from digest.papers import Paper
from digest.ranking import Listing
from digest.ranking.topics import ScorePart
from digest.ranking.trending import Ranked, Trend, TrendKind

DAY = date(2026, 4, 20)
NOW = datetime(2026, 4, 20, 6, 0, tzinfo=ZoneInfo("Europe/Berlin"))
SENDER = parse_mailbox("Paper Digest <digest@mail.example.org>")
SECRET = b"secret" * 6
PLACEHOLDERS = make_placeholders(SECRET, DAY)
LEAVE = UnsubscribeSettings(mailto="unsubscribe@mail.example.org", url="https://d.example.org/u/{token}")
TOKEN = "abcdefghijklmnopqrstuvwxyz"


def ranked(number: int, votes: int | None = 7, kind: TrendKind = TrendKind.TODAY, badges: Sequence[str] = ()) -> Ranked:
    day = DAY - timedelta(3) if kind is TrendKind.RISING else DAY
    earlier = () if votes is None or kind is not TrendKind.TODAY else ((DAY - timedelta(1), max(0, votes - 30)),)
    listing = Listing("hf", day, (*earlier, (DAY, votes)))
    return Ranked(
        Trend(number, 1.0, kind, listing),
        (ScorePart(1.0, ""), *(ScorePart(0.1, f"matches your topic {badge}", badge) for badge in badges)),
    )


def edition(papers: Iterable[Paper], title: str = "Trending papers", notices: Sequence[str] = ()) -> Edition:
    known = dict(enumerate(papers, start=1))
    entries = [ranked(n, votes=1000 - n, kind=TrendKind.RISING if n % 5 == 4 else TrendKind.TODAY) for n in known]
    masthead = Masthead(title, DAY, tuple(notices))
    return Composer(masthead, known, Arrivals(len(known), DAY)).compose(entries)


def public_edition(papers: Iterable[Paper], day: date = DAY, title: str = "Trending papers") -> PublicEdition:
    """A public edition as it comes out of the database: its papers are numbered by their places."""
    known = dict(enumerate(papers, start=1))
    tag = f"tag:papers.example.org,{day}:/edition"
    entries = tuple(replace(ranked(n, votes=1000 - n), parts=()) for n in known)
    return PublicEdition(
        day, datetime.combine(day, NOW.timetz()), tag, title, Arrivals(len(known), day), entries, known
    )


def renderer(
    unsubscribe: UnsubscribeSettings = LEAVE,
    overrides: Path | None = None,
    title: str = "Trending papers",
    feedback: FeedbackSettings | None = None,
) -> Renderer:
    return Renderer(title, SENDER, unsubscribe, SECRET, overrides, feedback=feedback)


def rendered(made: Edition, by: Renderer | None = None) -> RenderedEdition:
    """The texts of an edition, its papers numbered."""
    whole, places = (by or renderer()).day(made.masthead, NOW).render_whole(made), count(1)
    return replace(whole, text=re.sub(PLACEHOLDERS.place, lambda _: str(next(places)), whole.text))


def framed(made: Edition, unsubscribe: UnsubscribeSettings = LEAVE) -> MessageFrame:
    day = renderer(unsubscribe, title=made.masthead.title).day(made.masthead, NOW)
    return build_frame(day.fragments([made])[0], SENDER.address)


def mail(made: Edition, to: str = "ann@example.org", unsubscribe: UnsubscribeSettings = LEAVE) -> bytes:
    return fill_frame(framed(made, unsubscribe), to, TOKEN, DAY)


def plain_papers(number: int) -> list[Paper]:
    sentence = "We study a question that nobody has asked before, and answer it with care and 12 % fewer steps. "
    tldr = (
        "An answer of moderate length, given with care to whoever asks a question of learning, takes 12 % fewer steps"
        " than any answer known before and helps more people, as a study of forty questions confirms."
    )
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
            tldr=tldr if n % 3 else "",
            tldr_by="Hugging Face",
            organization="University of Answers",
            stars=n * 100,
            comments=n % 5,
            discussion=f"https://huggingface.co/papers/2604.{n:05}#community",
        )
        for n in range(1, number + 1)
    ]


def full_edition(papers: int) -> Edition:
    """An edition in which nothing is missing: badges, a page in the archive and a way to subscribe."""
    made = edition(plain_papers(papers), notices=["arXiv was unavailable today; its papers follow tomorrow."])

    def filled(pick: Pick) -> Pick:
        entry = replace(pick.entry, origin="from Fri 17 Apr")
        return Pick(pick.place, entry, ("World models", "Video", "Otters"))

    masthead = replace(
        made.masthead,
        archive_url="https://papers.example.org/2026/04/20.html",
        signup_link="mailto:subscribe@example.org?subject=subscribe",
    )
    sections = tuple(replace(s, picks=tuple(map(filled, s.picks))) for s in made.sections)
    return replace(made, masthead=masthead, top=made.top and filled(made.top), sections=sections)
