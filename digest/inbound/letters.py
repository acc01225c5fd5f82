"""Find the events in a letter: unsubscribe requests, bounces and complaints. Pure: no I/O.

An unsubscribe request is identified by a token in an address or in the subject: only someone who got our mail can know
one. The sender proves nothing. The body does not count either: people quote and forward our mail with their token in
it, and do not want to unsubscribe.
"""

import hashlib
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from digest.inbound import MAX_LETTER_BYTES, LetterEvent, UnsubscribeRequest
from digest.inbound.dsn import is_report, parse_report
from digest.inbound.headers import Headers, first_value, split_headers

# The fields that name a recipient of the letter; mail servers add the last four.
_RECIPIENT_FIELDS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-forwarded-to")
_LIST_FIELDS = ("list-id", "list-unsubscribe")
# The fields that decide whether a letter can hold an event.
DECISIVE_FIELDS = (
    *_RECIPIENT_FIELDS,
    "subject",
    "content-type",
    "return-path",
    "auto-submitted",
    "x-apple-unsubscribe",
    "precedence",
    *_LIST_FIELDS,
)

# RFC 5233 leaves the separator to the server: Postfix and Gmail use +, qmail -, some =.
_TOKEN_IN_ADDRESS = re.compile(r"[+=-]([a-z2-7]{26})@", re.IGNORECASE | re.ASCII)
_TOKEN_IN_SUBJECT = re.compile(r"\bunsubscribe[\s:+-]+([a-z2-7]{26})(?![a-z0-9])", re.IGNORECASE | re.ASCII)


def parse_letter(raw: bytes) -> tuple[LetterEvent, ...]:
    """Return the events in a letter, usually none. Never fails, and reads at most `MAX_LETTER_BYTES`."""
    headers, body = split_headers(raw[:MAX_LETTER_BYTES])
    return parse_report(headers, body) if is_report(headers) else _unsubscribe_requests(headers)


def may_hold_event(header: bytes) -> bool:
    """Return whether a letter with this header can hold an event, so that all of it has to be read."""
    headers, _ = split_headers(header)
    return is_report(headers) or bool(_unsubscribe_requests(headers))


def letter_identity(raw: bytes) -> str:
    """Return a hash that is the same for the same letter in a Maildir (LF line ends) and over IMAP (CRLF).

    Half the limit is hashed, because a letter of empty lines shrinks to half when CRLF becomes LF.
    """
    return hashlib.sha256(raw[:MAX_LETTER_BYTES].replace(b"\r\n", b"\n")[: MAX_LETTER_BYTES // 2]).hexdigest()


def _unsubscribe_requests(headers: Headers) -> tuple[UnsubscribeRequest, ...]:
    """Find a token in a recipient's address, or in `Subject: unsubscribe TOKEN`; each token once."""
    if _is_bulk(headers) or _is_automatic(headers):
        return ()
    recipients = (value for name in _RECIPIENT_FIELDS for value in headers.get(name, ()))
    tokens = [token for value in recipients for token in _TOKEN_IN_ADDRESS.findall(value)]
    tokens += _TOKEN_IN_SUBJECT.findall(_decode_subject(first_value(headers, "subject")))
    return tuple(UnsubscribeRequest(token) for token in dict.fromkeys(token.lower() for token in tokens))


def _is_bulk(headers: Headers) -> bool:
    """Return whether the letter was sent to many, like a digest of ours that was forwarded to the mailbox."""
    bulk = first_value(headers, "precedence").lower() in ("bulk", "list", "junk", "auto_reply")
    return bulk or any(name in headers for name in _LIST_FIELDS)


def _is_automatic(headers: Headers) -> bool:
    """Return whether a program wrote the letter (RFC 3834): an out-of-office reply, or one without a return path.

    Apple's mail programs mark the letters that their "Unsubscribe" button sends as `auto-replied` too, but add a field
    of their own.
    """
    if first_value(headers, "return-path") == "<>":
        return True
    values = (value.partition(";")[0].strip().lower() for value in headers.get("auto-submitted", ()))
    return "x-apple-unsubscribe" not in headers and any(value != "no" for value in values)


def _decode_subject(subject: str) -> str:
    """Decode encoded words (RFC 2047); return the subject as it is if they are invalid."""
    if "=?" not in subject:
        return subject
    try:
        return str(make_header(decode_header(subject[:2000])))
    except (HeaderParseError, LookupError, ValueError):
        return subject
