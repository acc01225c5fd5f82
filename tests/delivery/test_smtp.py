"""Delivery by SMTP over real sockets, TLS and logins: what each reply leads to, and that no secret is printed."""

import asyncio
import base64
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from digest.config import load
from digest.delivery import Message, Outcome, Rate, SmtpSettings, State
from digest.delivery.smtp import smtp_delivery
from digest.delivery.smtp_pool import Throttle
from digest.delivery.smtp_protocol import InvalidReply, ReplyParser
from digest.errors import ConfigError
from digest.settings import Secret
from tests.certificates import self_signed
from tests.server import DROP, STALL, SWALLOW, Answer, Server

SECRET = "hunter2-correct-horse"


def message(key: int, address: str = "", text: str = "hello") -> Message:
    address = address or f"reader{key}@example.org"
    body = f"To: {address}\r\nMessage-ID: <{key}@example.org>\r\n\r\n{text}\r\n".encode()
    return Message(key, "digest@example.org", address, body)


def settings(port: int, **more: Any) -> SmtpSettings:
    return replace(SmtpSettings(("127.0.0.1",), port, "none", timeout=2.0), **more)


def send(smtp: SmtpSettings, *messages: Message) -> list[Outcome]:
    return final(smtp_delivery(smtp)(iter(messages), lambda: False))


def final(batches: Iterable[Sequence[Outcome]]) -> list[Outcome]:
    """What became of the messages, without the announcements."""
    return [outcome for batch in batches for outcome in batch if outcome.state is not State.SENDING]


def states(outcomes: Sequence[Outcome]) -> dict[int, State]:
    assert len({outcome.key for outcome in outcomes}) == len(outcomes)
    return {outcome.key: outcome.state for outcome in outcomes}


def at(stage: str, reply: str, only: str = "") -> Answer:
    """Reply with `reply` at a stage, always or only if the argument contains `only`."""
    return lambda current, argument, _: reply if current == stage and only in argument else None


class FreePortController(Controller):
    """An aiosmtpd server on a free port."""

    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]

    @contextmanager
    def running(self) -> Iterator[int]:
        self.start()
        try:
            yield self.port
        finally:
            self.stop()


@pytest.mark.parametrize("features", [(), ("PIPELINING",), ("PIPELINING", "SIZE 100000"), ("SIZE",)])
@pytest.mark.parametrize("connections", [1, 3])
def test_every_message_arrives_once_and_unchanged(features: tuple[str, ...], connections: int) -> None:
    texts = ["hello", ".", "..\r\n.\r\nx", "a\r\n.b", "x" * 100_000 if "SIZE 100000" not in features else "x"]
    messages = [message(n, text=texts[n % len(texts)]) for n in range(20)]
    with Server(features=features).running() as server:
        outcomes = send(settings(server.port, connections=connections), *messages)
    assert states(outcomes) == {m.key: State.SENT for m in messages}
    assert dict(server.taken) == {m.address: m.content for m in messages}
    assert len(server.taken) == 20
    assert server.connections <= connections


def test_a_server_without_pipelining_gets_one_command_at_a_time() -> None:
    class Handler:
        def __init__(self) -> None:
            self.accepted: list[tuple[str, bytes]] = []

        async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:
            assert isinstance(envelope.content, bytes)
            self.accepted.append((envelope.rcpt_tos[0], envelope.content))
            return "250 2.0.0 accepted"

    handler = Handler()
    with FreePortController(handler, hostname="127.0.0.1", port=0).running() as port:
        messages = [message(n, text=".dot\r\n..") for n in range(5)]
        outcomes = send(settings(port), *messages)
    assert states(outcomes) == dict.fromkeys(range(5), State.SENT)
    assert handler.accepted == [(m.address, m.content) for m in messages]


