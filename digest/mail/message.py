"""The MIME message: fragments of the mail of a day, and how a message is assembled from them. Pure: no I/O.

A **fragment** is a piece of the mail of a day that many messages have in common: a paper, a heading, the footer. It has
header fields, plain text and HTML, each of which may be empty, already encoded for the wire and in whole lines. So a
message is a list of fragments: their header fields, then their texts, then their HTML, joined.

What differs between subscribers is a gap: the name of a part between two NUL bytes, which neither header fields nor
quoted-printable text contain. Filling the gaps only joins bytes.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from email.header import Header
from email.headerregistry import Address
from email.policy import SMTP
from email.quoprimime import body_encode
from email.utils import format_datetime
from functools import cached_property

from digest.mail.address import Mailbox
from digest.mail.requests import feedback_token
from digest.mail.unsubscribe import UnsubscribeSettings, mailto_link
from digest.papers.text.fit import header_text

# RFC 2045 6.7 wants encoded lines of at most 76 columns; Python's default gives 78.
_POLICY = SMTP.clone(max_line_length=76)
_LINE = 76
_SOFT_BREAK = b"=\r\n"
_PLACE = b"\0place\0"
_LONGEST_PLACE = "000"
# A dot at the start of a line, or a gap there that is filled with whatever an address or token begins with. A gap in
# quoted-printable (-qp) is filled with whole lines, so a line starts behind it.
_LEADING_DOT = re.compile(rb"(?:\n|-qp\0)(?:\.|\0(?:address|token)\0)")
# How many bytes a gap in the HTML takes in a message: at most or, for an address, nearly always.
_GAP_SIZES = {b"address-qp": 100, b"token-qp": 32, b"feedback-qp": 38, b"place": 3}
_GAP = re.compile(rb"\0([^\0]*)\0")


@dataclass(frozen=True)
class Fragment:
    """A piece of the mail of a day, encoded, with gaps.

    `begins_paper`: the papers of a message are counted by these fragments; the count fills the gap `place`.
    """

    head: bytes = b""
    text: bytes = b""
    html: bytes = b""
    begins_paper: bool = False

    @cached_property
    def checksum(self) -> bytes:
        """16 bytes that tell this fragment from every other one, and from a damaged one."""
        sizes = f"{len(self.head)} {len(self.text)} {len(self.html)} {self.begins_paper:d} ".encode()
        return hashlib.sha256(sizes + self.head + self.text + self.html).digest()[:16]

    @cached_property
    def shows_place(self) -> bool:
        return _PLACE in self.text or _PLACE in self.html

    @cached_property
    def is_used(self) -> bool:
        """Whether it has any content, or counts a paper."""
        return bool(self.head or self.text or self.html or self.begins_paper)

    @cached_property
    def html_size(self) -> int:
        """The bytes of the HTML in a message, its gaps filled."""
        return len(_GAP.sub(b"", self.html)) + sum(_GAP_SIZES.get(name, 0) for name in _GAP.findall(self.html))

    @cached_property
    def leading_dots(self) -> bool:
        """Whether a line may begin with a dot. None does in what this module makes; older histories may differ."""
        return bool(_LEADING_DOT.search(b"\n".join((b"", self.head, self.text, self.html))))


@dataclass(frozen=True, slots=True)
class MessageFrame:
    """A message with gaps. `sender` is the envelope address; every second one of `pieces` is the name of a gap.

    `leading_dots` is False if no line of it begins with a dot, whatever fills its gaps.
    """

    sender: str
    pieces: tuple[bytes, ...]
    leading_dots: bool


def build_frame(fragments: Sequence[Fragment], sender: str) -> MessageFrame:
    """Join fragments, and number their papers."""
    place, texts, pages = 0, list[bytes](), list[bytes]()
    for fragment in fragments:
        place += fragment.begins_paper
        text, html = fragment.text, fragment.html
        if fragment.shows_place:
            number = b"%d" % place
            text, html = text.replace(_PLACE, number), html.replace(_PLACE, number)
        texts.append(text)
        pages.append(html)
    heads = [fragment.head for fragment in fragments]
    pieces = b"".join([*heads, *texts, *pages]).split(b"\0")
    return MessageFrame(sender, tuple(pieces), any(fragment.leading_dots for fragment in fragments))


def fill_frame(frame: MessageFrame, to: str, token: str, day: date) -> bytes:
    """Return the message to one subscriber: `frame` with address and tokens filled in; `day` is the edition's."""
    pieces = list(frame.pieces)
    gaps = pieces[1::2]
    address, secret = to.encode(), token.encode()
    parts = {
        b"address": address,
        b"token": secret,
        b"id": message_id(token, day, frame.sender).encode(),
        b"address-qp": _before_soft_break(address),
        b"token-qp": _before_soft_break(secret),
    }
    if b"feedback-qp" in gaps:
        parts[b"feedback-qp"] = _before_soft_break(feedback_token(token).encode())
    pieces[1::2] = [parts[name] for name in gaps]
    return b"".join(pieces)


