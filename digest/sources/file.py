"""A file of JSON Lines: papers that somebody collects.

Each line is an object with `title` and `abstract`, and optionally `id`, `doi`, `authors`, `url`, `published`,
`upvotes`, `categories`, `code`. Its votes are a sighting of the day it is read.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from digest.errors import SourceError
from digest.papers import build_paper
from digest.settings import number_between
from digest.sources import Page, Request, Sighting, count_of, day_of, opening, text, texts


@dataclass(frozen=True)
class File:
    path: Path = field(metadata={"example": '"papers.jsonl"'})
    name: str = ""
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    pause: float = field(default=0.0, init=False)

    @property
    def called(self) -> str:
        """What to call it when it has no name."""
        return self.path.stem

    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        return (Request(url=self.path.absolute().as_uri(), read=self._read, what=str(self.path)),)

    def _read(self, body: bytes) -> Page:
        sightings, skipped, lines = [], [], body.removeprefix(b"\xef\xbb\xbf").splitlines()
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                sightings.append(self._sighting(line))
            except (ValueError, RecursionError) as problem:
                skipped.append(f"line {number}: {problem}")
        if skipped and not sightings:
            raise SourceError(f"no line of it is a paper ({skipped[0]}); it begins with {opening(body)}")
        return Page(tuple(sightings), skipped=tuple(skipped))

    def _sighting(self, line: bytes) -> Sighting:
        try:
            row = json.loads(line)
        except ValueError:
            raise ValueError("it is not JSON") from None
        if not isinstance(row, Mapping):
            raise ValueError("it is not an object")
        ident = row.get("id")
        found = build_paper(
            title=text(row, "title"),
            abstract=text(row, "abstract", "summary"),
            authors=texts(row.get("authors")),
            identifiers=[str(ident) if isinstance(ident, str | int) else "", _doi(text(row, "doi"))],
            source=self.name,
            published=day_of(row.get("published")),
            categories=texts(row.get("categories")),
            url=text(row, "url"),
            code=text(row, "code"),
        )
        return Sighting(found, votes=count_of(row.get("upvotes")))


def _doi(given: str) -> str:
    """A DOI field is a DOI whether or not it says so."""
    return given if not given or "doi" in given.lower() or given.startswith("http") else f"doi:{given}"
