"""Write the mail that answers a letter: short, plain text, from templates.

An answer says that a program wrote it, so that no other program answers it (RFC 3834), and repeats nothing of the
letter but its Message-ID. Who asks for somebody else cannot make us send them a word of his own.
"""

import logging
import secrets
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.utils import format_datetime
from pathlib import Path

from digest.errors import ConfigError
from digest.mail.address import Mailbox
from digest.mail.message import folded, folded_subject, quoted_printable
from digest.mail.requests import FeedbackSettings, SignupSettings, tagged_address
from digest.mail.templates import Templates
from digest.mail.unsubscribe import UnsubscribeSettings, unsubscribe_link
from digest.papers.text.fit import header_text

log = logging.getLogger("digest")


@dataclass(frozen=True, slots=True)
class AnswerMail:
    """An answer. `kind` is "confirmation", "welcome", "choices" or "help"."""

    to: str
    kind: str
    message_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Choices:
    """How a reader's subscription stands, in words.

    `subscribed` is whether they get mail at all, `state` what mail, `topics` and `days` what they chose, `known_topics`
    what there is to choose from; `max_papers` is the largest number of papers in a mail. `notes` are sentences about
    what they asked for.
    """

    subscribed: bool
    state: str
    topics: tuple[str, ...]
    known_topics: tuple[str, ...]
    max_papers: int
    days: str
    notes: tuple[str, ...] = ()


class AnswerWriter:
    """Writes the answers of one digest. A template in the folder `overrides` replaces the bundled one of its name."""

    def __init__(
        self,
        title: str,
        sender: Mailbox,
        unsubscribe: UnsubscribeSettings,
        signup: SignupSettings | None,
        feedback: FeedbackSettings | None,
        overrides: Path | None = None,
    ) -> None:
        self._title = title
        self._sender = sender
        self._unsubscribe = unsubscribe
        self._signup = signup
        self._feedback = feedback
        self._templates = Templates(overrides)

    def confirmation(self, to: str, token: str, letter: str, now: datetime) -> AnswerMail:
        """Return the mail that asks whoever reads mail to this address to confirm, in reply to `letter`.

        Any reply carries the token: in its subject, and in the address that it goes to.
        """
        reply_to = tagged_address(self._signup.mailto, token) if self._signup else ""
        return self._write("confirmation", to, letter, now, {"token": token}, reply_to)

    def about_choices(self, kind: str, to: str, token: str, choices: Choices, letter: str, now: datetime) -> AnswerMail:
        """Return the mail that says how things stand: "welcome", "choices" or "help"; `token` unsubscribes."""
        values = {
            "choices": choices,
            "votes": self._feedback is not None,
            "unsubscribe_link": unsubscribe_link(self._unsubscribe, self._sender, token),
            "signup": self._signup.mailto if self._signup else "",
        }
        return self._write(kind, to, letter, now, values)

    def _fill(self, name: str, values: dict[str, object]) -> str:
        """Return a template with these values; the bundled one where a reader would wait for a broken one in vain."""
        try:
            return self._templates.fill(name, values)
        except ConfigError as error:
            log.warning("bundled template used", {"why": "; ".join(error.problems)})
            return Templates().fill(name, values)

    def _write(
        self, kind: str, to: str, letter: str, now: datetime, values: dict[str, object], reply_to: str = ""
    ) -> AnswerMail:
        subject, _, text = self._fill(f"{kind}.txt", {"title": self._title, **values}).partition("\n")
        # In the form of an edition's, which letters are recognized by; nobody else can know it.
        identity = f"<{now:%Y%m%d}.{secrets.token_hex(10)}@{self._sender.domain}>"
        fields = [
            folded("From", str(Address(self._sender.name, addr_spec=self._sender.address))),
            f"To: {to}\r\n".encode(),
            folded_subject(header_text(subject.removeprefix("Subject:").strip(), 200)),
            f"Date: {format_datetime(now)}\r\nMessage-ID: {identity}\r\n".encode(),
            f"Reply-To: {reply_to}\r\n".encode() if reply_to else b"",
            f"In-Reply-To: {letter}\r\nReferences: {letter}\r\n".encode() if letter else b"",
            b"Auto-Submitted: auto-replied\r\nPrecedence: bulk\r\nX-Auto-Response-Suppress: All\r\n",
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n',
        ]
        return AnswerMail(to, kind, identity, b"".join(fields) + quoted_printable(text.strip("\n") + "\n"))
