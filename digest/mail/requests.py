"""The `[signup]` and `[feedback]` settings, the mailto: links for readers' requests, and their tokens. Pure: no I/O.

Tokens have a purpose each, which their length shows: 26 letters and digits unsubscribe (`digest.store.subscribers`),
32 vote and choose, 40 confirm a request to subscribe. One does not lead to another.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

from digest.mail.address import Mailbox
from digest.mail.unsubscribe import read_mailto
from digest.settings import number_between

CONFIRM_WITHIN = timedelta(days=3)  # of the confirmation mail; as Mailman does
_MAX_LOCAL = 64  # octets before the @ (RFC 5321 4.5.3.1.1)
_MAX_NAME = 120  # characters of a paper's name in a link


@dataclass(frozen=True, slots=True)
class SignupSettings:
    """The `[signup]` table: where readers ask to subscribe, and how many confirmations are sent a day at most."""

    mailto: str = field(metadata={"read": read_mailto, "example": '"subscribe@example.org"'})
    max_per_day: int = field(default=50, metadata={"read": number_between(1, 100_000)})


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """The `[feedback]` table. Without `mailto`, votes go to the sender, with their token in the subject."""

    mailto: str = field(default="", metadata={"read": read_mailto})


def signup_link(signup: SignupSettings) -> str:
    """Return the mailto: link for "Subscribe"."""
    return f"mailto:{signup.mailto}?subject=subscribe"


def tagged_address(address: str, token: str) -> str:
    """Return the address with a +token (RFC 5233); without it if the part before the @ would be too long."""
    local, _, domain = address.rpartition("@")
    return f"{local}+{token}@{domain}" if len(local) + 1 + len(token) <= _MAX_LOCAL else address


def feedback_link(feedback: FeedbackSettings, sender: Mailbox, token: str, word: str, paper: str) -> str:
    """Return the mailto: link for a vote: `word` is "more" or "less", `paper` a name of the paper; '' for a long one.

    `token` may be a placeholder of any length.
    """
    if not paper or len(paper) > _MAX_NAME:
        return ""
    subject = f"{word}%20{quote(paper, safe=':/')}"
    local, _, domain = feedback.mailto.rpartition("@")
    if not local or len(local) > _MAX_LOCAL - 1 - _FEEDBACK_LENGTH:
        return f"mailto:{feedback.mailto or sender.address}?subject={subject}%20{token}"
    return f"mailto:{local}+{token}@{domain}?subject={subject}"


_FEEDBACK_LENGTH = 32


def feedback_token(token: str) -> str:
    """Return the token with which a subscriber votes. It does not show `token`, which unsubscribes."""
    return _encode(hmac.digest(token.encode(), b"feedback", hashlib.sha256)[:20])


def confirmation_token(secret: bytes, request: int, address: str, expires: datetime) -> str:
    """Return the token that confirms the request of that number, for an address in lower case, until `expires`."""
    head = request.to_bytes(4, "big") + int(expires.timestamp()).to_bytes(4, "big")
    return _encode(head + _sign(secret, head, address))


def read_confirmation_token(token: str) -> tuple[int, int]:
    """Return the number of the request in a token of 40 letters and digits, and the second in which it expires."""
    head = base64.b32decode(token.upper())[:8]
    return int.from_bytes(head[:4], "big"), int.from_bytes(head[4:], "big")


def is_confirmation_token(secret: bytes, token: str, address: str) -> bool:
    """Whether the token was made for this address in lower case. Takes the same time for any wrong one."""
    raw = base64.b32decode(token.upper())
    return hmac.compare_digest(raw[8:], _sign(secret, raw[:8], address))


def _sign(secret: bytes, head: bytes, address: str) -> bytes:
    return hmac.digest(secret, b"confirm " + head + address.encode(), hashlib.sha256)[:17]


def _encode(raw: bytes) -> str:
    """Return base32 in lower case; a multiple of five bytes needs no padding."""
    return base64.b32encode(raw).decode("ascii").lower()
