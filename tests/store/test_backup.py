"""A backup is a whole history, whatever goes on meanwhile, and with it everything continues where it was."""

import json
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import date, datetime, time, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from digest.errors import HistoryError, Undelivered
from digest.papers.text.fit import format_bytes
from digest.pipeline.deliver import Progress
from digest.pipeline.run import run_daily, send_queued
from digest.sources.fetcher import Fetcher
from digest.store.backup import backup
from digest.store.database import open_database
from tests.conftest import MONDAY, Workplace, at, paper

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    """A history of one day, and a folder for backups."""
    workplace = Workplace(tmp_path / "place", {"max_papers": 2}, ("ann@example.org", "bob@example.org"))
    workplace.folder.mkdir()
    (tmp_path / "safe").mkdir()
    workplace.lists(*(paper(n, upvotes=n) for n in range(4)))
    workplace.run(MONDAY)
    return workplace


@pytest.fixture
def database(place: Workplace) -> Path:
    return place.folder / "history.db"


@pytest.fixture
def safe(tmp_path: Path, place: Workplace) -> Path:
    return tmp_path / "safe"


def digest(place: Workplace, *words: str) -> Result:
    return CliRunner().invoke(main, ["-c", str(place.path), "backup", *words])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def check(copy: Path, pragma: str = "integrity_check") -> None:
    with closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as db:
        assert db.execute(f"PRAGMA {pragma}").fetchall() == [("ok",)]
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []


def mails(folder: Path) -> dict[str, bytes]:
    """The messages of a Maildir by their Message-ID."""
    found = {}
    for path in (folder / "mail/new").glob("*"):
        body = path.read_bytes()
        found[next(line for line in body.decode().split("\n") if line.startswith("Message-ID:"))] = body
    return found


def restore(copy: Path, workplace: Workplace) -> Workplace:
    """Both files put back, in a place where nothing else is left."""
    for path in workplace.folder.glob("history.db*"):
        path.unlink()
    shutil.rmtree(workplace.folder / "mail")
    shutil.copy(copy, workplace.folder / "history.db")
    shutil.copy(copy.with_name(copy.name + ".secret"), workplace.folder / "history.db.secret")
    return workplace


def test_the_command_says_what_it_wrote_and_it_is_its_owners_alone(place: Workplace, safe: Path) -> None:
    result = digest(place, str(safe / "h.db"))
    assert (result.exit_code, result.stderr) == (0, "")
    size = format_bytes((safe / "h.db").stat().st_size)
    assert result.stdout == (f"Wrote {safe}/h.db: {size}, checked. {safe}/h.db.secret belongs to it: keep both.\n")
    assert names(safe) == ["h.db", "h.db.secret"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in safe.iterdir()} == {0o600}
    assert (safe / "h.db.secret").read_bytes() == (place.folder / "history.db.secret").read_bytes()
    check(safe / "h.db")


def test_what_is_there_is_replaced_only_by_force(place: Workplace, database: Path, safe: Path) -> None:
    (safe / "h.db").write_text("mine")
    (safe / "g.db.secret").write_text("mine")
    for name in ("h.db", "g.db"):
        result = digest(place, str(safe / name))
        assert (result.exit_code, "replace it with --force" in result.stderr) == (2, True)
    assert (safe / "h.db").read_text() == (safe / "g.db.secret").read_text() == "mine"
    assert names(safe) == ["g.db.secret", "h.db"]
    for name in ("h.db", "g.db"):
        assert digest(place, str(safe / name), "--force").exit_code == 0
        check(safe / name)
    assert backup(database, safe / "h.db", force=True) == (safe / "h.db").stat().st_size


def test_the_history_itself_is_never_written_onto(place: Workplace, database: Path, safe: Path) -> None:
    (safe / "link").symlink_to(database)
    (safe / "dangling").symlink_to(f"{database}-journal")
    os.link(database, safe / "hard")
    os.link(f"{database}.secret", safe / "other.secret")
    (safe / "folder").symlink_to(place.folder)
    before = database.read_bytes()
    own = [
        database,
        *(Path(f"{database}{end}") for end in ("-wal", "-shm", "-journal", ".secret", ".lock", ".pace", ".mark")),
    ]
    strange = [safe / "link", safe / "dangling", safe / "hard", safe / "other", safe / "folder/history.db"]
    for path in [*own, *strange]:
        result = digest(place, str(path), "--force")
        assert (result.exit_code, "belongs to the history itself" in result.stderr) == (2, True), path
    assert database.read_bytes() == before


