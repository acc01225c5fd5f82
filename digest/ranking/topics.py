"""What a reader asked for: phrases, authors, categories and likeness that lift a paper, and what is never to be shown.

Phrases are compared word by word, without case and accents. A word is a whole word unless it ends in `*`: "model" is
not found in "models", "model*" is.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from digest.papers import Paper
from digest.settings import number_between


@dataclass(frozen=True, slots=True)
class Topic:
    """The `[[topics]]` table. `like` holds names of papers or texts, `mute` phrases, authors and categories."""

    name: str = field(metadata={"example": '"Diffusion"'})
    match: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})


@dataclass(frozen=True, slots=True)
class ScorePart:
    """A summand of a score and the reason for it, in the reader's words ('' where it goes without saying)."""

    points: float
    reason: str


@dataclass(frozen=True, slots=True)
class Similarity:
    """How alike a paper is to what a topic likes, from 0 to 1, and what of that it is most like."""

    share: float
    to: str


def match_topics(
    topics: tuple[Topic, ...], paper: Paper, alike: Sequence[Similarity | None] = ()
) -> tuple[ScorePart, ...] | None:
    """What each topic adds to the paper's score, or None when one of them mutes it.

    A phrase in title or abstract or an author is a full match and adds the topic's weight. A category alone does so
    for a topic of nothing but categories, else it adds half. Likeness adds its share of the weight, where that is more;
    `alike` has it for each topic.
    """
    text = _Text(paper)
    if any(_muted_item(topic, text) for topic in topics):
        return None
    likeness = alike or [None] * len(topics)
    return tuple(part for topic, like in zip(topics, likeness, strict=True) if (part := _match(topic, text, like)))


def muted_by(topics: tuple[Topic, ...], paper: Paper) -> str:
    """What mutes the paper, in words; '' when nothing does."""
    text = _Text(paper)
    found = ((topic, _muted_item(topic, text)) for topic in topics)
    return next((f"muted by the topic {topic.name}: {what}" for topic, what in found if what), "")


class _Text:
    """A paper as phrases are compared with it."""

    def __init__(self, paper: Paper) -> None:
        self.words = f"{normalize(paper.title)} | {normalize(paper.abstract)}"
        self.people = [normalize(author) for author in paper.authors]
        self.categories = paper.categories


def _match(topic: Topic, text: _Text, alike: Similarity | None) -> ScorePart | None:
    phrase = next((p for p in topic.match if _has_phrase(p, text.words)), "")
    author = next((a for a in topic.authors if _is_author(a, text.people)), "")
    if phrase or author:
        why = f"“{phrase.replace('*', '')}”" if phrase else f"by {author}"
        return ScorePart(topic.weight, f"matches your topic {topic.name}: {why}")
    category = next((c for c in topic.categories if c in text.categories), "")
    share = 0.0 if not category else 0.5 if topic.match or topic.authors or topic.like else 1.0
    if alike and alike.share > share:
        return ScorePart(topic.weight * alike.share, f"like “{alike.to}”, of your topic {topic.name}")
    return ScorePart(topic.weight * share, f"in {category}, of your topic {topic.name}") if category else None


def _muted_item(topic: Topic, text: _Text) -> str:
    """The first phrase, author or category of `mute` that the paper has."""
    return next(
        (m for m in topic.mute if m in text.categories or _has_phrase(m, text.words) or _is_author(m, text.people)), ""
    )


def _is_author(name: str, people: list[str]) -> bool:
    return normalize(name) in people


def _has_phrase(phrase: str, words: str) -> bool:
    return bool((pattern := _phrase_pattern(phrase)) and pattern.search(words))


@lru_cache(maxsize=4096)
def _phrase_pattern(phrase: str) -> re.Pattern[str] | None:
    """The phrase as an expression over plain words; None for one without a letter or digit."""
    parts = [
        re.escape(word) + (r"\w*" if star else "")
        for word, star in re.findall(r"(\w+)(\*?)", normalize(phrase, keep="*"))
    ]
    return re.compile(r"(?<!\w)" + " ".join(parts) + r"(?!\w)") if parts else None


def normalize(text: str, keep: str = "") -> str:
    """Words without case, accents and punctuation, one space between."""
    if text.isascii():
        return " ".join(re.findall(rf"[a-z0-9{re.escape(keep)}]+", text.lower()))
    letters = (c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or c in keep else " " for c in letters).split())
