"""The header fields of a letter or of a part of one, whatever its bytes: reading them never fails.

Python's `email` parses what it meets to the last nested part: its time grows with lines times depth, and its stack with
the depth. A stranger chooses both. Here nothing nests.
"""

import re

HEAD = 65536  # octets of a header block that are read

Fields = dict[str, list[str]]

_FOLD = re.compile(rb"\n[ \t]+")


def split_headers(raw: bytes) -> tuple[Fields, bytes]:
    """The fields before the first empty line, and what is behind it, with line ends of LF.

    The names are in lower case, the values on one line each, in the order they came in.
    """
    # The line end put first makes a letter that begins with an empty line one without fields.
    block, _, body = (b"\n" + raw.replace(b"\r\n", b"\n")).partition(b"\n\n")
    found: Fields = {}
    for line in _FOLD.sub(b" ", block[:HEAD]).decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip().lower(), []).append(value.strip())
    return found, body


def first_value(found: Fields, name: str) -> str:
    """The first value of a field, '' without one."""
    return found.get(name, [""])[0]


def media_type(found: Fields) -> str:
    """The type and subtype of a `Content-Type`, in lower case, without its parameters."""
    return first_value(found, "content-type").partition(";")[0].strip().lower()
