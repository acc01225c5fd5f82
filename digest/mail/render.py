"""Render an edition with templates, and make it a message. The only module that imports premailer.

edition ──▶ fit_entries ──▶ templates ──▶ inline_styles ──▶ message frame
            (Gmail's limit)    (Jinja)       (premailer)    (digest.mail.message)
"""

import html
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from digest.errors import ConfigError
from digest.mail.address import Mailbox
from digest.mail.edition import Edition, Entry, format_short_date
from digest.mail.message import MessageFrame, RenderedEdition, build_frame, make_placeholders, quoted_printable
from digest.mail.requests import FeedbackSettings, feedback_link
from digest.mail.templates import Templates
from digest.mail.unsubscribe import UnsubscribeSettings, unsubscribe_link
from digest.papers.text.fit import header_text, headline, snippet

# Bytes of HTML: Gmail hides what comes after about 102 KB, the unsubscribe link included.
GMAIL_LIMIT = 100_000
_FULL = 5  # papers in full after the top pick: what a reader gets through in two minutes
# Levels of detail, and the bytes that an entry costs besides its own words once its styles are inlined and encoded
# (measured; a test compares the sum with the real size).
_COST = {"top": 1_150, "full": 900, "brief": 640, "row": 500, "line": 410}
_LEVELS = tuple(_COST)
_PAGE_COST = 7_500  # bytes besides title, notices and entries
_LINK, _BADGE = 100, 270  # bytes of each besides its words
_HEADLINE = 64  # characters of the first title in the subject: phones show 40 of them, desktops 70
_BRIEF = 110  # characters of the finding at the level "brief"
_LINE_TITLE, _LINE_LINK = 150, 120  # bytes encoded, at the level "line"
_SECOND_LINK = ("Code", "Discussion", "Project")  # words of the link that the plain text adds to the paper's page


@dataclass(frozen=True, slots=True)
class FittedEntry:
    """An entry at a level of detail.

    "top" and "full" have everything, "brief" title, votes and a sentence, "row" title and votes, "line" only as much of
    the title as fits on one.
    """

    entry: Entry
    level: str

    @property
    def detailed(self) -> bool:
        return self.level in ("top", "full")

    @property
    def title(self) -> str:
        title = self.entry.title
        if self.level != "line":
            return title
        return next(cut for limit in range(80, 0, -8) if _size(cut := snippet(title, limit)) <= _LINE_TITLE)

    @property
    def link(self) -> str:
        return "" if self.level == "line" and _size(self.entry.link) > _LINE_LINK else self.entry.link

    @property
    def finding(self) -> str:
        if self.detailed:
            return self.entry.finding
        return snippet(self.entry.finding, _BRIEF) if self.level == "brief" else ""

    @property
    def finding_by(self) -> str:
        return self.entry.finding_by if self.finding else ""

    @property
    def text_links(self) -> tuple[tuple[str, str], ...]:
        """The link that the plain text has beside the paper's page."""
        found = [pair for pair in self.entry.links if self.detailed and pair[0].startswith(_SECOND_LINK)]
        return tuple(found[:1])


class Renderer:
    """Turns editions into messages, with the look and the sender of one digest.

    `title` is the digest's; `secret` makes placeholders that nobody can guess. A template in the folder `overrides`
    replaces the bundled one of the same name; `archive_home` is the address of the archive, if there is one; with
    `feedback`, readers can vote about papers.
    """

    def __init__(
        self,
        title: str,
        sender: Mailbox,
        unsubscribe: UnsubscribeSettings,
        secret: bytes,
        overrides: Path | None = None,
        archive_home: str = "",
        feedback: FeedbackSettings | None = None,
    ) -> None:
        self._title = title
        self._feedback = feedback
        self._sender = sender
        self._unsubscribe = unsubscribe
        self._secret = secret
        self._archive_home = archive_home
        self._templates = Templates(overrides)

    def frame(self, edition: Edition, now: datetime, subject_prefix: str = "") -> MessageFrame:
        """Return the message of an edition, with gaps for what differs between subscribers; `now` is its Date.

        Raises ConfigError naming file and line when a template cannot be rendered.
        """
        rendered = self.render(edition)
        rendered = replace(rendered, subject=subject_prefix + rendered.subject)
        placeholders = make_placeholders(self._secret, edition.day)
        pages = {"List-Archive": self._archive_home, "Archived-At": edition.archive_url}  # RFC 2369, RFC 5064
        archive = {name: address for name, address in pages.items() if address}
        return build_frame(
            rendered, self._title, self._sender, self._unsubscribe, placeholders, edition.day, now, archive
        )

    def unsubscribe_link(self, edition: Edition) -> str:
        """Return the unsubscribe link as it is in the texts of `render`."""
        token = make_placeholders(self._secret, edition.day).token
        return unsubscribe_link(self._unsubscribe, self._sender, token)

    def render(self, edition: Edition) -> RenderedEdition:
        """Return the subject, plain text and HTML of an edition. Raises ConfigError like `frame`."""
        edition = self._with_votes(edition)
        entries = fit_entries(edition)
        by_id = {fitted.entry.id: fitted for fitted in entries}
        findings = [entry.finding or entry.title for entry in edition.entries[:1]]
        context = {
            "edition": edition,
            "address": make_placeholders(self._secret, edition.day).address,
            "sender": self._sender.address,
            "unsubscribe_link": self.unsubscribe_link(edition),
            "count": len(entries),
            "headline": headline(edition.entries[0].title, _HEADLINE) if entries else "",
            "short_date": format_short_date(edition.day),
            "top": by_id[edition.top.id] if edition.top else None,
            "sections": [(section.heading, [by_id[e.id] for e in section.entries]) for section in edition.sections],
            "summaries_by": sorted({fitted.finding_by for fitted in entries if fitted.finding_by}),
            "feedback": any(entry.feedback for entry in edition.entries),
            "preheader": " · ".join([*findings, *(entry.title for entry in edition.entries[1:3])])[:300],
        }
        fill = self._templates.fill
        subject = header_text(fill("subject.txt", context), 160)
        text = re.sub(r"\n{3,}", "\n\n", fill("digest.txt", context))
        page = fill("digest.html", context)
        try:
            return RenderedEdition(subject, text, inline_styles(page))
        except Exception as error:  # noqa: BLE001  premailer and the three libraries below it raise what they like
            why = f"the page that it makes, or its style sheet, is invalid: {str(error)[:300]}"
            raise ConfigError([f"{self._templates.path('digest.html')}: {why}"]) from None

    def _with_votes(self, edition: Edition) -> Edition:
        """Return the edition with the links by which readers vote."""
        if self._feedback is None:
            return edition
        feedback, token = self._feedback, make_placeholders(self._secret, edition.day).feedback

        def with_votes(entry: Entry) -> Entry:
            ways = [
                (words, feedback_link(feedback, self._sender, token, word, entry.name))
                for words, word in (("More like this", "more"), ("Not for me", "less"))
            ]
            return replace(entry, feedback=tuple((words, link) for words, link in ways if link))

        return replace(
            edition,
            top=with_votes(edition.top) if edition.top else None,
            sections=tuple(replace(s, entries=tuple(map(with_votes, s.entries))) for s in edition.sections),
        )


