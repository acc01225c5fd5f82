"""Read the letters of a Maildir, leaving every file where and as it is."""

from collections.abc import Iterator
from os import DirEntry, scandir
from pathlib import Path

from digest.errors import InboxError
from digest.inbox.fields import HEAD
from digest.inbox.letters import asks
from digest.inbox.requests import LIMIT, Letter


def letters(path: Path) -> Iterator[Letter]:
    """Every letter in new/ and cur/, those in subfolders not; there is no cursor. Raises InboxError.

    A mail program that shows a letter renames it, from new/ to cur/ or within cur/. A file that is gone when it should
    be opened is there under another name, with the same part before the colon (https://cr.yp.to/proto/maildir.html).
    """
    read: set[str] = set()
    try:
        for part in ("new", "cur", "cur"):
            for entry in _files(path / part):
                name = entry.name.partition(":")[0]
                if name not in read and (raw := _read(Path(entry))) is not None:
                    read.add(name)
                    yield Letter("", raw)
    except OSError as problem:
        missing = not all((path / part).is_dir() for part in ("new", "cur"))
        reason = "it is no Maildir, which holds new and cur" if missing else problem.strerror
        raise InboxError(f"the mailbox {path} cannot be read: {reason}; check inbox.path") from None


def _files(folder: Path) -> list[DirEntry[str]]:
    """The files of letters, oldest first by name; a link is not followed."""
    with scandir(folder) as entries:
        files = [e for e in entries if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
    return sorted(files, key=lambda entry: entry.name)


def _read(path: Path) -> bytes | None:
    """The letter, b"" if its head asks for nothing, None if it is gone."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            return head + file.read(LIMIT - len(head)) if asks(head) else b""
    except FileNotFoundError:
        return None
