"""A digest that reads another one's history: the same candidates, whatever happens to the other one meanwhile."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest

from digest.config import load
from digest.errors import ConfigError, HistoryError, NoSourceReadable
from digest.pipeline.context import open_context
from digest.pipeline.day import load_selection
from digest.pipeline.run import RunReport, fetch_only
from digest.sources.fetcher import Fetcher
from tests.conftest import MONDAY, Workplace, at, paper
from tests.system.test_faults import ROOT, UNPRIVILEGED

TUESDAY = MONDAY + timedelta(1)


@pytest.fixture
def fetcher_digest(tmp_path: Path) -> Workplace:
    """The digest that fetches."""
    folder = tmp_path / "origin"
    folder.mkdir()
    return Workplace(folder)


@pytest.fixture
def reader(tmp_path: Path, fetcher_digest: Workplace) -> Workplace:
    """A digest that reads the history of the other one."""
    folder = tmp_path / "reader"
    folder.mkdir()
    return Workplace(folder, more='[[sources]]\ntype = "history"\nname = "lab"\npath = "../origin/history.db"')


def fetch(workplace: Workplace, day: date) -> RunReport:
    return fetch_only(workplace.config(), day, at(day), Fetcher("digest@example.org"))


def ranked(workplace: Workplace, day: date) -> list[tuple[str, float]]:
    """The titles of the candidates of a day with their scores, best first."""
    with open_context(workplace.config()) as context:
        selection = load_selection(context, day)
        scored = selection.score(context.subscribers.by_address("ann@example.org").profile, frozenset())
        papers = context.papers.load(selection.paper_ids)
        return [(papers[r.trend.id].title, round(r.score, 9)) for r in scored]


def test_readers_of_a_history_get_the_candidates_of_the_digest_that_fetches(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    for day in range(9):  # papers come, gain votes, and leave the window
        today = MONDAY + timedelta(day)
        fetcher_digest.lists(*(paper(n, upvotes=3 * n + day * (n % 4)) for n in range(3 * day, 3 * day + 6)))
        fetch(fetcher_digest, today)
        report = fetch(reader, today)
        assert [f.state for f in report.fetched] == ["read"]
        assert ranked(reader, today) == ranked(fetcher_digest, today) != []


def test_a_history_that_was_read_late_or_twice_gives_the_same_candidates(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    for day in (MONDAY, TUESDAY):
        fetcher_digest.lists(*(paper(n, upvotes=n + day.day) for n in range(5)))
        fetch(fetcher_digest, day)
    assert fetch(reader, TUESDAY).new == 5
    assert fetch(reader, TUESDAY).new == 0
    assert ranked(reader, TUESDAY) == ranked(fetcher_digest, TUESDAY)
    assert ranked(reader, MONDAY) == ranked(fetcher_digest, MONDAY)


def test_the_weight_of_a_history_scales_its_papers(fetcher_digest: Workplace, reader: Workplace) -> None:
    fetcher_digest.lists(*(paper(n) for n in range(5)))
    fetch(fetcher_digest, MONDAY)
    reader.more += "\nweight = 0.5"
    fetch(reader, MONDAY)
    halved = [(title, round(score / 2, 6)) for title, score in ranked(fetcher_digest, MONDAY)]
    assert [(title, round(score, 6)) for title, score in ranked(reader, MONDAY)] == halved


def test_the_history_is_read_while_it_is_written_and_stays_as_it_is(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    fetcher_digest.lists(*(paper(n) for n in range(5)))
    fetch(fetcher_digest, MONDAY)
    path = fetcher_digest.folder / "history.db"
    before = path.read_bytes(), path.stat().st_mtime_ns
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE papers SET title = 'half written'")
        report = fetch(reader, MONDAY)
        writer.execute("ROLLBACK")
    assert (report.new, [f.state for f in report.fetched]) == (5, ["read"])
    assert "half written" not in [title for title, _ in ranked(reader, MONDAY)]
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_the_log_that_a_killed_fetcher_left_is_read(
    fetcher_digest: Workplace, reader: Workplace, tmp_path: Path
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    killed = tmp_path / "killed"
    killed.mkdir()
    with closing(sqlite3.connect(fetcher_digest.folder / "history.db")) as db:
        db.execute("SELECT 1 FROM papers").fetchone()
        fetcher_digest.lists(paper(2))
        fetch(fetcher_digest, TUESDAY)  # stays in the log as long as `db` is open
        for file in fetcher_digest.folder.glob("history.db*"):
            shutil.copy(file, killed)
    assert (killed / "history.db-wal").stat().st_size
    reader.more = reader.more.replace("../origin", str(killed))
    report = fetch(reader, TUESDAY)
    assert (report.new, report.fetched[0].state) == (2, "read")


def test_an_origin_that_has_not_fetched_today_is_stale(fetcher_digest: Workplace, reader: Workplace) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    (fetched,) = fetch(reader, TUESDAY).fetched
    assert (fetched.state, fetched.papers) == ("stale", 1)


def test_an_origin_is_as_bad_as_its_worst_source_and_its_papers_are_used(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    fetcher_digest.lists(paper(1))
    fetcher_digest.more = (
        '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n\n[[sources]]\ntype = "file"\npath = "missing.jsonl"'
    )
    fetch(fetcher_digest, MONDAY)
    report = fetch(reader, MONDAY)
    (fetched,) = report.fetched
    assert (fetched.state, fetched.errors) == ("failed", ("its source missing is failed",))
    assert report.readable
    assert report.new == 1


def damage(path: Path, how: str) -> None:
    if how == "missing":
        path.unlink()
    elif how == "no database":
        path.write_bytes(b"these are not the bytes of a database" * 100)
    else:
        statement = {
            "another program": "DROP TABLE sightings",
            "unknown version": "ALTER TABLE papers RENAME COLUMN facts TO knowledge",
            "foreign content": "UPDATE papers SET facts = '{\"authors\": 5}'",
        }[how]
        with closing(sqlite3.connect(path)) as db:
            db.execute(statement)
            db.commit()


@pytest.mark.parametrize("how", ["missing", "no database", "another program", "unknown version", "foreign content"])
def test_a_history_that_cannot_be_read_is_an_error_of_that_source(
    fetcher_digest: Workplace, reader: Workplace, how: str
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    damage(fetcher_digest.folder / "history.db", how)
    with pytest.raises(NoSourceReadable):
        fetch(reader, MONDAY)
    reader.lists(paper(2))
    reader.more += '\n\n[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    history, file = fetch(reader, MONDAY).fetched
    assert (history.state, file.state) == ("failed", "read")
    assert str(fetcher_digest.folder.name) in history.errors[0]


def fact(**facts: object) -> str:
    return f"UPDATE papers SET facts = '{json.dumps(facts)}'"  # noqa: S608  ours


@pytest.mark.parametrize(
    "change",
    [
        fact(stars="many"),
        fact(authors=[1, None]),
        fact(tldr=["a list"]),
        fact(comments=-1),
        fact(mood="a field that no paper has"),
        "UPDATE papers SET facts = '{\"a\":' || replace(hex(zeroblob(90000)), '0', '[')",
        "UPDATE papers SET title = x'00'",
        "UPDATE papers SET title = ' '",
        "UPDATE papers SET abstract = replace(hex(zeroblob(3000000)), '0', 'x')",
        "UPDATE sightings SET votes = 'many'",
        "UPDATE sightings SET votes = 1e300",
        "UPDATE sightings SET seen = 'today'",
        "UPDATE fetches SET state = 'excellent'",
        "DROP TABLE sightings; CREATE VIEW sightings AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT 1 AS paper, 's' AS source, '2026-04-20' AS day, '2026-04-20' AS seen, i AS votes FROM n",
    ],
)
def test_what_no_digest_writes_stops_only_this_source(
    fetcher_digest: Workplace, reader: Workplace, change: str
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    with closing(sqlite3.connect(fetcher_digest.folder / "history.db")) as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {trigger}")
        db.executescript(change)
    reader.lists(paper(2))
    reader.more += '\n\n[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    report = fetch(reader, MONDAY)
    assert ([f.state for f in report.fetched], report.new) == (["failed", "read"], 1)
    assert [title for title, _ in ranked(reader, MONDAY)] == [paper(2)["title"]]


def test_no_text_or_link_of_a_history_is_worse_than_that_of_any_source(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    facts = dict.fromkeys(("url", "code", "project", "huggingface", "discussion"), "javascript:alert(1)")
    facts |= {"arxiv": '1"onclick="alert(1)', "doi": "10.1/}", "tldr": "A\x0b summary", "organization": "x" * 9999}
    with closing(sqlite3.connect(fetcher_digest.folder / "history.db")) as db:
        db.execute(
            "UPDATE papers SET title = ?, abstract = ?", ["A \x01title\u202e", "\x00\ufffeabstract " + "x" * 99_999]
        )
        db.execute("UPDATE papers SET facts = ?", [json.dumps(facts)])
        db.execute("UPDATE names SET name = 'any\x1bthing' || paper || name")
        db.commit()
    assert fetch(reader, MONDAY).new == 1
    with open_context(reader.config()) as context:
        (copied,) = context.papers.load(load_selection(context, MONDAY).paper_ids).values()
    assert (copied.title, copied.tldr, copied.link) == ("A title", "A summary", "")
    assert (copied.abstract[:9], len(copied.abstract), len(copied.organization)) == ("abstract ", 20_000, 120)
    assert not any((copied.arxiv, copied.doi, copied.code, copied.project, copied.huggingface, copied.discussion))


def test_a_full_disk_of_the_reader_is_not_a_failure_of_the_history(
    fetcher_digest: Workplace, reader: Workplace
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    with open_context(reader.config()) as context:
        context.papers.candidates(MONDAY, 7)
    with closing(sqlite3.connect(reader.folder / "history.db")) as db:
        db.execute("CREATE TRIGGER full BEFORE INSERT ON papers BEGIN SELECT raise(ABORT, 'disk is full'); END")
        db.commit()
    with pytest.raises(HistoryError, match="disk is full"):
        fetch(reader, MONDAY)


@pytest.mark.parametrize("name", ["newer", "older"])
def test_a_history_of_another_version_is_read_as_far_as_its_tables_are_known(
    fetcher_digest: Workplace, reader: Workplace, name: str
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    changes = {
        "newer": "ALTER TABLE papers ADD COLUMN mood TEXT",
        "older": "DROP TABLE origins",
    }
    with closing(sqlite3.connect(fetcher_digest.folder / "history.db")) as db:
        db.execute(changes[name])
        db.commit()
    assert fetch(reader, MONDAY).new == 1


def test_the_own_history_is_not_a_source(reader: Workplace) -> None:
    reader.config()
    reader.path.write_text(reader.path.read_text().replace("../origin/history.db", "../reader/history.db"))
    with pytest.raises(ConfigError, match=r"sources\[1\]\.path: is this digest's own history"):
        load(reader.path, {})


@pytest.mark.slow
@pytest.mark.skipif(bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root may write everywhere")
def test_a_history_in_a_folder_that_nobody_may_write_is_read(
    fetcher_digest: Workplace, reader: Workplace, tmp_path: Path
) -> None:
    fetcher_digest.lists(paper(1))
    fetch(fetcher_digest, MONDAY)
    reader.config()
    for file in fetcher_digest.folder.glob("history.db-*"):
        file.unlink()
    (fetcher_digest.folder / "history.db").chmod(0o444)
    fetcher_digest.folder.chmod(0o555)
    words = [*UNPRIVILEGED, sys.executable, "-m", "digest", "-c", str(reader.path), "fetch", "--date", str(MONDAY)]
    done = subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    fetcher_digest.folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "Read 1 paper, 1 of them new." in done.stdout
    assert sorted(file.name for file in fetcher_digest.folder.glob("history.db-*")) == []
