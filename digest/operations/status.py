"""The output of `digest status`: tables for people, and a document for `--json`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from digest.papers.text.fit import format_bytes, format_table, plural
from digest.store.statistics import Statistics, size_on_disk

if TYPE_CHECKING:
    from digest.mail.requests import SignupSettings
    from digest.operations.schedule import ScheduledRun

# The keys of a document with texts that may quote a server or the crontab, and so a secret.
MESSAGES = ("errors", "late", "skipped", "stopped", "reply", "why", "problem", "what")
_MAX_PROBLEMS = 5  # of a source in the tables; the document has all of them


def status_document(
    statistics: Statistics,
    database: Path,
    scheduled: "Sequence[ScheduledRun]",
    now: datetime,
    signup: "SignupSettings | None" = None,
) -> dict[str, Any]:
    """The document of `status --json`; `scheduled` are the scheduled runs of this digest, `now` is the real time."""
    counts = statistics.deliveries_by_state()
    following = min((run.next for run in scheduled if run.next), default=None)
    return {
        "runs": [{**run, "seconds": _seconds(run)} for run in statistics.runs()],
        "sources": statistics.sources(),
        "queue": {
            "pending": counts.get("pending", 0) + counts.get("sending", 0),
            "in_doubt": counts.get("in doubt", 0),
            "failed": counts.get("refused", 0) + counts.get("expired", 0),
            "counts": counts,
            "problems": statistics.problem_deliveries(),
            "suspended": statistics.suspended(),
        },
        "answers": statistics.answers_by_state(),
        "inbox": statistics.mailboxes(),
        "signup": {**statistics.signups(now), "max_per_day": signup.max_per_day} if signup else None,
        "schedule": [_schedule(run) for run in scheduled],
        "next_run": following and following.isoformat(),
        "history": {"path": str(database), "bytes": size_on_disk(database), **statistics.size()},
    }


def _seconds(run: Mapping[str, Any]) -> float | None:
    """The duration of a run, None if it has not finished."""
    if not run["finished"]:
        return None
    duration = datetime.fromisoformat(run["finished"]) - datetime.fromisoformat(run["started"])
    return round(duration.total_seconds(), 1)


def _schedule(run: "ScheduledRun") -> dict[str, Any]:
    following = run.next and run.next.isoformat()
    return {"where": run.where, "what": run.what, "next": following, "problem": run.problem}


def format_status(document: Mapping[str, Any], width: int = 0) -> str:
    """Format a status document for a terminal with `width` columns; 0 means no limit."""
    parts = [
        _format_runs(document["runs"], width),
        _format_sources(document["sources"], width),
        "\n".join([*_format_queue(document["queue"]), *_format_inbox(document["inbox"]), *_format_letters(document)]),
        "\n".join([_next(document), _format_history(document["history"])]),
    ]
    return "\n\n".join(parts)


def _format_runs(runs: Sequence[Mapping[str, Any]], width: int) -> str:
    rows: list[tuple[str, ...]] = [("COMMAND", "STARTED", "TIME", "RESULT", "NEW", "SENT", "QUEUED")]
    for run in runs:
        result = {None: "unfinished", 0: "ok"}.get(run["exit"], f"failed (exit code {run['exit']})")
        counts = (str(run["summary"].get(key, "")) for key in ("new", "sent", "waiting"))
        started = _minute(run["started"])
        command = run["command"] if started.startswith(run["day"]) else f"{run['command']} --date {run['day']}"
        rows.append((command, started, _format_duration(run["seconds"]), result, *counts))
    return format_table(rows, width) if runs else "No runs yet. Try `digest preview`, then `digest run`."


def _minute(moment: str | None) -> str:
    return (moment or "never")[:16].replace("T", " ")


def _format_duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes else f"{seconds:.1f} s"


def _format_sources(sources: Sequence[Mapping[str, Any]], width: int = 0) -> str:
    rows = [("SOURCE", "STATE", "LAST READ", "PAPERS", "NEW")]
    notes = []
    for source in sources:
        state = "ok" if source["state"] == "read" else source["state"]
        rows.append((source["source"], state, _minute(source["read"]), str(source["papers"]), str(source["new"])))
        notes += [f"  ! {source['source']}: {problem}" for problem in _source_problems(source)]
    return "\n".join([format_table(rows, width), *notes]) if sources else "No sources fetched yet."


def _source_problems(source: Mapping[str, Any]) -> Iterator[str]:
    if source["failed_runs"] > 1:
        last = f"last read {source['read'][:10]}" if source["read"] else "never read"
        yield f"failed in the last {source['failed_runs']} runs, {last}"
    problems = (*source["errors"], *source["late"])
    yield from problems[:_MAX_PROBLEMS]
    if len(problems) > _MAX_PROBLEMS:
        yield f"and {len(problems) - _MAX_PROBLEMS:,} more, see `digest status --json`"
    if skipped := source["skipped"]:
        yield f"{plural(len(skipped), 'entry', 'entries')} skipped: {skipped[0]}"


def _format_queue(queue: Mapping[str, Any]) -> Iterator[str]:
    counts = queue["counts"]
    yield f"MAIL     {_format_counts(counts) or 'none yet'}"
    for row in queue["problems"]:
        yield f"  ! {row['address']} ({row['day']}): {row['state']}, {row['reply']}"
    for row in queue["suspended"]:
        fix = f"to resume: `digest subscribers add {row['address']}`"
        yield f"  ! {row['address']}: suspended, {row['why']}; {fix}"


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(counts.items()))


def _format_inbox(mailboxes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for mailbox in mailboxes:
        yield f"INBOX    {mailbox['name']}, last read: {_minute(mailbox['read'])}"
        if mailbox["failing"]:
            yield f"  ! cannot be read since {_minute(mailbox['failing'])}: {mailbox['problem']}"


def _format_letters(document: Mapping[str, Any]) -> Iterator[str]:
    """Lines about requests to subscribe and the answers to letters."""
    if counts := document["answers"]:
        yield f"ANSWERS  {_format_counts(counts)}"
    if signup := document["signup"]:
        yield f"SIGNUP   {describe_signups(signup)}"
        if signup["waiting"]:
            yield f"  ! {describe_waiting(signup['waiting'])}; to answer more, raise signup.max_per_day"


def describe_signups(signup: Mapping[str, int]) -> str:
    """Say how many requests to subscribe are open, and how much of the day's limit is used."""
    used = f"{signup['today']:,} of at most {signup['max_per_day']:,} confirmations today"
    return f"{plural(signup['pending'], 'request')} pending, {used}"


def describe_waiting(count: int) -> str:
    """Say how many requests are over the day's limit."""
    return f"{plural(count, 'request waits', 'requests wait')} for another day, three days at most"


def _next(document: Mapping[str, Any]) -> str:
    following = document["next_run"]
    if not following:
        if any(not one["problem"] for one in document["schedule"]):
            return "NEXT     unknown: it runs from a crontab line that digest did not write"
        return "NEXT     no run is scheduled; run `digest schedule install`"
    by = next(one["where"] for one in document["schedule"] if one["next"] == following)
    return f"NEXT     {datetime.fromisoformat(following):%a} {_minute(following)}, by {by}"


def _format_history(history: Mapping[str, Any]) -> str:
    counts = (plural(history[key], key.removesuffix("s")) for key in ("papers", "subscribers", "messages"))
    return f"HISTORY  {format_bytes(history['bytes'])}: {', '.join(counts)}"
