"""What a mail server reports about mail of ours: failed recipients (RFC 3464) and complaints (RFC 5965)."""

import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote

from digest.inbound import Bounce, Complaint
from digest.inbound.headers import Fields, first_value, media_type, split_headers
from digest.papers.text.clean import clean

_PARTS = 20  # RFC 6522 has three: words for people, the report, the mail it is about
_RECIPIENTS = 100  # ours is one a message
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", re.ASCII)
_REPLY = re.compile(r"\b([45])\d\d(?:[ -]#?([45]\.\d{1,3}\.\d{1,3})\b)?", re.ASCII)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])[a-z2-7]{26}(?![A-Za-z0-9])")

_HARD = re.compile(r"5\.1\.\d+|5\.2\.1")  # RFC 3463: the address is bad; the mailbox is disabled
# … but for those about the sender: RFC 3463 3.2, and what Exchange Online says when our limit for the day is reached.
_SENDER = ("5.1.7", "5.1.8", "5.1.90")


def is_report(found: Fields) -> bool:
    """Whether a letter with these fields is a report (RFC 6522), of whatever kind."""
    return media_type(found) == "multipart/report"


def read_report(found: Fields, body: bytes) -> tuple[Bounce | Complaint, ...]:
    """What the report in `body` says; nothing where it says that mail arrived, was read, or is late."""
    parts = list(_parts(found, body))
    returned = next((f for f in (_returned(*part) for part in parts) if f), {})
    for head, content in parts:
        kind = media_type(head)
        if kind in _STATUS_TYPES:
            return tuple(_bounces(_decoded(head, content), returned))
        if kind == "message/feedback-report":
            says = first_value(split_headers(_decoded(head, content).lstrip(b"\r\n"))[0], "feedback-type")
            return (Complaint(_message_id(returned), _token(returned)),) if says.lower() == "abuse" else ()
    return ()


def _parts(found: Fields, body: bytes) -> Iterator[tuple[Fields, bytes]]:
    """The parts between the lines that hold the boundary and nothing else; the last may be cut off."""
    boundary = _BOUNDARY.search(first_value(found, "content-type"))
    if not boundary:
        return
    mark = re.escape((boundary[1] or boundary[2]).encode())
    start = None
    for number, line in enumerate(re.finditer(rb"^--" + mark + rb"(--)?[ \t]*$", body, re.MULTILINE)):
        if start is not None:
            yield split_headers(body[start : line.start()])
        start = line.end() + 1
        if line[1] or number == _PARTS:
            return
    if start is not None:
        yield split_headers(body[start:])


def _decoded(head: Fields, content: bytes) -> bytes:
    """The content of a part without its transfer encoding."""
    encoding = first_value(head, "content-transfer-encoding").lower()
    if encoding == "quoted-printable":
        return binascii.a2b_qp(content)
    if encoding == "base64":
        try:
            return binascii.a2b_base64(content)
        except binascii.Error:
            return b""
    return content


def _returned(head: Fields, content: bytes) -> Fields:
    """The header fields of the failed mail, where this part is what came back of it."""
    return split_headers(_decoded(head, content).lstrip(b"\r\n"))[0] if media_type(head) in _RETURNED_TYPES else {}


def _bounces(content: bytes, returned: Fields) -> Iterator[Bounce]:
    """The recipients whose `Action` is `failed`; the blocks of fields are divided by empty lines."""
    lines = b"\n".join(line.rstrip() for line in content.split(b"\n"))
    for block in lines.strip(b"\n").split(b"\n\n")[: _RECIPIENTS + 1]:
        found, _ = split_headers(block.strip(b"\n"))
        if first_value(found, "action").lower().startswith("fail"):
            diagnostic = first_value(found, "diagnostic-code")
            status = _status(first_value(found, "status"), diagnostic)
            yield Bounce(
                recipient=_recipient(found),
                status=status,
                hard=bool(_HARD.fullmatch(status)) and status not in _SENDER,
                diagnostic=clean(diagnostic[:1000].partition(";")[2] or diagnostic[:1000])[:300],
                returned=bool(returned),
                message_id=_message_id(returned),
                token=_token(returned),
            )


def _status(said: str, diagnostic: str) -> str:
    """The enhanced status code, '' if there is none: from `Status`, or from the reply that the server got.

    Exim writes 5.0.0 whatever it was told; the reply it quotes is more exact.
    """
    status = _STATUS.match(said)
    if status and not status[1].endswith(".0.0"):
        return status[1]
    reply = _REPLY.search(diagnostic[:1000])
    if reply and (status is None or status[1][0] == reply[1]):
        return reply[2] or f"{reply[1]}.0.0"
    return status[1] if status else ""


def _recipient(found: Fields) -> str:
    """The address we wrote to where the report tells it, else the one at which it ended; '' if neither is one."""
    for name in ("original-recipient", "final-recipient"):
        address = clean(first_value(found, name)[:500].partition(";")[2]).strip("<> ")
        if "@" in address:
            return address[:320]
    return ""


def _message_id(returned: Fields) -> str:
    found = _MESSAGE_ID.search(first_value(returned, "message-id"))
    return found[0] if found else ""


def _token(returned: Fields) -> str:
    """The token in the failed mail's `List-Unsubscribe`: the last, as that of the mailto: address stands last."""
    found = _TOKEN.findall(unquote(first_value(returned, "list-unsubscribe")))
    return found[-1] if found else ""
