"""The scripts of the GitHub Actions workflow, run for three days against a bare repository and killed at any time."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from digest.cli import main
from tests.conftest import MONDAY, Workplace, paper
from tests.server import Server

ROOT = Path(__file__).resolve().parents[2]
READERS = [f"reader{n}@example.org" for n in range(40)]
TRIES = 4  # runs that are killed on each day, before one that is not
SECONDS = 4.0  # about as long as a run takes

# The command that pip would install, on the day in $TODAY. The clock goes on from six in the morning.
COMMAND = f"""#!{sys.executable}
import os, sys
from freezegun import freeze_time
sys.path.insert(0, {str(ROOT)!r})
with freeze_time(os.environ["TODAY"] + " 06:00:00", tick=True):
    from digest.cli import main
    main()
"""


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class Repository:
    """A repository on a server, with the workflow on its main branch. Each run starts from a checkout of its own."""

    folder: Path
    runs: int = 0
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def origin(self) -> Path:
        return self.folder / "origin.git"

    def create(self, port: int) -> None:
        git(self.folder, "init", "--quiet", "--bare", "-b", "main", "origin.git")
        git(self.folder, "clone", "--quiet", "origin.git", "mine")
        mine = Workplace(self.folder / "mine", to=READERS)
        mine.config()
        smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\n'
        mine.path.write_text(mine.path.read_text().replace('[maildir]\npath = "mail"', smtp))
        words = ["-c", str(mine.path), "schedule", "install", "--github", str(mine.folder)]
        assert CliRunner().invoke(main, words).exit_code == 0
        self.steps = YAML(typ="safe").load(mine.folder / ".github/workflows/digest.yml")["jobs"]["digest"]["steps"]
        self.commit_papers(MONDAY)

    def commit_papers(self, day: date) -> None:
        mine = Workplace(self.folder / "mine", to=READERS)
        mine.lists(*(paper(day.day * 10 + n) for n in range(3)))
        git(mine.folder, "add", "--all")
        git(mine.folder, "-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "--quiet", "-m", str(day))
        git(mine.folder, "push", "--quiet", "origin", "HEAD:main")

    def run(self, day: date, seconds: float | None = None) -> list[str]:
        """Run the workflow; everything is killed after some `seconds`. Return the names of the steps that failed."""
        self.runs += 1
        git(self.folder, "clone", "--quiet", "--depth=1", self.origin.as_uri(), f"run{self.runs}")
        place, end = self.folder / f"run{self.runs}", seconds and time.monotonic() + seconds
        failed: list[str] = []
        ended: dict[str, int] = {}
        for step in self.steps:
            condition = str(step.get("if", "success()"))
            wanted = not failed or ("always()" in condition and ended.get("saved") == 0)
            if "run" not in step or not wanted:
                continue
            code = self._install(place) if step["name"] == "Install digest" else self._step(place, step, day, end)
            if code is None:
                break  # killed: the runner is gone, and no further step runs
            ended[step.get("id", step["name"])] = code
            failed += [step["name"]] if code else []
        return failed

    def _install(self, place: Path) -> int:
        command = place / ".digest/bin/digest"
        command.parent.mkdir(parents=True)
        command.write_text(COMMAND)
        command.chmod(0o755)
        return 0

    def _step(self, place: Path, step: dict[str, Any], day: date, end: float | None) -> int | None:
        document = YAML(typ="safe").load(self.folder / "mine/.github/workflows/digest.yml")
        variables = {**document["jobs"]["digest"]["env"], "TODAY": day.isoformat(), "GIT_TOKEN": "t", "HOME": "/none"}
        variables |= {"GITHUB_SERVER_URL": "https://github.example", "GIT_CONFIG_GLOBAL": "/dev/null"}
        process = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=place,
            env={**os.environ, **variables},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            _, errors = process.communicate(timeout=end and max(0.01, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None
        if process.returncode:
            print(step["name"], errors.decode()[-2000:])
        return process.returncode


@pytest.mark.slow
def test_three_days_of_killed_runners_miss_nobody_and_send_no_second_mail(tmp_path: Path) -> None:
    seed = random.randrange(10**9)
    print("seed", seed)
    chance = random.Random(seed)
    repository, sizes = Repository(tmp_path), []
    with Server().running() as server:
        repository.create(server.port)
        for day in (MONDAY + timedelta(n) for n in range(3)):
            repository.commit_papers(day) if day != MONDAY else None
            for _ in range(TRIES):
                repository.run(day, chance.uniform(0.2, SECONDS))
            assert repository.run(day) == []
            before = len(server.taken)
            assert repository.run(day) == []  # the second chance of the day
            assert len(server.taken) == before
            assert git(repository.origin, "rev-list", "--count", "digest-state") == "1"
            sizes.append(int(git(repository.origin, "cat-file", "-s", "digest-state:history.db")))
    copies = defaultdict(set)
    for recipient, message in server.taken:
        copies[recipient, message.partition(b"\r\nDate: ")[2][:16]].add(message)
    assert set(copies) == {(reader, key) for reader in READERS for _, key in copies}
    assert len(copies) == 3 * len(READERS)
    assert all(len(messages) == 1 for messages in copies.values())
    assert sizes[-1] < 3 * sizes[0]  # grows by the records of three days, not by some thirty pushes


@pytest.mark.slow
def test_of_two_runners_at_once_the_slower_one_sends_nothing(tmp_path: Path) -> None:
    repository = Repository(tmp_path)
    with Server().running() as server:
        repository.create(server.port)
        slow = [step for step in repository.steps if "run" in step]
        place = tmp_path / "slow"
        git(tmp_path, "clone", "--quiet", "--depth=1", repository.origin.as_uri(), "slow")
        repository._install(place)
        restore, queue, save = slow[1:4]
        assert repository._step(place, restore, MONDAY, None) == 0
        assert repository._step(place, queue, MONDAY, None) == 0
        assert repository.run(MONDAY) == []
        assert len(server.taken) == len(READERS)
        assert repository._step(place, save, MONDAY, None) != 0  # and so its job fails before it sends
    assert git(repository.origin, "rev-list", "--count", "digest-state") == "1"
