"""One SQLite file: opened safely, brought to today's schema, and its failures told in a sentence.

WAL with `synchronous=FULL`: readers never wait for a run, and a commit survives a power cut. Under NORMAL the last
commits may be forgotten then, and a forgotten commit is a mail sent twice.

`db.atomic()` begins DEFERRED: a transaction that reads first and then writes fails at once when another process wrote
in between, whatever the timeout. So every transaction is a `writing(db)`, whose first statement is a write.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlite_utils import Database, Migrations

from digest.errors import HistoryError
from digest.mishap import unusable
from digest.schema import MIGRATIONS

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
def opened(path: Path, *, create: bool = True) -> Iterator[Database]:
    """The database at `path`, at today's schema, closed afterwards.

    Every failure of SQLite inside the `with`, from a corrupt file to a full disk, comes out as a HistoryError.
    """
    if not create and not path.exists():
        raise HistoryError(f"{path} does not exist yet; the first `digest run` or `digest fetch` makes it")
    db: Database | None = None
    try:
        db = _connect(path)
        yield db
    except sqlite3.Error as problem:
        raise unusable(path, problem) from problem
    finally:
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()


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
        db.conn.execute("PRAGMA journal_mode = WAL")
        db.conn.execute("PRAGMA synchronous = FULL")
        _migrate(db, path)
    except BaseException:
        db.close()  # or a migration that failed would keep its lock
        raise
    return db


def _migrate(db: Database, path: Path) -> None:
    """Bring an older schema up to date; refuse a newer one, which this program could only damage."""
    applied = {migration.name for migration in migrations.applied(db)}
    known = {migration.name for migration in migrations.pending(Database(memory=True))}
    if not applied <= known:
        raise HistoryError(f"the history {path} was written by a newer version of digest; upgrade with pip install -U")
    if applied != known:
        # One process migrates; the others wait for its lock and then find nothing left to do.
        db.conn.execute("BEGIN IMMEDIATE")
        migrations.apply(db)
        db.conn.execute("COMMIT")


@contextmanager
def writing(db: Database) -> Iterator[None]:
    """One transaction that holds the write lock from its first statement to its commit."""
    with db.atomic():
        db.execute("DELETE FROM names WHERE 0")
        yield
