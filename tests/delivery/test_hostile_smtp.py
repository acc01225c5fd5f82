"""Mail servers that say too much, too slowly, or nonsense: an expected outcome, in bounded memory and time.

The dialogues at the end are chosen by chance. To repeat or prolong them:

    DIGEST_SEED=7 DIGEST_EXAMPLES=5000 python -m pytest -m slow -s tests/delivery/test_hostile_smtp.py
"""

import base64
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import BinaryIO

import pytest

from digest.delivery import ServerRejected, ServerUnreachable, SmtpSettings, State
from digest.delivery.smtp import check_server, smtp_delivery
from digest.settings import Secret
from tests.delivery.test_smtp import SECRET, at, message, send, settings
from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]
Talk = Callable[[socket.socket], None]


@contextmanager
def talking(talk: Talk) -> Iterator[int]:
    """A server that does with each connection what `talk` does; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    clients: list[socket.socket] = []

    def serve(client: socket.socket) -> None:
        with closing(client), suppress(OSError):
            talk(client)

    def accept() -> None:
        with suppress(OSError):
            while True:
                clients.append(listener.accept()[0])
                threading.Thread(target=serve, args=(clients[-1],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        for one in (listener, *clients):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def without_end(prefix: bytes, endless: bytes, pause: float = 0.0) -> Talk:
    """Says `prefix` in answer to the first lines, one line each, and then the same for ever."""

    def talk(client: socket.socket) -> None:
        with client.makefile("rb") as lines:
            for number, reply in enumerate(prefix.splitlines(keepends=True)):
                if number:
                    lines.readline()
                client.sendall(reply)
            while True:
                client.sendall(endless)
                time.sleep(pause)

    return talk


CHILD = """
import resource, sys
from digest.delivery import Message, ServerRejected, ServerUnreachable, SmtpSettings
from digest.delivery.smtp import check_server, smtp_delivery

resource.setrlimit(resource.RLIMIT_AS, (2 * 10**9, 2 * 10**9))
smtp = SmtpSettings(("127.0.0.1",), int(sys.argv[1]), "none", timeout=1.0)
try:
    print("check:", check_server(smtp, "127.0.0.1"))
except (ServerRejected, ServerUnreachable) as error:
    print("check:", error)
mail = Message(1, "digest@example.org", "ann@example.org", b"Subject: x\\r\\n\\r\\nx\\r\\n")
for batch in smtp_delivery(smtp)(iter([mail]), lambda: False):
    for outcome in batch:
        print("send:", outcome)
"""


# What `wait4` reports would include the memory of the process that started the child.
PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def run_child(code: str, *words: str, seconds: float = 60) -> tuple[str, float]:
    """Run code in a process of its own: what it printed, and its peak of memory in MB."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", code + PEAK, *words], env=environ, stdout=subprocess.PIPE, text=True
    )
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    assert process.stdout
    with process.stdout:
        printed = process.stdout.read()
    timer.cancel()
    assert process.wait() == 0, printed
    *lines, peak = printed.splitlines()
    return "\n".join(lines), int(peak) / 1024


@pytest.mark.parametrize(
    "talk",
    [
        without_end(b"", b"220-x\r\n" * 10_000),
        without_end(b"", b"x" * 100_000),
        without_end(b"220 hello\r\n", b"250-SIZE 10\r\n" * 5000),
    ],
    ids=["greeting", "line", "features"],
)
def test_a_reply_without_end_before_the_login_ends_in_a_sentence(talk: Talk) -> None:
    with talking(talk) as port:
        printed, megabytes = run_child(CHILD, str(port))
    first, second = printed.splitlines()
    assert first.startswith(f"check: 127.0.0.1:{port} ")
    assert "State.PENDING" in second
    assert megabytes < 150, printed


@pytest.mark.parametrize("talk", [without_end(b"", b"2", 0.02), without_end(b"220 hi\r\n", b"250-x\r\n", 0.02)])
def test_a_reply_that_never_gets_finished_times_out(talk: Talk) -> None:
    with talking(talk) as port:
        started = time.monotonic()
        with pytest.raises(ServerUnreachable, match="took longer than 1 seconds"):
            check_server(settings(port, timeout=0.2), "127.0.0.1")
        assert send(settings(port, timeout=0.2), message(1))[0].state is State.PENDING
    assert time.monotonic() - started < 30


