"""The mail as a reader sees it, and that no stranger's text is more than text in it."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from email import message_from_bytes, policy
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.mail.edition import Arrivals, Composer, Edition, Masthead
from digest.mail.message import quoted_printable
from digest.mail.render import GMAIL_LIMIT
from digest.mail.requests import FeedbackSettings
from digest.papers import Paper, build_paper
from digest.papers.text.clean import display_width
from digest.ranking import Listing
from digest.ranking.selection import MAX_PAPERS
from digest.ranking.topics import ScorePart
from digest.ranking.trending import Ranked, Trend, TrendKind
from tests.conftest import html_of
from tests.editions import DAY, PLACEHOLDERS, edition, full_edition, mail, plain_papers, ranked, rendered, renderer


class Reader(HTMLParser):
    """Tags, links and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "background", "action")]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def composed_of(ranks: Sequence[Ranked], papers: Mapping[int, Paper]) -> Edition:
    return Composer(Masthead("T", DAY), papers, Arrivals(len(ranks), DAY)).compose(ranks)


def test_a_mail_has_a_date_a_top_pick_a_ranked_list_and_a_way_out() -> None:
    notice = "arXiv was unavailable today; its papers follow tomorrow."
    html = rendered(edition(plain_papers(6), notices=[notice])).html
    page = Reader(html)
    text = " ".join(" ".join(page.text).split())
    for words in ("Monday 20 April 2026", "TOP PICK", "TRENDING TODAY", "FROM THE LAST DAYS", "Unsubscribe"):
        assert words in text
    assert "▲ 999 · +30 since yesterday · University of Answers · Author Number0, Author Number1" in text
    assert notice in text
    assert page.tags.count("h1") == 1
    assert page.tags.count("h3") == 6
    assert html.startswith("<!DOCTYPE html>")


def test_links_lead_to_the_paper_and_whatever_else_is_known_of_it() -> None:
    links = Reader(rendered(edition(plain_papers(2))).html).links
    for link in (
        "https://arxiv.org/abs/2604.00002",
        "https://arxiv.org/pdf/2604.00002",
        "https://github.com/example/question-2",
        "https://question-2.example.org/",
        "https://huggingface.co/papers/2604.00002",
        f"https://d.example.org/u/{PLACEHOLDERS.token}",
    ):
        assert link in links


def test_a_link_longer_than_it_is_worth_is_left_out_and_the_title_keeps_its_own() -> None:
    long = "https://example.org/" + "a" * 400
    links = Reader(rendered(edition([Paper("T", url=long, code=long, project="https://example.org/p")])).html).links
    assert links.count(long) == 1
    assert "https://example.org/p" in links


HUGE = "An otter floats & <b>sleeps</b>. " * 100


@pytest.mark.parametrize("by", ["", "Hugging Face"])
def test_a_given_summary_is_shown_word_for_word_on_every_full_entry(by: str) -> None:
    summary = 'Otters <float> & "sleep": 5 < 6, by $x_1$ — {{ 7 * 7 }}'
    papers = [Paper(f"Paper {n}", abstract="We propose nothing of this.", tldr=summary, tldr_by=by) for n in range(6)]
    made = rendered(edition(papers))
    text = " ".join(" ".join(Reader(made.html).text).split())
    assert text.count(summary) == 6 + 1  # and in the preview line
    assert text.count("✦ AI summary by Hugging Face") == (6 if by else 0)
    assert " ".join(made.text.split()).count("(AI summary by Hugging Face)") == (6 if by else 0)
    assert "nothing of this" not in text


def test_a_summary_of_three_kilobytes_is_cut_after_a_sentence() -> None:
    made = rendered(edition([build_paper("Otters", tldr=HUGE)]))
    assert len(made.html) < 12_000
    assert "sleeps." in made.text
    assert made.text.count("otter floats") < 25


def test_what_hardly_anybody_voted_for_is_no_top_pick_unless_it_was_asked_for() -> None:
    def composed(*ranks: Ranked) -> Edition:
        papers = {r.trend.id: Paper(f"Paper {r.trend.id}") for r in ranks}
        return composed_of(ranks, papers)

    weak = [ranked(1, votes=2), ranked(2, votes=0), ranked(3, votes=9, kind=TrendKind.MORE)]
    thin = composed(*weak)
    assert (thin.top, [section.heading for section in thin.sections]) == (None, ["More papers"])
    assert "▲ 0" not in rendered(thin).html.replace("\xa0", " ")
    assert "TOP PICK" not in rendered(thin).html + rendered(thin).text
    assert composed(ranked(1, votes=3)).top is not None
    assert composed(ranked(1, votes=None)).top is None, "first in a list without votes is only first come"
    asked = composed(ranked(1, votes=0, badges=["Otters"]), ranked(2, votes=0, badges=["Otters"]), *weak[1:])
    assert asked.top is not None
    assert [section.heading for section in asked.sections] == ["Picked for you", "More papers"]