REPLIES = [
    ("MAIL", "451 4.3.0 later", State.PENDING, False),
    ("RCPT", "451 4.7.1 greylisted, try again", State.PENDING, False),
    ("RCPT", "450 4.2.1 busy", State.PENDING, False),
    ("RCPT", "452 4.2.2 mailbox full", State.PENDING, False),
    ("RCPT", "421 4.3.2 closing", State.PENDING, False),
    ("DATA", "451 4.3.0 later", State.PENDING, False),
    ("BODY", "451 4.3.0 later", State.PENDING, False),
    ("BODY", "452 4.3.1 disk full", State.PENDING, False),
    ("BODY", "421 4.3.2 closing", State.PENDING, False),
    ("RCPT", "550 5.1.1 no such user", State.REFUSED, False),
    ("RCPT", "550 no such user", State.REFUSED, False),
    ("RCPT", "553 5.1.3 bad address", State.REFUSED, False),
    ("BODY", "554 5.6.0 not for this one", State.REFUSED, False),
    ("DATA", "554 5.5.1 no valid recipients", State.REFUSED, False),
    ("RCPT", "552 5.2.2 mailbox full", State.PENDING, False),
    ("BODY", "552 mailbox full", State.PENDING, False),
    ("RCPT", "550-5.2.2 over\r\n550 5.2.2 quota", State.PENDING, False),
    ("MAIL", "550 5.1.0 sender unknown", State.PENDING, True),
    ("MAIL", "530 5.7.0 log in first", State.PENDING, True),
    ("MAIL", "552 5.3.4 too big", State.PENDING, True),
    ("RCPT", "530 5.7.0 log in first", State.PENDING, True),
    ("RCPT", "550 5.1.8 sender's domain unknown", State.PENDING, True),
    ("BODY", "552 5.3.4 too big", State.PENDING, True),
    ("RCPT", "550 5.7.1 relaying denied", State.PENDING, True),
    ("BODY", "550 5.7.26 not authenticated", State.PENDING, True),
    ("GREETING", "554 5.3.2 go away", State.PENDING, True),
    ("GREETING", "421 4.7.0 too many connections", State.PENDING, False),
    ("MAIL", DROP, State.PENDING, False),
    ("RCPT", DROP, State.PENDING, False),
    ("DATA", DROP, State.PENDING, False),
    ("BODY", DROP, State.DOUBT, False),
    ("BODY", SWALLOW, State.DOUBT, False),
    ("GREETING", DROP, State.PENDING, False),
    ("EHLO", DROP, State.PENDING, False),
    ("MAIL", "what?", State.PENDING, False),
    ("RCPT", "\x00\x01\x02", State.PENDING, False),
    ("DATA", "250 go on", State.PENDING, False),
    ("RCPT", "354 go on", State.PENDING, False),
    ("BODY", "hm", State.DOUBT, False),
    ("BODY", "354 more", State.DOUBT, False),
    ("MAIL", "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 and more", State.DOUBT, False),
    ("MAIL", "2" * 100_000, State.PENDING, False),
    ("MAIL", "250-more\r\n" * 1000, State.PENDING, False),
    ("GREETING", "hello there", State.PENDING, False),
    ("GREETING", "2" * 100_000, State.PENDING, False),
]


@pytest.mark.parametrize("features", [(), ("PIPELINING",)], ids=["one at a time", "pipelined"])
@pytest.mark.parametrize(("stage", "reply", "state", "stop"), REPLIES, ids=[f"{r[0]} {r[1][:24]!r}" for r in REPLIES])
def test_a_reply_decides_the_outcome_of_a_message(
    stage: str, reply: str, state: State, stop: bool, features: tuple[str, ...]
) -> None:
    messages = [message(n) for n in range(3)]
    with Server(at(stage, reply), features).running() as server:
        outcomes = send(settings(server.port), *messages)
    reached = {outcome.state for outcome in outcomes}
    if (stage, reply[:6]) == ("MAIL", "250 ok"):  # replies to commands that were not sent do not count
        assert State.SENT not in reached
    else:
        assert reached == {state} or (state is State.DOUBT and reached == {State.DOUBT, State.PENDING})
        assert outcomes[0].state is state
    assert any(outcome.stop for outcome in outcomes) == stop
    assert all(outcome.reply for outcome in outcomes)
    assert len(server.taken) == (len([o for o in outcomes if o.state is State.DOUBT]) if reply == SWALLOW else 0)


