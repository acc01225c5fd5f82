"""Pruning makes the history smaller, and nobody can tell from the mail that there was less to remember."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from digest.cli import main
from digest.cli.output import format_pruned
from digest.config import Config
from digest.errors import AlreadyRunning, HistoryError, MailPruned, NoSourceReadable, Undelivered
from digest.papers.text.fit import format_bytes
from digest.pipeline.run import send_queued
from digest.store.database import open_database, run_lock
from digest.store.prune import PruneResult, min_days
from digest.store.prune import prune as prune_database
from digest.store.runs import Runs
from digest.store.statistics import Statistics
from tests.conftest import MONDAY, Workplace, at, paper

ROOT = Path(__file__).resolve().parents[2]
SECRET = "5f" * 32 + "\n"
# Everything but the search index, which has a check of its own.
TABLES = (
    "papers names sightings vectors subscribers editions fragments deliveries runs fetches public_editions"
    " public_papers"
).split()


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    return with_secret(Workplace(tmp_path / "a", {"max_papers": 3}))


def with_secret(workplace: Workplace) -> Workplace:
    """A workplace with a secret of its own, so that two of them write the same mail."""
    workplace.folder.mkdir()
    (workplace.folder / "history.db.secret").write_text(SECRET)
    return workplace


def day(offset: int) -> date:
    return MONDAY + timedelta(offset)


def prune(config: Config, today: date, days: int, *, dry_run: bool = False) -> PruneResult:
    likes = [like for topic in config.topics for like in topic.like]
    return prune_database(config.digest.database, today, days, likes, dry_run=dry_run)


def rows(workplace: Workplace, sql: str) -> list[Any]:
    with closing(sqlite3.connect(workplace.folder / "history.db")) as db:
        return db.execute(sql).fetchall()


def dump(database: Path) -> dict[str, list[Any]]:
    """All rows of all tables; the search index and every reference are found in order."""
    with closing(sqlite3.connect(database)) as db:
        db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}"))) for table in TABLES}  # noqa: S608  a table of ours


def again(number: int) -> Iterator[dict[str, Any]]:
    """Paper `number` as it may come back: another version, another identifier, another spelling."""
    yield {"id": f"arxiv:2604.{number:05}v7", "title": f"A new name for {number}"}
    yield {"doi": f"10.48550/arXiv.2604.{number:05}", "title": f"Another name of {number}"}
    yield {"title": f"PAPER  number {number}: on Something!"}
    yield {"url": f"https://arxiv.org/pdf/2604.{number:05}v2", "title": f"A third name of {number}"}


def lists(offset: int, chance: random.Random, shown: Sequence[int]) -> list[dict[str, Any]]:
    """A day's list: six new papers, half of which a mail has room for, and some that were shown long ago."""
    fresh = [paper(n, upvotes=chance.randint(1, 99)) for n in range(10 * offset, 10 * offset + 6)]
    back = [{**chance.choice(list(again(n))), "upvotes": 500, "abstract": "New words."} for n in shown]
    return fresh + back


DAYS = (0, 1, 40, 41, 120, 500, 501, 900)


@pytest.mark.parametrize("keep", [100, *(pytest.param(days, marks=pytest.mark.slow) for days in (30, 400))])
def test_the_mail_is_the_same_with_and_without_pruning_and_no_paper_comes_twice(tmp_path: Path, keep: int) -> None:
    kept = with_secret(Workplace(tmp_path / "kept", {"max_papers": 3}))
    pruned = with_secret(Workplace(tmp_path / "pruned", {"max_papers": 3}))
    chance = random.Random(keep)
    seen: list[int] = []
    for offset in DAYS:
        listed = lists(offset, chance, chance.sample(seen, min(3, len(seen))))
        for workplace in (kept, pruned):
            workplace.lists(*listed)
        frozen = pruned.preview(day(offset))
        for workplace in (kept, pruned):
            workplace.run(day(offset))
        assert pruned.preview(day(offset)) == frozen, "preview is run"
        prune(pruned.config(), day(offset), keep)
        seen += [int(title.split()[2]) for title in pruned.titles()[-1]]
    mails = [[bytes(mail) for mail in workplace.mails()["ann@example.org"]] for workplace in (kept, pruned)]
    assert len(mails[0]) == len(DAYS)
    assert mails[0] == mails[1]
    assert len(seen) == len(set(seen)) == 3 * len(DAYS)
    dump(pruned.folder / "history.db")


