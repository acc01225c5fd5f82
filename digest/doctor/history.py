"""The database: whether it is whole, of this version, and has room to grow. Opens it for reading, makes none."""

import os
import shutil
from pathlib import Path

from digest.database import Health, health
from digest.doctor import Check, Mark, Trouble
from digest.errors import HistoryError
from digest.table import many

_LITTLE = 50 * 10**6  # bytes free: a day's answers and the write-ahead log may not fit
_SOME = 500 * 10**6


def examine(path: Path) -> tuple[Check, bool]:
    """How the database at `path` stands, and whether what it remembers can be read."""
    try:
        return _found(path) if path.exists() else (_none(path), False)
    except HistoryError as problem:
        trouble = Trouble.told(str(problem))
    except OSError as problem:
        mend = "check the permissions of its folder, or name another place in digest.database"
        trouble = Trouble(Mark.FAIL, f"{path} cannot be looked at: {problem.strerror}", mend)
    return Check.of("database", "", [trouble]), False


def _found(path: Path) -> tuple[Check, bool]:
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it for reading only
        told = f"{path} is no file that you may read and write; check its permissions, or name another place"
        raise HistoryError(f"{told} in digest.database")
    found, size, room = health(path), path.stat().st_size, shutil.disk_usage(path.parent).free
    said = f"{_bytes(size)}, {many(found.papers, 'paper')}, intact; {_bytes(room)} free"
    if found.behind:
        said += "; of an earlier version: the next run brings it up to date"
    troubles = [*_damage(found), *tight(size, room)]
    return Check.of("database", said, troubles), not found.damage and not found.behind


def _none(path: Path) -> Check:
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        said = f"{path.name} cannot be made, for {folder} cannot be written to"
        return Check("database", Mark.FAIL, said, "name another place in digest.database")
    room = shutil.disk_usage(folder).free
    return Check.of("database", f"none yet, the first run makes it; {_bytes(room)} free", tight(0, room))


def tight(size: int, room: int) -> list[Trouble]:
    """Whether `room` bytes are too few for a database of `size`: it is copied when it is tidied up or backed up."""
    if room < _LITTLE:
        said = f"only {_bytes(room)} are free on its disk: a run would end in the middle of its work"
        return [Trouble(Mark.FAIL, said, "make room; nothing is lost meanwhile")]
    if room < max(_SOME, 2 * size):
        return [Trouble(Mark.WARN, f"{_bytes(room)} are free on its disk, and it has {_bytes(size)}", "make room soon")]
    return []


def _damage(found: Health) -> list[Trouble]:
    said = "; ".join(found.damage)
    return [Trouble(Mark.FAIL, f"it is damaged: {said}", "put a backup in its place or move it away")] if said else []


def _bytes(count: int) -> str:
    """A number of bytes as a person says it: 740 kB, 12 MB, 48 GB."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:.{0 if count >= 10 ** (power + 1) else 1}f} {unit}"
    return f"{count / 1000:.0f} kB"
