"""Whole SMTP replies out of whatever pieces arrive, in bounded memory; anything else is NotSmtp.

What a server's no means: not now, not this address, or not us.

One connection's talk with the server after the login: bytes in, bytes out, exact about what may have arrived.

Where the server announces PIPELINING (RFC 2920), MAIL, RCPT and DATA go out together, and the next message's envelope
rides behind the final dot ("the actual transfer of message content is explicitly allowed to be the first command in a
group", 3.1): one wait a message. An envelope without its body delivers nothing, so that is as exact as taking turns.
Without PIPELINING the same talk goes one command at a time.

    offer(m1)  ──▶ MAIL RCPT DATA ──▶ ready ──▶ begin(m2)  ──▶ body of m1, dot, MAIL RCPT DATA of m2 ──▶ ready ──▶ …
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from digest.delivery import Message, Outcome, State

# RFC 5321 4.5.3.1.5 allows 512 octets a reply line; servers exceed it, so the bound is generous.
_LONGEST = 4096
_MOST_LINES = 100
_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")


class InvalidReply(Exception):
    """What came is no SMTP reply; the text says what it was."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of one or more lines: its code, and its words on one line that can be shown on a terminal."""

    code: int
    words: str

    def __str__(self) -> str:
        return f"{self.code} {self.words}".rstrip()

    @property
    def enhanced(self) -> str:
        """The enhanced status code (RFC 3463), or nothing."""
        found = _ENHANCED.match(self.words)
        return found[0] if found else ""


class ReplyParser:
    """The replies of one connection; what is half there waits for the rest."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Reply]:
        """The replies that are complete now. Raises NotSmtp at the first thing that is none."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = self._line(line.rstrip(b"\r"))
            if reply is not None:
                yield reply
        if len(self._rest) > _LONGEST:
            raise InvalidReply("a line without an end")

    def _line(self, line: bytes) -> Reply | None:
        found = _LINE.fullmatch(line) if len(line) <= _LONGEST else None
        if found is None:
            raise InvalidReply(repr(line[:60].decode("ascii", "replace")))
        self._lines.append(found[3] or b"")
        if len(self._lines) > _MOST_LINES:
            raise InvalidReply("a reply without an end")
        if found[2] == b"-":
            return None
        said, self._lines = b" ".join(self._lines), []
        return Reply(int(found[1]), printable_reply(said))


def printable_reply(said: bytes) -> str:
    """What a server said, as a line of at most 300 characters without control characters."""
    text = said.decode("utf-8", "replace")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:300]


_LOGIN = (530, 534, 535, 538)  # RFC 4954 6
_BAD_SENDER = ("5.1.7", "5.1.8")  # RFC 3463 3.2: bad sender's mailbox address, bad sender's system address
_TOO_BIG = "5.3.4"
_FULL = "5.2.2"  # a mailbox that may have room tomorrow, as 552 is without an enhanced code
_BELIEVED = 3  # policy refusals


class Stage(Enum):
    """What a reply answers."""

    RESET = "RSET"
    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    BODY = "the message"
    NOTHING = "an empty message"
    QUIT = "QUIT"


class ReplyClassifier:
    """Turns refusals into outcomes, over one run and all its connections.

    RFC 5321 4.2.1: 4xx will pass, 5xx will not. Whether a 5xx is about this address or about us is in the enhanced code
    (RFC 3463). A policy refusal (5.7.x) can be either: an address that takes mail from few, or a server that does not
    relay for us. One that meets some address after another message of the run was accepted is about the address;
    three of them while nothing was accepted are about us. Until that is decided the messages stay pending, so that one
    such address, at the head of the queue, does not keep the mail from everyone.
    """

    def __init__(self) -> None:
        self.accepted = False
        self._suspicions = 0

    def verdict(self, message: Message, stage: Stage, reply: Reply) -> Outcome:
        """The outcome of a message that `reply` refuses at `stage`."""
        said = str(reply)
        if reply.enhanced == _TOO_BIG or (reply.code == 552 and stage is Stage.SENDER):  # RFC 1870 6.1
            return Outcome(message.key, State.PENDING, f"{said}; set digest.max_papers lower", stop=True)
        if reply.code < 500 or reply.code == 552 or reply.enhanced == _FULL:
            return Outcome(message.key, State.PENDING, said)
        if stage is Stage.SENDER or reply.code in _LOGIN or reply.enhanced in _BAD_SENDER:
            return Outcome(message.key, State.PENDING, f"{said}; check digest.from and smtp.username", stop=True)
        if reply.enhanced.startswith("5.7.") and not self.accepted:
            self._suspicions += 1
            us = self._suspicions >= _BELIEVED
            advice = "; ask who runs the server whether it sends mail for digest.from"
            return Outcome(message.key, State.PENDING, said + advice, stop=us)
        return Outcome(message.key, State.REFUSED, said)