def test_what_is_old_goes_and_what_a_promise_rests_on_stays(place: Workplace) -> None:
    for offset in (0, 1, 100):
        place.lists(*lists(offset, random.Random(1), []))
        place.run(day(offset))
    before = {table: len(found) for table, found in dump(place.folder / "history.db").items()}
    done = prune(place.config(), day(100), 60)
    after = {table: len(found) for table, found in dump(place.folder / "history.db").items()}
    # Of the twelve papers of the first two days six were shown; the last day's six are untouched.
    assert (done.papers, done.texts, done.sightings, done.mails, done.replies) == (6, 6, 12, 2, 2)
    assert (before["papers"], after["papers"]) == (18, 12)
    assert after["names"] == before["names"] - 12
    assert after["sightings"] == 6
    assert (after["deliveries"], after["editions"]) == (3, 3)
    assert rows(place, "SELECT json_array_length(papers), fragments <> '[]' FROM editions") == [(3, 0), (3, 0), (3, 1)]
    assert rows(place, "SELECT DISTINCT day FROM fragments") == [(day(100).isoformat(),)]
    assert rows(place, "SELECT count(*) FROM papers WHERE title = '' OR json_extract(facts, '$.arxiv') = ''") == [(0,)]
    repeated = prune(place.config(), day(100), 60)
    assert format_pruned(repeated, dry_run=True) == "Would delete: nothing."


def test_a_dry_run_says_the_same_and_changes_nothing(place: Workplace) -> None:
    for offset in (0, 100):
        place.lists(*lists(offset, random.Random(1), []))
        place.run(day(offset))
    before = dump(place.folder / "history.db")
    tried = prune(place.config(), day(100), 60, dry_run=True)
    assert dump(place.folder / "history.db") == before
    done = prune(place.config(), day(100), 60)
    assert replace(tried, before=0, after=0) == replace(done, before=0, after=0)
    assert format_pruned(tried, dry_run=True).startswith(
        "Would delete: 3 papers that were in no mail, 3 abstracts of papers that were, "
    )


def test_a_paper_that_is_listed_to_this_day_stays(place: Workplace) -> None:
    always = paper(1, upvotes=0)
    for offset in (0, 1, 100):
        place.lists(*lists(offset, random.Random(1), []), always)
        place.run(day(offset))
    assert ("Paper number 1 on something",) in rows(place, "SELECT title FROM papers")
    prune(place.config(), day(100), 60)
    assert ("Paper number 1 on something", "It says 1 things. Then it stops.") in rows(
        place, "SELECT title, abstract FROM papers"
    )


def test_what_is_queued_is_sent_with_the_same_bytes_however_old(place: Workplace) -> None:
    place.lists(*lists(0, random.Random(1), []))
    (place.folder / "mail").write_text("not a folder")
    with pytest.raises(Undelivered):
        place.run(MONDAY)
    frozen = place.preview(MONDAY)
    done = prune(place.config(), day(1000), 30)
    assert (done.mails, done.replies, done.deliveries) == (0, 0, 0)
    assert place.preview(MONDAY) == frozen
    (place.folder / "mail").unlink()
    send_queued(place.config(), day(1), at(day(1)))
    (mail,) = (place.folder / "mail/new").iterdir()
    assert mail.read_bytes() == frozen.replace(b"\r\n", b"\n")


def test_mail_that_never_left_is_forgotten_and_its_papers_with_it(place: Workplace) -> None:
    place.lists(*lists(0, random.Random(1), []))
    (place.folder / "mail").write_text("not a folder")
    with pytest.raises(Undelivered):
        place.run(MONDAY)
    (place.folder / "mail").unlink()
    place.lists(*lists(10, random.Random(1), []))
    place.run(day(10))
    done = prune(place.config(), day(100), 60)
    assert (done.deliveries, done.papers, done.texts) == (1, 9, 3)
    assert rows(place, "SELECT day FROM editions") == [("2026-04-30",)]


