"""Find the events in a letter: what a reader asks for, or what a mail server reports. Pure: no I/O.

This is the one gate for letters. Nothing is ever done because of a letter that a program wrote (an out-of-office reply
to our mail echoes its subject and its Message-ID), that came from one of our own addresses, or that the mail server
named in `inbox.authserv` found to be forged. Reports of mail servers about our mail are for `digest.inbound.dsn`.

An unsubscribe request is identified by a token in an address or in the subject: only someone who got our mail can know
one, and nothing else about a letter proves anything, not even its sender. So a copy of an old request with another
Message-ID is a new request, also after the reader was added again: whoever has our mail may unsubscribe its reader at
any time. The body does not count: people quote and forward our mail with their token in it, and do not want to
unsubscribe. For the same reason the subject has to be the request, not an answer to one.

The tokens of other purposes have other lengths (see `digest.mail.requests`). That of a confirmation mail may be
anywhere in the subject, because a reply keeps it there.
"""

import hashlib
import re
from email.errors import HeaderParseError
from email.header import decode_header

from digest.inbound import (
    MAX_LETTER_BYTES,
    UNNAMED,
    Command,
    Confirmation,
    DigestAddresses,
    LetterEvent,
    ReaderLetter,
    SubscribeRequest,
    UnsubscribeRequest,
)
from digest.inbound.commands import parse_commands
from digest.inbound.dsn import is_report, parse_report
from digest.inbound.headers import Headers, first_value, split_headers
from digest.inbound.parts import typed_text
from digest.mail.address import normalize_address, parse_mailbox, untagged

# The fields that name a recipient of the letter; mail servers add the last four.
_RECIPIENT_FIELDS = ("to", "cc", "delivered-to", "x-original-to", "envelope-to", "x-forwarded-to")
# The fields that only mail to many has (RFC 2369, RFC 2919), a digest of ours that was forwarded included.
_LIST_FIELDS = tuple(f"list-{name}" for name in ("id", "unsubscribe", "subscribe", "help", "post", "owner", "archive"))
# What programs write that answer or return mail: RFC 3834, and those that do not follow it. X-Auto-Response-Suppress is
# `All` in the automatic replies of Exchange; with other values, whole companies have it in what people write.
_AUTOMATIC_VALUES = {
    "precedence": re.compile(r"(?:bulk|list|junk|auto_reply)\b.*"),
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
    "message-id",
    "in-reply-to",
    "authentication-results",
    *_LIST_FIELDS,
)

_ANY_COMMAND = (Command("help"),)
_MAX_SUBJECT = 1000  # characters
_MAX_RECIPIENTS = 20_000  # characters of To and Cc
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
# In an address or anywhere in the subject, where mail programs write "Re: " before it.
_CONFIRMATION = re.compile(r"(?<![a-z0-9])([a-z2-7]{40})(?![a-z0-9])", re.IGNORECASE | re.ASCII)
_FEEDBACK_IN_ADDRESS = re.compile(r"[+=-]([a-z2-7]{32})@", re.IGNORECASE | re.ASCII)
# The subject that a feedback link makes: `more arxiv:2604.00001`, with a token where the address has none.
_FEEDBACK = re.compile(
    r"\b(more|less)(?:\s|%20)+([a-z]+:(?:(?!%20)\S){1,400})(?:(?:\s|%20)+([a-z2-7]{32}))?(?![^\s\])])",
    re.IGNORECASE | re.ASCII,
)
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")  # printable ASCII: it goes into the header of our answer
_OUR_MESSAGE_ID = re.compile(r"<\d{8}\.[0-9a-f]{20}@[A-Za-z0-9.-]{1,253}>", re.ASCII)  # as of `mail.message`
# From in its obsolete form: `ann@reader.example (Ann)`.
_COMMENTED = re.compile(r"([^\s<>()\",;]{1,320})\s{1,9}\([^()]{0,200}\)")
_SUBSCRIBE = re.compile(r"(?<!un)(?:subscribe|join)\b", re.IGNORECASE)
_LEAVE = re.compile(r"\b(?:unsubscribe|remove|stop)\b", re.IGNORECASE)
# The first words of the subject of automatic replies, for programs that mark them in no other way.
_AUTOMATIC_SUBJECT = re.compile(
    r"auto(?:matic|mated)?[ -]?(?:reply|response|antwort)\b|out of (?:the )?office\b|automatische antwort|abwesenheit"
    r"|réponse automatique|respuesta automática|risposta automatica|resposta automática|automatisch antwoord|autosvar"
    r"|自动回复|自動回覆|自動応答",
    re.IGNORECASE,
)
# Any failure that the server names counts: a letter that says so of itself loses nothing by being ignored.
_DMARC_FAILED = re.compile(r"\bdmarc\s{0,9}=\s{0,9}fail\b", re.IGNORECASE)
_AUTHSERV = re.compile(r"\s{0,9}(?:\([^()]{0,200}\)\s{0,9})?\"?([A-Za-z0-9._-]{1,253})")
# The address, or a name without one: `MAILER-DAEMON (Mail Delivery System)`.
_MAIL_SERVER = re.compile(r'(?:^|[<\s"])(?:mailer-daemon|postmaster)"?(?:@|>|\s*(?:\(|$))', re.IGNORECASE)


