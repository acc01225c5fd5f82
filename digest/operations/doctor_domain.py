"""Check the DNS records of the sender's domain: SPF, DKIM, DMARC and MX. The only module that imports dnspython.

A problem here is a warning, never a failure: mail may go out through a relay that signs with a domain of its own, and
some servers require none of these records.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

from digest.operations.checks import Check, Mark
from digest.operations.installation import install_command

if TYPE_CHECKING:
    import dns.resolver

Nameserver = tuple[str, int]  # address, port

_TIMEOUT = 4.0  # seconds for all queries together, so that doctor does not hang when offline
_RESERVED = ("example", "test", "invalid", "localhost", "example.com", "example.net", "example.org")  # RFC 2606, 6761


def check_domain(domain: str, nameserver: Nameserver | None = None) -> Iterator[Check]:
    """Check each kind of record, or yield one check that says why they cannot be looked up.

    `nameserver` answers the queries, by default those of this machine.
    """
    if is_reserved(domain):
        message = f"{domain} is reserved for examples: no mail can come from it"
        yield Check("domain", Mark.WARN, message, "put your own address into digest.from")
        return
    if find_spec("dns") is None:
        message = f"skipped: checking SPF, DKIM and DMARC of {domain} needs dnspython, which is not installed"
        yield Check("domain", Mark.WARN, message, install_command("dns", "dnspython"))
        return
    try:
        records = DnsRecords(nameserver)
        for check in (_check_spf, _check_dkim, _check_dmarc, _check_replies):
            yield check(domain, records)
    except DnsUnanswered:
        message = f"skipped: no name server answered queries about {domain}"
        yield Check("domain", Mark.WARN, message, "try again when you are online")


def is_reserved(domain: str) -> bool:
    """Whether a domain is reserved for examples and tests, so that nobody can own it."""
    return any(domain == name or domain.endswith(f".{name}") for name in _RESERVED)


def _check_spf(domain: str, records: "DnsRecords") -> Check:
    """RFC 7208: one record that begins with v=spf1; several are an error (4.5)."""
    spf = [text for text in records.texts(domain) if text.lower().partition(" ")[0] == "v=spf1"]
    if not spf:
        message = f"domain {domain} does not say which servers may send its mail (no SPF record)"
        return Check("SPF", Mark.WARN, message, f"add your mail provider's TXT record to {domain}: v=spf1 … -all")
    if len(spf) > 1:
        message = f"domain {domain} has {len(spf)} SPF records, but only one is valid"
        return Check("SPF", Mark.WARN, message, "merge them into one record")
    if {"+all", "all"} & set(spf[0].lower().split()):
        message = f"domain {domain} lets every server in the world send its mail: {spf[0]}"
        return Check("SPF", Mark.WARN, message, "end the record with -all or ~all")
    return Check("SPF", Mark.OK, f"{domain}: {spf[0]}")


def _check_dkim(domain: str, records: "DnsRecords") -> Check:
    """Only the signing server knows the selector; but where a name does not exist, none below it does (RFC 8020)."""
    for name in _with_parents(domain):
        if records.exists(f"_domainkey.{name}"):
            return Check("DKIM", Mark.OK, f"{name} publishes keys")
    message = f"domain {domain} publishes no key to verify its signatures (no DKIM record)"
    return Check("DKIM", Mark.WARN, message, f"add the DKIM record that your mail provider gives you to {domain}")


def _check_dmarc(domain: str, records: "DnsRecords") -> Check:
    """RFC 7489 6.6.3: the record of the domain itself, else of a parent domain."""
    for name in _with_parents(domain):
        for text in records.texts(f"_dmarc.{name}"):
            if text.lower().replace(" ", "").startswith("v=dmarc1"):
                return Check("DMARC", Mark.OK, f"{name}: {text}")
    policy = "does not say what to do with mail that forges its address (no DMARC record)"
    message = f"domain {domain} {policy}; Gmail and Yahoo ask bulk senders for one"
    return Check("DMARC", Mark.WARN, message, f"add a TXT record to _dmarc.{domain}: v=DMARC1; p=none")


def _check_replies(domain: str, records: "DnsRecords") -> Check:
    """RFC 5321 5.1: without an MX record, mail goes to the domain's own address. RFC 7505: a lone dot accepts none."""
    hosts = records.mail_servers(domain)
    if hosts == [""] or not (hosts or records.has_address(domain)):
        message = f"domain {domain} accepts no mail: replies to the digest, such as requests to unsubscribe, bounce"
        return Check("replies", Mark.WARN, message, "use an address in digest.from that accepts mail")
    return Check("replies", Mark.OK, f"go to {hosts[0] if hosts else domain}")


def _with_parents(domain: str) -> Iterator[str]:
    """The domain and its parent domains, without the top-level one."""
    labels = domain.split(".")
    yield from (".".join(labels[n:]) for n in range(max(1, len(labels) - 1)))


class DnsUnanswered(Exception):
    """No name server answered in time."""


class DnsRecords:
    """DNS records, as `nameserver` gives them, by default those of this machine. Methods raise DnsUnanswered."""

    def __init__(self, nameserver: Nameserver | None = None) -> None:
        import dns.exception
        import dns.nameserver
        import dns.resolver

        try:
            self._resolver = dns.resolver.Resolver(configure=nameserver is None)
        except dns.exception.DNSException:
            raise DnsUnanswered from None
        if nameserver is not None:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(*nameserver)]
        self._deadline = time.monotonic() + _TIMEOUT

    def exists(self, name: str) -> bool:
        """Whether the name or a name below it exists; one that only has names below it has no records of its own."""
        return self._query(name, "TXT") is not None

    def texts(self, name: str) -> list[str]:
        """The TXT records; a long one comes in several strings (RFC 7208 3.3)."""
        return [b"".join(record.strings).decode("utf-8", "replace") for record in self._query(name, "TXT") or ()]

    def mail_servers(self, name: str) -> list[str]:
        """The hosts of the MX records, the preferred one first; '' is the lone dot of RFC 7505."""
        hosts = sorted((record.preference, str(record.exchange)) for record in self._query(name, "MX") or ())
        return [host.rstrip(".") for _, host in hosts]

    def has_address(self, name: str) -> bool:
        """Whether the name has an IPv4 or IPv6 address."""
        return any(self._query(name, kind) for kind in ("A", "AAAA"))

    def _query(self, name: str, kind: str) -> "dns.resolver.Answer | None":
        """The records of a kind, which may be none; None if the name does not exist."""
        import dns.exception
        import dns.resolver

        seconds = max(0.01, self._deadline - time.monotonic())
        try:
            return self._resolver.resolve(f"{name}.", kind, raise_on_no_answer=False, lifetime=seconds)
        except dns.resolver.NXDOMAIN:
            return None
        except (dns.exception.DNSException, OSError):
            raise DnsUnanswered from None
