"""What SQLite says when it fails, and what to do about it, in a sentence.

One run at a time. The lock is the kernel's, so it goes with the process that holds it, however that dies.

One SQLite file: opened safely, brought to today's schema, and its failures told in a sentence.

WAL with `synchronous=FULL`: readers never wait for a run, and a commit survives a power cut. Under NORMAL the last
commits may be forgotten then, and a forgotten commit is a mail sent twice.

`db.atomic()` begins DEFERRED: a transaction that reads first and then writes fails at once when another process wrote
in between, whatever the timeout. So every transaction is a `writing(db)`, whose first statement is a write.
"""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlite_utils import Database, Migrations

from digest.errors import AlreadyRunning, HistoryError
from digest.store.schema import MIGRATIONS


def database_error(path: Path, problem: Exception) -> HistoryError:
    """The error to raise for what SQLite raised about the database at `path`."""
    return HistoryError(f"the history {path} cannot be used: {_in_words(problem)}")


def _in_words(problem: Exception) -> str:
    advice = {
        "file is not a database": "it is not a database, or damaged; put a backup in its place or move it away",
        "disk image is malformed": "it is damaged; put a backup in its place or move it away",
        "readonly": "it may not be written to; check the permissions of the file and its folder",
        "locked": "another process keeps it locked; try again when that is done",
        "disk is full": "the disk is full; make room and run again, nothing is lost",
        "disk I/O error": "the disk failed or is full; make room and run again, nothing is lost",
        "no such column": "its tables are those of an older or unfinished version; move it away or upgrade digest",
        "no such table": "it is a database of something else; name another file in digest.database",
        "already exists": "it is a database of something else; name another file in digest.database",
    }
    return next((words for sign, words in advice.items() if sign in str(problem)), str(problem))


@contextmanager
def run_lock(database: Path) -> Iterator[None]:
    """Hold the run lock of a database. Raises Busy when another process does."""
    path = database.with_name(database.name + ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a")
    except OSError as problem:
        raise HistoryError(f"the lock {path} cannot be opened: {problem.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(f"another run is in progress (it holds {path})") from None
        yield


_WAIT = 30.0  # seconds to wait for another process's write


migrations = Migrations("digest")


def migration(statements: tuple[str, ...]) -> Callable[[Database], None]:
    """The migration that executes these."""

    def apply(db: Database) -> None:
        for statement in statements:
            db.execute(statement)

    return apply


for _name, _statements in MIGRATIONS.items():
    migrations(name=_name)(migration(_statements))


@contextmanager
def open_database(path: Path, *, create: bool = True) -> Iterator[Database]:
    """The database at `path`, at today's schema, closed afterwards.

    Every failure of SQLite inside the `with`, from a corrupt file to a full disk, comes out as a HistoryError.
    """
    if not create and not path.exists():
        raise HistoryError(f"{path} does not exist yet; the first `digest run` or `digest fetch` makes it")
    with _session(path, _connect) as db:
        yield db


@contextmanager
def open_read_only(path: Path) -> Iterator[Database]:
    """The database at `path` as it stands, to look at: neither made nor migrated nor written to. Fails as `opened`."""
    with _session(path, _look) as db:
        yield db


@contextmanager
def _session(path: Path, connect: Callable[[Path], Database]) -> Iterator[Database]:
    db: Database | None = None
    try:
        db = connect(path)
        yield db
    except sqlite3.Error as problem:
        raise database_error(path, problem) from problem
    finally:
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


@dataclass(frozen=True, slots=True)
class DatabaseHealth:
    """How many papers a database holds, whether it waits for migrations, and what is broken in it, in a few words."""

    papers: int
    behind: bool
    damage: tuple[str, ...]


def check_health(path: Path) -> DatabaseHealth:
    """Read all of the database at `path`, which is there. Raises HistoryError when a run could not use it at all."""
    with open_read_only(path) as db:
        # As a run begins, and without a change: it fails where nothing can be written.
        for step in ("PRAGMA query_only = OFF", "BEGIN IMMEDIATE", "ROLLBACK", "PRAGMA query_only = ON"):
            db.conn.execute(step)
        applied, known = _versions(db, path)
        damage = [row[0] for row in db.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
        if orphans := len(db.execute("PRAGMA foreign_key_check").fetchall()):
            damage.append(f"{orphans:,} rows refer to others that are gone")
        papers = db.execute("SELECT count(*) FROM papers").fetchone()[0] if applied else 0
        return DatabaseHealth(papers, applied != known, tuple(" ".join(words.split()) for words in damage))


def _look(path: Path) -> Database:
    db = Database(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_WAIT))
    db.conn.execute("PRAGMA query_only = ON")
    return db


def _connect(path: Path) -> Database:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # It holds addresses: nobody else's to read. SQLite gives its side files the same mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as problem:
        raise HistoryError(f"the history {path} cannot be opened: {problem.strerror}") from None
    db = Database(sqlite3.connect(path, timeout=_WAIT, check_same_thread=False))
    try:
        db.conn.execute("PRAGMA foreign_keys = ON")
        _versions(db, path)  # before anything is written
        db.conn.execute("PRAGMA journal_mode = WAL")
        db.conn.execute("PRAGMA synchronous = FULL")
        _migrate(db, path)
    except BaseException:
        db.close()  # or a migration that failed would keep its lock
        raise
    return db


def _migrate(db: Database, path: Path) -> None:
    """Bring an older schema up to date."""
    applied, known = _versions(db, path)
    if applied != known:
        # One process migrates; the others wait for its lock and then find nothing left to do.
        db.conn.execute("BEGIN IMMEDIATE")
        migrations.apply(db)
        db.conn.execute("COMMIT")


def _versions(db: Database, path: Path) -> tuple[set[str], set[str]]:
    """The migrations a database has been through, and all there are.

    Refuses a newer database, and one of something else: we could only damage them.
    """
    tables = db.table_names()  # first: whoever makes them meanwhile has said so by then
    applied = {migration.name for migration in migrations.applied(db)}
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    if tables and not applied:
        raise database_error(path, sqlite3.DatabaseError("no such table"))
    if not applied <= known:
        raise HistoryError(f"the history {path} was written by a newer version of digest; upgrade digest")
    return applied, known


@contextmanager
def transaction(db: Database) -> Iterator[None]:
    """One transaction that holds the write lock from its first statement to its commit."""
    with db.atomic():
        db.execute("DELETE FROM names WHERE 0")
        yield
