"""Render editions with the templates, as fragments of messages. The only module that imports premailer.

    editions ──▶ parts ──▶ one page ──▶ inline_styles ──▶ fragments
                (Jinja)     (Jinja)       (premailer)     (digest.mail.message)

Readers differ in the papers of their mail, their order, and the reasons for them. Each of these parts is the same for
many readers, so it is rendered once a day. The parts that a batch of editions needs, and none before them did, go into
one page, where each has the ancestors that it has in a mail, with marks between them. The styles of the page are
inlined, and it is cut at the marks. An edition is a list of such fragments.

This is right as long as the style of a part does not depend on the parts beside it. The bundled templates are like
that; with templates of one's own, `DayMail` compares one mail of the day with the same mail rendered as a whole.
"""

import html
import logging
import quopri
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from digest.errors import ConfigError
from digest.mail.address import Mailbox
from digest.mail.edition import Edition, Entry, Masthead, Pick, format_short_date
from digest.mail.message import (
    Boundary,
    Fragment,
    encode_lines,
    first_fields,
    make_placeholders,
    other_fields,
    quoted_printable,
)
from digest.mail.requests import FeedbackSettings, feedback_link
from digest.mail.templates import Templates
from digest.mail.unsubscribe import UnsubscribeSettings, unsubscribe_link
from digest.papers.text.fit import header_text, headline, snippet

# Bytes of HTML: Gmail hides what comes after about 102 kB, the unsubscribe link included.
GMAIL_LIMIT = 100_000
_FULL = 5  # papers in full after the top pick: what a reader gets through in two minutes
_LEVELS = ("top", "full", "brief", "row", "line")  # of detail; see `FittedEntry`
_WORDY = ("top", "full", "brief")  # levels with a finding and badges
_HEADLINE = 64  # characters of the first title in the subject: phones show 40 of them, desktops 70
_PREHEADER, _NEXT_TITLES, _NEXT_TITLE = 200, 2, 60  # characters of the first finding; titles after it, and of each
_BRIEF = 110  # characters of the finding at the level "brief"
_LINE_TITLE, _LINE_LINK = 150, 120  # bytes encoded, at the level "line"
_SECOND_LINK = ("Code", "Discussion", "Project")  # words of the link that the plain text adds to the paper's page
_SLOTS = ("preheader", "intro", "papers", "notes")  # where the templates show parts, in this order
_ON_A_PAGE = 100  # parts that are rendered at once: a page of 300 kB

# A part of a mail: its kind, and then what it shows. These are the kinds, in the order of a message:
#   subject     the first entry (None without papers), and the number of papers
#   static      what all mails of a day have: before each slot, by its number, and after the last one
#   preheader   an entry, and whether it is the first
#   intro       a sentence
#   heading     its words
#   card        an entry, a level of detail, and whether there are badges: then this is only the beginning of the card
#   badge       its words
#   rest        an entry, and a level of detail: what follows the badges
#   notes       the services that wrote summaries, and whether readers can vote
# A paper with two badges is ("card", e, "full", True), ("badge", "Otters"), ("badge", "Video"), ("rest", e, "full").
Part = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class RenderedEdition:
    """The texts of an edition, with `Placeholders` where a subscriber's own parts go."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class FittedEntry:
    """An entry at a level of detail.

    "top" and "full" have everything, "brief" title, votes and a sentence, "row" title and votes, "line" only as much of
    the title as fits on one. `badges` are rendered already; `feedback` has (words, address) of what a reader can say.
    """

    entry: Entry
    level: str
    place: str = ""
    badges: str = ""
    feedback: tuple[tuple[str, str], ...] = ()

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
    """Renders the mail of one digest, with its look and its sender.

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
        self.title = title
        self.sender = sender
        self.unsubscribe = unsubscribe
        self.secret = secret
        self.archive_home = archive_home
        self.feedback = feedback
        self.templates = Templates(overrides)

    def day(self, masthead: Masthead, now: datetime, subject_prefix: str = "") -> "DayMail":
        """Return what renders the editions with this masthead; `now` is the Date of their messages."""
        return DayMail(self, masthead, now, subject_prefix)


