"""Deliver messages: hand each one to a mail server or a Maildir and report what became of it.

This is what happens to one message over SMTP, from its claim in the outbox to its settled outcome:

 1. Claim. The connection pool asks its caller's iterator for the next message. The outbox (digest.store.outbox)
    reserves messages for this run, a hundred in one commit, before the pool sees any of them. They stay `pending`.
 2. Connect. If no open connection is free, a thread opens one: TCP, TLS with a verified certificate, EHLO, login. A
    connection then carries many messages.
 3. Envelope. MAIL FROM and RCPT TO name the sender and the recipient, DATA announces the body. They are sent together
    if the server supports PIPELINING (RFC 2920), otherwise one by one. Without a body, nothing is delivered.
 4. Announcement. When the server has answered 354 to DATA, it waits for the body. The pool says so to its caller by an
    `Outcome` whose state is `sending`, and the caller writes that to disk (Outbox.settle).
 5. Body. Only now the body is sent, and then the final dot: a line that is just ".".
 6. Reply. The final dot hands the message over. The server accepts it with 2xx, or rejects it: for now with 4xx, for
    good with 5xx.
 7. Outcome. The pool turns the reply into an `Outcome`: sent, pending (try again), refused, or in doubt when the
    connection died between the final dot and the reply.
 8. Commit. Outcomes and announcements that are known at the same time are yielded as one batch. The caller writes it to
    disk and then asks for the next one. The next envelope on a connection was sent right behind the final dot, so the
    outcome of one message and the announcement of the next are usually in the same batch: one commit for both.

The process may be killed at any instant. What is then true of the message, and what the next run does:

  * Before the commit of its announcement, nothing of its body has left. The outbox says `pending`, so it is a message
    like any other that waits: it is sent, or expires and has shown nothing.
  * From then until the commit of its outcome, the server may have it. The outbox says `sending`, so the next run treats
    it as in doubt and sends it again: the same bytes with the same Message-ID, so that a mail program can drop one.
  * After that, the outcome is on disk. A message that was sent is never sent again.

So a connection has at most one message that was announced and whose outcome is not on disk, and a crash makes at most
one message per connection arrive twice. No client can do better (RFC 1047): a server that accepted a message and lost
the connection before its reply looks the same as one that lost it before accepting.

Every delivery method is a function of the type `Deliver`, which keeps these promises:

  * It is lazy and runs in the caller's thread. It takes a message only when it has room for it.
  * It does not send a body before the caller has asked for the batch after the one that announced it, which is never
    earlier than the one with the connection's last outcome.
  * Every body that it sends has an outcome, unless the process or the caller ends first.
  * Once `stopped()` is true, it starts nothing new, waits for the outcomes of the bodies already sent, and ends.

The public face of the package is `__all__`: the values that go in and out, the settings, the two delivery methods
`smtp` and `maildir`, and `providers`.
"""

import json
import re
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from digest.settings import Secret, invalid_value, number_between, one_of, quote_value

__all__ = [
    "Batches", "Deliver", "MaildirSettings", "Message", "Outcome", "Rate", "ServerRejected",
    "ServerUnreachable", "SmtpSettings", "State", "is_loopback", "maildir", "providers", "smtp",
]  # fmt: skip

