"""Read the mailbox that receives what readers and mail servers answer: unsubscribe requests, bounces and complaints.

    IMAP folder or Maildir ──▶ letters ──▶ events ──▶ digest.pipeline.inbox acts on each event once

The mailbox is only ever read: no letter is marked, moved or deleted, and letters without an event are skipped.

The public face is `__all__`: the settings, the events, and the submodule `mailbox`, whose `read_mailbox` yields the
letters that hold events. It uses `imap` to fetch letters from a server, `letters` to find the events in a letter, `dsn`
for those in a report of a mail server, and `headers` to parse header fields.
"""

from dataclasses import dataclass, field
from pathlib import Path

from digest.delivery import LOOPBACK
from digest.settings import Secret, number_between, one_of

__all__ = [
    "MAX_LETTER_BYTES", "Bounce", "Complaint", "InboxSettings", "Letter", "LetterEvent", "UnsubscribeRequest",
    "mailbox",
]  # fmt: skip

MAX_LETTER_BYTES = 1_000_000  # read of a letter; its events are in the first few thousand


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """The `[inbox]` table: a Maildir at `path`, or a `folder` on a server.

    `timeout` is how many seconds to wait for the server each time; reading all of the folder takes at most 60 times as
    long.
    """

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


LetterEvent = UnsubscribeRequest | Bounce | Complaint
