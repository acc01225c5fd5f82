"""A file of papers in JSON Lines format.

Each line is an object with `title` and optionally `abstract`, `id`, `doi`, `authors`, `url`, `published`, `upvotes`,
`categories`, `code`, `tldr`, `keywords`, `organization`, `stars`, `comments` and `discussion` (a link). A paper is
listed on the day on which the file was first read with it; later readings update its votes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from pathlib import Path

from digest.errors import SourceError
from digest.papers import build_paper
from digest.settings import number_between
from digest.sources import Page, Request, Sighting
from digest.sources.parsing import build_page, describe_start, first_text, parse_count, parse_day, text_list


@dataclass(frozen=True)
class File:
    path: Path = field(metadata={"example": '"papers.jsonl"'})
    name: str = ""
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)

    @property
    def default_name(self) -> str:
        """Name of the source if the configuration gives none."""
        return self.path.stem

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        return (Request(url=self.path.absolute().as_uri(), parse=self._parse, name=str(self.path)),)

    def _parse(self, body: bytes) -> Page:
        page = build_page(BytesIO(body.removeprefix(b"\xef\xbb\xbf")), self._parse_line, "line")
        if page.skipped and not page.sightings:
            raise SourceError(f"no line holds a paper ({page.skipped[0]}): {describe_start(body)}")
        return page

    def _parse_line(self, line: bytes) -> Sighting | None:
        if not line.strip():
            return None
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            raise ValueError("it is not JSON") from None
        if not isinstance(row, Mapping):
            raise ValueError("it is not a JSON object")
        own_id = row.get("id")
        paper = build_paper(
            title=first_text(row, "title"),
            abstract=first_text(row, "abstract", "summary"),
            authors=text_list(row.get("authors")),
            identifiers=[str(own_id) if isinstance(own_id, str | int) else "", _with_prefix(first_text(row, "doi"))],
            source=self.name,
            published=parse_day(row.get("published")),
            categories=text_list(row.get("categories")),
            url=first_text(row, "url"),
            code=first_text(row, "code"),
            tldr=first_text(row, "tldr"),
            keywords=text_list(row.get("keywords")),
            organization=first_text(row, "organization"),
            stars=parse_count(row.get("stars")) or 0,
            comments=parse_count(row.get("comments")) or 0,
            discussion=first_text(row, "discussion"),
        )
        return Sighting(paper, votes=parse_count(row.get("upvotes")))


def _with_prefix(doi: str) -> str:
    return doi if not doi or "doi" in doi.lower() or doi.startswith("http") else f"doi:{doi}"