def test_a_tls_handshake_that_never_gets_finished_times_out() -> None:
    hello = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xf0\x03\x03"  # of a server, and then a byte now and then
    with talking(without_end(hello, b"x", 0.02)) as port:
        started = time.monotonic()
        with pytest.raises(ServerUnreachable):
            check_server(settings(port, security="tls", timeout=0.2), "127.0.0.1")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("feature", "reply", "kind", "words"),
    [
        ("AUTH PLAIN", "334 x", ServerUnreachable, "sent invalid replies to the login"),
        ("AUTH LOGIN", "334 \udcff", ServerUnreachable, "sent invalid replies to the login"),
        ("AUTH CRAM-MD5", "334 =", ServerUnreachable, "sent invalid replies to the login"),
        ("AUTH PLAIN", "334 " + base64.b64encode(b"more").decode(), ServerUnreachable, "sent invalid replies"),
        ("AUTH GSSAPI", "", ServerRejected, "does not offer a login with a password"),
    ],
)
def test_a_login_that_makes_no_sense_ends_in_a_sentence(
    feature: str, reply: str, kind: type[Exception], words: str
) -> None:
    def answer(stage: str, *_: object) -> str | None:
        return reply if reply and stage not in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY") else None

    with Server(answer, (feature,)).running() as server:
        smtp = settings(server.port, username="me", password=Secret(SECRET))
        with pytest.raises(kind, match=words) as caught:
            check_server(smtp, "127.0.0.1")
        (outcome,) = send(smtp, message(1))
    assert (outcome.state, outcome.reply) == (State.PENDING, str(caught.value))
    assert outcome.stop == (kind is ServerRejected)


@pytest.mark.parametrize("size", ["9" * 5000, "9" * 21, "٣", "-1", "1e3", "0x10"])
def test_a_size_that_makes_no_sense_is_none(size: str) -> None:
    with Server(features=("PIPELINING", f"SIZE {size}")).running() as server:
        assert check_server(settings(server.port), "127.0.0.1").max_bytes == 0
        assert send(settings(server.port), message(1))[0].state is State.SENT


TOKEN = "ya29.a0AfB_" + "x7Qp-" * 60
BEARER = base64.b64encode(f"user=me\x01auth=Bearer {TOKEN}\x01\x01".encode()).decode()
QUOTES = {
    "plain": f"your token {TOKEN} is wrong",
    "as it was sent": f"cannot decode {BEARER}",
    "encoded": f"what is {base64.b64encode(TOKEN.encode()).decode()}",
    "broken": f"cannot decode {BEARER[:300]} {BEARER[300:]}",
    "cut off": f"cannot decode AUTH=XOAUTH2:{BEARER[:80]}...",
    "far behind": "x " * 140 + TOKEN,
}


@pytest.mark.parametrize("quote", QUOTES.values(), ids=QUOTES)
@pytest.mark.parametrize("stage", ["AUTH", "MAIL", "RCPT", "BODY", "QUIT"])
def test_an_access_token_that_the_server_quotes_is_not_shown(stage: str, quote: str) -> None:
    reply = "\r\n".join(f"535{mark}5.7.8 {part}" for mark, part in zip("- ", (quote[:400], quote[400:]), strict=True))
    with Server(at(stage, reply), ("PIPELINING", "AUTH XOAUTH2")).running() as server:
        outcomes = send(settings(server.port, username="me", token_command=("echo", TOKEN)), message(1))
    shown = repr(outcomes)
    assert "***" in shown or stage == "QUIT"
    assert not any(secret[n : n + 12] in shown for secret in (TOKEN, BEARER) for n in range(len(secret) - 11))


def test_a_line_that_is_no_reply_does_not_show_the_token() -> None:
    with Server(at("MAIL", f"{TOKEN}!"), ("AUTH XOAUTH2",)).running() as server:
        (outcome,) = send(settings(server.port, username="me", token_command=("echo", TOKEN)), message(1))
    assert outcome.reply == "the server sent an invalid SMTP reply: '***!'"


