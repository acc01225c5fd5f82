"""arXiv's categories are those of its taxonomy, and any other name says what may have been meant."""

import pytest

from digest.sources.arxiv_categories import _KNOWN, _MEANT, _TAXONOMY, _UNDIVIDED, check_categories, is_like_category


def test_there_are_155_categories_and_their_archives() -> None:
    assert len(_KNOWN) == 155 + len(_TAXONOMY)
    check_categories(_KNOWN)
    assert {"cs.LG", "math.QA", "physics.optics", "quant-ph", "cond-mat.str-el", "cs", "q-bio"} <= _KNOWN


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("cs.ML", '"cs.LG" or "stat.ML"'),
        ("cs.lg", '"cs.LG"'),
        ("CS.cv", '"cs.CV"'),
        ("MATH", '"math"'),
        ("Quant-Ph", '"quant-ph"'),
        ("physics:hep-th", '"hep-th"'),
        ("physics.optic", '"physics.optics"'),
        ("cmp-lg", '"cs.CL"'),
    ],
)
def test_another_name_says_what_may_have_been_meant(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=rf"did you mean {meant}\?"):
        check_categories(["cs.AI", name])


@pytest.mark.parametrize("name", ["", "cs.", "cs.XX", "neuroscience", "biology", "cs.LG cs.AI", "x" * 100_000])
def test_a_name_like_no_other_says_how_they_are_written(name: str) -> None:
    with pytest.raises(ValueError, match=r'write them like "cs.LG" or "math"$') as caught:
        check_categories([name])
    assert len(str(caught.value)) < 200


def test_no_suggestion_is_wrong_itself() -> None:
    check_categories(name for meant in _MEANT.values() for name in meant)
    assert not _KNOWN & _MEANT.keys()


def test_names_like_categories_begin_with_an_archive_that_has_some() -> None:
    assert all(map(is_like_category, ("cs.ML", "CS.LG", "math.xx", "physics.x")))
    assert not any(map(is_like_category, ("cs", "neuroscience", "quant-ph.x", "e.g.", *_UNDIVIDED.split())))