def test_the_commands_that_ask_still_answer_about_what_was_pruned(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in (0, 1):
        place.lists(*lists(offset, random.Random(1), []))
        place.run(day(offset))
    ((number,), *_) = rows(place, "SELECT value FROM editions, json_each(papers) ORDER BY value")
    ((name,),) = rows(place, f"SELECT name FROM names WHERE paper = {number} AND name LIKE 'arxiv:%'")  # noqa: S608  a number
    prune(place.config(), day(400), 60)

    def digest(*words: str) -> str:
        result = CliRunner().invoke(main, ["-c", str(place.path), *words])
        assert (result.exit_code, result.stderr) == (0, ""), words
        return result.stdout

    assert "In the mail of 2026-04-2" in digest("explain", name, "--to", "ann@example.org")
    assert f"https://arxiv.org/abs/{name.partition(':')[2]}" in digest("search", "title:paper")
    assert digest("search", "--like", name)
    assert "papers" in digest("status")
    assert digest("backtest", "--date", "2026-04-22", "--days", "3")
    result = CliRunner().invoke(main, ["-c", str(place.path), "preview", "--date", "2026-04-20"])
    assert (result.exit_code, "deleted its text" in result.stderr) == (2, True)
    with pytest.raises(MailPruned):
        place.preview(MONDAY)


def test_what_a_topic_likes_and_what_likeness_stands_out_from_stay(place: Workplace) -> None:
    place.more = (
        '[[topics]]\nname = "Like"\nlike = ["arxiv:2604.00005", "a text"]\n'
        '[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    )
    for offset in (0, 1, 100):
        place.lists(*lists(offset, random.Random(1), []))
        place.run(day(offset))
    assert (prune(place.config(), day(100), 60).papers, prune(place.config(), day(100), 60).texts) == (0, 0)
    with open_database(place.folder / "history.db") as db, db.atomic():  # a thousand and one later ones
        db.execute(
            "INSERT INTO papers (title, abstract, facts, first_seen) WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1001) SELECT 'T' || i, 'A', '{}', '2026-07-29' FROM n"
        )
    done = prune(place.config(), day(100), 60)
    assert done.papers + done.texts == 11
    ((abstract,),) = rows(place, "SELECT abstract FROM papers JOIN names ON paper = id WHERE name = 'arxiv:2604.00005'")
    assert abstract == "It says 5 things. Then it stops."


def test_pruning_does_not_change_the_freshness_of_a_source(place: Workplace) -> None:
    def run(offset: int) -> None:
        with suppress(NoSourceReadable):
            place.run(day(offset))

    place.lists(paper(1))
    for offset in range(4):
        run(offset)
    place.papers.unlink()
    for offset in range(4, 8):
        run(offset)

    def standing() -> tuple[Any, Any]:
        with open_database(place.folder / "history.db") as db:
            return Runs(db).previous("papers", day(100)), Statistics(db.conn).sources()

    before = standing()
    done = prune(place.config(), day(100), 60)
    assert standing() == before
    assert before[0].failed_runs == 4
    assert (done.runs, done.fetches) == (3, 3)
    place.lists(paper(2))
    run(100)
    assert prune(place.config(), day(300), 60).fetches == 5


def test_an_old_run_that_a_queued_message_names_stays(place: Workplace) -> None:
    place.lists(paper(1))
    place.run(MONDAY)
    with open_database(place.folder / "history.db") as db, db.atomic():
        db.execute("UPDATE deliveries SET state = 'in doubt', doubt = 1")
    prune(place.config(), day(1000), 30)
    assert rows(place, "SELECT d.run, r.id, e.fragments <> '[]' FROM deliveries d JOIN runs r ON r.id = d.run"
                       " JOIN editions e ON e.id = d.edition") == [(1, 1, 1)]  # fmt: skip


def test_the_file_gets_smaller(place: Workplace) -> None:
    chance = random.Random(1)
    place.lists(*(paper(n, abstract=chance.randbytes(4000).hex()) for n in range(100)))
    place.run(MONDAY)
    done = prune(place.config(), day(100), 60)
    assert done.before > 2_000_000 > 500_000 > done.after
    assert done.after == (place.folder / "history.db").stat().st_size
    sizes = f"{format_bytes(done.before)} before, {format_bytes(done.after)} now."
    assert format_pruned(done, dry_run=False).splitlines()[1] == sizes


def test_too_few_days_are_refused_with_the_least_that_is_allowed(place: Workplace) -> None:
    place.lists(paper(1))
    place.run(MONDAY)
    before = dump(place.folder / "history.db")
    assert (min_days(7), min_days(60)) == (30, 81)
    place.digest["window_days"] = 60
    place.config()
    result = CliRunner().invoke(main, ["-c", str(place.path), "prune", "--older-than", "80d"])
    assert (result.exit_code, "80 days are too few" in result.stderr, "write 81d" in result.stderr) == (2, True, True)
    assert dump(place.folder / "history.db") == before
    result = CliRunner().invoke(main, ["-c", str(place.path), "prune", "--older-than", "81d"])
    assert result.exit_code == 0


def test_it_waits_for_no_run_and_makes_no_history(place: Workplace) -> None:
    config = place.config()
    with pytest.raises(HistoryError, match="does not exist yet"):
        prune(config, MONDAY, 400)
    assert not list(place.folder.glob("history.db*[!t]"))
    place.lists(paper(1))
    place.run(MONDAY)
    with run_lock(config.digest.database), pytest.raises(AlreadyRunning):
        prune(config, MONDAY, 400)


@pytest.mark.parametrize(
    ("words", "days"), [("400d", 400), ("400", 400), ("57w", 399), ("2y", 730), (" 90 D ", 90), ("1Y", 365)]
)
def test_a_time_may_be_days_weeks_or_years(words: str, days: int) -> None:
    from digest.cli.maintenance import AgeParam

    assert AgeParam().convert(words, None, None) == days


@pytest.mark.parametrize("words", ["", "d", "-5d", "0", "4 months", "1.5y", "99999y", "٣d"])
def test_an_invalid_age_is_an_error(place: Workplace, words: str) -> None:
    place.config()
    result = CliRunner().invoke(main, ["-c", str(place.path), "prune", "--older-than", words])
    assert (result.exit_code, "write one like 400d, 57w or 2y" in result.stderr) == (2, True)


def test_the_command_says_what_went(place: Workplace) -> None:
    place.lists(paper(1))
    place.run(date(2020, 1, 1))
    result = CliRunner().invoke(main, ["-c", str(place.path), "prune", "--older-than", "2y", "--dry-run"])
    assert (result.exit_code, result.stdout) == (
        0,
        "Would delete: 1 abstract of papers that were, 1 sighting, 1 mail text, 1 server reply.\n",
    )
    result = CliRunner().invoke(main, ["-c", str(place.path), "prune", "--older-than", "2y"])
    assert result.stdout.startswith("Deleted: 1 abstract of papers that were, 1 sighting, ")


_DYING = """
import os, signal, sqlite3, sys
from datetime import date
from pathlib import Path
from digest.config import load
from digest.store import database
from digest.store.prune import prune

left = int(sys.argv[2])
connect = database._connect

def step(_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

def traced(path):
    db = connect(path)
    db.conn.set_trace_callback(step)
    return db

database._connect = traced
prune(load(Path(sys.argv[1]), {}).digest.database, date(2026, 12, 31), 60, [])
"""


@pytest.mark.slow
def test_killed_at_every_step_it_has_done_all_or_nothing(place: Workplace, tmp_path: Path) -> None:
    for offset in (0, 1, 200):
        place.lists(*lists(offset, random.Random(1), []))
        place.run(day(offset))
    whole = tmp_path / "whole"
    shutil.copytree(place.folder, whole)
    prune(Workplace(whole, place.digest).config(), date(2026, 12, 31), 60)
    before, after = dump(place.folder / "history.db"), dump(whole / "history.db")
    assert before != after
    place.config()
    found, step, code = [], 1, -signal.SIGKILL
    while code:
        folder = tmp_path / f"step{step}"
        shutil.copytree(place.folder, folder)
        command = [sys.executable, "-c", _DYING, str(folder / "config.toml"), str(step)]
        code = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False).returncode
        assert code in (0, -signal.SIGKILL)
        state = dump(folder / "history.db")
        assert state in (before, after)
        found.append(state == after)
        prune(Workplace(folder, place.digest).config(), date(2026, 12, 31), 60)
        assert dump(folder / "history.db") == after
        shutil.rmtree(folder)
        step += 1
    assert found == sorted(found)
    assert found.count(False) > 20
    assert found.count(True) > 2