def test_nothing_has_risen_that_was_not_there_before() -> None:
    def heading(*readings: tuple[date, int | None]) -> str:
        trend = Trend(1, 1.0, TrendKind.RISING, Listing("hf", DAY - timedelta(3), readings))
        ranks = [ranked(2, votes=99), Ranked(trend, (ScorePart(1.0, ""),))]
        made = composed_of(ranks, {1: Paper("Riser"), 2: Paper("Lead")})
        assert "▲ 105</span>, from Fri 17 Apr" in rendered(made).html.replace("\xa0", " ")
        assert "105 upvotes, from Fri 17 Apr" in rendered(made).text
        return made.sections[0].heading

    assert heading((DAY, 105)) == "From the last days"
    assert heading((DAY - timedelta(3), 20), (DAY, 105)) == "Rising from earlier days"


def test_the_plain_text_has_two_addresses_a_paper_at_most_and_numbers_them() -> None:
    text = rendered(full_edition(12)).text
    papers = re.split(r"^\d+\. ", text.partition("\n-- \n")[0], flags=re.MULTILINE)[1:]
    assert len(papers) == 12
    assert all(len(re.findall(r"\w+://|mailto:", paper)) <= 2 for paper in papers)


def test_what_is_not_known_leaves_no_trace() -> None:
    bare = rendered(composed_of([ranked(1, votes=None, kind=TrendKind.MORE)], {1: Paper("Only a title")}))
    assert "None" not in bare.html + bare.text
    assert "PDF" not in bare.html
    assert "·" not in bare.html.partition("<h3")[2].partition("foot")[0]
    assert "\n\n\n" not in bare.text
    assert not re.search(r"<p[^>]*>\s*</p>", bare.html)


def test_styles_are_on_the_elements_and_those_for_phones_and_dark_mode_stay_strong() -> None:
    html = rendered(edition(plain_papers(2))).html
    head, _, body = html.partition("<body")
    assert "color:#0b57d0" in body.replace(" ", "")
    assert "prefers-color-scheme: dark" in head
    assert "[data-ogsc]" in head
    assert "!important" in head
    assert "!important" not in body
    assert len(head) < 16_000, "Gmail drops what comes after 16 KB of styles"


@pytest.mark.parametrize("count", [0, 1, 20, 40, 60, 100, MAX_PAPERS])
def test_however_many_papers_are_asked_for_the_mail_fits_and_ends_with_the_way_out(count: int) -> None:
    made = edition(plain_papers(count))
    html = rendered(made).html
    assert len(quoted_printable(html)) <= GMAIL_LIMIT
    assert len(Reader(html).tags) > 0
    assert Reader(html).tags.count("h3") == count
    assert "Unsubscribe" in html[-900:]


def test_what_the_edition_is_given_is_shown() -> None:
    made = rendered(full_edition(12), renderer(feedback=FeedbackSettings()))
    page = Reader(made.html)
    text = " ".join(" ".join(page.text).split())
    for words in ("View in browser", "Forwarded this?", "Subscribe", "◆ World models", "from Fri 17 Apr"):
        assert words in text
    assert text.count("More like this") == text.count("Not for me") == 6
    assert "https://papers.example.org/2026/04/20.html" in page.links
    assert "mailto:subscribe@example.org?subject=subscribe" in page.links
    assert "https://papers.example.org/2026/04/20.html" in made.text
    assert "Reply with +2 -5" in made.text
    bare = rendered(edition(plain_papers(12)))
    for words in ("View in browser", "Forwarded this?", "◆", "More like this", "+2 -5"):
        assert words not in bare.html + bare.text


def levels(made: Edition) -> list[str]:
    """The level of detail of each paper, told by the class of its heading in the HTML."""
    by_class = {"large": "top", "": "full", "compact": "brief"}
    headings = re.findall(r'<h3(?: class="(\w+)")?[^>]*>(.*?)</h3>', rendered(made).html)
    return [by_class.get(name) or ("row" if "▲" in content else "line") for name, content in headings]