def parse_letter(raw: bytes, addresses: DigestAddresses = UNNAMED) -> tuple[LetterEvent, ...]:
    """Return the events in a letter to the digest with these addresses, usually none.

    Reads at most `MAX_LETTER_BYTES`.
    """
    headers, body = split_headers(raw[:MAX_LETTER_BYTES])
    if _is_forged(headers, addresses.authserv):
        return ()
    return parse_report(headers, body) if is_report(headers) else _requests(headers, body, addresses)


def may_hold_event(header: bytes, addresses: DigestAddresses = UNNAMED) -> bool:
    """Return whether a letter with this header can hold an event, so that all of it has to be read. Never fails."""
    headers, _ = split_headers(header)
    try:
        if _is_forged(headers, addresses.authserv):
            return False
        return is_report(headers) or bool(_requests(headers, None, addresses))
    except Exception:  # noqa: BLE001  `parse_letter` fails as well, and its caller deals with that
        return True


def letter_identity(raw: bytes) -> str:
    """Return a hash that is the same for the same letter in a Maildir (LF line ends) and over IMAP (CRLF).

    Half the limit is hashed, because a letter of empty lines shrinks to half when CRLF becomes LF.
    """
    return hashlib.sha256(raw[:MAX_LETTER_BYTES].replace(b"\r\n", b"\n")[: MAX_LETTER_BYTES // 2]).hexdigest()


def _requests(headers: Headers, body: bytes | None, addresses: DigestAddresses) -> tuple[LetterEvent, ...]:
    """Return what a person asks for. Without a `body`, a letter that may hold commands is taken for one that does."""
    sender = _sender(headers)
    if _is_automatic(headers) or untagged(sender) in addresses.own:
        return ()
    subject = _decode_subject(first_value(headers, "subject")[:_MAX_SUBJECT])
    recipients = ",".join(value for name in _RECIPIENT_FIELDS for value in headers.get(name, ()))
    if requests := _unsubscribe_requests(recipients, subject):
        return requests
    if _is_answered_by_machine(headers, subject):
        return ()
    letter = _message_id(headers, "message-id")
    if confirmed := _CONFIRMATION.search(f"{recipients} {subject}"):
        return (Confirmation(confirmed[1].lower(), letter),)
    token, commands = _feedback(recipients, subject)
    replied_to = _message_id(headers, "in-reply-to", _OUR_MESSAGE_ID)
    if token or (sender and replied_to):
        if not commands:
            commands = _ANY_COMMAND if body is None else parse_commands(typed_text(headers, body), addresses)
        return (ReaderLetter(token, sender, replied_to, letter, commands),) if commands else ()
    if sender and _asks_to_subscribe(headers, subject, addresses):
        return (SubscribeRequest(sender, letter),)
    return ()


def _unsubscribe_requests(recipients: str, subject: str) -> tuple[UnsubscribeRequest, ...]:
    """Find a token in a recipient's address, or in `Subject: unsubscribe TOKEN`; each token once."""
    tokens = _TOKEN_IN_ADDRESS.findall(recipients)
    request = _REQUEST.search(subject)
    if request and _MARKS.fullmatch(subject[: request.start()] + subject[request.end() :]):
        tokens.append(request[1])
    distinct = dict.fromkeys(token.lower() for token in tokens)
    return tuple(UnsubscribeRequest(token) for token in distinct)[:_MAX_TOKENS]


def _feedback(recipients: str, subject: str) -> tuple[str, tuple[Command, ...]]:
    """Return the feedback token in an address or in the subject, and the vote of a subject that a link has made."""
    by_address, vote = _FEEDBACK_IN_ADDRESS.search(recipients), _FEEDBACK.search(subject)
    if vote and not _MARKS.fullmatch(subject[: vote.start()] + subject[vote.end() :]):
        vote = None
    token = by_address[1] if by_address else (vote and vote[3]) or ""
    return token.lower(), (Command(vote[1].lower(), vote[2]),) if vote else ()


def _asks_to_subscribe(headers: Headers, subject: str, addresses: DigestAddresses) -> bool:
    """Whether a letter was written to the sign-up address; if that is our sender's too, its subject has to say so."""
    if not addresses.signup or _LEAVE.search(subject):
        return False
    written_to = ",".join(value for name in ("to", "cc") for value in headers.get(name, ())).lower()
    to_signup = re.search(rf"(?<![\w.+-]){re.escape(addresses.signup)}(?![\w.-])", written_to[:_MAX_RECIPIENTS])
    return bool(to_signup and (not addresses.shared or _SUBSCRIBE.search(subject)))


def _sender(headers: Headers) -> str:
    """Return the address in From; '' unless there is exactly one."""
    values = headers.get("from", [])
    if len(values) != 1:
        return ""
    commented = _COMMENTED.fullmatch(values[0].strip())
    try:
        return normalize_address(commented[1]) if commented else parse_mailbox(values[0]).address
    except ValueError:
        return ""


def _message_id(headers: Headers, name: str, pattern: re.Pattern[str] = _MESSAGE_ID) -> str:
    """Return the first Message-ID in a field that the pattern matches; '' if there is none."""
    found = pattern.search(first_value(headers, name)[:_MAX_SUBJECT])
    return found[0] if found else ""


def _is_forged(headers: Headers, authserv: str) -> bool:
    """Return whether the server `authserv` says that the letter's domain does not know it (DMARC, RFC 7489)."""
    if not authserv:
        return False
    results = headers.get("authentication-results", [])
    said = (result for result in results if (by := _AUTHSERV.match(result)) and by[1].lower() == authserv)
    return any(_DMARC_FAILED.search(result) for result in said)


def _is_answered_by_machine(headers: Headers, subject: str) -> bool:
    """Return whether nothing but an unsubscribe request may be believed.

    Apple's program asks for nothing else. Exchange adds `X-Auto-Response-Suppress` to whatever some companies send, so
    it does not keep anyone from leaving. But it asks for no answers (MS-OXCMAIL 2.2.3.2.14), and whatever else a letter
    can ask for is answered.
    """
    suppressed = (value.strip().lower() for value in headers.get("x-auto-response-suppress", ()))
    if "x-apple-unsubscribe" in headers or any(value not in ("", "none") for value in suppressed):
        return True
    marks = _MARKS.match(subject)
    return bool(_AUTOMATIC_SUBJECT.match(subject, marks.end() if marks else 0))


def _is_automatic(headers: Headers) -> bool:
    """Return whether a program wrote the letter: one to many, an out-of-office reply, or a bounce of any format.

    Apple's mail programs mark the letters that their "Unsubscribe" button sends as `auto-replied` too, but add a field
    of their own.
    """
    if any(name in headers for name in _LIST_FIELDS) or first_value(headers, "return-path").replace(" ", "") == "<>":
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
