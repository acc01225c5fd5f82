"""Killed at any instant and run again: nobody is missed, hardly anything comes twice, and nothing that does differs.

The first test kills a real process at random instants, over days. The second kills one at every single step between
the first question to the outbox and the end of the run, once each.
"""

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from digest.config import Config
from digest.delivery import SmtpSettings
from digest.delivery.smtp import SmtpConnection
from digest.pipeline.run import run_daily
from digest.sources.fetcher import Fetcher
from digest.store import database
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.statistics import Statistics
from tests.conftest import MONDAY, Workplace, at, paper, titles
from tests.server import Server

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
KILLS = 60


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


def test_a_run_killed_at_each_of_its_steps_is_made_good_by_the_next(tmp_path: Path) -> None:
    for step in count(1):
        folder = tmp_path / str(step)
        folder.mkdir()
        workplace = Workplace(folder, digest={"max_papers": 3}, to=[f"reader{n}@example.org" for n in range(4)])
        with Server().running() as server:
            config = replace(workplace.config(), delivery=SmtpSettings("127.0.0.1", server.port, "none", connections=2))
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