def test_the_top_pick_and_five_more_are_in_full_and_detail_goes_from_the_bottom_up() -> None:
    order = ["top", "full", "brief", "row", "line"]
    assert levels(edition(plain_papers(12))) == ["top", *["full"] * 5, *["brief"] * 6]
    crowded = levels(edition(plain_papers(120)))
    assert crowded[:6] == ["top", *["full"] * 5]
    assert [order.index(level) for level in crowded] == sorted(order.index(level) for level in crowded)
    assert set(crowded) > {"brief", "row"}


def test_plain_text_keeps_72_columns_and_addresses_have_their_own_lines() -> None:
    papers = [
        *plain_papers(5),
        Paper("中文标题很长" * 12, abstract="摘要" * 100, url="https://example.org/" + "a" * 90),
    ]
    for line in rendered(edition(papers)).text.split("\n"):
        assert display_width(line) <= 72 or "://" in line or "mailto:" in line or "@" in line, line
        if "https://" in line:
            assert re.fullmatch(r"\s*([\w★(). ]+: )?https://\S+", line), line


def test_the_subject_begins_with_the_lead_paper() -> None:
    lead = "On the 1th question of learning, and why an answer of moderate…"
    assert rendered(edition(plain_papers(3))).subject == f"{lead} · 2 more papers"
    assert rendered(edition(plain_papers(2))).subject == f"{lead} · 1 more paper"
    assert rendered(edition(plain_papers(1))).subject == lead
    assert rendered(edition([])).subject == "Trending papers: nothing new today"


HOSTILE = [
    "<script>alert(1)</script>",
    "</td></tr></table><table>",
    "<img src=x onerror=alert(1)>",
    "a\r\nBcc: evil@example.org",
    "=?utf-8?q?hi=0ABcc=3A_evil?=",
    "{{ 7 * 7 }}{% for x in y %}",
    "\x00\x1b[2J\u202e\u2066\ud800",
    "w" * 5000,
    "<!--[if mso]><![endif]-->",
    '"><a href="javascript:alert(1)">x</a>',
    "]]><![CDATA[",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<style>*{display:none}</style>",
    "\\href{javascript:alert(1)}{x} $\\url{x}$",
    "PLACEHOLDERADDRESS PLACEHOLDERTOKEN",
]
LINKS = [
    "javascript:alert(1)",
    "data:text/html,<script>",
    "file:///etc/passwd",
    'https://ok.example.org/"onclick="x',
    "vbscript:x",
]
TAGS = set("html head meta title style body div table tbody tr td p h1 h2 h3 a span main".split())
ATTRIBUTES = set(
    "lang dir charset name content role class width"
    " cellpadding cellspacing border align style valign bgcolor href".split()
)


def assert_harmless(papers: list[Paper]) -> None:
    raw = mail(edition(papers))
    html = html_of(message_from_bytes(raw, policy=policy.default))
    page = Reader(html)
    assert set(page.tags) <= TAGS
    assert page.attributes <= ATTRIBUTES
    assert all(link.startswith(("https://", "http://", "mailto:unsubscribe+")) for link in page.links)
    assert page.tags.count("h3") == len(papers)
    assert page.tags.count("table") == html.count("</table>") - html.count("</td></tr></tbody></table><![endif]")
    assert len(quoted_printable(html)) <= GMAIL_LIMIT
    assert b"\r\nBcc:" not in raw.partition(b"\r\n\r\n")[0]
    raw.decode("ascii")


def hostile(text: str, link: str, authors: int = 3) -> Paper:
    return build_paper(
        f"T {text}",
        abstract=text,
        authors=[text] * authors,
        identifiers=[text],
        categories=[text],
        url=link,
        code=link,
        project=link,
    )


def test_a_thousand_hostile_papers_are_just_text() -> None:
    papers = [
        hostile(text * (1 + n % 3), LINKS[n % len(LINKS)], authors=10_000 if n % 100 == 0 else 3)
        for n in range(67)
        for text in HOSTILE
    ]
    assert len(papers) > 1000
    for start in range(0, len(papers), 100):
        assert_harmless(papers[start : start + 100])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(
        st.tuples(st.text() | st.sampled_from(HOSTILE), st.text() | st.sampled_from(LINKS)), min_size=1, max_size=8
    )
)
def test_no_text_whatsoever_is_more_than_text(given_texts: list[tuple[str, str]]) -> None:
    assert_harmless([hostile(text, link) for text, link in given_texts])
