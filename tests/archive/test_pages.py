"""The pages of the archive as their readers see them, and that no stranger's text is more than text in them."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from lxml import etree

from digest.archive import PublicEdition
from digest.archive.feeds import FeedDocument, FeedEntry, atom_feed, json_feed
from digest.archive.pages import Pages
from digest.archive.site import Site
from digest.errors import ConfigError
from digest.papers import Paper
from tests.editions import DAY, plain_papers, public_edition
from tests.mail.test_render import HOSTILE, LINKS, Reader, hostile

URL = "https://papers.example.org/"
PAGES = Pages(URL, "Trending papers")
TAGS = set(
    "html head meta title link style body a header nav main section article h1 h2 h3 p time span details summary footer"
    " ul li".split()
)
ATTRIBUTES = set("lang charset name content property rel type title href class id aria-label datetime style".split())


def text_of(page: str) -> str:
    return " ".join(" ".join(Reader(page.partition("<body>")[2]).text).split())


def edition_page(edition: PublicEdition) -> str:
    return PAGES.edition(edition, DAY - timedelta(3), DAY + timedelta(1)).decode()


def test_the_page_of_an_edition_has_its_papers_in_full_and_the_way_to_others() -> None:
    papers = [
        *plain_papers(12),
        Paper(
            "With a summary", abstract="Long. " * 90, tldr="It found this.", tldr_by="Hugging Face", organization="Lab"
        ),
    ]
    page = edition_page(public_edition(papers))
    text = text_of(page)
    assert "Monday 20 April 2026" in text
    for paper in papers:
        assert f" {paper.title} #" in text
        assert paper.abstract.strip() in text
    assert "It found this." in text
    assert "✦ A summary written by AI at Hugging Face, which can be wrong." in text
    assert "Earlier Friday 17 April 2026" in text
    assert "Later Tuesday 21 April 2026" in text
    assert 'id="arxiv-2604.00007"' in page
    assert '<a class="anchor" href="#arxiv-2604.00007"' in page
    assert 'href="20.bib"' in page


def test_a_page_says_what_it_is_to_those_who_link_to_it() -> None:
    page = edition_page(public_edition(plain_papers(2)))
    title = "On the 1th question of learning, and why an answer of moderate length helps and 1 more · Mon 20 Apr 2026"
    assert f"<title>{title} · Trending papers</title>" in page
    assert f'<meta property="og:title" content="{title}">' in page
    assert '<meta property="og:url" content="https://papers.example.org/2026/04/20.html">' in page
    assert '<meta property="og:type" content="article">' in page
    assert "og:image" not in page
    assert '<link rel="canonical" href="https://papers.example.org/2026/04/20.html">' in page
    assert (
        '<link rel="canonical" href="https://papers.example.org/2026/04/">'
        in PAGES.month([public_edition(plain_papers(1))], None, None).decode()
    )


def test_lists_of_editions_lead_to_each_paper_they_name() -> None:
    editions = [public_edition(plain_papers(5), DAY + timedelta(n)) for n in range(12)]
    month = PAGES.month(editions, None, None).decode()
    index = PAGES.index(editions[::-1], [edition.day for edition in editions]).decode()
    for page, root in ((month, "../../"), (index, "")):
        assert f'href="{root}2026/04/28.html#arxiv-2604.00003"' in page
        assert "and 2 more" in text_of(page)
    assert "Read all 5 papers" in text_of(index)
    assert "Tue 21 Apr 2026" not in text_of(index), "only the newest"
    assert re.search(r"2026 May 1 edition April 11 editions", text_of(index))


def test_why_a_paper_was_chosen_is_not_public() -> None:
    edition = public_edition(plain_papers(3))
    assert not any(ranked.parts for ranked in edition.ranked)
    assert "◆" not in edition_page(edition)


def test_a_thousand_hostile_papers_are_just_text() -> None:
    papers = [hostile(text * (1 + n % 3), LINKS[n % len(LINKS)]) for n in range(67) for text in HOSTILE]
    assert len(papers) > 1000
    for start in range(0, len(papers), 100):
        some = papers[start : start + 100]
        edition = public_edition(some)
        content = PAGES.feed_entry(edition)
        for page in (
            edition_page(edition),
            content,
            PAGES.month([edition], None, None).decode(),
            PAGES.index([edition], [DAY]).decode(),
        ):
            assert_harmless(page)
        assert Reader(edition_page(edition)).tags.count("article") == len(some)
        entry = FeedEntry("tag:x", URL, some[0].title, some[1].title, content, edition.created)
        feed = FeedDocument("tag:y", some[2].title, URL, URL, (), [entry])
        found = etree.fromstring(atom_feed(feed)).findtext("{*}entry/{*}content")
        assert found == json.loads(json_feed(feed))["items"][0]["content_html"] == content


def assert_harmless(html: str) -> None:
    page = Reader(html)
    assert set(page.tags) <= TAGS
    assert page.attributes <= ATTRIBUTES
    assert all(re.match(r"https?://|#[A-Za-z]|[\w./-]+(#|$)", link) for link in page.links)
    assert not any(re.match(r"(?!https?:)\w+:", link) for link in page.links)
    for tag in ("a", "section", "article", "details", "style"):
        assert page.tags.count(tag) == html.count(f"</{tag}>")


@pytest.mark.parametrize(
    "name", ["edition.html", "month.html", "index.html", "feed_entry.html", "_site.html", "site.css"]
)
def test_a_template_of_ones_own_replaces_the_bundled_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("MINE")
    pages, edition = Pages(URL, "T", tmp_path), public_edition(plain_papers(1))
    made = (
        pages.edition(edition, None, None).decode(),
        pages.month([edition], None, None).decode(),
        pages.index([edition], [DAY]).decode(),
        pages.feed_entry(edition),
    )
    assert sum("MINE" in page for page in made) == (3 if name in ("_site.html", "site.css") else 1)
    (tmp_path / name).write_text("{{ 1 / 0 }}")
    broken = Pages(URL, "T", tmp_path)
    days = {edition.day: edition.created}
    with pytest.raises(ConfigError, match=re.escape(name)):
        Site(tmp_path / "site", broken, days, lambda first, last: [edition], "tag:x").write(days)


def test_an_edition_may_have_a_single_paper_of_which_only_the_title_is_known() -> None:
    page = edition_page(public_edition([Paper("Only a title")]))
    assert "None" not in page
    assert not re.search(r"<p[^>]*>\s*</p>", page)
    assert "Only a title · Mon 20 Apr 2026" in page
