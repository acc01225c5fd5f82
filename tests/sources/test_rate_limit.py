"""Requests of all processes that share a file keep their distance, and nobody can keep them waiting for good."""

import fcntl
import itertools
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from digest.errors import SourceError
from digest.sources.rate_limit import RateLimit

PAUSE = 0.15
ASK = """
import sys, time
from pathlib import Path
from digest.sources.rate_limit import RateLimit
limit = RateLimit(Path(sys.argv[1]), time.sleep)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    with limit.wait_turn(float(sys.argv[3])):
        began = time.monotonic()
        time.sleep(0.02)
        print(began, time.monotonic(), flush=True)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "history.db.pace"


def test_requests_of_two_processes_keep_their_distance(file: Path) -> None:
    words = [sys.executable, "-c", ASK, str(file), "6", str(PAUSE)]
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    asked = [[tuple(map(float, line.split())) for line in p.communicate(timeout=60)[0].splitlines()] for p in processes]
    assert [len(times) for times in asked] == [6, 6]
    for (_, ended), (began, _) in itertools.pairwise(sorted(itertools.chain(*asked))):
        assert began - ended >= PAUSE


def test_who_holds_the_file_is_waited_for_a_minute_and_named(file: Path) -> None:
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        assert len(slept) < 10_000, "it waits without end"

    limit = RateLimit(file, sleep)
    with file.open("w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        for least in (60, 0):
            with pytest.raises(SourceError, match="locked for 60 seconds") as caught, limit.wait_turn(3):
                pass
            assert str(file) in str(caught.value)
            assert least <= sum(slept) <= 70
            slept.clear()
    with limit.wait_turn(3):
        assert slept == []


def test_the_file_is_its_owners_alone(file: Path) -> None:
    file.touch(0o644)
    with RateLimit(file, time.sleep).wait_turn(PAUSE):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("make", [lambda file: file.symlink_to("victim"), os.mkfifo, Path.mkdir])
def test_what_is_not_a_file_is_an_error_of_the_source(file: Path, make: Callable[[Path], object]) -> None:
    make(file)
    with pytest.raises(SourceError, match=r"history\.db\.pace cannot be opened: "), RateLimit(file, print).wait_turn(3):
        pass
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("content", [b"\xff\xfe\0", b"inf", b"-inf", b"9" * 5000, b""])
def test_whatever_the_file_holds_it_is_used_on(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    slept: list[float] = []
    for _ in range(2):
        with RateLimit(file, slept.append).wait_turn(3):
            pass
    assert len(slept) == 1
    assert 2 < slept[0] <= 3
