"""A machine's own programs, for tests that must not meet the real ones: a crontab of the test's own."""

import os
import shutil
from pathlib import Path

import pytest

PATH = os.environ["PATH"]  # with the real ones
CRONTAB = """\
#!/bin/sh
table="${0%/*}/table"
case "$1" in
-l) [ -f "$table" ] || { echo "no crontab for me" >&2; exit 1; }; cat "$table" ;;
-r) rm "$table" ;;
-) cat > "$table" ;;
esac
"""


def programs(folder: Path, monkeypatch: pytest.MonkeyPatch, crontab: str = CRONTAB) -> None:
    """Put a crontab that keeps its table in `folder` before every other on PATH; a cron daemon runs it."""
    processes(folder / "proc", "init", "cron")
    monkeypatch.setattr("digest.operations.crontab._PROC", folder / "proc")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "crontab").write_text(crontab)
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def processes(proc: Path, *names: str) -> None:
    """Make these, numbered from 1, all that runs according to the folder `proc`."""
    shutil.rmtree(proc, ignore_errors=True)
    for number, name in enumerate(names, start=1):
        (proc / str(number)).mkdir(parents=True)
        (proc / str(number) / "comm").write_text(f"{name}\n")
        (proc / str(number) / "cmdline").write_bytes(b"\0".join(word.encode() for word in (name, "crond")))
    (proc / "self").mkdir(parents=True, exist_ok=True)
