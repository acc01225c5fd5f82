"""Convert LaTeX, HTML entities and stray markup to Unicode; reduce titles to what is compared of them."""

import html
import re
import unicodedata
from functools import lru_cache
from html.entities import html5

from digest.papers.text.clean import clean
from digest.papers.text.latex import format_script, typeset

_MARKUP = re.compile(r"[\\$<&*`{~\]]|--|''")


@lru_cache(maxsize=4096)
def readable(text: str) -> str:
    """Return clean text with LaTeX, formatting tags, entities and Markdown turned into Unicode.

    Conservative: what is not understood stays as it is; `%`, `&`, `#`, `_` and "$5 … $7" are text; entities are
    decoded once. Web addresses, Windows paths and regular expressions do not change. Never raises; linear in time.
    """
    text = clean(text)
    if not _MARKUP.search(text):
        return text
    text = _ENTITY.sub(_decode_entity, _remove_tags(text) if "<" in text else text)
    text = clean(_LINK.sub(r"\1", _BOLD.sub(r"\1", text) if "**" in text else text))
    kept: list[str] = []
    for sign, pattern in _VERBATIM.items():
        if sign in text:
            text = pattern.sub(lambda match: _set_aside(match[0], kept), text)
    text = _set_punctuation(typeset(_unescape_quotes(text)))
    return clean(_PLACEHOLDER.sub(lambda match: kept[ord(match[0]) - _FIRST], text))


