"""Weeks of the daily job against recorded answers of the real services, where those are at hand."""

import importlib.util
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from digest.config import Config, load
from digest.papers import parse_name
from digest.pipeline.context import open_context
from digest.pipeline.run import RunReport, run_daily
from digest.sources.fetcher import Fetcher
from digest.store.statistics import Statistics
from tests.conftest import SHARED, Workplace, at, html_of, titles
from tests.server import Server

TOOL = SHARED / "tools" / "upstream.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not TOOL.exists(), reason="the recorded answers of the services are not on this machine"),
]
TO = ["ann@example.org", "bob@example.org"]


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("upstream", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["upstream"] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def services(today: date) -> Iterator[tuple[Any, str]]:
    """The recorded services on a free port: their clock and faults can be set on what is yielded first."""
    module = tool()
    upstream = module.Upstream(today=today.isoformat())
    server = module.serve(upstream)
    try:
        yield upstream, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def configured(folder: Path, base: str, port: int, extra: str = "") -> Config:
    (folder / "config.toml").write_text(
        f"""
        [digest]
        from = "Paper Digest <digest@example.org>"
        to = {json.dumps(TO)}
        {extra}
        [[sources]]
        type = "huggingface"
        url = "{base}/api/daily_papers"
        [[sources]]
        type = "arxiv"
        categories = ["cs.CV"]
        url = "{base}/rss/"
        api_url = "{base}/api/query"
        [smtp]
        host = "127.0.0.1"
        port = {port}
        security = "none"
        """
    )
    return load(folder / "config.toml", {})


def run(config: Config, day: date) -> RunReport:
    return run_daily(config, day, at(day), Fetcher("digest@example.org", sleep=lambda _: None))


def arrived(server: Server) -> list[tuple[str, EmailMessage]]:
    return [(to, message_from_bytes(raw, policy=policy.default)) for to, raw in server.taken]


def shown(mail: EmailMessage) -> list[str]:
    """The arXiv identifiers of the papers in a mail, by the links of their titles."""
    import re

    found = re.findall(r'<a class="title"[^>]*href="([^"]+)"', html_of(mail))
    return [parse_name(link) for link in found]


def test_four_weeks_of_two_services_show_no_paper_twice(tmp_path: Path) -> None:
    days = [date(2026, 4, 6) + timedelta(n) for n in range(25)]
    with services(days[0]) as (upstream, base), Server().running() as server:
        config = configured(tmp_path, base, server.port)
        for day in days:
            upstream.today = day.isoformat()
            before = len(server.taken)
            report = run(config, day)
            again = run(config, day)
            sent = Counter(to for to, _ in server.taken[before:])
            assert sent in (Counter(TO), Counter()), "one message each a day, or none"
            assert bool(sent) or day.weekday() > 4
            assert (report.queued, again.queued, again.new) == (len(server.taken) - before, 0, 0)
        mails = arrived(server)
        for to in TO:
            seen = [paper for receiver, mail in mails if receiver == to for paper in shown(mail)]
            assert len(seen) == len(set(seen)) > 200
            assert seen.count("arxiv:2604.07429") == 1, "listed on the 10th and again on the 16th"
        on_both = both(upstream)
        assert on_both
        with open_context(config) as d:
            for name in on_both:
                number = d.papers.find(name)
                sources = {
                    listing.source
                    for candidate in d.papers.candidates(days[-1], 60)
                    if candidate.id == number
                    for listing in candidate.listings
                }
                assert sources == {"huggingface", "arxiv"}, name


def both(upstream: Any) -> list[str]:
    """Identifiers on a Hugging Face list and in arXiv's cs.CV feed of the same weeks."""
    (root,) = upstream.roots
    listed = {
        row["paper"]["id"]
        for path in root.glob("huggingface/daily_papers/2026-04-*.json")
        if path.stem >= "2026-04-06"
        for row in json.loads(path.read_bytes())
    }
    announced = {
        row["arxiv_id"]
        for path in root.glob("arxiv/daily-cs.CV/*.json")
        for row in json.loads(path.read_bytes())["papers"]
        if not row["announce_type"].startswith("replace")
    }
    return sorted(f"arxiv:{ident}" for ident in listed & announced)[:20]


LAUGHS = "".join(f'<!ENTITY {chr(n)} "{f"&{chr(n - 1)};" * 10}">' for n in range(ord("b"), ord("k")))
FAULTS: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "404": {"status": 404},
    "html": {"body": "<!DOCTYPE html><html>Sorry"},
    "half a body": {"truncate": 300},
    "broken json": {"body": "[1, 2"},
    "wrong types": {"body": '[{"paper": 5}, [], null, {"paper": {"title": {}}}]'},
    "nothing": {"body": ""},
    "50 MB": {"body": "[" + " " * 50_000_000},
    "redirect loop": {"status": 302, "headers": {"Location": "/api/daily_papers"}},
    "xml bomb": {
        "body": f'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]><rss version="2.0"><channel><title>&j;</title>'
    },
    "an hour of patience": {"status": 429, "headers": {"Retry-After": "3600"}},
}


