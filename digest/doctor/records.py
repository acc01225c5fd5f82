"""Ask the name servers. The only module that knows dnspython: import it where it may be missing."""

import time

import dns.exception
import dns.nameserver
import dns.resolver

_PATIENCE = 4.0  # seconds for all questions together: who is offline should not wait for long


class Unanswered(Exception):
    """No name server gave an answer; the question is open."""


class Records:
    """The records of names, as told by `nameserver` (address, port), or by those of the machine without one."""

    def __init__(self, nameserver: tuple[str, int] | None = None) -> None:
        try:
            self._resolver = dns.resolver.Resolver(configure=nameserver is None)
        except dns.exception.DNSException:
            raise Unanswered from None
        if nameserver is not None:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*nameserver)]
        self._until = time.monotonic() + _PATIENCE

    def exists(self, name: str) -> bool:
        """Whether there is the name or one below it: a name with only others below answers without a record."""
        return self._ask(name, "TXT") is not None

    def texts(self, name: str) -> list[str]:
        """The TXT records; a long one comes in pieces (RFC 7208 3.3)."""
        found = self._ask(name, "TXT") or ()
        return [b"".join(record.strings).decode("utf-8", "replace") for record in found]

    def exchanges(self, name: str) -> list[str]:
        """The hosts of the MX records, the preferred one first; '' is the lone dot of RFC 7505."""
        found = sorted((record.preference, str(record.exchange)) for record in self._ask(name, "MX") or ())
        return [host.rstrip(".") for _, host in found]

    def has_address(self, name: str) -> bool:
        return any(self._ask(name, kind) for kind in ("A", "AAAA"))

    def _ask(self, name: str, kind: str) -> dns.resolver.Answer | None:
        """The records of a kind, which may be none; None for a name that does not exist. Raises Unanswered."""
        left = max(0.01, self._until - time.monotonic())
        try:
            return self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False, lifetime=left)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError):
            raise Unanswered from None
