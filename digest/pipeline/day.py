"""The mail of a day: which papers each reader gets, and the editions with them.

Reads what that needs. The choice itself (`digest.ranking.selection`) and the editions (`digest.mail.edition`) are pure.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache

from digest.mail.edition import Arrivals, Composer, Edition, Masthead
from digest.mail.requests import signup_link
from digest.papers import Paper
from digest.papers.text.clean import clean
from digest.pipeline.context import Context
from digest.ranking import Profile
from digest.ranking.selection import Rules, Selection, Taste
from digest.sources import Fetched
from digest.sources.freshness import source_notices

_REMEMBERED = 1_000  # editions: readers who chose the same and were shown the same papers share one


class DayEditions:
    """Composes the editions of a day, with notices about the sources in `fetched`.

    `page` is the address of the day's page in the archive, '' if it has none.
    """

    def __init__(self, context: Context, selection: Selection, fetched: Sequence[Fetched], page: str = "") -> None:
        settings, signup = context.config.digest, context.config.signup
        notices = tuple(map(clean, source_notices(fetched)))
        link = signup_link(signup) if signup else ""
        self.masthead = Masthead(settings.title, selection.day, notices, page, link)
        self._selection = selection
        self._composer = Composer(self.masthead, selection.papers, Arrivals(*context.papers.arrivals(selection.day)))
        self._sends_empty = settings.when_empty == "send"
        self.edition = lru_cache(_REMEMBERED)(self._compose)

    def _compose(self, profile: Profile, shown: frozenset[int]) -> tuple[Edition, str]:
        """Return the edition for a reader with this profile who was shown these papers.

        The second value is why it has no papers (`Selection.why_empty`), or ''.
        """
        ranked = self._selection.pick(profile, shown)
        why = "" if ranked else self._selection.why_empty(profile, shown)
        return self._composer.compose(ranked, why.format(whose="your")), why

    def is_sent(self, edition: Edition) -> bool:
        """Return whether an edition becomes a mail: one without papers only if `digest.when_empty` says so."""
        return self._sends_empty or bool(edition.picks)


def load_selection(context: Context, day: date, *, as_mailed: bool = False) -> Selection:
    """The selection of `day`, over its candidates, now or when the mail of that day was made. May store vectors."""
    settings = context.config.digest
    candidates = context.papers.candidates(day, settings.window_days, as_mailed=as_mailed)
    paper_ids = [candidate.id for candidate in candidates]
    weights = {source.name: source.weight for source in context.config.sources}
    origins = {source: weights.get(history, 1.0) for source, history in context.papers.origins().items()}
    rules = Rules(
        topics=context.config.topics,
        weights=origins | weights,
        max_papers=settings.max_papers,
        min_score=settings.min_score,
        topics_only=settings.topics_only,
        variety=settings.variety,
    )
    similarities = context.similar.to_topics(context.config.topics, paper_ids)
    since, papers = day - timedelta(settings.window_days), context.papers.load(paper_ids)
    return Selection(rules, since, day, candidates, papers, similarities, _load_taste(context, papers))


def _load_taste(context: Context, papers: Mapping[int, Paper]) -> Taste | None:
    """What is needed to score candidates by what readers said about papers; None if nobody said anything."""
    labelled = context.papers.load(context.labels.labelled())
    if not labelled:
        return None
    background = context.similar.background()
    space = context.similar.space([*papers, *background, *labelled])
    return Taste(space, labelled, background, papers)
