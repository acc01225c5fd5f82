"""A run that delivers: its states, exit codes and second tries, whatever the server does; nothing secret in print."""

import io
import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from digest.cli import main
from digest.cli.progress import TerminalProgress, progress_line
from digest.config import Config, load
from digest.delivery import SmtpSettings, State
from digest.errors import DigestError, Undelivered
from digest.pipeline import deliver
from digest.pipeline.context import delivery_method
from digest.pipeline.deliver import Progress
from digest.pipeline.preview import preview
from digest.pipeline.run import Clock, RunReport, run_daily, send_queued
from digest.settings import Secret
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.statistics import Statistics
from tests.certificates import self_signed
from tests.conftest import MONDAY, Workplace, at, paper, titles
from tests.delivery.test_smtp import at as answers
from tests.server import DROP, STALL, SWALLOW, Answer, Server

SECRET = "hunter2-correct-horse"


@dataclass
class Watch(Progress):
    """Looks on without waiting, and may ask to stop after a number of messages."""

    enough: int = 1_000_000
    pauses: list[float] = field(default_factory=list)
    total: int = 0
    done: int = 0

    def begin(self, total: int) -> None:
        self.total = total

    def advance(self, count: int) -> None:
        self.done += count

    def stopped(self) -> bool:
        return self.done >= self.enough

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@dataclass
class Installation:
    """A workplace that sends by SMTP."""

    workplace: Workplace

    def readers(self, count: int) -> None:
        self.workplace.to = [f"reader{n}@example.org" for n in range(count)]

    def run_with_relays(self, server: Server, **more: Any) -> RunReport:
        """A run over the relays 127.0.0.1 and 127.0.0.2, with the port of `server`."""
        settings: dict[str, Any] = {"host": ("127.0.0.1", "127.0.0.2"), "connections": 4, "timeout": 0.5, **more}
        return self.run(server.port, **settings)

    def config(self, port: int, **more: object) -> Config:
        smtp = SmtpSettings(("127.0.0.1",), port, "none", timeout=2.0)
        return replace(self.workplace.config(), delivery=replace(smtp, **more))  # type: ignore[arg-type]

    def run(
        self,
        port: int,
        day: date = MONDAY,
        watch: Watch | None = None,
        real_clock: Clock | None = None,
        **more: object,
    ) -> RunReport:
        number = day.toordinal()
        self.workplace.lists(*(paper(number * 10 + n) for n in range(3)))
        fetcher = Fetcher("digest@example.org")
        return run_daily(self.config(port, **more), day, at(day), fetcher, watch or Watch(), real_clock)

    def send(self, port: int, day: date = MONDAY, watch: Watch | None = None) -> RunReport:
        return send_queued(self.config(port), day, at(day), watch or Watch())

    def counts(self) -> dict[str, int]:
        with open_database(self.workplace.folder / "history.db") as db:
            return Statistics(db.conn).deliveries_by_state()


@pytest.fixture
def installation(workplace: Workplace) -> Installation:
    return Installation(workplace)


# --- What the server does, and what the command line makes of it


def command(installation: Installation, port: int, *words: str, password: str = SECRET) -> Result:
    """`digest …` as it is typed, with a login."""
    installation.workplace.lists(*(paper(n) for n in range(3)))
    installation.workplace.config()
    smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nusername = "me"\ntimeout = 0.2\n'
    path = installation.workplace.path
    path.write_text(path.read_text().replace('[maildir]\npath = "mail"', smtp))
    environ = {"DIGEST_SMTP_PASSWORD": password}
    return CliRunner().invoke(main, ["-v", "-c", str(path), *words], env=environ)


