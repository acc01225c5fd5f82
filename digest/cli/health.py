"""The command that looks at everything and says what is wrong with it."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from digest.cli.frame import SECRETS, Chosen, machine_time, main, outermost, scheduled
from digest.errors import ConfigError, Unwell

if TYPE_CHECKING:
    from digest.doctor import Check


@main.command()
@click.option("--send-test", "to", metavar="ADDR", help="Send one message that says it is a test to this address.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document for machines.")
@click.pass_obj
@outermost
def doctor(chosen: Chosen, to: str | None, as_json: bool) -> None:
    """Look at everything a run needs; say how to mend it.

    A line each. Asks every source, logs in to the mail server, looks up the sender's domain. Records nothing, and
    sends nothing but the test. Exit code 2 when a run could not do its work.
    """
    to = None if to is None else _address(to)
    from digest.doctor import Mark, chart

    checks = []
    for check in _checks(chosen, to):
        checks.append(check)
        if not as_json and not (chosen.quiet and check.mark is Mark.OK):
            chosen.tell(chart.line(check, sys.stdout.encoding))
    if as_json:
        chosen.tell(chart.document(checks))
    failed = [check.name for check in checks if check.mark is Mark.FAIL]
    if failed:
        raise Unwell(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")


def _checks(chosen: Chosen, to: str | None) -> Iterator["Check"]:
    from digest.doctor import examination
    from digest.fetch import Fetcher

    path, now = None, machine_time()
    try:
        path = chosen.find()
        config = chosen.config()
    except ConfigError as problem:
        yield from examination.without(problem, path)
        return
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    yield from examination.examine(config, now, fetcher, scheduled(config), _stray(chosen.kept(path)))
    if to:
        yield examination.send_test(config, to, now)


def _address(given: str) -> str:
    from digest.address import mailbox

    try:
        return mailbox(given).address
    except ValueError as problem:
        raise click.BadParameter(f"{given!r}: {problem}", param_hint="--send-test") from None


def _stray(kept: Mapping[str, str]) -> tuple[str, ...]:
    """The secrets that this shell has and .env has not: a run by cron does without them."""
    return tuple(name for name in SECRETS if os.environ.get(name, "") not in ("", kept.get(name)))
