"""What the archive costs: writing all of it, and a day more of it, in a small and in a large one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from digest.papers import Paper
from digest.store.database import open_database
from digest.store.public_editions import PublicEditions
from tests.bench.history import line
from tests.editions import plain_papers, public_edition

FIRST = date(2022, 1, 1)
PAPERS = 20
CONFIG = """
[digest]
from = "digest@example.org"
to = ["ann@example.org"]
max_papers = 20

[[sources]]
type = "file"
path = "papers.jsonl"

[maildir]
path = "mail"
"""
ARCHIVE = '\n[archive]\npath = "site"\nurl = "https://papers.example.org/"\n'


def prepare(folder: Path, editions: int) -> date:
    """A history with so many public editions, the last of them of the day that is returned."""
    (folder / "config.toml").write_text(CONFIG + ARCHIVE, encoding="utf-8")
    (folder / "papers.jsonl").write_text("", encoding="utf-8")
    days = [FIRST + timedelta(n) for n in range(editions)]
    with open_database(folder / "history.db") as db:
        db.conn.execute("PRAGMA foreign_keys = OFF")  # these papers are nowhere else
        for day in days:
            PublicEditions(db).freeze(public_edition(papers(day), day))
    return days[-1]


def papers(day: date) -> list[Paper]:
    return [replace(paper, arxiv=f"{day:%y%m}.{n:05}") for n, paper in enumerate(plain_papers(PAPERS))]


def steps(folder: Path) -> Iterator[tuple[str, tuple[float, int], float]]:
    """(what, what it cost, seconds it may take)."""
    for editions, most in ((100, 4.0), (1000, 20.0)):
        shutil.rmtree(folder)
        folder.mkdir()
        last = prepare(folder, editions)
        yield f"publish {editions:,} editions", timed(folder, "publish"), most
        yield "publish again", timed(folder, "publish"), most
        (folder / "papers.jsonl").write_text("\n".join(line(n) for n in range(200)), encoding="utf-8")
        without = _run(folder, CONFIG, last + timedelta(1))
        added = [_run(folder, CONFIG + ARCHIVE, last + timedelta(n)) for n in (2, 3, 4)]
        took = sorted(seconds for seconds, _ in added)[1] - without[0]
        yield "a day more, on top of the run", (took, added[0][1]), 0.3


def timed(folder: Path, *words: str) -> tuple[float, int]:
    """Seconds of a processor, which other programs do not change much, and peak megabytes of a whole process."""
    command = subprocess.Popen([sys.executable, "-m", "digest", "-q", *words], cwd=folder)
    _, status, usage = os.wait4(command.pid, 0)
    if status:
        raise SystemExit(f"digest {' '.join(words)} ended with {status}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1024


def _run(folder: Path, config: str, day: date) -> tuple[float, int]:
    (folder / "config.toml").write_text(config, encoding="utf-8")
    return timed(folder, "run", "--date", str(day))


def main() -> None:
    print(f"An archive of editions with {PAPERS} papers, whole processes")
    with tempfile.TemporaryDirectory() as folder:
        for what, (seconds, megabytes), most in steps(Path(folder)):
            verdict = "" if seconds <= most and megabytes <= 300 else "  too much"
            print(f"{what:<36}{seconds:>8.2f} s{megabytes:>6} MB   (at most {most:g} s, 300 MB){verdict}", flush=True)


if __name__ == "__main__":
    main()
