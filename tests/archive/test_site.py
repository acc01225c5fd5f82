"""The folder of the archive: pages and feeds that lead to each other, and nothing written twice."""

import json
import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urljoin

import feedparser
import pytest
from lxml import etree

from digest.archive import PublicEdition
from digest.archive.pages import Pages
from digest.archive.site import Site
from tests.editions import DAY, plain_papers, public_edition
from tests.mail.test_render import Reader

URL = "https://papers.example.org/daily/"


class Archive:
    """Editions in memory, and the folder they are written into."""

    def __init__(self, folder: Path, papers: int = 2) -> None:
        self.folder = folder
        self.editions: dict[date, PublicEdition] = {}
        self._papers = papers
        self._pages = Pages(URL, "Trending papers")

    def add(self, *days: date) -> int:
        """Write the archive with editions of these days as well; return how many files changed."""
        for day in days:
            self.editions[day] = public_edition(plain_papers(self._papers), day)
        return self.write(days)

    def write(self, added: tuple[date, ...] = ()) -> int:
        days = {day: self.editions[day].created for day in sorted(self.editions)}
        tag = next(iter(self.editions.values())).tag.replace("edition", "feed")
        return Site(self.folder, self._pages, days, self._load, tag).write(added or tuple(days))

    def _load(self, first: date, last: date) -> Iterator[PublicEdition]:
        return (self.editions[day] for day in sorted(self.editions) if first <= day <= last)

    def files(self) -> dict[str, bytes]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return {str(path.relative_to(self.folder)): path.read_bytes() for path in found}

    def times(self) -> dict[str, int]:
        return {name: (self.folder / name).stat().st_mtime_ns for name in self.files()}


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "site")


def days(count: int, first: date = DAY) -> tuple[date, ...]:
    return tuple(first + timedelta(n) for n in range(count))


def test_one_by_one_or_all_at_once_the_files_are_the_same(archive: Archive, tmp_path: Path) -> None:
    every = days(12, date(2026, 4, 25))
    for day in (*every[::2], *every[1::2]):  # days that were missed come later
        archive.add(day)
    other = Archive(tmp_path / "other")
    other.add(*every)
    assert archive.files() == other.files()
    before = archive.times()
    assert archive.write() == 0
    assert archive.times() == before


def test_a_new_edition_leaves_all_other_files_alone(archive: Archive) -> None:
    archive.add(*days(45))
    before = archive.times()
    archive.add(new := DAY + timedelta(45))
    after = archive.times()
    assert {name for name in before if after[name] != before[name]} == {
        *("index.html", "feed.xml", "feed.json", "sitemap.xml"),
        *("2026/06/03.html", "2026/06/index.html", "2026/06/feed.xml"),
    }
    assert after.keys() - before.keys() == {f"{new:%Y/%m/%d}.html", f"{new:%Y/%m/%d}.bib"}


@pytest.mark.parametrize("name", ["index.html", "feed.xml", "2026/04/20.html"])
def test_what_a_link_in_the_folder_leads_to_is_not_overwritten(archive: Archive, tmp_path: Path, name: str) -> None:
    archive.add(DAY)
    written = archive.files()
    precious = tmp_path / "history.db"
    precious.write_text("precious")
    for target in (precious, tmp_path / "missing", tmp_path / "site" / "feed.json"):
        (archive.folder / name).unlink()
        (archive.folder / name).symlink_to(target)
        archive.write()
        assert archive.files() == written
        assert not (archive.folder / name).is_symlink()
    assert precious.read_text() == "precious"


def test_every_link_within_the_archive_leads_to_a_file_or_a_place_in_the_page(archive: Archive) -> None:
    archive.add(*days(3, date(2025, 12, 31)), *days(2, date(2026, 3, 1)))
    for name, content in archive.files().items():
        if name.endswith(".html"):
            page = content.decode()
            ids = re.findall(r'\bid="([^"]+)"', page)
            assert len(ids) == len(set(ids))
            for link in Reader(page).links:
                path, _, anchor = link.partition("#")
                if not path.startswith(("https://", "http://")):
                    target = (archive.folder / name).parent / path if path else archive.folder / name
                    assert target.is_file(), (name, link)
                    assert not anchor or f'id="{anchor}"' in target.read_text(), (name, link)


