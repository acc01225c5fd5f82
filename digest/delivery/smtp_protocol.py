"""The SMTP protocol after the login, as a state machine. Pure: bytes in, bytes and outcomes out, no I/O.

    bytes ──▶ ReplyParser ──▶ Reply ──▶ SmtpSession ──▶ outgoing bytes, outcomes
                                             └── ReplyClassifier: what a rejection means

The module hides how replies are matched to commands, with and without PIPELINING, and how to tell, at whatever point a
connection dies, whether a message may have arrived. `SmtpSession` sends one message after the other:

    send_envelope(m1)   sends MAIL RCPT DATA of m1; the replies set next_body to m1
    send_body(m2)       sends body of m1, final dot, MAIL RCPT DATA of m2; the replies are the outcome of m1 and set
                        next_body to m2
    send_body(m3)       …

If the server supports PIPELINING (RFC 2920), MAIL, RCPT and DATA are sent together, and the next envelope right behind
the final dot ("the actual transfer of message content is explicitly allowed to be the first command in a group",
3.1): one round trip per message. Without PIPELINING, the same commands are sent one by one.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from digest.delivery import Message, Outcome, State

# RFC 5321 4.5.3.1.5 allows 512 bytes in a reply line; servers exceed it, so the limit is generous.
_MAX_LINE_BYTES = 4096
_MAX_REPLY_LINES = 100
_REPLY_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?", re.DOTALL)
_ENHANCED_CODE = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?= |$)")

_LOGIN_CODES = (530, 534, 535, 538)  # RFC 4954 6
_BAD_SENDER = ("5.1.7", "5.1.8")  # RFC 3463 3.2: bad sender's mailbox address, bad sender's system address
_TOO_LARGE = "5.3.4"  # RFC 3463 3.4: message too big for system
_MAILBOX_FULL = "5.2.2"  # may have space tomorrow, like 552 without an enhanced code
_MAX_POLICY_REFUSALS = 3
_MAX_PUT_OFF = 3
_SIZE = re.compile(r"[0-9]{1,20}")  # RFC 1870 3

_ADDRESS = re.compile(r"[!-;=?-~]+@[!-;=?-~]+")  # printable ASCII without spaces, < and >: cannot end a command


class InvalidReply(Exception):
    """What the server sent is not an SMTP reply; the text describes it."""


class SessionLost(Exception):
    """The session cannot go on; the text says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: its code, and the text of all its lines as one printable line."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip()

    @property
    def enhanced_code(self) -> str:
        """The enhanced status code (RFC 3463), or ''."""
        match = _ENHANCED_CODE.match(self.text)
        return match[0] if match else ""

    @property
    def about_server(self) -> bool:
        """Whether a rejection is about the server rather than an address: X.3.X (RFC 3463 3.4); else 421 or 452."""
        return self.enhanced_code[1:4] == ".3." if self.enhanced_code else self.code in (421, 452)


class ReplyParser:
    """Split what arrives on a connection into replies, in bounded memory. Keeps an incomplete reply for later.

    `hide_secrets` removes from a reply what a server may quote of our login.
    """

    def __init__(self, hide_secrets: Callable[[bytes], bytes] = bytes) -> None:
        self._hide_secrets = hide_secrets
        self._rest = b""
        self._lines: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield the replies that are now complete. Raises InvalidReply at the first line that is not part of one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            reply = self._parse_line(line.rstrip(b"\r"))
            if reply is not None:
                yield reply
        if len(self._rest) > _MAX_LINE_BYTES:
            raise InvalidReply(f"a line longer than {_MAX_LINE_BYTES:,} bytes")

    def _parse_line(self, line: bytes) -> Reply | None:
        match = _REPLY_LINE.fullmatch(line) if len(line) <= _MAX_LINE_BYTES else None
        if match is None:
            raise InvalidReply(repr(self._hide_secrets(line)[:60].decode("ascii", "replace")))
        self._lines.append(match[3] or b"")
        if len(self._lines) > _MAX_REPLY_LINES:
            raise InvalidReply(f"a reply of more than {_MAX_REPLY_LINES} lines")
        if match[2] == b"-":
            return None
        text, self._lines = b"\n".join(self._lines), []
        return Reply(int(match[1]), printable_reply(self._hide_secrets(text)))


