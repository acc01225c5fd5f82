"""Turn any text into one printable line, truncate it, and measure its width."""

import re
import unicodedata

_MAX_MARKS = 16  # combining marks on one letter: Tibetan and Vietnamese need 4, "zalgo" has dozens
_EMOJI = "\u203c-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
# Joiners (ZWNJ, ZWJ) change how Arabic, Syriac, Mongolian and the scripts of India and South-East Asia are read, and
# hold emoji together. A variation selector picks the coloured form of an emoji. Elsewhere they only hide things.
_JOINABLE = rf"[\u0600-\u08ff\u0900-\u109f\u1780-\u18af\ufe0f{_EMOJI}]"
_STRAY_JOINER = re.compile(rf"(?<!{_JOINABLE})[\u200c\u200d]|[\u200c\u200d](?!{_JOINABLE})")
_FILLERS = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef"
_INVISIBLE = re.compile(rf"[{_FILLERS}]|(?<![#*0-9\u00a9\u00ae{_EMOJI}])[\ufe0e\ufe0f]")
_MANY_MARKS = re.compile(rf"[^\w\s\x00-\x7f]{{{_MAX_MARKS + 1},}}")
_SUSPICIOUS = re.compile(rf"[{_FILLERS}\u200c\u200d\ufe0e\ufe0f]|[^\w\s\x00-\x7f]{{{_MAX_MARKS // 2}}}")
_UTF8_AS_LATIN1 = re.compile("[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_C1_CONTROL = re.compile("[\x80-\x9f]")


def clean(text: str) -> str:
    """Return `text` as one line of printable characters in NFC, which always encodes to UTF-8.

    Separators (tabs, line ends, U+2028) and runs of white space become one space. Characters of the Unicode categories
    C (controls, bidi and other format characters, surrogates, private use, unassigned) are removed, except joiners
    where a script or an emoji needs them. Of more than 16 combining marks in a row, the first 16 stay. UTF-8 that was
    decoded as Latin-1 is fixed where it contains a control character, which would be lost otherwise (7 of 20,000
    abstracts on arXiv: `â\\x80\\x99` for ’).
    """
    text = " ".join(text.split())
    if text.isascii() and text.isprintable():
        return text
    if _C1_CONTROL.search(text):
        text = _UTF8_AS_LATIN1.sub(_fix_encoding, text)
    if not text.isprintable():
        text = "".join(c if c.isprintable() or c in "\u200c\u200d" else " " if c.isspace() else "" for c in text)
    if _SUSPICIOUS.search(text):
        text = _STRAY_JOINER.sub("", _INVISIBLE.sub("", text))
        # Cut before NFC as well, which sorts marks in quadratic time: 1.5 s for 40,000 of them.
        text = _MANY_MARKS.sub(_limit_marks, unicodedata.normalize("NFC", _MANY_MARKS.sub(_limit_marks, text)))
    return " ".join(unicodedata.normalize("NFC", text).split())


def _fix_encoding(match: re.Match[str]) -> str:
    try:
        return match[0].encode("latin-1").decode("utf-8") if _C1_CONTROL.search(match[0]) else match[0]
    except UnicodeDecodeError:
        return match[0]


def _limit_marks(match: re.Match[str]) -> str:
    kept, marks = "", 0
    for char in match[0]:
        marks = marks + 1 if unicodedata.category(char)[0] == "M" else 0
        kept += char if marks <= _MAX_MARKS else ""
    return kept


def truncate(text: str, limit: int) -> str:
    """Return at most `limit` characters of `text`, cut after a word, with "…" if anything was cut."""
    if len(text) <= limit:
        return text
    if limit < 1:
        return ""
    from wcwidth import grapheme_boundary_before  # half of this module's import time, and not needed for `--help`

    space, end = text.rfind(" ", 0, limit), text.find(" ", limit - 1)
    fits = space > 0 and (end if end >= 0 else len(text)) - space - 1 <= limit  # a longer word is cut, not dropped
    head = text[: space if fits else grapheme_boundary_before(text, limit)]
    return head.rstrip(" ,;:–—-([{“‘/") + "…"


def display_width(text: str) -> int:
    """Return the number of columns `text` takes in a fixed-width font (UAX #11: East Asian and emoji take two)."""
    if text.isascii() and text.isprintable():
        return len(text)
    from wcwidth import wcswidth

    width = wcswidth(text)
    return width if width >= 0 else max(0, wcswidth(clean(text)))
