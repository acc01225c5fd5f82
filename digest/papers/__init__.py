"""A paper and its names: what makes two records the same paper.

A paper has as many names as are known of it, each a string with its kind in front:

    arxiv:2401.00001        the arXiv identifier, old or new style, without version
    doi:10.1000/xyz         the DOI in lower case; arXiv's own DOIs (10.48550/arXiv.…) count as arXiv identifiers
    id:papers:p3            what a file or feed calls it, within that source
    title:attentionisall…   the letters and digits of the title, without case, accents, markup and spaces

Two records that share a name are one paper. Of 20,000 computer-science records on arXiv 24 share their title with
another one, and all of those are the same work submitted again, so a title is a name like the others, except for the
few that are not titles of anything ("Editorial"): there the abstract counts as well.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import unquote, urlsplit

from digest.papers.text.clean import clean
from digest.papers.text.readable import fold_title

# arXiv's identifiers: https://info.arxiv.org/help/arxiv_identifier.html
_ARXIV_NEW = r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}"
_ARXIV_OLD = r"[a-z][a-z-]+(?:\.[A-Za-z-]{2,})?/\d{7}"
_ARXIV = re.compile(rf"^(?:arxiv:\s*)?({_ARXIV_NEW}|{_ARXIV_OLD})(?:v\d+)?$", re.IGNORECASE)
_ARXIV_DOI = re.compile(rf"^10\.48550/arxiv\.({_ARXIV_NEW}|{_ARXIV_OLD})(?:v\d+)?$", re.IGNORECASE)
# Crossref's recommended expression for 99.3 % of DOIs, widened to any suffix without spaces.
_DOI = re.compile(r"^10\.\d{4,9}/\S+$")
_UNTITLED = re.compile(
    r"(abstract|announcement|bookreviews?|comment|contents|correction|corrigendum|editorial|errata|erratum|foreword"
    r"|inthisissue|introduction|news|notitle|obituary|preface|reply|retraction|tableofcontents|untitled)?.{0,3}"
)
_MOST_TITLE, _MOST_ABSTRACT, _MOST_NAME, _MOST_AUTHORS, _MOST_URL = 600, 20_000, 120, 3_000, 1_500


@dataclass(frozen=True, slots=True)
class Paper:
    """What is known of a paper. Text is already readable (see `digest.text`), links are http(s) or empty."""

    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    arxiv: str = ""
    doi: str = ""
    ident: str = ""
    published: date | None = None
    categories: tuple[str, ...] = ()
    url: str = ""
    code: str = ""
    project: str = ""
    huggingface: str = ""

    @property
    def link(self) -> str:
        """Where its title leads: its own page, else the one its arXiv identifier or DOI stands for, else ''."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return self.url or (f"https://doi.org/{self.doi}" if self.doi else "")

    @property
    def pdf(self) -> str:
        return f"https://arxiv.org/pdf/{self.arxiv}" if self.arxiv else ""


def build_paper(
    title: str,
    *,
    abstract: str = "",
    authors: Iterable[str] = (),
    identifiers: Iterable[str] = (),
    source: str = "",
    published: date | None = None,
    categories: Iterable[str] = (),
    url: str = "",
    code: str = "",
    project: str = "",
    huggingface: str = "",
) -> Paper:
    """A paper from a stranger's raw text: the one gate through which every title, name and link comes in.

    Text is made readable and bounded, links that are not http(s) are dropped, and each of `identifiers` is filed as
    arXiv identifier, DOI or, within `source`, as a name of its own. Raises ValueError when no title is left.
    """
    from digest.papers.text.readable import (
        readable,  # with LaTeX, 15 ms to import: whoever only looks at papers does without
    )

    readable_title = readable(title[: 4 * _MOST_TITLE])[:_MOST_TITLE].strip()
    if not readable_title:
        raise ValueError("it has no title")
    arxiv = doi = ident = ""
    for given in [*identifiers, url]:
        kind, _, value = parse_name(given).partition(":")
        arxiv = arxiv or (value if kind == "arxiv" else "")
        doi = doi or (value if kind == "doi" else "")
        ident = ident or (f"{source}:{value}" if kind == "id" and given != url else "")
    people = (readable(name[: 4 * _MOST_NAME])[:_MOST_NAME] for name in list(authors)[:_MOST_AUTHORS])
    return Paper(
        title=readable_title,
        abstract=readable(abstract[: 2 * _MOST_ABSTRACT])[:_MOST_ABSTRACT],
        authors=tuple(name for name in people if name),
        arxiv=arxiv,
        doi=doi,
        ident=ident,
        published=published,
        categories=tuple(dict.fromkeys(filter(None, (clean(c)[:60] for c in list(categories)[:30])))),
        url=web_link(url),
        code=web_link(code),
        project=web_link(project),
        huggingface=web_link(huggingface),
    )


