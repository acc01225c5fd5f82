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
        stale=tuple(batch.name for batch in fetched.batches if batch.sightings and known(batch.sightings)),
        empty=tuple(batch.name for batch in fetched.batches if not batch.sightings),
    )


def late_batches(fetched: Fetched) -> tuple[str, ...]:
    """Return a message for each batch that was due and is late."""
    return (
        *(f"{name} still shows an earlier day's papers, although new ones are due" for name in fetched.stale),
        *(f"{name} lists nothing, although new papers are due" for name in fetched.empty),
    )


def source_notices(fetched: Sequence[Fetched]) -> list[str]:
    """Return what readers should know about the sources today, in a sentence for each kind of problem.

    The details are in the log and in `status`: they name files and servers that are no business of readers.
    """
    by_problem: dict[str, list[str]] = {}
    for source in fetched:
        if problem := _problem(source):
            by_problem.setdefault(problem, []).append(_NAMES.get(source.source, source.source))
    return [_sentence(problem, names) for problem, names in by_problem.items()]


# The services that a source is named after unless the configuration names it.
_NAMES = {"arxiv": "arXiv", "biorxiv": "bioRxiv", "huggingface": "Hugging Face", "medrxiv": "medRxiv"}


def _problem(source: Fetched) -> str:
    """Return what is to be said about a source, with "{was}" and "{its}" for its number; '' if all is well."""
    if source.state == "failed" and source.previous.failed_runs:
        day = source.previous.last_read
        since = f"since {day.day} {day:%B}" if day else "so far"
        return f"{{has}} been unavailable {since}; {{its}} papers follow when {{it}} {{is}} back."
    if source.state == "failed":
        return "{was} unavailable today; {its} papers follow tomorrow."
    if source.errors:
        return "{was} only partly available today; the other papers follow tomorrow."
    if late_batches(source):
        return "{has} no new papers yet, although some were due; they follow tomorrow."
    return "listed entries that could not be read; they are left out." if source.skipped else ""


def _sentence(problem: str, names: Sequence[str]) -> str:
    many = len(names) > 1
    subject = " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    words = {"was": "were", "has": "have", "is": "are", "its": "their", "it": "they"}
    return f"{subject} {problem.format(**{one: more if many else one for one, more in words.items()})}"
