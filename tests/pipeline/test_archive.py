"""The archive from run to run: every edition once, whole, the same whoever subscribes, and never in the way of mail."""

import json
import re
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlite_utils import Database

from digest.errors import AlreadyRunning, ConfigError, Unpublished
from digest.pipeline.archive import publish_archive
from digest.pipeline.run import plan_run
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database, run_lock
from digest.store.prune import prune
from tests.conftest import MONDAY, Workplace, at, html_of, paper, text_of

URL = "https://papers.example.org/daily/"
ARCHIVE = f'[archive]\npath = "site"\nurl = "{URL}"\n'
SOURCE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'
TUESDAY = MONDAY + timedelta(1)


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    return archived(workplace)


def archived(workplace: Workplace, topics: str = "") -> Workplace:
    workplace.digest = {"max_papers": 3, "window_days": 60}
    workplace.more = ARCHIVE + SOURCE + topics
    workplace.lists(*(paper(n, upvotes=1000 - n) for n in range(60)))
    return workplace


def run_days(place: Workplace, count: int, first: date = MONDAY) -> None:
    for n in range(count):
        place.run(first + timedelta(n))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def times(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def page_titles(site: Path, day: date) -> list[str]:
    return re.findall(r"Paper number (\d+) on something", (site / f"{day:%Y/%m/%d}.bib").read_text())


def test_each_run_adds_the_days_page_its_bibliography_and_what_leads_to_them(place: Workplace) -> None:
    run_days(place, 2)
    assert set(files(place.folder / "site")) == {
        *("index.html", "feed.xml", "feed.json", "sitemap.xml", "robots.txt"),
        *("2026/04/index.html", "2026/04/feed.xml"),
        *(f"2026/04/{day}.{kind}" for day in (20, 21) for kind in ("html", "bib")),
    }
    monday = (place.folder / "site/2026/04/20.html").read_text()
    assert 'href="../../2026/04/21.html"' in monday, "the page of the day before leads to the new one"
    assert "Paper number 2 on something" in monday
    assert "Paper number 3 on something" not in monday


def test_a_paper_is_in_one_edition_only_and_a_day_has_only_one(place: Workplace) -> None:
    run_days(place, 4)
    before = files(place.folder / "site")
    place.lists(paper(500, upvotes=5000))
    place.run(MONDAY + timedelta(3))
    assert files(place.folder / "site") == before
    shown = [page_titles(place.folder / "site", MONDAY + timedelta(n)) for n in range(4)]
    assert [len(titles) for titles in shown] == [3, 3, 3, 3]
    assert len({title for titles in shown for title in titles}) == 12


def test_two_papers_that_turn_out_to_be_one_come_no_second_time(place: Workplace) -> None:
    place.digest["max_papers"] = 1
    one, other = paper(1, upvotes=9), {"doi": "10.1000/x", "title": "Its name in the journal", "upvotes": 1}
    place.lists(one, other)
    place.run(MONDAY)
    place.lists(one, other, {"id": "arxiv:2604.00001", "doi": "10.1000/x", "title": "Both names"})
    place.run(TUESDAY)
    assert not (place.folder / "site/2026/04/21.html").exists()


def test_a_day_without_papers_or_without_mail_has_no_page(place: Workplace) -> None:
    place.lists()
    place.run(MONDAY)
    assert not (place.folder / "site").exists()
    place.digest["days"] = ["wed"]
    place.lists(paper(1))
    run_days(place, 2, TUESDAY)
    assert [path.name for path in sorted((place.folder / "site/2026/04").glob("*.html"))] == ["22.html", "index.html"]


def test_the_archive_can_be_written_anew_from_the_history_alone(place: Workplace) -> None:
    run_days(place, 4, date(2026, 4, 29))
    site, other = place.folder / "site", place.folder / "other"
    folder, editions, written = publish_archive(place.config(), other)
    assert (folder, editions, written) == (other, 4, len(files(other)))
    assert files(other) == files(site)
    before = times(site)
    assert publish_archive(place.config(), None) == (site, 4, 0)
    assert times(site) == before


def test_nothing_in_it_depends_on_the_subscribers(tmp_path: Path) -> None:
    topics = (
        '[[topics]]\nname = "Zebrafish"\nmatch = ["number 7*"]\n[[topics]]\nname = "Quokkas"\nmatch = ["number 8*"]\n'
    )
    sites = []
    for name, to in (("few", []), ("many", ["ann.private@example.org", "bob.secret@example.org"])):
        (tmp_path / name).mkdir()
        place = archived(Workplace(tmp_path / name, to=to), topics)
        for day in range(5):
            with open_database(place.config().digest.database) as db:
                for subscriber in to:
                    subscribe(db, subscriber, ["Zebrafish"] if "ann" in subscriber else ["Quokkas"])
            place.run(MONDAY + timedelta(day))
        sites.append(files(tmp_path / name / "site"))
    assert sites[0] == sites[1]
    assert len(place.titles("ann.private@example.org")) == 5
    with closing(Database(tmp_path / "many/history.db").conn) as connection:
        tokens = [row[0] for row in connection.execute("SELECT token FROM subscribers")]
    for content in sites[1].values():
        for private in (*tokens, "ann.private", "bob.secret", "digest@example.org", "Zebrafish", "Quokkas"):
            assert private.lower() not in content.decode().lower()


def subscribe(db: Database, address: str, topics: list[str]) -> None:
    with db.conn:
        db.conn.execute("UPDATE subscribers SET topics = ? WHERE address = ?", [json.dumps(topics), address])


def test_it_begins_with_the_first_run_that_has_an_archive(place: Workplace) -> None:
    place.more = SOURCE
    place.run(MONDAY)
    place.more = ARCHIVE + SOURCE
    place.run(TUESDAY)
    assert page_titles(place.folder / "site", TUESDAY) == ["0", "1", "2"], "the archive has shown nothing before"


def test_an_archive_that_cannot_be_written_stops_no_mail_and_the_next_run_writes_it(place: Workplace) -> None:
    (place.folder / "site").write_text("in the way")
    for day in (MONDAY, TUESDAY):
        with pytest.raises(
            Unpublished, match=r"site.* cannot be written: .*the next run or `digest publish`"
        ) as raised:
            place.run(day)
        assert raised.value.exit_code == 4
    assert len(place.titles()) == 2
    (place.folder / "site").unlink()
    place.lists()
    place.run(TUESDAY)
    assert publish_archive(place.config(), None)[1:] == (2, 0)


def test_a_template_of_ones_own_that_is_broken_stops_no_mail(place: Workplace) -> None:
    (place.folder / "mine").mkdir()
    (place.folder / "mine/month.html").write_text("{{ nothing.at.all }}")
    place.digest["templates"] = "mine"
    with pytest.raises(Unpublished, match=r"month\.html, line 1"):
        place.run(MONDAY)
    assert len(place.titles()) == 1
    (place.folder / "mine/month.html").write_text("mine")
    publish_archive(place.config(), None)
    assert (place.folder / "site/2026/04/index.html").read_text() == "mine"


def test_another_address_or_folder_has_all_pages_written_again(place: Workplace) -> None:
    run_days(place, 2)
    place.more = place.more.replace(URL, "https://moved.example.org/")
    place.lists()
    place.run(MONDAY + timedelta(2))
    site = files(place.folder / "site")
    assert not [name for name, content in site.items() if b"papers.example.org/" in content]
    assert b"<id>tag:papers.example.org,2026-04-20:/daily/edition</id>" in site["feed.xml"], "identifiers stay"
    assert b"<id>tag:papers.example.org,2026-04-20:/daily/feed</id>" in site["feed.xml"]
    place.more = place.more.replace('"site"', '"public"')
    place.run(MONDAY + timedelta(3))
    publish_archive(place.config(), place.folder / "other")
    assert files(place.folder / "public") == files(place.folder / "other")


def test_a_folder_that_was_emptied_is_filled_again(place: Workplace) -> None:
    run_days(place, 2)
    before = files(place.folder / "site")
    (place.folder / "site").rename(place.folder / "gone")
    place.lists()
    place.digest["days"] = ["sun"]
    place.run(MONDAY + timedelta(2))
    assert files(place.folder / "site") == before


def test_a_title_with_characters_that_no_feed_may_have_is_cleaned(place: Workplace) -> None:
    place.digest["title"] = "Bell \x07 and \uffff <b>more</b>"
    place.run(MONDAY)
    assert b"<title>Bell and &lt;b&gt;more&lt;/b&gt;</title>" in files(place.folder / "site")["feed.xml"]


def test_publish_replaces_its_own_files_and_deletes_drafts_but_leaves_all_else(place: Workplace) -> None:
    run_days(place, 2)
    site = place.folder / "site"
    before = files(site)
    for name in ("CNAME", ".git/config", "2026/04/notes.html", "2026/old.txt", ".index.html.swp", "about.html"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text("mine")
    for name in (".index.html.0123456789abcdef", "2026/04/.20.bib.0123456789abcdef"):
        (site / name).write_text("half a fi")
    (site / "index.html").write_text("damaged")
    (site / "2026/04/20.bib").unlink()
    assert publish_archive(place.config(), None)[2] == 2
    after = files(site)
    assert {name for name in after if after[name] == b"mine"} == after.keys() - before.keys()
    assert len(after) == len(before) + 6
    assert {name: after[name] for name in before} == before


def test_pruning_keeps_it(place: Workplace) -> None:
    place.to = ()
    run_days(place, 3)
    prune(place.config().digest.database, MONDAY + timedelta(400), 100, [])
    publish_archive(place.config(), place.folder / "other")
    assert files(place.folder / "other") == files(place.folder / "site")
    place.run(MONDAY + timedelta(400))
    assert page_titles(place.folder / "site", MONDAY + timedelta(400)) == ["9", "10", "11"]


def test_publish_needs_an_archive_and_no_run_at_the_same_time(place: Workplace) -> None:
    place.run(MONDAY)
    config = place.config()
    with pytest.raises(ConfigError, match=r"archive: is missing; write \[archive\]"):
        publish_archive(replace(config, archive=None), place.folder / "other")
    with run_lock(config.digest.database), pytest.raises(AlreadyRunning):
        publish_archive(config, None)


@pytest.mark.parametrize("folder", ["", "..", "link"])
def test_the_folder_must_not_hold_the_history(place: Workplace, folder: str) -> None:
    place.run(MONDAY)
    (place.folder / "link").symlink_to(".")
    with pytest.raises(ConfigError, match=r"holds .*history.db, which nobody else may read"):
        publish_archive(place.config(), place.folder / folder)
    place.more = place.more.replace('"site"', '"."')
    with pytest.raises(ConfigError, match=r"archive.path: must not hold .*history.db"):
        place.config()


# ---- the mail --------------------------------------------------------------------------------------------------------


def test_each_mail_leads_to_the_days_page_and_to_the_archive(place: Workplace) -> None:
    before = place.preview(MONDAY)
    place.run(MONDAY)
    (sent,) = (place.folder / "mail" / "new").iterdir()
    assert sent.read_bytes() == before.replace(b"\r\n", b"\n"), "the preview knows of the page that will be"
    (mail,) = place.mails()["ann@example.org"]
    page = f"{URL}2026/04/20.html"
    assert mail["List-Archive"] == f"<{URL}>"
    assert mail["Archived-At"] == f"<{page}>"
    assert page in text_of(mail)
    assert re.search(rf'href="{re.escape(page)}"[^>]*>View in browser</a>', html_of(mail))
    assert (place.folder / "site/2026/04/20.html").exists()


def test_a_mail_on_a_day_without_a_page_promises_none(place: Workplace) -> None:
    place.lists(paper(1))
    place.run(MONDAY)
    place.to = ("ann@example.org", "bob@example.org")
    place.run(TUESDAY)
    (late,) = place.mails()["bob@example.org"]
    assert not (place.folder / "site/2026/04/21.html").exists(), "the archive has shown its only paper"
    assert "Archived-At" not in late
    assert "View in browser" not in html_of(late)
    assert late["List-Archive"] == f"<{URL}>"


def test_of_several_shards_the_first_writes_the_pages_and_all_link_to_them(place: Workplace) -> None:
    place.to = [f"reader{n}@example.org" for n in range(8)]
    more = place.more
    for index in (2, 1):
        assert not (place.folder / "site").exists()
        place.more = f"[shard]\ncount = 2\nindex = {index}\n{more}"
        place.run(MONDAY)
    assert (place.folder / "site/2026/04/20.html").exists()
    archived_at = [mail["Archived-At"] for mails in place.mails().values() for mail in mails]
    assert archived_at == [f"<{URL}2026/04/20.html>"] * 8


def test_without_an_archive_no_mail_speaks_of_one(place: Workplace) -> None:
    place.more = SOURCE
    place.run(MONDAY)
    (mail,) = place.mails()["ann@example.org"]
    assert "List-Archive" not in mail
    assert "Archived-At" not in mail
    assert "View in browser" not in html_of(mail)


def test_a_dry_run_and_a_preview_write_nothing(place: Workplace) -> None:
    place.preview(MONDAY)
    plan_run(place.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    assert not (place.folder / "site").exists()
    assert publish_archive(place.config(), None)[1:] == (0, 0)
    assert not (place.folder / "site").exists()