FAULTS: list[tuple[Answer, int, dict[str, int], str]] = [
    (answers("RCPT", "451 4.7.1 greylisted"), 4, {"pending": 3}, "451 4.7.1 greylisted"),
    (answers("RCPT", "451 4.7.1 later", "reader1"), 4, {"pending": 1, "sent": 2}, "1 message could not be delivered"),
    (answers("BODY", "452 4.3.1 full"), 4, {"pending": 3}, "452 4.3.1 full"),
    (answers("MAIL", "421 4.3.2 closing"), 4, {"pending": 3}, "421 4.3.2 closing"),
    (answers("GREETING", "421 4.3.2 busy"), 4, {"pending": 3}, "421 4.3.2 busy"),
    (
        answers("RCPT", "550 5.1.1 unknown"),
        0,
        {"refused": 3},
        "Sent no messages; 3 messages refused: see",
    ),
    (answers("RCPT", "550 5.1.1 unknown", "reader1"), 0, {"refused": 1, "sent": 2}, "Sent 2 messages"),
    (answers("RCPT", "552 5.2.2 full", "reader1"), 4, {"pending": 1, "sent": 2}, "552 5.2.2 full"),
    (answers("AUTH", "535 5.7.8 wrong"), 4, {"pending": 3}, "check smtp.username and DIGEST_SMTP_PASSWORD"),
    (answers("AUTH", f"535 not {SECRET}"), 4, {"pending": 3}, "535 not ***"),
    (answers("MAIL", "550 5.7.60 not as this sender"), 4, {"pending": 3}, "check digest.from and smtp.username"),
    (answers("RCPT", "554 5.7.1 relay access denied"), 4, {"pending": 3}, "554 5.7.1 relay access denied"),
    (
        answers("RCPT", "550 5.7.1 private", "reader1"),
        0,
        {"refused": 1, "sent": 2},
        "3 papers; 1 message refused:",
    ),
    (answers("MAIL", DROP), 4, {"pending": 3}, "the server closed the connection"),
    (answers("DATA", DROP), 4, {"pending": 3}, "the server closed the connection"),
    (answers("BODY", SWALLOW), 4, {"in doubt": 3}, "the server closed the connection"),
    (answers("BODY", SWALLOW, "reader1"), 4, {"in doubt": 1, "sent": 2}, "1 message could not be delivered"),
    (answers("RCPT", STALL), 4, {"pending": 3}, "did not answer"),
    (answers("GREETING", STALL), 4, {"pending": 3}, "did not answer"),
    (answers("MAIL", "%$§"), 4, {"pending": 3}, "invalid SMTP reply"),
    (answers("GREETING", "SSH-2.0-OpenSSH_9.2"), 4, {"pending": 3}, "cannot be used right now"),
]


@pytest.mark.parametrize(("answer", "code", "counts", "words"), FAULTS, ids=[f"{f[3]} {f[2]}" for f in FAULTS])
def test_each_fault_ends_in_its_state_and_exit_code_and_says_nothing_secret(
    installation: Installation,
    answer: Answer,
    code: int,
    counts: dict[str, int],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deliver, "_PAUSES", (0.0, 0.0, 0.0))
    installation.readers(3)
    with Server(answer, ("PIPELINING", "AUTH PLAIN")).running() as server:
        result = command(installation, server.port, "run", "--date", "2026-04-20")
    assert installation.counts() == counts
    assert result.exit_code == code
    assert words in result.output
    assert SECRET not in result.output
    assert not any(SECRET.encode() in path.read_bytes() for path in installation.workplace.folder.glob("history.db*"))
    with Server(features=("PIPELINING", "AUTH PLAIN")).running() as fixed:
        result = command(installation, fixed.port, "run", "--date", "2026-04-20")
    left = 3 - counts.get("sent", 0) - counts.get("refused", 0)
    assert result.exit_code == 0, result.output
    assert len(fixed.taken) == left


def test_a_rejected_login_is_said_once(installation: Installation) -> None:
    installation.readers(3)
    with Server(answers("AUTH", "535 5.7.8 wrong"), ("AUTH PLAIN",)).running() as server:
        result = command(installation, server.port, "run", "--date", "2026-04-20")
    assert result.exit_code == 4
    assert result.output.count("535 5.7.8 wrong") == 1


def test_a_server_that_is_not_there_is_named(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "_PAUSES", (0.0, 0.0, 0.0))
    with Server().running() as server:
        port = server.port
    result = command(installation, port, "run")
    assert result.exit_code == 4
    assert f"127.0.0.1:{port} cannot be reached: Connection refused" in result.output
    assert installation.counts() == {"pending": 1}


