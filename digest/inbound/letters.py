"""Find the events in a letter: unsubscribe requests, bounces and complaints. Pure: no I/O.

An unsubscribe request is identified by a token in an address or in the subject: only someone who got our mail can know
one, and nothing else about a letter proves anything, not even its sender. So a copy of an old request with another
Message-ID is a new request, also after the reader was added again: whoever has our mail may unsubscribe its reader at
any time. The body does not count: people quote and forward our mail with their token in it, and do not want to
unsubscribe. For the same reason the subject has to be the request, not an answer to one.
"""

import hashlib
import re
from email.errors import HeaderParseError
from email.header import decode_header

from digest.inbound import MAX_LETTER_BYTES, LetterEvent, UnsubscribeRequest
from digest.inbound.dsn import is_report, parse_report
from digest.inbound.headers import Headers, first_value, split_headers

# The fields that name a recipient of the letter; mail servers add the last four.
_RECIPIENT_FIELDS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-forwarded-to")
# The fields that only mail to many has (RFC 2369, RFC 2919), a digest of ours that was forwarded included.
_LIST_FIELDS = tuple(f"list-{name}" for name in ("id", "unsubscribe", "subscribe", "help", "post", "owner", "archive"))
# What programs write that answer or return mail: RFC 3834, and those that do not follow it. X-Auto-Response-Suppress is
# `All` in the automatic replies of Exchange; with other values, whole companies have it in what people write.
_AUTOMATIC_VALUES = {
    "precedence": re.compile(r"bulk|list|junk|auto_reply"),
    "auto-submitted": re.compile(r"(?!no\b).+"),
    "x-auto-response-suppress": re.compile("all"),
    "x-autoreply": re.compile("(?!no$).+"),
    "x-autorespond": re.compile("(?!no$).+"),
    "x-failed-recipients": re.compile(".+"),
}
_SENDER_FIELDS = ("return-path", "from")
# The fields that decide whether a letter can hold an event.
DECISIVE_FIELDS = (
    *_RECIPIENT_FIELDS,
    "subject",
    "content-type",
    *_SENDER_FIELDS,
    *_AUTOMATIC_VALUES,
    "x-apple-unsubscribe",
    *_LIST_FIELDS,
)

_MAX_SUBJECT = 1000  # characters
_MAX_TOKENS = 10  # of a letter; the ones that our links make have one

# RFC 5233 leaves the separator to the server: Postfix and Gmail use +, qmail -, some =.
_TOKEN_IN_ADDRESS = re.compile(r"[+=-]([a-z2-7]{26})@", re.IGNORECASE | re.ASCII)
# Some programs do not decode the %20 of a mailto: link.
_REQUEST = re.compile(r"\bunsubscribe(?:[\s:+-]|%20)+([a-z2-7]{26})(?![a-z0-9])", re.IGNORECASE | re.ASCII)
# What may be around a request: the marks of mail servers, like [EXTERNAL], {Spam?} or ***SPAM***, and that somebody has
# passed it on. No "Re:", in whatever language: who answers a letter about a request does not make it again.
_MARKS = re.compile(
    r"(?:[\s*:.,!-]|\[[^\[\]]*\]|\{[^{}]*\}|\([^()]*\)|【[^【】]*】|(?:external|extern|ext|spam|fwd|fw|wg)\b)*",
    re.IGNORECASE | re.ASCII,
)
# The address, or a name without one: `MAILER-DAEMON (Mail Delivery System)`.
_MAIL_SERVER = re.compile(r'(?:^|[<\s"])(?:mailer-daemon|postmaster)"?(?:@|\s*(?:\(|$))', re.IGNORECASE)


def parse_letter(raw: bytes) -> tuple[LetterEvent, ...]:
    """Return the events in a letter, usually none. Reads at most `MAX_LETTER_BYTES`."""
    headers, body = split_headers(raw[:MAX_LETTER_BYTES])
    return parse_report(headers, body) if is_report(headers) else _unsubscribe_requests(headers)


def may_hold_event(header: bytes) -> bool:
    """Return whether a letter with this header can hold an event, so that all of it has to be read. Never fails."""
    headers, _ = split_headers(header)
    try:
        return is_report(headers) or bool(_unsubscribe_requests(headers))
    except Exception:  # noqa: BLE001  `parse_letter` fails as well, and its caller deals with that
        return True


def letter_identity(raw: bytes) -> str:
    """Return a hash that is the same for the same letter in a Maildir (LF line ends) and over IMAP (CRLF).

    Half the limit is hashed, because a letter of empty lines shrinks to half when CRLF becomes LF.
    """
    return hashlib.sha256(raw[:MAX_LETTER_BYTES].replace(b"\r\n", b"\n")[: MAX_LETTER_BYTES // 2]).hexdigest()


def _unsubscribe_requests(headers: Headers) -> tuple[UnsubscribeRequest, ...]:
    """Find a token in a recipient's address, or in `Subject: unsubscribe TOKEN`; each token once."""
    if _is_automatic(headers):
        return ()
    recipients = (value for name in _RECIPIENT_FIELDS for value in headers.get(name, ()))
    tokens = [token for value in recipients for token in _TOKEN_IN_ADDRESS.findall(value)]
    subject = _decode_subject(first_value(headers, "subject")[:_MAX_SUBJECT])
    request = _REQUEST.search(subject)
    if request and _MARKS.fullmatch(subject[: request.start()] + subject[request.end() :]):
        tokens.append(request[1])
    distinct = dict.fromkeys(token.lower() for token in tokens)
    return tuple(UnsubscribeRequest(token) for token in distinct)[:_MAX_TOKENS]


def _is_automatic(headers: Headers) -> bool:
    """Return whether a program wrote the letter: one to many, an out-of-office reply, or a bounce of any format.

    Apple's mail programs mark the letters that their "Unsubscribe" button sends as `auto-replied` too, but add a field
    of their own.
    """
    if any(name in headers for name in _LIST_FIELDS) or first_value(headers, "return-path") == "<>":
        return True
    if any(_MAIL_SERVER.search(value) for name in _SENDER_FIELDS for value in headers.get(name, ())):
        return True
    return any(
        pattern.fullmatch(value.lower())
        for name, pattern in _AUTOMATIC_VALUES.items()
        if name != "auto-submitted" or "x-apple-unsubscribe" not in headers
        for value in headers.get(name, ())
    )


def _decode_subject(subject: str) -> str:
    """Decode encoded words (RFC 2047), or return the subject as it is.

    Everything is taken for UTF-8, since a request is ASCII. The character set that a word names is never looked up:
    the sender could name any codec of Python, and some of those are slow or fail.
    """
    try:
        parts = decode_header(subject) if "=?" in subject else []
    except (HeaderParseError, ValueError):
        parts = []
    words = (part if isinstance(part, str) else part.decode("utf-8", "replace") for part, _ in parts)
    return "".join(words) or subject
