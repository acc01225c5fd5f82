"""Killed at any instant and run again: nobody is missed, hardly anything comes twice, and nothing that does differs.

The first test kills a real process at random instants, over days. The second kills one at every single step between
the first question to the outbox and the end of the run, once each. The third kills five hundred runs, at such steps,
at words of the server and at random instants, while the server is away for days, so that mail expires. For the same
choices again, or another number of kills, run it by hand:

    DIGEST_KILLS=5000 DIGEST_SEED=7 python -m pytest -m slow -s tests/system/test_crash.py -k five_hundred
"""

import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from quopri import decodestring
from typing import Any

import pytest
from sqlite_utils import Database

from digest.config import Config
from digest.delivery import SmtpSettings
from digest.delivery.smtp import SmtpConnection
from digest.errors import Undelivered
from digest.pipeline.context import open_context
from digest.pipeline.deliver import Progress
from digest.pipeline.run import run_daily
from digest.ranking import Profile
from digest.sources.fetcher import Fetcher
from digest.store import database, outbox
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.statistics import Statistics
from tests.conftest import MONDAY, Workplace, at, paper, titles
from tests.server import DROP, Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KILLS = 60
MORE_KILLS = int(os.environ.get("DIGEST_KILLS", "500"))


def list_papers(workplace: Workplace, day: date, each: int = 3) -> None:
    """More papers than one mail holds, so that there is always something that could be repeated."""
    first = (day - MONDAY).days * each
    workplace.lists(*(paper(n, upvotes=1000 - n) for n in range(first, first + 2 * each)))


def prepare(workplace: Workplace, port: int, readers: int) -> None:
    workplace.to = [f"reader{n}@example.org" for n in range(readers)]
    workplace.digest = {"max_papers": 3}
    workplace.config()
    smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nconnections = 2\n'
    path = workplace.path
    path.write_text(path.read_text().replace('[maildir]\npath = "mail"', smtp))


def start(workplace: Workplace, day: date) -> "subprocess.Popen[bytes]":
    words = [sys.executable, "-m", "digest", "-q", "-c", str(workplace.path), "run", "--date", day.isoformat()]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def finish(workplace: Workplace, day: date) -> None:
    """A run that nobody kills."""
    run = start(workplace, day)
    output, _ = run.communicate()
    assert run.returncode == 0, output


def check(server: Server, readers: int, days: int, kills: int, each_kill: int = 2) -> None:
    """Who was missed, what came twice, whether copies differ, and whether a paper came on two days."""
    mails: dict[tuple[str, str], list[bytes]] = {}
    for to, body in server.taken:
        mail = message_from_bytes(body, policy=policy.default)
        assert mail["To"] == to
        mails.setdefault((to, str(mail["Message-ID"])), []).append(body)
    assert len(mails) == readers * days
    assert all(len(set(copies)) == 1 for copies in mails.values())
    assert len(server.taken) - len(mails) <= each_kill * kills
    shown: dict[str, list[str]] = {}
    for (to, _), copies in mails.items():
        shown.setdefault(to, []).extend(titles(message_from_bytes(copies[0], policy=policy.default)))
    assert len(shown) == readers
    for papers in shown.values():
        assert len(papers) == len(set(papers)) == 3 * days