def fit_entries(edition: Edition) -> list[FittedEntry]:
    """Return every entry, in as much detail as fits under Gmail's limit: the top pick and five more in full at most.

    From the last entry up, those in brief become rows, then lines; then the others lose detail. Sizes are estimated
    beforehand, so that templates and premailer run once.
    """
    entries = edition.entries
    tops = 1 if edition.top else 0
    fitted = [
        FittedEntry(entry, "top" if n < tops else "full" if n < tops + _FULL else "brief")
        for n, entry in enumerate(entries)
    ]
    total = estimate_size(edition, fitted)
    steps = (("row", tops + _FULL), ("line", tops + _FULL), ("brief", tops), ("row", tops), ("line", 0))
    for level, first in steps:
        for n in range(len(fitted) - 1, first - 1, -1):
            if total <= GMAIL_LIMIT:
                return fitted
            coarser = FittedEntry(entries[n], max(level, fitted[n].level, key=_LEVELS.index))
            total += _weight(coarser) - _weight(fitted[n])
            fitted[n] = coarser
    return fitted


def estimate_size(edition: Edition, fitted: Sequence[FittedEntry]) -> int:
    """Estimate the bytes of an edition with these entries in encoded HTML, never too low."""
    texts = [*edition.notices, edition.intro, edition.archive_url, edition.signup_link, *[edition.title] * 4]
    return _PAGE_COST + sum(map(_size, texts)) + sum(map(_weight, fitted))


def _weight(view: FittedEntry) -> int:
    """Estimate the bytes of an entry in the encoded HTML, never too low."""
    entry, texts, extra = view.entry, [view.title, view.link], 0
    if view.level != "line":
        texts += [entry.votes]
    if view.detailed:
        texts += [entry.movement, entry.organization, entry.authors, entry.categories, view.finding_by]
        pairs = (*entry.links, *entry.feedback)
        texts += [text for pair in pairs for text in pair]
        extra += _LINK * len(pairs)
    if view.detailed or view.level == "brief":
        texts += [view.finding, entry.origin, *entry.badges]
        extra += _BADGE * len(entry.badges)
    return _COST[view.level] + sum(_size(text) for text in texts) + extra


def _size(text: str) -> int:
    """Return the bytes of a text, escaped and in quoted-printable."""
    return len(quoted_printable(html.escape(text))) + 3


def inline_styles(page: str) -> str:
    """Return the HTML with its styles copied onto the elements, without access to the network or to files.

    `strip_important=False`: the rules for phones and dark mode must win over the inlined ones.
    """
    from premailer import Premailer

    logging.getLogger("cssutils").setLevel(logging.CRITICAL)
    inliner = Premailer(
        strip_important=False,
        keep_style_tags=False,
        remove_classes=False,
        allow_network=False,
        disable_validation=True,
        cssutils_logging_level=logging.CRITICAL,
        disable_basic_attributes=["width", "height", "align"],
    )
    # `allow_network` is about <link> only: the parser itself would fetch what `@import` names.
    inliner._parse_css_string = _parse_css
    return str(inliner.transform(page, pretty_print=False))


@lru_cache(maxsize=8)
def _parse_css(css: str, validate: bool) -> Any:
    from cssutils import CSSParser  # type: ignore[import-untyped]

    return CSSParser(fetcher=lambda _: None).parseString(css, validate=validate)
