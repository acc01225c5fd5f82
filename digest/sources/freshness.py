"""Find batches that are late, and describe problems of a source to readers. Pure: no I/O."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from digest.sources import Fetched, Sighting


def check_freshness(fetched: Fetched, known: Callable[[Sequence[Sighting]], bool]) -> Fetched:
    """Fill in `stale` and `empty`: the due batches that hold only known papers, and those that hold none.

    `known` tells whether the source listed all of some sightings on an earlier day.
    """
    return replace(
        fetched,
        stale=tuple(batch.label for batch in fetched.batches if batch.sightings and known(batch.sightings)),
        empty=tuple(batch.label for batch in fetched.batches if not batch.sightings),
    )


def late_batches(fetched: Fetched) -> tuple[str, ...]:
    """Return a message for each batch that was due and is late."""
    return (
        *(f"{label} still shows an earlier day's papers, although new ones are due" for label in fetched.stale),
        *(f"{label} lists nothing, although new papers are due" for label in fetched.empty),
    )


def source_notice(fetched: Fetched) -> str:
    """Return what readers should know about a source today, for the foot of the mail; '' if all is well.

    The details are in the log and in `status`: they name files and servers that are no business of readers.
    """
    if fetched.state == "failed":
        return f"{fetched.source} could not be read {_failure_period(fetched)}"
    if fetched.errors:
        return f"{fetched.source} was only partly read today"
    if messages := late_batches(fetched):
        more = {1: "", 2: " (and one more)"}.get(len(messages), f" (and {len(messages) - 1:,} more)")
        return f"{fetched.source}: {messages[0]}{more}; retrying tomorrow"
    if fetched.skipped:
        count = len(fetched.skipped)
        return f"{fetched.source}: skipped {count:,} unreadable {'entry' if count == 1 else 'entries'}"
    return ""


def _failure_period(fetched: Fetched) -> str:
    runs = fetched.previous.failed_runs + 1
    if runs == 1:
        return "today"
    day = fetched.previous.last_read
    last_read = f"last read on {day.day} {day:%B %Y}" if day else "never read so far"
    return f"in the last {runs} runs, {last_read}"
