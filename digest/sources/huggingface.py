"""Hugging Face Daily Papers, one list per weekday.

A list grows for a day or more after it opens (at 08:00 UTC it holds 62 % of its papers), so every run reads the lists
of the last `lookback_days` again, and all lists since the last complete run. The day of a list is
`paper.submittedOnDailyAt`; the two fields named `publishedAt` mean something else. There are no lists for weekends.
A program of Hugging Face writes `ai_summary` (one sentence) and `ai_keywords`; both can be missing for weeks.
The service returns at most `limit` rows per page, and status 400 for a day after its own today.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from digest.papers import build_paper, parse_name
from digest.settings import number_between, web_address
from digest.sources import Page, Request, Sighting
from digest.sources.parsing import build_page, first_text, parse_count, parse_day, parse_rows, text_list

_PAGE_SIZE = 100  # the service's maximum; its default of 50 has cut off lists
_MAX_PAGES = 21  # per list
_MAX_DAYS = 14  # how far back lists are read after runs that were not complete


@dataclass(frozen=True)
class HuggingFace:
    name: str = "huggingface"
    url: str = field(default="https://huggingface.co/api/daily_papers", metadata={"read": web_address})
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})
    lookback_days: int = field(default=4, metadata={"read": number_between(0, 14)})
    pause: float = field(default=0.0, init=False)

    # Raises the service's rate limit.
    token: str = field(default="", repr=False, metadata={"secret": "HF_TOKEN"})

    def requests(self, now: datetime, since: datetime | None = None) -> tuple[Request, ...]:
        """Request the lists since `since`, oldest first: at least `lookback_days`, at most 14 days."""
        today = now.date()
        back = max(self.lookback_days, min(_MAX_DAYS, (today - since.date()).days if since else 0))
        days = (today - timedelta(n) for n in range(back, -1, -1))
        return tuple(self._request(day, 0, day == today) for day in days if day.weekday() < 5)

    def _request(self, day: date, page: int, is_today: bool) -> Request:
        return Request(
            url=self.url,
            params={"date": day.isoformat(), "limit": str(_PAGE_SIZE), "p": str(page)},
            parse=partial(self._parse, day, page, is_today),
            headers=self._headers,
            name=f"the list of {day}",
            # East of Greenwich a day begins before it does for the service.
            not_yet_statuses=frozenset({400}) if is_today else frozenset(),
        )

    @property
    def _headers(self) -> dict[str, str]:
        """Send the token to Hugging Face over TLS and to a mirror on this machine, but to no other one."""
        parts = urlsplit(self.url)
        is_official = parts.scheme == "https" and parts.hostname == "huggingface.co"
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        return {"Authorization": f"Bearer {self.token}"} if self.token and (is_official or is_local) else {}

    def _parse(self, day: date, page: int, is_today: bool, body: bytes) -> Page:
        rows = parse_rows(body)
        # A page may hold fewer rows than requested, so only an empty page is certainly the last. A page that is less
        # than half full is taken as the last one, to keep a usual list at one request.
        has_more = len(rows) >= _PAGE_SIZE // 2 and page + 1 < _MAX_PAGES
        next_request = self._request(day, page + 1, is_today) if has_more else None
        return build_page(rows, partial(_parse_row, day), f"the list of {day}, row", next_request=next_request)


def _parse_row(day: date, row: object) -> Sighting:
    if not isinstance(row, Mapping):
        raise ValueError("it is not a JSON object")
    inner: Mapping[str, Any] = row["paper"] if isinstance(row.get("paper"), Mapping) else {}
    authors = inner.get("authors")
    identifier = first_text(inner, "id")
    is_arxiv = parse_name(identifier).startswith("arxiv:")
    page = f"https://huggingface.co/papers/{identifier}" if is_arxiv else ""
    paper = build_paper(
        title=first_text(inner, "title") or first_text(row, "title"),
        abstract=first_text(inner, "summary") or first_text(row, "summary"),
        authors=[first_text(a, "name") for a in authors if _is_visible(a)] if isinstance(authors, list) else [],
        identifiers=[identifier],
        source="huggingface",
        published=parse_day(inner.get("publishedAt")),
        code=first_text(inner, "githubRepo"),
        project=first_text(inner, "projectPage"),
        huggingface=page,
        tldr=first_text(inner, "ai_summary"),
        tldr_by="Hugging Face",
        keywords=text_list(inner.get("ai_keywords")),
        organization=_organization(inner) or _organization(row),
        stars=parse_count(inner.get("githubStars")) or 0,
        comments=parse_count(row.get("numComments")) or 0,
        discussion=page and f"{page}#community",
    )
    return Sighting(paper, parse_day(inner.get("submittedOnDailyAt")) or day, parse_count(inner.get("upvotes")))


def _organization(row: Mapping[str, Any]) -> str:
    """Return the organization that published a paper; it has a full name, and a name for web addresses."""
    organization = row.get("organization")
    return first_text(organization, "fullname", "name") if isinstance(organization, Mapping) else ""


def _is_visible(author: object) -> bool:
    return isinstance(author, Mapping) and author.get("hidden") is not True
