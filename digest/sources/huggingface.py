"""Hugging Face Daily Papers, by list day.

A list goes on growing for a day or more after it opens (at 08 UTC it holds 62 % of its papers), so every run reads the
last `lookback_days` lists again, and all those since the last good reading. The list day is
`paper.submittedOnDailyAt`; both fields called `publishedAt` are something else. Lists exist for weekdays only, hold at
most `limit` rows a page, and a day after today answers 400.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from digest.papers import build_paper, parse_name
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting, count_of, day_of, json_rows, text, texts

_PAGE = 100  # the service's largest page; its default of 50 has cut real days short
_MOST_DAYS = 14  # how far back lists are read after a time without a good reading


@dataclass(frozen=True)
class HuggingFace:
    name: str = "huggingface"
    url: str = field(default="https://huggingface.co/api/daily_papers", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    lookback_days: int = field(default=4, metadata={"read": number_between(0, 14)})
    pause: float = field(default=0.0, init=False)

    # Raises the limit on requests. From the environment; shown to nobody else.
    token: str = field(default="", repr=False, metadata={"secret": "HF_TOKEN"})

    def asks(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """A list a weekday to today: from `lookback_days` ago, or from the last good reading if that is longer ago."""
        today = now.date()
        back = max(self.lookback_days, min(_MOST_DAYS, (today - since.date()).days if since else 0))
        days = (today - timedelta(n) for n in range(back, -1, -1))
        return tuple(self._ask(listed, 0, open_late=listed == today) for listed in days if listed.weekday() < 5)

    @property
    def _headers(self) -> dict[str, str]:
        """The token, for the service itself over TLS and for this machine; a mirror is a stranger."""
        parts = urlsplit(self.url)
        own = parts.scheme == "https" and parts.hostname == "huggingface.co"
        here = parts.hostname in ("localhost", "127.0.0.1", "::1")
        return {"Authorization": f"Bearer {self.token}"} if self.token and (own or here) else {}

    def _ask(self, listed: date, page: int, open_late: bool) -> Request:
        return Request(
            url=self.url,
            params={"date": listed.isoformat(), "limit": str(_PAGE), "p": str(page)},
            read=partial(self._read, listed, page, open_late),
            headers=self._headers,
            what=f"the list of {listed}",
            # East of Greenwich the day begins before the service's day does.
            closed=frozenset({400}) if open_late else frozenset(),
        )

    def _read(self, listed: date, page: int, open_late: bool, body: bytes) -> Page:
        rows = json_rows(body)
        sightings, skipped = [], []
        for place, row in enumerate(rows, start=1):
            try:
                sightings.append(_sighting(row, listed))
            except ValueError as problem:
                skipped.append(f"row {place} of the list of {listed}: {problem}")
        # A page may hold fewer rows than asked for, so only an empty one is surely the last; a short first page
        # of a list that never had a hundred papers is taken as whole, to keep it at one request a day.
        more = self._ask(listed, page + 1, open_late) if len(rows) >= _PAGE // 2 and page < 20 else None
        return Page(tuple(sightings), more, tuple(skipped))


def _sighting(row: object, listed: date) -> Sighting:
    if not isinstance(row, Mapping):
        raise ValueError("it is not an object")
    inner: Mapping[str, Any] = row["paper"] if isinstance(row.get("paper"), Mapping) else {}
    title = text(inner, "title") or text(row, "title")
    authors = inner.get("authors")
    ident = text(inner, "id")
    found = build_paper(
        title=title,
        abstract=text(inner, "summary") or text(row, "summary"),
        authors=[text(a, "name") for a in authors if _shown(a)] if isinstance(authors, list) else [],
        identifiers=texts(ident),
        source="huggingface",
        published=day_of(inner.get("publishedAt")),
        code=text(inner, "githubRepo"),
        project=text(inner, "projectPage"),
        huggingface=f"https://huggingface.co/papers/{ident}" if parse_name(ident).startswith("arxiv:") else "",
    )
    return Sighting(found, day_of(inner.get("submittedOnDailyAt")) or listed, count_of(inner.get("upvotes")))


def _shown(author: object) -> bool:
    return isinstance(author, Mapping) and author.get("hidden") is not True
