"""The commands of every day: try, run, look, deliver, see how it stands.

What runs and fetches print: what came of them, in a sentence.
"""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from digest.cli.app import App, clock, date_option, handle_errors, main, scheduled
from digest.papers.text.fit import plural

if TYPE_CHECKING:
    from digest.mail.edition import Edition
    from digest.pipeline.run import RunReport


@main.command()
@click.argument("folder", metavar="[DIR]", default="digest-demo", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
@handle_errors
def demo(chosen: App, folder: Path) -> None:
    """Try the whole job on bundled papers, into a Maildir.

    Three days in a row, in DIR. [digest-demo]
    """
    from digest.demo import play

    for line in play(folder):
        chosen.say(line)


@main.command()
@date_option
@click.option("--dry-run", is_flag=True, help="Only say what would be sent.")
@click.pass_obj
@handle_errors
def run(chosen: App, day: date | None, dry_run: bool) -> None:
    """The daily job: fetch, record, rank, render, queue, send."""
    config = chosen.config()
    from digest.cli.progress import show_progress
    from digest.pipeline.run import plan_run, run_daily
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    _, moment = clock(config, None)
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    if dry_run:
        chosen.say(format_plan(plan_run(config, today, now, fetcher)))
    else:
        with show_progress(quiet=chosen.quiet) as watch:
            done = run_daily(config, today, now, fetcher, watch, moment)
        chosen.say(format_run(done))


@main.command()
@date_option
@click.pass_obj
@handle_errors
def fetch(chosen: App, day: date | None) -> None:
    """Only fetch and record."""
    config = chosen.config()
    from digest.pipeline.run import fetch_only
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    chosen.say(format_fetch(fetch_only(config, today, now, fetcher)))


@main.command()
@date_option
@click.option("--to", metavar="ADDR", help="Whose mail to show; the first subscriber's by default.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output. [digest-preview.FORMAT]")
@click.option(
    "--format", "form", type=click.Choice(["html", "txt", "eml"]), default="html", help="What to write. [html]"
)
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
@click.pass_obj
@handle_errors
def preview(chosen: App, day: date | None, to: str | None, output: str | None, form: str, opened: bool) -> None:
    """Write the mail that run would send to a file.

    Sends nothing and marks nothing as shown.
    """
    config = chosen.config()
    from digest.pipeline.preview import describe_preview, message_part, save_preview
    from digest.pipeline.run import preview
    from digest.sources.fetcher import Fetcher

    today, now = clock(config, day)
    try:
        shown = preview(config, today, to, now, Fetcher(config.digest.from_.address, screen=chosen.screen))
    except ValueError as problem:
        raise click.BadParameter(f"{to!r}: {problem}", param_hint="--to") from None
    content = message_part(shown.bytes, form)
    if output == "-":
        click.echo(content, nl=False)
        return
    path = Path(output or f"digest-preview.{form}")
    save_preview(path, content)
    chosen.say(f"Wrote {path}: {describe_preview(shown)}")
    if opened:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


@main.command()
@click.pass_obj
@handle_errors
def send(chosen: App) -> None:
    """Deliver what is queued; fetches nothing."""
    config = chosen.config()
    from digest.cli.progress import show_progress
    from digest.pipeline.run import send_queued

    today, now = clock(config, None)
    with show_progress(quiet=chosen.quiet) as watch:
        done = send_queued(config, today, now, watch)
    chosen.say(format_run(done))


@main.command()
@click.pass_obj
@handle_errors
def inbox(chosen: App) -> None:
    """Read who asks to leave and whose mail came back.

    Looks into the mailbox of [inbox]. Every run does so by itself.
    """
    config = chosen.config()
    from digest.pipeline.inbox import format_inbox
    from digest.pipeline.run import read_inbox

    today, now = clock(config, None)
    chosen.say(format_inbox(read_inbox(config, today, now)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document for machines.")
@click.pass_obj
@handle_errors
def status(chosen: App, as_json: bool) -> None:
    """Last runs, freshness of each source, queue, next run."""
    config = chosen.config()
    from digest.operations.status import format_status, status_document
    from digest.store.statistics import open_statistics

    with open_statistics(config.digest.database) as ledger:
        document = status_document(ledger, config.digest.database, scheduled(config))
    if as_json:
        import json

        chosen.tell(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        chosen.tell(format_status(document))


def format_run(report: "RunReport") -> str:
    """One line on what a run did."""
    count = report.summary()
    if count["sent"]:
        papers = f" with {plural(int(count['papers']), 'paper')}" if count["papers"] else ""
        line = f"Sent {plural(int(count['sent']), 'message')}{papers}."
    else:
        line = "Nothing new to send."
    if count["refused"]:
        line += f" {plural(int(count['refused']), 'address', 'addresses')} refused it: see `digest status`."
    return line


def format_fetch(report: "RunReport") -> str:
    """One line on what a fetch found."""
    seen = sum(len(f.sightings) for f in report.fetched)
    return f"Read {plural(seen, 'paper')}, {report.new:,} of them new."


def format_plan(editions: "Sequence[tuple[int, Edition]]") -> str:
    """What a run would queue."""
    if not any(edition.entries for _, edition in editions):
        return "Nothing new to send."
    return "\n".join(line for size, edition in editions for line in _plan(size, edition))


def _plan(size: int, edition: "Edition") -> Iterator[str]:
    yield f"Would send {plural(len(edition.entries), 'paper')} to {plural(size, 'subscriber')}:"
    for entry in edition.entries:
        yield f"{entry.place:4}. {entry.title}" + (f"  ({entry.votes})" if entry.votes else "")
