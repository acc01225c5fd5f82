"""Check that the archive can be written: its templates, by rendering a made-up edition, and its folder."""

import os
from datetime import datetime
from pathlib import Path

from digest.archive import ArchiveSettings, PublicEdition
from digest.config import Config
from digest.errors import ConfigError
from digest.mail.edition import Arrivals
from digest.operations.checks import Check, Mark, Problem
from digest.papers import Paper
from digest.ranking import Listing
from digest.ranking.trending import Ranked, Trend, TrendKind


def check_archive(config: Config, archive: ArchiveSettings, now: datetime) -> Check:
    """Check the `[archive]` of a configuration. Writes nothing; a failure stops no mail, so it is a warning."""
    from digest.archive.pages import Pages

    pages = Pages(archive.url, config.digest.title, config.digest.templates)
    edition, problems = _sample_edition(archive, now), []
    try:
        pages.edition(edition, None, None)
        pages.month([edition], None, None)
        pages.index([edition], [edition.day])
        pages.feed_entry(edition)
    except ConfigError as error:
        problems.append(Problem(Mark.WARN, str(error), "fix that, or delete the file to use the built-in template"))
    if (nearest := _nearest(archive.path)) and not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        fix = "check its permissions, or choose another folder in archive.path"
        problems.append(Problem(Mark.WARN, f"{archive.path} cannot be written to", fix))
    return Check.of("archive", f"{archive.path} is writable, for {archive.url}", problems)


def _nearest(path: Path) -> Path | None:
    """Return the folder itself, or the nearest one above it that exists."""
    return next((folder for folder in (path, *path.parents) if os.path.lexists(folder)), None)


def _sample_edition(archive: ArchiveSettings, now: datetime) -> PublicEdition:
    day = now.date()
    paper = Paper("A title", abstract="A sentence. And another.", authors=("Ann Author",), arxiv="2604.00001")
    ranked = Ranked(Trend(1, 1.0, TrendKind.TODAY, Listing("sample", day, ((day, 7),))), ())
    return PublicEdition(day, now, archive.tag(day), "T", Arrivals(1, day), (ranked,), {1: paper})
