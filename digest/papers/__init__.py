"""Papers and their names, which decide when two records are the same paper. No I/O.

A name is a string that begins with its kind. A paper has every name that is known for it:

    arxiv:2401.00001        its arXiv identifier, old or new style, without the version
    doi:10.1000/xyz         its DOI in lower case; arXiv's own DOIs (10.48550/arXiv.…) count as arXiv identifiers
    id:papers:p3            the identifier p3 that the source "papers" gave it
    title:attentionisall…   the letters and digits of its title, without case, accents, markup and spaces

A record is the same paper as a known one if they share a name, unless a more reliable kind of name tells them apart:

1. An arXiv identifier decides alone: the same one is the same paper (whatever its version, title and DOI), another one
   is another paper.
2. Else a DOI decides in the same way.
3. Else the identifier of a source or the title does. An identifier that a source gives to several titles at once names
   nothing. Generic titles ("Editorial") do not identify a paper; their names include a hash of the abstract and link.

A record that is the same paper as several known ones makes them one, unless their arXiv identifiers or their DOIs
differ. So a preprint and the article in a journal are one paper as soon as a record has both identifiers, or if they
have the same title. In whatever order records arrive, they become the same papers, as long as no two of them
contradict each other.

Anybody can write anything into a feed, also about papers of others (`Paper.from_feed`). So a record from a feed may
create a paper under all its names, but it neither joins papers nor adds a name to one. It replaces no text and no link;
it fills in the text that a paper lacks. The record of any other source replaces what a feed has said, and the paper
counts as first seen on that day.

All text and links from outside become a `Paper` through `build_paper`, those of another digest's history, where they
have been through it, through `check_stored`. The package `text` makes the text readable.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields, replace
from datetime import date
from itertools import islice
from urllib.parse import quote, unquote, urlsplit

from digest.papers.text.clean import clean

__all__ = [
    "Paper", "build_paper", "check_count", "check_stored", "is_same_paper", "merge_papers", "paper_names", "parse_name",
    "text", "web_link",
]  # fmt: skip

# arXiv's identifiers: https://info.arxiv.org/help/arxiv_identifier.html
_ARXIV_NEW = r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}"
_ARXIV_OLD = r"[a-z][a-z-]+(?:\.[A-Za-z-]{2,})?/\d{7}"
_ARXIV = re.compile(rf"^(?:arxiv:\s*)?({_ARXIV_NEW}|{_ARXIV_OLD})(?:v\d+)?$", re.IGNORECASE | re.ASCII)
_ARXIV_DOI = re.compile(rf"^10\.48550/arxiv\.({_ARXIV_NEW}|{_ARXIV_OLD})(?:v\d+)?$", re.IGNORECASE | re.ASCII)
# Crossref's recommended expression for 99.3 % of DOIs, widened to any suffix without spaces.
_DOI = re.compile(r"^10\.\d{4,9}/\S+$")
_DOI_LINK = re.compile(r"(?:https?://(?:dx\.)?doi\.org/|doi:\s*)([^?#]+)", re.IGNORECASE)
_PAPER_PAGE = re.compile(
    r"https?://(?:\w+\.)?(?:arxiv\.org/(?:abs|pdf|html)|huggingface\.co/papers)/([^?#]+)", re.IGNORECASE
)
_GENERIC_TITLE = re.compile(
    r"(abstract|announcement|bookreviews?|comment|contents|correction|corrigendum|editorial|errata|erratum|foreword"
    r"|inthisissue|introduction|news|notitle|obituary|preface|reply|retraction|tableofcontents|untitled)?.{0,3}"
)
_BARE_HOST = re.compile(r"[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}(?:/|$)")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d*)?")
_MAX_AUTHORS, _MAX_CATEGORIES, _MAX_KEYWORDS = 3_000, 30, 30
_MAX_TITLE, _MAX_ABSTRACT, _MAX_NAME, _MAX_CATEGORY, _MAX_URL = 600, 20_000, 120, 60, 1_500  # characters
_MAX_TLDR, _MAX_KEYWORD = 1_000, 80


@dataclass(frozen=True, slots=True)
class Paper:
    """A paper's metadata. Text is readable, links are http(s), `ident` is "SOURCE:IDENTIFIER".

    `tldr` is a summary in a sentence or two, `tldr_by` the service whose program wrote it ('' if a person did).
    `stars` are those of `code`, `comments` those at `discussion`; 0 if there are none or nothing is known of them.
    `from_feed` is set if all of it comes from feeds.
    """

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
    tldr: str = ""
    tldr_by: str = ""
    keywords: tuple[str, ...] = ()
    organization: str = ""
    stars: int = 0
    comments: int = 0
    discussion: str = ""
    from_feed: bool = False

    @property
    def link(self) -> str:
        """The paper's page: at arXiv, else `url`, else where its DOI leads, else ''."""
        if self.arxiv:
            return f"https://arxiv.org/abs/{self.arxiv}"
        return self.url or self.doi_link

    @property
    def doi_link(self) -> str:
        return f"https://doi.org/{quote(self.doi, safe='/:;()')}" if self.doi else ""

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
    tldr: str = "",
    tldr_by: str = "",
    keywords: Iterable[str] = (),
    organization: str = "",
    stars: int = 0,
    comments: int = 0,
    discussion: str = "",
    from_feed: bool = False,
) -> Paper:
    """Build a paper from foreign text and links, the only way for them to become one.

    Text is made readable and truncated, links that are not http(s) are dropped. `identifiers` and `url` may be names of
    any kind (see `parse_name`); one of no known kind becomes `ident`, which is unique within `source`. Raises
    ValueError if no title is left.
    """
    from digest.papers.text.readable import readable  # takes 11 ms to import, and not every command builds papers

    readable_title = readable(title[: 4 * _MAX_TITLE])[:_MAX_TITLE].strip()
    if not readable_title:
        raise ValueError("it has no title")
    arxiv = doi = ident = ""
    for identifier in [*identifiers, url]:
        kind, _, value = parse_name(identifier).partition(":")
        arxiv = arxiv or (value if kind == "arxiv" else "")
        doi = doi or (value if kind == "doi" else "")
        ident = ident or (f"{source}:{value}" if kind == "id" and identifier != url else "")
    names = (readable(name[: 4 * _MAX_NAME])[:_MAX_NAME] for name in islice(authors, _MAX_AUTHORS))
    subjects = (clean(subject[: 4 * _MAX_CATEGORY])[:_MAX_CATEGORY] for subject in islice(categories, _MAX_CATEGORIES))
    phrases = (readable(phrase[: 4 * _MAX_KEYWORD])[:_MAX_KEYWORD] for phrase in islice(keywords, _MAX_KEYWORDS))
    summary = readable(tldr[: 4 * _MAX_TLDR])[:_MAX_TLDR].strip()
    return Paper(
        title=readable_title,
        abstract=readable(abstract[: 2 * _MAX_ABSTRACT])[:_MAX_ABSTRACT],
        authors=tuple(name for name in names if name),
        arxiv=arxiv,
        doi=doi,
        ident=ident,
        published=published,
        categories=tuple(dict.fromkeys(filter(None, subjects))),
        url=web_link(url),
        code=web_link(code),
        project=web_link(project),
        huggingface=web_link(huggingface),
        tldr=summary,
        tldr_by=tldr_by if summary else "",
        keywords=tuple(dict.fromkeys(filter(None, phrases))),
        organization=readable(organization[: 4 * _MAX_NAME])[:_MAX_NAME].strip(),
        stars=stars,
        comments=comments,
        discussion=web_link(discussion),
        from_feed=from_feed,
    )


