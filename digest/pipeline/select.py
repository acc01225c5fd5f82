"""Read what choosing a day's papers needs from the database. The choice itself is pure: `digest.ranking.selection`."""

from collections.abc import Sequence
from datetime import date, timedelta

from digest.pipeline.context import Context
from digest.ranking import Candidate
from digest.ranking.selection import Rules, Selection


def load_selection(context: Context, day: date, candidates: Sequence[Candidate] | None = None) -> Selection:
    """The selection of `day`; `candidates` are those of that day, if they were read already."""
    settings = context.config.digest
    if candidates is None:
        candidates = context.papers.candidates(day, settings.window_days)
    rows = [candidate.id for candidate in candidates]
    rules = Rules(
        topics=context.config.topics,
        weights={source.name: source.weight for source in context.config.sources},
        max_papers=settings.max_papers,
        min_score=settings.min_score,
        topics_only=settings.topics_only,
        variety=settings.variety,
    )
    similarities = {topic: context.similar.to_topic(topic, rows) for topic in context.config.topics}
    since = day - timedelta(settings.window_days)
    return Selection(rules, since, day, candidates, context.papers.load(rows), similarities)
