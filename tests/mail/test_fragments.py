"""A mail that is put together from fragments is the mail that is rendered as a whole."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from digest.errors import ConfigError
from digest.files import bundled_file
from digest.mail import render
from digest.mail.edition import Arrivals, Composer, Edition, Masthead
from digest.mail.message import Fragment, build_frame, fill_frame
from digest.mail.render import GMAIL_LIMIT, Renderer
from digest.mail.requests import FeedbackSettings
from digest.papers import Paper, build_paper
from digest.ranking.trending import TrendKind
from tests.editions import DAY, NOW, PLACEHOLDERS, SENDER, TOKEN, full_edition, plain_papers, ranked, rendered, renderer
from tests.mail.test_render import HOSTILE, LINKS, hostile

TOPICS = ["Otters", "World models", "Video & <sound>", "中文", "A topic with a name that is longer than its papers are"]


def random_editions(papers: Sequence[Paper], count: int, seed: int) -> Iterator[Edition]:
    """Editions of some of the papers, with reasons of their own, as different readers would have them."""
    rng, known = random.Random(seed), dict(enumerate(papers, start=1))
    masthead = Masthead(
        "Papers", DAY, ("A notice.",), "https://papers.example.org/2026/04/20.html", "mailto:a@b.example"
    )
    composer = Composer(masthead, known, Arrivals(len(known), DAY))
    kinds = {number: rng.choice(list(TrendKind)) for number in known}
    votes = {number: rng.choice([None, 0, 2, 30, 1200]) for number in known}
    for _ in range(count):
        chosen = rng.sample(sorted(known), rng.randint(0, min(15, len(known))))
        yield composer.compose(
            [ranked(n, votes[n], kinds[n], rng.sample(TOPICS, rng.choice([0, 0, 1, 2, 4]))) for n in chosen]
        )


def texts_of(fragments: Sequence[Fragment]) -> tuple[str, str, str]:
    """The subject, plain text and HTML of a message, as a mail program reads them."""
    raw = fill_frame(build_frame(fragments, SENDER.address), "ann@example.org", TOKEN, DAY)
    parsed = message_from_bytes(raw, policy=policy.default)
    assert not any(part.defects for part in parsed.walk())
    assert max(len(line) for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n")) <= 76
    plain, page = (parsed.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert page is not None
    return parsed["Subject"], plain.get_content(), page.get_content()


def filled(text: str) -> str:
    from digest.mail.requests import feedback_token

    for placeholder, value in (
        (PLACEHOLDERS.address, "ann@example.org"),
        (PLACEHOLDERS.token, TOKEN),
        (PLACEHOLDERS.feedback, feedback_token(TOKEN)),
    ):
        text = text.replace(placeholder, value)
    return text


def same(one: str, other: str) -> bool:
    return one.split() == other.split()


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 12))])
def test_the_mail_of_any_reader_is_what_rendering_it_as_a_whole_gives(seed: int) -> None:
    papers = [*plain_papers(25), *(hostile(text, LINKS[n % 5]) for n, text in enumerate(HOSTILE)), Paper("Bare")]
    editions = list(random_editions(papers, 30, seed))
    by = renderer(feedback=FeedbackSettings() if seed % 2 else None)
    day = by.day(editions[0].masthead, NOW)
    for made, fragments in zip(editions, day.fragments(editions[:20]) + day.fragments(editions[20:]), strict=True):
        subject, text, page = texts_of(fragments)
        whole = rendered(made, by)
        assert subject == whole.subject
        assert same(text, filled(whole.text))
        assert "\n\n\n" not in text
        assert re.sub(r"\s", "", page) == re.sub(r"\s", "", filled(whole.html))


def test_a_fragment_is_the_same_whoever_it_is_rendered_with() -> None:
    """So `preview` gives the bytes of the mail, whoever else gets mail that day."""
    editions = list(random_editions(plain_papers(20), 12, 5))
    together = renderer().day(editions[0].masthead, NOW).fragments(editions)
    for made, fragments in zip(editions, together, strict=True):
        assert renderer().day(made.masthead, NOW).fragments([made])[0] == fragments


def test_a_thousand_readers_need_few_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    whole = render.inline_styles

    def counted(page: str) -> str:
        pages.append(page)
        return whole(page)

    monkeypatch.setattr(render, "inline_styles", counted)
    editions = list(random_editions(plain_papers(30), 1000, 7))
    day = renderer().day(editions[0].masthead, NOW)
    day.fragments(editions)
    assert 1 < len(pages) < 6
    day.fragments(editions)
    assert len(pages) < 6, "what was rendered is not rendered again"
    assert max(map(len, pages)) < 600_000


@pytest.mark.parametrize("count", [0, 6, 20])
def test_the_size_of_fragments_is_that_of_the_mail(count: int) -> None:
    made = full_edition(count)
    (fragments,) = renderer(feedback=FeedbackSettings()).day(made.masthead, NOW).fragments([made])
    raw = fill_frame(build_frame(fragments, SENDER.address), "a" * 80 + "@example.org", TOKEN, DAY)
    body = raw.partition(b"text/html")[2].partition(b"\r\n\r\n")[2]
    assert 0 <= sum(fragment.html_size for fragment in fragments) + 20 - len(body) < 400


def test_a_paper_looks_like_the_list_that_each_reader_gets_it_from() -> None:
    composer = Composer(Masthead("Papers", DAY), {1: Paper("Paper")}, Arrivals(1, DAY))
    today, rising = (composer.compose([ranked(1, 50, kind)]) for kind in (TrendKind.TODAY, TrendKind.RISING))
    found = renderer().day(composer.masthead, NOW).fragments([today, rising, today])
    assert [("from Fri 17 Apr" in texts_of(fragments)[1]) for fragments in found] == [False, True, False]


def test_a_mail_with_summaries_by_a_program_says_so_and_no_other() -> None:
    papers = {1: Paper("Summed up", tldr="It works.", tldr_by="Hugging Face"), 2: Paper("Not summed up")}
    composer = Composer(Masthead("Papers", DAY), papers, Arrivals(2, DAY))
    both, one = composer.compose([ranked(1), ranked(2)]), composer.compose([ranked(2)])
    found = renderer().day(composer.masthead, NOW).fragments([both, one])
    assert ["A summary written by AI at Hugging Face" in texts_of(fragments)[2] for fragments in found] == [True, False]


def test_a_thousand_reasons_of_a_thousand_readers_for_one_paper_fit_on_the_pages() -> None:
    known = dict(enumerate(plain_papers(3)))
    composer = Composer(Masthead("Papers", DAY), known, Arrivals(3, DAY))
    reasons = [f"because you asked for more like “{'a paper with a long title ' * 3}, part {n}”" for n in range(1000)]
    editions = [composer.compose([ranked(n, 99 - n, badges=[reason]) for n in known]) for reason in reasons]
    found = renderer().day(composer.masthead, NOW).fragments(editions)
    for number in (0, 98, 99, 100, 999):
        text = texts_of(found[number])[1]
        assert text.count("◆") == 3
        assert " ".join(text.split()).count(f"part {number}”") == 3


@pytest.mark.parametrize("count", [12, 60, 120])
def test_a_mail_fits_under_the_limit_of_gmail_with_whatever_papers_badges_and_votes(count: int) -> None:
    papers = [
        build_paper(
            f"{HOSTILE[n % len(HOSTILE)]} {'漢字と<b>' * 60}",
            abstract="Übergröße & <i>mehr</i> " * 200,
            tldr="“Größe” <3 " * 80,
            authors=["Ünal <x>"] * 40,
            identifiers=[f"arxiv:2604.{n:05}"],
            code="https://github.com/example/" + "%C3%A4" * 30,
        )
        for n in range(count)
    ]
    made = Composer(Masthead("T", DAY), dict(enumerate(papers)), Arrivals(count, DAY)).compose(
        [ranked(n, 500 - n, badges=["漢字" * 20, "<Größe>", "Otters"]) for n in range(count)]
    )
    (fragments,) = renderer(feedback=FeedbackSettings()).day(made.masthead, NOW).fragments([made])
    raw = fill_frame(build_frame(fragments, SENDER.address), "a" * 64 + "@" + "b" * 30 + ".example", TOKEN, DAY)
    html = raw.rpartition(b"text/html")[2].partition(b"\r\n\r\n")[2]
    assert 40_000 < len(html) <= GMAIL_LIMIT
    assert html.count(b"<h3") == count
    assert b"Unsubscribe" in html[-1500:]
    body = html.partition(b"\r\n--=_")[0]
    assert len(body) - 20 <= sum(fragment.html_size for fragment in fragments) <= GMAIL_LIMIT


# ---- templates of one's own ------------------------------------------------------------------------------------------


def with_own(folder: Path, **files: str) -> Renderer:
    """A renderer with these files, in which `…` stands for the bundled text; `__` is the dot of a name."""
    for name, text in files.items():
        name = name.replace("__", ".")
        bundled = (bundled_file("templates") / name).read_text()
        (folder / name).write_text(text.replace("…", bundled))
    return renderer(overrides=folder)


@pytest.mark.parametrize(
    "css",
    [
        "… tr + tr + tr h3 { color: red }",
        "… tr ~ tr ~ tr ~ tr .side { background-color: red }",
        "… .badge + .badge { color: red }",
    ],
)
def test_a_style_that_depends_on_what_is_beside_a_part_is_refused(tmp_path: Path, css: str) -> None:
    editions = list(random_editions(plain_papers(20), 30, 3))
    day = with_own(tmp_path, inline__css=css).day(editions[0].masthead, NOW)
    with pytest.raises(ConfigError, match=r"inline\.css: parts of the mail look otherwise in a whole mail than by the"):
        day.fragments(editions)
    for made in editions:  # whoever the mail is for, and whatever it has, so that a preview says so as well
        if any(len(pick.badges) > 1 for pick in made.picks) or ".badge" not in css:
            with pytest.raises(ConfigError, match="parts of the mail look otherwise"):
                with_own(tmp_path, inline__css=css).day(made.masthead, NOW).fragments([made])
            break


def test_other_templates_of_ones_own_are_fine(tmp_path: Path) -> None:
    editions = list(random_editions(plain_papers(20), 30, 3))
    by = with_own(
        tmp_path,
        inline__css="… h3 + p { color: red } tr:first-child h3 { color: red } .card td.side h3 { color: #123456 }",
        digest__html="…<!-- mine -->",
        digest__txt="MINE\n…",
    )
    day = by.day(editions[0].masthead, NOW)
    for made, fragments in zip(editions, day.fragments(editions), strict=True):
        _, text, page = texts_of(fragments)
        assert text.startswith("MINE\r\n")
        assert re.sub(r"\s", "", page) == re.sub(r"\s", "", filled(day.render_whole(made).html))
        assert not made.picks or "#123456" in page


@pytest.mark.parametrize(
    "files",
    [
        {"digest__txt": "{{ papers }}{{ intro }}"},
        {"digest__txt": "{{ papers }}{{ papers }}"},
        {"digest__txt": "{{ papers[:-20] }}"},
        {"digest__html": "<p>{{ papers | upper }}</p>"},
        {"digest__html": "<p>{{ papers | string | escape }}</p>"},
        {"digest__txt": "{{ papers }}{% if papers %}{{ notes }}And more.{% endif %}"},
        {"digest__txt": "…{{ unsubscribe_link | lower }}"},
        {"digest__html": "<p>{{ address | truncate(20) }}</p>"},
        {"_parts__txt": "… {% macro full(view) %}{{ view.place[:15] }}{% endmacro %}"},
    ],
)
def test_what_is_shown_in_part_or_in_another_order_is_an_error_that_names_the_file(
    tmp_path: Path, files: dict[str, str]
) -> None:
    editions = list(random_editions(plain_papers(9), 9, 1))
    with pytest.raises(ConfigError, match=r"(digest|_parts)\.(txt|html): "):
        with_own(tmp_path, **files).day(editions[0].masthead, NOW).fragments(editions)


def test_a_template_may_leave_parts_out(tmp_path: Path) -> None:
    editions = list(random_editions(plain_papers(9), 9, 1))
    day = with_own(tmp_path, digest__txt="{{ intro }}\n{{ unsubscribe_link }}\n").day(editions[0].masthead, NOW)
    for made, fragments in zip(editions, day.fragments(editions), strict=True):
        assert texts_of(fragments)[1].split() == [*made.intro.split(), f"https://d.example.org/u/{TOKEN}"]


def test_what_the_edition_has_is_in_the_parts() -> None:
    made = full_edition(3)
    (fragments,) = renderer().day(made.masthead, NOW).fragments([made])
    again = renderer().day(replace(made.masthead, notices=()), NOW).fragments([made])[0]
    changed = {fragment.checksum for fragment in fragments} - {fragment.checksum for fragment in again}
    assert len(changed) == 1, "a notice changes what is around the papers, not the papers"
