"""What a letter asks for, from its bytes alone: to leave the list, or to hear what became of mail of ours.

Nothing it holds is believed but its tokens, which only someone who got our mail can know. So the sender does not count,
nor does the body: people quote and forward our mail, with their token in it, without a wish to leave.
"""

import hashlib
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header

from digest.inbound import LIMIT, LetterEvent, UnsubscribeRequest
from digest.inbound.dsn import is_report, read_report
from digest.inbound.headers import Fields, first_value, split_headers

# Where an address that a letter was sent to can stand; the last four are written by servers on the way.
_ADDRESSED = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-forwarded-to")
_MAILING = ("list-id", "list-unsubscribe")
# The fields that decide whether a letter is one to read.
FIELDS = (
    *_ADDRESSED,
    "subject",
    "content-type",
    "return-path",
    "auto-submitted",
    "x-apple-unsubscribe",
    "precedence",
    *_MAILING,
)

# RFC 5233 leaves the separator to the server: Postfix and Gmail take +, qmail -, some =.
_IN_ADDRESS = re.compile(r"[+=-]([a-z2-7]{26})@", re.IGNORECASE | re.ASCII)
_IN_SUBJECT = re.compile(r"\bunsubscribe[\s:+-]+([a-z2-7]{26})(?![a-z0-9])", re.IGNORECASE | re.ASCII)


def read_letter(raw: bytes) -> tuple[LetterEvent, ...]:
    """The requests in a letter; none in most. Never raises, and looks at no more than `LIMIT` octets."""
    found, body = split_headers(raw[:LIMIT])
    return read_report(found, body) if is_report(found) else _leaves(found)


def may_hold_request(head: bytes) -> bool:
    """Whether the letter with this head can ask for something, so that the whole of it is to be read."""
    found, _ = split_headers(head)
    return is_report(found) or bool(_leaves(found))


def identity(raw: bytes) -> str:
    """What a letter is known by, whatever its place: the same from a Maildir (LF) and from IMAP (CRLF).

    Half the limit, as a letter of empty lines has half the octets when its line ends are.
    """
    return hashlib.sha256(raw[:LIMIT].replace(b"\r\n", b"\n")[: LIMIT // 2]).hexdigest()


def _leaves(found: Fields) -> tuple[UnsubscribeRequest, ...]:
    """A request to leave for each token in an address the letter was sent to, or in `Subject: unsubscribe TOKEN`."""
    if _mailing(found) or _automatic(found):
        return ()
    addressed = (value for name in _ADDRESSED for value in found.get(name, ()))
    tokens = [token for value in addressed for token in _IN_ADDRESS.findall(value)]
    tokens += _IN_SUBJECT.findall(_words(first_value(found, "subject")))
    return tuple(UnsubscribeRequest(token) for token in dict.fromkeys(token.lower() for token in tokens))


def _mailing(found: Fields) -> bool:
    """Whether it went to many, as a digest of ours does that found its way here."""
    bulk = first_value(found, "precedence").lower() in ("bulk", "list", "junk", "auto_reply")
    return bulk or any(name in found for name in _MAILING)


def _automatic(found: Fields) -> bool:
    """Whether a machine answered for a person (RFC 3834): on holiday, or about mail that failed (no return path).

    Apple's programs mark the letters they write when "Unsubscribe" is touched as `auto-replied` too, and as their own.
    """
    if first_value(found, "return-path") == "<>":
        return True
    answers = (value.partition(";")[0].strip().lower() for value in found.get("auto-submitted", ()))
    return "x-apple-unsubscribe" not in found and any(answer != "no" for answer in answers)


def _words(subject: str) -> str:
    """A subject with its encoded words (RFC 2047) decoded, or as it is where they cannot be."""
    if "=?" not in subject:
        return subject
    try:
        return str(make_header(decode_header(subject[:2000])))
    except (HeaderParseError, LookupError, ValueError):
        return subject
