"""Strangers' text as it may stand in a mail header."""

import re
import unicodedata

from digest.text.clean import clean, cut

# Mathematical letters: the block of its own, and the letterlike ones, like ℝ, that are older.
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u2102\u210a-\u2115\u2119-\u211d\u2124\u2128\u212c-\u2131\u2133\u2134]")


_PLAIN = re.compile(r"(?:[^\W_]|[ .,])*")  # nothing in it could be markup


def header(text: str, most: int = 120) -> str:
    """The text as it may stand in a mail header: readable, one line, cut behind a word to at most `most` characters.

    `=?` and `?=` are broken up: Pythons without the fix of CVE-2024-6923 decode `=?utf-8?q?=0ABcc:_x?=` into a header
    of its own. Mathematical letters become plain ones, as phones lack them and screen readers skip them.
    """
    plain = text
    if not _PLAIN.fullmatch(text):
        from digest.text.readable import readable  # with LaTeX, 15 ms to import: a plain name does without

        plain = readable(text)
    plain = _STYLED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), plain)
    return cut(clean(plain).replace("=?", "= ?").replace("?=", "? ="), most)