class DayMail:
    """The mail of a day: its fragments, each rendered when an edition first needs it.

    Every method raises ConfigError naming file and line when a template cannot be rendered.
    """

    def __init__(self, renderer: Renderer, masthead: Masthead, now: datetime, subject_prefix: str) -> None:
        self._renderer = renderer
        self._templates = renderer.templates
        self._masthead = masthead
        self._now = now
        self._subject_prefix = subject_prefix
        self._placeholders = make_placeholders(renderer.secret, masthead.day)
        self._made: dict[Part, Fragment] = {}
        self._unchecked = self._templates.own(
            "digest.html", "digest.txt", "_parts.html", "_parts.txt", "_paper.html", "inline.css"
        )

    @property
    def unsubscribe_link(self) -> str:
        """The unsubscribe link as it is in the texts of `render_whole`."""
        return unsubscribe_link(self._renderer.unsubscribe, self._renderer.sender, self._placeholders.token)

    def fragments(self, editions: Sequence[Edition]) -> list[list[Fragment]]:
        """Return the fragments of each edition, in the order of its message.

        Papers are shown in as much detail as fits under Gmail's limit: the top pick and five more in full at most.
        """
        rendered = self._render(editions)
        found = [[fragment for fragment in fragments if fragment.is_used] for _, fragments in rendered]
        if self._unchecked and rendered:
            own, self._unchecked = ", ".join(self._unchecked), []
            longest, _ = max(rendered, key=lambda one: len(one[0]))
            for plan in (longest, self._plan(Edition(self._masthead, "Nothing new.", None, ()), ())):
                self._check(plan, own)
        return found

    def render_whole(self, edition: Edition) -> RenderedEdition:
        """Return the texts of an edition, rendered and inlined as a whole."""
        ((plan, _),) = self._render([edition])
        return self._whole(plan)

    def _render(self, editions: Sequence[Edition]) -> list[tuple[list[Part], list[Fragment]]]:
        """Return the parts of each edition, and the fragment of each part."""
        plans = [self._plan(edition, _default_levels(edition)) for edition in editions]
        self._make(plans)
        rendered = []
        for edition, plan in zip(editions, plans, strict=True):
            fragments = [self._made[key] for key in plan]
            if sum([fragment.html_size for fragment in fragments]) > GMAIL_LIMIT:
                plan = self._fit(edition, plan)
                fragments = [self._made[key] for key in plan]
            rendered.append((plan, fragments))
        return rendered

    # ---- which parts an edition has ----------------------------------------------------------------------------------

    def _plan(self, edition: Edition, levels: Sequence[str]) -> list[Part]:
        """Return the parts of an edition with its papers at these levels of detail, in the order of the message."""
        picks = edition.picks
        first = picks[0].entry if picks else None
        plan: list[Part] = [("subject", first, len(picks)), ("static", 0)]
        plan += [("preheader", pick.entry, n == 0) for n, pick in enumerate(picks[: 1 + _NEXT_TITLES])]
        plan += [("static", 1), ("intro", edition.intro), ("static", 2)]
        leveled = iter(zip(picks, levels, strict=True))
        if edition.top:
            plan += _card(*next(leveled))
        for section in edition.sections:
            plan.append(("heading", section.heading))
            for _ in section.picks:
                plan += _card(*next(leveled))
        by = {pick.entry.finding_by for pick, level in zip(picks, levels, strict=True) if level in _WORDY}
        votable = bool(picks) and self._renderer.feedback is not None
        return [*plan, ("static", 3), ("notes", tuple(sorted(by - {""})), votable), ("static", 4)]

    def _fit(self, edition: Edition, plan: list[Part]) -> list[Part]:
        """Return the parts of an edition whose `plan` is too large, with its papers in less detail.

        From the last paper up, those in brief become rows, then lines; then the others lose detail.
        """
        picks, levels = edition.picks, _default_levels(edition)
        self._make([[key for pick in picks for level in _LEVELS for key in _card(pick, level)]])
        tops = 1 if edition.top else 0
        total = sum(self._made[key].html_size for key in plan)
        steps = (("row", tops + _FULL), ("line", tops + _FULL), ("brief", tops), ("row", tops), ("line", 0))
        for level, first in steps:
            for n in range(len(picks) - 1, first - 1, -1):
                if total > GMAIL_LIMIT:
                    coarser = max(level, levels[n], key=_LEVELS.index)
                    total += self._size(picks[n], coarser) - self._size(picks[n], levels[n])
                    levels[n] = coarser
        fitted = self._plan(edition, levels)
        self._make([fitted])  # the notes may be others
        return fitted

    def _size(self, pick: Pick, level: str) -> int:
        return sum(self._made[key].html_size for key in _card(pick, level))

    # ---- render parts ------------------------------------------------------------------------------------------------

    def _make(self, plans: Iterable[Sequence[Part]]) -> None:
        """Render the parts of these plans that are not rendered yet."""
        made, missing = self._made, dict[Part, dict[Part, None]]()
        for plan in plans:
            if made.keys() >= set(plan):
                continue
            for key, inner in _parts(plan):
                if key[0] == "subject" and key not in made:
                    subject = self._subject_prefix + self._subject(*key[1:])
                    made[key] = Fragment(first_fields(self._renderer.sender, subject))
                elif new := [badge for badge in inner if badge not in made]:
                    missing.setdefault(key, {}).update(dict.fromkeys(new))
                elif key not in made:
                    missing.setdefault(key, {})
        for parts in _pages(missing):
            self._make_page(parts)

    def _make_page(self, parts: Sequence[tuple[Part, Iterable[Part]]]) -> None:
        """Render parts, each with its badges, on one page, and cut it into fragments."""
        texts, pages = self._cut_page("txt", parts), self._cut_page("html", parts)
        for key, text in texts.items():
            if key not in self._made:
                make = self._static if key[0] == "static" else self._fragment
                self._made[key] = make(key, text, pages[key])

    def _fragment(self, key: Part, text: str, page: str) -> Fragment:
        return Fragment(b"", self._encode(text), self._encode(page), begins_paper=key[0] == "card")

    def _static(self, key: Part, text: str, page: str) -> Fragment:
        """Return what all mails of the day have before a slot or, for the last number, after all of them."""
        boundary = Boundary(self._placeholders)
        if key[1] == 0:
            head = self._other_fields() + boundary.content_type
            return Fragment(head, boundary.before_text + self._encode(text), boundary.before_html + self._encode(page))
        if key[1] == len(_SLOTS):
            text, page = text.rstrip("\n") + "\n", page.rstrip("\n") + "\n"
            return Fragment(b"", self._encode(text), self._encode(page) + boundary.end)
        return Fragment(b"", self._encode(text), self._encode(page))

    def _other_fields(self) -> bytes:
        renderer, masthead = self._renderer, self._masthead
        pages = {"List-Archive": renderer.archive_home, "Archived-At": masthead.archive_url}  # RFC 2369, RFC 5064
        return other_fields(
            renderer.title,
            renderer.sender,
            renderer.unsubscribe,
            self._placeholders,
            masthead.day,
            self._now,
            {name: address for name, address in pages.items() if address},
        )

    def _encode(self, text: str) -> bytes:
        return encode_lines(text, self._placeholders)

    def _cut_page(self, form: str, parts: Sequence[tuple[Part, Iterable[Part]]]) -> dict[Part, str]:
        """Return the content of each part, and what is before and after the slots, as "txt" or "html".

        Parts that the templates do not show are empty.
        """
        marked: list[Part] = []  # what is behind each mark, by its number

        def mark(*part: object) -> str:
            marked.append(part)
            return self._placeholders.mark_before(len(marked) - 1, form)

        slots = {}
        for number, slot in enumerate(_SLOTS):
            content = mark("begin", number)
            for part, inner in parts:
                if _slot(part) == slot:
                    content += mark(*part)
                    badges = "".join(mark(*badge) + self._part(form, badge) for badge in inner)
                    content += self._part(form, part, badges + (mark(*rest) if (rest := _rest(part)) else ""))
            slots[slot] = content + mark("end", number)
        outside, *pieces = self._placeholders.split_at_marks(self._page(form, slots), form)
        numbers = [int(number) for number in pieces[::2]]
        found = dict.fromkeys([part for part in marked if part[0] not in ("begin", "end")], "")
        found |= {("static", number): "" for number in range(len(_SLOTS))}
        for number, piece in zip(numbers, pieces[1::2], strict=True):
            kind, *_ = part = marked[number]
            if kind == "begin":  # a slot: what was outside of the slots since the last one is before it
                found["static", part[1]] = outside
            elif kind == "end":
                outside = piece
            else:
                found[part] = piece
        found["static", len(_SLOTS)] = outside
        return {part: _squeeze(piece) for part, piece in found.items()} if form == "txt" else found

    def _part(self, form: str, key: Part, badges: str = "") -> str:
        """Return a part as "txt" or "html"."""
        kind, *values = key
        if kind == "preheader":
            entry, first = values
            values[0] = (
                snippet(entry.finding or entry.title, _PREHEADER) if first else snippet(entry.title, _NEXT_TITLE)
            )
        elif kind == "card":
            entry, kind, _ = values
            values = [self._view(entry, kind, self._templates.trusted(badges))]
        return self._templates.part(f"_parts.{form}", kind, *values)

    def _view(self, entry: Entry, level: str, badges: str) -> FittedEntry:
        renderer, feedback = self._renderer, self._renderer.feedback
        ways = [
            (words, feedback_link(feedback, renderer.sender, self._placeholders.feedback, word, entry.name))
            for words, word in (("More like this", "more"), ("Not for me", "less"))
            if feedback is not None
        ]
        links = tuple((words, link) for words, link in ways if link)
        return FittedEntry(entry, level, self._placeholders.place, badges, links)

    def _subject(self, first: Entry | None, count: int) -> str:
        values = {
            "edition": self._masthead,
            "count": count,
            "headline": headline(first.title, _HEADLINE) if first else "",
        }
        return header_text(self._templates.fill("subject.txt", values), 160)

    def _page(self, form: str, slots: Mapping[str, str]) -> str:
        """Return the text or the page of a mail with this in its slots, styles inlined."""
        name = f"digest.{form}"
        values = {
            "edition": self._masthead,
            "address": self._placeholders.address,
            "sender": self._renderer.sender.address,
            "unsubscribe_link": self.unsubscribe_link,
            "short_date": format_short_date(self._masthead.day),
        }
        page = self._templates.fill(name, {**values, **{k: self._templates.trusted(v) for k, v in slots.items()}})
        if form == "txt":
            return page
        try:
            return inline_styles(page)
        except Exception as error:  # noqa: BLE001  premailer and the three libraries below it raise what they like
            why = f"the page that it makes, or its style sheet, is invalid: {str(error)[:300]}"
            raise ConfigError([f"{self._templates.path(name)}: {why}"]) from None

    # ---- the same as a whole -----------------------------------------------------------------------------------------

    def _whole(self, plan: Sequence[Part]) -> RenderedEdition:
        texts = []
        for form in ("txt", "html"):
            slots = dict.fromkeys(_SLOTS, "")
            for key, inner in _parts(plan):
                if slot := _slot(key):
                    slots[slot] += self._part(form, key, "".join(self._part(form, badge) for badge in inner))
            texts.append(self._page(form, slots))
        return RenderedEdition(self._subject_prefix + self._subject(*plan[0][1:]), _squeeze(texts[0]), texts[1])

    def _check(self, plan: Sequence[Part], own: str) -> None:
        """Refuse templates, in the files `own`, whose parts look otherwise in a whole mail than by themselves."""
        apart = DayMail(self._renderer, self._masthead, self._now, self._subject_prefix)
        for key, inner in _parts(plan):
            for badge in inner or [()] if _slot(key) else []:  # a page each: nothing is beside it
                apart._make_page([(key, [badge] if badge else [])])
        fragments = [apart._made[key] for key in plan if key in apart._made]
        whole, boundary = self._whole(plan), Boundary(self._placeholders)
        text = b"".join(fragment.text for fragment in fragments).removeprefix(boundary.before_text)
        page = b"".join(fragment.html for fragment in fragments)
        page = page.removeprefix(boundary.before_html).removesuffix(boundary.end)
        for content, joined in ((whole.text, text), (whole.html, page)):
            if self._placeholders.is_left_in(content):
                why = "an address, a link or a number is changed by a filter; write each as it is"
                raise ConfigError([f"{own}: {why}"])
            if _without_space(self._encode(content)) != _without_space(joined):
                named = ", ".join(f"{{{{ {slot} }}}}" for slot in _SLOTS)
                why = (
                    "parts of the mail look otherwise in a whole mail than by themselves: a style must not depend on"
                    f" what is beside a part, as h3 + p does, and {named} must be shown as they are, even if empty,"
                    " each inside of an element and at most once, in this order"
                )
                raise ConfigError([f"{own}: {why}"])