# What JATS (Crossref, bioRxiv) and feeds leave in abstracts. A closed list: one abstract in seventy has "<" or ">" as
# text, "p<0.05" or "<think>", and `<s>` is a token. Tags within a line go only where they are closed again.
_ATTRIBUTES = r"(?:\s[\w:-]{1,40}=(?:\"[^\"<>]{0,500}\"|'[^'<>]{0,500}')){0,9}\s?/?>"
_BLOCK_TAG = re.compile(
    rf"(?i)</?(?:p|br|hr|div|ul|ol|li|pre|blockquote|img|h[1-6]|jats:(?:p|sec|title|list|list-item)){_ATTRIBUTES}"
)
_INLINE_TAG = re.compile(
    rf"(?i)<(/?)(?:jats:)?(i|b|u|em|strong|italic|bold|underline|sc|tt|monospace|small|span|a|sup|sub){_ATTRIBUTES}"
)
_SCRIPT_TAG = re.compile(r"<(?:jats:)?(sup|sub)>([^<>]{1,40})</(?:jats:)?\1>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_BOLD = re.compile(r"(?<![\w*])\*\*(?=[^\s*])([^*]{1,300}?)(?<!\s)\*\*(?![\w*])")
_LINK = re.compile(r"\[([^\[\]]{1,300})\]\(https?://[^\s()]{1,1000}\)")


def _remove_tags(text: str) -> str:
    text = _BLOCK_TAG.sub(" ", text)
    text = _SCRIPT_TAG.sub(lambda match: format_script("^" if match[1].lower() == "sup" else "_", match[2]), text)
    closed = {match[2].lower() for match in _INLINE_TAG.finditer(text) if match[1]}
    return _INLINE_TAG.sub(lambda match: "" if match[2].lower() in closed else match[0], text)


def _decode_entity(match: re.Match[str]) -> str:
    known = match[0][1] == "#" or match[0][1:] in html5
    return html.unescape(match[0]) if known else match[0]


# Web addresses, Windows paths, regular expressions. A private character stands for each until the rest is converted.
_VERBATIM = {
    "://": re.compile(r"https?://[^\s<>\"{}\\^`|$]+"),
    ":\\": re.compile(r"(?<![^\s\"'(])[A-Zcd]:\\[^\s\"'<>|*?{}$]++(?!\{)"),
    "\\": re.compile(r"(?<!\S)[^\s$]{0,200}?\\[dwsDWS](?:[+*?\]]|\{\d)\S*"),
}
_FIRST, _LAST = 0xF0000, 0x10FFFF
_PLACEHOLDER = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")


def _set_aside(text: str, kept: list[str]) -> str:
    kept.append(text)
    return chr(_FIRST + len(kept) - 1) if _FIRST + len(kept) <= _LAST else text


_APOSTROPHE = re.compile(r"(?<=[A-Za-z])\\'(?=(?:s|t|re|ve|ll|d|m|em)\b(?!-))|(?<=s)\\'(?=\s)")
_OPENING_ESCAPED = re.compile(r"(?:^|[\s(\[])\\\"[^\s{}]")
_CLOSING_ESCAPED = re.compile(r"\\\"(?:[\s.,;:!?)\]]|$)")


def _unescape_quotes(text: str) -> str:
    """Remove the backslash of quotes that a program escaped, which are no accents: `the user\\'s`, `\\"agents\\"`."""
    if "\\'" in text:
        text = _APOSTROPHE.sub("'", text)
    escaped = '\\"' in text and _OPENING_ESCAPED.search(text) and _CLOSING_ESCAPED.search(text)
    return text.replace('\\"', '"') if escaped else text


def _set_punctuation(text: str) -> str:
    """Replace TeX's quotes, dashes and ties with typographic ones."""
    if "``" in text or "''" in text:
        text = _set_double_quotes(text)
    if "`" in text:
        text = _SINGLE_QUOTES.sub(r"‘\1’", text)
    if "--" in text:
        text = _DASHES.sub(lambda match: "–—"[len(match[0]) - 2], text)
    return _TIE.sub(_replace_tie, text) if "~" in text else text


_DOUBLE_QUOTE = re.compile(r"(?<!`)``(?!`)|(?<!')''(?!')|\"")
_SINGLE_QUOTES = re.compile(r"(?<![\w`])`([^\s`'][^`']{0,80})'(?![\w'])")


def _set_double_quotes(text: str) -> str:
    """Turn ``TeX's quotes'', ''these'' and ``these" into “these”, where there is a closing one."""
    signs, opened = list(text), -1
    for match in _DOUBLE_QUOTE.finditer(text):
        at, sign = match.start(), match[0]
        before, after = text[at - 1 : at] or " ", text[match.end() : match.end() + 1]
        closes = opened >= 0 and at - opened < 400 and (sign == "''" or (sign == '"' and not before.isspace()))
        if closes and not (sign == '"' and after.isalnum()):
            signs[opened : opened + 2], signs[at : at + len(sign)] = ["“", ""], ["”", ""][: len(sign)]
            opened = -1
        elif sign == "``" or (sign == "''" and before in " (" and not after.isspace()):
            opened = at
    return "".join(signs)


_DASHES = re.compile(r"--(?<![-<!=|]--)(?:-(?![->|])|(?<=[^\s\"'`(\[{/]--)(?![->|])|(?<=\s--)(?=\s))")
_TIE = re.compile(r"~(?:(?<=[\w.,;:)\]}’”'\"%]~)~*(?=[\w(\[“‘\"'$])|(?<=\s~)(?=\[))")


def _replace_tie(match: re.Match[str]) -> str:
    """Replace a tie with a space, unless it means "about", "to" or "distributed as": `L~32`, `4X~12X`, `y~x`."""
    text, at, end = match.string, match.start(), match.end()
    before = re.split(r"[^\w.]", text[max(0, at - 16) : at])[-1]
    word = re.match(r"\w*\(?", text[end : end + 16])
    after = word[0] if word else ""
    number = after[:1].isdigit()
    variable = len(before) == 1 and before not in "aAI"
    if (number and (variable or before[:1].isdigit())) or (variable and (len(after) == 1 or after[1:].endswith("("))):
        return match[0]
    return " "


# Letters that Unicode does not decompose.
_LIGATURES = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t", "ı": "i", "ŋ": "n"}
)


def fold_title(text: str) -> str:
    """Return what is compared of a title: the letters and digits, of any script, of the readable text.

    Compatibility characters (NFKD: ², ℝ, ﬁ) are decomposed, accents and case dropped; ø, ł, ß, æ become o, l, ss, ae.
    """
    folded = unicodedata.normalize("NFKD", readable(text)).casefold().translate(_LIGATURES)
    return "".join(char for char in unicodedata.normalize("NFKD", folded).casefold() if char.isalnum())
