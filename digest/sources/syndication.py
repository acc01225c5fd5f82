"""Parse RSS, RDF and Atom, well-formed or not, and convert HTML to plain text. Pure: no I/O."""

import re
from collections.abc import Sequence
from datetime import date
from io import BytesIO
from typing import Any

from digest.errors import SourceError
from digest.sources.parsing import describe_start

_BLOCKS = frozenset(
    """
    address article aside blockquote br dd div dl dt figure h1 h2 h3 h4 h5 h6 hr li ol p pre section table td th tr ul
    """.split()
)
_HIDDEN = ("script", "style", "template", "noscript", "title")
_MAX_MARKUP = 400_000  # characters of one entry; no abstract is longer


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


def strip_markup(markup: str) -> str:
    """Convert HTML to text on one line, with a space between blocks and without scripts, styles and titles."""
    if not re.search(r"[<&]", markup):
        return markup
    from lxml import etree

    # A "<" without any ">" behind it is not a tag ("if a <b"), but lxml would drop the text after it.
    start, end, rest = markup[:_MAX_MARKUP].rpartition(">")
    html = f"<div>{start}{end}{rest.replace('<', '&lt;')}"
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = etree.fromstring(html.encode("utf-8", "replace"), parser)
    etree.strip_elements(root, *_HIDDEN, with_tail=False)
    pieces = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        text = (element.text if event == "start" else element.tail) or ""
        pieces.append(f" {text}" if element.tag in _BLOCKS else text)
    return " ".join("".join(pieces).split())
