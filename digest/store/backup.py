"""A copy of a live history, whole and checked, together with the secret that belongs to it.

SQLite's online backup (https://www.sqlite.org/backup.html) copies what was committed when it began, in one step: in WAL
mode a run goes on writing meanwhile, and never makes the copy begin again.
"""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from digest.errors import ConfigError, HistoryError
from digest.store.database import open_database
from digest.store.secret import load_secret

# What stands beside a database: SQLite's files and ours.
_BESIDE = ("", "-wal", "-shm", "-journal", ".secret", ".lock", ".pace")


def backup(database: Path, file: Path, *, force: bool = False) -> int:
    """Copy `database` to `file`, and its secret to `file`.secret, both readable by their owner alone; return the size.

    Each file is there whole or not at all. Raises ConfigError when there is something already (without `force`) or
    nothing can be there, HistoryError when the history cannot be read or the copy not be finished.
    """
    target = Path(os.path.realpath(file.expanduser()))
    secret = target.with_name(f"{target.name}.secret")
    _refuse(database, target, secret, force)
    with open_database(database, create=False) as db, _draft(target, force) as draft:
        _copy(db.conn, draft)
        with _draft(secret, force) as note:  # first in place: where there is a copy, there is its secret
            note.write_text(load_secret(database).hex() + "\n", encoding="ascii")
        return draft.stat().st_size


def _refuse(database: Path, target: Path, secret: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise ConfigError([f"{target.parent} is not a folder; make it first, or name another file"])
    if target.is_dir():
        raise ConfigError([f"{target} is a folder; name a file in it, like {target / 'history.db'}"])
    own = [Path(f"{path}{end}") for path in (database, Path(os.path.realpath(database))) for end in _BESIDE]
    for path in (target, secret):
        if path in own or any(one.exists() and path.exists() and path.samefile(one) for one in own):
            raise ConfigError([f"{path} belongs to the history itself; name a file elsewhere"])
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path} is there already and is no file; name another file"])
        if path.exists() and not force:
            raise ConfigError([f"{path} is there already; name another file, or replace it with --force"])


@contextmanager
def _draft(target: Path, force: bool) -> Iterator[Path]:
    """A file beside `target` that takes its place once it is whole, on disk; gone when anything goes wrong."""
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 600
        os.close(handle)
        draft = Path(name)
        try:
            yield draft
            _to_disk(draft)
            if force:
                draft.replace(target)
            else:
                os.link(draft, target)  # refuses what has come there meanwhile
            _to_disk(target.parent)
        finally:
            for rest in (draft, *(Path(f"{draft}{end}") for end in ("-wal", "-shm", "-journal"))):
                rest.unlink(missing_ok=True)
    except OSError as problem:
        raise HistoryError(f"{target} cannot be written: {problem.strerror}; nothing was left of it") from None


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _copy(source: sqlite3.Connection, draft: Path) -> None:
    """Copy what `source` has open, and see that the copy is intact."""
    with closing(sqlite3.connect(draft)) as copy:
        try:
            source.backup(copy)
            # One file by itself, that can be read where nothing can be written. Opened as a history, it is WAL again.
            copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as problem:
            raise HistoryError(f"the backup cannot be finished: {problem}; nothing was left of it") from None
        (found,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise HistoryError(
            f"the history is damaged ({found}), so it was not copied; put an earlier backup in its place"
        )