@pytest.mark.parametrize("stage", ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "BODY"])
def test_a_silent_server_times_out(stage: str) -> None:
    with Server(at(stage, STALL)).running() as server:
        (outcome,) = send(settings(server.port, timeout=0.15), message(1))
    assert outcome.state is (State.DOUBT if stage == "BODY" else State.PENDING)
    assert "answer" in outcome.reply


def test_an_unreachable_server_leaves_everything_pending() -> None:
    with Server().running() as server:
        port = server.port
    outcomes = send(settings(port, connections=3), message(1), message(2), message(3))
    assert {outcome.state for outcome in outcomes} == {State.PENDING}
    assert outcomes[0].reply == f"127.0.0.1:{port} cannot be reached: Connection refused"


def test_a_refused_address_does_not_block_the_next() -> None:
    def answer(stage: str, argument: str, _: int) -> str | None:
        return "550 5.1.1 no such user" if stage == "RCPT" and "reader2" in argument else None

    for features in ((), ("PIPELINING",)):
        with Server(answer, features).running() as server:
            outcomes = send(settings(server.port), *map(message, range(1, 5)))
        assert states(outcomes) == {1: State.SENT, 2: State.REFUSED, 3: State.SENT, 4: State.SENT}
        assert [to for to, _ in server.taken] == ["reader1@example.org", "reader3@example.org", "reader4@example.org"]


def test_a_354_after_a_refused_recipient_is_answered_with_an_empty_message_to_nobody() -> None:
    refused = at("RCPT", "550 5.1.1 no such user", "reader1")
    with Server(refused).running() as server:  # it still answers 354 to DATA
        outcomes = send(settings(server.port), message(1), message(2))
    assert states(outcomes) == {1: State.REFUSED, 2: State.SENT}
    assert [body for _, body in server.taken if body] == [message(2).content]


def test_a_connection_that_the_server_ends_early_is_replaced() -> None:
    count: dict[int, int] = {}

    def answer(stage: str, _: str, connection: int) -> str | None:
        if stage == "MAIL":
            count[connection] = count.get(connection, 0) + 1
            return "421 4.7.0 enough for now" if count[connection] > 3 else None
        return None

    messages = [message(n) for n in range(10)]
    with Server(answer).running() as server:
        outcomes = send(settings(server.port), *messages)
    assert states(outcomes) == dict.fromkeys(range(10), State.SENT)
    assert sorted(server.recipients()) == sorted(m.address for m in messages)
    assert server.connections == 4


def test_fewer_connections_are_used_if_the_server_rejects_more() -> None:
    def answer(stage: str, _: str, connection: int) -> str | None:
        return "421 4.7.0 too many connections" if stage == "GREETING" and connection > 2 else None

    messages = [message(n) for n in range(30)]
    with Server(answer).running() as server:
        outcomes = send(settings(server.port, connections=5), *messages)
    assert states(outcomes) == dict.fromkeys(range(30), State.SENT)
    assert len(server.taken) == 30


def test_a_server_that_keeps_disconnecting_leaves_few_messages_in_doubt() -> None:
    with Server(at("BODY", SWALLOW)).running() as server:
        outcomes = send(settings(server.port), *map(message, range(100)))
    assert {outcome.state for outcome in outcomes} == {State.DOUBT, State.PENDING} or len(outcomes) <= 3
    assert len(server.taken) == 3


def test_a_policy_refusal_is_about_the_address_once_other_mail_was_accepted() -> None:
    with Server(at("RCPT", "550 5.7.1 only from colleagues", "reader0")).running() as server:
        deliver = smtp_delivery(settings(server.port))
        first = final(deliver(iter(map(message, range(4))), lambda: False))
        again = final(deliver(iter([message(0)]), lambda: False))
    assert states(first) == {0: State.PENDING, 1: State.SENT, 2: State.SENT, 3: State.SENT}
    assert not any(outcome.stop for outcome in first)
    assert states(again) == {0: State.REFUSED}


