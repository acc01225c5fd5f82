r"""BibTeX for the papers of an edition.

Whatever a title holds, the file is valid: characters that LaTeX gives a meaning are escaped, letters with accents and
mathematical symbols become the commands that print them, also with pdfLaTeX (`pylatexenc` knows them). Letters that no
command prints, as those of Chinese, stay as they are, in UTF-8. Capitals in a word are kept by braces, since
bibliography styles write titles in lower case: `{GPT}-4`, not `gpt-4`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from digest.archive import PublicEdition
from digest.papers import Paper

if TYPE_CHECKING:
    from pylatexenc.latexencode import UnicodeToLatexEncoder

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
# BibTeX splits a name at commas, and a list of names at the word "and"; groups have no first and last names.
_WHOLE_NAME = re.compile(r",|\band\b|^\S+$|\b(collaboration|consortium|group|initiative|lab|team)\b", re.IGNORECASE)

_SINGLE_BRACES = str.maketrans("{}", "\ue000\ue001")  # characters for private use, which no readable text has
_COMMANDS = {
    "\ue000": r"\ensuremath{\lbrace}",
    "\ue001": r"\ensuremath{\rbrace}",
    "√": r"\ensuremath{\surd}",
}
_RAISED = {"<super>": "textsuperscript", "<sub>": "textsubscript"}
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9 .,:;()/!?+=*@'-]")


def bibliography(edition: PublicEdition) -> bytes:
    """Return the BibTeX file of an edition: an entry for each of its papers, in their order."""
    anchors = edition.anchors
    ranked = (ranked.trend.id for ranked in edition.ranked)
    return "\n".join(_entry(anchors[paper_id], edition.papers[paper_id]) for paper_id in ranked).encode()


def _entry(key: str, paper: Paper) -> str:
    fields = "".join(f"  {name} = {value},\n" for name, value in _fields(paper))
    return f"@misc{{{key},\n{fields}}}\n"


def _fields(paper: Paper) -> Iterator[tuple[str, str]]:
    """Yield the fields of an entry; those of an arXiv identifier are as arXiv writes them itself."""
    yield "title", f"{{{_keep_capitals(paper.title)}}}"
    if paper.authors:
        yield "author", f"{{{_authors(paper.authors)}}}"
    year, month = _published(paper)
    if year:
        yield "year", f"{{{year}}}"
    if month:
        yield "month", _MONTHS[month - 1]
    if paper.arxiv:
        yield "eprint", f"{{{paper.arxiv}}}"
        yield "archiveprefix", "{arXiv}"
        if "/" not in paper.arxiv and paper.categories and re.fullmatch(r"[A-Za-z.-]+", paper.categories[0]):
            yield "primaryclass", f"{{{paper.categories[0]}}}"
    if paper.doi and not re.search(r"[{}\\]", paper.doi):
        yield "doi", f"{{{paper.doi}}}"
    if paper.link:
        yield "url", f"{{{paper.link}}}"


def _published(paper: Paper) -> tuple[int, int]:
    """Return year and month, by the arXiv identifier if no date is known; 0 for unknown."""
    if paper.published:
        return paper.published.year, paper.published.month
    found = re.match(r"(?:[a-z-]+/)?(\d\d)(\d\d)", paper.arxiv)
    if not found:
        return 0, 0
    year, month = int(found[1]), int(found[2])
    return (1900 if year > 90 else 2000) + year, month if 1 <= month <= 12 else 0


def _authors(names: Sequence[str]) -> str:
    return " and ".join(
        f"{{{_latex(name)}}}" if _WHOLE_NAME.search(name) else _latex(name) for name in map(_mark_braces, names)
    )


def _keep_capitals(title: str) -> str:
    """Return a title in LaTeX, with braces around each word that has a capital after its first letter, and letters."""
    return "".join(
        f"{{{_latex(word)}}}"
        if any(c.isupper() for c in word[1:]) or (word.isupper() and word != "A")
        else _latex(word)
        for word in re.split(r"([^\W_]+)", _mark_braces(title))
    )


def _mark_braces(text: str) -> str:
    """Return `text`, without its braces if they are not in pairs: BibTeX counts them even where they are escaped."""
    depth = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        if depth < 0:
            break
    return text.translate(_SINGLE_BRACES) if depth else text


def _latex(text: str) -> str:
    """Return LaTeX that prints `text`."""
    return _NOT_PLAIN.sub(lambda match: _command(match[0]), unicodedata.normalize("NFC", text))


@lru_cache(4096)
def _command(char: str) -> str:
    """Return what prints a character, in braces; the character itself if nothing does.

    pylatexenc knows most; not all of ² and ᵢ, nor braces that are counted, and it takes √ for an empty root.
    """
    if char in _COMMANDS:
        return f"{{{_COMMANDS[char]}}}"
    form, _, plain = unicodedata.decomposition(char).partition(" ")
    if form in _RAISED:
        return f"{{\\{_RAISED[form]}{{{_latex(''.join(chr(int(code, 16)) for code in plain.split()))}}}}}"
    return str(_encoder().unicode_to_latex(char))


@cache
def _encoder() -> "UnicodeToLatexEncoder":
    from pylatexenc.latexencode import UnicodeToLatexEncoder  # takes 25 ms to import

    return UnicodeToLatexEncoder(
        replacement_latex_protection="braces-all", unknown_char_policy="keep", unknown_char_warning=False
    )
