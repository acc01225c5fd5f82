"""A long list of subscribers on a cluster: one digest fetches, and an array job of eight delivers, each to its part."""

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from digest.pipeline.run import fetch_only
from digest.sources.fetcher import Fetcher
from tests.conftest import MONDAY, Workplace, at, paper
from tests.server import Server
from tests.slurm import Slurm, running_slurm

ROOT = Path(__file__).resolve().parents[2]
READERS = [f"reader{n}@example.org" for n in range(10_000)]
SHARDS = 8


def example(language: str, word: str) -> str:
    """The example in the README that has this word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    (found,) = (block for block in blocks if word in block)
    return str(found)


def submit(slurm: Slurm, folder: Path) -> str:
    """Submit the README's array job; its number."""
    script, digest = folder / "job.sh", f"{sys.executable} -m digest"
    text = example("sh", "#SBATCH").replace("exec digest", f"export PYTHONPATH={ROOT}\nexec {digest}")
    script.write_text(f"{text.rstrip()} --date {MONDAY}\n")
    options = ["--parsable", "--open-mode=append", f"--output={folder}/task-%a.txt", f"--chdir={folder}"]
    return slurm.command("sbatch", *options, str(script))


def status(folder: Path, index: int) -> dict[str, Any]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    environ |= {"JOB_COMPLETION_INDEX": str(index - 1)}
    words = [sys.executable, "-m", "digest", "-c", str(folder / "config.toml"), "status", "--json"]
    document = json.loads(subprocess.run(words, env=environ, capture_output=True, check=True).stdout)
    assert isinstance(document, dict)
    return document


@pytest.mark.slow
def test_an_array_job_delivers_to_everyone_once_although_a_task_is_killed(tmp_path: Path) -> None:
    origin, folder, cluster = tmp_path / "origin", tmp_path / "list", tmp_path / "slurm"
    for path in (origin, folder, cluster):
        path.mkdir()
    fetcher = Workplace(origin)
    fetcher.lists(*(paper(n) for n in range(3)))
    fetch_only(fetcher.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    shards = Workplace(folder, to=READERS, more='[[sources]]\ntype = "history"\npath = "../origin/history.db"')
    shards.config()
    with running_slurm(cluster) as slurm, Server().running() as server:
        smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n[shard]\ncount = {SHARDS}\n'
        shards.path.write_text(shards.path.read_text().replace('[maildir]\npath = "mail"', smtp))
        job, end = submit(slurm, folder), time.monotonic() + 240
        while not server.taken:
            assert time.monotonic() < end, [path.read_text() for path in folder.glob("task-*")]
            time.sleep(0.05)
        running = next(index for index, state in slurm.states(job).items() if state == "RUNNING")
        slurm.command("scontrol", "requeue", f"{job}_{running}")
        while slurm.states(job):
            assert time.monotonic() < end, slurm.states(job)
            time.sleep(0.5)
    received = Counter(server.recipients())
    assert set(received) == set(READERS)
    assert sum(received.values()) <= len(READERS) + 1  # the message under way when the task was killed
    totals: Counter[str] = Counter()
    for index in range(1, SHARDS + 1):
        document = status(folder, index)
        totals.update(sent=document["queue"]["counts"]["sent"], subscribers=document["history"]["subscribers"])
        assert document["queue"]["pending"] == 0
    assert totals == {"sent": len(READERS), "subscribers": len(READERS)}


@pytest.mark.slow
def test_each_pod_of_the_indexed_job_serves_its_shard(workplace: Workplace) -> None:
    job = YAML(typ="safe").load(example("yaml", "kind: Job"))["spec"]
    (container,) = job["template"]["spec"]["containers"]
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"] == SHARDS
    workplace.to = READERS[:40]
    workplace.lists(*(paper(n) for n in range(3)))
    workplace.config()
    workplace.path.write_text(workplace.path.read_text() + f"\n[shard]\ncount = {SHARDS}\n")
    program, *words = container["command"]
    assert program == "digest"
    for index in range(SHARDS):  # as the controller of Kubernetes sets it
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "JOB_COMPLETION_INDEX": str(index)}
        command = [sys.executable, "-m", "digest", *words, "--date", str(MONDAY)]
        subprocess.run(command, cwd=workplace.folder, env=environ, check=True, capture_output=True)
    assert sorted(workplace.mails()) == sorted(workplace.to)
    assert all(len(mails) == 1 for mails in workplace.mails().values())
