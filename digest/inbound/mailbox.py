"""Read a mailbox and yield the letters that hold events, so that the caller can act on each one once.

    for letter in read_mailbox(settings, cursor, since, addresses):
        in one transaction: act on letter.events, unless letter.identity is known;
                            store letter.identity and letter.cursor

The next letter is not read before the caller is done with the last one. After a crash in between, the caller gets the
last letter again and knows its identity.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from os import DirEntry, scandir
from pathlib import Path
from urllib.parse import quote

from digest.errors import InboxError
from digest.inbound import MAX_LETTER_BYTES, UNNAMED, DigestAddresses, InboxSettings, Letter, LetterEvent
from digest.inbound.headers import MAX_HEADER_BYTES
from digest.inbound.letters import letter_identity, may_hold_event, parse_letter

_MAX_SKIPPED = 1000  # letters without events in a row, after which the cursor is moved: a later failure keeps it


@dataclass(frozen=True, slots=True)
class ReadLetter:
    """A letter with its events, and how many letters without events were skipped before it.

    One without events has a `problem` if the letter could not be parsed. Otherwise it has no identity either, and only
    counts skipped letters, so that the cursor moves past them.
    """

    cursor: str
    identity: str
    events: tuple[LetterEvent, ...]
    skipped: int
    problem: str = ""


def read_mailbox(
    settings: InboxSettings, cursor: str, since: date, addresses: DigestAddresses = UNNAMED
) -> Iterator[ReadLetter]:
    """Yield the letters with events after `cursor`, oldest first; without a cursor (''), those since the day `since`.

    `addresses` are those of the digest that the letters are written to. A Maildir has no cursor: all of it is read each
    time. Raises InboxError.
    """
    skipped = 0
    for letter in _read_letters(settings, cursor, since, partial(may_hold_event, addresses=addresses)):
        cursor = letter.cursor
        events, problem = _parse(letter.raw, addresses)
        if events or problem:
            yield ReadLetter(cursor, letter_identity(letter.raw), events, skipped, problem)
            skipped = 0
        else:
            skipped += 1
        if skipped == _MAX_SKIPPED:
            yield ReadLetter(cursor, "", (), skipped)
            skipped = 0
    if skipped:
        yield ReadLetter(cursor, "", (), skipped)


def _parse(raw: bytes, addresses: DigestAddresses) -> tuple[tuple[LetterEvent, ...], str]:
    """Return the events in a letter and '', or no events and why it cannot be parsed.

    Strangers write the letters: whatever parsing one of them raises is the end of that letter, and of no other.
    """
    try:
        return parse_letter(raw, addresses), ""
    except Exception as error:  # noqa: BLE001  see above
        return (), f"it cannot be parsed: {type(error).__name__}: {error}"[:200]


def mailbox_name(settings: InboxSettings) -> str:
    """Return a name for the mailbox, for messages and as the key of its cursor: its path, or a URL as in RFC 5092."""
    if settings.path is not None:
        return str(settings.path)
    port = "" if settings.port == 993 else f":{settings.port}"
    return f"imap://{quote(settings.username, safe='')}@{settings.host.lower()}{port}/{quote(settings.folder)}"


def _read_letters(
    settings: InboxSettings, cursor: str, since: date, wanted: Callable[[bytes], bool]
) -> Iterator[Letter]:
    if settings.path is not None:
        return maildir_letters(settings.path, wanted)
    from digest.inbound import imap

    return imap.imap_letters(settings, cursor, since, wanted)


def maildir_letters(path: Path, wanted: Callable[[bytes], bool] = may_hold_event) -> Iterator[Letter]:
    """Yield every letter in new/ and cur/, but not those in subfolders. Changes nothing. Raises InboxError.

    A letter whose header is not `wanted` is not read further.

    A mail program that shows a letter renames its file, from new/ to cur/ or within cur/, but keeps the name up to the
    colon (https://cr.yp.to/proto/maildir.html). A file that is gone when it is opened is found again in a second pass
    over cur/.
    """
    read: set[str] = set()
    try:
        for part in ("new", "cur", "cur"):
            for entry in _letter_files(path / part):
                name = entry.name.partition(":")[0]
                if name not in read and (raw := _read_file(Path(entry), wanted)) is not None:
                    read.add(name)
                    yield Letter("", raw)
    except OSError as error:
        missing = not all((path / part).is_dir() for part in ("new", "cur"))
        reason = "it is not a Maildir, which contains new and cur" if missing else error.strerror
        raise InboxError(f"the mailbox {path} cannot be read: {reason}; check inbox.path") from None


def _letter_files(folder: Path) -> list[DirEntry[str]]:
    """Return the files of letters, oldest first by name; symbolic links are not followed."""
    with scandir(folder) as entries:
        files = [e for e in entries if not e.name.startswith(".") and e.is_file(follow_symlinks=False)]
    return sorted(files, key=lambda entry: entry.name)


def _read_file(path: Path, wanted: Callable[[bytes], bool]) -> bytes | None:
    """Return the letter, b"" if its header is not wanted, None if the file is gone."""
    try:
        with path.open("rb") as file:
            header = file.read(MAX_HEADER_BYTES)
            return header + file.read(MAX_LETTER_BYTES - len(header)) if wanted(header) else b""
    except FileNotFoundError:
        return None
