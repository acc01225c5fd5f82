"""A history that cannot be written or read: a message, exit code 3, nothing lost; the next run continues when fixed."""

import os
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlite_utils import Migrations

from digest.delivery import MaildirSettings, State, maildir
from digest.errors import HistoryError, Undelivered
from digest.store import database
from digest.store.database import _migration, open_database
from digest.store.schema import MIGRATIONS
from digest.store.statistics import open_statistics
from digest.store.subscribers import Subscribers
from tests.conftest import MONDAY, Workplace
from tests.delivery.test_smtp import at as answers
from tests.delivery.test_smtp import final, message
from tests.pipeline.test_deliver import Installation
from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]
UNPRIVILEGED = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@pytest.fixture
def installation(workplace: Workplace) -> Installation:
    installation = Installation(workplace)
    installation.readers(20)
    return installation


def history(installation: Installation) -> Path:
    return installation.workplace.folder / "history.db"


def queue(installation: Installation) -> None:
    """Publish a day whose mail cannot leave yet."""
    with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)


def check_goes_on(installation: Installation, before: int = 0) -> None:
    """The history is fixed: those who did not get the mail get it now."""
    with Server().running() as server:
        installation.send(server.port)
    assert len(server.taken) == 20 - before
    assert installation.counts() == {"sent": 20}


def test_a_file_that_is_no_database_is_named_and_left_as_it_is(installation: Installation) -> None:
    queue(installation)
    good = history(installation).read_bytes()
    history(installation).write_bytes(b"hello, I am a text file\n" * 1000)
    damaged = history(installation).read_bytes()
    with Server().running() as server, pytest.raises(HistoryError, match="not a database, or damaged") as caught:
        installation.run(server.port)
    assert caught.value.exit_code == 3
    assert history(installation).read_bytes() == damaged
    assert server.taken == []
    history(installation).write_bytes(good)
    check_goes_on(installation)


def test_a_database_of_something_else_is_named_and_left_as_it_is(installation: Installation) -> None:
    with closing(sqlite3.connect(history(installation))) as db:
        db.execute("CREATE TABLE wine (year INTEGER)")
    before = history(installation).read_bytes()
    for look in (open_database, open_statistics):
        with pytest.raises(HistoryError, match="it belongs to another program"), look(history(installation)):
            pass
    assert history(installation).read_bytes() == before


