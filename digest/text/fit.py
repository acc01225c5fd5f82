"""Readable text made to fit: snippets, and lines of so many columns."""

import re

from digest.text.clean import clean, columns, cut

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
    return text[:end] if end >= 0.6 * most and end else cut(text, most)


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
    used = columns(line)
    for word in text.split():
        space = " "
        for piece in filter(None, _BREAK.split(word)):
            wide = columns(piece)
            if not empty and used + len(space) + wide > width:
                lines.append(line)
                line, used, empty = indent, columns(indent), True
            line, used = (line + piece, used + wide) if empty else (line + space + piece, used + len(space) + wide)
            empty, space = False, ""
    return lines if empty else [*lines, line]