# --- Second tries


def test_greylisted_mail_goes_out_in_the_same_run(installation: Installation) -> None:
    met: set[str] = set()

    def greylist(stage: str, argument: str, _: int) -> str | None:
        if stage != "RCPT" or argument in met:
            return None
        met.add(argument)
        return "451 4.7.1 greylisted, try again"

    installation.readers(5)
    watch = Watch()
    with Server(greylist).running() as server:
        report = installation.run(server.port, watch=watch)
    assert report.outcomes[State.SENT] == 5
    assert len(server.taken) == 5
    assert len(watch.pauses) == 1
    assert (watch.total, watch.done) == (5, 5)


def test_the_pauses_grow_and_come_to_an_end(installation: Installation) -> None:
    watch = Watch()
    with Server(answers("RCPT", "451 4.7.1 not now")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port, watch=watch)
    assert len(server.heard("RCPT")) == 4
    assert len(watch.pauses) == 3
    assert watch.pauses == sorted(watch.pauses)
    assert watch.pauses[0] > 0.5
    assert sum(watch.pauses) < 20


def test_the_next_run_tries_at_once_what_is_pending(installation: Installation) -> None:
    with Server(answers("RCPT", "451 4.7.1 not now")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)
    with Server().running() as server:
        assert installation.send(server.port).outcomes[State.SENT] == 1
    assert len(server.taken) == 1


def test_mail_in_doubt_is_sent_again_by_the_next_run_byte_for_byte(installation: Installation) -> None:
    installation.readers(3)
    with Server(answers("BODY", SWALLOW, "reader1")).running() as swallowing, pytest.raises(Undelivered):
        installation.run(swallowing.port)
    assert sorted(swallowing.recipients()) == ["reader0@example.org", "reader1@example.org", "reader2@example.org"]
    with Server().running() as server:
        installation.send(server.port)
    assert server.taken == [(to, body) for to, body in swallowing.taken if "reader1" in to]
    assert installation.counts() == {"sent": 3}


@pytest.mark.parametrize("ahead", [5, 365])
def test_a_run_as_of_a_later_day_lets_no_mail_expire(workplace: Workplace, ahead: int) -> None:
    installation, later = Installation(workplace), MONDAY + timedelta(ahead)
    with Server(answers("RCPT", "451 4.7.1 not now")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)
    workplace.lists(paper(1), *(paper(MONDAY.toordinal() * 10 + n) for n in range(3)))
    fetcher = Fetcher("digest@example.org")
    before = preview(installation.config(0), later, "ann@example.org", at(later), fetcher, at(MONDAY)).content
    with Server().running() as server:
        run_daily(installation.config(server.port), later, at(later), fetcher, Watch(), at(MONDAY))
    assert installation.counts() == {"sent": 2}
    assert server.taken[1][1] == before
    first, second = (titles(message_from_bytes(body, policy=policy.default)) for _, body in server.taken)
    assert (len(first), [title.strip() for title in second]) == (3, ["Paper number 1 on something"])


def test_a_run_as_of_an_earlier_day_may_be_repeated_for_three_real_days(installation: Installation) -> None:
    installation.workplace.lists(paper(1))
    today = MONDAY + timedelta(400)

    def run(port: int, days_later: int) -> None:
        clocks = at(MONDAY), Fetcher("digest@example.org"), Watch(), at(today + timedelta(days_later))
        run_daily(installation.config(port), MONDAY, *clocks)

    with Server(answers("RCPT", "451 4.7.1 not now")).running() as away:
        for days_later in (0, 3):
            with pytest.raises(Undelivered):
                run(away.port, days_later)
    assert installation.counts() == {"pending": 1}
    with Server().running() as server:
        run(server.port, 3)
    assert installation.counts() == {"sent": 1}
    assert len(server.taken) == 1