def test_a_message_over_the_size_limit_is_not_sent() -> None:
    with Server(features=("PIPELINING", "SIZE 1000")).running() as server:
        (outcome,) = send(settings(server.port), message(1, text="x" * 1000))
    assert (outcome.state, outcome.stop) == (State.PENDING, True)
    assert "the server accepts at most 1,000; lower digest.max_papers" in outcome.reply
    assert not server.heard("MAIL")


def test_no_address_can_inject_a_command() -> None:
    bad = ["a@b.example>\r\nRCPT TO:<c@d.example", "a\r\n@b", "a b@c", "ü@example.org", "<a@b>", ""]
    with Server().running() as server:
        outcomes = send(settings(server.port), *(replace(message(n), address=a) for n, a in enumerate(bad)))
        assert states(outcomes) == dict.fromkeys(range(len(bad)), State.REFUSED)
        assert send(settings(server.port), message(9))[0].state is State.SENT
    assert server.recipients() == ["reader9@example.org"]


def test_stopping_finishes_what_is_under_way_and_starts_nothing() -> None:
    requested: list[int] = []

    def queue() -> Iterator[Message]:
        for number in range(1000):
            requested.append(number)
            yield message(number)

    def ten_are_done() -> bool:
        return len(outcomes) >= 10

    outcomes: list[Outcome] = []
    with Server().running() as server:
        for batch in smtp_delivery(settings(server.port, connections=3))(queue(), ten_are_done):
            outcomes += final([batch])
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    assert 10 <= len(outcomes) <= 10 + 3 + 3
    assert sorted(server.recipients()) == sorted(message(o.key).address for o in outcomes)
    assert len(requested) < 30


# --- TLS and logins


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    self_signed(cert, key)
    return cert, key


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


@pytest.fixture
def trusted(certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))


STARTTLS = ("PIPELINING", "STARTTLS", "AUTH PLAIN LOGIN XOAUTH2")


@pytest.mark.usefixtures("trusted")
def test_mail_goes_out_encrypted_and_logged_in(tls: ssl.SSLContext) -> None:
    messages = [message(n, text="x\r\n" * 40_000) for n in range(6)]
    with Server(features=STARTTLS, context=tls).running() as server:
        smtp = settings(server.port, security="starttls", username="me", password=Secret(SECRET), connections=2)
        outcomes = send(smtp, *messages)
    assert states(outcomes) == dict.fromkeys(range(6), State.SENT)
    assert dict(server.taken) == {m.address: m.content for m in messages}
    stages = [stage for stage, _ in server.commands]
    assert stages.index("STARTTLS") < stages.index("AUTH") < stages.index("MAIL")
    assert server.heard("AUTH")[0] == "PLAIN " + base64.b64encode(f"\0me\0{SECRET}".encode()).decode()


def test_a_server_with_an_untrusted_certificate_gets_neither_mail_nor_password(tls: ssl.SSLContext) -> None:
    with Server(features=STARTTLS, context=tls).running() as server:
        smtp = settings(server.port, security="starttls", username="me", password=Secret(SECRET))
        (outcome,) = send(smtp, message(1))
    assert (outcome.state, outcome.stop) == (State.PENDING, True)
    assert "certificate verification failed: self-signed certificate; check smtp.host" in outcome.reply
    assert not server.heard("AUTH") + server.heard("MAIL")


def test_tls_towards_a_server_that_starts_without_it_names_the_key_to_change() -> None:
    with Server(features=STARTTLS).running() as server:
        outcomes = send(settings(server.port, security="tls", connections=4), *map(message, range(4)))
    reply = f'127.0.0.1:{server.port} does not use TLS from the start; write smtp.security = "starttls"'
    assert outcomes[0].reply == reply
    assert {(outcome.state, outcome.stop, outcome.reply) for outcome in outcomes} == {(State.PENDING, True, reply)}


