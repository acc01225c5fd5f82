"""A machine's own programs, for tests that must not meet the real ones: a crontab of the test's own."""

import os
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
    """Put a crontab that keeps its table in `folder` before every other on PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "crontab").write_text(crontab)
    (folder / "crontab").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
