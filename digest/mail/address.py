"""Validate, normalize and compare email addresses, with or without a display name. Pure: no I/O."""

import re
from dataclasses import dataclass

from digest.papers.text.fit import header_text

# RFC 5321 limits: 64 octets before the @, 254 in all. The local part is RFC 5322's dot-atom: quoted local parts exist
# on paper only, and non-ASCII ones need SMTPUTF8 on every server on the way.
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_DOMAIN = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
# RFC 5322 3.4: a quoted string or plain words, then the address in angle brackets. Not `email.utils`, which takes 6 ms
# to import and reads `Ann <ann@example.org>, <bob@example.org>` as one address or the other.
_NAMED = re.compile(r'(?:"((?:[^"\\]|\\.)*)"\s*|([^"<>]*))<([^<>]*)>')

_MAX_LENGTH = 600  # characters, with the name: a header line has at most 998 octets


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name ('' for none) and an address as `normalize_address` returns it."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_mailbox(text: str) -> Mailbox:
    """Read `Name <address>` or a bare address.

    Raises ValueError with a message that follows the text, as in "'ann' is not an email address".
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("contains a line break or control character")
    if len(text) > _MAX_LENGTH:
        raise ValueError("is too long for an email address")
    match = _NAMED.fullmatch(text.strip())
    quoted, name, address = match.groups("") if match else ("", "", text)
    if "<" in address:
        raise ValueError("is not an email address")
    return Mailbox(header_text(re.sub(r"\\(.)", r"\1", quoted) or name), normalize_address(address))


def normalize_address(address: str) -> str:
    """Return a bare address with its domain in ASCII and lower case; the part before the @ does not change.

    International domains follow IDNA 2008 with the mapping of UTS 46, since Python's own codec (IDNA 2003) turns
    faß.de into another domain. Raises ValueError as `parse_mailbox` does.
    """
    local, at, domain = address.strip().rpartition("@")
    if not at:
        raise ValueError("is not an email address")
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError(f"has an invalid domain: {domain!r}") from None
    if not local.isascii():
        raise ValueError("has non-ASCII characters before the @")
    if not _LOCAL.fullmatch(local) or len(local) > 64:
        raise ValueError(f"has an invalid part before the @: {local!r}")
    if not _DOMAIN.fullmatch(domain) or len(local) + 1 + len(domain) > 254:
        raise ValueError(f"has an invalid domain: {domain!r}")
    return f"{local}@{domain.lower()}"


def address_key(address: str) -> str:
    """Return the address in lower case: subscribers are compared without case."""
    return normalize_address(address).lower()


def untagged(address: str) -> str:
    """Return an address in lower case without a +tag."""
    local, _, domain = address.lower().rpartition("@")
    return f"{local.partition('+')[0]}@{domain}"
