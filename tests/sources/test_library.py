"""Exports of reference managers: whatever a file holds becomes papers and named lines, in bounded time."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.errors import SourceError
from digest.sources.library import _MAX_BLOCKS, _MAX_BYTES, _MAX_PAPERS, Library, is_library, read_library

BIBTEX = r"""% an export
@comment{x}
@string{conf = "A Conference"}
@article{ho2020,
    title = {Denoising {Diffusion} Probabilistic Models of {\'E}tudes},
    author = {Ho, Jonathan and Jain, Ajay},
    abstract = {We sample \emph{images} by reversing noise.},
    booktitle = conf,
}
@misc{ho2020, TITLE = "The same key, another work"}
@article(paren, title = {In round brackets})
"""
RIS = """TY  - JOUR
TI  - Score-based models
AU  - Song, Yang
AB  - They follow
the score.
ER  - \r

TY  - CONF
T1  - The other title tag
N2  - And the other abstract
ER  -
TY  - JOUR
TI  - Without its end
"""


def read(folder: Path, name: str, content: str | bytes) -> Library:
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_library(folder / name)


def test_bibtex_is_titles_and_abstracts_in_readable_text(tmp_path: Path) -> None:
    library = read(tmp_path, "mine.bib", BIBTEX)
    assert [paper.title for paper in library.papers] == [
        "Denoising Diffusion Probabilistic Models of Études",
        "The same key, another work",
        "In round brackets",
    ]
    assert library.papers[0].abstract == "We sample images by reversing noise."
    assert library.skipped == ()


def test_ris_of_different_programs_is_read(tmp_path: Path) -> None:
    library = read(tmp_path, "Mine.RIS", RIS)
    assert [(paper.title, paper.abstract) for paper in library.papers] == [
        ("Score-based models", "They follow the score."),
        ("The other title tag", "And the other abstract"),
        ("Without its end", ""),
    ]


def test_a_broken_entry_is_named_by_its_line_and_spoils_no_other(tmp_path: Path) -> None:
    library = read(
        tmp_path,
        "a.bib",
        "@misc{a, title={One}}\n@misc{b,\n title={open\n}\n\n@misc{c, title={Three}}\n@misc{d, note={x}}\n",
    )
    assert [paper.title for paper in library.papers] == ["One", "Three"]
    assert [message.partition(":")[0] for message in library.skipped] == ["a.bib line 2", "a.bib line 7"]
    assert "it has no title" in library.skipped[1]
    library = read(tmp_path, "a.ris", "TY  - JOUR\nstray\nER  - \nTY  - JOUR\nTI  - Two\nER  - \n")
    assert [paper.title for paper in library.papers] == ["Two"]
    assert library.skipped[0].startswith("a.ris line 1: ")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.bib", "", "a.bib line 1: it has no entries; export it again as BibTeX"),
        ("a.ris", "hello", "a.ris line 1: not a record of RIS, which begins with a line TY"),
        ("a.bib", "@misc{a, title={x", "a.bib line 1: not valid BibTeX"),
        ("a.bib", b"@misc{a,\n title={\xff}}", "a.bib line 2 is not UTF-8; export it as UTF-8"),
        ("a.bib", b" " * (_MAX_BYTES + 1), f"a.bib cannot be read: it is larger than {_MAX_BYTES // 1000:,} kB"),
        ("a.bib", "@a{" * (_MAX_BLOCKS + 1), f"a.bib line 1: more than {_MAX_BLOCKS:,} entries or @ signs"),
    ],
)
def test_a_file_of_no_use_is_one_error(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        read(tmp_path, name, content)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("kind", ["missing.bib", "folder.bib", "x" * 300 + ".bib", "nul\0.bib"])
def test_what_is_no_file_is_the_same_error(tmp_path: Path, kind: str) -> None:
    (tmp_path / "folder.bib").mkdir()
    with pytest.raises(SourceError, match=r"cannot be read: "):
        read_library(tmp_path / kind)


def test_of_a_huge_library_the_first_papers_count(tmp_path: Path) -> None:
    library = read(tmp_path, "a.bib", "".join(f"@misc{{k{n}, title={{Paper {n}}}}}\n" for n in range(_MAX_PAPERS + 3)))
    assert (len(library.papers), len(library.skipped)) == (_MAX_PAPERS, 1)
    assert f"line {_MAX_PAPERS + 1}: not read from here on" in library.skipped[0]


@pytest.mark.parametrize("name", ["a.bib", "a.ris"])
@given(text=st.text(st.sampled_from('@{}(),="#\\\n \raTYERI-'), max_size=200) | st.text(max_size=60))
def test_any_text_is_papers_or_that_error(tmp_path_factory: pytest.TempPathFactory, name: str, text: str) -> None:
    folder = tmp_path_factory.mktemp("library")
    for content in (text, f"@misc{{a,{text}", f"TY  - JOUR\n{text}"):
        try:
            assert all(paper.title for paper in read(folder, name, content.encode("utf-8", "replace")).papers)
        except SourceError:
            continue


def test_a_path_is_told_from_a_text_and_a_name() -> None:
    assert all(map(is_library, ("library.bib", "/home/me/My Library.RIS", "~/a.bib")))
    assert not any(map(is_library, ("arxiv:2011.13456", "how to read a .bib file", "texts\nof a.bib")))
