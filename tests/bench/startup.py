"""How long a person waits for what only looks, in times of importing click, taken turn by turn on one machine."""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 25
WANTED = {"--help": 2.0, "status": 4.0}
CONFIG = """
[digest]
from = "digest@example.org"
to = ["ann@example.org"]

[[sources]]
type = "file"
path = "papers.jsonl"

[maildir]
path = "mail"
"""


def seconds(folder: Path, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.toml").write_text(CONFIG)
        (folder / "papers.jsonl").write_text('{"title": "A paper", "abstract": "It says something."}\n')
        seconds(folder, "-m", "digest", "-q", "run")
        told: dict[str, list[float]] = {command: [] for command in WANTED}
        for _ in range(ROUNDS):
            click = seconds(folder, "-c", "import click")
            for command, ratios in told.items():
                ratios.append(seconds(folder, "-m", "digest", command) / click)
    for command, ratios in told.items():
        ratio = statistics.median(ratios)
        print(f"digest {command}: {ratio:.1f} times `import click`, of {WANTED[command]:.0f} that are wanted")


if __name__ == "__main__":
    main()
