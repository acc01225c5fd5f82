"""The archive in a real browser, without JavaScript: light and dark, desktop, phone and paper; accessible and valid."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.archive.test_site import Archive, days
from tests.editions import DAY, plain_papers, public_edition
from tests.mail.test_render import HOSTILE, LINKS, hostile
from tests.system.test_browser import CHROMIUM, CONTRAST, LONG, chromium

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; on Debian: apt install chromium"),
]
PAGES = ["index.html", "2026/04/index.html", "2026/04/20.html", "2026/04/21.html"]
EVIL = "2026/04/22.html"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of a year: one day has difficult papers, and two those of strangers who mean harm."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    archive.add(*days(300))
    archive.editions[DAY] = public_edition([*plain_papers(12), LONG])
    for day, times in zip(days(3)[1:], (2, 67), strict=True):
        evil = [hostile(text, LINKS[n % len(LINKS)]) for n, text in enumerate(HOSTILE * times)]
        archive.editions[day] = public_edition(evil, day)
    archive.write(days(3))
    return archive.folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running


def opened(browser: Any, path: Path, width: int, scheme: str, *, scripts: bool = False) -> Any:
    """A page, and in its `asked` every address that it asks for."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
    )
    page = context.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("dialog", lambda dialog: page.asked.append(f"dialog: {dialog.message}"))
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1000, 375])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_keeps_anybody_from_reading_it(browser: Any, site: Path, name: str, width: int, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    plain = opened(browser, site / name, width, scheme)
    assert plain.asked == [(site / name).as_uri()], "a page asks for nothing but itself"
    assert plain.locator("h1").is_visible()
    plain.context.close()
    page = opened(browser, site / name, width, scheme, scripts=True)  # axe is a script itself
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, "it scrolls sideways"
    ratios = page.evaluate(CONTRAST)
    assert len(ratios) > 20
    assert [(ratio, what) for ratio, what in ratios if ratio < 4.5] == []
    assert page.asked == [(site / name).as_uri()]
    page.context.close()


def test_a_thousand_hostile_papers_do_nothing_even_with_javascript(browser: Any, site: Path) -> None:
    page = opened(browser, site / EVIL, 1000, "light", scripts=True)
    assert page.locator("article").count() == 15 * 67
    assert page.locator("script, img, iframe, main style, table, form, [onclick], [onerror]").count() == 0
    page.locator("summary").first.click()
    assert page.asked == [(site / EVIL).as_uri()]
    page.context.close()


def test_the_abstract_unfolds_without_javascript(browser: Any, site: Path) -> None:
    page = opened(browser, site / "2026/04/20.html", 1000, "light")
    abstract = page.locator("details p").first
    assert not abstract.is_visible()
    page.locator("summary").first.click()
    assert abstract.is_visible()
    page.context.close()


def test_a_link_to_a_paper_leads_to_it(browser: Any, site: Path) -> None:
    page = opened(browser, site / "index.html", 1000, "light")
    page.locator(".teaser .title").first.click()
    anchor = page.url.partition("#")[2]
    assert anchor
    assert page.locator(f"[id='{anchor}'] h3").is_visible()
    page.context.close()


def test_on_paper_there_are_the_papers_and_their_addresses_but_nothing_to_click(browser: Any, site: Path) -> None:
    page = opened(browser, site / "2026/04/20.html", 1000, "dark")
    page.emulate_media(media="print")
    assert not page.locator(".masthead nav").is_visible()
    assert not page.locator(".turn").is_visible()
    assert page.locator("article").count() == 13
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.context.close()


@pytest.mark.skipif(shutil.which("html-validate") is None, reason="no html-validate; npm install -g html-validate")
def test_every_page_follows_the_standard(site: Path) -> None:
    words = ["html-validate", "--preset", "standard", *(str(site / name) for name in (*PAGES, EVIL))]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
