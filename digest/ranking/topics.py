"""Match papers with a reader's topics, which raise a paper's score or mute it. Pure: no I/O.

Phrases are compared with title, abstract and keywords, word by word, without case and accents. A word matches whole
words, unless it ends in `*`: "model" does not match "models", "model*" does.
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
    """A `[[topics]]` table. `like`: names of papers, or texts; `mute`: phrases, authors and categories.

    `weight`: points added to a matching paper; the day's top paper scores 1.
    """

    name: str = field(metadata={"example": '"Diffusion"'})
    match: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    like: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()
    weight: float = field(default=1.0, metadata={"read": number_between(0, 100)})


@dataclass(frozen=True, slots=True)
class ScorePart:
    """Points of a paper's score, the reason for them in the reader's words, and the same in a word or two: a badge.

    Both are '' for the trending score.
    """

    points: float
    reason: str
    badge: str = ""


@dataclass(frozen=True, slots=True)
class Similarity:
    """How similar a paper is to what a topic likes, from 0 to 1, and the title that it is most similar to."""

    share: float
    to: str


def match_topics(
    topics: tuple[Topic, ...], paper: Paper, similarities: Sequence[Similarity | None] = ()
) -> tuple[ScorePart, ...] | None:
    """Return what each matching topic adds to the paper's score, or None if one of `topics` mutes the paper.

    A phrase or an author adds the topic's weight. A category alone adds half of it, or all of it for a topic that has
    nothing but categories. Similarity adds its share of the weight where that is more; `similarities` are those of the
    paper to each topic.
    """
    text = _PaperText(paper)
    if any(_muted_item(topic, text) for topic in topics):
        return None
    pairs = zip(topics, similarities or [None] * len(topics), strict=True)
    return tuple(part for topic, similarity in pairs if (part := _match(topic, text, similarity)))


def mute_reason(topics: tuple[Topic, ...], paper: Paper) -> str:
    """Say which topic mutes the paper and why; '' if none does."""
    text = _PaperText(paper)
    muted = ((topic, _muted_item(topic, text)) for topic in topics)
    return next((f"muted by the topic {topic.name}: {item}" for topic, item in muted if item), "")


class _PaperText:
    """The parts of a paper that topics are compared with."""

    def __init__(self, paper: Paper) -> None:
        self.words = " | ".join(map(normalize_words, (paper.title, paper.abstract, *paper.keywords)))
        self.authors = [normalize_words(author) for author in paper.authors]
        self.categories = paper.categories


def _match(topic: Topic, text: _PaperText, similarity: Similarity | None) -> ScorePart | None:
    phrase = next((p for p in topic.match if _has_phrase(p, text)), "")
    author = next((a for a in topic.authors if _has_author(a, text)), "")
    category = next((c for c in topic.categories if c in text.categories), "")
    share = 0.0 if not category else 0.5 if topic.match or topic.authors or topic.like else 1.0
    if phrase or author:
        share, why = 1.0, f"“{phrase.replace('*', '')}”" if phrase else f"by {author}"
    elif similarity and similarity.share > share:
        share, why = similarity.share, f"similar to “{similarity.to}”"
    elif category:
        why = f"in {category}"
    else:
        return None
    return ScorePart(topic.weight * share, f"matches your topic {topic.name}: {why}", topic.name)


def _muted_item(topic: Topic, text: _PaperText) -> str:
    """Return the first phrase, author or category of `mute` that the paper has; '' for none."""
    return next((m for m in topic.mute if m in text.categories or _has_phrase(m, text) or _has_author(m, text)), "")


def _has_author(name: str, text: _PaperText) -> bool:
    return normalize_words(name) in text.authors


def _has_phrase(phrase: str, text: _PaperText) -> bool:
    return bool((pattern := _phrase_pattern(phrase)) and pattern.search(text.words))


@lru_cache(maxsize=4096)
def _phrase_pattern(phrase: str) -> re.Pattern[str] | None:
    """Return the phrase as a pattern for normalized words; None if it has no letter or digit."""
    parts = [
        re.escape(word) + (r"\w*" if star else "")
        for word, star in re.findall(r"(\w+)(\*?)", normalize_words(phrase, keep="*"))
    ]
    return re.compile(r"(?<!\w)" + " ".join(parts) + r"(?!\w)") if parts else None


def normalize_words(text: str, keep: str = "") -> str:
    """Return the words of `text` without case, accents and punctuation (except `keep`), separated by one space."""
    if text.isascii():
        return " ".join(re.findall(rf"[a-z0-9{re.escape(keep)}]+", text.lower()))
    letters = (c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return " ".join("".join(c if c.isalnum() or c in keep else " " for c in letters).split())
