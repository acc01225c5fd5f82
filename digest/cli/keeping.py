"""The commands that keep the history well over the years: make it smaller, make a copy of it."""

import re
from pathlib import Path
from typing import Any

import click

from digest.cli.frame import Chosen, clock, main, outermost

_DAYS = {"": 1, "d": 1, "w": 7, "y": 365}


class Span(click.ParamType[int]):
    """A number of days: 400, 400d, 57w or 2y."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"\s*([0-9]{1,5})\s*([dwy]?)\s*", str(value).lower())
        days = int(found[1]) * _DAYS[found[2]] if found else 0
        if not 0 < days <= 100 * _DAYS["y"]:
            self.fail(f"{value!r} is not a time; write one like 400d, 57w or 2y", param, ctx)
        return days


@main.command()
@click.option("--older-than", "days", metavar="TIME", type=Span(), required=True, help="How old: 400d, 57w or 2y.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
@outermost
def prune(chosen: Chosen, days: int, dry_run: bool) -> None:
    """Forget what is old and no promise rests on.

    Who was shown what stays, and so does everything in the queue. The file gets smaller.
    """
    config = chosen.config()
    from digest import prune as pruning

    today, _ = clock(config, None)
    chosen.say(pruning.told(pruning.prune(config, today, days, dry=dry_run), dry=dry_run))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a backup of that name.")
@click.pass_obj
@outermost
def backup(chosen: Chosen, file: Path, force: bool) -> None:
    """Copy the history and its secret, checked.

    To FILE and FILE.secret, whether a run goes on or not. To restore, put both back in their places.
    """
    config = chosen.config()
    from digest.backup import backup as copy

    size = copy(config.digest.database, file, force=force)
    chosen.say(f"Wrote {file}: {size / 1e6:,.1f} MB, intact; and {file}.secret, which belongs to it.")
