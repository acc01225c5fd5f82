"""Parse RSS, RDF and Atom, well-formed or not, and convert HTML to plain text. Pure: no I/O.

feedparser sees a document from its first element on, as UTF-8. What may come before, the declaration and the document
type, is read here: feedparser takes quadratic time for it and expands the entities that it declares. What else could
take long in feedparser or lxml is stopped by `sandbox`.
"""

import codecs
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
_BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
    b"<\0?\0": "utf-16-le",  # without a mark: https://www.w3.org/TR/xml/#sec-guessing-no-ext-info
    b"\0<\0?": "utf-16-be",
}
_DECLARED = re.compile(rb"""<\?xml[^>]{1,200}?encoding\s{0,9}=\s{0,9}["']([A-Za-z][\w.:-]{0,40})["']""")
# Python's own: slow, or no encodings of documents.
_NO_ENCODINGS = frozenset(
    {"idna", "punycode", "raw-unicode-escape", "raw_unicode_escape", "unicode-escape", "unicode_escape", "utf-7"}
)
_ATTRIBUTES = re.compile(r"""(<[A-Za-z][\w:-]{0,40})\s(?:[^<>"']|"[^"<]*+"|'[^'<]*+')*+>""")
_GENERAL_ENTITY = re.compile(r"<!ENTITY\s+[^%\s]")
_FIRST_ELEMENT = re.compile(r"<[^\W\d]")


def parse_feed(body: bytes) -> tuple[Any, Sequence[Any]]:
    """Return the feed's own fields and its entries, as feedparser's dictionaries.

    Raises SourceError if the body is not a feed or is cut off.
    """
    import feedparser

    document = _without_prolog(_decode(body)).encode("utf-8", "replace")
    try:
        # A stream, because feedparser opens the file if the bytes look like a path.
        feed = feedparser.parse(BytesIO(document), sanitize_html=False, resolve_relative_uris=False)
    except (ValueError, TypeError, LookupError, AttributeError, AssertionError, RecursionError) as problem:
        # feedparser's own parser for malformed XML fails on some bytes.
        reason = type(problem).__name__
        raise SourceError(f"the response is not a feed ({reason}): {describe_start(body)}") from None
    if not feed.get("version"):
        raise SourceError(f"the response is not a feed: {describe_start(body)}")
    if feed.bozo and not document.rstrip().endswith(b">"):
        raise SourceError("the response is cut off")
    if feed.bozo and not feed.entries:
        raise SourceError("the response is malformed and has no readable entry")
    return feed.feed, feed.entries


def _decode(body: bytes) -> str:
    """Return the text of a document: by its byte order mark, its declaration, else as UTF-8 or Windows-1252."""
    marked = next(((mark, name) for mark, name in _BYTE_ORDER_MARKS.items() if body.startswith(mark)), None)
    if marked:
        mark, name = marked
        return body.removeprefix(b"" if b"<" in mark else mark).decode(name, "replace")
    declared = _DECLARED.search(body[:1000])
    for name in (declared[1].decode() if declared else "utf-8", "utf-8"):
        try:
            if codecs.lookup(name).name not in _NO_ENCODINGS:
                return body.decode({"gb2312": "gb18030"}.get(name.lower(), name))
        except (LookupError, ValueError):
            continue
    return body.decode("windows-1252", "replace")


def _without_prolog(text: str) -> str:
    """Return a document from its first element on.

    Raises SourceError if its document type declares entities: that one text stands for another can make a short
    document endless, and no feed needs it.
    """
    position = len(text) - len(text.lstrip("\ufeff\0 \t\r\n"))
    ends = (("<?", "?>"), ("<!--", "-->"), ("<!", ">"))
    while end := next((end for start, end in ends if text.startswith(start, position)), ""):
        reached = text.find(end, position)
        if end == ">" and (subset := text.find("[", position, reached if reached >= 0 else None)) >= 0:
            close = text.find("]", subset)
            declared = text[subset : close if close >= 0 else None]
            if _GENERAL_ENTITY.search(declared):
                raise SourceError("the response declares entities (<!ENTITY …>), which are not read")
            reached = text.find(">", close) if close >= 0 else -1
        if reached < 0:
            break
        position = reached + len(end)
        while text[position : position + 1].isspace():
            position += 1
    element = _FIRST_ELEMENT.search(text, position)
    if "<!ENTITY" in text[position : element.start() if element else None]:
        raise SourceError("the response declares entities (<!ENTITY …>), which are not read")
    return text[element.start() :] if element else ""


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
    # Without attributes, because lxml compares each of them with all others of its tag.
    html = "<div>" + _ATTRIBUTES.sub(r"\1>", start + end) + rest.replace("<", "&lt;")
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True)
    root = etree.fromstring(html.encode("utf-8", "replace"), parser)
    etree.strip_elements(root, *_HIDDEN, with_tail=False)
    pieces = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        text = (element.text if event == "start" else element.tail) or ""
        pieces.append(f" {text}" if element.tag in _BLOCKS else text)
    return " ".join("".join(pieces).split())
