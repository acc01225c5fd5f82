"""Select the papers of each mail: read what that needs; the choice itself is pure (`digest.ranking.selection`)."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

from digest.papers import Paper
from digest.pipeline.context import Context
from digest.ranking.selection import Rules, Selection, Taste
from digest.ranking.trending import Ranked
from digest.store.outbox import Audience


def select(context: Context, selection: Selection, today: date) -> Iterator[tuple[Audience, list[Ranked], str]]:
    """Every group of subscribers who still get mail of the day, with the papers of that group, best first.

    The third value is why there are none (`Selection.why_empty`), or ''. `today` is the real day, by which mail in the
    queue expires.
    """
    for audience in context.outbox.audiences(selection.day, selection.paper_ids, today):
        ranked = selection.pick(audience.profile, audience.shown)
        yield audience, ranked, "" if ranked else selection.why_empty(audience.profile, audience.shown)


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