def check_stored(paper: Paper) -> Paper:
    """Return a paper that another program stored, with no more than `build_paper` lets into one.

    Its text is readable already, so it stays as it is. Raises ValueError, TypeError or AttributeError for a field of
    another type, and ValueError without a title.
    """

    def text(value: str, limit: int) -> str:
        return clean(value[: 4 * limit])[:limit].strip()

    def texts(values: Iterable[str], limit: int, most: int) -> tuple[str, ...]:
        return tuple(filter(None, (text(value, limit) for value in islice(values, most))))

    if not (title := text(paper.title, _MAX_TITLE)):
        raise ValueError("it has no title")
    return Paper(
        title=title,
        abstract=text(paper.abstract, _MAX_ABSTRACT),
        authors=texts(paper.authors, _MAX_NAME, _MAX_AUTHORS),
        arxiv=paper.arxiv if parse_name(paper.arxiv) == f"arxiv:{paper.arxiv}" else "",
        doi=paper.doi if parse_name(paper.doi) == f"doi:{paper.doi}" else "",
        ident=text(paper.ident, 2 * _MAX_URL),
        published=paper.published,
        categories=texts(paper.categories, _MAX_CATEGORY, _MAX_CATEGORIES),
        url=web_link(paper.url),
        code=web_link(paper.code),
        project=web_link(paper.project),
        huggingface=web_link(paper.huggingface),
        tldr=text(paper.tldr, _MAX_TLDR),
        tldr_by=text(paper.tldr_by, _MAX_NAME),
        keywords=texts(paper.keywords, _MAX_KEYWORD, _MAX_KEYWORDS),
        organization=text(paper.organization, _MAX_NAME),
        stars=check_count(paper.stars),
        comments=check_count(paper.comments),
        discussion=web_link(paper.discussion),
        from_feed=bool(paper.from_feed),
    )