def printable_reply(raw: bytes) -> str:
    """Return the lines of a reply as one of at most 300 characters, without control characters.

    The enhanced status code, which every line repeats (RFC 2034 4), is kept on the first one only.
    """
    first, *others = raw.decode("utf-8", "replace").split("\n")
    if others and (code := _ENHANCED_CODE.match(first)):
        others = [line.removeprefix(f"{code[0]} ") for line in others]
    text = " ".join((first, *others))
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())[:300]


def size_limit(features: Mapping[str, str]) -> int | None:
    """Return the largest message in bytes that a server accepts (RFC 1870): 0 for any, None if it does not say."""
    size = features.get("size", "").strip()
    return int(size) if _SIZE.fullmatch(size) else None


class Stage(Enum):
    """What a reply answers."""

    RESET = "RSET"
    SENDER = "MAIL"
    RECIPIENT = "RCPT"
    DATA = "DATA"
    BODY = "final dot"
    EMPTY_BODY = "lone dot"
    QUIT = "QUIT"


_ENVELOPE = (Stage.SENDER, Stage.RECIPIENT, Stage.DATA)


class ReplyClassifier:
    """Turn rejections into outcomes, over one run and all its connections.

    4xx is temporary and 5xx permanent (RFC 5321 4.2.1). Whether a 5xx is about this address or about us is in the
    enhanced status code (RFC 3463), except for a policy refusal (5.7.x). That one can be about an address that accepts
    mail from few senders, or about us, if the server does not relay our mail. After any message of the run was accepted
    it is about the address. While none was, three such refusals are about us. Until then the messages stay pending, so
    so one such address at the head of the queue does not hold up the mail to everyone else.

    `overloaded`: for now the server takes no messages, whoever they are to, as its last few rejections say.
    """

    def __init__(self) -> None:
        self.accepted = False
        self._policy_refusals = 0
        self._put_off = 0  # in a row

    @property
    def overloaded(self) -> bool:
        return self._put_off >= _MAX_PUT_OFF

    def accept(self) -> None:
        """Take note that the server accepted a message."""
        self.accepted, self._put_off = True, 0

    def classify(self, message: Message, stage: Stage, reply: Reply) -> Outcome:
        """Return the outcome of a message that the server rejected at `stage` with `reply`."""
        text = str(reply)
        if reply.enhanced_code == _TOO_LARGE or (reply.code == 552 and stage is Stage.SENDER):  # RFC 1870 6.1
            return Outcome(message.key, State.PENDING, f"{text}; lower digest.max_papers", stop=True)
        if reply.code < 500 or reply.code == 552 or reply.enhanced_code == _MAILBOX_FULL:
            self._put_off += reply.code < 500 and (stage is Stage.SENDER or reply.about_server)
            return Outcome(message.key, State.PENDING, text)
        if stage is Stage.SENDER or reply.code in _LOGIN_CODES or reply.enhanced_code in _BAD_SENDER:
            return Outcome(message.key, State.PENDING, f"{text}; check digest.from and smtp.username", stop=True)
        if reply.enhanced_code.startswith("5.7.") and not self.accepted:
            self._policy_refusals += 1
            stop = self._policy_refusals >= _MAX_POLICY_REFUSALS
            hint = "ask the server's administrator whether it sends mail for digest.from"
            return Outcome(message.key, State.PENDING, f"{text}; {hint}", stop)
        return Outcome(message.key, State.REFUSED, text)


