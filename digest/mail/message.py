"""The MIME message of an edition, with gaps for what differs between subscribers. Pure: no I/O.

A message is built once per edition. The address, the tokens and the Message-ID differ between subscribers: each is a
gap, an offset into the content and the name of the part that goes there. Filling the gaps only joins bytes.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from email.header import Header
from email.headerregistry import Address
from email.policy import SMTP
from email.quoprimime import body_encode
from email.utils import format_datetime

from digest.mail.address import Mailbox
from digest.mail.requests import feedback_token
from digest.mail.unsubscribe import UnsubscribeSettings, mailto_link
from digest.papers.text.fit import header_text

# RFC 2045 6.7 wants encoded lines of at most 76 columns; Python's default gives 78.
_POLICY = SMTP.clone(max_line_length=76)
_LINE = 76


@dataclass(frozen=True, slots=True)
class RenderedEdition:
    """The texts of an edition, with `Placeholders` where a subscriber's own parts go."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """A message with gaps. `sender` is the envelope address; `gaps` are (offset into `content`, part), in order."""

    sender: str
    content: bytes
    gaps: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Words that stand for a subscriber's parts while an edition is rendered.

    `mark` makes them unguessable for whoever writes a paper's title. Letters and digits only: HTML, links and
    quoted-printable leave them unchanged.
    """

    mark: str

    @property
    def address(self) -> str:
        return f"PLACEHOLDER{self.mark}ADDRESS"

    @property
    def token(self) -> str:
        return f"PLACEHOLDER{self.mark}TOKEN"

    @property
    def feedback(self) -> str:
        return f"PLACEHOLDER{self.mark}FEEDBACK"

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(f"PLACEHOLDER{self.mark}(ADDRESS|TOKEN|FEEDBACK)")


def make_placeholders(secret: bytes, day: date) -> Placeholders:
    """Return the placeholders of a day: the same for every edition, so that preview and run give the same bytes."""
    mark = hashlib.sha256(secret + b" placeholders " + day.isoformat().encode()).hexdigest()[:20].upper()
    return Placeholders(mark)


def build_frame(
    rendered: RenderedEdition,
    title: str,
    sender: Mailbox,
    unsubscribe: UnsubscribeSettings,
    placeholders: Placeholders,
    day: date,
    now: datetime,
    archive: Mapping[str, str] | None = None,
) -> MessageFrame:
    """Return the message of an edition, with gaps where `placeholders` are in `rendered`. `title` is the digest's.

    `archive` has the address for each header field about the archive, in ASCII.

    multipart/alternative, plain text first (RFC 2046 5.1.4), both quoted-printable: 10 % on top of the HTML where
    base64 adds 35 %.
    """
    boundary = "=_" + hashlib.sha256(f"{placeholders.mark}{rendered.html}".encode()).hexdigest()[:32]
    pieces = [
        *_headers(rendered.subject, title, sender, unsubscribe, placeholders, day, now),
        *(f"{name}: <{address}>\r\n".encode("ascii") for name, address in (archive or {}).items()),
        f'Content-Type: multipart/alternative; boundary="{boundary}"\r\n\r\n'.encode(),
        *_part("plain", rendered.text, boundary, placeholders),
        *_part("html", rendered.html, boundary, placeholders),
        f"--{boundary}--\r\n".encode(),
    ]
    whole, gaps = bytearray(), []
    for piece in pieces:
        if isinstance(piece, bytes):
            whole += piece
        else:
            gaps.append((len(whole), piece))
    return MessageFrame(sender.address, bytes(whole), tuple(gaps))


def fill_frame(frame: MessageFrame, to: str, token: str, day: date) -> bytes:
    """Return the message to one subscriber: `frame` with address and tokens filled in; `day` is the edition's."""
    identifier = message_id(token, day, frame.sender).encode()
    return _fill(frame, to.encode(), token.encode(), feedback_token(token).encode(), identifier)


def has_leading_dots(frame: MessageFrame) -> bool:
    """Whether a line of a message of this frame may begin with a dot, whatever fills its gaps.

    None does in a frame that `build_frame` made; frames in older histories may be of another make.
    """
    return b"\n." in b"\n" + _fill(frame, b".", b".", b".", b".")


def _fill(frame: MessageFrame, to: bytes, token: bytes, feedback: bytes, identifier: bytes) -> bytes:
    parts = {"address": to, "token": token, "id": identifier}
    parts |= {"address-qp": _between_soft_breaks(to), "token-qp": _between_soft_breaks(token)}
    parts["feedback-qp"] = _between_soft_breaks(feedback)
    pieces, start = [], 0
    for offset, part in frame.gaps:
        pieces += [frame.content[start:offset], parts[part]]
        start = offset
    return b"".join([*pieces, frame.content[start:]])


