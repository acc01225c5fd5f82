"""Parsing any bytes gives a page or a SourceError, and nothing else."""

import os
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from digest.errors import SourceError
from digest.sources import Page
from digest.sources.arxiv import Arxiv, search_request
from digest.sources.biorxiv import Biorxiv
from digest.sources.feed import Feed
from digest.sources.file import File
from digest.sources.huggingface import HuggingFace
from tests.conftest import DATA, MORNING
from tests.sources.test_biorxiv import listed, row

Parse = Callable[[bytes], Page]
RESPONSES: dict[str, tuple[Parse, bytes]] = {
    "huggingface": (HuggingFace(lookback_days=0).requests(MORNING)[0].parse, (DATA / "daily_papers.json").read_bytes()),
    "arxiv": (Arxiv(("cs.LG",)).requests(MORNING)[0].parse, (DATA / "arxiv_rss.xml").read_bytes()),
    "arxiv api": (
        search_request("https://example.org", ["cs.LG"], date(2026, 4, 17), MORNING).parse,
        (DATA / "arxiv_api.xml").read_bytes(),
    ),
    "biorxiv": (Biorxiv().requests(MORNING)[0].parse, listed(row(1), row(2, date="2026-04-17"))),
    "rss": (Feed("https://example.org/f").requests(MORNING)[0].parse, (DATA / "feed_rss2.xml").read_bytes()),
    "rdf": (Feed("https://example.org/f").requests(MORNING)[0].parse, (DATA / "feed_rdf.xml").read_bytes()),
    "atom": (Feed("https://example.org/f").requests(MORNING)[0].parse, (DATA / "feed_atom.xml").read_bytes()),
    "file": (
        File(Path("p.jsonl"), name="p").requests(MORNING)[0].parse,
        b'{"title": "T", "id": "arxiv:2401.00001", "upvotes": 3, "authors": ["A"]}\n{"title": "U", "doi": "10.1/x"}\n',
    ),
}
PIECES = [
    *(b"<", b">", b"&", b"&#0;", b"&#x110000;", b"<![CDATA[", b"<!DOCTYPE x [", b"<!--", b"]]>", b"<![", b"<?"),
    *(b"null", b"[]", b"{}", b'"', b"1e999", b"-1", b"\\ud800", b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\x1b["),
    *(b"http://[", b"https://[::1", b"://", b"10.1000/", b"2026-99-99", b"99999999999999999999", b"utf-7"),
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, body: bytes) -> bytes:
    """The body with a few bytes removed, doubled, or replaced by something hostile."""
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 40)))
        new = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6), st.just(body[start:end] * 2)))
        body = body[:start] + new + body[end:]
    return body


@pytest.mark.parametrize("name", sorted(RESPONSES))
@settings(
    max_examples=int(os.environ.get("DIGEST_EXAMPLES", "60")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_mutated_response_is_a_page_or_an_error(name: str, data: st.DataObject) -> None:
    parse, intact = RESPONSES[name]
    body = data.draw(mutated(intact))
    try:
        page = parse(body)
    except SourceError as problem:
        str(problem).encode()
        return
    assert isinstance(page, Page)
    for sighting in page.sightings:
        assert sighting.paper.title
        repr(sighting).encode()
    " ".join(page.skipped).encode("utf-8", "replace")


@pytest.mark.parametrize("name", sorted(RESPONSES))
def test_the_intact_responses_are_parsed(name: str) -> None:
    parse, intact = RESPONSES[name]
    assert parse(intact).sightings


def test_a_body_that_looks_like_a_path_does_not_open_the_file() -> None:
    with tempfile.NamedTemporaryFile(suffix=".xml") as file:
        file.write(RESPONSES["rss"][1])
        file.flush()
        with pytest.raises(SourceError):
            RESPONSES["rss"][0](file.name.encode())