def test_starttls_towards_a_server_that_waits_for_tls_names_the_key_to_change(tls: ssl.SSLContext) -> None:
    """Within seconds, although such a server says nothing for as long as nothing is sent to it."""
    with Server(context=tls, tls_first=True).running() as server:
        started = time.monotonic()
        (outcome,) = send(settings(server.port, security="starttls", timeout=30), message(1))
    assert time.monotonic() - started < 25
    assert (outcome.state, outcome.stop) == (State.PENDING, True)
    assert outcome.reply == f'127.0.0.1:{server.port} expects TLS from the start; write smtp.security = "tls"'
    assert not server.commands


def test_a_server_whose_greeting_takes_long_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("digest.delivery.smtp._GREETING_SECONDS", 0.1)

    def slow(stage: str, argument: str, connection: int) -> str | None:
        time.sleep(0.5 if stage == "GREETING" else 0)
        return None

    with Server(slow).running() as server:
        (outcome,) = send(settings(server.port, security="starttls", timeout=5), message(1))
    assert "does not offer STARTTLS" in outcome.reply


def test_a_failed_tls_handshake_names_the_keys_to_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].close(), daemon=True).start()
        (outcome,) = send(settings(server.getsockname()[1], security="tls"), message(1))
    assert outcome.reply.startswith("127.0.0.1:")
    assert not outcome.stop


@pytest.mark.parametrize("stage", ["", "STARTTLS"])
def test_a_server_without_starttls_gets_neither_mail_nor_password(stage: str) -> None:
    features = ("PIPELINING", "AUTH PLAIN", *(("STARTTLS",) if stage else ()))
    with Server(at("STARTTLS", "454 4.7.0 not available"), features).running() as server:
        smtp = settings(server.port, security="starttls", username="me", password=Secret(SECRET))
        (outcome,) = send(smtp, message(1))
    assert outcome.state is State.PENDING
    assert outcome.stop == (not stage)
    assert not server.heard("AUTH") + server.heard("MAIL")


@pytest.mark.usefixtures("trusted")
def test_tls_from_the_first_byte(tls: ssl.SSLContext) -> None:
    def answer(stage: str, argument: str, _: int) -> str | None:
        wrong = stage == "AUTH" and base64.b64decode(argument.removeprefix("PLAIN ")) != f"\0me\0{SECRET}".encode()
        return "535 5.7.8 wrong" if wrong else None

    with Server(answer, ("PIPELINING", "AUTH PLAIN"), tls, tls_first=True).running() as server:
        smtp = settings(server.port, security="tls", username="me", password=Secret(SECRET))
        good = send(smtp, message(1))
        bad = send(replace(smtp, password=Secret("wrong-password")), message(2))
    assert states(good) == {1: State.SENT}
    assert (bad[0].state, bad[0].stop) == (State.PENDING, True)
    assert bad[0].reply.endswith("(535 5.7.8 wrong); check smtp.username and DIGEST_SMTP_PASSWORD")
    assert server.recipients() == ["reader1@example.org"]


