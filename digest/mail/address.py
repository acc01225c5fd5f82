"""Mail addresses: which are allowed, how they are compared, and how a name and an address are told apart."""

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
_NAMED = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^"<>]*?))\s*<([^<>]*)>\s*')

_MOST = 600  # characters, the name included: a line of a header has no more than 998 octets


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A display name (may be empty) and an address in the form the wire takes."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


def parse_mailbox(text: str) -> Mailbox:
    """Read `Name <address>` or a bare address. Raises ValueError with what is wrong in words."""
    if any(ord(c) < 32 or ord(c) == 127 for c in text):
        raise ValueError("it holds a line break or control character")
    if len(text) > _MOST:
        raise ValueError("it is too long to be a mail address")
    named = _NAMED.fullmatch(text)
    quoted, name, address = named.groups("") if named else ("", "", text.strip())
    if "@" not in address or "<" in address:
        raise ValueError("it is not a mail address")
    return Mailbox(header_text(re.sub(r"\\(.)", r"\1", quoted) or name), normalize_address(address))


def normalize_address(address: str) -> str:
    """`address` with its domain in ASCII, lower case; the local part as it is.

    International domains follow IDNA 2008 with the mapping of UTS 46, since Python's own codec (IDNA 2003) turns
    faß.de into another domain. Raises ValueError with what is wrong in words.
    """
    local, _, domain = address.strip().rpartition("@")
    if not domain.isascii():
        import idna

        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError(f"{domain!r} is not a domain") from None
    if not local.isascii():
        raise ValueError("the part before the @ may hold ASCII characters only")
    if not _LOCAL.fullmatch(local) or len(local) > 64:
        raise ValueError(f"{local!r} cannot stand before the @")
    if not _DOMAIN.fullmatch(domain) or len(local) + 1 + len(domain) > 254:
        raise ValueError(f"{domain!r} is not a domain")
    return f"{local}@{domain.lower()}"


def address_key(address: str) -> str:
    """What two spellings of one address have in common: subscribers are compared without case."""
    return normalize_address(address).lower()
