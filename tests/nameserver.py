"""A name server for tests, real down to the datagram: it answers for the names it is given and no others."""

import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[tuple[str, str], Sequence[str]]  # (name, type) -> records as a zone file writes them


@contextmanager
def serving(zone: Zone) -> Iterator[tuple[str, int]]:
    """Answers from `zone` on a free port of the loopback, whose address is yielded."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(door, zone), daemon=True)
        thread.start()
        try:
            yield door.getsockname()
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
                bell.sendto(b"", door.getsockname())
            thread.join(5)


def _serve(door: socket.socket, zone: Zone) -> None:
    with suppress(OSError):
        while asked := door.recvfrom(4096):
            data, caller = asked
            if not data:
                return
            door.sendto(_answer(dns.message.from_wire(data), zone).to_wire(), caller)


def _answer(query: dns.message.Message, zone: Zone) -> dns.message.Message:
    """RFC 8020: a name exists if there is a record at it or below it."""
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.AA
    (question,) = query.question
    name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
    if not any(known == name or known.endswith(f".{name}") for known, _ in zone):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    elif records := zone.get((name, kind)):
        reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, *records))
    return reply
