"""Mail servers that say too much, too slowly, or nonsense: an expected outcome, in bounded memory and time."""

import base64
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from digest.delivery import ServerRejected, ServerUnreachable, State
from digest.delivery.smtp import check_server
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
smtp = SmtpSettings("127.0.0.1", int(sys.argv[1]), "none", timeout=1.0)
try:
    print("check:", check_server(smtp))
except (ServerRejected, ServerUnreachable) as error:
    print("check:", error)
mail = Message(1, "digest@example.org", "ann@example.org", b"Subject: x\\r\\n\\r\\nx\\r\\n")
for batch in smtp_delivery(smtp)(iter([mail]), lambda: False):
    for outcome in batch:
        print("send:", outcome)
"""


def child(port: int) -> tuple[str, float]:
    """Check a server and send to it, in a process of its own: what that printed, and its peak of memory in MB."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(port)], env=environ, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(60, process.kill)
    timer.start()
    assert process.stdout
    with process.stdout:
        printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    assert process.returncode == 0, printed
    return printed, usage.ru_maxrss / 1024


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
        printed, megabytes = child(port)
    first, second = printed.splitlines()
    assert first.startswith(f"check: 127.0.0.1:{port} ")
    assert "State.PENDING" in second
    assert megabytes < 150, printed


@pytest.mark.parametrize("talk", [without_end(b"", b"2", 0.02), without_end(b"220 hi\r\n", b"250-x\r\n", 0.02)])
def test_a_reply_that_never_gets_finished_times_out(talk: Talk) -> None:
    with talking(talk) as port:
        started = time.monotonic()
        with pytest.raises(ServerUnreachable, match="took longer than 1 seconds"):
            check_server(settings(port, timeout=0.2))
        assert send(settings(port, timeout=0.2), message(1))[0].state is State.PENDING
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
            check_server(smtp)
        (outcome,) = send(smtp, message(1))
    assert (outcome.state, outcome.reply) == (State.PENDING, str(caught.value))
    assert outcome.stop == (kind is ServerRejected)


@pytest.mark.parametrize("size", ["9" * 5000, "9" * 21, "٣", "-1", "1e3", "0x10"])
def test_a_size_that_makes_no_sense_is_none(size: str) -> None:
    with Server(features=("PIPELINING", f"SIZE {size}")).running() as server:
        assert check_server(settings(server.port)).max_bytes == 0
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
