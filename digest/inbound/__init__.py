"""What comes back: the mailbox that readers, servers and mail programs answer to, and what a letter in it can ask for.

    letters (imap or maildir) -> requests in them -> the store acts on each once

The mailbox is only ever read. No letter is marked, moved or deleted, and what asks for nothing is left alone.

A letter, and what it can ask for.
"""

from dataclasses import dataclass, field
from pathlib import Path

from digest.delivery import LOOPBACK
from digest.settings import Secret, number_between, one_of


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """The `[inbox]` table: a Maildir at `path`, or a `folder` on a server, where `timeout` (s) bounds each wait."""

    path: Path | None = field(default=None, metadata={"example": '"Maildir"'})
    host: str = field(default="", metadata={"example": '"imap.example.org"'})
    port: int = field(default=993, metadata={"read": number_between(1, 65535)})
    security: str = field(default="tls", metadata={"read": one_of("tls", "starttls", "none")})
    username: str = ""
    folder: str = "INBOX"
    timeout: float = field(default=30.0, metadata={"read": number_between(0.1, 600)})
    password: Secret = field(default=Secret(""), metadata={"secret": "DIGEST_INBOX_PASSWORD"})

    @property
    def loopback(self) -> bool:
        return self.host.lower() in LOOPBACK


LIMIT = 1_000_000  # octets of a letter that are read; what it can ask for stands in the first few thousand


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter and the cursor behind it. `raw` is at most `LIMIT` octets, and empty where the head asks for nothing."""

    cursor: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class UnsubscribeRequest:
    """Whoever this token stands for wants no more mail. Whether it stands for anybody, the subscribers know."""

    token: str


@dataclass(frozen=True, slots=True)
class Bounce:
    """Mail to `recipient` failed for good or for now, says a delivery status notification (RFC 3464).

    `hard` says that there is no such mailbox. `returned` says that some of the failed mail came back with the report:
    then `message_id` and `token` are what its headers hold, else they are ''. Anyone can write such a report; only one
    that holds what we sent is known to answer it.
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
    """A reader called our mail spam, says her mail service (RFC 5965)."""

    message_id: str
    token: str


LetterEvent = UnsubscribeRequest | Bounce | Complaint