@pytest.mark.parametrize("path", ["/api/daily_papers", "/rss/"])
@pytest.mark.parametrize("kind", sorted(FAULTS))
def test_one_broken_service_is_named_and_the_other_ones_papers_go_out(tmp_path: Path, path: str, kind: str) -> None:
    day = date(2026, 4, 20)
    fault = dict(FAULTS[kind])
    if kind == "redirect loop":
        fault["headers"] = {"Location": path + ("cs.CV" if path == "/rss/" else "")}
    with services(day) as (upstream, base), Server().running() as server:
        upstream.faults = [{"path": path, "times": 1000, **fault}]
        config = configured(tmp_path, base, server.port)
        report = run(config, day)
        name, other = ("huggingface", "arxiv") if "api" in path else ("arxiv", "huggingface")
        states = {fetched.source: fetched.state for fetched in report.fetched}
        wrong = kind == "wrong types" and name == "huggingface"
        assert states == {name: "read" if wrong else "failed", other: "read"}
        (_, mail), _ = arrived(server)
        assert len(titles(mail)) == 12
        label = {"huggingface": "Hugging Face", "arxiv": "arXiv"}[name]
        said = f"{label} listed entries that could not be read" if wrong else f"{label} was unavailable today"
        assert said in html_of(mail)
        with open_context(config) as d:
            broken = next(source for source in Statistics(d.db.conn).sources() if source["source"] == name)
        assert broken["state"] == states[name]
        assert broken["errors"] or broken["skipped"]


@contextmanager
def trickle() -> Iterator[str]:
    """A service that sends a byte of its answer now and then, and never the last."""
    stopped = threading.Event()

    def answer(client: socket.socket) -> None:
        with client:
            client.recv(65536)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stopped.wait(0.02):
                try:
                    client.sendall(b" ")
                except OSError:
                    return

    def accept() -> None:
        while not stopped.is_set():
            try:
                threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            stopped.set()


def test_a_trickle_ends_with_the_deadline_and_the_other_source_is_read(tmp_path: Path) -> None:
    day = date(2026, 4, 20)
    with services(day) as (_, base), trickle() as slow, Server().running() as server:
        config = configured(tmp_path, base, server.port)
        broken = replace(config.sources[1], url=f"{slow}/rss/")  # type: ignore[type-var]
        config = replace(config, sources=(config.sources[0], broken))
        report = run_daily(config, day, at(day), Fetcher("a@example.org", sleep=lambda _: None, deadline=1.0))
        assert [fetched.state for fetched in report.fetched] == ["read", "failed"]
        assert "not complete within 1 seconds" in report.fetched[1].errors[0]
        assert len(arrived(server)) == 2


def test_too_many_requests_and_then_an_outage_are_waited_out(tmp_path: Path) -> None:
    day, slept = date(2026, 4, 20), list[float]()
    with services(day) as (upstream, base), Server().running() as server:
        upstream.faults = [
            {"path": "/api/daily_papers", "status": 429, "headers": {"Retry-After": "2"}, "times": 1},
            {"path": "/api/daily_papers", "status": 503, "times": 1},
        ]
        config = configured(tmp_path, base, server.port)
        report = run_daily(config, day, at(day), Fetcher("a@example.org", sleep=slept.append))
        assert [(f.state, f.errors) for f in report.fetched] == [("read", ())] * 2
        assert 2.0 <= slept[0] < 3.0 <= 2 * slept[1]