class Executioner:
    """Kills a process: at some instant, or when the server has heard so many messages, before or after it answers."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._left = -1

    def answer(self, stage: str, *_: object) -> None:
        with self._lock:
            self._left -= stage in ("BODY", "MAIL", "DATA")
            if self._left == 0 and self._process is not None:
                self._process.kill()

    def watch(self, process: "subprocess.Popen[bytes]") -> int:
        """Let it live for a random while; return how it ended."""
        with self._lock:
            self._process = process
            self._left = self._chance.randint(1, 150) if self._chance.random() < 0.7 else -1
        if self._left < 0:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self._chance.uniform(0, 1.5))
            process.kill()
        process.communicate()
        with self._lock:
            self._process = None
        return process.returncode


def test_sixty_kills_at_random_instants_lose_nothing_and_double_next_to_nothing(workplace: Workplace) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    executioner = Executioner(random.Random(seed))
    with Server(executioner.answer).running() as server:
        prepare(workplace, server.port, 300)
        kills, day = 0, MONDAY
        while kills < KILLS:
            list_papers(workplace, day)
            while kills < KILLS and (code := executioner.watch(start(workplace, day))):
                assert code == -signal.SIGKILL
                kills += 1
            finish(workplace, day)
            day += timedelta(1)
        days = (day - MONDAY).days
        print(f"seed {seed}: {kills} kills, {days} days, {len(server.taken) - 300 * days} copies")
        check(server, 300, days, kills)
        list_papers(workplace, day)
        finish(workplace, day)
        check(server, 300, days + 1, kills)


# Replies with which a server is away: none of them lets a body begin. A rejection for good ends a run at once.
AWAY = [
    *(("GREETING", reply) for reply in (DROP, "421 4.3.2 down", "554 5.3.2 down")),
    *(("MAIL", reply) for reply in (DROP, "451 4.3.0 later", "550 5.7.0 not now")),
    *(("RCPT", reply) for reply in (DROP, "450 4.2.0 later")),
    *(("DATA", reply) for reply in (DROP, "451 4.3.0 later")),
]


class Impatient(Progress):
    """Retries without a pause."""

    def pause(self, seconds: float) -> None:
        pass


class FickleServer:
    """The answers of a server that goes away and comes back, and may kill the run it talks to at its nth word."""

    def __init__(self, chance: random.Random) -> None:
        self.away = False
        self.offers: Counter[str] = Counter()  # by recipient: how often a body may have begun
        self._chance = chance
        self._excuse = AWAY[0]
        self._recipients: dict[int, str] = {}
        self._process, self._words_left, self._only_bodies = 0, 0, False

    def answer(self, stage: str, argument: str, connection: int) -> str | None:
        self._words_left -= not self._only_bodies or stage == "BODY"
        if self._words_left == 0 and self._process:
            os.kill(self._process, signal.SIGKILL)
        if stage == "RCPT":
            self._recipients[connection] = argument.partition("<")[2].partition(">")[0]
        if self.away and stage == self._excuse[0]:
            return self._excuse[1]
        if stage == "DATA":
            self.offers[self._recipients[connection]] += 1
        return None

    def run(self, config: Config, day: date, way: str = "") -> bool:
        """A run of that day in a process of its own; return whether it was killed, in one of the `WAYS`."""
        self._excuse = self._chance.choice(AWAY)
        number = self._chance.randint(1, 5 if way == "body" else self._chance.choice((10, 30, 100)))
        patience = self._chance.uniform(0, 200) if way == "instant" else 60_000  # milliseconds
        self._words_left, self._only_bodies = number if way in ("word", "body") else 0, way == "body"
        self._process = os.fork()
        if self._process == 0:
            os._exit(run_here(config, day, number if way == "step" else 0))
        ended = select.poll()
        descriptor = os.pidfd_open(self._process)
        ended.register(descriptor, select.POLLIN)
        if not ended.poll(patience):
            os.kill(self._process, signal.SIGKILL)
        ended.poll()
        os.close(descriptor)
        process, self._process = self._process, 0
        _, status = os.waitpid(process, 0)
        if os.WIFSIGNALED(status):
            assert way, "it took too long"
            return True
        assert os.WEXITSTATUS(status) in (0, 4), "the traceback is above"
        return False


# When a run is killed: at a body or any word that the server hears, before it answers; at a statement to SQLite or a
# word with the server, as the run counts them itself; or at any instant.
WAYS = ("body", "word", "step", "instant")


def run_here(config: Config, day: date, last_step: int = 0) -> int:
    try:
        with dying_at(last_step) if last_step else nullcontext():
            run_daily(config, day, at(day), Fetcher("digest@example.org"), Impatient())
    except Undelivered as problem:
        return problem.exit_code
    except BaseException:  # noqa: BLE001  nothing may leave a forked process
        traceback.print_exc()
        return 1
    return 0


def list_daily_paper(workplace: Workplace, day: date) -> None:
    """One paper is new each day."""
    age = (day - MONDAY).days
    workplace.lists(*(paper(n) for n in range(max(0, age - 9), age + 1)))


def test_after_five_hundred_kills_only_mail_that_the_server_may_have_got_is_lost(workplace: Workplace) -> None:
    seed = int(os.environ.get("DIGEST_SEED", random.randrange(10**9)))
    chance = random.Random(seed)
    fickle, kills, day = FickleServer(chance), 0, MONDAY
    workplace.digest = {"max_papers": 20}
    workplace.to = [f"reader{n}@example.org" for n in range(20)]
    with Server(fickle.answer).running() as server:
        config = replace(workplace.config(), delivery=SmtpSettings(("127.0.0.1",), server.port, "none", connections=2))
        list_daily_paper(workplace, day)
        run_here(config, day)  # what it imports and compiles, the forked runs need not
        while kills < MORE_KILLS:
            # Killed on a first day and never finished; away for four, so that this mail expires; then back.
            for number, fickle.away in enumerate((False, True, True, True, True, False)):
                day += timedelta(1)
                list_daily_paper(workplace, day)
                ways = WAYS[1:] if fickle.away else WAYS
                kills += sum(fickle.run(config, day, chance.choice(ways)) for _ in range(chance.randint(4, 8)))
                if number > 0:
                    assert not fickle.run(config, day)
    print(f"seed {seed}: {kills} kills, {(day - MONDAY).days + 1} days")
    with open_database(config.digest.database) as db:
        check_all_was_shown_once(db, server, fickle.offers, (day - MONDAY).days + 1, kills)


def check_all_was_shown_once(db: Database, server: Server, offers: Counter[str], days: int, kills: int) -> None:
    """Each paper came once to each, or stood in a message that the server may have got, of which there are few."""
    mails: dict[str, bytes] = {}
    for _, body in server.taken:
        assert mails.setdefault(header(body, "Message-ID"), body) == body, "copies are the same"
    copies = len(server.taken) - len(mails)
    came: dict[str, list[int]] = {}
    for body in mails.values():
        came.setdefault(header(body, "To"), []).extend(int(n) for n in TITLE.findall(decodestring(body)))
    arrived = Counter(to for to, _ in server.taken)
    lost = Counter[str]()
    for to, name, papers in db.execute(
        "SELECT s.address, d.message_id, (SELECT json_group_array(p.title) FROM json_each(e.papers) JOIN papers p"
        " ON p.id = value) FROM deliveries d JOIN editions e ON e.id = d.edition"
        " JOIN subscribers s ON s.id = d.subscriber WHERE d.doubt"
    ):
        if name not in mails:
            lost[to] += 1
            came.setdefault(to, []).extend(int(title.split()[2]) for title in json.loads(papers))
    print(f"{len(mails):,} mails, {copies} copies, {lost.total()} lost in doubt")
    assert db.execute("SELECT count(*) FROM queue").fetchone() == (0,)
    assert copies + lost.total() <= 2 * kills
    assert all(lost[to] <= offers[to] - arrived[to] for to in lost), "in doubt is only what may have begun"
    assert {to: sorted(papers) for to, papers in came.items()} == {to: [*range(days)] for to in offers}


TITLE = re.compile(rb"^[0-9]+\. +Paper number ([0-9]+) on something\r$", re.MULTILINE)


def header(body: bytes, name: str) -> str:
    return str(message_from_bytes(body.partition(b"\r\n\r\n")[0])[name])


@contextmanager
def dying_at(number: int) -> Iterator[None]:
    """In this process, die at the given step: a statement to SQLite, or a word from or to the server."""
    steps = count(1)
    counting = False

    def step(*_: object) -> None:
        if counting and next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    connect, audiences, write, read = database._connect, Outbox.audiences, SmtpConnection.write, SmtpConnection.read

    def traced(path: Path) -> Database:
        db = connect(path)
        db.conn.set_trace_callback(step)
        return db

    def begun(self: Outbox, *args: Any) -> Any:
        nonlocal counting
        counting = True
        return audiences(self, *args)

    def writing(self: SmtpConnection, data: bytearray) -> None:
        step()
        write(self, data)
        step()

    def reading(self: SmtpConnection) -> bytes:
        step()
        return read(self)

    database._connect = traced
    Outbox.audiences = begun  # type: ignore[assignment, method-assign]
    SmtpConnection.write, SmtpConnection.read = writing, reading  # type: ignore[method-assign]
    yield


def dies(config: Config, step: int) -> bool:
    """Whether a run killed at a step was killed there, rather than done before it came to it."""
    child = os.fork()
    if child == 0:
        with dying_at(step), suppress(BaseException):
            run_daily(config, MONDAY, at(MONDAY), Fetcher("digest@example.org"))
            os._exit(0)
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


TOPICS = """
[[sources]]
type = "file"
path = "papers.jsonl"

