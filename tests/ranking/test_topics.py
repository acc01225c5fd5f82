"""What a reader asked for lifts a paper by as much as the README says, and muted papers are gone."""

import pytest

from digest.papers import Paper
from digest.ranking.topics import Topic, match_topics

PAPER = Paper(
    "Faster Diffusion Models for Naïve Physicists",
    abstract="We survey score-based generative modelling with GPT-4.",
    authors=("Yang Söng", "Ada Lovelace"),
    categories=("cs.LG", "stat.ML"),
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
        ("*", False),
        ("", False),
        ("(", False),
    ],
)
def test_phrases_are_words_whatever_their_case_accents_and_hyphens(phrase: str, found: bool) -> None:
    assert bool(match_topics((Topic("T", match=(phrase,)),), PAPER)) is found


def points(*topics: Topic) -> list[float]:
    return [part.points for part in match_topics(topics, PAPER) or ()]


def test_a_phrase_or_an_author_adds_the_whole_weight() -> None:
    assert points(Topic("T", match=("diffusion models",), weight=2.0)) == [2.0]
    assert points(Topic("T", authors=("yang song",), weight=0.5)) == [0.5]


def test_a_category_adds_half_beside_phrases_and_all_by_itself() -> None:
    assert points(Topic("T", match=("nowhere",), categories=("cs.LG",))) == [0.5]
    assert points(Topic("T", categories=("cs.LG",))) == [1.0]


def test_topics_add_up_and_each_says_why() -> None:
    parts = match_topics(
        (Topic("Diffusion", match=("diffusion models",)), Topic("People", authors=("Ada Lovelace",))), PAPER
    )
    assert parts is not None
    assert [part.reason for part in parts] == [
        "matches your topic Diffusion: “diffusion models”",
        "matches your topic People: by Ada Lovelace",
    ]


@pytest.mark.parametrize("mute", ["survey", "Ada Lovelace", "stat.ML", "we surv*"])
def test_what_is_muted_is_never_shown_whatever_else_matches(mute: str) -> None:
    assert match_topics((Topic("T", match=("diffusion models",)), Topic("Never", mute=(mute,))), PAPER) is None


def test_no_topic_adds_nothing() -> None:
    assert match_topics((), PAPER) == ()
