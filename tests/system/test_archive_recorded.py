"""Three weeks of recorded answers of the real services, published: valid, complete, and nothing about subscribers."""

import re
from datetime import date, timedelta
from pathlib import Path

import feedparser
from bibtexparser.entrypoint import parse_string
from lxml import etree

from digest.config import load
from digest.pipeline.archive import publish_archive
from digest.pipeline.context import open_context
from digest.ranking import Profile
from tests.pipeline.test_archive import files
from tests.server import Server
from tests.system import test_upstream
from tests.system.test_upstream import configured, run, services

pytestmark = test_upstream.pytestmark

URL = "https://papers.example.org/"
EXTRA = """
        timezone = "Europe/Berlin"
        [archive]
        path = "site"
        url = "https://papers.example.org/"
        [[topics]]
        name = "Xylophones"
        match = ["video", "diffusion"]
        [[topics]]
        name = "Quokkas"
        match = ["agent*", "reasoning"]
        [unsubscribe]
        mailto = "leave@example.net"
"""
READERS = {"first.reader@example.org": "Xylophones", "second.reader@example.org": "Quokkas"}


def test_three_weeks_are_published_without_a_word_about_subscribers(tmp_path: Path) -> None:
    days = [date(2026, 4, 6) + timedelta(n) for n in range(22)]
    entries: dict[str, tuple[str, str]] = {}
    with services(days[0]) as (upstream, base), Server().running() as server:
        config = configured(tmp_path, base, server.port, EXTRA)
        with open_context(config) as context:
            for address, topic in READERS.items():
                context.subscribers.add(address, Profile((topic,), 5))
        for day in days:
            upstream.today = day.isoformat()
            run(config, day)
            if (tmp_path / "site").exists():
                feed = feedparser.parse((tmp_path / "site/feed.xml").read_bytes())
                assert not feed.bozo
                for entry in feed.entries:
                    said = (entry.updated, entry.content[0].value)
                    assert entries.setdefault(entry.id, said) == said
        assert len({to for to, _ in server.taken}) == 4
    site = files(tmp_path / "site")
    check_nothing_is_private(site, tmp_path)
    pages = [name for name in site if re.fullmatch(r"2026/04/\d\d\.html", name)]
    assert len(pages) == len(entries) >= 15
    check_bibliographies(site, pages)
    for name in ("feed.xml", "2026/04/feed.xml", "sitemap.xml"):
        etree.fromstring(site[name])
    publish_archive(load(config.path, {}), tmp_path / "other")
    assert files(tmp_path / "other") == site


def check_nothing_is_private(site: dict[str, bytes], folder: Path) -> None:
    with open_context(load(folder / "config.toml", {})) as context:
        tokens = [row[0] for row in context.db.execute("SELECT token FROM subscribers")]
    assert len(tokens) == 4
    private = [*tokens, *READERS, *READERS.values(), *test_upstream.TO, "digest@example.org", "example.net"]
    for name, content in site.items():
        text = content.decode().lower()
        assert not [word for word in private if word.lower() in text], name


def check_bibliographies(site: dict[str, bytes], pages: list[str]) -> None:
    seen: list[str] = []
    for page in pages:
        library = parse_string(site[page.replace(".html", ".bib")].decode())
        assert library.failed_blocks == []
        seen += (keys := [entry.key for entry in library.entries])
        assert len(keys) == site[page].decode().count('<article class="paper"')
        assert all(f'id="{key}"'.encode() in site[page] for key in keys)
    assert len(seen) == len(set(seen)) > 150
