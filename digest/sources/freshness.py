"""Whether a source answered with something new where something new was due. Touches nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from digest.sources import Fetched, Sighting

Known = Callable[[Sequence[Sighting]], bool]


def check_freshness(fetched: Fetched, known: Known) -> Fetched:
    """`fetched` with the batches that are late: all in them was listed on an earlier day, or nothing is in them.

    `known` tells whether the source listed all of some sightings on an earlier day.
    """
    late = [batch for batch in fetched.batches if not batch.sightings or known(batch.sightings)]
    return replace(
        fetched,
        stale=tuple(batch.what for batch in late if batch.sightings),
        empty=tuple(batch.what for batch in late if not batch.sightings),
    )


def late_batches(fetched: Fetched) -> tuple[str, ...]:
    """A sentence for each batch that was due and not there."""
    return (
        *(
            f"{what} is stale: it still shows an earlier day's papers, although new ones are due"
            for what in fetched.stale
        ),
        *(f"{what} lists nothing, although new papers are due" for what in fetched.empty),
    )


def source_notice(fetched: Fetched) -> str:
    """What a reader should know about a source today, '' when all is well; the longer it fails, the more."""
    if fetched.state == "failed":
        return f"{fetched.source} {failure_summary(fetched)} ({fetched.errors[0]})"
    if fetched.errors:
        return f"{fetched.source} was read in part ({fetched.errors[0]})"
    if sentences := late_batches(fetched):
        more = f", and {len(sentences) - 1} more like it" if len(sentences) > 1 else ""
        return f"{fetched.source}: {sentences[0]}{more}. The next run looks again"
    if fetched.skipped:
        count = len(fetched.skipped)
        return f"{fetched.source}: left out {count:,} unreadable {'entry' if count == 1 else 'entries'}"
    return ""


def failure_summary(fetched: Fetched) -> str:
    """How long a source that failed has been failing."""
    runs = fetched.past.failed + 1
    if runs == 1:
        return "could not be read today"
    read = fetched.past.read
    return f"could not be read: FAILED FOR {runs} RUNS, " + (f"last read {read}" if read else "never read yet")