def test_a_run_that_is_turned_away_tries_once_and_touches_nothing(installation: Installation) -> None:
    installation.readers(5)
    watch = Watch()
    wrong = Server(answers("AUTH", "535 5.7.8 no"), ("AUTH PLAIN",))
    with wrong.running() as server, pytest.raises(Undelivered, match="5 messages could not be delivered"):
        installation.run(server.port, watch=watch, username="me", password=Secret(SECRET))
    assert len(server.heard("AUTH")) == 1
    assert watch.pauses == []
    assert installation.counts() == {"pending": 5}


@pytest.mark.parametrize("connections", [1, 4])
def test_a_run_that_is_interrupted_settles_what_left_and_the_next_goes_on(
    installation: Installation, connections: int
) -> None:
    installation.readers(60)
    watch = Watch(enough=20)
    with Server().running() as server:
        with pytest.raises(Undelivered, match="it was interrupted"):
            installation.run(server.port, watch=watch, connections=connections)
        counts = installation.counts()
        assert counts["sent"] == len(server.taken)
        assert counts == {"sent": counts["sent"], "pending": 60 - counts["sent"]}
        assert 20 <= counts["sent"] < 30
        installation.send(server.port)
    assert sorted(server.recipients()) == sorted(installation.workplace.to)


def test_an_address_refused_on_three_days_is_suspended_and_listed(installation: Installation) -> None:
    installation.readers(2)
    with Server(answers("RCPT", "550 5.1.1 no such user", "reader0")).running() as server:
        for number in range(5):
            installation.run(server.port, day=MONDAY + timedelta(number))
    assert len([to for to in server.heard("RCPT") if "reader0" in to]) == 3
    assert server.recipients() == ["reader1@example.org"] * 5
    result = CliRunner().invoke(main, ["-c", str(installation.workplace.path), "status"])
    assert "reader0@example.org: suspended, refused on three days, last on 2026-04-22" in result.output


# --- Maildir


def test_a_maildir_that_cannot_be_written_to_leaves_the_mail_pending_and_says_so(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    workplace.to = ["ann@example.org", "bob@example.org"]
    blocked = workplace.folder / "mail"
    blocked.write_text("a file where the folder should be")
    with pytest.raises(Undelivered, match=r"2 messages .*mail cannot be written to: "):
        workplace.run(MONDAY)
    blocked.unlink()
    send_queued(workplace.config(), MONDAY, at(MONDAY))
    assert {to: len(mails) for to, mails in workplace.mails().items()} == {"ann@example.org": 1, "bob@example.org": 1}
    assert list((blocked / "tmp").iterdir()) == []


@pytest.mark.parametrize("place", ["new", "cur"])
def test_a_message_in_doubt_does_not_stand_twice_in_a_maildir(workplace: Workplace, place: str) -> None:
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    (mail,) = (workplace.folder / "mail" / "new").iterdir()
    if place == "cur":
        mail.rename(workplace.folder / "mail" / "cur" / f"{mail.name}:2,S")
    with open_database(workplace.folder / "history.db") as db:
        db.execute("UPDATE deliveries SET state = 'sending', run = NULL")
    send_queued(workplace.config(), MONDAY, at(MONDAY))
    assert len([*(workplace.folder / "mail").glob("*/*")]) == 1


# --- The terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def signals() -> Iterator[None]:
    import signal

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_terminal_is_shown_how_far_it_is_and_left_clean() -> None:
    screen = Screen()
    terminal = TerminalProgress(screen)
    terminal.begin(200)
    for _ in range(200):
        terminal.advance(1)
    terminal.end()
    assert re.search(r"Sending  200 of 200  100 %  [0-9,]+/s  0:00 left", screen.getvalue())
    assert screen.getvalue().count("\r") < 20
    assert screen.getvalue().endswith("\r\x1b[K")


@pytest.mark.usefixtures("signals")
def test_the_terminal_shows_how_much_mail_is_composed_and_then_how_much_is_sent() -> None:
    screen = Screen()
    terminal = TerminalProgress(screen)
    terminal.composed(41_200, 100_000)
    for done in range(41_300, 100_100, 100):
        terminal.composed(done, 100_000)
    terminal.begin(1)
    terminal.advance(1)
    lines = screen.getvalue().split("\r\x1b[K")
    assert lines[1].startswith("Composing  41,200 of 100,000  41 %")
    assert [line.split("  ")[0] for line in lines[-2:]] == ["Composing", "Sending"]
    assert lines[-2].startswith("Composing  100,000 of 100,000  100 %")
    assert len(lines) < 20


@pytest.mark.usefixtures("signals")
def test_what_is_no_terminal_is_shown_nothing() -> None:
    screen = io.StringIO()
    terminal = TerminalProgress(screen)
    terminal.begin(2)
    terminal.advance(2)
    terminal.end()
    assert screen.getvalue() == ""


@pytest.mark.parametrize(
    ("done", "total", "seconds", "shown"),
    [
        (0, 10, 0.0, "Sending  0 of 10  0 %"),
        (2_500, 10_000, 5.0, "Sending  2,500 of 10,000  25 %  500/s  0:15 left"),
        (30, 100, 10.0, "Sending  30 of 100  30 %  3.0/s  0:23 left"),
        (2, 200, 60.0, "Sending  2 of 200  1 %  2.0/min  99:00 left"),
    ],
)
def test_the_progress_line(done: int, total: int, seconds: float, shown: str) -> None:
    assert progress_line("Sending", done, total, seconds) == shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ('username = "me"', "smtp.username: is set, but there is no password"),
        ('token_command = "echo x"', "smtp.token_command: is set without smtp.username"),
    ],
)
def test_a_login_that_is_half_configured_is_refused(tmp_path: Path, words: str, problem: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f'[digest]\nfrom = "a@b.example"\n[[sources]]\ntype = "huggingface"\n[smtp]\nhost = "x"\n{words}\n')
    with pytest.raises(DigestError, match=problem) as caught:
        delivery_method(load(path, {}))
    assert caught.value.exit_code == 2


