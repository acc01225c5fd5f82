"""Parse the header fields of a letter or of a part of one. Pure: no I/O. Accepts any bytes and never fails.

Python's `email` parses nested parts to the last: its time grows with lines times depth, and its stack with the depth,
both of which a stranger chooses. Nothing is nested here.
"""

import re

MAX_HEADER_BYTES = 65536

Headers = dict[str, list[str]]

_FOLD = re.compile(rb"\n[ \t]+")


def split_headers(raw: bytes) -> tuple[Headers, bytes]:
    """Split at the first empty line: return the header fields and the body, with LF line ends.

    Field names are in lower case. Each value is one line, in the order of the letter.
    """
    # The first newline makes a letter that starts with an empty line one without header fields.
    block, _, body = (b"\n" + raw.replace(b"\r\n", b"\n")).partition(b"\n\n")
    headers: Headers = {}
    for line in _FOLD.sub(b" ", block[:MAX_HEADER_BYTES]).decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    return headers, body


def first_value(headers: Headers, name: str) -> str:
    """Return the first value of a field, '' if there is none."""
    return headers.get(name, [""])[0]


def media_type(headers: Headers) -> str:
    """Return the type and subtype of `Content-Type` in lower case, without parameters."""
    return first_value(headers, "content-type").partition(";")[0].strip().lower()
