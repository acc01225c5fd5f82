"""Fit text into limits: snippets of so many characters, lines of so many columns, mail headers, terminal tables."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from digest.papers.text.clean import clean, display_width, truncate

# ---- snippets --------------------------------------------------------------------------------------------------------

_SENTENCE_END = re.compile(
    r"[.!?][\"'”’)\]]*+(?=\s(?:[^\s\da-z]|[a-z]{1,2}[A-Z]|\dD\b))|[。！？][”』」）]*+(?=[\w\s（「『“])"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|i\.i\.d|al|cf|vs|resp|approx|incl|ca|Figs?|Eqs?|Eqns?|Secs?|Sect|Tabs?|Refs?|Thm|Prop|Def"
    r"|Alg|App|Ch|Vol|Nos?|pp|Dr|Profs?|Mrs?|Ms|St|Jr|Sr|Inc|Ltd|Corp|Univ|Dept|w\.r\.t|w\.l\.o\.g|s\.t|a\.k\.a|viz|spp?|subsp|var"
    r"|[A-Z]|[A-Z]\.[A-Z])|\bet)\.$"
)


def sentence_ends(text: str, end: int | None = None) -> Iterator[int]:
    """Yield where each sentence of a readable text ends but the last one, looking no further than the position `end`.

    The dots of "e.g.", "et al.", "Fig.", initials and decimals end no sentence.
    """
    for match in _SENTENCE_END.finditer(text, 0, len(text) if end is None else end):
        if not _ABBREVIATION.search(text[max(0, match.end() - 12) : match.end()]):
            yield match.end()


def snippet(text: str, limit: int) -> str:
    """Return the first sentences of a readable text, at most `limit` characters.

    Cut after the last sentence that ends in the last 40 % of them, else after a word, with "…". A word longer than
    `limit` is cut between graphemes (UAX #29).
    """
    text = clean(text)
    if len(text) <= limit:
        return text
    end = max((end for end in sentence_ends(text, limit + 2) if end <= limit), default=0)
    return text[:end] if end >= 0.6 * limit and end else truncate(text, limit)


# Words that a line of a title does not end with: what they lead to is missing.
_LOOSE_END = re.compile(
    r"(?<![\s,:;–—-])"  # begins at the first sign only, and is short: else it takes quadratic time
    r"(?:[\s,:;–—-]+(?:a|an|and|as|at|by|for|from|in|into|is|of|on|or|over|that|the|their|through|to|under|using|via|with"
    r"|without)){1,9}…$",
    re.IGNORECASE,
)


def headline(title: str, limit: int) -> str:
    """Return a title of at most `limit` characters, cut after a word that something was said with."""
    return _LOOSE_END.sub("…", truncate(clean(title), limit))


# ---- lines -----------------------------------------------------------------------------------------------------------

# Chinese and Japanese are written without spaces: a line may end between any two characters, but not before a closing
# bracket or stop, nor after an opening bracket (the common core of JIS X 4051).
_IDEOGRAPH = "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003fffd"
_OPENING = "（「『【《〈〔［｛“‘(\\["
_CLOSING = (
    "、。，．・：；！？）」』】》〉〕］｝ー々ぁぃぅぇぉっゃゅょァィゥェォッャュョ”’)\\],.;:!?…"
    "\u0300-\u036f\u3099\u309a\ufe0e\ufe0f"
)
_LINE_BREAK = re.compile(rf"(?:(?<=[{_IDEOGRAPH}])|(?=[{_IDEOGRAPH}]))(?<![{_OPENING}])(?![{_CLOSING}])")


def wrap(text: str, width: int, indent: str = "", first: str | None = None) -> list[str]:
    """Break `text` into lines of at most `width` columns; no lines for no text.

    The first line starts with `first` (default: `indent`), the others with `indent`. Longer words stay whole, so that
    web addresses can be clicked.
    """
    lines: list[str] = []
    line, empty = indent if first is None else first, True
    used = display_width(line)
    for word in text.split():
        space = " "
        for piece in filter(None, _LINE_BREAK.split(word)):
            columns = display_width(piece)
            if not empty and used + len(space) + columns > width:
                lines.append(line)
                line, used, empty = indent, display_width(indent), True
            space = "" if empty else space
            line, used = line + space + piece, used + len(space) + columns
            empty, space = False, ""
    return lines if empty else [*lines, line]


# ---- headers ---------------------------------------------------------------------------------------------------------

_NO_MARKUP = re.compile(r"(?:[^\W_]|[ .,])*")
# Mathematical letters: their own block, and the older letterlike symbols such as ℝ.
_STYLED = re.compile("[\U0001d400-\U0001d7ff\u2102\u210a-\u2115\u2119-\u211d\u2124\u2128\u212c-\u2131\u2133\u2134]")


def header_text(text: str, limit: int = 120) -> str:
    """Return `text` for use in a mail header: readable, one line, cut after a word to at most `limit` characters.

    `=?` and `?=` are broken up: Pythons without the fix of CVE-2024-6923 decode `=?utf-8?q?=0ABcc:_x?=` into a header
    of its own. Mathematical letters become plain ones, since phones lack them and screen readers skip them.
    """
    if not _NO_MARKUP.fullmatch(text):
        from digest.papers.text.readable import readable  # takes 11 ms to import, and plain names do not need it

        text = readable(text)
    text = _STYLED.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return truncate(clean(text).replace("=?", "= ?").replace("?=", "? ="), limit)


# ---- terminal output -------------------------------------------------------------------------------------------------

_GAP = 2  # columns between two columns of a table


def format_table(rows: Sequence[Sequence[str]], width: int = 0) -> str:
    """Return `rows`, all of one length and the first one their headings, as lines with aligned columns.

    Cells of the widest columns are broken between words until the table is at most `width` columns wide, if words are
    that short; 0 means no limit.
    """
    from prettytable import PrettyTable

    heads = list(rows[0])
    # One column of the gap is where borders would be.
    table = PrettyTable(heads, border=False, align="l", left_padding_width=0, right_padding_width=_GAP - 1)
    table.break_on_hyphens = False
    table.max_width = dict(zip(heads, _column_widths(rows, width), strict=True)) if width else {}
    table.add_rows([list(row) for row in rows[1:]] or [[""] * len(heads)])  # without rows it would print nothing
    return "\n".join(line[1:].rstrip() for line in table.get_string().splitlines()).rstrip("\n")


def _column_widths(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return how wide each column is, so that all of them fit into `width` without a break in a word, if possible."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(display_width, cells)) for cells in columns]
    pieces = (
        [piece for cell in cells for word in cell.split() for piece in _LINE_BREAK.split(word)] for cells in columns
    )
    least = [max(map(display_width, words), default=0) for words in pieces]
    excess = sum(widths) + _GAP * (len(widths) - 1) - width
    while excess > 0 and (slack := [n for n, minimum in enumerate(least) if widths[n] > minimum]):
        widths[max(slack, key=widths.__getitem__)] -= 1
        excess -= 1
    return widths


def plural(count: int, word: str, words: str = "") -> str:
    """Return "1 paper", "1,234 papers"; `words` is the plural form where it is not `word` with an "s"."""
    return f"{count:,} {word if count == 1 else words or word + 's'}"


def format_bytes(count: int) -> str:
    """Return "740 kB", "1.2 MB", "48 GB"; a kB has 1,000 bytes."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:.{0 if count >= 10 ** (power + 1) else 1}f} {unit}"
    return f"{count / 1000:.0f} kB"
