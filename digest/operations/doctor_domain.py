"""Ask the name servers. The only module that knows dnspython: import it where it may be missing.

What the world can look up about the sender's domain: who may send for it, who signs, where replies go.

Nothing here is worse than a warning: mail may go out through a relay that signs and answers for a domain of its own,
and some servers ask for none of it.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from digest.operations.checks import Check, Mark

if TYPE_CHECKING:
    import dns.resolver

_PATIENCE = 4.0  # seconds for all questions together: who is offline should not wait for long


class DnsUnanswered(Exception):
    """No name server gave an answer; the question is open."""


class DnsRecords:
    """The records of names, as told by `nameserver` (address, port), or by those of the machine without one."""

    def __init__(self, nameserver: tuple[str, int] | None = None) -> None:
        import dns.exception
        import dns.nameserver
        import dns.resolver

        try:
            self._resolver = dns.resolver.Resolver(configure=nameserver is None)
        except dns.exception.DNSException:
            raise DnsUnanswered from None
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

    def _ask(self, name: str, kind: str) -> "dns.resolver.Answer | None":
        """The records of a kind, which may be none; None for a name that does not exist. Raises Unanswered."""
        import dns.exception
        import dns.resolver

        left = max(0.01, self._until - time.monotonic())
        try:
            return self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False, lifetime=left)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError):
            raise DnsUnanswered from None


Nameserver = tuple[str, int]

# RFC 2606 and 6761: names that nobody can own.
_EXAMPLES = ("example", "test", "invalid", "localhost", "example.com", "example.net", "example.org")


def reserved(domain: str) -> bool:
    """Whether the domain is one for examples and tests."""
    return any(domain == name or domain.endswith(f".{name}") for name in _EXAMPLES)


def check_domain(domain: str, nameserver: Nameserver | None = None) -> Iterator[Check]:
    """A check for each kind of record, and one that says why when they cannot be looked up."""
    if reserved(domain):
        said = f"{domain} is a name for examples: no mail can come from it"
        yield Check("domain", Mark.WARN, said, "put your own address into digest.from")
        return
    if find_spec("dns") is None:
        said = f"skipped: SPF, DKIM and DMARC of {domain} are looked up with dnspython, which is not installed"
        yield Check("domain", Mark.WARN, said, "pip install 'paper-digest[dns]'")
        return
    try:
        records = DnsRecords(nameserver)
        for look in (_spf, _dkim, _dmarc, _replies):
            yield look(domain, records)
    except DnsUnanswered:
        said = f"skipped: no name server gave an answer about {domain}"
        yield Check("domain", Mark.WARN, said, "try again when the network is there")


def _spf(domain: str, records: "DnsRecords") -> Check:
    """RFC 7208: one record that begins with v=spf1; several are a mistake (4.5)."""
    found = [text for text in records.texts(domain) if text.lower().partition(" ")[0] == "v=spf1"]
    if not found:
        said = f"{domain} does not say which servers may send its mail"
        return Check("SPF", Mark.WARN, said, f"add the TXT record of your mail provider to {domain}: v=spf1 … -all")
    if len(found) > 1:
        said = f"{domain} has {len(found)} SPF records, and more than one counts as a mistake"
        return Check("SPF", Mark.WARN, said, "make them one record")
    if {"+all", "all"} & set(found[0].lower().split()):
        said = f"{domain} lets every server in the world send its mail: {found[0]}"
        return Check("SPF", Mark.WARN, said, "end the record in -all or ~all")
    return Check("SPF", Mark.OK, f"{domain}: {found[0]}")


def _dkim(domain: str, records: "DnsRecords") -> Check:
    """The selector is the signing server's affair; but where a name does not exist, none below it does (RFC 8020)."""
    for name in _upwards(domain):
        if records.exists(f"_domainkey.{name}"):
            return Check("DKIM", Mark.OK, f"{name} publishes keys")
    said = f"{domain} publishes no key to check a signature with"
    return Check("DKIM", Mark.WARN, said, "ask your mail provider for its DKIM record and add it to the domain")


def _dmarc(domain: str, records: "DnsRecords") -> Check:
    """RFC 7489 6.6.3: that of the domain itself, else that of one it lies in."""
    for name in _upwards(domain):
        for text in records.texts(f"_dmarc.{name}"):
            if text.lower().replace(" ", "").startswith("v=dmarc1"):
                return Check("DMARC", Mark.OK, f"{name}: {text}")
    said = f"{domain} does not say what to do with mail that only pretends to be from it; Gmail and Yahoo ask lists to"
    return Check("DMARC", Mark.WARN, said, f"add a TXT record to _dmarc.{domain}: v=DMARC1; p=none")


def _replies(domain: str, records: "DnsRecords") -> Check:
    """RFC 5321 5.1: a domain's own address takes the place of a missing MX. RFC 7505: a lone dot takes no mail."""
    hosts = records.exchanges(domain)
    if hosts == [""] or not (hosts or records.has_address(domain)):
        said = f"{domain} takes no mail: replies to the digest, to unsubscribe for example, come back"
        return Check("replies", Mark.WARN, said, "use an address in digest.from that takes mail")
    return Check("replies", Mark.OK, f"go to {hosts[0] if hosts else domain}")


def _upwards(domain: str) -> Iterator[str]:
    """The domain and those it lies in, but for the topmost."""
    labels = domain.split(".")
    yield from (".".join(labels[n:]) for n in range(max(1, len(labels) - 1)))
