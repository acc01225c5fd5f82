"""The excerpt of an abstract says what the paper found."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.papers.text.finding import find_finding
from digest.papers.text.fit import sentence_ends


def sentences(text: str) -> list[str]:
    ends = [*sentence_ends(text), len(text)]
    return [text[start:end].strip() for start, end in zip([0, *ends], ends, strict=False) if text[start:end].strip()]


@pytest.mark.parametrize(
    "text",
    [
        "Otters et al. Foo do. | They swim.",
        "See Fig. 3 and Eq. (2), i.e. Otters with e.g. Salt. | They sank by 3.5 points. | Done.",
        "With ε = 0.1 and f(x) = x. we go on. | 3D models follow. | mRNA levels rose.",
        "J. Otter and A. B. Seal of St. Andrews (Univ. Press) agree! | Do they? | “Yes.” | They do.",
        "Samples are i.i.d. Gaussian w.r.t. A and B here. | E. coli grows at pH 7. | It is No. 5.",
        "Otters vs. Seals: 12.5 % faster. | Code: https://example.org/a.b. | End.",
        "水獭会游泳。 | 它们很好。",
        "No stop at all",
    ],
)
def test_sentences_end_where_a_reader_would_say(text: str) -> None:
    wanted = text.split(" | ")
    assert sentences("".join(wanted) if "。" in text else " ".join(wanted)) == wanted


BACKGROUND = (
    "Otters have long been studied. However, existing methods for counting otters remain slow and need clear water."
)
CLAIM = "We propose OtterNet, a model that counts otters in murky water from sound alone."
RESULT = "OtterNet counts otters in murky water with an error of 3.5 %, half that of counting by eye."
CODE = "Our code is available at https://example.org/otternet."


def test_the_contribution_comes_instead_of_the_background() -> None:
    found = find_finding("Counting otters by sound", " ".join((BACKGROUND, CLAIM, RESULT, CODE)), 340)
    assert found.startswith(CLAIM)
    assert found in (CLAIM, f"{CLAIM} {RESULT}")


def test_a_smaller_limit_leaves_whole_sentences() -> None:
    found = find_finding("Counting otters by sound", " ".join((BACKGROUND, CLAIM, RESULT, CODE)), 100)
    assert found in (CLAIM, RESULT)


@pytest.mark.parametrize(
    "cue",
    [
        "In this paper, otters are counted by sound in murky water.",
        "This work introduces a way to count otters by sound.",
        "Here we show that otters can be counted by sound.",
        "We find that sound is enough to count otters in the dark.",
        "A model that counts otters by sound is proposed.",
        "Our results demonstrate that otters can be counted by sound.",
    ],
)
def test_a_claim_is_known_by_its_words(cue: str) -> None:
    assert cue in find_finding("Counting otters", f"{BACKGROUND} {cue} Boats are painted blue in spring.", 340)


@pytest.mark.parametrize(
    ("background", "methods", "results", "conclusions"),
    [
        ("Background: ", "Methods: ", "Results: ", "Conclusions: "),
        ("BACKGROUND ", "METHODS ", "RESULTS ", "CONCLUSIONS "),
        ("Background. ", "Methods. ", "Results. ", "Conclusion. "),
        ("Introduction — ", "Design - ", "Main results: ", "Interpretation: "),
    ],
)
def test_a_structured_abstract_is_read_by_its_sections(
    background: str, methods: str, results: str, conclusions: str
) -> None:
    abstract = (
        f"{background}Sleep of otters is a subject with few data and many opinions about their rest. "
        f"{methods}Forty otters wore sensors of sleep for a year in two rivers and one lake. "
        f"{results}Otters slept nine hours, three of them afloat, and longer in winter. "
        f"{conclusions}Otters sleep afloat for a third of their rest."
    )
    found = find_finding("Sleep of otters", abstract, 340)
    assert "Otters slept nine hours" in found or "Otters sleep afloat" in found
    assert "few data" not in found
    assert not any(label.strip() in found for label in (results, conclusions))


def test_a_sentence_longer_than_the_limit_is_cut_after_a_word() -> None:
    found = find_finding("Otters", f"We propose {'a very long way to count otters and ' * 20}that is all.", 120)
    assert len(found) <= 120
    assert found.endswith("…")


def test_no_abstract_has_no_finding() -> None:
    assert find_finding("Otters", "", 340) == ""


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=40), st.text(max_size=600) | st.text(alphabet="we.! Results:propose", max_size=300))
def test_whatever_the_abstract_the_finding_is_its_own_words_and_within_the_limit(title: str, abstract: str) -> None:
    found = find_finding(title, abstract, 120)
    assert len(found) <= 120
    assert set(found.removesuffix("…")) <= {*abstract, " "}
