"""Split a letter into its parts, and find the text that its writer typed. Pure: no I/O. Accepts any bytes.

Python's `email` would parse all parts to the last, in a time that the sender chooses. Here the number of parts, their
depth and the length of a text are limited.
"""

import binascii
import re
from collections.abc import Iterator
from html import unescape

from digest.inbound.headers import Headers, first_value, media_type, split_headers

_MAX_PARTS = 20  # of a letter or part; a report has three (RFC 6522), a letter with pictures a few more
_MAX_DEPTH = 4  # signed, mixed, related, alternative
_MAX_TEXT = 100_000  # bytes of a text: what a reader typed stands at its top

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_CHARSET = re.compile(r';\s*charset\s*=\s*"?([A-Za-z0-9_-]{1,40})', re.IGNORECASE)
# Commands are ASCII, and names of topics seldom need more than this. Other codecs of Python may be slow or fail.
_CHARSETS = {"iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "iso-8859-15": "iso8859-15"}
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"(<[^<>]{0,2000}>)")
_NEW_LINE = re.compile(r"</?(?:address|article|br|div|h[1-6]|hr|li|ol|p|pre|section|table|td|tr|ul)\b", re.IGNORECASE)
_UNSEEN = re.compile(r"<(head|script|style|title)\b", re.IGNORECASE)
# How mail programs mark what they quote: HTML 4, Gmail, Outlook on the web and on phones, Outlook, Thunderbird, Yahoo,
# Proton. Outlook on Windows has only the line above the quotation.
_QUOTE_TAG = re.compile(
    r"<blockquote\b|<[^>]*(?:gmail_quote|divRplyFwdMsg|appendonsend|mail-editor-reference-message|moz-cite-prefix"
    r"|yahoo_quoted|protonmail_quote|border-top:\s*solid)",
    re.IGNORECASE,
)


def split_parts(headers: Headers, body: bytes) -> Iterator[tuple[Headers, bytes]]:
    """Yield the parts between the boundary lines; the last one may be cut off."""
    boundary = _BOUNDARY.search(first_value(headers, "content-type"))
    if not boundary:
        return
    delimiter = re.escape((boundary[1] or boundary[2]).encode())
    start = None
    for number, line in enumerate(re.finditer(rb"^--" + delimiter + rb"(--)?[ \t]*$", body, re.MULTILINE)):
        if start is not None:
            yield split_headers(body[start : line.start()])
        start = line.end() + 1
        if line[1] or number == _MAX_PARTS:
            return
    if start is not None:
        yield split_headers(body[start:])


def decode_part(headers: Headers, content: bytes) -> bytes:
    """Undo the transfer encoding of a part."""
    encoding = first_value(headers, "content-transfer-encoding").lower()
    if encoding == "quoted-printable":
        return binascii.a2b_qp(content)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(content)
        except binascii.Error:
            return b""
    return content


def typed_text(headers: Headers, body: bytes) -> str:
    """Return the text of a letter, with LF line ends: its plain text, else its HTML as text up to a quotation, else ''.

    Parts that are attached, or letters inside the letter, do not count.
    """
    texts = dict(reversed(list(_texts(headers, body, _MAX_DEPTH))))
    plain = texts.get("text/plain", "")
    return plain if plain.strip() else html_text(texts.get("text/html", ""))


def _texts(headers: Headers, body: bytes, depth: int) -> Iterator[tuple[str, str]]:
    """Yield (type, text) of each part with a text."""
    kind = media_type(headers) or "text/plain"
    if first_value(headers, "content-disposition").lower().startswith("attachment"):
        return
    if kind.startswith("multipart/") and depth:
        for part_headers, content in split_parts(headers, body):
            yield from _texts(part_headers, content, depth - 1)
    elif kind in ("text/plain", "text/html"):
        named = _CHARSET.search(first_value(headers, "content-type"))
        charset = _CHARSETS.get(named[1].lower(), "utf-8") if named else "utf-8"
        yield kind, decode_part(headers, body)[:_MAX_TEXT].decode(charset, "replace").replace("\r", "")


def html_text(page: str) -> str:
    """Return the text of HTML up to the first quotation, with a line for each block."""
    text, hidden = [], ""
    for number, piece in enumerate(_TAG.split(page)):
        if number % 2 == 0:
            text += [] if hidden else [unescape(_SPACE.sub(" ", piece))]
        elif hidden:
            hidden = "" if piece.lower().startswith(f"</{hidden}") else hidden
        elif _QUOTE_TAG.match(piece):
            break
        elif unseen := _UNSEEN.match(piece):
            hidden = unseen[1].lower()
        elif _NEW_LINE.match(piece):
            text.append("\n")
    return "".join(text)
