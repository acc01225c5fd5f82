"""What a way of delivery is: messages in, what became of each out, and never a body ahead of the record.

    deliver(messages, stopped) -> batches of outcomes

All of it is lazy, in one thread. Messages are taken from `messages` as there is room for them. Outcomes that are known
at the same time come out as one batch, and asking for the next batch says that this one is on disk. The promise of
every way of delivery is: *no body leaves on a connection before the outcome of the body that left on it before was
taken, and the next batch asked for.* So a process that is killed leaves at most one message a connection that arrived
without a record, however many connections share a commit.

Once `stopped()` is true nothing new leaves: what is under way comes to its outcome, and the generator ends.
"""

import re
import shlex
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from digest.settings import Secret, number_between, one_of, quote_value

LOOPBACK = ("localhost", "127.0.0.1", "::1", "[::1]")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class State(StrEnum):
    """Where a delivery stands. Pending, sending and doubtful ones are in the queue; the others are settled."""

    PENDING = "pending"
    SENDING = "sending"
    DOUBT = "in doubt"
    SENT = "sent"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one address. `bytes` is the whole of it, lines ended by CRLF; `key` is the caller's.

    `repeated` is set when it may have arrived already.
    """

    key: int
    sender: str
    address: str
    bytes: bytes
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message: the state it is in now and the reply that says why.

    `stop` is set when the reply is about us rather than this address (login, sender, policy): nothing more should be
    tried in this run.
    """

    key: int
    state: State
    reply: str
    stop: bool = False


Batches = Generator[Sequence[Outcome], None, None]
Deliver = Callable[[Iterator[Message], Callable[[], bool]], Batches]


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` messages in any stretch of `seconds`."""

    count: int
    seconds: int


def _host(value: str) -> str:
    name, _, port = value.rpartition(":")
    if name and port.isdecimal() and ":" not in name.strip("[]"):
        raise ValueError(f'{quote_value(value)} has a port in it; write host = "{name}" and port = {port}')
    if not re.fullmatch(r"[\w.-]+|\[?[0-9A-Fa-f:.]+\]?", value):
        raise ValueError(f'{quote_value(value)} is not the name of a server; write one like "smtp.example.org"')
    return value


def _port(value: int) -> int:
    return int(number_between(1, 65535)(value))


def _rate(value: str) -> Rate:
    found = re.fullmatch(r"\s*([1-9][0-9]{0,6})\s*/\s*([smhd])\s*", value)
    if not found:
        raise ValueError(f'{quote_value(value)} is not a rate; write one like "14/s", "500/h" or "2000/d"')
    return Rate(int(found[1]), _SECONDS[found[2]])


def _command(value: str) -> tuple[str, ...]:
    try:
        words = shlex.split(value)
    except ValueError as problem:
        raise ValueError(f"{quote_value(value)} is not a command: {problem}; check its quotes") from None
    if not words:
        raise ValueError('is empty; write a command that prints an access token, like "oauth2-token gmail"')
    return tuple(words)


@dataclass(frozen=True, slots=True)
class SmtpSettings:
    """The `[smtp]` table. `timeout` in seconds bounds every wait for the server."""

    host: str = field(metadata={"read": _host, "example": '"smtp.example.org"'})
    port: int = field(default=587, metadata={"read": _port})
    security: str = field(default="starttls", metadata={"read": one_of("starttls", "tls", "none")})
    username: str = ""
    token_command: tuple[str, ...] = field(default=(), metadata={"read": _command, "type": str})
    connections: int = field(default=1, metadata={"read": number_between(1, 64)})
    rate: Rate | None = field(default=None, metadata={"read": _rate, "type": str, "example": '"14/s"'})
    timeout: float = field(default=30.0, metadata={"read": number_between(0.1, 600)})
    password: Secret = field(default=Secret(""), metadata={"secret": "DIGEST_SMTP_PASSWORD"})

    @property
    def loopback(self) -> bool:
        return self.host.lower() in LOOPBACK


@dataclass(frozen=True, slots=True)
class MaildirSettings:
    """The `[maildir]` table."""

    path: Path = field(metadata={"example": '"mail"'})
