"""Read the mailbox that receives letters: what readers ask for, and what mail servers say about our mail.

    IMAP folder or Maildir ──▶ letters ──▶ events ──▶ digest.pipeline.inbox acts on each event once

The mailbox is only ever read: no letter is marked, moved or deleted, and letters without an event are skipped.

The public face is `__all__`: the settings, the events, and the submodule `mailbox`, whose `read_mailbox` yields the
letters that hold events. It uses `imap` to fetch letters from a server, `letters` to find the events in a letter, `dsn`
for those in a report of a mail server, `commands` for the lines that a reader typed, `parts` to find these lines in the
parts of a letter, and `headers` to parse header fields.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from digest.delivery import is_loopback
from digest.settings import Secret, invalid_value, number_between, one_of

__all__ = [
    "MAX_LETTER_BYTES", "UNNAMED", "Bounce", "Command", "Complaint", "Confirmation", "DigestAddresses", "InboxSettings",
    "Letter", "LetterEvent", "ReaderLetter", "SubscribeRequest", "UnsubscribeRequest", "mailbox",
]  # fmt: skip

MAX_LETTER_BYTES = 1_000_000  # read of a letter; its events are in the first few thousand


def _read_authserv(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", value):
        hint = 'write what your letters have at the start of Authentication-Results, like "mx.example.org"'
        raise invalid_value("a server's name", value, hint)
    return value.lower()


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """The `[inbox]` table: a Maildir at `path`, or a `folder` on a server.

    `timeout` is how many seconds to wait for the server each time; reading all of the folder takes at most 60 times as
    long. `authserv` names the mail server whose `Authentication-Results` are believed (RFC 8601), '' for none.
    """

    path: Path | None = field(default=None, metadata={"example": '"Maildir"'})
    host: str = field(default="", metadata={"example": '"imap.example.org"'})
    port: int = field(default=993, metadata={"read": number_between(1, 65535)})
    security: str = field(default="tls", metadata={"read": one_of("tls", "starttls", "none")})
    username: str = ""
    folder: str = "INBOX"
    timeout: float = field(default=30.0, metadata={"read": number_between(0.1, 600)})
    authserv: str = field(default="", metadata={"read": _read_authserv})
    password: Secret = field(default=Secret(""), metadata={"secret": "DIGEST_INBOX_PASSWORD"})

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class DigestAddresses:
    """The addresses of a digest: how letters from ourselves and quotations of our mail are recognized.

    own       the addresses that we write from and get letters at, in lower case and without a +tag
    signup    where letters ask to subscribe, in lower case; '' if nobody can
    shared    letters about other things come there too, so that the subject has to ask
    title     the digest's title, which our mail begins with
    authserv  the mail server whose `Authentication-Results` are believed, '' for none
    """

    own: frozenset[str] = frozenset()
    signup: str = ""
    shared: bool = False
    title: str = ""
    authserv: str = ""


UNNAMED = DigestAddresses()  # of a digest that nobody writes to


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter in the mailbox.

    `cursor` is the position after it. `raw` is at most `MAX_LETTER_BYTES`, and empty if the header rules out any event.
    """

    cursor: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class UnsubscribeRequest:
    """A request to unsubscribe the reader with this token. Whether there is one, only the store knows."""

    token: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """Mail to `recipient` could not be delivered, according to a delivery status notification (RFC 3464).

    `status` is the enhanced status code, `diagnostic` what the recipient's server said. `hard`: the mailbox does not
    exist or is disabled. `returned`: the report includes the failed message or its header, from which `message_id` and
    `token` are taken; they are '' otherwise. Anyone can write such a report, but only one that includes what we sent is
    known to be about our mail.
    """

    recipient: str
    status: str
    hard: bool
    diagnostic: str
    returned: bool
    message_id: str
    token: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A reader marked our mail as spam, according to a report of their mail service (RFC 5965)."""

    message_id: str
    token: str


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A letter to the sign-up address. `address` is the one in From; `message_id` is the letter's own, or ''."""

    address: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A reply with the token of a confirmation mail. It does not matter who wrote it: mail is forwarded."""

    token: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Command:
    """Something that a reader asks for.

    `word` is "more" or "less" (`argument`: a paper's name, or its place in the mail), "topics" (names, separated by
    commas), "max" (a number or "default"), "days" (of the week, separated by spaces, or "all"), "pause" ("2 weeks",
    "until 2026-05-04" or ""), "resume", "help", "unsubscribe" or "reset".
    """

    word: str
    argument: str = ""


@dataclass(frozen=True, slots=True)
class ReaderLetter:
    """A letter in which a reader votes or chooses.

    With a feedback `token` it is its subscriber's. Without one ('') it is that of the `address` in From, if
    `replied_to`, the Message-ID in In-Reply-To, is of our mail to that address. `message_id` is the letter's own.
    """

    token: str
    address: str
    replied_to: str
    message_id: str
    commands: tuple[Command, ...]


LetterEvent = UnsubscribeRequest | Bounce | Complaint | SubscribeRequest | Confirmation | ReaderLetter