def test_every_page_is_in_the_site_map_under_its_canonical_address(archive: Archive) -> None:
    archive.add(*days(15))
    listed = etree.fromstring((archive.folder / "sitemap.xml").read_bytes()).findall(".//{*}loc")
    pages = [content.decode() for name, content in archive.files().items() if name.endswith(".html")]
    canonical = [re.findall(r'<link rel="canonical" href="([^"]+)">', page) for page in pages]
    assert sorted(element.text for element in listed) == sorted(address for (address,) in canonical)
    assert f"Sitemap: {URL}sitemap.xml" in (archive.folder / "robots.txt").read_text()


def test_a_page_asks_for_nothing_and_runs_nothing(archive: Archive) -> None:
    archive.add(*days(2))
    for name, content in archive.files().items():
        if name.endswith(".html"):
            page = Reader(content.decode())
            assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & set(page.tags)
            assert not re.search(r"url\(|@import|stylesheet|\bon\w+=", content.decode())


def walk(site: Path, name: str = "feed.xml") -> Iterator[feedparser.FeedParserDict]:
    """A feed and, as RFC 5005 says, the archived feeds that it leads to."""
    while name:
        feed = feedparser.parse((site / name).read_bytes())
        assert not feed.bozo
        yield feed
        addresses = {link.rel: link.href for link in feed.feed.links}
        assert addresses["self"] == urljoin(URL, name)
        name = addresses.get("prev-archive", "").removeprefix(URL)


@pytest.mark.parametrize("count", [1, 9, 15, 45])
def test_whoever_follows_the_feed_back_finds_every_edition_under_one_identifier(archive: Archive, count: int) -> None:
    archive.add(*days(count))
    feeds = list(walk(archive.folder))
    assert len({feed.feed.id for feed in feeds}) == 1
    found = {entry.id: entry.link for feed in feeds for entry in feed.entries}
    assert sorted(found.values()) == [f"{URL}{day:%Y/%m/%d}.html" for day in days(count)]
    assert len(feeds[0].entries) >= min(count, 10)
    for feed in feeds:
        assert [entry.published for entry in feed.entries] == sorted((e.published for e in feed.entries), reverse=True)
        assert feed.feed.updated == max(entry.updated for entry in feed.entries)
    items = json.loads((archive.folder / "feed.json").read_text())["items"]
    assert [item["id"] for item in items] == [entry.id for entry in feeds[0].entries]


def test_the_feed_of_a_month_says_that_it_is_archived_and_where_the_others_are(archive: Archive) -> None:
    archive.add(*days(90))
    feed = etree.fromstring((archive.folder / "2026/05/feed.xml").read_bytes())
    assert feed.find("{http://purl.org/syndication/history/1.0}archive") is not None
    links = {link.get("rel"): link.get("href") for link in feed.findall("{*}link")}
    assert links["current"] == f"{URL}feed.xml"
    assert links["prev-archive"] == f"{URL}2026/04/feed.xml"
    assert links["next-archive"] == f"{URL}2026/06/feed.xml"


def test_an_entry_never_changes(archive: Archive) -> None:
    seen: dict[str, tuple[str, str]] = {}
    for day in days(5):
        archive.add(day)
        for entry in feedparser.parse((archive.folder / "feed.xml").read_bytes()).entries:
            said = (entry.updated, entry.content[0].value)
            assert seen.setdefault(entry.id, said) == said
    assert len(seen) == 5


def test_a_feed_has_the_whole_content_with_links_that_work_anywhere(archive: Archive) -> None:
    archive.add(DAY)
    (entry,) = feedparser.parse((archive.folder / "feed.xml").read_bytes()).entries
    content = entry.content[0].value
    for paper in plain_papers(2):
        assert paper.title in content
        assert f'href="{paper.link}"' in content
    assert not re.findall(r'href="(?!https://)', content)
    (item,) = json.loads((archive.folder / "feed.json").read_text())["items"]
    assert (item["url"], item["id"]) == (entry.link, entry.id)
    assert all(paper.title in item["content_html"] for paper in plain_papers(2))


def test_a_folder_with_the_name_of_a_draft_is_left_alone(archive: Archive) -> None:
    folder = archive.folder / ".index.html.0123456789abcdef"
    folder.mkdir(parents=True)
    archive.add(DAY)
    assert folder.is_dir()
    assert (archive.folder / "index.html").is_file()
