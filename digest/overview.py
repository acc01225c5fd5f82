"""What `digest status` tells, as tables for people and as a document for machines."""

from collections.abc import Sequence
from typing import Any

from digest.table import table


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
