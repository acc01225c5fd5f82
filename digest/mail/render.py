"""Render an edition with templates, and make it a message. The only module that imports premailer.

edition ──▶ fit_entries ──▶ templates ──▶ inline_styles ──▶ message frame
            (Gmail's limit)    (Jinja)       (premailer)    (digest.mail.message)
"""

import html
import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from digest.errors import ConfigError
from digest.files import bundled_file
from digest.mail.address import Mailbox
from digest.mail.edition import Edition, Entry
from digest.mail.message import MessageFrame, RenderedEdition, build_frame, make_placeholders, quoted_printable
from digest.mail.templates import Templates
from digest.mail.unsubscribe import UnsubscribeSettings, unsubscribe_link
from digest.papers.text.fit import header_text, snippet

# Bytes of HTML: Gmail hides what comes after about 102 KB, the unsubscribe link included.
GMAIL_LIMIT = 100_000
# Levels of detail: characters of the abstract, and the bytes that an entry costs besides its own words once its styles
# are inlined and encoded (measured; a test compares the sum with the real size).
_ABSTRACT = {"top": 420, "full": 320, "brief": 140, "row": 0, "line": 0}
_COST = {"top": 2_100, "full": 1_850, "brief": 1_850, "row": 470, "line": 400}
_PAGE_COST = 6_600  # bytes besides title, notices and entries
_REASON = 180  # bytes of each reason besides its words
_LINE_TITLE, _LINE_LINK = 150, 120  # bytes encoded, at the level "line"


@dataclass(frozen=True, slots=True)
class FittedEntry:
    """An entry at a level of detail.

    "top" and "full" have everything, "brief" a shorter abstract, "row" title and votes on a line, "line" only as much
    of the title as fits on one.
    """

    entry: Entry
    level: str

    @property
    def detailed(self) -> bool:
        return self.level in ("top", "full", "brief")

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
    def abstract(self) -> str:
        return snippet(self.entry.abstract, _ABSTRACT[self.level]) if _ABSTRACT[self.level] else ""


class Renderer:
    """Turns editions into messages, with the look and the sender of one digest.

    `title` is the digest's; `secret` makes placeholders that nobody can guess. A template in the folder `overrides`
    replaces the bundled one of the same name. Templates are compiled once per renderer.
    """

    def __init__(
        self,
        title: str,
        sender: Mailbox,
        unsubscribe: UnsubscribeSettings,
        secret: bytes,
        overrides: Path | None = None,
    ) -> None:
        self._title = title
        self._sender = sender
        self._unsubscribe = unsubscribe
        self._secret = secret
        self._templates = Templates([folder for folder in (overrides, bundled_file("templates")) if folder])

    def frame(self, edition: Edition, now: datetime, subject_prefix: str = "") -> MessageFrame:
        """Return the message of an edition, with gaps for what differs between subscribers; `now` is its Date.

        Raises ConfigError naming file and line when a template cannot be rendered.
        """
        rendered = self.render(edition)
        rendered = replace(rendered, subject=subject_prefix + rendered.subject)
        placeholders = make_placeholders(self._secret, edition.day)
        return build_frame(rendered, self._title, self._sender, self._unsubscribe, placeholders, edition.day, now)

    def unsubscribe_link(self, edition: Edition) -> str:
        """Return the unsubscribe link as it is in the texts of `render`."""
        token = make_placeholders(self._secret, edition.day).token
        return unsubscribe_link(self._unsubscribe, self._sender, token)

    def render(self, edition: Edition) -> RenderedEdition:
        """Return the subject, plain text and HTML of an edition. Raises ConfigError like `frame`."""
        entries = fit_entries(edition)
        by_id = {fitted.entry.id: fitted for fitted in entries}
        context = {
            "edition": edition,
            "address": make_placeholders(self._secret, edition.day).address,
            "unsubscribe_link": self.unsubscribe_link(edition),
            "count": len(entries),
            "short_date": f"{edition.day:%a} {edition.day.day} {edition.day:%b %Y}",
            "top": by_id[edition.top.id] if edition.top else None,
            "sections": [(section.heading, [by_id[e.id] for e in section.entries]) for section in edition.sections],
            "preheader": " · ".join(entry.title for entry in edition.entries[:3])[:300],
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


def fit_entries(edition: Edition) -> list[FittedEntry]:
    """Return every entry, in as much detail as fits under Gmail's limit.

    From the last entry up, abstracts get shorter, then entries become rows, then lines. Sizes are estimated beforehand,
    so that templates and premailer run once.
    """
    entries = edition.entries
    budget = GMAIL_LIMIT - _PAGE_COST - sum(_size(n) for n in edition.notices) - 4 * _size(edition.title)
    levels = ["top" if edition.top and n == 0 else "full" for n in range(len(entries))]
    total = sum(_weight(FittedEntry(entry, level)) for entry, level in zip(entries, levels, strict=True))
    for coarser in ("brief", "row", "line"):
        for n in range(len(entries) - 1, -1 if coarser == "line" else 0, -1):
            if total <= budget:
                break
            total += _weight(FittedEntry(entries[n], coarser)) - _weight(FittedEntry(entries[n], levels[n]))
            levels[n] = coarser
    return [FittedEntry(entry, level) for entry, level in zip(entries, levels, strict=True)]


def _weight(view: FittedEntry) -> int:
    """Estimate the bytes of an entry in the encoded HTML, never too low."""
    entry, texts = view.entry, [view.title, view.link]
    if view.level != "line":
        texts += [entry.votes]
    if view.detailed:
        texts += [entry.authors, entry.movement, entry.categories, view.abstract, *entry.reasons]
        texts += [link for _, link in entry.links]
    return _COST[view.level] + sum(_size(text) for text in texts) + _REASON * len(entry.reasons) * view.detailed


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
