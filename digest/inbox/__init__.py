"""What comes back: the mailbox that readers, servers and mail programs answer to, and what a letter in it can ask for.

    letters (imap or maildir) -> requests in them -> the store acts on each once

The mailbox is only ever read. No letter is marked, moved or deleted, and what asks for nothing is left alone.
"""

from dataclasses import dataclass, field
from pathlib import Path

from digest.delivery import LOOPBACK, Secret
from digest.settings import between, one_of


@dataclass(frozen=True, slots=True)
class Inbox:
    """The `[inbox]` table: a Maildir at `path`, or a `folder` on a server, where `timeout` (s) bounds each wait."""

    path: Path | None = field(default=None, metadata={"example": '"Maildir"'})
    host: str = field(default="", metadata={"example": '"imap.example.org"'})
    port: int = field(default=993, metadata={"read": between(1, 65535)})
    security: str = field(default="tls", metadata={"read": one_of("tls", "starttls", "none")})
    username: str = ""
    folder: str = "INBOX"
    timeout: float = field(default=30.0, metadata={"read": between(0.1, 600)})
    password: Secret = field(default=Secret(""), metadata={"secret": "DIGEST_INBOX_PASSWORD"})

    @property
    def loopback(self) -> bool:
        return self.host.lower() in LOOPBACK