def test_a_damaged_page_is_a_sentence_and_not_a_second_mail(installation: Installation) -> None:
    queue(installation)
    with closing(sqlite3.connect(history(installation))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'deliveries'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    good = history(installation).read_bytes()
    start = (root - 1) * size
    history(installation).write_bytes(good[:start] + b"\xff" * size + good[start + size :])
    with Server().running() as server, pytest.raises(HistoryError, match="is damaged; restore a backup"):
        installation.send(server.port)
    assert server.taken == []
    history(installation).write_bytes(good)
    check_goes_on(installation)


def test_a_locked_database_is_waited_for_and_then_named(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(installation)
    monkeypatch.setattr(database, "_WAIT", 0.1)
    with closing(sqlite3.connect(history(installation))) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            Server().running() as server,
            pytest.raises(HistoryError, match="another process keeps it locked") as caught,
        ):
            installation.send(server.port)
    assert caught.value.exit_code == 3
    assert server.taken == []
    check_goes_on(installation)


def test_a_lock_in_the_middle_of_a_delivery_costs_at_most_a_copy_a_connection(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(installation)
    monkeypatch.setattr(database, "_WAIT", 0.1)
    with closing(sqlite3.connect(history(installation), check_same_thread=False)) as other:

        def lock(stage: str, *_: object) -> None:
            if stage == "BODY" and not other.in_transaction and len(server.taken) == 5:
                other.execute("BEGIN IMMEDIATE")

        server = Server(lock)
        with server.running(), pytest.raises(HistoryError, match="another process keeps it locked"):
            installation.send(server.port)
        other.rollback()
    assert 5 <= len(server.taken) <= 7
    with Server().running() as second:
        installation.send(second.port)
    copies = [(to, body) for to, body in second.taken if to in server.recipients()]
    assert len(copies) <= 1
    assert set(copies) <= set(server.taken)
    assert {*server.recipients(), *second.recipients()} == set(installation.workplace.to)


def test_an_older_schema_is_brought_up_to_date_and_the_queue_goes_on(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue(installation)
    newer = Migrations("digest")
    for name, statements in MIGRATIONS.items():
        newer(name=name)(_migration(statements))
    newer(name="later")(lambda db: db.execute("ALTER TABLE papers ADD COLUMN later TEXT"))
    monkeypatch.setattr(database, "migrations", lambda: newer)
    check_goes_on(installation)
    monkeypatch.undo()
    with pytest.raises(HistoryError, match="written by a newer version of digest") as caught:
        installation.counts()
    assert caught.value.exit_code == 3


def test_the_first_schema_is_taken_over_with_who_was_suspended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.db"
    oldest = Migrations("digest")
    oldest(name="first")(_migration(MIGRATIONS["first"]))
    monkeypatch.setattr(database, "migrations", lambda: oldest)
    with open_database(path) as db:
        db.table("subscribers").insert_all(
            {"key": f"r{n}@x.org", "address": f"r{n}@x.org", "token": str(n), "configured": 1, "refusals": n,
             "refused": "2026-04-20"} for n in (0, 2, 3)
        )  # fmt: skip
    monkeypatch.undo()
    with open_database(path) as db:
        standings = {s.address: (s.state, s.why) for s in Subscribers(db, b"secret").statuses(MONDAY)}
    assert standings == {
        "r0@x.org": ("active", ""),
        "r2@x.org": ("active", ""),
        "r3@x.org": ("suspended", "refused on three days, last on 2026-04-20"),
    }


def test_the_tables_of_an_unfinished_version_are_a_sentence(installation: Installation) -> None:
    queue(installation)
    with closing(sqlite3.connect(history(installation))) as db:
        db.execute("ALTER TABLE subscribers DROP COLUMN topics")
    with Server().running() as server, pytest.raises(HistoryError, match="older or unfinished version"):
        installation.run(server.port)
    assert server.taken == []


def test_a_full_disk_leaves_no_half_message_in_a_maildir(tmp_path: Path) -> None:
    large = message(1, text="x" * 100_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        (failed,) = final(maildir.deliver(MaildirSettings(tmp_path), iter([large, message(2)]), lambda: False))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (failed.state, failed.stop) == (State.PENDING, True)
    assert failed.reply == f"{tmp_path} cannot be written to: File too large"
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    (done,) = final(maildir.deliver(MaildirSettings(tmp_path), iter([large]), lambda: False))
    assert done.state is State.SENT
    (path,) = (tmp_path / "new").iterdir()
    assert path.read_bytes() == large.content.replace(b"\r\n", b"\n")


# --- What needs a process of its own: limits and permissions are a process's


def digest(
    installation: Installation, port: int, limit: int | None = None, *, unprivileged: bool = False
) -> tuple[int, str]:
    """`digest run` in a process of its own: its exit code and what it printed.

    It may write files of `limit` bytes at most. One that is `unprivileged` has to obey permissions, also as root.
    """

    def prepare() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    path = installation.workplace.path
    smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
    path.write_text(re.sub(r"\[(smtp|maildir)\][^\[]*", smtp, path.read_text()))
    words = [sys.executable, "-m", "digest", "-c", str(path), "run", "--date", MONDAY.isoformat()]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*(UNPRIVILEGED if unprivileged else ()), *words], env=environ, preexec_fn=prepare, capture_output=True
    )
    return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.slow
@pytest.mark.parametrize("more", [0, 4096, 20_000, 60_000, 200_000])
def test_a_full_disk_loses_nothing(installation: Installation, more: int) -> None:
    installation.readers(400)
    # The process below has the real clock, by which mail expires.
    with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port, real_clock=lambda: datetime.now(UTC))
    size = history(installation).stat().st_size
    with Server().running() as server:
        code, output = digest(installation, server.port, limit=size + more - 60_000)
        if code != 0:
            assert code == 3, output
            assert "free some space and run again, nothing is lost" in output
        first = list(server.taken)
        code, output = digest(installation, server.port)
    assert code == 0, output
    assert len(first) <= 400 <= len(server.taken) <= 401
    assert set(server.recipients()) == set(installation.workplace.to)
    assert len({body for _, body in server.taken}) == 400


@pytest.mark.slow
@pytest.mark.skipif(
    bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root may write everywhere, without setpriv"
)
@pytest.mark.parametrize("block", ["file", "folder"])
def test_a_read_only_history_is_named_and_nothing_leaves(installation: Installation, block: str) -> None:
    queue(installation)
    folder, files = installation.workplace.folder, [*installation.workplace.folder.glob("history.db*")]
    before = history(installation).read_bytes()
    with Server().running() as server:
        for path in files:
            path.chmod(0o444)
        folder.chmod(0o555 if block == "folder" else 0o755)
        code, output = digest(installation, server.port, unprivileged=True)
        folder.chmod(0o755)
    assert code == 3, output
    assert "history.db" in output
    assert "Traceback" not in output
    assert server.taken == []
    assert history(installation).read_bytes() == before
    for path in files:
        path.chmod(0o600)
    check_goes_on(installation)