def test_a_path_that_cannot_be_written_is_reported(place: Workplace, safe: Path) -> None:
    for path, words in (
        (safe / "none/h.db", "none is not a folder; create it first"),
        (safe, "is a folder; name a file in it"),
        (Path("/dev/null"), "exists and is not a file"),
        (Path("/proc/self/h.db"), "cannot be written: "),
    ):
        result = digest(place, str(path), "--force")
        assert (result.exit_code in (2, 3), words in result.stderr) == (True, True), result.stderr
        assert "Traceback" not in result.stderr
    assert names(safe) == []


def test_without_a_history_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="does not exist yet"):
        backup(tmp_path / "history.db", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_history_is_not_passed_off_as_a_backup(database: Path, safe: Path) -> None:
    with closing(sqlite3.connect(database)) as db:
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'sightings'").fetchall()
        ((size,),) = db.execute("PRAGMA page_size").fetchall()
    body = bytearray(database.read_bytes())
    body[(page - 1) * size : page * size] = bytes(size)  # a page that opening does not read
    database.write_bytes(body)
    with pytest.raises(HistoryError, match="damaged"):
        backup(database, safe / "h.db")
    assert names(safe) == []


def test_a_full_disk_leaves_nothing_behind(place: Workplace, database: Path, safe: Path) -> None:
    backup(database, safe / "h.db")
    before = (safe / "h.db").read_bytes()
    script = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000));"
        "from digest.cli import main; main()"
    )
    command = [sys.executable, "-c", script, "-c", str(place.path), "backup", "--force", str(safe / "h.db")]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 50_000
    assert (done.returncode, "cannot be finished" in done.stderr) == (3, True), done.stderr
    assert names(safe) == ["h.db", "h.db.secret"]
    assert (safe / "h.db").read_bytes() == before


def test_what_was_pending_goes_out_of_a_restored_history_with_the_same_bytes(place: Workplace, safe: Path) -> None:
    place.lists(*(paper(n, upvotes=n) for n in range(10, 14)))
    tuesday = MONDAY + timedelta(1)
    (place.folder / "mail").rename(safe / "monday")
    (place.folder / "mail").write_text("not a folder")
    with pytest.raises(Undelivered):
        place.run(tuesday)
    backup(place.folder / "history.db", safe / "h.db")
    (place.folder / "mail").unlink()
    place.run(tuesday)
    sent = mails(place.folder)
    assert len(sent) == 2
    back = restore(safe / "h.db", place)
    send_queued(back.config(), tuesday, at(tuesday))
    assert mails(back.folder) == sent
    back.lists(*(paper(n, upvotes=n) for n in range(10, 14)))
    back.run(MONDAY + timedelta(2))
    assert not {title for mail in back.titles()[:1] for title in mail} & set(back.titles()[1])


def test_a_backup_in_the_middle_of_a_run_continues_where_that_was(place: Workplace, safe: Path) -> None:
    place.to = [f"reader{n}@example.org" for n in range(5)]
    place.lists(*(paper(n, upvotes=n) for n in range(10, 14)))
    tuesday = MONDAY + timedelta(1)
    left: list[int] = []

    class Looking(Progress):
        def advance(self, count: int) -> None:
            if count and not left:
                backup(place.folder / "history.db", safe / "h.db")
                with closing(sqlite3.connect(safe / "h.db")) as copy:
                    left.extend(copy.execute("SELECT count(*) FROM queue").fetchone())

    for path in (place.folder / "mail/new").iterdir():
        path.unlink()
    run_daily(place.config(), tuesday, at(tuesday), Fetcher("digest@example.org"), Looking())
    sent = mails(place.folder)
    assert len(sent) == 5
    assert left[0] > 0
    back = restore(safe / "h.db", place)
    run_daily(back.config(), tuesday, at(tuesday), Fetcher("digest@example.org"))
    resent = mails(back.folder)
    assert len(resent) == left[0]
    assert resent.items() <= sent.items()