def test_memory_stays_flat_with_a_body_of_fifty_megabytes(tmp_path: Path) -> None:
    day, code = (
        date(2026, 4, 20),
        (
            "import sys, resource; from pathlib import Path; from datetime import date\n"
            "from digest.config import load; from digest.pipeline.run import run_daily\n"
            "from digest.sources.fetcher import Fetcher\n"
            "from tests.conftest import at\n"
            "day = date(2026, 4, 20)\n"
            "config = load(Path(sys.argv[1]), {})\n"
            "run_daily(config, day, at(day), Fetcher('a@example.org', sleep=lambda _: None))\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        ),
    )
    peaks = []
    for kind in ("404", "50 MB"):
        folder = tmp_path / kind.replace(" ", "")
        folder.mkdir()
        with services(day) as (upstream, base), Server().running() as server:
            upstream.faults = [{"path": "/rss/", "times": 1000, **FAULTS[kind]}]
            config = configured(folder, base, server.port)
            done = subprocess.run(
                [sys.executable, "-c", code, str(config.path)], capture_output=True, text=True, check=True
            )
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 20_000, f"{peaks} KB"


def test_after_four_days_off_one_mail_has_what_was_missed_and_the_rest_follows(tmp_path: Path) -> None:
    friday, thursday = date(2026, 4, 17), date(2026, 4, 23)
    with services(friday) as (upstream, base), Server().running() as server:
        config = configured(tmp_path, base, server.port)
        run(config, friday)
        upstream.today, before = thursday.isoformat(), len(server.taken)
        report = run(config, thursday)
        assert [fetched.state for fetched in report.fetched] == ["read", "read"]
        assert Counter(to for to, _ in server.taken[before:]) == Counter(TO)
        assert all(len(titles(mail)) == 12 for _, mail in arrived(server)[before:])
        listed, announced = missed(upstream, friday, thursday)
        with open_context(config) as d:
            assert all(d.papers.find(ident) for ident in listed | announced)
        for later in (1, 2, 3):
            upstream.today = (thursday + timedelta(later)).isoformat()
            run(config, thursday + timedelta(later))
        mails = [shown(mail) for to, mail in arrived(server) if to == TO[0]]
        assert [len(mail) for mail in mails] == [12] * 5
        assert len({ident for mail in mails for ident in mail}) == 60
        assert listed & set(mails[2]), "what did not fit follows"


def missed(upstream: Any, since: date, until: date) -> tuple[set[str], set[str]]:
    """What Hugging Face listed and arXiv announced after `since` and before `until`."""
    (root,) = upstream.roots
    between = [(since + timedelta(n)).isoformat() for n in range(1, (until - since).days)]
    lists = [p for day in between if (p := root / f"huggingface/daily_papers/{day}.json").exists()]
    batches = [p for day in between if (p := root / f"arxiv/daily-cs.CV/{day}.json").exists()]
    listed = {row["paper"]["id"] for path in lists for row in json.loads(path.read_bytes())}
    announced = {
        row["arxiv_id"]
        for path in batches
        for row in json.loads(path.read_bytes())["papers"]
        if not row["announce_type"].startswith("replace")
    }
    assert listed
    assert announced
    return {f"arxiv:{ident}" for ident in listed}, {f"arxiv:{ident}" for ident in announced}


def test_yesterdays_batch_is_stale_and_filled_later_but_a_weekend_is_quiet(tmp_path: Path) -> None:
    states = []
    with services(date(2026, 4, 20)) as (upstream, base), Server().running() as server:
        config = configured(tmp_path, base, server.port)
        for day, shows in ((20, 20), (21, 20), (22, 22), (23, 23), (24, 24), (25, 25), (26, 26)):
            upstream.today = f"2026-04-{shows}"
            report = run(config, date(2026, 4, day))
            states.append(next(f.state for f in report.fetched if f.source == "arxiv"))
        assert states == ["read", "stale", "read", "read", "read", "read", "read"]
        _, announced = missed(upstream, date(2026, 4, 20), date(2026, 4, 22))
        with open_context(config) as d:
            assert all(d.papers.find(ident) for ident in announced)
        stale = [mail for to, mail in arrived(server) if to == TO[0]][1]
        assert "arXiv has no new papers yet, although some were due; they follow tomorrow." in " ".join(
            html_of(stale).split()
        )


def test_arxiv_is_asked_three_seconds_apart_also_by_two_processes_and_then_conditionally(tmp_path: Path) -> None:
    day = date(2026, 4, 20)
    with services(day) as (upstream, base):
        config = configured(tmp_path, base, 25)
        config.path.write_text(config.path.read_text().replace('["cs.CV"]', '["cs.CV", "cs.LG", "stat.ML"]'))
        command = [sys.executable, "-m", "digest", "-q", "-c", str(config.path)]
        options = ["--date", day.isoformat()]
        started = [
            subprocess.Popen([*command, "fetch", *options]),
            subprocess.Popen([*command, "preview", *options, "-o", str(tmp_path / "p.html")]),
        ]
        assert [process.wait(60) for process in started] == [0, 0]
        asked = sorted(row["time"] for row in upstream.log if row["path"].startswith("/rss/"))
        assert len(asked) == 6
        assert min(later - earlier for earlier, later in pairwise(asked)) >= 3.0
        subprocess.run([*command, "fetch", *options], check=True, timeout=60)
        again = upstream.log[-6:]  # three lists and three categories
        assert {row["status"] for row in again} == {304}
        assert all("if-none-match" in map(str.lower, row["headers"]) for row in again)


def test_a_list_that_grows_during_the_day_is_read_whole(tmp_path: Path) -> None:
    """2025-01-22 had one paper at four in the morning and thirteen two hours later."""
    day, root = date(2025, 1, 22), SHARED / "upstream" / "huggingface"
    early, late = (next(root.glob(f"snapshots/2025-01-22@{mark}*")) for mark in growth(root))
    for snapshot in (early, late):
        (tmp_path / snapshot.stem / "huggingface" / "daily_papers").mkdir(parents=True)
        (tmp_path / snapshot.stem / "huggingface" / "daily_papers" / "2025-01-22.json").write_bytes(
            snapshot.read_bytes()
        )
    with services(day) as (upstream, base), Server().running() as server:
        config = configured(tmp_path, base, server.port, extra="max_papers = 50")
        for today, snapshot in ((day, early), (day + timedelta(1), late)):
            upstream.today, upstream.roots = today.isoformat(), [tmp_path / snapshot.stem]
            run(config, today)
        seen = [paper for to, mail in arrived(server) if to == TO[0] for paper in shown(mail)]
    assert sorted(seen) == sorted({f"arxiv:{row['paper']['id']}" for row in json.loads(late.read_bytes())})
    assert len(seen) == 13


def growth(root: Path) -> list[str]:
    """The marks of the two snapshots of 2025-01-22, the shorter list first."""
    found = sorted(root.glob("snapshots/2025-01-22@*.json"), key=lambda path: len(json.loads(path.read_bytes())))
    return [path.stem.partition("@")[2] for path in found]


def test_a_listing_without_identifiers_is_shown_title_by_title_once(tmp_path: Path) -> None:
    listing = SHARED / "papers" / "listing.jsonl"
    known = [json.loads(line)["title"] for line in listing.read_text().splitlines()]
    workplace = Workplace(tmp_path, digest={"max_papers": 20})
    workplace.papers.write_bytes(listing.read_bytes())
    for later in range(7):
        workplace.run(date(2026, 4, 20) + timedelta(later))
    mails = workplace.mails()["ann@example.org"]
    assert [html_of(mail).count("<h3") for mail in mails] == [20, 20, 20, 20, 17]
    with open_context(workplace.config()) as d:
        numbers = [row[0] for row in d.papers._db.execute("SELECT value FROM editions, json_each(papers)").fetchall()]
        papers = d.papers.load(numbers)
    assert len(numbers) == len(set(numbers)) == len(known) == 97
    assert len({paper.title for paper in papers.values()}) == 97