_SAYABLE = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")  # printable ASCII without < and >: nothing that ends a command
_ENVELOPE = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA)
_WANTED = {Stage.DATA: 3}  # the first digit of a yes; it is 2 elsewhere


class SessionLost(Exception):
    """The connection can go on no longer; the text says why."""


class SmtpSession:
    """The state of one connection. It does no I/O: `out` is what is to be written, `outcomes` what became known."""

    def __init__(self, features: dict[str, str], judge: ReplyClassifier) -> None:
        self.out = bytearray()
        self.outcomes: list[Outcome] = []
        self.ready = False  # the server waits for the body of the message whose envelope it has
        self.heard = 0  # replies
        self.served = 0  # messages that came to a definite answer
        self.closing = False
        self._pipelining = "pipelining" in features
        size = features.get("size", "").strip()
        self._limit = int(size) if size.isdecimal() else None  # RFC 1870; 0 means none is known
        self._judge = judge
        self._replies = ReplyParser()
        self._unsaid: deque[tuple[Stage, bytes]] = deque()
        self._awaited: deque[Stage] = deque()
        self._body: Message | None = None  # its final dot was said, the answer is awaited
        self._envelope: Message | None = None
        self._refusal: Outcome | None = None  # of the envelope
        self._begun = False  # MAIL was accepted: the transaction is open until the body or RSET
        self._taken = False  # RCPT was accepted
        self._behind = 0  # octets said after the final dot

    @property
    def idle(self) -> bool:
        """Nothing is under way: a message can be offered."""
        return not (self._awaited or self._unsaid or self._envelope or self._body or self.closing)

    @property
    def awaiting(self) -> bool:
        """The server owes an answer."""
        return bool(self._awaited)

    @property
    def in_body(self) -> bool:
        """The answer that counts is owed: the one to the final dot."""
        return self._body is not None

    def offer(self, message: Message) -> None:
        """Begin a message with its envelope, or refuse it here if it cannot be said."""
        if self._limit and len(message.bytes) > self._limit:
            sizes = f"{len(message.bytes):,} bytes, and the server takes {self._limit:,}"
            reply = f"the message has {sizes}; set digest.max_papers lower"
            self.outcomes.append(Outcome(message.key, State.PENDING, reply, stop=True))
            return
        if not (_SAYABLE.fullmatch(message.address) and _SAYABLE.fullmatch(message.sender)):
            self.outcomes.append(Outcome(message.key, State.REFUSED, "the address cannot be said in SMTP"))
            return
        self._envelope, self._refusal = message, None
        if self._begun:
            self._unsaid.append((Stage.RESET, b"RSET\r\n"))
        size = f" SIZE={len(message.bytes)}" if self._limit is not None else ""
        self._unsaid.append((Stage.SENDER, f"MAIL FROM:<{message.sender}>{size}\r\n".encode("ascii")))
        self._unsaid.append((Stage.RECIPIENT, f"RCPT TO:<{message.address}>\r\n".encode("ascii")))
        self._unsaid.append((Stage.DATA, b"DATA\r\n"))
        self._speak()

    def begin(self, following: Message | None) -> None:
        """Send the body the server is ready for, and behind it the envelope of the message that follows.

        Only when the outcome of the body before is on disk.
        """
        message, self._envelope = self._envelope, None
        if message is None or not self.ready:
            raise RuntimeError("a body before the server is ready for one")
        self._body, self.ready, self._begun = message, False, False
        self.out += dot_stuff(message.bytes)
        self._awaited.append(Stage.BODY)
        before = len(self.out)
        if following is not None:
            self.offer(following)
        self._behind = len(self.out) - before

    def quit(self) -> None:
        """Take leave; the connection is done when the server has answered."""
        self.closing = True
        self._unsaid.append((Stage.QUIT, b"QUIT\r\n"))
        self._speak()

    def receive(self, data: bytes) -> None:
        """Take in what the server said. Raises Lost when it said goodbye, or something that is not SMTP."""
        try:
            for reply in self._replies.feed(data):
                self.heard += 1
                self._heard(reply)
                self._speak()
        except InvalidReply as problem:
            raise SessionLost(f"the server said something that is not SMTP: {problem}") from None

    def lost(self, why: str, unwritten: int) -> Message | None:
        """The connection is gone, `unwritten` octets of `out` with it; return the message that may be tried elsewhere.

        A body whose final dot did not leave has not arrived. One whose dot left unanswered is in doubt (RFC 1047).
        """
        if self._body is not None:
            state = State.PENDING if unwritten > self._behind else State.DOUBT
            self.outcomes.append(Outcome(self._body.key, state, why))
        envelope, self._envelope, self._body, self.ready = self._envelope, None, None, False
        if envelope is not None and self._refusal is not None:
            self.outcomes.append(self._refusal)
            return None
        return envelope

    def _speak(self) -> None:
        while self._unsaid and (self._pipelining or not self._awaited):
            stage, line = self._unsaid.popleft()
            self.out += line
            self._awaited.append(stage)

    def _heard(self, reply: Reply) -> None:
        if reply.code == 421 and (not self._awaited or self._awaited[0] is not Stage.BODY):
            raise SessionLost(str(reply))
        if not self._awaited:
            raise SessionLost(f"the server spoke out of turn: {reply}")
        stage = self._awaited.popleft()
        if self._body is not None and stage is Stage.BODY:
            self._answered(self._body, reply)
        elif self._envelope is not None and stage in _ENVELOPE:
            self._envelope_heard(self._envelope, stage, reply)
        elif stage is Stage.QUIT:
            raise SessionLost(str(reply))
        else:
            self._begun = False  # RSET, or the lone dot that ends a message to nobody

    def _answered(self, message: Message, reply: Reply) -> None:
        """The answer to the final dot: the body's outcome."""
        self._body = None
        if reply.code // 100 == 3:
            self.outcomes.append(Outcome(message.key, State.DOUBT, f"the server did not say yes or no: {reply}"))
            raise SessionLost(f"the server spoke out of turn: {reply}")
        if reply.code // 100 == 2:
            self._judge.accepted = True
            self.outcomes.append(Outcome(message.key, State.SENT, str(reply)))
        else:
            self.outcomes.append(self._judge.verdict(message, Stage.BODY, reply))
        if reply.code == 421:
            raise SessionLost(str(reply))
        self.served += 1

    def _envelope_heard(self, message: Message, stage: Stage, reply: Reply) -> None:
        good = reply.code // 100 == _WANTED.get(stage, 2)
        if not good and reply.code < 400:
            raise SessionLost(f"the server spoke out of turn: {reply}")
        if stage is Stage.SENDER:
            self._begun = good
        if stage is Stage.RECIPIENT:
            self._taken = good
        if not good and self._refusal is None:
            self._refusal = self._judge.verdict(message, stage, reply)
        if self._refusal is None:
            self.ready = stage is Stage.DATA
        else:
            self._refused(self._refusal, stage, good)

    def _refused(self, refusal: Outcome, stage: Stage, good: bool) -> None:
        """The envelope will not do: end the transaction, then say so.

        A server may say 354 to DATA although it took no recipient; then a lone dot ends the message (RFC 2920 3.1). If
        it did take the recipient, the dot would deliver an empty message: only hanging up delivers none.
        Commands that were not said yet are dropped.
        """
        if any(said in _ENVELOPE for said in self._awaited):
            return
        self._unsaid.clear()
        self.outcomes.append(refusal)
        self._envelope = self._refusal = None
        self.served += 1
        if stage is Stage.DATA and good:
            if self._taken:
                raise SessionLost("the server took a recipient without a sender")
            self.out += b".\r\n"
            self._awaited.append(Stage.NOTHING)


def dot_stuff(body: bytes) -> bytes:
    """The body as it goes over the wire (RFC 5321 4.5.2): dots at line starts doubled, a line with a dot at the end."""
    if b"\r\n." in body:
        body = body.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (b".\r\n" if body.endswith(b"\r\n") else b"\r\n.\r\n")
