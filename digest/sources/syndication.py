"""RSS, RDF and Atom, well-formed or not: bytes into entries, markup into plain text. The only user of feedparser."""

import re
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

from digest.errors import SourceError
from digest.sources import opening

_BLOCKS = frozenset(
    """
    address article aside blockquote br dd div dl dt figure h1 h2 h3 h4 h5 h6 hr li ol p pre section table td th tr ul
    """.split()
)
_HIDDEN = frozenset({"script", "style", "template", "noscript", "title"})
_MOST_MARKUP = 400_000  # characters of one entry; more is no abstract


def parse_feed(body: bytes) -> tuple[Any, Sequence[Any]]:
    """The facts of a feed and its entries, as feedparser's dictionaries. Raises SourceError for no whole feed."""
    import feedparser

    try:
        # A stream, because bytes that look like a path would be opened as one.
        feed = feedparser.parse(BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as problem:
        # Its parser for broken XML trips over some bytes itself.
        said = type(problem).__name__
        raise SourceError(f"the answer is not a feed ({said}); it begins with {opening(body)}") from None
    if not feed.get("version"):
        raise SourceError(f"the answer is not a feed; it begins with {opening(body)}")
    if feed.bozo and not body.rstrip().endswith(b">"):
        raise SourceError("the answer breaks off in the middle")
    if feed.bozo and not feed.entries and not isinstance(feed.bozo_exception, feedparser.CharacterEncodingOverride):
        raise SourceError("the answer is broken and nothing in it can be read")
    return feed.feed, feed.entries


def text_of(entry: Any, key: str) -> str:
    """The text under `key`, '' for none."""
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def plain_text_of(entry: Any, key: str) -> str:
    """The text under `key` without its markup, where it is HTML and does not only look like it."""
    detail = entry.get(f"{key}_detail")
    kind = detail.get("type", "") if isinstance(detail, dict) else ""
    return strip_markup(text_of(entry, key)) if "html" in str(kind) else text_of(entry, key)


def published_day(entry: Any) -> date | None:
    """The day an entry says it was published, else changed."""
    for key in ("published_parsed", "updated_parsed"):
        # dict's own `get`: feedparser's makes up an `updated` from what was published, and warns of that.
        if stamp := dict.get(entry, key):
            try:
                return date(*stamp[:3])
            except (ValueError, TypeError):
                continue
    return None


class _Text(HTMLParser):
    """Gathers what a reader would see; blocks are set apart by a space."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in _HIDDEN
        if tag in _BLOCKS:
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = max(0, self._hidden - (tag in _HIDDEN))
        if tag in _BLOCKS:
            self.pieces.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def strip_markup(markup: str) -> str:
    """The text of a piece of HTML, in one line."""
    if not re.search(r"[<&]", markup):
        return markup
    reader = _Text()
    try:
        reader.feed(markup[:_MOST_MARKUP])
        reader.close()
    except (ValueError, AssertionError):  # a "<![" it cannot make sense of
        return re.sub(r"<[^<>]{0,2000}>", " ", markup[:_MOST_MARKUP])
    return " ".join("".join(reader.pieces).split())
