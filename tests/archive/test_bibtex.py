"""BibTeX that a BibTeX library reads back, whatever the titles hold."""

import re

import pytest
from bibtexparser.entrypoint import parse_string
from bibtexparser.model import Entry
from hypothesis import given, settings
from hypothesis import strategies as st
from pylatexenc.latex2text import LatexNodes2Text

from digest.archive.bibtex import bibliography
from digest.papers import Paper, build_paper
from tests.editions import plain_papers, public_edition
from tests.mail.test_render import HOSTILE, LINKS, hostile

DIFFICULT = [
    r"50% of the $5 spent on R&D by user_1 #1 {really} ~ ^ \ back",
    "Schrödinger's naïve Łukasz, Erdős–Rényi: a “quoted” study",
    "α-divergence in O(n²) for x ∈ ℝᵈ with ‖x‖₂ ≤ ε → ∞",
    "GPT-4 and BERT: what eBPF can do",
    "} unbalanced { and } @misc{x, title = {y}}",
    "深度学习综述 🚀",
    "n log n, ½, e⁻ˣ and 𝒪(√n)",
]


def parsed(*papers: Paper) -> list[Entry]:
    library = parse_string(bibliography(public_edition(papers)).decode())
    assert library.failed_blocks == []
    assert library.comments == library.preambles == []
    return library.entries


def plain(value: str) -> str:
    return str(LatexNodes2Text(strict_latex_spaces=True).latex_to_text(value))


@pytest.mark.parametrize("title", DIFFICULT)
def test_a_title_comes_back_as_it_was(title: str) -> None:
    (entry,) = parsed(Paper(title, arxiv="2604.00001"))
    assert plain(entry["title"]).translate(RAISED) == title.translate(RAISED)


# LaTeX raises a plain letter, and reading it back gives that; a letter of another alphabet is printed in its own style.
RAISED = str.maketrans("²ᵈ₂⁻ˣ‖−ˆ", "2d2-x∥-^")


@pytest.mark.parametrize("char", "&%_#${}")
def test_what_latex_gives_a_meaning_is_escaped(char: str) -> None:
    (entry,) = parsed(Paper(f"a {char} b", authors=(f"Ann {char} Bo",)))
    assert char in "{}" or not re.search(rf"(?<!\\){re.escape(char)}", entry["title"])
    assert plain(entry["title"]) == f"a {char} b"


def test_an_entry_has_what_is_known_of_a_paper() -> None:
    paper = build_paper(
        "On Schrödinger bridges",
        authors=["Ann Müller", "The Deep Team", "Smith, Jo", "Andy Sand"],
        identifiers=["arxiv:2604.00001v2", "10.1000/x_y%z"],
        categories=["cs.LG", "stat.ML"],
    )
    (entry,) = parsed(paper)
    assert (entry.entry_type, entry.key) == ("misc", "arxiv-2604.00001")
    assert entry["author"] == r"Ann M{\"u}ller and {The Deep Team} and {Smith, Jo} and Andy Sand"
    assert (entry["year"], entry["month"]) == ("2026", "apr")
    assert (entry["eprint"], entry["archiveprefix"], entry["primaryclass"]) == ("2604.00001", "arXiv", "cs.LG")
    assert entry["doi"] == "10.1000/x_y%z"
    assert entry["url"] == "https://arxiv.org/abs/2604.00001"


def test_capitals_within_words_are_kept_from_bibliography_styles() -> None:
    (entry,) = parsed(Paper("Training GPT-4 on iOS: A Study"))
    assert entry["title"] == "Training {GPT}-4 on {iOS}: A Study"


def test_what_is_not_known_is_left_out() -> None:
    (entry,) = parsed(Paper("Only a title"))
    assert set(entry.fields_dict) == {"title"}
    (entry,) = parsed(Paper("Old", arxiv="math/9912001"))
    assert (entry["year"], entry["month"]) == ("1999", "dec")


def test_every_paper_has_a_key_of_its_own() -> None:
    papers = [*plain_papers(20), *(Paper(title) for title in ("深度学习", "综述", "Same", "Same!", "same"))]
    keys = [entry.key for entry in parsed(*papers)]
    assert len(set(keys)) == len(papers)
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", key) for key in keys)


def test_a_thousand_hostile_papers_are_as_many_entries() -> None:
    papers = [hostile(text * (1 + n % 3), LINKS[n % len(LINKS)]) for n in range(67) for text in HOSTILE]
    assert len(parsed(*papers)) == len(papers) > 1000


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1))
def test_no_text_whatsoever_breaks_the_file(text: str) -> None:
    (entry,) = parsed(build_paper(f"T {text}", authors=[text], categories=[text], identifiers=[text]))
    assert entry.key