# --- Dialogues by chance

FEATURES = ["PIPELINING", "SIZE", "SIZE 99999", "SIZE " + "9" * 5000, "8BITMIME", "STARTTLS", "\xff\xfe", "=", ""]
LOGINS = ["PLAIN", "LOGIN", "CRAM-MD5", "PLAIN LOGIN", "XOAUTH2", "NTLM", "=PLAIN", ""]
EARLY = [b"250 ok\r\n", b"354 go\r\n", b"235 in\r\n", b"334 x\r\n", b"550 no\r\n"]
REPLIES = {"GREETING": "220 hi", "AUTH": "235 in", "DATA": "354 go", "QUIT": "221 bye"}


@dataclass
class Dialogue:
    """A server that mostly answers as it should. An `honest` one may be slow, wordy, reject or hang up, but never lies.

    `accepted` are the messages that it accepts, even if it does not get so far as to say so. `violations` are bodies
    that were not announced.
    """

    seed: str
    honest: bool
    announced: set[int] = field(default_factory=set)
    bodies: set[int] = field(default_factory=set)
    accepted: set[int] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    connections: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.oddness = self.chance.choice([0.02, 0.1, 0.3])
        login = self.chance.choice(LOGINS)
        features = self.chance.sample(FEATURES, 4) + [f"AUTH {login}"] * bool(login)
        self.features = ["PIPELINING", "AUTH PLAIN"] if self.honest and self.chance.random() < 0.8 else features

    def smtp(self, port: int) -> SmtpSettings:
        plain = settings(port, timeout=0.15, connections=self.chance.randint(1, 3))
        by_password = replace(plain, username="me", password=Secret(SECRET))
        return self.chance.choice([plain, by_password, replace(plain, username="me", token_command=("echo", TOKEN))])

    def talk(self, client: socket.socket) -> None:
        voice = _Voice(client, random.Random(f"{self.seed} {next(self.connections)}"), self)
        with client.makefile("rb") as lines:
            voice.say("GREETING")
            while line := lines.readline(100_000):
                stage = line[:4].decode("ascii", "replace").upper().strip()
                if stage in ("EHLO", "HELO"):
                    voice.reply("".join(f"250-{word}\r\n" for word in ("test", *self.features)) + "250 HELP")
                elif voice.say(stage) and stage == "DATA":
                    self._read_body(lines, voice)

    def _read_body(self, lines: BinaryIO, voice: "_Voice") -> None:
        key = None
        while (line := lines.readline(100_000)) != b".\r\n":
            if not line:
                return
            if line.startswith(b"Message-ID: <"):
                key = int(line[13:].partition(b"@")[0])
                self.bodies.add(key)
                if key not in self.announced:
                    self.violations.append(f"the body of {key} was not announced")
        voice.say("BODY", key)


