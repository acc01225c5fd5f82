"""Read the letters of a Maildir, leaving every file where and as it is.

The requests in a mailbox, one letter after the other, so that each can be acted on once.

    for read in requests(settings, cursor, since):
        in one transaction: act, unless read.identity is known; remember read.identity and read.cursor

Nothing is asked of the mailbox for the next letter before the caller has done with one. Whoever is killed in between
reads that letter again and knows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from os import DirEntry, scandir
from pathlib import Path
from urllib.parse import quote

from digest.errors import InboxError
from digest.inbound import LIMIT, InboxSettings, Letter, LetterEvent
from digest.inbound.headers import HEAD
from digest.inbound.letters import identity, may_hold_request, read_letter


def maildir_letters(path: Path) -> Iterator[Letter]:
    """Every letter in new/ and cur/, those in subfolders not; there is no cursor. Raises InboxError.

    A mail program that shows a letter renames it, from new/ to cur/ or within cur/. A file that is gone when it should
    be opened is there under another name, with the same part before the colon (https://cr.yp.to/proto/maildir.html).
    """
    read: set[str] = set()
    try:
        for part in ("new", "cur", "cur"):
            for entry in _letter_files(path / part):
                name = entry.name.partition(":")[0]
                if name not in read and (raw := _read_file(Path(entry))) is not None:
                    read.add(name)
                    yield Letter("", raw)
    except OSError as problem:
        missing = not all((path / part).is_dir() for part in ("new", "cur"))
        reason = "it is no Maildir, which holds new and cur" if missing else problem.strerror
        raise InboxError(f"the mailbox {path} cannot be read: {reason}; check inbox.path") from None


def _letter_files(folder: Path) -> list[DirEntry[str]]:
    """The files of letters, oldest first by name; a link is not followed."""
    with scandir(folder) as entries:
        files = [e for e in entries if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
    return sorted(files, key=lambda entry: entry.name)


def _read_file(path: Path) -> bytes | None:
    """The letter, b"" if its head asks for nothing, None if it is gone."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            return head + file.read(LIMIT - len(head)) if may_hold_request(head) else b""
    except FileNotFoundError:
        return None


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """A letter that asks for something: `left_alone` letters before it did not.

    The last of a reading may have no requests and no identity: it tells the letters that were left alone at the end.
    """

    cursor: str
    identity: str
    requests: tuple[LetterEvent, ...]
    left_alone: int


def read_mailbox(settings: InboxSettings, cursor: str, since: date) -> Iterator[ReadLetter]:
    """What letters behind `cursor` ask for, oldest first; without a cursor ('') those since the day `since`.

    A Maildir is read whole each time. Raises InboxError.
    """
    left_alone = 0
    for letter in _letters(settings, cursor, since):
        cursor = letter.cursor
        if found := read_letter(letter.raw):
            yield ReadLetter(cursor, identity(letter.raw), found, left_alone)
            left_alone = 0
        else:
            left_alone += 1
    if left_alone:
        yield ReadLetter(cursor, "", (), left_alone)


def mailbox_name(settings: InboxSettings) -> str:
    """What the mailbox is called, for its cursor and for people: a path, or an address as in RFC 5092."""
    if settings.path is not None:
        return str(settings.path)
    port = "" if settings.port == 993 else f":{settings.port}"
    return f"imap://{quote(settings.username, safe='')}@{settings.host.lower()}{port}/{quote(settings.folder)}"


def _letters(settings: InboxSettings, cursor: str, since: date) -> Iterator[Letter]:
    if settings.path is not None:
        pass

        return maildir_letters(settings.path)
    from digest.inbound import imap

    return imap.letters(settings, cursor, since)
