"""The ways to leave the list: what `[unsubscribe]` says, and the links that a subscriber's token makes of it."""

from dataclasses import dataclass, field

from digest.mail.address import Mailbox, parse_mailbox
from digest.settings import quote_value, web_address


def _mailto(value: str) -> str:
    try:
        return parse_mailbox(value).address
    except ValueError as problem:
        raise ValueError(f'{quote_value(value)}: {problem}; write one like "unsubscribe@example.org"') from None


def _one_click(value: str) -> str:
    if not web_address(value).startswith("https://"):
        raise ValueError(f"{quote_value(value)} is not secure; one-click unsubscribing (RFC 8058) needs https://")
    if value.count("{token}") != 1:
        raise ValueError(
            f'{quote_value(value)} has no {{token}} in it; write one like "https://example.org/u/{{token}}"'
        )
    if not value.isascii():
        raise ValueError(f"{quote_value(value)} has letters that a header cannot carry; write it percent-encoded")
    return value


@dataclass(frozen=True, slots=True)
class UnsubscribeSettings:
    """The `[unsubscribe]` table: the ways to leave. Without either, a reader answers the mail to leave."""

    mailto: str = field(default="", metadata={"read": _mailto})
    url: str = field(default="", metadata={"read": _one_click})


def mailto_link(unsubscribe: UnsubscribeSettings, sender: Mailbox, token: str) -> str:
    """The mailto: address that leaves the list: the token rides in the address (RFC 5233), where replies keep it.

    The sender's own mailbox may not take such addresses, so there it rides in the subject.
    """
    if not unsubscribe.mailto:
        return f"mailto:{sender.address}?subject=unsubscribe%20{token}"
    local, _, domain = unsubscribe.mailto.rpartition("@")
    return f"mailto:{local}+{token}@{domain}?subject=unsubscribe"


def unsubscribe_link(unsubscribe: UnsubscribeSettings, sender: Mailbox, token: str) -> str:
    """The link in the foot of the mail: the web page where there is one, else the mail address."""
    return unsubscribe.url.replace("{token}", token) if unsubscribe.url else mailto_link(unsubscribe, sender, token)
