"""What a mail of one's own costs: readers with three topics of forty, and 300 new papers a day.

    python -m tests.bench.readers [--readers 100000] [--days 8] [--connections 16]

On the first day readers have been shown nothing; on the eighth, a week of papers can be chosen and each reader was
shown others. The last day's mail is then delivered to smtp-sink.
"""

import argparse
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from tests.bench.delivery import ROOT, TOOLS, sink

START = date(2026, 4, 13)
PAPERS, TOPICS, WORDS = 300, 40, 30_000
CONFIG = """
[digest]
from = "Paper Digest <digest@example.org>"
max_papers = 10

[[sources]]
type = "file"
path = "papers.jsonl"

[smtp]
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
"""


@dataclass(frozen=True)
class Cost:
    """Of a process: seconds of CPU, seconds, and peak memory in MB."""

    cpu: float
    seconds: float
    memory: float


def run(folder: Path, *words: str) -> Cost:
    begun = time.perf_counter()
    command = [sys.executable, "-m", "digest", "-q", "-c", str(folder / "config.toml"), *words]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"digest {' '.join(words)} ended with {process.returncode}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 1024)


def paper(number: int) -> str:
    """A paper of 150 words, the nth most frequent one drawn in proportion to 1/n (Zipf's law).

    A sixth of them are those of one subject of 25: about four in a hundred pairs of papers share a theme.
    """
    rng = random.Random(number)
    subject = rng.randrange(25)
    words = [f"word{int(WORDS ** rng.random())}" if n % 6 else f"own{subject}x{rng.randrange(50)}" for n in range(150)]
    row = {
        "id": f"arxiv:2604.{number:05}",
        "title": f"Paper {number} on {' '.join(words[:8])}",
        "abstract": " ".join(words[8:]).capitalize() + ".",
        "authors": [f"First{rng.randrange(900)} Surname{rng.randrange(900)}" for _ in range(4)],
        "categories": ["cs.LG"],
        "upvotes": rng.randrange(200),
    }
    return json.dumps(row)


def topics() -> Iterable[str]:
    """Each of three phrases is in about one paper of a hundred."""
    for number in range(TOPICS):
        phrases = [f"word{1400 + 3 * number + n}" for n in range(3)]
        yield f'[[topics]]\nname = "Topic {number}"\nmatch = {json.dumps(phrases)}\n'


def prepare(folder: Path, readers: int, port: int, connections: int) -> None:
    (folder / "config.toml").write_text(CONFIG.format(port=port, connections=connections) + "\n".join(topics()))
    rng = random.Random(1)
    # Line by line: Linux counts the memory of this process as that of the commands that it starts.
    with (folder / "readers.csv").open("w") as file:
        file.write("address,topics,max_papers\n")
        for number in range(readers):
            chosen = "|".join(f"Topic {n}" for n in rng.sample(range(TOPICS), 3))
            file.write(f"reader{number:07}@example.org,{chosen},{rng.choice([5, 10, 15])}\n")
    run(folder, "subscribers", "import", str(folder / "readers.csv"))


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("history.db*"))


def pretend_sent(folder: Path) -> None:
    """What the days between would have left: this is not about their delivery."""
    with closing(sqlite3.connect(folder / "history.db")) as db:
        with db:
            db.execute("UPDATE deliveries SET state = 'sent', reply = '250 2.0.0 Ok'")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    options.add_argument("--readers", type=int, default=100_000)
    options.add_argument("--days", type=int, default=8)
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    if not shutil.which("smtp-sink", path=TOOLS):
        raise SystemExit("smtp-sink is not installed; on Debian: apt install postfix (it need not run)")
    with tempfile.TemporaryDirectory() as name, sink() as port:
        folder = Path(name)
        prepare(folder, chosen.readers, port, chosen.connections)
        print(f"{chosen.readers:,} readers with three topics of {TOPICS}, {PAPERS} new papers a day")
        for number in range(chosen.days):
            new = range(number * PAPERS, (number + 1) * PAPERS)
            (folder / "papers.jsonl").write_text("\n".join(map(paper, new)))
            before, day = size(folder), str(START + timedelta(number))
            cost = run(folder, "run", "--hold", "--date", day)
            stored, each = (size(folder) - before) / chosen.readers, 1e3 * cost.cpu / chosen.readers
            if number in (0, chosen.days - 1):
                most = 0.3 if number == 0 else 0.6
                print(
                    f"  day {number + 1}: composing {each:.3f} ms CPU an edition (at most {most} is wanted)", end=", "
                )
                print(f"{stored:.0f} bytes stored (at most 600), peak {cost.memory:.0f} MB (at most 150)", flush=True)
            if number < chosen.days - 1:
                pretend_sent(folder)
        sent = run(folder, "send")
        print(
            f"  delivery over {chosen.connections} connections: {sent.seconds:.0f} s, peak {sent.memory:.0f} MB;",
            end=" ",
        )
        print(f"the whole run {cost.seconds + sent.seconds:.0f} s (at most 120 is wanted)")


if __name__ == "__main__":
    main()
