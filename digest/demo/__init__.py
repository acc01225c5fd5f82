"""The demo: the daily job on bundled papers for three consecutive days.

The mail is in a Maildir and in pages to open, and the editions are in an archive.
"""

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import date, datetime, time
from importlib.resources import files
from pathlib import Path
from shlex import quote
from zoneinfo import ZoneInfo

from digest.config import Config, load
from digest.errors import ConfigError
from digest.files import write_file
from digest.pipeline.preview import message_part, preview
from digest.pipeline.run import Clock, run_daily
from digest.sources.fetcher import Fetcher

_DAYS = (date(2026, 3, 2), date(2026, 3, 3), date(2026, 3, 4))
_READER = "you@example.org"
_MARKER_TEXT = "`digest demo` created this folder, and deletes and fills it again each time.\n"
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

[archive]
path = "site"
url = "https://papers.example.org/"
"""


def run_demo(folder: Path, program: str) -> Iterator[str]:
    """Run three days in `folder`, emptied first; yield lines to print. `program` is how digest is called from here.

    Raises ConfigError if the folder cannot be written to, or holds files that no demo wrote.
    """
    try:
        yield from _run_days(folder, program)
    except OSError as error:
        raise ConfigError([f"{folder} cannot be written to: {error.strerror}"]) from None


def _run_days(folder: Path, program: str) -> Iterator[str]:
    _empty(folder)
    write_file(folder / "config.toml", _CONFIG.encode())
    config = load(folder / "config.toml", {})
    logger = logging.getLogger("digest")
    logger.setLevel(max(logger.level, logging.WARNING))
    lines = [line for number, day in enumerate(_DAYS) for line in _run_day(config, number, day)]
    yield f"The archive: {(folder / 'site' / 'index.html').absolute().as_uri()}"
    yield from lines
    yield f"The mails are in the Maildir {(folder / 'mail').absolute()}"
    yield f"See the runs: {program} -c {quote(str(folder / 'config.toml'))} status"
    yield f"Set up your own: {program} init"


def _run_day(config: Config, number: int, day: date) -> Iterator[str]:
    """Run the day `number`, from 0, and write its mail as a page; yield lines to print."""
    folder, clock = config.path.parent, _clock(day)
    _write_papers(folder / "papers.jsonl", number)
    report = run_daily(config, day, clock, Fetcher("digest@example.org"))
    mail = preview(config, day, _READER, clock, Fetcher("digest@example.org"))
    page = folder / f"{day}.html"
    write_file(page, message_part(mail.content, "html"))
    yield f"{day:%a} {day}: {report.new} new papers, {report.papers} in the mail"
    yield f"    {page.absolute().as_uri()}"


def _empty(folder: Path) -> None:
    """Create the folder, or delete what an earlier demo wrote; never delete anything else."""
    marker = folder / ".digest-demo"
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise ConfigError([f"{folder} holds other files; name an empty or new folder: digest demo DIR"])
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_file(marker, _MARKER_TEXT.encode())


def _write_papers(path: Path, number: int) -> None:
    """Write the list of day `number`, from 0: the papers on it by then, with their votes of that day."""
    lines = (files("digest.demo") / "sample.jsonl").read_text(encoding="utf-8").splitlines()
    rows = ({**row, "upvotes": row["upvotes"][number]} for row in map(json.loads, lines))
    listed = (json.dumps(row, ensure_ascii=False) for row in rows if row["upvotes"] is not None)
    write_file(path, "".join(f"{line}\n" for line in listed).encode())


def _clock(day: date) -> Clock:
    moment = datetime.combine(day, time(6, 0), ZoneInfo("UTC"))
    return lambda: moment