def check_count(count: int) -> int:
    """Return a number of votes or the like. Raises ValueError for what is not a whole number from 0 to 2^53."""
    if type(count) is not int or not 0 <= count < 2**53:
        raise ValueError("it is not a number")
    return count


def parse_name(text: str) -> str:
    """Return the name that `text` means: `arxiv:…`, `doi:…`, else `id:…`; '' for empty text.

    Accepts identifiers with or without prefix and version, and web addresses of arXiv, Hugging Face and doi.org.
    """
    text = clean(text[:_MAX_URL])
    if match := _PAPER_PAGE.match(text):
        text = match[1].removesuffix(".pdf").rstrip("/")
    elif match := _DOI_LINK.match(text):
        text = clean(unquote(match[1]))
    if match := _ARXIV.match(text) or _ARXIV_DOI.match(text):
        return f"arxiv:{_without_subject_class(match[1].lower())}"
    if _DOI.match(text):
        return f"doi:{text.lower().rstrip('.,;')}"
    return f"id:{text}" if text else ""


def _without_subject_class(arxiv: str) -> str:
    """Return `math/0309136` for `math.gt/0309136`, an older way to write the same identifier."""
    archive, slash, number = arxiv.partition("/")
    return archive.partition(".")[0] + slash + number if slash else arxiv


def paper_names(paper: Paper) -> tuple[str, ...]:
    """Return every name of a paper, the most reliable first; never empty."""
    from digest.papers.text.readable import fold_title  # takes 11 ms to import

    key = fold_title(paper.title) or paper.title
    if _GENERIC_TITLE.fullmatch(key):
        import hashlib  # takes 3 ms to import (OpenSSL), and one title in thousands needs it

        key += ":" + hashlib.sha256(f"{paper.abstract}|{paper.url}".encode()).hexdigest()[:16]
    names = (("arxiv", paper.arxiv), ("doi", paper.doi), ("id", paper.ident), ("title", key[:400]))
    return tuple(f"{kind}:{value}" for kind, value in names if value)


def is_same_paper(paper: Paper, known: Paper, shared: Collection[str]) -> bool:
    """Whether a record is the same paper as a known one with which it shares the names `shared` (see above)."""
    for kind, value, other in (("arxiv", paper.arxiv, known.arxiv), ("doi", paper.doi, known.doi)):
        if f"{kind}:{value}" in shared:
            return True
        if value and other:
            return False
    return bool(shared)


def merge_papers(known: Paper, other: Paper) -> Paper:
    """Merge two records of the same paper: nothing known is lost.

    A record from a feed only fills in what the other one lacks, and no link unless that is from a feed as well. Of two
    others, the longer abstract and author list, the higher counts, and a person's summary rather than a program's win.
    """
    first, second = (other, known) if known.from_feed and not other.from_feed else (known, other)
    merged = Paper(**{f.name: getattr(first, f.name) or getattr(second, f.name) for f in fields(Paper)})
    if second.from_feed:
        return replace(merged, from_feed=first.from_feed, url=merged.url if first.from_feed else first.url)
    summaries = sorted((paper for paper in (first, second) if paper.tldr), key=lambda paper: bool(paper.tldr_by))
    return replace(
        merged,
        abstract=max(first.abstract, second.abstract, key=len),
        authors=max(first.authors, second.authors, key=len),
        categories=tuple(dict.fromkeys(first.categories + second.categories))[:_MAX_CATEGORIES],
        published=min(filter(None, (first.published, second.published)), default=None),
        tldr=summaries[0].tldr if summaries else "",
        tldr_by=summaries[0].tldr_by if summaries else "",
        keywords=tuple(dict.fromkeys(first.keywords + second.keywords))[:_MAX_KEYWORDS],
        stars=max(first.stars, second.stars),
        comments=max(first.comments, second.comments),
    )


def web_link(url: str) -> str:
    """Return `url` if it is an http(s) address that is safe in a mail, else ''.

    A bare host gets https://. Another script than ASCII in the host is written as `xn--…`, since letters of other
    scripts can look like those of a well-known host.
    """
    url = "".join(url[: 2 * _MAX_URL].split())
    if not url.isprintable() or len(url) > _MAX_URL or any(c in url for c in "\"'<>\\^`{|}"):
        return ""
    if _BARE_HOST.match(url):
        url = f"https://{url}"
    try:
        parts = urlsplit(url)
        _ = parts.port
        host = _ascii_host(parts.netloc)
    except ValueError:
        return ""
    return url.replace(parts.netloc, host, 1) if parts.scheme in ("http", "https") and host else ""


def _ascii_host(netloc: str) -> str:
    """Return a host with its port, in ASCII; '' if it is no host name or address. Raises ValueError."""
    if not netloc.isascii():
        import idna

        host, colon, port = netloc.partition(":")
        netloc = idna.encode(host, uts46=True).decode("ascii") + colon + port
    return netloc if _HOST.fullmatch(netloc) else ""
