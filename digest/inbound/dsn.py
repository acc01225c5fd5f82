"""Parse reports of mail servers about our mail: delivery status notifications (RFC 3464) and complaints (RFC 5965).

Pure: no I/O. Both kinds are a `multipart/report` (RFC 6522).
"""

import re
from collections.abc import Iterator
from urllib.parse import unquote

from digest.inbound import Bounce, Complaint
from digest.inbound.headers import Headers, first_value, media_type, split_headers
from digest.inbound.parts import decode_part, split_parts
from digest.papers.text.clean import clean

_MAX_RECIPIENTS = 100  # our messages have one, but behind that may be a list
_STATUS_TYPES = ("message/delivery-status", "message/global-delivery-status")
_RETURNED_TYPES = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")

_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b", re.ASCII)
_REPLY = re.compile(r"\b([45])\d\d(?:[ -]#?([45]\.\d{1,3}\.\d{1,3})\b)?", re.ASCII)
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,250}>")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])[a-z2-7]{26}(?![A-Za-z0-9])")

_HARD = re.compile(r"5\.1\.\d+|5\.2\.1")  # RFC 3463: the address is bad; the mailbox is disabled
# Of those, the ones about the sender: RFC 3463 3.2, and 5.1.90 from Exchange Online when our daily limit is reached.
_ABOUT_SENDER = ("5.1.7", "5.1.8", "5.1.90")


def is_report(headers: Headers) -> bool:
    """Return whether a letter with these header fields is a report (RFC 6522) of any kind."""
    return media_type(headers) == "multipart/report"


def parse_report(headers: Headers, body: bytes) -> tuple[Bounce | Complaint, ...]:
    """Return what a report says; nothing if it says that mail was delivered, was read, or is delayed.

    A report is about one message, and our messages have one recipient. So it is at most one bounce, however many
    recipients it names: a letter can be about anybody, but not about everybody.
    """
    parts = list(split_parts(headers, body))
    returned = next((h for h in (_returned_headers(*part) for part in parts) if h), {})
    for part_headers, content in parts:
        kind = media_type(part_headers)
        if kind in _STATUS_TYPES:
            bounces = list(_parse_bounces(decode_part(part_headers, content), returned))
            return (max(bounces, key=lambda bounce: bounce.hard),) if bounces else ()
        if kind == "message/feedback-report":
            fields, _ = split_headers(decode_part(part_headers, content).lstrip(b"\r\n"))
            if first_value(fields, "feedback-type").lower() != "abuse":
                return ()
            return (Complaint(_message_id(returned), _token(returned)),)
    return ()


def _returned_headers(headers: Headers, content: bytes) -> Headers:
    """Return the header of the failed message if this part is that message or its header, else nothing."""
    return (
        split_headers(decode_part(headers, content).lstrip(b"\r\n"))[0]
        if media_type(headers) in _RETURNED_TYPES
        else {}
    )


def _parse_bounces(content: bytes, returned: Headers) -> Iterator[Bounce]:
    """Yield the recipients whose `Action` is `failed`. Empty lines separate the blocks of fields, one per recipient."""
    lines = b"\n".join(line.rstrip() for line in content.split(b"\n"))
    for block in lines.strip(b"\n").split(b"\n\n")[: _MAX_RECIPIENTS + 1]:
        fields, _ = split_headers(block.strip(b"\n"))
        if first_value(fields, "action").lower().startswith("fail"):
            diagnostic = first_value(fields, "diagnostic-code")
            status = _enhanced_status(first_value(fields, "status"), diagnostic)
            yield Bounce(
                recipient=_recipient(fields),
                status=status,
                hard=bool(_HARD.fullmatch(status)) and status not in _ABOUT_SENDER,
                diagnostic=clean(diagnostic[:1000].partition(";")[2] or diagnostic[:1000])[:300],
                returned=bool(returned),
                message_id=_message_id(returned),
                token=_token(returned),
            )


def _enhanced_status(field: str, diagnostic: str) -> str:
    """Return the enhanced status code from the `Status` field or the diagnostic, '' if there is none.

    Exim always writes 5.0.0 into the field; the reply of the other server in its diagnostic is more precise.
    """
    status = _STATUS.match(field)
    if status and not status[1].endswith(".0.0"):
        return status[1]
    reply = _REPLY.search(diagnostic[:1000])
    if reply and (status is None or status[1][0] == reply[1]):
        return reply[2] or f"{reply[1]}.0.0"
    return status[1] if status else ""


def _recipient(fields: Headers) -> str:
    """Return the address we wrote to if the report names it, else the one it was forwarded to; '' if neither is one."""
    for name in ("original-recipient", "final-recipient"):
        address = clean(first_value(fields, name)[:500].partition(";")[2]).strip("<> ")
        if "@" in address:
            return address[:320]
    return ""


def _message_id(returned: Headers) -> str:
    match = _MESSAGE_ID.search(first_value(returned, "message-id"))
    return match[0] if match else ""


def _token(returned: Headers) -> str:
    """Return the last token in the failed message's `List-Unsubscribe`: that of its mailto: address, which is last."""
    tokens = _TOKEN.findall(unquote(first_value(returned, "list-unsubscribe")))
    return tokens[-1] if tokens else ""
