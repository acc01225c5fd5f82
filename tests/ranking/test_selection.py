"""One theme does not fill the mail while others wait."""

from collections.abc import Sequence
from datetime import date

from digest.papers import Paper
from digest.ranking import DEFAULT_PROFILE, Candidate, Listing
from digest.ranking.selection import Rules, Selection

DAY = date(2026, 4, 20)

DIFFUSION = [
    ("Diffusion models for image editing", "We use a diffusion model to edit images with text prompts."),
    ("Faster diffusion sampling", "A diffusion model that samples images in few denoising steps."),
    ("Diffusion transformers at scale", "We train diffusion models with transformers for image generation."),
    ("Text-to-image diffusion, aligned", "Aligning text-to-image diffusion models with human preference."),
    ("Latent diffusion for images", "Latent diffusion models generate an image in a latent space."),
    ("Guidance in diffusion models", "Classifier-free guidance of diffusion models for image generation."),
    ("Distilled diffusion models", "Distillation of image diffusion models into one denoising step."),
    ("Personal image diffusion", "Fine-tuning image diffusion models on a few images."),
]
OTHERS = [
    ("Folding proteins with graphs", "A graph network predicts the structure of a protein."),
    ("Speech in many languages", "Weak supervision for speech recognition."),
    ("Robots that walk", "Reinforcement learning for legged locomotion."),
    ("Theorems by search", "Tree search finds proofs in Lean."),
]
PAPERS = {n: Paper(title, abstract=abstract) for n, (title, abstract) in enumerate(DIFFUSION + OTHERS)}


def order(numbers: Sequence[int]) -> list[int]:
    """The order in which a mail of nine takes these papers, of which the first has the most votes."""
    candidates = [
        Candidate(n, DAY, (Listing("hf", DAY, ((DAY, 100 - place),)),)) for place, n in enumerate(numbers, start=1)
    ]
    rules = Rules((), {}, max_papers=9, min_score=0, topics_only=False, variety=True)
    selection = Selection(rules, DAY, DAY, candidates, {n: PAPERS[n] for n in numbers}, {})
    ordered = [ranked.trend.id for ranked in selection.order(DEFAULT_PROFILE, frozenset())]
    assert [ranked.trend.id for ranked in selection.pick(DEFAULT_PROFILE, frozenset())] == ordered[:9]
    return ordered


def test_eight_papers_on_one_theme_do_not_fill_the_mail_while_others_wait() -> None:
    mail = order(list(PAPERS))[:9]
    assert mail[0] == 0
    assert set(mail) >= {8, 9, 10, 11}


def test_nobody_is_dropped_and_order_is_kept_within_both_groups() -> None:
    ordered = order(list(PAPERS))
    assert sorted(ordered) == list(PAPERS)
    back = next(place for place, number in enumerate(ordered) if place and number < ordered[place - 1])
    assert ordered[:back] == sorted(ordered[:back])
    assert ordered[back:] == sorted(ordered[back:])


def test_different_themes_stay_as_they_are() -> None:
    assert order([8, 0, 9, 10, 11]) == [8, 0, 9, 10, 11]
    assert order([]) == []
