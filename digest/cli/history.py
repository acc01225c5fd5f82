"""The commands that ask the history: what there was, why it was sent, and what else might have been."""

from datetime import date
from pathlib import Path

import click

from digest.cli.app import App, DateParam, clock, date_option, handle_errors, main


@main.command()
@click.argument("query", nargs=-1)
@click.option("--like", metavar="TEXT|PAPER", help="Papers like this one, or like this text.")
@click.option(
    "--since", metavar="DATE", type=DateParam(), help="Only papers first seen on this day (YYYY-MM-DD) or later."
)
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=20, help="How many at most. [20]")
@click.option("--json", "as_json", is_flag=True, help="One JSON array for machines.")
@click.pass_obj
@handle_errors
def search(
    chosen: App, query: tuple[str, ...], like: str | None, since: date | None, limit: int, as_json: bool
) -> None:
    """Find papers among all that were ever recorded.

    Looks at title, abstract and authors. Any text is a query: words, "phrases", author:name, beginnings*. Papers with
    all of it come first.
    """
    if not query and not like:
        raise click.UsageError("say what to look for, or give --like")
    config = chosen.config()
    from digest.pipeline.search import format_results, results_as_json, search
    from digest.store.database import open_database

    with open_database(config.digest.database, create=False) as db:
        found = search(db, " ".join(query), like or "", since or date.min, limit)
    chosen.tell(results_as_json(found) if as_json else format_results(found))


@main.command()
@click.argument("paper")
@click.option("--to", metavar="ADDR", help="For whom; everybody in digest.to by default.")
@date_option
@click.pass_obj
@handle_errors
def explain(chosen: App, paper: str, to: str | None, day: date | None) -> None:
    """Say why a paper was sent or not.

    Where it was seen, its votes by day, and its score part by part. PAPER is any of its names: an arXiv identifier, a
    DOI, its web address, the id a file gave it.
    """
    config = chosen.config()
    from digest.pipeline.context import Context
    from digest.pipeline.explain import explain, format_explanation
    from digest.store.database import open_database
    from digest.store.search import SearchIndex

    today, _ = clock(config, day)
    with open_database(config.digest.database, create=False) as db:
        try:
            found = explain(Context.over(config, db), SearchIndex(db), paper, to, today)
        except ValueError as problem:
            raise click.BadParameter(f"{to!r}: {problem}", param_hint="--to") from None
    chosen.tell(format_explanation(found))


@main.command()
@click.option("--days", metavar="N", type=click.IntRange(1, 366), default=7, help="How many days, up to today. [7]")
@click.option(
    "--config",
    "other",
    metavar="FILE",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration to try. [this one]",
)
@click.option("--to", metavar="ADDR", help="Whose mails to compare with; the first of digest.to by default.")
@date_option
@click.pass_obj
@handle_errors
def backtest(chosen: App, days: int, other: Path | None, to: str | None, day: date | None) -> None:
    """Try another configuration on the last days' mails.

    A table of what enters (+) and leaves (-). Sends and marks nothing.
    """
    config = chosen.config()
    tried = App(other, chosen.verbose, chosen.quiet).config() if other else config
    from digest.pipeline.backtest import backtest, format_backtest, last_days
    from digest.pipeline.context import Context
    from digest.store.database import open_database

    today, _ = clock(config, day)
    with open_database(config.digest.database, create=False) as db:
        try:
            reader = Context.over(config, db).subscribers.get(to or next(iter(config.digest.to), ""))
        except ValueError as problem:
            raise click.BadParameter(f"{to!r}: {problem}", param_hint="--to") from None
        found = backtest(db, tried, reader, last_days(days, today))
    chosen.tell(format_backtest(found))