class SmtpSession:
    """The state of one connection. The caller writes `outgoing` to the server and takes `outcomes` as they appear."""

    def __init__(
        self,
        features: Mapping[str, str],
        classifier: ReplyClassifier,
        hide_secrets: Callable[[bytes], bytes] = bytes,
    ) -> None:
        self.outgoing = bytearray()
        self.outcomes: list[Outcome] = []
        self.next_body: Message | None = None  # the server has answered 354 and waits for the body of this message
        self.replies_received = 0
        self.messages_answered = 0  # accepted or rejected by the server
        self.closing = False
        self._pipelining = "pipelining" in features
        self._size_limit = size_limit(features)
        self._classifier = classifier
        self._parser = ReplyParser(hide_secrets)
        self._queued_commands: deque[tuple[Stage, bytes]] = deque()
        self._expected_replies: deque[Stage] = deque()  # to the commands that were sent, in their order
        self._body: Message | None = None  # its body and final dot were sent, the reply is expected
        self._envelope: Message | None = None  # its envelope is queued, sent or accepted; its body was not sent
        self._refusal: Outcome | None = None  # of the envelope
        self._transaction_open = False  # MAIL was accepted, and neither a body nor RSET has ended the transaction
        self._recipient_accepted = False
        self._bytes_after_dot = 0  # how much of `outgoing` belongs to the envelope behind the final dot

    @property
    def idle(self) -> bool:
        """Whether the session can take a message: nothing is under way."""
        return not (self._expected_replies or self._queued_commands or self._envelope or self._body or self.closing)

    @property
    def awaiting_reply(self) -> bool:
        return bool(self._expected_replies)

    @property
    def awaiting_outcome(self) -> bool:
        """Whether a body was sent and the reply to its final dot is expected."""
        return self._body is not None

    def send_envelope(self, message: Message) -> None:
        """Start a message with its envelope, or reject it here if the server could not take it."""
        if self._size_limit and len(message.content) > self._size_limit:
            sizes = f"{len(message.content):,} bytes, but the server accepts at most {self._size_limit:,}"
            reply = f"the message has {sizes}; lower digest.max_papers"
            self.outcomes.append(Outcome(message.key, State.PENDING, reply, stop=True))
            return
        if not (_ADDRESS.fullmatch(message.address) and (not message.sender or _ADDRESS.fullmatch(message.sender))):
            self.outcomes.append(Outcome(message.key, State.REFUSED, "the address is not valid in SMTP"))
            return
        self._envelope, self._refusal = message, None
        if self._transaction_open:
            self._queued_commands.append((Stage.RESET, b"RSET\r\n"))
        size = f" SIZE={len(message.content)}" if self._size_limit is not None else ""
        self._queued_commands.append((Stage.SENDER, f"MAIL FROM:<{message.sender}>{size}\r\n".encode("ascii")))
        self._queued_commands.append((Stage.RECIPIENT, f"RCPT TO:<{message.address}>\r\n".encode("ascii")))
        self._queued_commands.append((Stage.DATA, b"DATA\r\n"))
        self._send_queued()

    def send_body(self, next_message: Message | None) -> None:
        """Send the body that the server waits for, and behind its final dot the envelope of `next_message`.

        Call it only when `next_body` is set, and that its message is being sent is on disk.
        """
        message = self.next_body
        if message is None:
            raise RuntimeError("the server does not wait for a body")
        self._envelope, self.next_body, self._body, self._transaction_open = None, None, message, False
        content = message.content
        self.outgoing += double_leading_dots(content) if message.leading_dots else content
        self.outgoing += b".\r\n" if content.endswith(b"\r\n") else b"\r\n.\r\n"
        self._expected_replies.append(Stage.BODY)
        before = len(self.outgoing)
        if next_message is not None:
            self.send_envelope(next_message)
        self._bytes_after_dot = len(self.outgoing) - before

    def quit(self) -> None:
        """Say QUIT. The server's answer then ends the session: `receive` raises SessionLost."""
        self.closing = True
        self._queued_commands.append((Stage.QUIT, b"QUIT\r\n"))
        self._send_queued()

    def receive(self, data: bytes) -> None:
        """Process what the server sent. Raises SessionLost when it ends the session or sends an unexpected reply."""
        try:
            for reply in self._parser.feed(data):
                self.replies_received += 1
                self._handle_reply(reply)
                self._send_queued()
        except InvalidReply as error:
            raise SessionLost(f"the server sent an invalid SMTP reply: {error}") from None

    def connection_lost(self, reason: str, unwritten: int) -> Message | None:
        """Settle what was under way when the connection died with `unwritten` bytes of `outgoing` not written.

        Returns the message whose body was not begun, which can be sent on another connection.
        """
        if self._body is not None:
            # If some of the final dot was not written, the server has no complete message and discards it. If all of it
            # was, the server may have accepted the message, although its reply did not arrive (RFC 1047).
            state = State.PENDING if unwritten > self._bytes_after_dot else State.DOUBT
            self.outcomes.append(Outcome(self._body.key, state, reason))
        envelope, self._envelope, self._body, self.next_body = self._envelope, None, None, None
        if envelope is not None and self._refusal is not None:
            self.outcomes.append(self._refusal)
            return None
        return envelope

    def _send_queued(self) -> None:
        """Send the queued commands: all of them with PIPELINING, else the next one once the last was answered."""
        while self._queued_commands and (self._pipelining or not self._expected_replies):
            stage, line = self._queued_commands.popleft()
            self.outgoing += line
            self._expected_replies.append(stage)

    def _handle_reply(self, reply: Reply) -> None:
        # 421 can come at any time: the server closes the connection (RFC 5321 3.8). As the answer to a final dot it is
        # also the outcome of that message.
        if reply.code == 421 and (not self._expected_replies or self._expected_replies[0] is not Stage.BODY):
            raise SessionLost(str(reply))
        if not self._expected_replies:
            raise SessionLost(f"unexpected reply from the server: {reply}")
        stage = self._expected_replies.popleft()
        if self._body is not None and stage is Stage.BODY:
            self._handle_body_reply(self._body, reply)
        elif self._envelope is not None and stage in _ENVELOPE:
            self._handle_envelope_reply(self._envelope, stage, reply)
        elif stage is Stage.QUIT:
            raise SessionLost(str(reply))
        else:  # RSET, or the lone dot after an envelope without a recipient: both end the transaction
            self._transaction_open = False

    def _handle_body_reply(self, message: Message, reply: Reply) -> None:
        self._body = None
        if reply.code // 100 == 3:
            reason = f"the server neither accepted nor rejected the message: {reply}"
            self.outcomes.append(Outcome(message.key, State.DOUBT, reason))
            raise SessionLost(f"unexpected reply from the server: {reply}")
        if reply.code // 100 == 2:
            self._classifier.accept()
            self.outcomes.append(Outcome(message.key, State.SENT, str(reply)))
        else:
            self.outcomes.append(self._classifier.classify(message, Stage.BODY, reply))
        if reply.code == 421:
            raise SessionLost(str(reply))
        self.messages_answered += 1

    def _handle_envelope_reply(self, message: Message, stage: Stage, reply: Reply) -> None:
        accepted = reply.code // 100 == (3 if stage is Stage.DATA else 2)
        if not accepted and reply.code < 400:
            raise SessionLost(f"unexpected reply from the server: {reply}")
        if stage is Stage.SENDER:
            self._transaction_open = accepted
        if stage is Stage.RECIPIENT:
            self._recipient_accepted = accepted
        if not accepted and self._refusal is None:  # the first rejection explains those that follow from it
            self._refusal = self._classifier.classify(message, stage, reply)
        if self._refusal is None:
            self.next_body = message if stage is Stage.DATA else None
        else:
            self._abandon_envelope(self._refusal, stage, accepted)

    def _abandon_envelope(self, refusal: Outcome, stage: Stage, accepted: bool) -> None:
        """Report a rejected envelope once all its commands that were sent are answered; drop those that were not.

        With PIPELINING, DATA was sent before the rejection was known, and a server may answer 354 to it although it
        accepted no recipient. A lone dot then ends the message, which goes to nobody (RFC 2920 3.1). If the server did
        accept the recipient, the dot would deliver an empty message: only closing the connection prevents that.
        """
        if any(expected in _ENVELOPE for expected in self._expected_replies):
            return
        self._queued_commands.clear()
        self.outcomes.append(refusal)
        self._envelope = self._refusal = None
        self.messages_answered += 1
        if stage is Stage.DATA and accepted:
            if self._recipient_accepted:
                raise SessionLost("the server accepted a recipient after it rejected the sender")
            self.outgoing += b".\r\n"
            self._expected_replies.append(Stage.EMPTY_BODY)


def double_leading_dots(body: bytes) -> bytes:
    """Return the body with another dot before each at the start of a line (RFC 5321 4.5.2)."""
    body = body.replace(b"\r\n.", b"\r\n..")
    return b"." + body if body.startswith(b".") else body
