"""The archive: web pages, feeds and BibTeX files of past public editions, as a folder that any static host can serve.

    public editions ──▶ pages, feeds, bibtex ──▶ site
    values              Jinja, lxml, LaTeX       a folder

A public edition is what the digest itself chooses for a day: all its topics, its limit, nothing that an earlier public
edition has shown. It depends on no subscriber, and neither does any byte here. It is frozen in the database as values
(`digest.store.public_editions`), so that the whole archive can be written again from it.

`site` decides which files there are and writes those that changed, `pages` renders the pages, `feeds` makes the feeds
and the site map, `bibtex` the bibliographies.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from digest.papers import Paper, paper_names
from digest.settings import invalid_value, web_address

if TYPE_CHECKING:
    from digest.mail.edition import Arrivals, Edition
    from digest.ranking.trending import Ranked

__all__ = ["ArchiveSettings", "PublicEdition", "pages", "site"]

_MAX_URL = 300  # characters: with a page's path, a header of the mail stays on one line of at most 998 octets


def _read_url(value: str) -> str:
    parts = urlsplit(web_address(value))
    if parts.query or parts.fragment:
        raise invalid_value("an address without ? and #", value, 'write one like "https://papers.example.org/"')
    if not re.fullmatch(r"[!$%&'()*+,./0-9:;=@A-Z\[\]_a-z~-]+", value) or "@" in parts.netloc:
        raise invalid_value("a plain web address", value, "write other characters percent-encoded, and no user name")
    if len(value) > _MAX_URL:
        raise invalid_value(f"at most {_MAX_URL} characters", value)
    return value.rstrip("/") + "/"


@dataclass(frozen=True, slots=True)
class ArchiveSettings:
    """The `[archive]` table: the folder to write, and the address at which it is served, which ends in a slash."""

    path: Path = field(metadata={"example": '"site"'})
    url: str = field(metadata={"read": _read_url, "example": '"https://papers.example.org/"'})

    def page(self, day: date) -> str:
        """Return the address of the page of a day."""
        return self.url + edition_path(day)

    def tag(self, day: date) -> str:
        """Return a permanent identifier for the edition of a day (RFC 4151): it outlives a move of the archive."""
        parts = urlsplit(self.url)
        return f"tag:{re.sub('[^a-z0-9.-]', '', parts.hostname or '')},{day}:{parts.path}edition"


@dataclass(frozen=True)
class PublicEdition:
    """The public edition of a day, as it was frozen at `created`.

    `tag` identifies it in the feeds. The digest had this `title` then, and these papers were new (`arrivals`).
    `ranked` are its papers, best first; their ids are those of `papers`.
    """

    day: date
    created: datetime
    tag: str
    title: str
    arrivals: "Arrivals"
    ranked: "tuple[Ranked, ...]"
    papers: dict[int, Paper]

    @cached_property
    def composed(self) -> "Edition":
        """The edition as a mail would have it."""
        from digest.mail.edition import Composer, Masthead  # not needed for the settings, which every command reads

        return Composer(Masthead(self.title, self.day), self.papers, self.arrivals).compose(self.ranked)

    @cached_property
    def anchors(self) -> dict[int, str]:
        """A name for each paper, by its id: for links into the page (`arxiv-2604.01234`) and as BibTeX key."""
        found: dict[int, str] = {}
        for paper_id, paper in self.papers.items():
            name = re.sub(r"[^A-Za-z0-9.]+", "-", paper_names(paper)[0])[:80].strip("-")
            found[paper_id] = name if name not in found.values() else f"{name}-{paper_id}"
        return found


def edition_path(day: date) -> str:
    """Return the path of a day's page in the archive."""
    return f"{day:%Y/%m/%d}.html"


def bibtex_path(day: date) -> str:
    return f"{day:%Y/%m/%d}.bib"


def month_path(month: date) -> str:
    """Return the path of the page of a month, which is given by any of its days."""
    return f"{month:%Y/%m}/index.html"


def month_feed_path(month: date) -> str:
    return f"{month:%Y/%m}/feed.xml"
