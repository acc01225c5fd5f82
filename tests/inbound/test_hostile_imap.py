"""IMAP servers that want to be read for ever, or to fill the memory: the reading ends, with an expected error."""

import itertools
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from time import sleep

import pytest

from digest.errors import InboxError
from digest.inbound import UnsubscribeRequest
from digest.inbound.mailbox import read_mailbox
from tests.imap_server import GOOD, PLAIN, Reply, Scripted

_MAX_MEMORY = 300  # megabytes
_MAX_SECONDS = 120

# Reads all of a mailbox as the program does, and prints the error and the most memory that this process ever had, in
# kilobytes. Not ru_maxrss, which a child process inherits.
_READ = """
import re, sys
from datetime import date
from pathlib import Path
from digest.errors import InboxError
from digest.inbound import InboxSettings
from digest.inbound.mailbox import read_mailbox
from digest.settings import Secret
port, timeout = sys.argv[1:]
inbox = InboxSettings(host="127.0.0.1", port=int(port), security="none", username="me", password=Secret("secret"),
                      timeout=float(timeout))
try:
    count = sum(len(letter.events) for letter in read_mailbox(inbox, "", date(2000, 1, 1)))
    print(f"{count} events")
except InboxError as error:
    print(error)
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""

TOO_LONG = "it sent an answer of more than 32,000,000 bytes"
LATE = "reading it takes longer than"


def endless(*chunks: bytes) -> Callable[[str, str], Iterator[bytes]]:
    """A reply that never ends, in pieces of some size."""
    chunk = b"".join(chunks)
    return lambda tag, command: itertools.repeat(chunk * max(1, 65536 // len(chunk)))


def slow(chunk: bytes, seconds: float) -> Callable[[str, str], Iterator[bytes]]:
    def reply(tag: str, command: str) -> Iterator[bytes]:
        while True:
            sleep(seconds)
            yield chunk

    return reply


def once(*chunks: bytes) -> Callable[[str, str], Iterator[bytes]]:
    """A reply of these bytes, which then ends as it should."""
    return lambda tag, command: iter((*chunks, f"{tag} OK done\r\n".encode()))


def different_types(tag: str, command: str) -> Iterator[bytes]:
    """Untagged responses that imaplib keeps one by one, each under its type."""
    for letters in itertools.product(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ", repeat=4):
        yield b"* %b\r\n" % bytes(letters)


def every_uid(tag: str, command: str) -> Iterator[bytes]:
    """Other UIDs in every window, as many as a window has letters."""
    end = re.search(r"(\d+):(\d+|\*)", command)
    start = int(end[1]) if end else 1
    for first in range(start, start + 50_000, 10_000):
        yield b"* SEARCH " + b" ".join(b"%d" % (uid + 4_000_000_000) for uid in range(first, first + 10_000)) + b"\r\n"
    yield f"{tag} OK done\r\n".encode()


def huge_headers(tag: str, command: str) -> Iterator[bytes]:
    """What an honest server sends for a batch of letters with as many recipients as are read."""
    header = b"To: " + b"a+bcdefghijklmnopqrstuvwxyz2@example.org, " * 1560
    for uid in re.findall(r"\d+", command.partition("(")[0]):
        yield b"* 1 FETCH (UID %d BODY[HEADER] {%d}\r\n%b)\r\n" % (int(uid), len(header), header)
    yield f"{tag} OK done\r\n".encode()


HOSTILE: dict[str, tuple[dict[str, Reply], float, str]] = {
    "greeting without end": ({"GREETING": endless(b"x")}, 5, "it sent a line of more than 1,000,000 bytes"),
    "line without end": ({"SEARCH": endless(b"* SEARCH ")}, 5, "it sent a line of more than 1,000,000 bytes"),
    "lines without end": ({"SEARCH": endless(b"* 1 EXISTS\r\n")}, 5, TOO_LONG),
    "short lines without end": ({"EXAMINE": endless(b"* A\r\n")}, 5, TOO_LONG),
    "lines of different types": ({"SEARCH": different_types}, 5, TOO_LONG),
    "long lines without end": ({"SEARCH": endless(b"* SEARCH ", b"1 " * 400_000, b"\r\n")}, 5, TOO_LONG),
    "lines of braces": ({"SEARCH": endless(b"* SEARCH ", b"{1" * 400_000, b"\r\n")}, 5, TOO_LONG),
    "capabilities without end": ({"CAPABILITY": endless(b"* CAPABILITY IMAP4rev1\r\n")}, 5, TOO_LONG),
    "questions without end": ({"SECRET": endless(b"+ \r\n"), **PLAIN}, 1, ""),
    "literals without end": ({"HEADERS": endless(b"* 1 FETCH (UID 1 BODY[] {9}\r\n123456789)\r\n")}, 5, TOO_LONG),
    "nested literals": ({"HEADERS": endless(b"* 1 FETCH (UID 1 BODY[] {9}\r\n123456789 {9}\r\n123456789)\r\n")}, 5, ""),
    "a literal of 9 GB": ({"WHOLE": endless(b"* 1 FETCH (UID 1 BODY[] {9000000000}\r\n")}, 5, TOO_LONG),
    "a literal of 1e30 bytes": ({"WHOLE": endless(b"* 1 FETCH (UID 1 BODY[] {1" + b"0" * 30 + b"}\r\n")}, 5, TOO_LONG),
    "a literal in a search": ({"SEARCH": once(b"* SEARCH {30000000}\r\n", b"1 " * 15_000_000, b"\r\n")}, 5, "IMAP"),
    "a line byte by byte": ({"SEARCH": slow(b"1", 0.05)}, 0.2, LATE),
    "a literal byte by byte": (
        {"WHOLE": lambda *_: itertools.chain([b"* 1 FETCH (UID 1 {9999}\r\n"], slow(b"x", 0.05)("", ""))},
        0.2,
        LATE,
    ),
    "now and then a line": ({"EXAMINE": slow(b"* OK wait\r\n", 0.1)}, 0.2, LATE),
    "too many letters": ({"EXAMINE": GOOD["EXAMINE"].replace("2 EXISTS", "99999999999 EXISTS")}, 5, "IMAP error"),
    "too many windows": ({"EXAMINE": GOOD["EXAMINE"].replace("2 EXISTS", "4294967295 EXISTS")}, 5, "the folder has 4,"),
    "ten million letters": (
        {"EXAMINE": GOOD["EXAMINE"].replace("2 EXISTS", "10000000 EXISTS"), "SEARCH": every_uid},
        5,
        "the folder has more than 1,000,000 new letters",
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_no_server_can_keep_the_reading_busy_or_fill_the_memory(name: str) -> None:
    replies, timeout, reason = HOSTILE[name]
    with Scripted(replies).running() as inbox:
        command = [sys.executable, "-c", _READ, str(inbox.port), str(timeout)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MAX_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    message, memory = done.stdout.splitlines()
    assert message.startswith(f"the mailbox on 127.0.0.1:{inbox.port} cannot be read: {reason}")
    assert len(message) < 500
    assert int(memory) / 1024 < _MAX_MEMORY


@pytest.mark.slow
def test_the_largest_honest_answer_fits() -> None:
    uids = " ".join(str(uid) for uid in range(1, 201))
    replies: dict[str, Reply] = {"SEARCH": f"* SEARCH {uids}\r\n{{tag}} OK done\r\n", "HEADERS": huge_headers}
    with Scripted(replies).running() as inbox:
        command = [sys.executable, "-c", _READ, str(inbox.port), "20"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_MAX_SECONDS, check=True)
    events, memory = done.stdout.splitlines()
    assert events == "1 events"  # of the only letter whose text the server has
    assert int(memory) / 1024 < _MAX_MEMORY


# ---- damaged dialogues -----------------------------------------------------------------------------------------------

PIECES = (
    b'\r\n', b'\n', b'* ', b'+ \r\n', b'{3}\r\n', b'{0}\r\n', b'{', b'}', b'(', b')', b'"', b'\\', b'\x00', b'\xff',
    b'NIL', b'* BYE\r\n', b'* NO x\r\n', b'* BAD\r\n', b'* 1 EXPUNGE\r\n', b'* 0 EXISTS\r\n', b'[UIDVALIDITY x]',
    b'[READ-ONLY]', b'* OK [ALERT] x\r\n', b'UID 1 ', b'UID 99999999999999', b'-1', b'\xd9\xa1', b' ',
    b'* SEARCH\r\n', b'* PREAUTH\r\n', b'{tag} OK\r\n', b'{tag} NO\r\n', b'{tag} BAD\r\n', b'A1 OK\r\n',
    b'* CAPABILITY {2}\r\nxx\r\n', b'* FLAGS ()\r\n',
)  # fmt: skip


def damaged(chance: random.Random) -> dict[str, Reply]:
    """A dialogue with some replies that a server would not send."""
    replies: dict[str, Reply] = {}
    for step in chance.sample([*GOOD], chance.randint(1, 3)):
        raw = GOOD[step].encode("latin-1")
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(raw) + 1)
            raw = raw[:at] + chance.choice(PIECES) + raw[at + chance.choice((0, 0, 1, 5, 40)) :]
        replies[step] = raw.decode("latin-1")
    return replies


def converse(seed: int) -> None:
    chance = random.Random(seed)
    replies = damaged(chance)
    if chance.random() < 0.3:
        replies = {**PLAIN, **replies}
    with Scripted(replies).running() as inbox, suppress(InboxError):
        for letter in read_mailbox(replace(inbox, timeout=0.1), "", date(2000, 1, 1)):
            assert set(letter.events) <= {UnsubscribeRequest("abcdefghijklmnopqrstuvwx23")}, replies


def test_a_damaged_dialogue_is_an_expected_error() -> None:
    for seed in range(30):
        converse(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 2000, 100))
def test_a_thousand_damaged_dialogues_are_expected_errors(first: int) -> None:
    for seed in range(first, first + 100):
        converse(seed)
