"""The commands that look at the history: search, explain, backtest."""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli.app import AddressParam, App, DateParam, clock, date_option, handle_errors, main
from digest.papers.text.fit import format_table, plural, snippet

if TYPE_CHECKING:
    from digest.pipeline.backtest import DayComparison
    from digest.pipeline.explain import Explanation, PaperStatus
    from digest.pipeline.search import SearchResult
    from digest.ranking.trending import Ranked
    from digest.store.outbox import Appearance

_TITLE = 70  # characters of a title in a table


@main.command()
@click.argument("query", nargs=-1)
@click.option("--like", metavar="TEXT|PAPER", help="Papers like this one, or like this text.")
@click.option(
    "--since", metavar="DATE", type=DateParam(), help="Only papers first seen on this day (YYYY-MM-DD) or later."
)
@click.option("--limit", metavar="N", type=click.IntRange(1, 1000), default=20, help="How many at most. [20]")
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
    from digest.pipeline.search import search as search_papers
    from digest.store.database import open_database

    with open_database(config.digest.database, create=False) as db:
        found = search_papers(db, " ".join(query), like or "", since or date.min, limit)
    if as_json:
        app.print(json.dumps([_search_row(result) for result in found], ensure_ascii=False, indent=2))
    else:
        app.print("\n\n".join(_format_result(result) for result in found) or "Nothing found.")


def _format_result(result: "SearchResult") -> str:
    from digest.mail.edition import format_authors

    facts = (result.first_seen.isoformat(), format_authors(result.paper.authors), result.paper.link)
    return f"{result.paper.title}\n    {'  '.join(filter(None, facts))}"


def _search_row(result: "SearchResult") -> dict[str, Any]:
    paper = result.paper
    return {
        "title": paper.title,
        "authors": list(paper.authors),
        "first_seen": result.first_seen.isoformat(),
        "link": paper.link,
        "arxiv": paper.arxiv,
        "doi": paper.doi,
        "categories": list(paper.categories),
        "abstract": paper.abstract,
    }


@main.command()
@click.argument("paper")
@click.option("--to", metavar="ADDR", type=AddressParam(), help="Subscriber. [everyone in digest.to]")
@date_option
@click.pass_obj
@handle_errors
def explain(app: App, paper: str, to: str | None, day: date | None) -> None:
    """Explain why a paper was sent or not.

    Shows where it was seen, its votes by day, and its score part by part. PAPER is any of its names: an arXiv
    identifier, a DOI, its web address, the id a file gave it.
    """
    config = app.config()
    from digest.pipeline.context import open_context
    from digest.pipeline.explain import explain as explain_paper

    today, _ = clock(config, day)
    with open_context(config, create=False) as context:
        app.print(format_explanation(explain_paper(context, paper, to, today)))


def format_explanation(explanation: "Explanation") -> str:
    """Everything about a paper: sightings, mails, score, and its status for each reader."""
    from digest.mail.edition import format_authors

    paper, readers = explanation.paper, explanation.readers
    head = "\n".join(filter(None, (paper.title, format_authors(paper.authors), paper.link)))
    scores = ("\n".join(_format_score(explanation.day, s, s.ranked)) for s, _ in readers if s.ranked)
    statuses = [f"{', '.join(who)}: {status.sentence}." for status, who in readers]
    parts = [head, _format_readings(explanation), _format_appearances(explanation.appearances)]
    return "\n\n".join([*parts, *dict.fromkeys(scores), "\n".join(statuses)]).rstrip()


def _format_readings(explanation: "Explanation") -> str:
    rows = [("READ ON", "SOURCE", "LIST OF", "VOTES")]
    for reading in explanation.readings:
        votes = "-" if reading.votes is None else f"{reading.votes:,}"
        rows.append((reading.seen.isoformat(), reading.source, reading.listed.isoformat(), votes))
    return f"First seen on {explanation.first_seen}.\n{format_table(rows)}"


def _format_appearances(appearances: Sequence["Appearance"]) -> str:
    if not appearances:
        return "In no mail so far."
    return "\n".join(
        f"In the mail of {a.day} at place {a.place}: {plural(a.mails, 'message')} {a.state}." for a in appearances
    )


def _format_score(day: date, status: "PaperStatus", ranked: "Ranked") -> Iterator[str]:
    """The score as a sum: what is printed adds up to the last digit."""
    from digest.mail.edition import format_date

    yield f"Score on {format_date(day)}, rank {status.rank} of {status.among} candidates:"
    for part in ranked.parts:
        yield f"  {part.points:7.3f}  {part.reason or _format_trend(ranked)}"
    yield f"  {sum(round(part.points, 3) for part in ranked.parts):7.3f}  in total"


def _format_trend(ranked: "Ranked") -> str:
    listing = ranked.trend.listing
    votes = "no votes" if listing.votes is None else plural(listing.votes, "upvote")
    return f"trending ({ranked.trend.kind}): {votes} on the list of {listing.source} of {listing.day}"


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
@click.pass_obj
@handle_errors
def backtest(app: App, days: int, other: Path | None, to: str | None, day: date | None) -> None:
    """Try another configuration on the last days' mails.

    Prints a table of the papers that would enter (+) and leave (-). Sends nothing and marks nothing as shown.
    """
    config = app.config()
    tried = App(other, app.verbose, app.quiet).config() if other else config
    from digest.pipeline.backtest import backtest as compare_days
    from digest.pipeline.backtest import last_days
    from digest.pipeline.context import open_context

    reader = to or next(iter(config.digest.to), None)
    if reader is None:
        raise click.UsageError("digest.to is empty; name a subscriber with --to")
    today, _ = clock(config, day)
    with open_context(config, create=False) as context:
        subscriber = context.subscribers.get(reader)
        app.print(format_backtest(compare_days(context.db, tried, subscriber, last_days(days, today))))


def format_backtest(days: Sequence["DayComparison"]) -> str:
    """A table: + enters, - leaves."""
    return format_table([("DAY", "", "PAPER"), *(row for day in days for row in _comparison_rows(day))])


def _comparison_rows(day: "DayComparison") -> Iterator[tuple[str, str, str]]:
    yield day.day.isoformat(), "", f"{day.staying} stay, {len(day.entering)} enter, {len(day.leaving)} leave"
    yield from (("", "+", snippet(title, _TITLE)) for title in day.entering)
    yield from (("", "-", snippet(title, _TITLE)) for title in day.leaving)