# --- Several relays

DOWN: list[tuple[str, Answer | None, str]] = [
    ("nobody listens", None, "Connection refused"),
    ("too many connections", answers("GREETING", "421 4.7.0 too many"), "421 4.7.0 too many"),
    ("not for us", answers("GREETING", "554 5.7.1 go away"), "554 5.7.1 go away"),
    ("hangs up at once", answers("GREETING", DROP), "closed"),
    ("silent", answers("GREETING", STALL), "did not answer"),
    ("silent later", answers("RCPT", STALL), "did not answer"),
    ("hangs up later", answers("MAIL", DROP), "closed the connection"),
    ("closes", answers("MAIL", "421 4.3.2 closing"), "421 4.3.2 closing"),
    ("full", answers("MAIL", "452 4.3.1 full"), "452 4.3.1 full"),
    ("full for a recipient", answers("RCPT", "452 full"), "452 full"),
    ("full for a body", answers("BODY", "452 4.3.1 full"), "452 4.3.1 full"),
    ("does not relay", answers("RCPT", "554 5.7.1 relay access denied"), "554 5.7.1 relay access denied"),
    ("wants a login", answers("MAIL", "530 5.7.0 log in"), "530 5.7.0 log in"),
    ("takes small messages", answers("BODY", "552 5.3.4 too big"), "552 5.3.4 too big"),
]


