"""RSS, RDF and Atom feeds, in all the ways they are written."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.feed import Feed
from tests.conftest import DATA, MONDAY, MORNING

URL = "https://journal.example.org/feeds/new.xml"


def parse(body: bytes) -> Page:
    return Feed(URL, "journal").requests(MORNING)[0].parse(body)


def rss(*items: str, more: str = "") -> bytes:
    content = "".join(f"<item>{item}</item>" for item in items)
    return (
        '<rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"'
        ' xmlns:prism="http://prismstandard.org/namespaces/basic/2.0/"><channel><title>New</title>'
        f"{more}{content}</channel></rss>"
    ).encode()


def atom(*entries: str) -> bytes:
    content = "".join(f"<entry>{entry}</entry>" for entry in entries)
    return f'<feed xmlns="http://www.w3.org/2005/Atom"><title>New</title>{content}</feed>'.encode()


@pytest.mark.parametrize("name", ["feed_rss2.xml", "feed_rss091.xml", "feed_rdf.xml", "feed_atom.xml"])
def test_every_format_gives_the_same_papers(name: str) -> None:
    page = parse((DATA / name).read_bytes())
    tides, moss = (sighting.paper for sighting in page.sightings)
    assert (tides.title, tides.link) == ("Tides & Lemmas: a Survey", "https://journal.example.org/articles/tides")
    assert tides.abstract == "We survey tides where a < b."
    assert (moss.title, page.skipped) == ("On Moss", ())


def test_an_entry_with_only_a_title_is_a_paper() -> None:
    (sighting,) = parse(rss("<title>On its Own</title>")).sightings
    assert (sighting.paper.title, sighting.paper.link, sighting.day, sighting.votes) == ("On its Own", "", None, None)


def test_an_entry_without_a_title_is_reported_and_the_others_are_parsed() -> None:
    page = parse(rss("<title>One</title>", "<description>No title</description>", "<title>Three</title>"))
    assert [s.paper.title for s in page.sightings] == ["One", "Three"]
    assert page.skipped == ("entry 2: it has no title",)


def test_html_is_converted_to_text_without_scripts() -> None:
    html = "&lt;p&gt;First&lt;/p&gt;&lt;p&gt;second &lt;b&gt;bold&lt;/b&gt; &amp;amp; more&lt;/p&gt;"
    html += "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src='https://t.example.org/pixel.gif'&gt;"
    (sighting,) = parse(rss(f"<title>T</title><description>{html}</description>")).sightings
    assert sighting.paper.abstract == "First second bold & more"


def test_angle_brackets_that_are_not_markup_are_kept() -> None:
    (sighting,) = parse(rss("<title>When a &lt; b and c &gt; d</title>")).sightings
    assert sighting.paper.title == "When a < b and c > d"


def test_relative_links_are_relative_to_the_feed() -> None:
    page = parse(atom('<title>T</title><link href="../articles/7"/>', '<title>U</title><link href="javascript:x()"/>'))
    assert [s.paper.link for s in page.sightings] == ["https://journal.example.org/articles/7", ""]


@pytest.mark.parametrize(
    ("item", "arxiv", "doi"),
    [
        ("<link>https://doi.org/10.1000/ABC.7</link>", "", "10.1000/abc.7"),
        ("<link>https://arxiv.org/abs/2604.00001v2</link>", "2604.00001", ""),
        ("<guid>oai:arXiv.org:2604.00002v1</guid>", "2604.00002", ""),
        ("<guid>doi:10.1000/xyz</guid>", "", "10.1000/xyz"),
        ("<prism:doi>10.1000/prism</prism:doi><link>https://p.example.org/3</link>", "", "10.1000/prism"),
        ("<dc:identifier>doi:10.1000/dc</dc:identifier>", "", "10.1000/dc"),
        ("<link>https://p.example.org/doi/full/10.1000/in.path?af=R</link>", "", "10.1000/in.path"),
        ("<link>https://www.biorxiv.org/content/10.1101/2026.04.01.12v2?rss=1</link>", "", "10.1101/2026.04.01.12"),
        ("<link>https://p.example.org/doi/10.1000/x7/pdf</link>", "", "10.1000/x7"),
        ("<link>https://p.example.org/content/10.1000/x7v2.full-text/</link>", "", "10.1000/x7"),
        ("<link>https://p.example.org/10.1000/x7.full.pdf.html</link>", "", "10.1000/x7"),
        ("<link>https://p.example.org/10.1000/pdf</link>", "", "10.1000/pdf"),
        ("<link>https://p.example.org/10.1000/a%1B%5B2J</link>", "", "10.1000/a[2j"),
        ("<link>https://p.example.org/2604.1/10.5</link>", "", ""),
    ],
)  # fmt: skip
def test_identifiers_are_found_in_all_fields(item: str, arxiv: str, doi: str) -> None:
    (sighting,) = parse(rss(f"<title>T</title>{item}")).sightings
    assert (sighting.paper.arxiv, sighting.paper.doi) == (arxiv, doi)


def test_the_id_of_an_entry_identifies_it_within_the_feed() -> None:
    (sighting,) = parse(rss("<title>T</title><guid isPermaLink='false'>post-17</guid>")).sightings
    assert sighting.paper.ident == "journal:post-17"


@pytest.mark.parametrize(
    ("creator", "authors"),
    [
        ("Ada Lovelace, Mei Lin and Paulo Silva", ("Ada Lovelace", "Mei Lin", "Paulo Silva")),
        ("Lovelace, A.; Lin, M.", ("Lovelace, A.", "Lin, M.")),
        ("Lovelace, A.", ("Lovelace, A.",)),
        ("Ada  Lovelace ,\n Mei Lin,  and\tPaulo Silva", ("Ada Lovelace", "Mei Lin", "Paulo Silva")),
    ],
)
def test_authors_in_one_element_are_split_where_that_is_certain(creator: str, authors: tuple[str, ...]) -> None:
    (sighting,) = parse(rss(f"<title>T</title><dc:creator>{creator}</dc:creator>")).sightings
    assert sighting.paper.authors == authors


def test_an_entry_has_its_own_day_but_never_one_in_the_future() -> None:
    page = parse(
        rss(
            "<title>T</title><pubDate>Fri, 17 Apr 2026 10:00:00 GMT</pubDate>",
            "<title>U</title><pubDate>Fri, 01 Jan 2100 00:00:00 GMT</pubDate>",
            "<title>V</title><pubDate>yesterday or so</pubDate>",
        )
    )
    assert [s.day for s in page.sightings] == [date(2026, 4, 17), MONDAY, None]


def test_white_space_before_the_xml_declaration_is_accepted() -> None:
    assert len(parse(b"\n\n<?xml version='1.0'?>" + rss("<title>T</title>")).sightings) == 1


def test_the_default_name_is_the_host() -> None:
    assert Feed("https://www.journal.example.org/feed").default_name == "journal.example.org"


@pytest.mark.parametrize(
    "body", [b"", b"<!DOCTYPE html><html><p>Sorry", b'{"a": 1}', b"/etc/passwd", rss("<title>")[:60]]
)
def test_a_response_that_is_not_a_complete_feed_is_an_error(body: bytes) -> None:
    with pytest.raises(SourceError):
        parse(body)


def test_external_entities_are_not_read() -> None:
    body = b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + rss(
        "<title>T &x;</title>"
    )
    try:
        assert all("root" not in s.paper.title for s in parse(body).sightings)
    except SourceError:
        return


WORST = {
    "a DOI with many endings": f"<link>https://x.org/10.1000/a{'.full.pdf' * 40}!</link>",
    "many DOIs in a link": f"<link>https://x.org{'/10.1000/a' * 100_000} b</link>",
    "many endings": f"<link>https://x.org/10.1000/a{'.pdf' * 250_000}</link>",
    "many links": "<link>https://x.org/10.1000/a.pdf</link>" * 25_000,
    "spaces in a name": f"<author>a@b.c (A{' ' * 1_000_000}B)</author>",
    "spaces and commas in a name": f"<author>a@b.c (A{', ' * 500_000}B)</author>",
    "many names": f"<author>a@b.c ({'A B and ' * 125_000}C D)</author>",
}


@pytest.mark.parametrize("case", WORST)
def test_the_worst_identifiers_and_authors_are_parsed_in_time(case: str, tmp_path: Path) -> None:
    """In a process of its own: a regular expression cannot be interrupted."""
    (tmp_path / "feed.xml").write_bytes(rss(f"<title>T</title>{WORST[case]}"))
    code = (
        "from datetime import datetime, UTC; from pathlib import Path; from digest.sources.feed import Feed;"
        " request, = Feed('https://x.org/f', 'f').requests(datetime.now(UTC));"
        f" print(len(request.parse(Path({str(tmp_path / 'feed.xml')!r}).read_bytes()).sightings))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")