_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|::1|\[::1\]")  # RFC 6761 6.3, RFC 1122 3.2.1.3, RFC 4291 2.5.3
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class State(StrEnum):
    """The state of a delivery. Pending, sending and in doubt: still in the queue. The others are final.

    Sending: its body may have been sent. In doubt: it may have arrived, and nobody will say so any more.
    """

    PENDING = "pending"
    SENDING = "sending"
    DOUBT = "in doubt"
    SENT = "sent"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address.

    `key` identifies it to the caller, `sender` and `address` are its envelope (without a sender, '', nothing is ever
    sent back: RFC 5321 4.5.5), `content` is the whole message with CRLF line ends. `repeated` is set if an earlier run
    may have delivered it already. `leading_dots` is False only if no line of `content` begins with a dot, for certain:
    SMTP need not search it for them then.
    """

    key: int
    sender: str
    address: str
    content: bytes
    repeated: bool = False
    leading_dots: bool = True


@dataclass(frozen=True, slots=True)
class Outcome:
    """The new state of the message `key`, and the reply or error that explains it.

    The state `sending` is an announcement: the body of the message is sent next, and its real outcome follows.

    `stop` is set if the reply is about us rather than about this address (login, sender, policy): sending anything more
    in this run would fail the same way.
    """

    key: int
    state: State
    reply: str
    stop: bool = False


class ServerUnreachable(Exception):
    """No connection can be opened now; it may work later."""


class ServerRejected(Exception):
    """The server rejects us until somebody fixes what the text says."""


Batches = Generator[Sequence[Outcome], None, None]
Deliver = Callable[[Iterator[Message], Callable[[], bool]], Batches]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` messages in any period of `seconds`."""

    count: int
    seconds: int


def is_loopback(host: str) -> bool:
    """Whether a host name or address is always this machine."""
    return bool(_LOOPBACK.fullmatch(host.lower()))


def _parse_hosts(values: list[str]) -> tuple[str, ...]:
    """Each host once, in any case."""
    if not values:
        raise ValueError('must not be empty; write one like "smtp.example.org"')
    return tuple({host.lower(): host for host in map(_parse_host, values)}.values())


def _parse_host(value: str) -> str:
    if "," in value:
        hosts = json.dumps([host.strip() for host in value.split(",") if host.strip()])
        raise invalid_value("a host name", value, f"write several as host = {hosts}")
    name, _, port = value.rpartition(":")
    if name and port.isdecimal() and ":" not in name.strip("[]"):
        raise ValueError(f'{quote_value(value)} contains a port; write host = "{name}" and port = {port}')
    if not re.fullmatch(r"[\w.-]+|\[?[0-9A-Fa-f:.]+\]?", value):
        raise invalid_value("a host name", value, 'write one like "smtp.example.org"')
    return value


def _parse_rate(value: str) -> Rate:
    match = re.fullmatch(r"\s*([1-9][0-9]{0,6})\s*/\s*([smhd])\s*", value)
    if not match:
        raise invalid_value("a rate", value, 'write one like "14/s", "500/h" or "2000/d"')
    return Rate(int(match[1]), _SECONDS[match[2]])


def _parse_command(value: str) -> tuple[str, ...]:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise invalid_value("a command", value, f"check its quotes: {error}") from None
    if not words:
        raise ValueError('must not be empty; write a command that prints an access token, like "oauth2-token gmail"')
    return tuple(words)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The `[smtp]` table. `timeout` is how many seconds to wait for each reply of the server.

    `host` are the relays. All the other keys are the same for each of them; `connections` and `rate` are in all.
    """

    host: tuple[str, ...] = field(metadata={"read": _parse_hosts, "or_string": True, "example": '"smtp.example.org"'})
    port: int = field(default=587, metadata={"read": number_between(1, 65535)})
    security: str = field(default="starttls", metadata={"read": one_of("starttls", "tls", "none")})
    username: str = ""
    token_command: tuple[str, ...] = field(default=(), metadata={"read": _parse_command, "type": str})
    connections: int = field(default=1, metadata={"read": number_between(1, 64)})
    rate: Rate | None = field(default=None, metadata={"read": _parse_rate, "type": str, "example": '"14/s"'})
    timeout: float = field(default=30.0, metadata={"read": number_between(0.1, 600)})
    password: Secret = field(default=Secret(""), metadata={"secret": "DIGEST_SMTP_PASSWORD"})


@dataclass(frozen=True, slots=True)
class MaildirSettings:
    """The `[maildir]` table."""

    path: Path = field(metadata={"example": '"mail"'})
