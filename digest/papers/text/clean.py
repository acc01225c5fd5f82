"""Strangers' text as one printable line."""

import re
import unicodedata

_MOST_MARKS = 16  # combining marks on one letter: Tibetan and Vietnamese need 4, "zalgo" has dozens
_EMOJI = "\u203c-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
# Joiners (ZWNJ, ZWJ) change how Arabic, Syriac, Mongolian and the scripts of India and South-East Asia are read, and
# hold emoji together. A variation selector picks the coloured form of an emoji. Elsewhere they only hide things.
_JOINED = rf"[\u0600-\u08ff\u0900-\u109f\u1780-\u18af\ufe0f{_EMOJI}]"
_JOINER = re.compile(rf"(?<!{_JOINED})[\u200c\u200d]|[\u200c\u200d](?!{_JOINED})")
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef"
_UNSEEN = re.compile(rf"[{_FILLERS}]|(?<![#*0-9\u00a9\u00ae{_EMOJI}])[\ufe0e\ufe0f]")
_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{_MOST_MARKS + 1},}}")
_ODD = re.compile(rf"[{_FILLERS}\u200c\u200d\ufe0e\ufe0f]|[^\w\s\x00-\x7f]{{{_MOST_MARKS // 2}}}")
_MISREAD = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_C1 = re.compile("[\x80-\x9f]")


def clean(text: str) -> str:
    """One line of printable text in NFC, of any str; it always encodes to UTF-8.

    What separates (tabs, line ends, U+2028) becomes a space, and white space one space. Of the Unicode categories C
    (controls, bidi and other format characters, surrogates, private use, unassigned) nothing stays, but for joiners
    where a script or an emoji needs them. More than 16 combining marks in a row are cut. UTF-8 that was read as
    Latin-1 is mended where it holds a control, which would go (7 of 20,000 abstracts on arXiv: `â\\x80\\x99` for ’).
    """
    text = " ".join(text.split())
    if text.isascii() and text.isprintable():
        return text
    if _C1.search(text):
        text = _MISREAD.sub(_mended, text)
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\u200c\u200d" else " " if c.isspace() else "" for c in text)
    if _ODD.search(text):
        text = _JOINER.sub("", _UNSEEN.sub("", text))
        # Cut before NFC as well, which sorts marks in quadratic time: 1.5 s for 40,000 of them.
        text = _MARKS.sub(_fewer_marks, unicodedata.normalize("NFC", _MARKS.sub(_fewer_marks, text)))
    return " ".join(unicodedata.normalize("NFC", text).split())


def _mended(found: re.Match[str]) -> str:
    try:
        return found[0].encode("latin-1").decode("utf-8") if _C1.search(found[0]) else found[0]
    except UnicodeDecodeError:
        return found[0]


def _fewer_marks(found: re.Match[str]) -> str:
    kept, row = "", 0
    for char in found[0]:
        row = row + 1 if unicodedata.category(char)[0] == "M" else 0
        kept += char if row <= _MOST_MARKS else ""
    return kept


def truncate(text: str, most: int) -> str:
    """At most `most` characters, cut behind a word, with "…" if anything is gone."""
    if len(text) <= most:
        return text
    if most < 1:
        return ""
    from wcwidth import grapheme_boundary_before  # half of this module's import time; `--help` does without

    space, end = text.rfind(" ", 0, most), text.find(" ", most - 1)
    whole = space > 0 and (end if end >= 0 else len(text)) - space - 1 <= most
    head = text[: space if whole else grapheme_boundary_before(text, most)]
    return head.rstrip(" ,;:–—-([{“‘/") + "…"


def display_width(text: str) -> int:
    """How many columns of a fixed-width font the text takes (UAX #11: East Asian characters and emoji take two)."""
    if text.isascii() and text.isprintable():
        return len(text)
    from wcwidth import wcswidth

    width = wcswidth(text)
    return width if width >= 0 else max(0, wcswidth(clean(text)))