class _Voice:
    """Says the replies of a dialogue on one connection, some of them otherwise."""

    def __init__(self, client: socket.socket, chance: random.Random, dialogue: Dialogue) -> None:
        self.client, self.chance, self.dialogue = client, chance, dialogue

    def say(self, stage: str, body: int | None = None) -> bool:
        return self.reply(REPLIES.get(stage, "250 ok"), body)

    def reply(self, reply: str, body: int | None = None) -> bool:
        """Say a reply, to a `body` perhaps, or something else; return whether it was said."""
        raw = reply.encode("latin-1") + b"\r\n"
        odd = self.chance.random() < self.dialogue.oddness
        honest, lying = (self.split, self.wordy, self.reject, self.stall, self.half), (self.lie, self.lie, self.lie)
        way = self.chance.choice(honest if self.dialogue.honest else honest + lying) if odd else self.plainly
        if body is not None and way != self.reject:
            self.dialogue.accepted.add(body)
        return way(raw)

    def plainly(self, raw: bytes) -> bool:
        self.client.sendall(raw)
        return True

    def split(self, raw: bytes) -> bool:
        for start in range(0, len(raw), 3):
            self.client.sendall(raw[start : start + 3])
            time.sleep(0.001)
        return True

    def wordy(self, raw: bytes) -> bool:
        lines = [raw[:3] + b"-" + self.noise(60).replace(b"\n", b" ") for _ in range(self.chance.randint(1, 90))]
        self.client.sendall(b"\r\n".join([*lines, raw]))
        return True

    def reject(self, _: bytes) -> bool:
        self.client.sendall(self.chance.choice([b"451 no", b"550 no", b"421 no", b"552 5.2.2 no"]) + b"\r\n")
        return False

    def stall(self, raw: bytes) -> bool:
        time.sleep(self.chance.choice([0.1, 0.9]))
        return self.plainly(raw)

    def half(self, raw: bytes) -> bool:
        self.client.sendall(raw[: self.chance.randrange(len(raw) - 1)])
        raise ConnectionResetError

    def lie(self, raw: bytes) -> bool:
        said = [
            self.noise(self.chance.choice([5, 300, 5000, 100_000])) + self.chance.choice([b"", raw]),
            str(self.chance.randint(-20, 620)).encode() + self.chance.choice([b" x\r\n", b"-x\r\n", b"\r\n"]) + raw,
            b"".join(self.chance.choices(EARLY, k=self.chance.randint(2, 12))),
            b"334 " + base64.b64encode(self.noise(9)) + b"\r\n",
            b"",
        ]
        self.client.sendall(self.chance.choice(said))
        while self.chance.random() < 0.2:
            self.client.sendall(self.chance.choice([*EARLY, b"250-x\r\n", b"x", b"\r\n"]) * 100_000)
        return False

    def noise(self, most: int) -> bytes:
        return self.chance.randbytes(self.chance.randint(0, most))


def hold(seed: str) -> None:
    """Hold a dialogue, once to check the server and once to send; anything but the expected raises."""
    dialogue = Dialogue(seed, honest=seed.endswith("honest"))
    count = dialogue.chance.randint(1, 8)
    with talking(dialogue.talk) as port:
        smtp = dialogue.smtp(port)
        with suppress(ServerRejected, ServerUnreachable):
            check_server(smtp, "127.0.0.1")
        ended: dict[int, State] = {}
        for batch in smtp_delivery(smtp)(iter(map(message, range(count))), lambda: False):
            for outcome in batch:
                assert outcome.key not in ended, seed
                if outcome.state is State.SENDING:
                    dialogue.announced.add(outcome.key)
                else:
                    ended[outcome.key] = outcome.state
    assert {*ended.values()} <= {State.SENT, State.PENDING, State.REFUSED, State.DOUBT}, seed
    assert dialogue.bodies <= {*ended}, seed
    assert not dialogue.violations, (seed, dialogue.violations)
    if dialogue.honest:
        sent, doubt = ({key for key in ended if ended[key] is state} for state in (State.SENT, State.DOUBT))
        assert sent <= dialogue.accepted <= sent | doubt, (seed, ended, dialogue.accepted)


def hold_all(seed: str, count: int) -> None:
    seeds = [f"{seed} {n} {kind}" for n in range(count) for kind in ("honest", "lying")]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, seeds))


def converse(count: int, seconds: float) -> None:
    """Hold that many dialogues of each kind in a process of its own, in bounded memory and time."""
    seed = os.environ.get("DIGEST_SEED") or str(random.randrange(10**9))
    print(f"seed {seed}")
    code = f"from tests.delivery.test_hostile_smtp import hold_all; hold_all({seed!r}, {count})"
    printed, megabytes = run_child(code, seconds=seconds)
    print(f"{2 * count} dialogues, {megabytes:.0f} MB", printed)
    assert megabytes < 300


def test_whatever_a_server_says_a_message_has_an_expected_outcome() -> None:
    converse(15, seconds=120)


@pytest.mark.slow
def test_whatever_a_server_says_in_a_thousand_dialogues() -> None:
    examples = int(os.environ.get("DIGEST_EXAMPLES", "500"))
    converse(examples, seconds=60 + 2 * examples)
