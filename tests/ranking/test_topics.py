"""Topics raise a paper's score by as much as the README says, and mute papers."""

import pytest

from digest.papers import Paper
from digest.ranking.topics import PaperText, ScorePart, Topic, match, mute_reason

PAPER = Paper(
    "Faster Diffusion Models for Naïve Physicists",
    abstract="We survey score-based generative modelling with GPT-4.",
    authors=("Yang Söng", "Ada Lovelace"),
    categories=("cs.LG", "stat.ML"),
    keywords=("variance exploding", "probability flow"),
)


@pytest.mark.parametrize(
    ("phrase", "found"),
    [
        ("diffusion models", True),
        ("DIFFUSION  MODELS", True),
        ("diffusion model", False),
        ("diffusion model*", True),
        ("naive physicists", True),
        ("Score-Based", True),
        ("score based", True),
        ("fusion models", False),
        ("gpt-4", True),
        ("gpt", True),
        ("physicists we survey", False),
        ("probability flow", True),
        ("exploding probability", False),
        ("*", False),
        ("", False),
        ("(", False),
    ],
)
def test_phrases_match_whole_words_without_case_accents_and_hyphens(phrase: str, found: bool) -> None:
    topic = Topic("T", match=(phrase,))
    assert bool(parts(topic)) is found
    assert bool(mute_reason((Topic("T", mute=(phrase,)),), PAPER)) is found


def parts(*topics: Topic) -> list[ScorePart]:
    return [part for topic in topics for part in match(topic, {7: PaperText(PAPER)}).parts.values()]


def points(*topics: Topic) -> list[float]:
    return [part.points for part in parts(*topics)]


def test_a_phrase_or_an_author_adds_the_full_weight() -> None:
    assert points(Topic("T", match=("diffusion models",), weight=2.0)) == [2.0]
    assert points(Topic("T", authors=("yang song",), weight=0.5)) == [0.5]


def test_a_category_adds_half_the_weight_beside_phrases_and_all_of_it_alone() -> None:
    assert points(Topic("T", match=("nowhere",), categories=("cs.LG",))) == [0.5]
    assert points(Topic("T", categories=("cs.LG",))) == [1.0]


def test_topics_add_up_and_each_has_its_reason() -> None:
    both = parts(Topic("Diffusion", match=("diffusion models",)), Topic("People", authors=("Ada Lovelace",)))
    assert [part.reason for part in both] == [
        "matches your topic Diffusion: “diffusion models”",
        "matches your topic People: by Ada Lovelace",
    ]


@pytest.mark.parametrize("mute", ["survey", "Ada Lovelace", "stat.ML", "we surv*"])
def test_a_muted_paper_is_never_shown_even_if_a_topic_matches(mute: str) -> None:
    assert match(Topic("Never", mute=(mute,)), {7: PaperText(PAPER), 8: PaperText(Paper("Other"))}).muted == {7}
    assert mute_reason((Topic("Never", mute=("zebra", mute)),), PAPER) == f"muted by the topic Never: {mute}"


def test_no_topics_add_nothing() -> None:
    nothing = match(Topic("Empty"), {7: PaperText(PAPER)})
    assert not nothing.parts
    assert not nothing.muted
    assert mute_reason((), PAPER) == ""