def test_a_provider_that_needs_an_app_password_is_named_when_it_rejects_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The code that each line of the reply repeats is shown once."""
    local = {"smtp.gmail.com": "127.0.0.1"}
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *more, **named: resolve(local.get(host, host), *more, **named)
    )
    wrong = "535-5.7.8 Username and Password not accepted. Go to\r\n535 5.7.8  https://support.example/wrong\r\n"
    with Server(at("AUTH", wrong), ("AUTH PLAIN",)).running() as server:
        smtp = settings(server.port, host=("smtp.gmail.com",), username="ann@gmail.com", password=Secret(SECRET))
        (outcome,) = send(smtp, message(1))
    assert "(535 5.7.8 Username and Password not accepted. Go to https://support.example/wrong)" in outcome.reply
    assert (
        "; check smtp.username and DIGEST_SMTP_PASSWORD. Gmail needs an app password, not your normal" in outcome.reply
    )
    with Server(at("AUTH", "535 5.7.8 no"), ("AUTH PLAIN",)).running() as server:
        (outcome,) = send(settings(server.port, username="me", password=Secret(SECRET)), message(1))
    assert outcome.reply.endswith("DIGEST_SMTP_PASSWORD")


@pytest.mark.parametrize(
    ("reply", "stop", "hint"),
    [
        ("535 5.7.8 bad credentials", True, "DIGEST_SMTP_PASSWORD"),
        ("534 5.7.9 use an app password", True, "DIGEST_SMTP_PASSWORD"),
        ("550 5.7.30 basic authentication is off", True, "DIGEST_SMTP_PASSWORD"),
        ("454 4.7.0 try later", False, "cannot be used right now"),
        (f"535 your password {SECRET} is wrong", True, "***"),
        (f"535 what is {base64.b64encode(f'{chr(0)}me{chr(0)}{SECRET}'.encode()).decode()}", True, "***"),
        (DROP, False, ""),
    ],
)
def test_a_failed_login_is_reported_without_the_password(reply: str, stop: bool, hint: str) -> None:
    with Server(at("AUTH", reply), ("AUTH PLAIN",)).running() as server:
        smtp = settings(server.port, username="me", password=Secret(SECRET))
        (outcome,) = send(smtp, message(1))
    assert (outcome.state, outcome.stop) == (State.PENDING, stop)
    assert hint in outcome.reply
    secrets = [SECRET, base64.b64encode(f"\0me\0{SECRET}".encode()).decode()]
    assert not any(secret in repr(outcome) + repr(smtp) for secret in secrets)
    assert not server.heard("MAIL")


def test_a_password_that_smtp_cannot_send_is_reported_without_showing_it() -> None:
    with Server(features=("AUTH PLAIN",)).running() as server:
        (outcome,) = send(settings(server.port, username="me", password=Secret("geheim-ß")), message(1))
    assert outcome.stop
    assert "ß" not in outcome.reply
    assert "geheim" not in outcome.reply


def test_a_token_command_logs_in_with_xoauth2(tmp_path: Path) -> None:
    script = tmp_path / "token"
    script.write_text(f"#!/bin/sh\necho called >> '{tmp_path}/calls'\necho '{SECRET}'\n")
    script.chmod(0o755)
    with Server(features=("PIPELINING", "AUTH XOAUTH2")).running() as server:
        smtp = settings(server.port, username="me@example.org", token_command=(str(script),), connections=2)
        outcomes = send(smtp, *map(message, range(50)))
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    sent = base64.b64decode(server.heard("AUTH")[0].removeprefix("XOAUTH2 "))
    assert sent == f"user=me@example.org\x01auth=Bearer {SECRET}\x01\x01".encode()
    assert (tmp_path / "calls").read_text() == "called\n"  # the connections share it


def test_a_rejected_token_is_reported_without_the_token(tmp_path: Path) -> None:
    challenge = base64.b64encode(b'{"status":"400"}').decode()
    replies = iter([f"334 {challenge}"])

    def answer(stage: str, *_: object) -> str | None:
        return next(replies, None) if stage == "AUTH" else "535 5.7.8 no" if stage == "" else None

    with Server(answer, ("AUTH XOAUTH2",)).running() as server:
        (outcome,) = send(settings(server.port, username="me", token_command=("echo", SECRET)), message(1))
    assert (outcome.state, outcome.stop) == (State.PENDING, True)
    assert "check smtp.username and smtp.token_command" in outcome.reply
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("/does/not/exist",), "cannot be run: No such file or directory"),
        (("sh", "-c", f"echo {SECRET}; echo {SECRET} >&2; exit 3"), "failed with exit code 3"),
        (("true",), "printed no token"),
        (("printf", f"{SECRET}\\n{SECRET}"), "printed no token"),
        (("sleep", "20"), "timed out after 0.3 seconds"),
    ],
)
def test_a_failing_token_command_is_named_without_its_output(
    command: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("digest.delivery.smtp._TOKEN_SECONDS", 0.3)
    with Server(features=("AUTH XOAUTH2",)).running() as server:
        (outcome,) = send(settings(server.port, username="me", token_command=command), message(1))
    assert (outcome.state, outcome.stop) == (State.PENDING, True)
    assert words in outcome.reply
    assert SECRET not in repr(outcome) + "".join(capfd.readouterr())


# --- The parts


@pytest.mark.parametrize("rate", [Rate(1, 1), Rate(3, 10), Rate(14, 1)])
def test_no_period_contains_more_messages_than_the_rate_allows(rate: Rate) -> None:
    now = 0.0
    throttle = Throttle(rate, lambda: now)
    sent: list[float] = []
    for step in range(200):
        now += (step % 7) * 0.01 + throttle.delay()
        assert throttle.delay() == pytest.approx(0, abs=1e-9)
        throttle.record()
        sent.append(now)
    for start, end in zip(sent, sent[rate.count :], strict=False):
        assert end - start >= rate.seconds - 1e-9
    assert sent[-1] >= (200 / rate.count - 1) * rate.seconds - rate.seconds


def test_the_rate_applies_to_all_connections_together() -> None:
    def five_are_done() -> bool:
        return len(done) >= 5

    done: list[Outcome] = []
    with Server().running() as server:
        smtp = settings(server.port, connections=3, rate=Rate(5, 3600))
        for batch in smtp_delivery(smtp)(iter(map(message, range(20))), five_are_done):
            done += final([batch])
    assert len(server.taken) == 5


def test_replies_are_parsed_however_the_data_is_split() -> None:
    stream = b"250-one\r\n250 two\r\n354\r\n550 5.1.1 \x1b[31mred\r\n250 lf only\n"
    whole = [str(reply) for reply in ReplyParser().feed(stream)]
    assert whole == ["250 one two", "354", "550 5.1.1 [31mred", "250 lf only"]
    parser = ReplyParser()
    assert [str(r) for n in range(len(stream)) for r in parser.feed(stream[n : n + 1])] == whole


@pytest.mark.parametrize(
    "junk", [b"hello\r\n", b"99 x\r\n", b"600 x\r\n", b"250x\r\n", b"\r\n", b"a" * 5000, b"250-x\r\n" * 200]
)
def test_invalid_replies_are_rejected(junk: bytes) -> None:
    with pytest.raises(InvalidReply):
        list(ReplyParser().feed(junk))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('rate = "fast"', 'smtp.rate: must be a rate, not "fast"; write one like "14/s", "500/h" or "2000/d"'),
        ('rate = "0/s"', 'smtp.rate: must be a rate, not "0/s"'),
        ("rate = 14", 'smtp.rate: must be a string in quotes, not 14; write something like rate = "14/s"'),
        (
            'token_command = "a \'b"',
            'smtp.token_command: must be a command, not "a \'b"; check its quotes: No closing quotation',
        ),
        ('token_command = ""', "smtp.token_command: must not be empty; write a command that prints an access token"),
        ("connections = 0", "smtp.connections: must be a number from 1 to 64, not 0"),
    ],
)
def test_a_mistake_in_the_table_is_explained(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[digest]\nfrom = "a@b.example"\n[[sources]]\ntype = "huggingface"\n[smtp]\nhost = "x"\n{line}\n')
    with pytest.raises(ConfigError, match="smtp") as caught:
        load(path, {})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("14/s", Rate(14, 1)), ("30 / m", Rate(30, 60)), ("500/h", Rate(500, 3600)), ("2000/d", Rate(2000, 86400))],
)
def test_rates_and_token_commands_are_parsed(tmp_path: Path, text: str, rate: Rate) -> None:
    path = tmp_path / "config.toml"
    smtp = f'[smtp]\nhost = "x"\nusername = "me"\ntoken_command = "pass show \'my token\'"\nrate = "{text}"\n'
    path.write_text(f'[digest]\nfrom = "a@b.example"\n[[sources]]\ntype = "huggingface"\n{smtp}')
    delivery = load(path, {}).delivery
    assert isinstance(delivery, SmtpSettings)
    assert (delivery.rate, delivery.token_command) == (rate, ("pass", "show", "my token"))
