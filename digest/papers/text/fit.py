"""Readable text made to fit: snippets, and lines of so many columns.

Strangers' text as it may stand in a mail header.

What every print needs: rows in columns as wide as a terminal shows them, and counted things.
"""

import re
import unicodedata
from collections.abc import Sequence

from digest.papers.text.clean import clean, display_width, truncate

# ---- cut to fit ------------------------------------------------------------------------------------------------------

_SENTENCE = re.compile(r"[.!?][\"'”’)\]]*(?=\s[^\s\da-z])|[。！？][”』」）]*(?=[\w\s（「『“])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|al|cf|vs|resp|approx|incl|ca|Figs?|Eqs?|Eqns?|Secs?|Sect|Tabs?|Refs?|Thm|Prop|Def|Alg|App|Ch|Vol"
    r"|Nos?|pp|Dr|Profs?|Mrs?|Ms|St|Jr|Sr|Inc|Ltd|Corp|Univ|Dept|w\.r\.t|a\.k\.a|viz|[A-Z]|[A-Z]\.[A-Z])|\bet)\.$"
)


def snippet(text: str, most: int) -> str:
    """At most `most` characters of a readable text: up to the end of a sentence in the last 40 %, else a word and "…".

    The dots of "e.g.", "et al.", "Fig.", initials and decimals end no sentence. A word longer than `most` is cut
    between graphemes (UAX #29).
    """
    text = clean(text)
    if len(text) <= most:
        return text
    end = 0
    for found in _SENTENCE.finditer(text, 0, most + 2):
        if found.end() <= most and not _ABBREVIATION.search(text[max(0, found.end() - 12) : found.end()]):
            end = found.end()
    return text[:end] if end >= 0.6 * most and end else truncate(text, most)


# ---- columns ---------------------------------------------------------------------------------------------------------

# Chinese and Japanese are written without spaces: a line may end between any two characters, but not before a closing
# bracket or stop, nor behind an opening bracket (JIS X 4051, the common core of it).
_IDEOGRAPH = "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
_OPENING = "（「『【《〈〔［｛“‘(\\["
_CLOSING = (
    "、。，．・：；！？）」』】》〉〕］｝ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ”’)\\],.;:!?…"
    "\u0300-\u036f\u3099\u309a\ufe0e\ufe0f"
)
_BREAK = re.compile(rf"(?:(?<=[{_IDEOGRAPH}])|(?=[{_IDEOGRAPH}]))(?<![{_OPENING}])(?![{_CLOSING}])")


def wrap(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Lines of at most `width` columns, `first` before the first one and `indent` before the others.

    Words that are longer stay whole, so that addresses can be clicked. No text, no lines.
    """
    lines: list[str] = []
    line, empty = indent if first is None else first, True
    used = display_width(line)
    for word in text.split():
        space = " "
        for piece in filter(None, _BREAK.split(word)):
            wide = display_width(piece)
            if not empty and used + len(space) + wide > width:
                lines.append(line)
                line, used, empty = indent, display_width(indent), True
            line, used = (line + piece, used + wide) if empty else (line + space + piece, used + len(space) + wide)
            empty, space = False, ""
    return lines if empty else [*lines, line]


# Mathematical letters: the block of its own, and the letterlike ones, like ℝ, that are older.
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u2102\u210a-\u2115\u2119-\u211d\u2124\u2128\u212c-\u2131\u2133\u2134]")


_UNMARKED = re.compile(r"(?:[^\W_]|[ .,])*")  # nothing in it could be markup


def header_text(text: str, most: int = 120) -> str:
    """The text as it may stand in a mail header: readable, one line, cut behind a word to at most `most` characters.

    `=?` and `?=` are broken up: Pythons without the fix of CVE-2024-6923 decode `=?utf-8?q?=0ABcc:_x?=` into a header
    of its own. Mathematical letters become plain ones, as phones lack them and screen readers skip them.
    """
    plain = text
    if not _UNMARKED.fullmatch(text):
        from digest.papers.text.readable import readable  # with LaTeX, 15 ms to import: a plain name does without

        plain = readable(text)
    plain = _STYLED.sub(lambda found: unicodedata.normalize("NFKC", found[0]), plain)
    return truncate(clean(plain).replace("=?", "= ?").replace("?=", "? ="), most)


def format_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns of the width they need on a terminal."""
    widths = [max(display_width(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = (
        "  ".join(cell + " " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def plural(count: int, word: str, words: str = "") -> str:
    return f"{count:,} {word if count == 1 else words or word + 's'}"
