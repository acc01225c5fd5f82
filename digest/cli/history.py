"""The commands that look at the history: search, explain, backtest."""

from datetime import date
from pathlib import Path

import click

from digest.cli import terminal
from digest.cli.app import AddressParam, App, DateParam, clock, date_option, handle_errors, main


@main.command()
@click.argument("query", nargs=-1)
@click.option("--like", metavar="TEXT|PAPER", help="Papers like this one, or like this text.")
@click.option(
    "--since", metavar="DATE", type=DateParam(), help="Only papers first seen on this day (YYYY-MM-DD) or later."
)
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=20, help="Maximum number of papers. [20]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
@handle_errors
def search(app: App, query: tuple[str, ...], like: str | None, since: date | None, limit: int, as_json: bool) -> None:
    """Search all papers ever recorded.

    Searches title, abstract and authors. Any text is a query: words, "phrases", author:name, beginnings*. Papers with
    all of it come first.
    """
    if not query and not like:
        raise click.UsageError("write what to search for, or use --like")
    config = app.config()
    from digest.cli.output import format_found, found_row
    from digest.pipeline.context import open_context

    with open_context(config, create=False) as context:
        found = context.similar.search(" ".join(query), like or "", since or date.min, limit)
    if as_json:
        app.show_json([found_row(*each) for each in found])
    else:
        app.show("\n\n".join(format_found(*each) for each in found) or "Nothing found.")


@main.command()
@click.argument("paper")
@click.option("--to", metavar="ADDR", type=AddressParam(), help="Subscriber. [everyone in digest.to]")
@date_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@handle_errors
def explain(app: App, paper: str, to: str | None, day: date | None, as_json: bool) -> None:
    """Explain why a paper was sent or not.

    Shows where it was seen, its votes by day, and its score part by part. PAPER is any of its names: an arXiv
    identifier, a DOI, its web address, the id a file gave it, its title or the beginning of its title.
    """
    config = app.config()
    from digest.cli.output import explanation_document, format_explanation
    from digest.pipeline.context import open_context
    from digest.pipeline.explain import explain as explain_paper

    chosen, _ = clock(config, day)
    today, _ = clock(config, None)
    with open_context(config, create=False) as context:
        explanation = explain_paper(context, paper, to, chosen, today)
    if as_json:
        app.show_json(explanation_document(explanation))
    else:
        app.show(format_explanation(explanation, app.width), terminal.TABLE)


@main.command()
@click.option("--days", metavar="N", type=click.IntRange(1, 366), default=7, help="How many days, up to today. [7]")
@click.option(
    "--config",
    "other",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration to try. [this one]",
)
@click.option("--to", metavar="ADDR", type=AddressParam(), help="Subscriber. [the first in digest.to]")
@date_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
@click.pass_obj
@handle_errors
def backtest(app: App, days: int, other: Path | None, to: str | None, day: date | None, as_json: bool) -> None:
    """Try another configuration on the last days' mails.

    Prints a table of the papers that would enter (+) and leave (-). Sends nothing and marks nothing as shown.
    """
    config = app.config()
    tried = app.config(other) if other else config
    from digest.cli.output import backtest_rows, format_backtest
    from digest.pipeline.backtest import backtest as compare_days
    from digest.pipeline.backtest import last_days
    from digest.pipeline.context import open_context

    address = to or next(iter(config.digest.to), None)
    if address is None:
        raise click.UsageError("digest.to is empty; name a subscriber with --to")
    today, _ = clock(config, day)
    with open_context(config, create=False) as context:
        with context.as_configured():
            subscriber, silence = context.find_reader(address, today)
        compared = compare_days(context, tried, subscriber, last_days(days, today))
    if silence:
        app.warn(f"{subscriber.address} {silence}")
    if as_json:
        app.show_json(backtest_rows(compared))
    else:
        app.show(format_backtest(compared, app.width), terminal.TABLE)
