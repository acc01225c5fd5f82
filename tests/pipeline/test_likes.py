"""What topics like: papers that no source listed are looked up once at arXiv, and files of a reference manager."""

from datetime import date, timedelta

import httpx
import pytest

from digest.pipeline.run import run_daily
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.papers import Papers
from digest.store.prune import prune
from tests.conftest import MONDAY, Workplace, at, paper

LIKES = """
[[topics]]
name = "Looms"
like = ["arxiv:2001.00001v3", "https://arxiv.org/abs/2001.00002", "math/0309136"]
weight = 9
"""
FILES = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'
HUGGINGFACE = '[[sources]]\ntype = "huggingface"\nurl = "https://hf.test/list"\nlookback_days = 0\n'
ARXIV = (
    '[[sources]]\ntype = "arxiv"\ncategories = ["cs.LG"]\nurl = "https://rss.test/"\napi_url = "https://api.test/q"\n'
)
ENTRY = (
    "<entry><id>http://arxiv.org/abs/{id}v1</id><title>Knots in Looms {id}</title>"
    "<summary>Weaving knots with looms, and looms with knots.</summary></entry>"
)
FEED = '<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><id>x</id><title>arXiv Query</title>{}</feed>'


def unlike(number: int) -> str:
    """A title of three words, each shared with a few other titles."""
    return " ".join(chr(97 + number % count) * length for count, length in ((7, 3), (11, 4), (13, 5)))


class Services:
    """Hugging Face lists papers; arXiv's API knows all but 2001.00002, while it works."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.works = True
        self.listed = [paper(n, title="Weaving with looms" if n == 7 else unlike(n)) for n in range(1, 40)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "hf.test":
            rows = [{"paper": {"id": p["id"][6:], "title": p["title"], "upvotes": 3}} for p in self.listed]
            return httpx.Response(200, json=rows if request.url.params.get("p", "0") == "0" else [])
        if request.url.host == "rss.test":
            return httpx.Response(200, text=FEED.format(""))
        ids = request.url.params.get("id_list")
        if ids is None:
            return httpx.Response(404)
        self.asked.append(ids)
        known = "".join(ENTRY.format(id=name) for name in ids.split(",") if name != "2001.00002")
        return httpx.Response(200, text=FEED.format(known)) if self.works else httpx.Response(400)


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.more = HUGGINGFACE + ARXIV + LIKES
    return workplace


def run(place: Workplace, services: Services, day: date = MONDAY) -> None:
    transport = httpx.MockTransport(services)
    run_daily(place.config(), day, at(day), Fetcher("me@example.org", transport, sleep=lambda _: None))


def test_a_liked_paper_that_no_source_listed_is_looked_up_once_and_shapes_the_mail(place: Workplace) -> None:
    services = Services()
    run(place, services)
    run(place, services, MONDAY + timedelta(1))
    assert services.asked == ["2001.00001,2001.00002,math/0309136"]
    (first, *_) = place.titles()
    assert first[0] == "Weaving with looms"
    assert not any("Knots" in title for titles in place.titles() for title in titles)


def test_it_is_asked_again_after_a_failure(place: Workplace) -> None:
    services = Services()
    services.works = False
    run(place, services)
    services.works = True
    run(place, services, MONDAY + timedelta(1))
    run(place, services, MONDAY + timedelta(2))
    assert len(services.asked) == 2


def test_a_paper_that_was_looked_up_is_new_when_a_source_lists_it(place: Workplace) -> None:
    """However much later: it was in no mail, and it is a candidate from the day of its first listing."""
    services, later = Services(), MONDAY + timedelta(40)
    run(place, services)
    with open_database(place.folder / "history.db") as db:
        papers = Papers(db)
        assert papers.find("2001.00001") is None
        assert papers.find("2001.00001", unlisted=True) is not None
        assert papers.find_by_beginning("Knots in Looms", 9) == [], "explain shows only what was listed"
        labelled = papers.record_unlisted("arxiv:2001.00009", "A paper of another digest")
        assert labelled is not None
        assert papers.find("2001.00009") is None
        assert papers.find_named("arxiv:2001.00009") == labelled
        assert papers.arrivals(MONDAY)[0] == len(services.listed)
    services.listed = [{"id": "arxiv:2001.00001", "title": "Knots in Looms 2001.00001"}]
    run(place, services, later)
    assert place.titles()[-1] == ["Knots in Looms 2001.00001"]
    with open_database(place.folder / "history.db") as db:
        assert Papers(db).readings(Papers(db).find("2001.00001") or 0)[0] == later


def test_pruning_keeps_a_liked_paper(place: Workplace) -> None:
    run(place, Services())
    database = place.folder / "history.db"
    prune(database, MONDAY + timedelta(400), 60, ["arxiv:2001.00001"])
    with open_database(database) as db:
        assert Papers(db).find("2001.00001", unlisted=True) is not None


def test_a_digest_of_files_asks_nobody(workplace: Workplace) -> None:
    workplace.more = FILES + LIKES
    workplace.lists(paper(1))
    services = Services()
    run(workplace, services)
    assert services.asked == []


def test_a_library_is_a_taste_and_a_broken_one_stops_no_mail(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    library = workplace.folder / "mine.bib"
    workplace.more = FILES + '[[topics]]\nname = "Mine"\nlike = ["mine.bib"]\nweight = 9\n'
    workplace.lists(*(paper(n, title="Weaving looms" if n == 8 else f"Paper {n}", upvotes=9 - n) for n in range(1, 9)))
    library.write_text("@misc{a, title={Looms and weaving}, abstract={On looms}}\n@misc{b, title=\n")
    run(workplace, Services())
    assert workplace.titles()[0][0] == "Weaving looms"
    library.unlink()
    workplace.lists(paper(20))
    run(workplace, Services(), MONDAY + timedelta(1))
    assert len(workplace.titles()) == 2
    whys = [
        str(record.args["why"]) for record in caplog.records if isinstance(record.args, dict) and "why" in record.args
    ]
    assert any(why.startswith("mine.bib line 2: not valid BibTeX") for why in whys)
    assert any(why.startswith("mine.bib cannot be read: No such file") for why in whys)
