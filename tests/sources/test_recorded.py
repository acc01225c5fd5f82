"""Every recorded response of the real services is parsed, and gives as many papers as it should."""

import io
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import feedparser
import pytest

from digest.errors import SourceError
from digest.sources.arxiv import Arxiv, search_request
from digest.sources.biorxiv import Biorxiv
from digest.sources.feed import Feed
from digest.sources.huggingface import HuggingFace
from tests.conftest import MORNING, SHARED

RECORDED = SHARED / "upstream"
pytestmark = pytest.mark.skipif(
    not RECORDED.exists(), reason="the recorded responses of the services are not on this machine"
)


def files(*patterns: str) -> Iterator[Path]:
    return (path for pattern in patterns for path in sorted(RECORDED.glob(pattern)))


def count_entries(body: bytes) -> int:
    """The number of entries with a title that feedparser finds."""
    return sum(bool(entry.get("title")) for entry in feedparser.parse(io.BytesIO(body)).entries)


@pytest.mark.parametrize("path", list(files("feeds/**/*.xml")), ids=lambda path: path.stem)
def test_every_feed_gives_as_many_papers_as_it_has_entries_with_a_title(path: Path) -> None:
    page = Feed("https://example.org/feed.xml").requests(MORNING)[0].parse(path.read_bytes())
    assert len(page.sightings) == count_entries(path.read_bytes()) > 0
    assert all(sighting.paper.link or sighting.paper.abstract for sighting in page.sightings)


def test_every_list_of_hugging_face_gives_all_rows() -> None:
    source, count = HuggingFace(lookback_days=0), 0
    for path in files("huggingface/*/*.json"):
        page = source.requests(MORNING)[0].parse(path.read_bytes())
        count += len(page.sightings)
        assert (len(page.sightings), page.skipped) == (len(json.loads(path.read_bytes())), ())
    assert count > 500


def test_every_response_of_the_arxiv_api_gives_all_entries_or_its_error() -> None:
    request = search_request("https://example.org", ["cs.LG"], date(2026, 4, 17), MORNING)
    for path in files("arxiv/atom*/*.xml"):
        body = path.read_bytes()
        if path.stem.startswith("id_abc"):
            with pytest.raises(SourceError, match="incorrect id format"):
                request.parse(body)
        else:
            page = request.parse(body)
            assert (len(page.sightings), page.skipped) == (count_entries(body), ()), path.name


def test_every_arxiv_feed_gives_all_entries_but_replacements() -> None:
    for path in files("arxiv/rss/*.xml"):
        body = path.read_bytes()
        announced = [str(e.get("arxiv_announce_type", "")) for e in feedparser.parse(io.BytesIO(body)).entries]
        page = Arxiv(("cs.LG",)).requests(MORNING)[0].parse(body)
        assert (len(page.sightings), page.skipped) == (sum(not a.startswith("replace") for a in announced), ())


def test_the_page_of_biorxiv_gives_all_rows() -> None:
    (path,) = files("biorxiv/*.json")
    page = Biorxiv().requests(MORNING)[0].parse(path.read_bytes())
    assert (len(page.sightings), page.skipped, page.next) == (3, (), None)
    assert all(sighting.paper.doi and sighting.day for sighting in page.sightings)
