"""What the commands print: sentences and tables for people, the same facts as JSON for machines."""

from collections.abc import Iterator, Sequence
from typing import Any

from digest.edition import Edition
from digest.job import Report
from digest.text import columns


def sent(report: Report) -> str:
    """One line on what a run did."""
    count = report.summary()
    if count["sent"]:
        papers = f" with {count['papers']} papers" if count["papers"] else ""
        line = f"Sent {_many(int(count['sent']), 'message')}{papers}."
    else:
        line = "Nothing new to send."
    if count["refused"]:
        line += f" {_many(int(count['refused']), 'address', 'addresses')} refused it: see `digest status`."
    return line


def fetched(report: Report) -> str:
    """One line on what a fetch found."""
    seen = sum(len(f.sightings) for f in report.fetched)
    return f"Read {_many(seen, 'paper')}, {report.new:,} of them new."


def planned(editions: Sequence[tuple[int, Edition]]) -> str:
    """What a run would queue."""
    if not any(edition.entries for _, edition in editions):
        return "Nothing new to send."
    return "\n".join(line for size, edition in editions for line in _plan(size, edition))


def _plan(size: int, edition: Edition) -> Iterator[str]:
    yield f"Would send {_many(len(edition.entries), 'paper')} to {_many(size, 'subscriber')}:"
    for entry in edition.entries:
        yield f"{entry.place:4}. {entry.title}" + (f"  ({entry.votes})" if entry.votes else "")


def facts(runs: Sequence[dict[str, Any]], sources: Sequence[dict[str, Any]], queue: dict[str, Any]) -> dict[str, Any]:
    """The document of `status --json`."""
    return {"runs": list(runs), "sources": list(sources), "queue": queue}


def status(document: dict[str, Any]) -> str:
    """The same for a terminal."""
    return "\n\n".join([_runs(document["runs"]), _sources(document["sources"]), _queue(document["queue"])])


def _runs(runs: Sequence[dict[str, Any]]) -> str:
    rows = [("RUN", "DAY", "STARTED", "ENDED", "NEW", "SENT", "WAITING")]
    for run in runs:
        summary = run["summary"]
        ended = {None: "did not finish", 0: "well"}.get(run["exit"], f"with exit code {run['exit']}")
        counts = (str(summary.get(key, "")) for key in ("new", "sent", "waiting"))
        rows.append((run["command"], run["day"], run["started"][:16].replace("T", " "), ended, *counts))
    return table(rows) if runs else "No run yet: try `digest preview`, then `digest run`."


def _sources(sources: Sequence[dict[str, Any]]) -> str:
    rows = [("SOURCE", "STATE", "LAST READ", "PAPERS", "NEW")]
    notes = []
    for source in sources:
        read = (source["read"] or "never")[:16].replace("T", " ")
        state = source["state"] + (f" for {source['failed_runs']} runs" if source["failed_runs"] > 1 else "")
        rows.append((source["source"], state, read, str(source["papers"]), str(source["new"])))
        if source["failed_runs"] > 1:
            last = f"last read {source['read'][:10]}" if source["read"] else "never read yet"
            notes.append(f"  ! {source['source']}: FAILED FOR {source['failed_runs']} RUNS, {last}")
        notes += [f"  ! {source['source']}: {sentence}" for sentence in (*source["errors"], *source["late"])]
        if source["skipped"]:
            notes.append(f"  ! {source['source']}: {len(source['skipped'])} skipped, {source['skipped'][0]}")
    return "\n".join([table(rows), *notes]) if sources else "No source was asked yet."


def _queue(queue: dict[str, Any]) -> str:
    counts = queue["counts"]
    lines = ["QUEUE  " + (", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "empty")]
    lines += [f"  ! {row['address']} ({row['day']}): {row['state']}, {row['reply']}" for row in queue["troubled"]]
    lines += [
        f"  ! {row['address']}: suspended, {row['why']}; `digest subscribers add {row['address']}` tries again"
        for row in queue["suspended"]
    ]
    return "\n".join(lines)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns of the width they need on a terminal."""
    widths = [max(columns(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = (
        "  ".join(cell + " " * (width - columns(cell)) for cell, width in zip(row, widths, strict=True)) for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _many(count: int, word: str, words: str = "") -> str:
    return f"{count:,} {word if count == 1 else words or word + 's'}"
