"""The files a person writes: the configuration, and that nobody else can read what is secret or change what is run."""

import shlex
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from digest import secret
from digest.config import Config
from digest.delivery import Smtp
from digest.doctor import Check, Mark, Trouble
from digest.doctor.domain import reserved
from digest.errors import HistoryError
from digest.table import many


def configuration(config: Config) -> Check:
    """One that can be used, and whether an example was left standing in it."""
    counts = ((len(config.sources), "source"), (len(config.topics), "topic"), (len(config.digest.to), "reader"))
    said = ", ".join(many(count, word) for count, word in counts)
    left = [to for to in config.digest.to if reserved(to.rpartition("@")[2])]
    if left and isinstance(config.delivery, Smtp):
        sentence = f"digest.to still holds {left[0]}, which is an example and no address"
        return Check("configuration", Mark.WARN, sentence, f"put your own address into digest.to in {config.path}")
    return Check("configuration", Mark.OK, f"{config.path}: {said}")


def secrets(path: Path, database: Path | None, stray: Sequence[str]) -> Check:
    """Who can read and write the files beside the configuration at `path`, and the database, where it is known."""
    private = [path.with_name(".env"), *(_parts(database) if database else ())]
    there = [file for file in private if is_there(file)]
    troubles = [*_open_to_others(there), *_changeable(path), *_stray(stray, path.with_name(".env"))]
    if database is not None and is_there(database):
        troubles += _signing(database)
    names = ", ".join(file.name for file in there)
    return Check.of("secrets", f"only you can read {names}" if there else "there are none yet", troubles)


def is_there(path: Path) -> bool:
    """Whether there is such a file, as far as we may look."""
    try:
        return path.is_file()
    except OSError:
        return False


def _parts(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("", "-wal", ".secret")]


def _open_to_others(files: Sequence[Path]) -> Iterator[Trouble]:
    if loose := [file for file in files if _mode(file) & 0o077]:
        names = ", ".join(f"{file.name} ({stat.filemode(_mode(file))})" for file in loose)
        mend = "chmod 600 " + " ".join(shlex.quote(str(file)) for file in loose)
        yield Trouble(Mark.FAIL, f"others on this machine can get at {names}", mend)


def _changeable(path: Path) -> Iterator[Trouble]:
    """The configuration names a command to run: whoever may change it may run any."""
    if is_there(path) and _mode(path) & stat.S_IWOTH:
        said = f"everybody on this machine can change {path.name} ({stat.filemode(_mode(path))})"
        yield Trouble(Mark.FAIL, said, f"chmod o-w {shlex.quote(str(path))}")


def _stray(names: Sequence[str], env: Path) -> Iterator[Trouble]:
    for name in names:
        said = f"cron will not see the {name} of this shell; {env.name} has another or none"
        yield Trouble(Mark.WARN, said, f"put {name}=… into {env}")


def _signing(database: Path) -> Iterator[Trouble]:
    """The secret that signs the links to unsubscribe; a history without it has been moved without it."""
    file = _parts(database)[-1]
    if not file.exists():
        said = f"{file.name} is gone: the links to unsubscribe in earlier mails will not work any more"
        yield Trouble(Mark.WARN, said, "restore it from a backup; without one the next run makes a new one")
        return
    try:
        secret.beside(database)
    except HistoryError as problem:
        yield Trouble.told(str(problem))


def _mode(path: Path) -> int:
    return path.stat().st_mode
