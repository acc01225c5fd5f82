"""The everyday commands: demo, run, fetch, preview, send, publish, inbox, status."""

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digest.cli import terminal
from digest.cli.app import (
    AddressParam,
    App,
    ShardParam,
    clock,
    date_option,
    handle_errors,
    main,
    scheduled,
    typed_program,
)
from digest.errors import AlreadyRunning, ConfigError
from digest.files import expand_user

if TYPE_CHECKING:
    from digest.mail.shard import Shard


@main.command()
@click.argument("folder", metavar="[DIR]", default="digest-demo", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
@handle_errors
def demo(app: App, folder: Path) -> None:
    """Try digest on bundled papers.

    Runs three days in a row in DIR [digest-demo] and delivers the mail into a Maildir there. Needs no network, account
    or configuration.
    """
    from digest.demo import run_demo

    for line in run_demo(folder, typed_program()):
        app.report(line)


@main.command()
@date_option
@click.option("--dry-run", is_flag=True, help="Only print what would be sent.")
@click.option("--hold", is_flag=True, help="Queue the mail and send nothing; `digest send` delivers it.")
@click.option("--shard", type=ShardParam(), help="Serve this part of the subscribers, like 3/8. [that of [shard]]")
@click.pass_obj
@handle_errors
def run(app: App, day: date | None, dry_run: bool, hold: bool, shard: "Shard | None") -> None:
    """Run the daily job: fetch, rank, render, queue, send."""
    if dry_run and hold:
        raise click.UsageError("--dry-run queues nothing that --hold could hold; use one of them")
    config = app.config(shard=shard)
    from digest.cli.output import format_held, format_plan, format_run
    from digest.cli.progress import show_progress
    from digest.pipeline.run import plan_run, run_daily
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    _, real_clock = clock(config, None)
    fetcher = Fetcher(config.digest.from_.address, screen=app.screen)
    if dry_run:
        line = format_plan(*plan_run(config, today, now, fetcher, real_clock))
    else:
        with show_progress(quiet=app.quiet) as progress:
            report = run_daily(config, today, now, fetcher, progress, real_clock, hold=hold)
        line = format_held(report) if hold else format_run(report)
    if not dry_run:
        app.report(line)
    elif not app.quiet:
        app.show(line)


@main.command()
@date_option
@click.pass_obj
@handle_errors
def fetch(app: App, day: date | None) -> None:
    """Fetch and record new papers; send nothing."""
    config = app.config()
    from digest.cli.output import format_fetch
    from digest.pipeline.run import fetch_only
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    fetcher = Fetcher(config.digest.from_.address, screen=app.screen)
    app.report(format_fetch(fetch_only(config, today, now, fetcher)))


@main.command()
@date_option
@click.option("--to", metavar="ADDR", type=AddressParam(), help="Subscriber. [the first one]")
@click.option("-o", "--output", metavar="FILE", help="File to write; - is standard output. [digest-preview.FORMAT]")
@click.option("--format", "form", type=click.Choice(["html", "txt", "eml"]), default="html", help="Format. [html]")
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
@click.pass_obj
@handle_errors
def preview(app: App, day: date | None, to: str | None, output: str | None, form: str, opened: bool) -> None:
    """Write the mail that run would send to a file.

    Sends nothing and marks nothing as shown.
    """
    config = app.config()
    from digest.cli.output import format_preview
    from digest.files import write_file
    from digest.pipeline.preview import message_part
    from digest.pipeline.preview import preview as preview_mail
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    _, real_clock = clock(config, None)
    fetcher = Fetcher(config.digest.from_.address, screen=app.screen)
    shown = preview_mail(config, today, to, now, fetcher, real_clock)
    if shown.note:
        app.warn(shown.note)
    content = message_part(shown.content, form)
    if output == "-":
        app.write(content)
        return
    path = Path(output or f"digest-preview.{form}")
    try:
        write_file(path, content, mode=0o600)  # it holds the token of a subscriber
    except OSError as error:
        raise ConfigError([f"{path} cannot be written: {error.strerror}; name another file with -o"]) from None
    app.report(f"Wrote {path}: {format_preview(shown, form)}")
    if opened:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


@main.command()
@click.pass_obj
@handle_errors
def send(app: App) -> None:
    """Deliver the queued mail; fetch nothing."""
    config = app.config()
    from digest.cli.output import format_run
    from digest.cli.progress import show_progress
    from digest.pipeline.run import send_queued

    today, now = clock(config, None)
    with show_progress(quiet=app.quiet) as progress:
        report = send_queued(config, today, now, progress)
    app.report(format_run(report))


@main.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
@handle_errors
def publish(app: App, folder: Path | None) -> None:
    """Write the archive: pages, feeds and BibTeX.

    Writes every past public edition into DIR [archive.path]. Each run adds the day's edition by itself.
    """
    config = app.config()
    from digest.cli.output import format_published
    from digest.pipeline.archive import publish_archive

    folder = folder and expand_user(folder).absolute()
    app.report(format_published(*publish_archive(config, folder)))


@main.command()
@click.pass_obj
@handle_errors
def inbox(app: App) -> None:
    """Read the letters of readers, and answer them.

    Reads the mailbox of [inbox]: requests to subscribe, unsubscribe and change things, votes and bounces. Every run
    does this first. With -q, nothing is said when a run is in progress, which reads them itself.
    """
    config = app.config()
    from digest.cli.output import format_inbox
    from digest.cli.progress import show_progress
    from digest.pipeline.run import read_inbox

    today, now = clock(config, None)
    try:
        with show_progress(quiet=app.quiet) as progress:
            report = read_inbox(config, today, now, progress)
    except AlreadyRunning as error:
        if not app.quiet:
            raise
        sys.exit(error.exit_code)
    app.report(format_inbox(report))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_obj
@handle_errors
def status(app: App, as_json: bool) -> None:
    """Show last runs, sources, queue and next run."""
    config = app.config()
    from digest.operations.status import MESSAGES, format_status, status_document
    from digest.store.statistics import open_statistics

    _, now = clock(config, None)
    with open_statistics(config.digest.database) as statistics:
        document = status_document(statistics, config.digest.database, scheduled(config), now(), config.signup)
    document = app.redactor.redact_under(MESSAGES, document)
    if as_json:
        app.show_json(document)
    else:
        app.show(format_status(document, app.width), terminal.STATUS)
