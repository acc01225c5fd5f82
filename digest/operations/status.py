"""What `digest status` tells, as tables for people and as a document for machines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.papers.text.fit import format_table, plural
from digest.store.statistics import Statistics, size_on_disk

if TYPE_CHECKING:
    from digest.operations.schedule import ScheduledRun

_MOST = 5  # sentences on one source; the document has them all


def status_document(ledger: Statistics, database: Path, scheduled: "Sequence[ScheduledRun]") -> dict[str, Any]:
    """The document of `status --json`."""
    counts = ledger.deliveries_by_state()
    following = min((found.next for found in scheduled if found.next), default=None)
    return {
        "runs": [{**run, "seconds": _seconds(run)} for run in ledger.runs()],
        "sources": ledger.sources(),
        "queue": {
            "pending": counts.get("pending", 0) + counts.get("sending", 0),
            "in_doubt": counts.get("in doubt", 0),
            "failed": counts.get("refused", 0) + counts.get("expired", 0),
            "counts": counts,
            "troubled": ledger.troubled_deliveries(),
            "suspended": ledger.suspended(),
        },
        "inbox": ledger.mailboxes(),
        "schedule": [_schedule(found) for found in scheduled],
        "next_run": following and following.isoformat(),
        "history": {"path": str(database), "bytes": size_on_disk(database), **ledger.size()},
    }


def _seconds(run: Mapping[str, Any]) -> float | None:
    """How long a run took, None while it has not finished."""
    if not run["finished"]:
        return None
    took = datetime.fromisoformat(run["finished"]) - datetime.fromisoformat(run["started"])
    return round(took.total_seconds(), 1)


def _schedule(found: "ScheduledRun") -> dict[str, Any]:
    following = found.next and found.next.isoformat()
    return {"where": found.where, "what": found.what, "next": following, "problem": found.problem}


def format_status(document: Mapping[str, Any]) -> str:
    """The same for a terminal."""
    parts = [
        _runs(document["runs"]),
        _sources(document["sources"]),
        "\n".join([*_queue(document["queue"]), *_inbox(document["inbox"])]),
        "\n".join([_next(document), _history(document["history"])]),
    ]
    return "\n\n".join(parts)


def _runs(runs: Sequence[Mapping[str, Any]]) -> str:
    rows = [("RUN", "DAY", "STARTED", "TOOK", "ENDED", "NEW", "SENT", "WAITING")]
    for run in runs:
        summary = run["summary"]
        ended = {None: "did not finish", 0: "well"}.get(run["exit"], f"with exit code {run['exit']}")
        counts = (str(summary.get(key, "")) for key in ("new", "sent", "waiting"))
        rows.append((run["command"], run["day"], _minute(run["started"]), _took(run["seconds"]), ended, *counts))
    return format_table(rows) if runs else "No run yet: try `digest preview`, then `digest run`."


def _minute(moment: str | None) -> str:
    return (moment or "never")[:16].replace("T", " ")


def _took(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{seconds:.1f} s"


def _sources(sources: Sequence[Mapping[str, Any]]) -> str:
    rows = [("SOURCE", "STATE", "LAST READ", "PAPERS", "NEW")]
    notes = []
    for source in sources:
        state = source["state"] + (f" for {source['failed_runs']} runs" if source["failed_runs"] > 1 else "")
        rows.append((source["source"], state, _minute(source["read"]), str(source["papers"]), str(source["new"])))
        if source["failed_runs"] > 1:
            last = f"last read {source['read'][:10]}" if source["read"] else "never read yet"
            notes.append(f"  ! {source['source']}: FAILED FOR {source['failed_runs']} RUNS, {last}")
        sentences = (*source["errors"], *source["late"])
        notes += [f"  ! {source['source']}: {sentence}" for sentence in sentences[:_MOST]]
        if len(sentences) > _MOST:
            notes.append(f"  ! {source['source']}: and {len(sentences) - _MOST:,} more, see `digest status --json`")
        if source["skipped"]:
            notes.append(f"  ! {source['source']}: {len(source['skipped']):,} skipped, {source['skipped'][0]}")
    return "\n".join([format_table(rows), *notes]) if sources else "No source was asked yet."


def _queue(queue: Mapping[str, Any]) -> Iterator[str]:
    counts = queue["counts"]
    yield "MAIL     " + (", ".join(f"{count:,} {state}" for state, count in sorted(counts.items())) or "none yet")
    for row in queue["troubled"]:
        yield f"  ! {row['address']} ({row['day']}): {row['state']}, {row['reply']}"
    for row in queue["suspended"]:
        again = f"`digest subscribers add {row['address']}` tries again"
        yield f"  ! {row['address']}: suspended, {row['why']}; {again}"


def _inbox(mailboxes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for box in mailboxes:
        yield f"INBOX    {box['name']}, read {_minute(box['read'])}"
        if box["failing"]:
            yield f"  ! CANNOT BE READ since {_minute(box['failing'])}: {box['problem']}"


def _next(document: Mapping[str, Any]) -> str:
    following = document["next_run"]
    if not following:
        if any(not one["problem"] for one in document["schedule"]):
            return "NEXT     unknown; a crontab line of your own runs it"
        return "NEXT     no run is scheduled; run `digest schedule install`"
    by = next(one["where"] for one in document["schedule"] if one["next"] == following)
    return f"NEXT     {datetime.fromisoformat(following):%a} {_minute(following)}, by {by}"


def _history(history: Mapping[str, Any]) -> str:
    counts = (plural(history[key], key.removesuffix("s")) for key in ("papers", "subscribers", "messages"))
    return f"HISTORY  {history['bytes'] / 1e6:,.1f} MB: {', '.join(counts)}"
