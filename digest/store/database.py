"""Open the SQLite file, bring it to the current schema, and hold the locks.

WAL with `synchronous=FULL`: readers never wait for a run, and a commit survives a power cut. Under NORMAL the last
commits may be lost then, and a lost commit is a mail sent twice.

`db.atomic()` begins DEFERRED: a transaction that reads first and then writes fails at once when another process wrote
in between, regardless of the timeout. So every transaction is a `transaction(db)`, whose first statement is a write.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from io import FileIO
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from digest.errors import AlreadyRunning, HistoryError
from digest.files import open_lock, open_regular
from digest.store.schema import MIGRATIONS, Step, migrate

if TYPE_CHECKING:  # importing it takes longer than the rest of `digest status`
    from sqlite_utils import Database, Migrations

_WAIT = 30.0  # seconds to wait for another process's write
_WAIT_FOR_RUN = 5.0  # seconds that letters wait for a run
_WAIT_FOR_LETTERS = 600.0  # seconds that a run waits for letters to be read and answered
_PAUSE = 0.1  # seconds between two attempts
_BRIEF = b"letters"  # in the lock file, while its holder only reads letters


@contextmanager
def open_database(path: Path, *, create: bool = True) -> "Iterator[Database]":
    """Open the database at `path`, migrate it to the current schema, and close it afterwards.

    Every failure of SQLite inside the block, from a corrupt file to a full disk, becomes a HistoryError.
    """
    if not create and not exists(path):
        raise HistoryError(f"{path} does not exist yet; the first `digest run` or `digest fetch` creates it")
    with _session(path, _connect) as db:
        yield db


def exists(path: Path) -> bool:
    """Return whether there is a database at `path`. Raises HistoryError when nobody may look into its folder."""
    try:
        return path.exists()
    except OSError as error:
        raise _cannot_be_opened(path, error) from None


@contextmanager
def open_read_only(path: Path) -> "Iterator[Database]":
    """Open the database at `path` as it is: not created, not migrated, read-only. Fails like `open_database`."""
    with _session(path, _connect_read_only) as db:
        yield db


@contextmanager
def transaction(db: "Database") -> Iterator[None]:
    """Run the block in one transaction that holds the write lock from its first statement to its commit."""
    with db.atomic():
        db.execute("DELETE FROM names WHERE 0")  # takes the lock and changes nothing
        yield


@contextmanager
def rolled_back(db: "Database") -> Iterator[None]:
    """A transaction that undoes its changes at the end, to find out what they would lead to."""

    class Undo(Exception):
        pass

    with suppress(Undo), transaction(db):
        yield
        raise Undo


@contextmanager
def run_lock(database: Path, *, brief: bool = False) -> Iterator[None]:
    """Hold the lock that allows one run at a time. Raises AlreadyRunning when another process has it.

    The kernel releases it when the process ends, in whatever way. One that only reads letters holds it for a `brief`
    time, and says so in the file: a run waits for that, since a day's mail matters more. It waits a few seconds for
    whoever has the lock, and then leaves the letters to that run.
    """
    path = database.with_name(database.name + ".lock")
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context(open_lock(path))
            _wait_for(lock, brief)
            os.ftruncate(lock.fileno(), 0)
            os.pwrite(lock.fileno(), _BRIEF * brief, 0)
        except BlockingIOError:
            raise AlreadyRunning(f"another run is in progress (it holds {path})") from None
        except OSError as error:
            raise HistoryError(f"the lock {path} cannot be opened: {error.strerror}") from None
        yield


def _wait_for(lock: FileIO, brief: bool) -> None:
    """Wait until the lock is ours; raises BlockingIOError when it is not after the time we wait for its holder."""
    waited = 0.0
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held_briefly = os.pread(lock.fileno(), len(_BRIEF), 0) == _BRIEF
            if waited >= (_WAIT_FOR_RUN if brief else _WAIT_FOR_LETTERS if held_briefly else 0):
                raise
            sleep(_PAUSE)
            waited += _PAUSE


def utc(moment: datetime) -> str:
    """Return a moment as text that sorts by time, whatever its time zone."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """The number of papers in a database, whether it needs migrations, and a message for each damage."""

    papers: int
    outdated: bool
    damage: tuple[str, ...]


def check_health(path: Path) -> DatabaseHealth:
    """Check all of the existing database at `path`. Raises HistoryError when a run could not use it at all."""
    with open_read_only(path) as db:
        # Begin as a run does, and change nothing: this fails if the database cannot be written.
        for step in ("PRAGMA query_only = OFF", "BEGIN IMMEDIATE", "ROLLBACK", "PRAGMA query_only = ON"):
            db.conn.execute(step)
        applied, known = _versions(db, path)
        damage = [row[0] for row in db.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        if orphans := len(db.execute("PRAGMA foreign_key_check").fetchall()):
            damage.append(f"{orphans:,} rows refer to deleted ones")
        papers = db.execute("SELECT count(*) FROM papers").fetchone()[0] if applied else 0
        return DatabaseHealth(papers, applied != known, tuple(" ".join(message.split()) for message in damage))


def database_error(path: Path, error: Exception) -> HistoryError:
    """Return what to raise for an error of SQLite about the database at `path`: what is wrong and what to do."""
    restore = "restore a backup, or move the file away to start with a new database"
    advice = {
        "file is not a database": f"it is not a database, or damaged; {restore}",
        "disk image is malformed": f"it is damaged; {restore}",
        "readonly": "it is read-only; check the permissions of the file and its folder",
        "locked": "another process keeps it locked; try again when that is done",
        "disk is full": "the disk is full; free some space and run again, nothing is lost",
        "disk I/O error": "the disk failed or is full; free some space and run again, nothing is lost",
        "no such column": "its tables are from an older or unfinished version; upgrade digest or move the file away",
        "no such table": "it belongs to another program; name another file in digest.database",
        "already exists": "it belongs to another program; name another file in digest.database",
    }
    reason = next((text for sign, text in advice.items() if sign in str(error)), str(error))
    return HistoryError(f"the history {path} cannot be used: {reason}")


@cache
def migrations() -> "Migrations":
    """Return every migration, in order; the database records which were applied."""
    from sqlite_utils import Migrations

    found = Migrations("digest")
    for name, steps in MIGRATIONS.items():
        found(name=name)(_migration(steps))
    return found


def _migration(steps: tuple[Step, ...]) -> "Callable[[Database], None]":
    return lambda db: migrate(db.conn, steps)


@contextmanager
def _session(path: Path, connect: "Callable[[Path], Database]") -> "Iterator[Database]":
    db: Database | None = None
    try:
        db = connect(path)
        yield db
    except sqlite3.Error as error:
        raise database_error(path, error) from error
    finally:
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


def _cannot_be_opened(path: Path, error: OSError) -> HistoryError:
    return HistoryError(f"the history {path} cannot be opened: {error.strerror}")


def _connect_read_only(path: Path) -> "Database":
    from sqlite_utils import Database

    db = Database(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT))
    db.conn.execute("PRAGMA query_only = ON")
    return db


def _connect(path: Path) -> "Database":
    from sqlite_utils import Database

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It contains addresses: nobody else may read it. SQLite gives its side files the same mode.
        os.close(open_regular(path, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise _cannot_be_opened(path, error) from None
    db = Database(sqlite3.connect(path, timeout=_WAIT, check_same_thread=False))
    try:
        db.conn.execute("PRAGMA foreign_keys = ON")
        _versions(db, path)  # before anything is written
        db.conn.execute("PRAGMA journal_mode = WAL")
        db.conn.execute("PRAGMA synchronous = FULL")
        _migrate(db, path)
    except BaseException:
        db.close()  # else a failed migration would keep its lock
        raise
    return db


def _migrate(db: "Database", path: Path) -> None:
    applied, known = _versions(db, path)
    if applied != known:
        # One process migrates; the others wait for its lock and then find nothing left to do.
        db.conn.execute("BEGIN IMMEDIATE")
        migrations().apply(db)
        db.conn.execute("COMMIT")


def _versions(db: "Database", path: Path) -> tuple[set[str], set[str]]:
    """Return the migrations that were applied to a database, and all there are.

    Raises HistoryError for a newer database, and for one of another program: we could only damage them.
    """
    from sqlite_utils import Database

    tables = db.table_names()  # first: a process that creates them meanwhile has recorded its migrations by then
    applied = {migration.name for migration in migrations().applied(db)}
    known = {migration.name for migration in migrations().pending(Database(memory=True))}
    if tables and not applied:
        raise database_error(path, sqlite3.DatabaseError("no such table"))
    if not applied <= known:
        raise HistoryError(f"the history {path} was written by a newer version of digest; upgrade digest")
    return applied, known
