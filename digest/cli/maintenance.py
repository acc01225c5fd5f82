"""The command that looks at everything and says what is wrong with it.

The commands that keep the history well over the years: make it smaller, make a copy of it.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli.app import SECRETS, App, clock, handle_errors, machine_time, main, scheduled
from digest.errors import ChecksFailed, ConfigError

if TYPE_CHECKING:
    from digest.operations.checks import Check


@main.command()
@click.option("--send-test", "to", metavar="ADDR", help="Send one message that says it is a test to this address.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document for machines.")
@click.pass_obj
@handle_errors
def doctor(chosen: App, to: str | None, as_json: bool) -> None:
    """Look at everything a run needs; say how to mend it.

    A line each. Asks every source, logs in to the mail server, looks up the sender's domain. Records nothing, and
    sends nothing but the test. Exit code 2 when a run could not do its work.
    """
    to = None if to is None else _address(to)
    from digest.operations.checks import Mark, checks_as_json, format_check

    checks = []
    for check in _checks(chosen, to):
        checks.append(check)
        if not as_json and not (chosen.quiet and check.mark is Mark.OK):
            chosen.tell(format_check(check, sys.stdout.encoding))
    if as_json:
        chosen.tell(checks_as_json(checks))
    failed = [check.name for check in checks if check.mark is Mark.FAIL]
    if failed:
        raise ChecksFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _checks(chosen: App, to: str | None) -> Iterator["Check"]:
    from digest.operations.doctor import checks_without_config, run_checks, send_test
    from digest.sources.fetcher import Fetcher

    path, now = None, machine_time()
    try:
        path = chosen.find()
        config = chosen.config()
    except ConfigError as problem:
        yield from checks_without_config(problem, path)
        return
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    yield from run_checks(config, now, fetcher, scheduled(config), _stray(chosen.kept(path)))
    if to:
        yield send_test(config, to, now)


def _address(given: str) -> str:
    from digest.mail.address import parse_mailbox

    try:
        return parse_mailbox(given).address
    except ValueError as problem:
        raise click.BadParameter(f"{given!r}: {problem}", param_hint="--send-test") from None


def _stray(kept: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that this shell has and .env has not: a run by cron does without them."""
    return tuple(name for name in SECRETS if os.environ.get(name, "") not in ("", kept.get(name)))


_DAYS = {"": 1, "d": 1, "w": 7, "y": 365}


class AgeParam(click.ParamType[int]):
    """A number of days: 400, 400d, 57w or 2y."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"\s*([0-9]{1,5})\s*([dwy]?)\s*", str(value).lower())
        days = int(found[1]) * _DAYS[found[2]] if found else 0
        if not 0 < days <= 100 * _DAYS["y"]:
            self.fail(f"{value!r} is not a time; write one like 400d, 57w or 2y", param, ctx)
        return days


@main.command()
@click.option("--older-than", "days", metavar="TIME", type=AgeParam(), required=True, help="How old: 400d, 57w or 2y.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
@handle_errors
def prune(chosen: App, days: int, dry_run: bool) -> None:
    """Forget what is old and no promise rests on.

    Who was shown what stays, and so does everything in the queue. The file gets smaller.
    """
    config = chosen.config()
    from digest.store.prune import format_pruned, prune

    today, _ = clock(config, None)
    chosen.say(format_pruned(prune(config, today, days, dry=dry_run), dry=dry_run))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace a backup of that name.")
@click.pass_obj
@handle_errors
def backup(chosen: App, file: Path, force: bool) -> None:
    """Copy the history and its secret, checked.

    To FILE and FILE.secret, whether a run goes on or not. To restore, put both back in their places.
    """
    config = chosen.config()
    from digest.store.backup import backup as copy

    size = copy(config.digest.database, file, force=force)
    chosen.say(f"Wrote {file}: {size / 1e6:,.1f} MB, intact; and {file}.secret, which belongs to it.")
