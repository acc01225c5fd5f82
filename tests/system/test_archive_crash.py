"""Killed at any instant while writing the archive: no file is ever half written, and the next publish completes it."""

import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import pytest

from digest.config import Config
from digest.pipeline.archive import publish_archive
from digest.pipeline.run import run_daily
from digest.sources.fetcher import Fetcher
from tests.conftest import MONDAY, Workplace, at, paper
from tests.pipeline.test_archive import archived, files, run_days, times

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("DIGEST_KILLS", "100"))
DAYS = 20


def killed(job: Callable[[], object], seconds: float) -> bool:
    """Do `job` in a process of its own and kill that after some time; return whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            job()
            os._exit(0)
        except BaseException:  # noqa: BLE001  nothing may leave a forked process
            traceback.print_exc()
            os._exit(1)
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.001)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the traceback is above"
    return os.WIFSIGNALED(status)


def seconds_of(job: Callable[[], object]) -> float:
    start = time.monotonic()
    job()
    return time.monotonic() - start


def is_draft(name: str) -> bool:
    return Path(name).name.startswith(".")


def test_a_hundred_kills_of_publish_and_run_leave_no_half_written_file(workplace: Workplace, tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    chance = random.Random(seed)
    place = archived(workplace)
    place.digest["max_papers"] = 1
    run_days(place, DAYS)
    config, day, kills, drafts = place.config(), MONDAY + timedelta(DAYS - 1), 0, 0
    whole = files(tmp_path / "site")
    took = seconds_of(lambda: publish_archive(config, tmp_path / "clean"))
    while kills < KILLS // 2:
        for name in chance.sample(sorted(whole), len(whole) * 2 // 3):
            (tmp_path / "site" / name).write_bytes(b"of an earlier version")
        kills += killed(lambda: publish_archive(config, None), chance.uniform(0, took))
        found = files(tmp_path / "site")
        drafts += sum(map(is_draft, found))
        assert all(found[name] in (content, b"of an earlier version") for name, content in whole.items())
        publish_archive(config, None)
        assert files(tmp_path / "site") == whole
    took = 0.3
    while kills < KILLS:
        day += timedelta(1)
        place.lists(*(paper(1000 + (day - MONDAY).days + n, upvotes=n) for n in range(3)))
        before, seen = files(tmp_path / "site"), list[tuple[str, bytes]]()

        def job(day: date = day) -> None:
            run_daily(config, day, at(day), Fetcher("digest@example.org"))

        while kills < KILLS and killed(job, chance.uniform(0, took)):
            kills += 1
            seen += files(tmp_path / "site").items()
        took = 0.5 * took + 0.5 * seconds_of(job)
        publish_archive(config, tmp_path / "clean")
        clean = files(tmp_path / "clean")
        assert files(tmp_path / "site") == clean
        drafts += sum(is_draft(name) for name, _ in seen)
        for name, content in seen:
            assert is_draft(name) or content in (before.get(name), clean[name]), f"seed {seed}: {name}"
    print(f"seed {seed}: {kills} kills, {(day - MONDAY).days + 1} days, {drafts} drafts were left")
    assert len(place.titles()) == (day - MONDAY).days + 1
    before_times = times(tmp_path / "site")
    assert publish_archive(config, None)[2] == 0
    assert times(tmp_path / "site") == before_times
    assert not any(map(is_draft, files(tmp_path / "site")))


def test_a_run_killed_before_or_after_any_file_is_made_good_by_the_next(tmp_path: Path) -> None:
    """Once at each step between the first file of a day and the last."""
    for step in count(1):
        folder = tmp_path / str(step)
        folder.mkdir()
        place = archived(Workplace(folder))
        run_days(place, 1)
        config, tuesday = place.config(), MONDAY + timedelta(1)
        before = files(folder / "site")
        died = killed(lambda step=step, config=config: run_dying_at(step, config), 60)  # type: ignore[misc]
        left = files(folder / "site")
        place.run(tuesday)
        publish_archive(config, folder / "clean")
        after = files(folder / "clean")
        assert files(folder / "site") == after
        assert all(is_draft(name) or content in (before.get(name), after[name]) for name, content in left.items())
        assert len(place.titles()) == 2
        if not died:
            assert step > 15
            return


def run_dying_at(number: int, config: Config) -> None:
    """In a process of its own: run a day, and die before or after one of its files is put in place."""
    steps, put = count(1), Path.replace

    def die(*_: object) -> None:
        if next(steps) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    def replace(self: Path, target: Path) -> Path:
        die()
        done = put(self, target)
        die()
        return done

    Path.replace = replace  # type: ignore[assignment, method-assign]
    tuesday = MONDAY + timedelta(1)
    run_daily(config, tuesday, at(tuesday), Fetcher("digest@example.org"))
