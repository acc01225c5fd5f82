"""The mail in a real browser: light and dark, desktop and phone; accessible, and nothing to scroll sideways."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from digest.mail.edition import Arrivals, Composer, Edition, Masthead
from digest.papers import Paper
from digest.ranking.trending import TrendKind
from tests.editions import DAY, edition, full_edition, plain_papers, ranked, rendered

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; on Debian: apt install chromium"),
]
FLAGS = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
LONG = Paper(
    "Supercalifragilisticexpialidocious" * 4,
    abstract="W" * 300,
    authors=("A" * 90, "日本語の名前"),
    url="https://example.org/" + "a" * 200,
    categories=("cs.LG",),
)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    sandbox = [] if os.geteuid() else ["--no-sandbox"]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *sandbox])
        yield running
        running.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def fillers(count: int) -> Edition:
    """A thin day: papers that are good for nothing but filling the mail."""
    known = dict(enumerate(plain_papers(count), start=1))
    ranks = [ranked(n, votes=1, kind=TrendKind.MORE) for n in known]
    return Composer(Masthead("Trending papers", DAY), known, Arrivals(0, DAY)).compose(ranks)


STATES = {
    "empty": lambda: edition([]),
    "one": lambda: edition(plain_papers(1)),
    "all": lambda: full_edition(12),
    "long": lambda: edition([LONG, *plain_papers(18), LONG]),
    "fillers": lambda: fillers(8),
    "hundred": lambda: edition([*plain_papers(99), LONG]),
}


@pytest.fixture(scope="module", params=sorted(STATES))
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("mail"), STATES[request.param]())


def written(folder: Path, made: Edition) -> Path:
    path = folder / "mail.html"
    path.write_text(rendered(made).html, encoding="utf-8")
    return path


def opened(browser: Any, path: Path, width: int, scheme: str) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [800, 375])
def test_nothing_keeps_anybody_from_reading_it(browser: Any, page_file: Path, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, page_file, width, scheme)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, "it scrolls sideways"
    page.close()


# Contrast by the formula of WCAG 2.2 (relative luminance), for every element that shows text of its own.
CONTRAST = """
() => {
  const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
  const lum = ([r, g, b]) => [r, g, b]
    .map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const shown = [...document.body.querySelectorAll("*")].filter((e) => e.getClientRects().length
    && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
  return shown.map((e) => {
    const [a, b] = [lum(rgb(getComputedStyle(e).color)), lum(behind(e))].sort((x, y) => y - x);
    return [(a + 0.05) / (b + 0.05), e.className + ": " + e.textContent.trim().slice(0, 40)];
  });
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(browser: Any, page_file: Path, scheme: str) -> None:
    page = opened(browser, page_file, 800, scheme)
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 3
    assert [(ratio, what) for ratio, what in ratios if ratio < 4.5] == []
    page.close()


@pytest.mark.parametrize(("width", "most"), [(600, 2_300), (375, 3_400)])
def test_a_mail_of_twelve_papers_is_read_in_two_minutes(browser: Any, tmp_path: Path, width: int, most: int) -> None:
    made = edition(plain_papers(12))
    assert len(rendered(made).html) <= 45_000
    page = opened(browser, written(tmp_path, made), width, "light")
    assert page.evaluate("document.documentElement.scrollHeight") <= most
    page.close()


def test_the_dark_palette_is_really_dark_and_the_preheader_is_not_shown(browser: Any, page_file: Path) -> None:
    page = opened(browser, page_file, 375, "dark")
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(22, 27, 34)"
    assert not page.locator(".preheader").is_visible()
    page.close()
