"""The names of a paper, and how foreign metadata becomes one."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.papers import Paper, build_paper, merge_papers, paper_names, parse_name, web_link


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("2401.00001", "arxiv:2401.00001"),
        ("arXiv:2401.00001v3", "arxiv:2401.00001"),
        ("arxiv: 2401.00001", "arxiv:2401.00001"),
        ("https://arxiv.org/abs/2401.00001v2", "arxiv:2401.00001"),
        ("http://www.arxiv.org/pdf/2401.00001v2.pdf", "arxiv:2401.00001"),
        ("https://huggingface.co/papers/2401.00001", "arxiv:2401.00001"),
        ("math.GT/0309136v2", "arxiv:math/0309136"),
        ("hep-th/9901001", "arxiv:hep-th/9901001"),
        ("10.48550/arXiv.2401.00001", "arxiv:2401.00001"),
        ("doi:10.1000/Ab.C", "doi:10.1000/ab.c"),
        ("https://doi.org/10.1000/ab%2Ec", "doi:10.1000/ab.c"),
        ("https://doi.org/10.1000/%1b]0;x%07y%e2%80%ae", "doi:10.1000/]0;xy"),
        ("https://doi.org/10.1000/a%0d%0ab", "id:10.1000/a b"),
        ("https://doi.org/10.1000/%251b", "doi:10.1000/%1b"),
        ("p3", "id:p3"),
        ("2401.99999v1x", "id:2401.99999v1x"),
        ("2413.00001", "id:2413.00001"),
        ("٢٤٠١.00001", "id:٢٤٠١.00001"),
        ("cſ/0112017", "id:cſ/0112017"),
        ("", ""),
    ],
)
def test_all_spellings_of_an_identifier_are_one_name(given: str, name: str) -> None:
    assert parse_name(given) == name


@pytest.mark.parametrize(
    "title",
    [
        "Schrödinger Bridges: A β-VAE View",
        "SCHRODINGER BRIDGES — a β-VAE view",
        'Schr\\"odinger  Bridges: A $\\beta$-VAE\n  View',
    ],
)
def test_all_spellings_of_a_title_are_one_name(title: str) -> None:
    assert paper_names(build_paper(title))[-1] == "title:schrodingerbridgesaβvaeview"


def test_papers_with_a_generic_title_are_distinguished_by_their_abstracts() -> None:
    one, other = build_paper("Editorial", abstract="On spring."), build_paper("Editorial", abstract="On autumn.")
    assert not set(paper_names(one)) & set(paper_names(other))
    assert paper_names(one) == paper_names(build_paper("EDITORIAL", abstract="On spring."))


def test_the_identifier_of_a_source_means_nothing_in_another_source() -> None:
    here, there = (build_paper(t, identifiers=["7"], source=s) for t, s in (("One title", "a"), ("Another one", "b")))
    assert not set(paper_names(here)) & set(paper_names(there))


def test_a_doi_of_arxiv_is_an_arxiv_identifier() -> None:
    assert build_paper("A title", identifiers=["10.48550/arXiv.2401.00001"]).arxiv == "2401.00001"


def test_a_record_without_a_title_is_refused() -> None:
    for title in ("", " \n", "\u202e\u200b", "\x00"):
        with pytest.raises(ValueError, match="no title"):
            build_paper(title)


def test_merging_keeps_what_either_record_has() -> None:
    short = Paper("T", abstract="Short.", arxiv="2401.00001", categories=("cs.LG",), published=date(2026, 1, 2))
    full = Paper(
        "T", abstract="A longer one.", authors=("A", "B"), doi="10.1/x", categories=("cs.CV",), code="https://c"
    )
    merged = merge_papers(short, full)
    assert (merged.abstract, merged.authors, merged.arxiv, merged.doi) == (
        "A longer one.",
        ("A", "B"),
        "2401.00001",
        "10.1/x",
    )
    assert (merged.categories, merged.code, merged.published) == (("cs.LG", "cs.CV"), "https://c", date(2026, 1, 2))
    assert merge_papers(merged, full) == merge_papers(merged, short) == merged


WRITTEN = Paper("T", tldr="Otters float.", keywords=("otters",), organization="Otter Lab", stars=7)
MACHINE = Paper(
    "T", tldr="Floating is a property of otters.", tldr_by="A service", keywords=("floating", "otters"), comments=4
)


def test_a_summary_is_never_lost_and_a_persons_wins() -> None:
    bare = Paper("T")
    for one in (WRITTEN, MACHINE):
        assert merge_papers(one, bare) == merge_papers(bare, one) == one
    for merged in (merge_papers(WRITTEN, MACHINE), merge_papers(MACHINE, WRITTEN)):
        assert (merged.tldr, merged.tldr_by) == ("Otters float.", "")
        assert (sorted(merged.keywords), merged.organization) == (["floating", "otters"], "Otter Lab")
        assert (merged.stars, merged.comments) == (7, 4)


def test_a_feed_fills_in_a_summary_and_replaces_none() -> None:
    feed = Paper("T", tldr="Buy otters.", keywords=("offer",), stars=9_999, from_feed=True)
    for merged in (merge_papers(MACHINE, feed), merge_papers(feed, MACHINE)):
        assert (merged.tldr, merged.tldr_by, merged.keywords) == (MACHINE.tldr, "A service", MACHINE.keywords)
    assert merge_papers(Paper("T"), feed).tldr == "Buy otters."


@pytest.mark.parametrize(
    ("given", "link"),
    [
        ("https://github.com/a/b\n", "https://github.com/a/b"),
        ("github.com/a/b", "https://github.com/a/b"),
        ("HTTP://Example.org/x", "HTTP://Example.org/x"),
        ("https://аррӏе.com/x?y#z", "https://xn--80ak6aa92e.com/x?y#z"),
        ("аррӏе.com", "https://xn--80ak6aa92e.com"),
        ("https://faß.de:8443/ü", "https://xn--fa-hia.de:8443/ü"),
        ("https://ＡＰＰＬＥ.com/", "https://apple.com/"),
        ("https://xn--80ak6aa92e.com/", "https://xn--80ak6aa92e.com/"),
        ("https://apple.com%2eexample.org/", ""),
        ("https://%D0%B0pple.com/", ""),
        ("https://a b.org/", "https://ab.org/"),
        ("https://apple.com。example.org/", "https://apple.com.example.org/"),
        ("https://apple.com\u2044x.example.org/", ""),
        ("https://☃.example.org/", ""),
        ("https://" + "ä" * 64 + ".org/", ""),
        ("https://[::1]:80/x", "https://[::1]:80/x"),
        ("https://127.0.0.1/x", "https://127.0.0.1/x"),
        ("https://under_score.example.org/x", "https://under_score.example.org/x"),
        ("https://example.org:0x50/", ""),
        ("javascript:alert(1)", ""),
        ("java\nscript:alert(1)", ""),
        ("data:text/html,x", ""),
        ("file:///etc/passwd", ""),
        ("//example.org/x", ""),
        ("https://user:secret@example.org/", ""),
        ('https://example.org/"onclick="x', ""),
        ("https://exa<mple.org", ""),
        ("https://[::1", ""),
        ("https://example.org:port/", ""),
        ("https://example.org/\u202egro", ""),
        ("https://example.org/" + "a" * 2000, ""),
        ("", ""),
    ],
)
def test_only_web_addresses_become_links(given: str, link: str) -> None:
    assert web_link(given) == link


@given(st.text(), st.text(), st.lists(st.text(), max_size=3), st.text())
def test_any_text_makes_a_paper_or_raises_value_error(
    title: str, abstract: str, identifiers: list[str], url: str
) -> None:
    try:
        made = build_paper(title, abstract=abstract, authors=[abstract], identifiers=identifiers, url=url, source="s")
    except ValueError:
        return
    assert all(len(name) < 2_000 for name in paper_names(made))
    "".join((made.title, made.abstract, *made.authors, made.url, *paper_names(made))).encode("utf-8")


def test_the_link_to_a_doi_is_escaped() -> None:
    paper = build_paper("T", identifiers=["10.1002/(SICI)1<1::AID>3.0.CO;2-1?x#y%"])
    assert paper.link == "https://doi.org/10.1002/(sici)1%3C1::aid%3E3.0.co;2-1%3Fx%23y%25"
