"""The maintenance commands: doctor, prune, backup."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli import terminal
from digest.cli.app import SECRETS, AddressParam, App, clock, handle_errors, machine_time, main, scheduled
from digest.errors import ChecksFailed, ConfigError

if TYPE_CHECKING:
    from digest.operations.checks import Check


@main.command()
@click.option("--send-test", "to", metavar="ADDR", type=AddressParam(), help="Send a test message to this address.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
@handle_errors
def doctor(app: App, to: str | None, as_json: bool) -> None:
    """Check everything a run needs: what's wrong and how to fix it.

    Reads every source, logs in to the mail server, looks up the sender's domain. Records nothing, and sends nothing
    but the test message. Exit code 2 when a run could not do its work.
    """
    from digest.operations.checks import Mark, checks_document, format_check

    checks, redact = [], app.redactor.redact
    for found in _checks(app, to):
        check = replace(found, message=redact(found.message), fix=redact(found.fix))
        checks.append(check)
        if not as_json and not (app.quiet and check.mark is Mark.OK):
            app.show(format_check(check, sys.stdout.encoding), terminal.CHECKS)
    if as_json:
        app.show_json(checks_document(checks))
    failed = [check.name for check in checks if check.mark is Mark.FAIL]
    if failed:
        raise ChecksFailed(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _checks(app: App, to: str | None) -> Iterator["Check"]:
    from digest.operations.crontab import find_cron_problem
    from digest.operations.doctor import checks_without_config, run_checks
    from digest.operations.doctor_mail import send_test
    from digest.sources.fetcher import Fetcher

    path, now = None, machine_time()
    try:
        path = app.find_config()
        config = app.config(warn=False)
    except ConfigError as error:
        yield from checks_without_config(error, path)
        return
    fetcher = Fetcher(config.digest.from_.address, screen=app.screen)
    missing = _missing_secrets(app.read_env(path))
    yield from run_checks(config, now, fetcher, scheduled(config), missing, cron_problem=find_cron_problem())
    if to:
        yield send_test(config, to, now)


def _missing_secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that are in this shell but not in .env: cron will not see them."""
    return tuple(name for name in SECRETS if os.environ.get(name, "") not in ("", env.get(name)))


_DAYS = {"": 1, "d": 1, "w": 7, "y": 365}


class AgeParam(click.ParamType[int]):
    """A number of days: 400, 400d, 57w or 2y."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        found = re.fullmatch(r"\s*([0-9]{1,5})\s*([dwy]?)\s*", str(value).lower())
        days = int(found[1]) * _DAYS[found[2]] if found else 0
        if not 0 < days <= 100 * _DAYS["y"]:
            self.fail(f"{value!r} is not an age; write one like 400d, 57w or 2y", param, ctx)
        return days


@main.command()
@click.option("--older-than", "days", metavar="TIME", type=AgeParam(), required=True, help="How old: 400d, 57w or 2y.")
@click.option("--dry-run", is_flag=True, help="Only print what would be deleted.")
@click.pass_obj
@handle_errors
def prune(app: App, days: int, dry_run: bool) -> None:
    """Delete old data that is no longer needed.

    Keeps the record of which papers each subscriber was sent, and all queued mail. The database file gets smaller.
    """
    config = app.config()
    from digest.cli.output import format_pruned
    from digest.store import prune as pruning

    if days < (least := pruning.min_days(config.digest.window_days)):
        problem = f"--older-than: {days} days are too few; the next runs need the last {least}: write {least}d"
        raise ConfigError([problem])
    today, _ = clock(config, None)
    likes = [like for topic in config.topics for like in topic.like]
    result = pruning.prune(config.digest.database, today, days, likes, dry_run=dry_run)
    app.report(format_pruned(result, dry_run=dry_run))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing backup.")
@click.pass_obj
@handle_errors
def backup(app: App, file: Path, force: bool) -> None:
    """Back up the history and its secret, and check the copy.

    Writes FILE and FILE.secret, also during a run. To restore, copy both files back; the next run says what to do.
    """
    config = app.config()
    from digest.papers.text.fit import format_bytes
    from digest.store.backup import backup as copy

    size = copy(config.digest.database, file, force=force)
    app.report(f"Wrote {file}: {format_bytes(size)}, checked. {file}.secret belongs to it: keep both.")
