"""The commands of every day: try, run, look, deliver, see how it stands."""

from datetime import date
from pathlib import Path

import click

from digest.cli.frame import Chosen, clock, date_option, main, outermost, scheduled


@main.command()
@click.argument("folder", metavar="[DIR]", default="digest-demo", type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
@outermost
def demo(chosen: Chosen, folder: Path) -> None:
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
@outermost
def run(chosen: Chosen, day: date | None, dry_run: bool) -> None:
    """The daily job: fetch, record, rank, render, queue, send."""
    config = chosen.config()
    from digest import job, report
    from digest.fetch import Fetcher
    from digest.watch import watching

    today, now = clock(config, day)
    _, moment = clock(config, None)
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    if dry_run:
        chosen.say(report.planned(job.dry_run(config, today, now, fetcher)))
    else:
        with watching(quiet=chosen.quiet) as watch:
            done = job.run(config, today, now, fetcher, watch, moment)
        chosen.say(report.sent(done))


@main.command()
@date_option
@click.pass_obj
@outermost
def fetch(chosen: Chosen, day: date | None) -> None:
    """Only fetch and record."""
    config = chosen.config()
    from digest import job, report
    from digest.fetch import Fetcher

    today, now = clock(config, day)
    fetcher = Fetcher(config.digest.from_.address, screen=chosen.screen)
    chosen.say(report.fetched(job.fetch(config, today, now, fetcher)))


@main.command()
@date_option
@click.option("--to", metavar="ADDR", help="Whose mail to show; the first subscriber's by default.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; - is standard output. [digest-preview.FORMAT]")
@click.option(
    "--format", "form", type=click.Choice(["html", "txt", "eml"]), default="html", help="What to write. [html]"
)
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
@click.pass_obj
@outermost
def preview(chosen: Chosen, day: date | None, to: str | None, output: str | None, form: str, opened: bool) -> None:
    """Write the mail that run would send to a file.

    Sends nothing and marks nothing as shown.
    """
    config = chosen.config()
    from digest import job, view
    from digest.fetch import Fetcher

    today, now = clock(config, day)
    try:
        shown = job.preview(config, today, to, now, Fetcher(config.digest.from_.address, screen=chosen.screen))
    except ValueError as problem:
        raise click.BadParameter(f"{to!r}: {problem}", param_hint="--to") from None
    content = view.part(shown.bytes, form)
    if output == "-":
        click.echo(content, nl=False)
        return
    path = Path(output or f"digest-preview.{form}")
    view.save(path, content)
    chosen.say(f"Wrote {path}: {view.facts(shown)}")
    if opened:
        import webbrowser

        webbrowser.open(path.absolute().as_uri())


@main.command()
@click.pass_obj
@outermost
def send(chosen: Chosen) -> None:
    """Deliver what is queued; fetches nothing."""
    config = chosen.config()
    from digest import job, report
    from digest.watch import watching

    today, now = clock(config, None)
    with watching(quiet=chosen.quiet) as watch:
        done = job.send(config, today, now, watch)
    chosen.say(report.sent(done))


@main.command()
@click.pass_obj
@outermost
def inbox(chosen: Chosen) -> None:
    """Read who asks to leave and whose mail came back.

    Looks into the mailbox of [inbox]. Every run does so by itself.
    """
    config = chosen.config()
    from digest import job, mailroom

    today, now = clock(config, None)
    chosen.say(mailroom.told(job.read_inbox(config, today, now)))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON document for machines.")
@click.pass_obj
@outermost
def status(chosen: Chosen, as_json: bool) -> None:
    """Last runs, freshness of each source, queue, next run."""
    config = chosen.config()
    from digest import overview
    from digest.ledger import reading

    with reading(config.digest.database) as ledger:
        document = overview.facts(ledger, config.digest.database, scheduled(config))
    if as_json:
        import json

        chosen.tell(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        chosen.tell(overview.status(document))
