"""One theme does not fill the mail while others wait."""

from digest.papers import Paper
from digest.ranking.selection import diversify

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


def test_eight_papers_on_one_theme_do_not_fill_the_mail_while_others_wait() -> None:
    mail = diversify(list(PAPERS), PAPERS)[:9]
    assert mail[0] == 0
    assert set(mail) >= {8, 9, 10, 11}


def test_nobody_is_dropped_and_order_is_kept_within_both_groups() -> None:
    order = diversify(list(PAPERS), PAPERS)
    assert sorted(order) == list(PAPERS)
    back = next(place for place, number in enumerate(order) if place and number < order[place - 1])
    assert order[:back] == sorted(order[:back])
    assert order[back:] == sorted(order[back:])


def test_different_themes_stay_as_they_are() -> None:
    order = [8, 0, 9, 10, 11]
    assert diversify(order, PAPERS) == order
    assert diversify([], {}) == []
