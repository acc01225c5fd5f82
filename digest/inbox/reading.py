"""The requests in a mailbox, one letter after the other, so that each can be acted on once.

    for read in requests(settings, cursor, since):
        in one transaction: act, unless read.identity is known; remember read.identity and read.cursor

Nothing is asked of the mailbox for the next letter before the caller has done with one. Whoever is killed in between
reads that letter again and knows it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from urllib.parse import quote

from digest.inbox import Inbox
from digest.inbox.letters import identity, read
from digest.inbox.requests import Letter, Request


@dataclass(frozen=True, slots=True)
class Read:
    """A letter that asks for something: `left_alone` letters before it did not.

    The last of a reading may have no requests and no identity: it tells the letters that were left alone at the end.
    """

    cursor: str
    identity: str
    requests: tuple[Request, ...]
    left_alone: int


def requests(settings: Inbox, cursor: str, since: date) -> Iterator[Read]:
    """What letters behind `cursor` ask for, oldest first; without a cursor ('') those since the day `since`.

    A Maildir is read whole each time. Raises InboxError.
    """
    left_alone = 0
    for letter in _letters(settings, cursor, since):
        cursor = letter.cursor
        if found := read(letter.raw):
            yield Read(cursor, identity(letter.raw), found, left_alone)
            left_alone = 0
        else:
            left_alone += 1
    if left_alone:
        yield Read(cursor, "", (), left_alone)


def name(settings: Inbox) -> str:
    """What the mailbox is called, for its cursor and for people: a path, or an address as in RFC 5092."""
    if settings.path is not None:
        return str(settings.path)
    port = "" if settings.port == 993 else f":{settings.port}"
    return f"imap://{quote(settings.username, safe='')}@{settings.host.lower()}{port}/{quote(settings.folder)}"


def _letters(settings: Inbox, cursor: str, since: date) -> Iterator[Letter]:
    if settings.path is not None:
        from digest.inbox import maildir

        return maildir.letters(settings.path)
    from digest.inbox import imap

    return imap.letters(settings, cursor, since)
