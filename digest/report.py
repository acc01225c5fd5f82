"""What runs and fetches print: what came of them, in a sentence."""

from collections.abc import Iterator, Sequence

from digest.edition import Edition
from digest.job import Report
from digest.table import many


def sent(report: Report) -> str:
    """One line on what a run did."""
    count = report.summary()
    if count["sent"]:
        papers = f" with {many(int(count['papers']), 'paper')}" if count["papers"] else ""
        line = f"Sent {many(int(count['sent']), 'message')}{papers}."
    else:
        line = "Nothing new to send."
    if count["refused"]:
        line += f" {many(int(count['refused']), 'address', 'addresses')} refused it: see `digest status`."
    return line


def fetched(report: Report) -> str:
    """One line on what a fetch found."""
    seen = sum(len(f.sightings) for f in report.fetched)
    return f"Read {many(seen, 'paper')}, {report.new:,} of them new."


def planned(editions: Sequence[tuple[int, Edition]]) -> str:
    """What a run would queue."""
    if not any(edition.entries for _, edition in editions):
        return "Nothing new to send."
    return "\n".join(line for size, edition in editions for line in _plan(size, edition))


def _plan(size: int, edition: Edition) -> Iterator[str]:
    yield f"Would send {many(len(edition.entries), 'paper')} to {many(size, 'subscriber')}:"
    for entry in edition.entries:
        yield f"{entry.place:4}. {entry.title}" + (f"  ({entry.votes})" if entry.votes else "")
