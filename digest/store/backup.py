"""Copy a live history with its secret, and check the copy.

SQLite's online backup (https://www.sqlite.org/backup.html) copies what was committed when it began, in one step: in WAL
mode a run can write at the same time, and the copy never has to start again.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from digest.errors import ConfigError, HistoryError
from digest.files import expand_user, follow_own_link, whole_file, write_file
from digest.store.database import open_database
from digest.store.secret import load_secret, secret_path

# The endings of a database's own files, SQLite's and ours.
_ENDINGS = ("", "-wal", "-shm", "-journal", ".lock", ".pace", ".mark")


def backup(database: Path, file: Path, *, force: bool = False) -> int:
    """Copy `database` to `file` and its secret to `file`.secret, both readable by their owner only.

    Return the size in bytes. Each file is written whole or not at all. Raises ConfigError when a file exists already
    (without `force`) or cannot be created there, HistoryError when the history cannot be read or the copy not finished.
    """
    try:
        target = follow_own_link(expand_user(file).absolute())
        secret = Path(f"{target}.secret")
        _check_targets(database, target, secret, force)
    except OSError as error:
        raise ConfigError([f"{file} cannot be written: {error.strerror}; name another file"]) from None
    with open_database(database, create=False) as db, _new_file(target, force) as draft:
        _copy(db.conn, draft)
        # The secret comes first, so that no copy is ever without it.
        content = f"{load_secret(database).hex()}\n".encode()
        write_file(secret, content, mode=0o600, replace=force, sync=True)
        return draft.stat().st_size


def _check_targets(database: Path, target: Path, secret: Path, force: bool) -> None:
    if not target.parent.is_dir():
        raise ConfigError([f"{target.parent} is not a folder; create it first, or name another file"])
    if target.is_dir():
        raise ConfigError([f"{target} is a folder; name a file in it, like {target / 'history.db'}"])
    histories = (database, Path(os.path.realpath(database)))
    own = [Path(f"{path}{end}") for path in histories for end in _ENDINGS] + [secret_path(path) for path in histories]
    for path in (target, secret):
        real = Path(os.path.realpath(path))
        if real in own or any(one.exists() and real.exists() and real.samefile(one) for one in own):
            raise ConfigError([f"{path} belongs to the history itself; name another file"])
        if follow_own_link(path).is_symlink():
            raise ConfigError([f"{path} is a link of another user; name another file"])
        if path.exists() and not path.is_file():
            raise ConfigError([f"{path} exists and is not a file; name another file"])
        if path.exists() and not force:
            raise ConfigError([f"{path} exists already; name another file, or replace it with --force"])


@contextmanager
def _new_file(target: Path, force: bool) -> Iterator[Path]:
    """Yield a file that becomes `target`; on failure it is deleted, and SQLite's side files with it."""
    try:
        with whole_file(target, mode=0o600, replace=force, sync=True) as draft:
            try:
                yield draft
            finally:
                for end in ("-wal", "-shm", "-journal"):
                    Path(f"{draft}{end}").unlink(missing_ok=True)
    except OSError as error:
        raise HistoryError(f"{target} cannot be written: {error.strerror}; no partial copy was left") from None


def _copy(source: sqlite3.Connection, draft: Path) -> None:
    """Copy what `source` has open, and check that the copy is intact."""
    with closing(sqlite3.connect(draft)) as copy:
        try:
            source.backup(copy)
            # A single file, which can be read on a read-only disk. Opening it as a history switches it back to WAL.
            copy.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError as error:
            raise HistoryError(f"the backup cannot be finished: {error}; no partial copy was left") from None
        (result,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise HistoryError(f"the history is damaged ({result}) and was not copied; restore an earlier backup")