[[topics]]
name = "Papers"
match = ["paper"]

[[topics]]
name = "Things"
match = ["things"]
"""


@pytest.mark.parametrize("alike", [True, False], ids=["alike", "each with a mail of their own"])
def test_a_run_killed_at_each_of_its_steps_is_made_good_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alike: bool
) -> None:
    """From the first look at the subscribers on: composing, two subscribers at a time, and delivery."""
    monkeypatch.setattr(outbox, "_AUDIENCES", outbox._AUDIENCES.replace("LIMIT 1000", "LIMIT 2"))
    assert outbox._AUDIENCES.endswith("LIMIT 2")
    topics = [None, ("Papers",), ("Things",), ("Papers", "Things")]
    for step in count(1):
        folder = tmp_path / str(step)
        folder.mkdir()
        addresses = [f"reader{n}@example.org" for n in range(4)]
        workplace = Workplace(folder, digest={"max_papers": 3}, to=addresses, more=TOPICS)
        if not alike:
            with open_context(workplace.config()) as context:
                context.subscribers.configure(addresses)
                for address, chosen in zip(addresses, topics, strict=True):
                    context.subscribers.choose(context.subscribers.by_address(address), Profile(chosen))
        with Server().running() as server:
            config = replace(
                workplace.config(), delivery=SmtpSettings(("127.0.0.1",), server.port, "none", connections=2)
            )
            list_papers(workplace, MONDAY)
            died = dies(config, step)
            if died:
                run_daily(config, MONDAY, at(MONDAY), Fetcher("digest@example.org"))
            check(server, 4, 1, kills=int(died))
            tuesday = MONDAY + timedelta(1)
            list_papers(workplace, tuesday)
            run_daily(config, tuesday, at(tuesday), Fetcher("digest@example.org"))
            check(server, 4, 2, kills=int(died))
        if not died:
            print(f"{step - 1} steps")
            assert step > 60
            return


def test_a_maildir_whose_owner_reads_between_a_crash_and_the_next_run_gets_no_copy(tmp_path: Path) -> None:
    for step in count(1):
        folder = tmp_path / str(step)
        folder.mkdir()
        workplace = Workplace(folder, to=[f"reader{n}@example.org" for n in range(3)])
        list_papers(workplace, MONDAY)
        died = dies(workplace.config(), step)
        for mail in (folder / "mail" / "new").glob("*"):
            mail.rename(folder / "mail" / "cur" / f"{mail.name}:2,S")
        workplace.run(MONDAY)
        mails = [*(folder / "mail" / "new").iterdir(), *(folder / "mail" / "cur").iterdir()]
        assert sorted(header(mail.read_bytes().replace(b"\n", b"\r\n"), "To") for mail in mails) == workplace.to
        if not died:
            assert step > 40
            return


def test_six_runs_at_once_send_each_message_once(workplace: Workplace) -> None:
    with Server().running() as server:
        prepare(workplace, server.port, 150)
        list_papers(workplace, MONDAY)
        runs = [start(workplace, MONDAY) for _ in range(6)]
        for run in runs:
            run.communicate()
        codes = sorted(run.returncode for run in runs)
        assert set(codes) <= {0, 5}
        assert codes[0] == 0
        assert sorted(server.recipients()) == sorted(workplace.to)
        check(server, 150, 1, kills=0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_well_and_the_next_goes_on(workplace: Workplace, number: signal.Signals) -> None:
    process: subprocess.Popen[bytes] | None = None
    heard = count(1)

    def interrupt(stage: str, *_: object) -> None:
        if stage == "BODY" and next(heard) == 50 and process is not None:
            process.send_signal(number)

    with Server(interrupt).running() as server:
        prepare(workplace, server.port, 300)
        list_papers(workplace, MONDAY)
        process = start(workplace, MONDAY)
        output, _ = process.communicate()
        assert process.returncode == 4
        assert b"it was interrupted" in output
        assert len(server.taken) < 300
        with open_database(workplace.folder / "history.db") as db:
            counts = Statistics(db.conn).deliveries_by_state()
        assert counts == {"sent": len(server.taken), "pending": 300 - len(server.taken)}
        finish(workplace, MONDAY)
        check(server, 300, 1, kills=0)