@pytest.mark.parametrize(("name", "answer", "reason"), DOWN, ids=[name for name, *_ in DOWN])
def test_a_relay_that_does_not_work_is_left_out_and_everyone_gets_the_mail_once(
    installation: Installation, name: str, answer: Answer | None, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    installation.readers(20)
    with ExitStack() as stack:
        good = stack.enter_context(Server().running())
        if answer is not None:
            stack.enter_context(Server(answer, host="127.0.0.2", port=good.port).running())
        installation.run_with_relays(good)
    assert installation.counts() == {"sent": 20}
    assert sorted(good.recipients()) == sorted(installation.workplace.to)
    (left_out,) = (record.args for record in caplog.records if record.msg == "relay left out")
    assert isinstance(left_out, dict)
    assert left_out["relay"] == f"127.0.0.2:{good.port}"
    assert reason in str(left_out["why"])


def test_a_relay_with_an_untrusted_certificate_gets_neither_mail_nor_password(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    self_signed(certificate, key)  # for 127.0.0.1 only
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    features = ("PIPELINING", "STARTTLS", "AUTH PLAIN")
    installation.readers(10)
    with (
        Server(features=features, context=context).running() as good,
        Server(features=features, context=context, host="127.0.0.2", port=good.port).running() as bad,
    ):
        installation.run_with_relays(good, security="starttls", username="me", password=Secret(SECRET), timeout=5.0)
    assert sorted(good.recipients()) == sorted(installation.workplace.to)
    assert bad.connections > 0
    assert not bad.heard("AUTH") + bad.heard("MAIL")


def test_connections_are_spread_over_the_relays(installation: Installation) -> None:
    installation.readers(40)
    with Server().running() as one, Server(host="127.0.0.2", port=one.port).running() as two:
        installation.run_with_relays(one)
    assert sorted(one.recipients() + two.recipients()) == sorted(installation.workplace.to)
    assert (one.connections, two.connections) == (2, 2)
    assert min(len(one.taken), len(two.taken)) > 4


def test_what_a_dying_relay_may_have_delivered_is_in_doubt_and_goes_to_no_other_relay(
    installation: Installation,
) -> None:
    """It dies for good while it has messages: the other gets the rest, and the next run sends those in doubt again."""

    def dies(stage: str, _argument: str, _connection: int) -> str | None:
        if len(dying.taken) < 4:
            return None
        return {"BODY": SWALLOW, "GREETING": DROP}.get(stage)

    installation.readers(40)
    with Server().running() as good:
        with Server(dies, host="127.0.0.2", port=good.port).running() as dying, pytest.raises(Undelivered):
            installation.run_with_relays(good)
        taken = good.recipients() + dying.recipients()
        counts = installation.counts()
        assert sorted(taken) == sorted(installation.workplace.to)  # nobody has it twice
        assert counts == {"sent": 40 - counts["in doubt"], "in doubt": counts["in doubt"]}
        assert 1 <= counts["in doubt"] <= 2  # a message for each connection to it
        installation.run_with_relays(good)
    assert installation.counts() == {"sent": 40}
    assert len(good.taken) + len(dying.taken) == 40 + counts["in doubt"]
    again = set(good.recipients()) & set(dying.recipients())
    assert {to: dict(good.taken)[to] for to in again} == {to: dict(dying.taken)[to] for to in again}


def test_without_a_relay_that_works_the_mail_waits_and_each_relay_is_named(
    installation: Installation, caplog: pytest.LogCaptureFixture
) -> None:
    installation.readers(5)
    with Server(answers("GREETING", "554 5.7.1 go away")).running() as server, pytest.raises(Undelivered):
        installation.run_with_relays(server)
    assert installation.counts() == {"pending": 5}
    for words in (f"127.0.0.1:{server.port} rejected the connection", f"127.0.0.2:{server.port} cannot be reached"):
        assert words in str([record.args for record in caplog.records])
    with Server().running() as fixed:
        installation.run(fixed.port)
    assert sorted(fixed.recipients()) == sorted(installation.workplace.to)


# --- run --hold


def test_a_held_run_queues_the_mail_of_the_day_and_send_delivers_the_same_bytes(installation: Installation) -> None:
    installation.readers(3)
    with Server().running() as server:
        held = command(installation, server.port, "run", "--date", MONDAY.isoformat(), "--hold", password="")
        assert (held.exit_code, server.connections) == (0, 0), held.output
        assert "3 messages in the queue; `digest send` delivers mail." in held.output
        frozen = installation.workplace.preview(MONDAY, "reader1@example.org")
        again = command(installation, server.port, "run", "--date", MONDAY.isoformat(), "--hold")
        assert (again.exit_code, server.connections) == (0, 0), again.output
        assert installation.counts() == {"pending": 3}
        installation.send(server.port)
    assert installation.counts() == {"sent": 3}
    assert dict(server.taken)["reader1@example.org"] == frozen
