"""The whole job on bundled papers: three consecutive days, a real history, mail in a Maildir, pages to open."""

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from shlex import quote
from zoneinfo import ZoneInfo

from digest.config import load
from digest.errors import ConfigError
from digest.pipeline.preview import message_part, preview, save_preview
from digest.pipeline.run import Clock, run_daily
from digest.sources.fetcher import Fetcher

DAYS = (date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4))
_READER = "you@example.org"
_MARK = "This folder was made by `digest demo`, which empties and fills it anew each time.\n"
_CONFIG = f"""\
# The configuration of the demo. Try: digest -c config.toml status

[digest]
title = "Trending papers"
from = "Paper Digest <digest@example.org>"
to = ["{_READER}"]
timezone = "UTC"
max_papers = 10

[[sources]]
type = "file"
name = "sample"
path = "papers.jsonl"

[[topics]]
name = "Diffusion"
match = ["diffusion model*", "score-based", "denoising diffusion"]
weight = 0.15

[maildir]
path = "mail"

[unsubscribe]
mailto = "unsubscribe@example.org"
"""


def play(folder: Path) -> Iterator[str]:
    """Run three days in `folder`, made anew; yield lines on what came of it. Raises ConfigError where it cannot."""
    try:
        yield from _days(folder)
    except OSError as problem:
        raise ConfigError([f"{folder} cannot be written to: {problem.strerror}"]) from None


def _days(folder: Path) -> Iterator[str]:
    _clear(folder)
    (folder / "config.toml").write_text(_CONFIG, encoding="utf-8")
    config = load(folder / "config.toml", {})
    quiet = logging.getLogger("digest")
    quiet.setLevel(max(quiet.level, logging.WARNING))
    for number, day in enumerate(DAYS):
        _list(folder / "papers.jsonl", number)
        clock = _clock(day)
        report = run_daily(config, day, clock, Fetcher("digest@example.org"))
        shown = preview(config, day, _READER, clock, Fetcher("digest@example.org"))
        page = folder / f"{day}.html"
        save_preview(page, message_part(shown.bytes, "html"))
        yield f"{day:%a} {day}: {report.new} new papers, a mail of {report.papers}"
        yield f"    {page.absolute().as_uri()}"
    yield f"The mails are in the Maildir {(folder / 'mail').absolute()}"
    yield f"Look further: digest -c {quote(str(folder / 'config.toml'))} status"


def _clear(folder: Path) -> None:
    """Empty what an earlier demo left; touch nothing else."""
    mark = folder / ".digest-demo"
    if folder.exists() and any(folder.iterdir()) and not mark.exists():
        raise ConfigError([f"{folder} holds other files; name an empty or new folder: digest demo DIR"])
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    mark.write_text(_MARK, encoding="utf-8")


def _list(path: Path, number: int) -> None:
    """Write the list as it stood on the day: the papers that had joined, with the votes they had."""
    lines = (files("digest.demo") / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    rows = ({**row, "upvotes": row["upvotes"][number]} for row in map(json.loads, lines))
    listed = (json.dumps(row, ensure_ascii=False) for row in rows if row["upvotes"] is not None)
    path.write_text("\n".join(listed) + "\n", encoding="utf-8")


def _clock(day: date) -> Clock:
    moment = datetime.combine(day, time(6, 0), ZoneInfo("UTC"))
    return lambda: moment