def parse_name(text: str) -> str:
    """The name a person or a file means by `text`: `arxiv:…`, `doi:…`, else `id:…`; '' for nothing.

    Takes identifiers with or without prefix and version, and the web addresses of arXiv, Hugging Face and doi.org.
    """
    text = clean(text[:_MOST_URL])
    if found := re.match(
        r"https?://(?:\w+\.)?(?:arxiv\.org/(?:abs|pdf|html)|huggingface\.co/papers)/([^?#]+)", text, re.I
    ):
        text = found[1].removesuffix(".pdf").rstrip("/")
    elif found := re.match(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)([^?#]+)", text, re.I):
        text = unquote(found[1])
    if found := _ARXIV.match(text) or _ARXIV_DOI.match(text):
        return f"arxiv:{_without_subject_class(found[1].lower())}"
    if _DOI.match(text):
        return f"doi:{text.lower().rstrip('.,;')}"
    return f"id:{text}" if text else ""


def _without_subject_class(arxiv: str) -> str:
    """`math.gt/0309136` is `math/0309136`: the class was dropped from old identifiers, the paper is the same."""
    archive, slash, number = arxiv.partition("/")
    return archive.partition(".")[0] + slash + number if slash else arxiv


def paper_names(paper: Paper) -> tuple[str, ...]:
    """Every name of a paper, the most telling first; never empty."""
    key = fold_title(paper.title) or paper.title
    if _UNTITLED.fullmatch(key):
        import hashlib  # with OpenSSL, 3 ms, for one title in thousands

        key += ":" + hashlib.sha256(f"{paper.abstract}|{paper.url}".encode()).hexdigest()[:16]
    found = (("arxiv", paper.arxiv), ("doi", paper.doi), ("id", paper.ident), ("title", key[:400]))
    return tuple(f"{kind}:{value}" for kind, value in found if value)


def merge_papers(known: Paper, other: Paper) -> Paper:
    """One record of two that are the same paper: nothing known is lost, the fuller text and author list win."""
    return replace(
        known,
        abstract=max(known.abstract, other.abstract, key=len),
        authors=max(known.authors, other.authors, key=len),
        categories=tuple(dict.fromkeys(known.categories + other.categories)),
        published=min(filter(None, (known.published, other.published)), default=None),
        arxiv=known.arxiv or other.arxiv,
        doi=known.doi or other.doi,
        ident=known.ident or other.ident,
        url=known.url or other.url,
        code=known.code or other.code,
        project=known.project or other.project,
        huggingface=known.huggingface or other.huggingface,
    )


def web_link(url: str) -> str:
    """`url` when it is an http(s) address a mail may carry, else ''; a bare host gets its scheme."""
    url = "".join(url[: 2 * _MOST_URL].split())
    if not url.isprintable() or len(url) > _MOST_URL or any(c in url for c in "\"'<>\\^`{|}"):
        return ""
    if re.match(r"[\w-]+(\.[\w-]+)*\.[a-z]{2,}(/|$)", url):
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return ""
    return url if parts.scheme.lower() in ("http", "https") and host and "@" not in parts.netloc else ""
