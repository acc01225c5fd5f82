"""Select the papers of a reader's mail and their order. Pure: no I/O.

    candidates ──▶ trending ──┐
    papers ──────▶ topics ────┼──▶ selection ──▶ the papers of a mail
    liked papers ▶ similarity ┘

`trending` scores votes and lists, `topics` what a reader asked for; `similarity` (by words) and `embeddings` (by
meaning, the extra `semantic`; with a model of `sentences`, the extra `onnx`) measure how similar papers are.
`selection` combines them for one reader.

To score papers against those that a reader likes and dislikes, ask a `similarity.PaperSpace`: it holds papers by
number, and `space.score(liked, disliked, among)` returns a number for each paper of `among`, whether the space is made
of words (`similarity.WordSpace`) or of vectors (`embeddings.VectorSpace`). `similarity.scale_similarities` turns the
scores of a pool into shares from 0 to 1. `digest.pipeline.similar` makes the space that is installed, once for any
number of readers:

    space = context.similar.space([*candidates, *labelled])
    shares = scale_similarities(space.score(liked, disliked, candidates))
"""

from dataclasses import dataclass
from datetime import date

__all__ = [
    "DEFAULT_PROFILE", "Candidate", "Listing", "Profile", "embeddings", "selection", "sentences",
    "similarity", "topics", "trending",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Listing:
    """One source's list with the paper on it: the list's day, and (day of the run, votes) of each reading, in order."""

    source: str
    day: date
    readings: tuple[tuple[date, int | None], ...]

    @property
    def votes(self) -> int | None:
        """The newest count; None where the source has none."""
        return next((votes for _, votes in reversed(self.readings) if votes is not None), None)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A paper that may still be shown, without its text; `id` is its row in the database."""

    id: int
    first_seen: date
    listings: tuple[Listing, ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a subscriber chose; None means no choice.

    Topics by name (None for all), papers in a mail (None for `digest.max_papers`), and the days of the week with mail
    (from 0, which is Monday; None for every day of `digest.days`). `liked` and `disliked` are the papers that they want
    more and less of.
    """

    topics: tuple[str, ...] | None = None
    max_papers: int | None = None
    days: frozenset[int] | None = None
    liked: tuple[int, ...] = ()
    disliked: tuple[int, ...] = ()


DEFAULT_PROFILE = Profile()
