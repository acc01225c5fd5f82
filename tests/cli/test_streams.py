"""What the shell does to a command: pipes that end early, streams that are closed or full, Ctrl-C."""

import os
import pty
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.conftest import MONDAY, Workplace, paper

QUICK_COMMANDS = (("--help",), ("run", "--date", "2026-04-20"))
COMMANDS = (
    ("search", "paper"),
    ("status",),
    ("status", "--json"),
    ("explain", "2604.00001"),
    ("subscribers", "list"),
    ("subscribers", "export"),
    ("schedule", "show"),
    ("preview", "-o", "-"),
    ("backup", "--force", "copy.db"),
)


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.lists(*(paper(n) for n in range(1, 30)))
    workplace.config()
    (workplace.folder / "bin").mkdir()
    return workplace


def command(place: Workplace, words: tuple[str, ...], redirected: str = "") -> subprocess.CompletedProcess[str]:
    """What a shell makes of the command with its streams redirected so."""
    line = f'"$0" -m digest "$@" {redirected}'
    return subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", line, sys.executable, *words],
        cwd=place.folder,
        env=environment(place.folder),
        text=True,
        capture_output=True,
        check=False,
    )


def environment(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "PATH": str(folder / "bin")}


@pytest.mark.parametrize(
    "words", [*QUICK_COMMANDS, *(pytest.param(words, marks=pytest.mark.slow) for words in COMMANDS)], ids=" ".join
)
def test_a_closed_pipe_is_no_failure(place: Workplace, words: tuple[str, ...]) -> None:
    place.run(MONDAY - timedelta(1))
    for redirected in ("| :", ">&-", "2>&-", "<&- >&- 2>&-"):
        done = command(place, ("-q", *words) if words[0] == "run" else words, redirected)
        assert (done.returncode, done.stderr.count("digest:"), "Error" in done.stderr) == (0, 0, False), redirected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_standard_output_is_an_error_message(place: Workplace) -> None:
    for words in (("--help",), ("run",), ("status",), ("preview", "-o", "-")):
        done = command(place, words, ">/dev/full")
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == "digest: standard output cannot be written: No space left on device"
    assert len(place.mails()["ann@example.org"]) == 1


OTHERS = (
    *(("run", "--dry-run"), ("search", "bayes", "--json"), ("explain", "2604.00001")),
    *(("-v", "fetch"), ("status",), ("preview", "-o", "-"), ("doctor",)),
)


@pytest.mark.parametrize(
    ("encoding", "shown", "others"),
    [
        ("latin-1", "Über ?? and naïve Bayes", ()),
        pytest.param("latin-1", "Über ?? and naïve Bayes", OTHERS, marks=pytest.mark.slow),
        pytest.param("cp1251:strict", "?ber ?? and na?ve Bayes", OTHERS, marks=pytest.mark.slow),
    ],
)
def test_characters_that_standard_output_lacks_are_question_marks(
    place: Workplace, encoding: str, shown: str, others: tuple[tuple[str, ...], ...]
) -> None:
    place.digest = {"title": "论文"}
    place.lists(paper(1, title="Über 论文 and naïve Bayes", authors=["Ωmega"]), paper(2, title="A – B"))
    place.config()
    environ = {**environment(place.folder), "PYTHONIOENCODING": encoding}
    for words in (("run",), ("search", "bayes"), *others):
        done = subprocess.run(
            [sys.executable, "-m", "digest", *words], cwd=place.folder, env=environ, capture_output=True, check=False
        )
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done
        if words[0] in ("search", "explain"):
            assert shown in done.stdout.decode(encoding.partition(":")[0])


def test_an_error_that_nobody_can_read_keeps_its_exit_code(place: Workplace) -> None:
    for redirected in ("2>&-", "2>/dev/full", "2> >(:)"):
        assert command(place, ("-c", "nowhere.toml", "status"), redirected).returncode == 2


@pytest.mark.parametrize("words", [("run",), ("preview",), ("doctor",)], ids=" ".join)
def test_ctrl_c_waits_for_no_slow_source_and_ends_in_a_sentence(place: Workplace, words: tuple[str, ...]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        place.more = f'[[sources]]\ntype = "feed"\nname = "slow"\nurl = "http://127.0.0.1:{port}/"'
        place.config()
        process = subprocess.Popen(
            [sys.executable, "-m", "digest", *words],
            cwd=place.folder,
            env=environment(place.folder),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell ignores it in the background
        )
        with silent.accept()[0] as asked:  # and never answers
            asked.recv(1)
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, said
    assert time.monotonic() - began < 10
    assert said.splitlines()[-1] == ("digest: interrupted; you can safely run the command again")
    assert "Traceback" not in said


def test_ctrl_d_at_a_question_writes_nothing_and_ends_in_a_sentence(place: Workplace) -> None:
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "digest", "init", "new"],
        cwd=place.folder,
        env=environment(place.folder),
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    said = b""
    while b"email address: " not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x04")
    assert process.wait(30) == 130
    said += os.read(terminal, 1024)
    os.close(inside)
    os.close(terminal)
    assert b"\r\n\x1b[31m\x1b[1mdigest:\x1b[0m interrupted" in said
    assert not (place.folder / "new").exists()
