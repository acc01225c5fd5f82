"""Write the archive into a folder: all of it, or what a new edition changes.

    index.html  feed.xml  feed.json  sitemap.xml  robots.txt    written each time
    2026/04/index.html  2026/04/feed.xml                        when an edition of that month is added
    2026/04/20.html  2026/04/20.bib                             once; the page again when a day before or after it is

A new edition so costs the same however large the archive is, but for the lists of all days. Each file is written whole
or not at all (`digest.files`), and only if it differs from what is there: an unchanged file keeps its time, so that
rsync and git transfer nothing. Every other file in the folder stays as it is. A link where a page belongs is replaced,
and what it leads to stays as it is.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache
from itertools import groupby, pairwise
from pathlib import Path

from digest.archive import PublicEdition, bibtex_path, edition_path, month_feed_path, month_path
from digest.archive.bibtex import bibliography
from digest.archive.feeds import FeedDocument, FeedEntry, atom_feed, json_feed, site_map
from digest.archive.pages import Pages, headline
from digest.errors import Unpublished
from digest.files import read_file, write_file
from digest.mail.edition import format_short_date

_MIN_ENTRIES = 10  # in the main feeds, if there are as many
_MONTHS_IN_MEMORY = 3
# The temporary files of `write_file`, of which a process that was killed may have left one.
_DRAFT = re.compile(r"\.(index\.html|feed\.xml|feed\.json|sitemap\.xml|robots\.txt|\d\d\.html|\d\d\.bib)\.[0-9a-f]{16}")


class Site:
    """The archive in `folder`, of the editions of `days` (and when each was frozen), which are in order: at least one.

    `load` yields the editions between two days, both included, in order. `tag` identifies the feeds. Only one process
    may write at a time.
    """

    def __init__(
        self,
        folder: Path,
        pages: Pages,
        days: Mapping[date, datetime],
        load: Callable[[date, date], Iterable[PublicEdition]],
        tag: str,
    ) -> None:
        self._folder = folder
        self._pages = pages
        self._days = days
        self._months = {month: list(group) for month, group in groupby(days, key=_first_of_month)}
        self._load = load
        self._tag = tag
        self._written = 0
        self._tidy: set[Path] = set()
        self._editions = lru_cache(_MONTHS_IN_MEMORY)(self._load_month)
        self._entries = lru_cache(_MONTHS_IN_MEMORY)(self._make_entries)

    def write(self, added: Collection[date]) -> int:
        """Write what changes when the editions of the days `added` come; return the number of files that differed.

        For all days that is the whole archive. Raises Unpublished when a file cannot be written, and ConfigError when a
        template cannot be rendered; what was written until then is complete.
        """
        days, months = list(self._days), list(self._months)
        pages = _with_neighbours(days, added)
        changed = {_first_of_month(day) for day in added}
        # The months around a new one link to it.
        changed |= _with_neighbours(months, [month for month in changed if set(self._months[month]) <= set(added)])
        for month in sorted(changed | {_first_of_month(day) for day in pages}):
            for edition in self._editions(month):
                if edition.day in pages:
                    content = self._pages.edition(edition, *_around(days, edition.day))
                    self._put(edition_path(edition.day), content)
                if edition.day in added:
                    self._put(bibtex_path(edition.day), bibliography(edition))
            if month in changed:
                self._put(month_path(month), self._pages.month(self._editions(month), *_around(months, month)))
                self._put(month_feed_path(month), atom_feed(self._month_feed(month)))
        self._write_front()
        return self._written

    def _write_front(self) -> None:
        """Write the files in the folder itself."""
        newest = self._newest()
        url, months = self._pages.url, list(self._months)
        self._put("index.html", self._pages.index([edition for edition, _ in newest], list(self._days)))
        entries = [entry for _, entry in newest]
        links = [("prev-archive", url + month_feed_path(months[-2]))] if len(months) > 1 else []
        self._put("feed.xml", atom_feed(self._feed("feed.xml", links, entries)))
        self._put("feed.json", json_feed(self._feed("feed.json", [], entries)))
        self._put("sitemap.xml", site_map(self._addresses()))
        self._put("robots.txt", f"User-agent: *\nAllow: /\nSitemap: {url}sitemap.xml\n".encode())

    def _newest(self) -> list[tuple[PublicEdition, FeedEntry]]:
        """Return the editions of the main feeds, newest first: those of the newest month, and at least ten."""
        found: list[tuple[PublicEdition, FeedEntry]] = []
        for month in reversed(self._months):
            editions = list(zip(self._editions(month), self._entries(month), strict=True))[::-1]
            found += editions if not found else editions[: _MIN_ENTRIES - len(found)]
            if len(found) >= _MIN_ENTRIES:
                break
        return found

    def _month_feed(self, month: date) -> FeedDocument:
        url = self._pages.url
        earlier, later = _around(list(self._months), month)
        links = [("current", f"{url}feed.xml")]
        links += [("prev-archive", url + month_feed_path(earlier))] if earlier else []
        links += [("next-archive", url + month_feed_path(later))] if later else []
        return self._feed(month_feed_path(month), links, self._entries(month)[::-1], archived=True)

    def _feed(
        self, path: str, links: list[tuple[str, str]], entries: list[FeedEntry], *, archived: bool = False
    ) -> FeedDocument:
        url = self._pages.url
        return FeedDocument(self._tag, self._pages.title, url, url + path, links, entries, archived)

    def _addresses(self) -> Iterable[tuple[str, date]]:
        """Yield the address of every page, and the day on which it last changed."""
        url = self._pages.url
        yield url, max(self._days.values()).date()
        for month, days in self._months.items():
            yield url + month_path(month).removesuffix("index.html"), max(self._days[day] for day in days).date()
        for day, created in self._days.items():
            yield url + edition_path(day), created.date()

    def _load_month(self, month: date) -> list[PublicEdition]:
        days = self._months[month]
        return list(self._load(days[0], days[-1]))

    def _make_entries(self, month: date) -> list[FeedEntry]:
        return [
            FeedEntry(
                tag=edition.tag,
                url=self._pages.url + edition_path(edition.day),
                title=f"{format_short_date(edition.day)} · {headline(edition)}",
                summary=edition.composed.intro,
                content=self._pages.feed_entry(edition),
                created=edition.created,
            )
            for edition in self._editions(month)
        ]

    def _put(self, path: str, content: bytes) -> None:
        """Write a file, unless it has this content."""
        file = self._folder / path
        try:
            self._make_folder(file.parent)
            if file.is_symlink():  # what it leads to is not ours, or another page
                file.unlink()
            if not _has(file, content):
                write_file(file, content)
                self._written += 1
        except OSError as error:
            problem = f"the archive is incomplete: {file} cannot be written: {error.strerror}"
            raise Unpublished(f"{problem}; the next run or `digest publish` writes it") from None

    def _make_folder(self, folder: Path) -> None:
        """Create a folder if it is missing, and delete the drafts in it that a killed process left."""
        if folder not in self._tidy:
            folder.mkdir(parents=True, exist_ok=True)
            for file in folder.iterdir():
                if _DRAFT.fullmatch(file.name) and (file.is_symlink() or not file.is_dir()):
                    file.unlink()
            self._tidy.add(folder)


def _has(file: Path, content: bytes) -> bool:
    """Return whether a file has this content."""
    try:
        return file.stat().st_size == len(content) and read_file(file, len(content)) == content
    except OSError:
        return False


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _with_neighbours(days: list[date], some: Collection[date]) -> set[date]:
    """Return `some` of the days, and those right before and after each."""
    chosen = set(some)
    around = {day for pair in pairwise(days) if chosen & set(pair) for day in pair}
    return chosen | around


def _around(days: list[date], day: date) -> tuple[date | None, date | None]:
    """Return the days before and after one, None for those that do not exist."""
    place = days.index(day)
    return (days[place - 1] if place else None), (days[place + 1] if place + 1 < len(days) else None)