def message_id(token: str, day: date, sender: str) -> str:
    """Return the Message-ID of a subscriber's message of a day: the same however often it is sent (RFC 5322 3.6.4)."""
    left = hashlib.sha256(f"{token} {day}".encode()).hexdigest()[:20]
    return f"<{day:%Y%m%d}.{left}@{sender.rpartition('@')[2]}>"


def _headers(
    subject: str,
    title: str,
    sender: Mailbox,
    unsubscribe: UnsubscribeSettings,
    placeholders: Placeholders,
    day: date,
    now: datetime,
) -> Iterator[bytes | str]:
    """Yield the header fields of the whole message as bytes, and the names of the gaps between them.

    Python's `email` folds From and Subject. It would turn a List-Unsubscribe longer than a line into encoded words,
    which no mail program decodes there (python/cpython#85725), so those lines are written by hand.
    """
    yield folded("From", str(Address(sender.name, addr_spec=sender.address)))
    yield b"To: "
    yield "address"
    yield b"\r\n" + folded_subject(header_text(subject, 200))
    yield f"Date: {format_datetime(now)}\r\nMessage-ID: ".encode()
    yield "id"
    yield f"\r\nList-Id: {_list_id(title, sender)}\r\nList-Unsubscribe: ".encode()
    ways = [unsubscribe.url.replace("{token}", placeholders.token)] if unsubscribe.url else []
    ways.append(mailto_link(unsubscribe, sender, placeholders.token))
    yield from _gapped(",\r\n ".join(f"<{way}>" for way in ways), placeholders, "")
    yield b"\r\n"
    if unsubscribe.url:
        yield b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    yield (
        f"Auto-Submitted: auto-generated\r\nPrecedence: bulk\r\nFeedback-ID: {day:%Y%m%d}:daily:digest:paperdig\r\n"
        "MIME-Version: 1.0\r\n"
    ).encode()


def folded(name: str, value: str) -> bytes:
    """Return a header field, in lines of at most 76 columns and in ASCII."""
    return _POLICY.fold_binary(name, _POLICY.header_factory(name, value))


def folded_subject(text: str) -> bytes:
    """Return the subject, as encoded words throughout if it is not ASCII.

    Where a line ends next to an encoded word, Python's policy can leave two spaces, or none.
    """
    if text.isascii():
        return folded("Subject", text)
    encoded = Header(text, "utf-8", maxlinelen=_LINE, header_name="Subject").encode(linesep="\r\n")
    return f"Subject: {encoded}\r\n".encode("ascii")


def _list_id(title: str, sender: Mailbox) -> str:
    """Return a phrase, if it is plain ASCII, and an identifier that never changes (RFC 2919)."""
    phrase = " ".join(re.findall(r"[A-Za-z0-9-]+", title))[:60] if title.isascii() else ""
    return f"{phrase + ' ' if phrase else ''}<daily.digest.{sender.domain}>"


def _part(kind: str, content: str, boundary: str, placeholders: Placeholders) -> Iterator[bytes | str]:
    yield f'--{boundary}\r\nContent-Type: text/{kind}; charset="utf-8"\r\n'.encode()
    yield b"Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    yield from _gapped(content.rstrip("\n") + "\n", placeholders, "-qp")


def _gapped(content: str, placeholders: Placeholders, encoding: str) -> Iterator[bytes | str]:
    """Yield the content in pieces, with the name of a gap where a placeholder was."""
    for number, piece in enumerate(placeholders.pattern.split(content)):
        if number % 2:
            yield piece.lower() + encoding
        elif piece:
            yield quoted_printable(piece) if encoding else piece.encode("ascii")


def quoted_printable(text: str) -> bytes:
    """Return quoted-printable text: lines end with CRLF and have up to 75 columns, which leaves room for a soft break.

    A dot at the start of a line is encoded, so that no server has to double it (RFC 5321 4.5.2), and the message need
    not be searched for it each time it is sent.
    """
    octets = text.encode("utf-8").decode("latin-1")  # the standard library's encoder wants one character per byte
    encoded = body_encode(octets, maxlinelen=_LINE - 3, eol="\r\n").encode("ascii").replace(b"\r\n.", b"\r\n=2E")
    return b"=2E" + encoded[1:] if encoded.startswith(b".") else encoded


def _between_soft_breaks(value: bytes) -> bytes:
    """Return `value` between soft line breaks, so that the lines around it keep their length whatever its own is.

    A dot at the start of a line is encoded.
    """
    step = _LINE - 1 - 3 * 8  # room for a few characters that need three columns each
    lines = [value[i : i + step].replace(b"=", b"=3D") + b"=\r\n" for i in range(0, len(value), step)]
    return b"=\r\n" + b"".join(b"=2E" + line[1:] if line.startswith(b".") else line for line in lines)
