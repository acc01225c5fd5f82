"""The archive: choose the day's public edition, freeze it, and write the pages and feeds.

The public edition is chosen as for a reader called the archive, who has the digest's own topics and limit and was shown
what earlier public editions had. No subscriber changes anything about it, so shards choose and freeze the same one;
the first of them writes the pages.
"""

import os
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from digest.archive import ArchiveSettings, PublicEdition
from digest.config import Config
from digest.errors import ConfigError
from digest.mail.edition import Arrivals
from digest.papers.text.clean import clean
from digest.pipeline.context import Context, open_context
from digest.ranking import DEFAULT_PROFILE
from digest.ranking.selection import Selection
from digest.ranking.trending import Ranked
from digest.store.database import run_lock


def freeze_public_edition(context: Context, selection: Selection, now: datetime) -> None:
    """Freeze the public edition of the day, unless there is no archive, or it is frozen already, or has no papers."""
    archive, day = context.config.archive, selection.day
    if archive is None or context.public_editions.frozen(day):
        return
    if ranked := _pick(context, selection):
        papers = context.papers.load(r.trend.id for r in ranked)
        title, arrivals = context.config.digest.title, Arrivals(*context.papers.arrivals(day))
        context.public_editions.freeze(
            PublicEdition(day, now, archive.tag(day), title, arrivals, tuple(ranked), papers),
        )


def page_address(context: Context, selection: Selection) -> str:
    """Return the address of the day's page; '' if it has none. The same before the edition is frozen and after."""
    archive, day = context.config.archive, selection.day
    if archive is None or not (context.public_editions.frozen(day) or _pick(context, selection)):
        return ""
    return archive.page(day)


def write_new_pages(context: Context) -> int:
    """Write the pages of the public editions that have none yet; return the number of files that changed.

    After a move to another folder or address, or into an empty folder, that is all of them. Raises Unpublished and
    ConfigError.
    """
    archive, shard = context.config.archive, context.config.shard
    if archive is None or (shard and shard.index != 1):
        return 0
    if os.path.exists(archive.path / "index.html"):  # noqa: PTH110  Path.exists raises where it may not look
        added = context.public_editions.unwritten(_target(archive))
    else:
        added = list(context.public_editions.days())
    if not added:
        return 0
    written = _write(context, archive, archive.path, added)
    context.public_editions.mark_written(added, _target(archive))
    return written


def publish_archive(config: Config, folder: Path | None) -> tuple[Path, int, int]:
    """Write the whole archive into `folder`, by default archive.path.

    Return the folder, the number of editions, and the number of files that changed. Raises ConfigError without
    [archive], AlreadyRunning during a run, Unpublished when a file cannot be written, and HistoryError.
    """
    archive = config.archive
    if archive is None:
        problem = 'archive: is missing; write [archive] and below it path = "site" and url = "https://…"'
        raise ConfigError([problem], str(config.path))
    target = folder or archive.path
    if private := config.private_file_in(target):
        raise ConfigError([f"{target} holds {private}, which nobody else may read; name a folder of its own"])
    with open_context(config, create=False) as context, run_lock(config.digest.database):
        days = list(context.public_editions.days())
        written = _write(context, archive, target, days) if days else 0
        if target == archive.path:
            context.public_editions.mark_written(days, _target(archive))
    return target, len(days), written


def _write(context: Context, archive: ArchiveSettings, folder: Path, added: Sequence[date]) -> int:
    from digest.archive.pages import Pages  # lxml and Jinja: a run without an archive does not need them
    from digest.archive.site import Site

    settings, editions = context.config.digest, context.public_editions
    pages = Pages(archive.url, clean(settings.title), settings.templates)
    return Site(folder, pages, editions.days(), editions.load, editions.feed_tag()).write(added)


def _target(archive: ArchiveSettings) -> str:
    """Return what the pages were written for: another folder or address needs all of them again."""
    return f"{archive.path} {archive.url}"


def _pick(context: Context, selection: Selection) -> list[Ranked]:
    return selection.pick(DEFAULT_PROFILE, context.public_editions.shown(selection.paper_ids))