def _default_levels(edition: Edition) -> list[str]:
    tops = 1 if edition.top else 0
    count = len(edition.picks)
    return [*["top"] * tops, *["full"] * _FULL, *["brief"] * count][:count]


def _card(pick: Pick, level: str) -> list[Part]:
    """Return the parts of a paper: its card or, with badges, the beginning of that, the badges, and the rest."""
    if not pick.badges or level not in _WORDY:
        return [("card", pick.entry, level, False)]
    badges: list[Part] = [("badge", badge) for badge in pick.badges]
    card = "card", pick.entry, level, True
    return [card, *badges, _rest(card)]


def _parts(plan: Iterable[Part]) -> Iterator[tuple[Part, list[Part]]]:
    """Yield the parts of a plan that are rendered, and with a card its badges."""
    card: Part = ()
    badges: list[Part] = []
    for key in plan:
        if _rest(key):
            card, badges = key, []
        elif key[0] == "badge":
            badges.append(key)
        elif key[0] == "rest":
            yield card, badges
        elif key[0] != "static":
            yield key, []


def _rest(key: Part) -> Part:
    """Return the part that ends a card with badges; () for every other part."""
    return ("rest", *key[1:3]) if key[0] == "card" and key[3] else ()


def _pages(missing: Mapping[Part, Iterable[Part]]) -> Iterator[list[tuple[Part, list[Part]]]]:
    """Yield parts in pages of a hundred, badges included: each badge with one card, and a card again for more."""
    page, size, seen = list[tuple[Part, list[Part]]](), 0, set[Part]()
    for key, inner in missing.items():
        new = [badge for badge in inner if badge not in seen]
        seen.update(new)
        for start in range(0, max(1, len(new)), _ON_A_PAGE - 1):
            badges = new[start : start + _ON_A_PAGE - 1]
            if page and size + 1 + len(badges) > _ON_A_PAGE:
                yield page
                page, size = [], 0
            page.append((key, badges))
            size += 1 + len(badges)
    if page:
        yield page


def _slot(key: Part) -> str:
    return {"preheader": "preheader", "intro": "intro", "heading": "papers", "card": "papers", "notes": "notes"}.get(
        key[0], ""
    )


def _squeeze(text: str) -> str:
    """Return the text with one blank line where there are several."""
    return re.sub(r"\n{3,}", "\n\n", text)


def _without_space(encoded: bytes) -> bytes:
    """Return quoted-printable lines decoded, without white space; gaps keep their names."""
    return b"".join(quopri.decodestring(encoded).split())


def _size(text: str) -> int:
    """Return the bytes of a text in quoted-printable."""
    return len(quoted_printable(html.escape(text)))


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
    from cssutils import CSSParser

    return CSSParser(fetcher=lambda _: None).parseString(css, validate=validate)