def message_id(token: str, day: date, sender: str) -> str:
    """Return the Message-ID of a subscriber's message of a day: the same however often it is sent (RFC 5322 3.6.4)."""
    left = hashlib.sha256(f"{token} {day}".encode()).hexdigest()[:20]
    return f"<{day:%Y%m%d}.{left}@{sender.rpartition('@')[2]}>"


# ---- make fragments --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Placeholders:
    """Words that stand for gaps, and for the borders of fragments, while a page is rendered.

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
    def place(self) -> str:
        return f"PLACEHOLDER{self.mark}PLACE"

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(f"PLACEHOLDER{self.mark}(ADDRESS|TOKEN|FEEDBACK|PLACE)")

    def is_left_in(self, text: str) -> bool:
        """Return whether some of a placeholder is in a text where no whole one is: it cannot be filled."""
        return f"placeholder{self.mark[:4]}".lower() in self.pattern.sub("", text).lower()

    def mark_before(self, number: int, form: str) -> str:
        """Return a mark with a number, for a text or as a comment on an HTML page."""
        word = f"PLACEHOLDER{self.mark}MARK{number}END"
        return f"<!--{word}-->" if form == "html" else word

    def split_at_marks(self, page: str, form: str) -> list[str]:
        """Return what is before the first mark, then for each mark its number and what is behind it."""
        word = f"PLACEHOLDER{self.mark}MARK([0-9]+)END"
        return re.split(f"<!--{word}-->" if form == "html" else word, page)


def make_placeholders(secret: bytes, day: date) -> Placeholders:
    """Return the placeholders of a day: the same for every edition, so that preview and run give the same bytes."""
    mark = hashlib.sha256(secret + b" placeholders " + day.isoformat().encode()).hexdigest()[:20].upper()
    return Placeholders(mark)


class Boundary:
    """What is around the text and the HTML of the messages of a day.

    They are multipart/alternative, plain text first (RFC 2046 5.1.4), and quoted-printable: 10 % on top of the HTML
    where base64 adds 35 %.
    """

    def __init__(self, placeholders: Placeholders) -> None:
        self._boundary = "=_" + hashlib.sha256(placeholders.mark.encode()).hexdigest()[:32]
        self.content_type = f'Content-Type: multipart/alternative; boundary="{self._boundary}"\r\n'.encode()
        self.before_text = b"\r\n" + self._before("plain")
        self.before_html = self._before("html")
        self.end = f"--{self._boundary}--\r\n".encode()

    def _before(self, kind: str) -> bytes:
        return (
            f'--{self._boundary}\r\nContent-Type: text/{kind}; charset="utf-8"\r\n'
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
        ).encode()


def first_fields(sender: Mailbox, subject: str) -> bytes:
    """Return the header fields From, To and Subject; the subject may contain anything."""
    sender_field = folded("From", str(Address(sender.name, addr_spec=sender.address)))
    return sender_field + b"To: \0address\0\r\n" + folded_subject(header_text(subject, 200))


def other_fields(
    title: str,
    sender: Mailbox,
    unsubscribe: UnsubscribeSettings,
    placeholders: Placeholders,
    day: date,
    now: datetime,
    archive: Mapping[str, str],
) -> bytes:
    """Return the other header fields, which all messages of a day have, but for the type of the content.

    `title` is the digest's; `archive` has the address for each header field about the archive, in ASCII.

    Python's `email` folds From and Subject. It would turn a List-Unsubscribe longer than a line into encoded words,
    which no mail program decodes there (python/cpython#85725), so those lines are written by hand.
    """
    ways = [unsubscribe.url.replace("{token}", placeholders.token)] if unsubscribe.url else []
    ways.append(mailto_link(unsubscribe, sender, placeholders.token))
    lines = [
        f"Date: {format_datetime(now)}",
        "Message-ID: \0id\0",
        f"List-Id: {_list_id(title, sender)}",
        "List-Unsubscribe: "
        + ",\r\n ".join(f"<{way.replace(placeholders.token, chr(0) + 'token' + chr(0))}>" for way in ways),
        *(["List-Unsubscribe-Post: List-Unsubscribe=One-Click"] if unsubscribe.url else []),
        "Auto-Submitted: auto-generated",
        "Precedence: bulk",
        f"Feedback-ID: {day:%Y%m%d}:daily:digest:paperdig",
        *(f"{name}: <{address}>" for name, address in archive.items()),
        "MIME-Version: 1.0",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


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


def encode_lines(text: str, placeholders: Placeholders) -> bytes:
    """Return text or HTML as whole lines of quoted-printable, with gaps where `placeholders` were.

    What does not end with a line end gets a soft line break, so that lines of several fragments can be joined.
    """
    encoded = b""
    for piece in _split(text, placeholders):
        if isinstance(piece, bytes):
            encoded += (_SOFT_BREAK if encoded and not _ends_line(encoded) else b"") + piece
        elif encoded.endswith(_PLACE):  # the number of a paper is short: its line goes on behind it
            encoded += quoted_printable(_LONGEST_PLACE + piece)[len(_LONGEST_PLACE) :]
        else:
            encoded += quoted_printable(piece)
    return encoded if not encoded or _ends_line(encoded) else encoded + _SOFT_BREAK


def _split(text: str, placeholders: Placeholders) -> Iterator[str | bytes]:
    """Yield the text in pieces, with a gap where a placeholder was."""
    for number, piece in enumerate(placeholders.pattern.split(text)):
        if number % 2:
            yield _PLACE if piece == "PLACE" else f"\0{piece.lower()}-qp\0".encode()
        elif piece:
            yield piece


def _ends_line(encoded: bytes) -> bool:
    """Return whether the next byte begins a line: all gaps but those for a number are filled with whole lines."""
    return encoded.endswith((b"\n", b"-qp\0"))


def quoted_printable(text: str) -> bytes:
    """Return quoted-printable text: lines end with CRLF and have up to 75 columns, which leaves room for a soft break.

    A dot at the start of a line is encoded, so that no server has to double it (RFC 5321 4.5.2), and the message need
    not be searched for it each time it is sent.
    """
    octets = text.encode("utf-8").decode("latin-1")  # the standard library's encoder wants one character per byte
    encoded = body_encode(octets, maxlinelen=_LINE - 3, eol="\r\n").encode("ascii").replace(b"\r\n.", b"\r\n=2E")
    return b"=2E" + encoded[1:] if encoded.startswith(b".") else encoded


def _before_soft_break(value: bytes) -> bytes:
    """Return `value` in whole lines, so that the lines around it keep their length whatever its own is.

    A dot at the start of a line is encoded.
    """
    step = _LINE - 1 - 3 * 8  # room for a few characters that need three columns each
    lines = [value[i : i + step].replace(b"=", b"=3D") + _SOFT_BREAK for i in range(0, len(value), step)]
    return b"".join(b"=2E" + line[1:] if line.startswith(b".") else line for line in lines)
