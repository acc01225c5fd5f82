"""Parse RSS, RDF and Atom, well-formed or not, and convert HTML to plain text. Pure: no I/O."""

import re
from collections.abc import Sequence
from datetime import date
from html.parser import HTMLParser
from io import BytesIO
from typing import Any

from digest.errors import SourceError
from digest.sources.parsing import describe_start

_BLOCKS = frozenset(
    """
    address article aside blockquote br dd div dl dt figure h1 h2 h3 h4 h5 h6 hr li ol p pre section table td th tr ul
    """.split()
)
_HIDDEN = frozenset({"script", "style", "template", "noscript", "title"})
_MOST_MARKUP = 400_000  # characters of one entry; no abstract is longer


def parse_feed(body: bytes) -> tuple[Any, Sequence[Any]]:
    """Return the feed's own fields and its entries, as feedparser's dictionaries.

    Raises SourceError if the body is not a feed or is cut off.
    """
    import feedparser

    try:
        # A stream, because feedparser opens the file if the bytes look like a path.
        feed = feedparser.parse(BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as problem:
        # feedparser's own parser for malformed XML fails on some bytes.
        reason = type(problem).__name__
        raise SourceError(f"the response is not a feed ({reason}): {describe_start(body)}") from None
    if not feed.get("version"):
        raise SourceError(f"the response is not a feed: {describe_start(body)}")
    if feed.bozo and not body.rstrip().endswith(b">"):
        raise SourceError("the response is cut off")
    if feed.bozo and not feed.entries and not isinstance(feed.bozo_exception, feedparser.CharacterEncodingOverride):
        raise SourceError("the response is malformed and has no readable entry")
    return feed.feed, feed.entries


def text_of(entry: Any, key: str) -> str:
    """Return the text under `key`, '' if there is none."""
    value = entry.get(key, "")
    return value if isinstance(value, str) else ""


def plain_text_of(entry: Any, key: str) -> str:
    """Return the text under `key`, without markup if the feed declares it as HTML."""
    detail = entry.get(f"{key}_detail")
    kind = detail.get("type", "") if isinstance(detail, dict) else ""
    return strip_markup(text_of(entry, key)) if "html" in str(kind) else text_of(entry, key)


def categories_of(entry: Any) -> list[str]:
    """Return the categories (tags) of an entry."""
    return [str(tag.get("term") or "") for tag in entry.get("tags", [])]


def publication_day(entry: Any) -> date | None:
    """Return the day on which an entry was published, else updated; None if it has neither."""
    for key in ("published_parsed", "updated_parsed"):
        # dict's own `get`: feedparser's falls back from updated to published, with a DeprecationWarning.
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
