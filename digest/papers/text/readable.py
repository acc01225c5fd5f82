"""Strangers' text made readable: LaTeX, entities and stray markup to Unicode.

What of a title is compared.
"""

import html
import re
import unicodedata
from functools import lru_cache
from html.entities import html5

from digest.papers.text.clean import clean
from digest.papers.text.latex import script, typeset

_MARKUP = re.compile(r"[\\$<&*`{~\]]|--|''")
# What JATS (Crossref, bioRxiv) and feeds leave in abstracts. A closed list: one abstract in seventy has "<" or ">" as
# text, "p<0.05" or "<think>", and `<s>` is a token. Tags within a line go only where they are closed again.
_ATTRIBUTES = r"(?:\s[\w:-]{1,40}=(?:\"[^\"<>]{0,500}\"|'[^'<>]{0,500}')){0,9}\s?/?>"
_BLOCK = re.compile(
    rf"(?i)</?(?:p|br|hr|div|ul|ol|li|pre|blockquote|img|h[1-6]|jats:(?:p|sec|title|list|list-item)){_ATTRIBUTES}"
)
_INLINE = re.compile(
    rf"(?i)<(/?)(?:jats:)?(i|b|u|em|strong|italic|bold|underline|sc|tt|monospace|small|span|a|sup|sub){_ATTRIBUTES}"
)
_SCRIPT = re.compile(r"<(?:jats:)?(sup|sub)>([^<>]{1,40})</(?:jats:)?\1>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BOLD = re.compile(r"(?<![\w*])\*\*(?=[^\s*])([^*]{1,300}?)(?<!\s)\*\*(?![\w*])")
_LINK = re.compile(r"\[([^\[\]]{1,300})\]\(https?://[^\s()]{1,1000}\)")


@lru_cache(maxsize=4096)
def readable(text: str) -> str:
    """`clean` text with LaTeX, formatting tags, entities and Markdown turned into Unicode.

    Conservative: what is not understood stays as it is; `%`, `&`, `#`, `_` and "$5 … $7" are text; entities are
    decoded once. Web addresses, Windows paths and regular expressions are not touched. Never raises; linear in time.
    """
    text = clean(text)
    if not _MARKUP.search(text):
        return text
    text = _ENTITY.sub(_decoded, _untagged(text) if "<" in text else text)
    text = clean(_LINK.sub(r"\1", _BOLD.sub(r"\1", text) if "**" in text else text))
    kept: list[str] = []
    for sign, pattern in _KEPT.items():
        if sign in text:
            text = pattern.sub(lambda found: _keep(found[0], kept), text)
    text = _printed(typeset(_unescaped(text)))
    return clean(_PLACE.sub(lambda found: kept[ord(found[0]) - _FIRST], text))


def _untagged(text: str) -> str:
    text = _BLOCK.sub(" ", text)
    text = _SCRIPT.sub(lambda found: script("^" if found[1].lower() == "sup" else "_", found[2]), text)
    closed = {found[2].lower() for found in _INLINE.finditer(text) if found[1]}
    return _INLINE.sub(lambda found: "" if found[2].lower() in closed else found[0], text)


def _decoded(found: re.Match[str]) -> str:
    known = found[0][1] == "#" or found[0][1:] in html5
    return html.unescape(found[0]) if known else found[0]


# A private character stands for each stretch that is to stay as it is, until all is done.
_KEPT = {
    "://": re.compile(r"https?://[^\s<>\"{}\\^`|$]+"),
    ":\\": re.compile(r"(?<![^\s\"'(])[A-Zcd]:\\[^\s\"'<>|*?{}$]++(?!\{)"),
    "\\": re.compile(r"(?<!\S)[^\s$]{0,200}?\\[dwsDWS](?:[+*?\]]|\{\d)\S*"),
}
_FIRST, _LAST = 0xF0000, 0x10FFFF
_PLACE = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


def _keep(text: str, kept: list[str]) -> str:
    kept.append(text)
    return chr(_FIRST + len(kept) - 1) if _FIRST + len(kept) <= _LAST else text


_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\\'(?=(?:s|t|re|ve|ll|d|m|em)\b(?!-))|(?<=s)\\'(?=\s)")
_ESCAPED_QUOTE = re.compile(r"(?:^|[\s(\[])\\\"[^\s{}]")
_ESCAPED_UNQUOTE = re.compile(r"\\\"(?:[\s.,;:!?)\]]|$)")


def _unescaped(text: str) -> str:
    """Quotes that some program has escaped are no accents: `the user\\'s`, `so-called \\"agents\\"`."""
    if "\\'" in text:
        text = _APOSTROPHE.sub("'", text)
    escaped = '\\"' in text and _ESCAPED_QUOTE.search(text) and _ESCAPED_UNQUOTE.search(text)
    return text.replace('\\"', '"') if escaped else text


def _printed(text: str) -> str:
    """Quotes, dashes and ties as a printer sets them."""
    if "``" in text or "''" in text:
        text = _quoted(text)
    if "`" in text:
        text = _SINGLE.sub(r"‘\1’", text)
    if "--" in text:
        text = _DASHES.sub(lambda found: "–—"[len(found[0]) - 2], text)
    return _TIE.sub(_untied, text) if "~" in text else text


_QUOTES = re.compile(r"(?<!`)``(?!`)|(?<!')''(?!')|\"")
_SINGLE = re.compile(r"(?<![\w`])`([^\s`'][^`']{0,80})'(?![\w'])")


def _quoted(text: str) -> str:
    """``TeX's quotes'' as “these”, where a closing one follows; so too ''these'' and ``these"."""
    signs, opened = list(text), -1
    for found in _QUOTES.finditer(text):
        at, sign = found.start(), found[0]
        before, after = text[at - 1 : at] or " ", text[found.end() : found.end() + 1]
        closes = opened >= 0 and at - opened < 400 and (sign == "''" or (sign == '"' and not before.isspace()))
        if closes and not (sign == '"' and after.isalnum()):
            signs[opened : opened + 2], signs[at : at + len(sign)] = ["“", ""], ["”", ""][: len(sign)]
            opened = -1
        elif sign == "``" or (sign == "''" and before in " (" and not after.isspace()):
            opened = at
    return "".join(signs)


_DASHES = re.compile(r"--(?<![-<!=|]--)(?:-(?![->|])|(?<=[^\s\"'`(\[{/]--)(?![->|])|(?<=\s--)(?=\s))")
_TIE = re.compile(r"~(?:(?<=[\w.,;:)\]}’”'\"%]~)~*(?=[\w(\[“‘\"'$])|(?<=\s~)(?=\[))")


def _untied(found: re.Match[str]) -> str:
    """A tie is a space, unless it says "about" or "to" or "distributed as": `L~32`, `4X~12X`, `y~x`, `x~N(0, 1)`."""
    text, at, end = found.string, found.start(), found.end()
    before = re.split(r"[^\w.]", text[max(0, at - 16) : at])[-1]
    after = re.match(r"\w*\(?", text[end : end + 16])
    said = after[0] if after else ""
    number = said[:1].isdigit()
    variable = len(before) == 1 and before not in "aAI"
    if (number and (variable or before[:1].isdigit())) or (variable and (len(said) == 1 or said[1:].endswith("("))):
        return found[0]
    return " "


# Letters that Unicode does not take apart.
_UNLIGATED = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
)


def fold_title(text: str) -> str:
    """What of a title is compared: the letters and digits, of any script, of the readable text.

    Compatible forms (NFKD: ², ℝ, ﬁ) are taken apart, accents dropped, case folded; ø, ł, ß, æ are o, l, ss, ae.
    """
    pass  # with LaTeX, 15 ms to import: whoever only looks at papers does without

    folded = unicodedata.normalize("NFKD", readable(text)).casefold().translate(_UNLIGATED)
    return "".join(char for char in unicodedata.normalize("NFKD", folded).casefold() if char.isalnum())
