"""The `[unsubscribe]` settings, and the links built from them and a subscriber's token. Pure: no I/O."""

from dataclasses import dataclass, field

from digest.mail.address import Mailbox, parse_mailbox
from digest.settings import invalid_value, quote_value, web_address


def read_mailto(value: str) -> str:
    """Read an address that letters are sent to."""
    try:
        return parse_mailbox(value).address
    except ValueError as error:
        raise ValueError(f'{quote_value(value)} {error}; write one like "unsubscribe@example.org"') from None


def _read_url(value: str) -> str:
    if not web_address(value).startswith("https://"):
        raise invalid_value("an https:// address", value, "one-click unsubscribe (RFC 8058) needs one")
    if value.count("{token}") != 1:
        raise invalid_value("an address with one {token}", value, 'write one like "https://example.org/u/{token}"')
    if not value.isascii():
        raise invalid_value("an ASCII address", value, "write other characters percent-encoded")
    return value


@dataclass(frozen=True, slots=True)
class UnsubscribeSettings:
    """The `[unsubscribe]` table. Without `mailto` and `url`, a reader unsubscribes by a reply to the mail."""

    mailto: str = field(default="", metadata={"read": read_mailto})
    url: str = field(default="", metadata={"read": _read_url})


def mailto_link(unsubscribe: UnsubscribeSettings, sender: Mailbox, token: str) -> str:
    """Return the mailto: link that unsubscribes. Its token is in the address (RFC 5233), where replies keep it.

    The sender's own mailbox may not accept such addresses: without `mailto`, the token is in the subject.
    """
    if not unsubscribe.mailto:
        return f"mailto:{sender.address}?subject=unsubscribe%20{token}"
    local, _, domain = unsubscribe.mailto.rpartition("@")
    return f"mailto:{local}+{token}@{domain}?subject=unsubscribe"


def unsubscribe_link(unsubscribe: UnsubscribeSettings, sender: Mailbox, token: str) -> str:
    """Return the link in the footer of the mail: the web page, or the mailto: link if there is none."""
    return unsubscribe.url.replace("{token}", token) if unsubscribe.url else mailto_link(unsubscribe, sender, token)