_WRITER = """
import itertools, sys
from datetime import date
from pathlib import Path
from digest.papers import build_paper
from digest.sources import Sighting
from digest.store.database import open_database
from digest.store.papers import Papers

with open_database(Path(sys.argv[1])) as db:
    for n in itertools.count():
        papers = [build_paper(f"Paper {n} of {m} things", abstract=f"Words {n * m} " * 40) for m in range(20)]
        Papers(db).record("writer", [Sighting(p, date(2026, 1, 1), n) for p in papers], date(2026, 1, 1))
        print(n, flush=True)
"""


@pytest.mark.slow
def test_every_backup_is_whole_while_another_process_writes_all_the_time(database: Path, safe: Path) -> None:
    command = [sys.executable, "-c", _WRITER, str(database)]
    writer = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE)
    assert writer.stdout
    sizes = []
    try:
        for number in range(40):
            written = int(writer.stdout.readline())
            copy = safe / f"{number}.db"
            backup(database, copy)
            check(copy)
            with closing(sqlite3.connect(copy)) as db:
                db.execute("INSERT INTO words (words, rank) VALUES ('integrity-check', 1)")
                (count,) = db.execute("SELECT count(*) FROM papers WHERE title LIKE '% things'").fetchone()
            assert count % 20 == 0, "whole transactions only"
            assert count >= 20 * (written + 1)
            sizes.append(count)
    finally:
        writer.kill()
        writer.wait()
        writer.stdout.close()
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


# ---- a restored backup -----------------------------------------------------------------------------------------------


def command(place: Workplace, *words: str, day: date = MONDAY) -> Result:
    with freeze_time(datetime.combine(day, time(9))):
        return CliRunner().invoke(main, ["-c", str(place.path), *words])


def put_back(copy: Path, database: Path) -> None:
    """Restore as the README says."""
    for end in ("-wal", "-shm"):
        database.with_name(database.name + end).unlink(missing_ok=True)
    shutil.copy(copy, database)
    shutil.copy(f"{copy}.secret", f"{database}.secret")


def unsubscribe(place: Workplace) -> None:
    assert command(place, "-q", "subscribers", "remove", "bob@example.org").exit_code == 0


def send_tuesday(place: Workplace) -> None:
    place.lists(*(paper(n, upvotes=n) for n in range(8)))
    place.run(MONDAY + timedelta(1))


def read_the_inbox(place: Workplace) -> None:
    """Somebody unsubscribes by mail, and only `digest inbox` has read it."""
    for part in ("new", "cur", "tmp"):
        (place.folder / "answers" / part).mkdir(parents=True)
    place.more = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[inbox]\npath = "answers"\n'
    with open_database(place.folder / "history.db") as db:
        (token,) = db.execute("SELECT token FROM subscribers WHERE key = 'bob@example.org'").fetchone()
    (place.folder / "answers/new/1.x").write_text(f"To: digest@example.org\nSubject: unsubscribe {token}\n\n")
    place.config()
    assert "1 subscriber unsubscribed" in command(place, "inbox").stdout
    (place.folder / "answers/new/1.x").unlink()


@pytest.mark.parametrize(
    ("since", "sender"), [(unsubscribe, "run"), (send_tuesday, "run"), (send_tuesday, "send"), (read_the_inbox, "send")]
)
def test_a_restored_backup_sends_nothing_until_somebody_has_read_what_it_lacks(
    place: Workplace, database: Path, safe: Path, since: Callable[[Workplace], None], sender: str
) -> None:
    backup(database, safe / "h.db")
    since(place)
    put_back(safe / "h.db", database)
    before, tuesday = mails(place.folder), MONDAY + timedelta(1)
    for _ in range(2):  # however often it is tried, and whatever else is done
        result = command(place, "-q", sender, day=tuesday)
        assert (result.exit_code, mails(place.folder)) == (3, before)
        assert f"it lacks what was sent and who unsubscribed since its last mail ({MONDAY})" in result.stderr
        assert f"then delete {database}.mark and run again" in result.stderr
        assert command(place, "fetch", day=tuesday).exit_code == 0
    doctor = command(place, "doctor", "--json", day=tuesday)
    (found,) = [check for check in json.loads(doctor.stdout)["checks"] if check["name"] == "database"]
    assert (doctor.exit_code, found["mark"], "is a restored backup" in found["message"]) == (2, "fail", True)
    assert f"delete {database}.mark" in found["fix"]

    unsubscribe(place)
    Path(f"{database}.mark").unlink()
    result = command(place, "run", day=tuesday)
    assert (result.exit_code, result.stderr.count("history moved or restored")) == (0, 1)
    assert {to: len(found) for to, found in place.mails().items()}["bob@example.org"] == 1 + (since is send_tuesday)
    assert command(place, "-q", "run", day=tuesday).stderr == ""


def test_a_restored_backup_that_lacks_nothing_goes_on(place: Workplace, database: Path, safe: Path) -> None:
    backup(database, safe / "h.db")
    for words in (("status",), ("doctor",), ("backup", str(safe / "other.db"))):
        command(place, *words)
    put_back(safe / "h.db", database)
    send_tuesday(place)
    assert len(place.mails()["ann@example.org"]) == 2


def test_a_history_restored_on_another_machine_goes_on_with_a_warning(place: Workplace, safe: Path) -> None:
    backup(place.folder / "history.db", safe / "h.db")
    back, tuesday = restore(safe / "h.db", place), MONDAY + timedelta(1)
    back.lists(*(paper(n, upvotes=n) for n in range(8)))
    doctor = command(back, "doctor", day=tuesday)
    assert "! database" in doctor.stdout
    assert "moved or restored" in doctor.stdout
    result = command(back, "-q", "run", day=tuesday)
    assert (result.exit_code, result.stderr.count("\n")) == (0, 1)
    assert (
        f"if this is a backup, it lacks what was sent and who unsubscribed since its last mail ({MONDAY})"
        in result.stderr
    )
    assert command(back, "-q", "run", day=tuesday).stderr == ""


def test_a_new_history_where_another_one_was_is_no_backup_but_the_other_one_then_is(
    place: Workplace, database: Path, safe: Path
) -> None:
    backup(database, safe / "h.db")
    database.unlink()
    assert command(place, "-q", "run").stderr == ""
    put_back(safe / "h.db", database)
    assert command(place, "run").exit_code == 3


@pytest.mark.parametrize("content", [b"no number", b"\xff", b"9" * 5000, None])
def test_a_mark_that_cannot_be_read_is_a_missing_one(place: Workplace, database: Path, content: bytes | None) -> None:
    mark = Path(f"{database}.mark")
    mark.unlink()
    mark.mkdir() if content is None else mark.write_bytes(content)
    result = command(place, "run", day=MONDAY + timedelta(1))
    assert (result.exit_code, result.stderr.count("history moved or restored")) == (0, 1)


def test_a_run_that_is_killed_leaves_no_mark_ahead_of_its_history(place: Workplace, database: Path) -> None:
    script = """
import os, signal, sys
from itertools import count
from digest.cli import main
from digest.store import mark
steps = count(1)
def killing(function):
    def step(*args, **options):
        if next(steps) == int(sys.argv.pop()):
            os.kill(os.getpid(), signal.SIGKILL)
        sys.argv.append(number)
        return function(*args, **options)
    return step
number = sys.argv[-1]
mark.write_file = killing(mark.write_file)
main(sys.argv[1:-1])
"""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    for step in (1, 2):
        place.lists(*(paper(n, upvotes=n) for n in range(9 * step)))
        words = ["-q", "-c", str(place.path), "run", "--date", str(MONDAY + timedelta(step)), str(step)]
        killed = subprocess.run([sys.executable, "-c", script, *words], env=environ, check=False)
        assert killed.returncode == -signal.SIGKILL
        assert command(place, "-q", "run", day=MONDAY + timedelta(step)).stderr == ""
