"""Web servers that give too much, too slowly or anything at all: time and memory of a run are measured from outside."""

import gzip
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest

from tests.conftest import DATA, Workplace, paper
from tests.web import FEED, Answer, WebServer, always, ok, redirect

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
DEADLINE = 3.0  # seconds for a source
MEGABYTES = 300  # that the run, and any process it starts, may use
RUN = """
import json, sys, time
from datetime import date
from pathlib import Path
from digest.config import load
from digest.pipeline.run import run_daily
from digest.sources.fetcher import Fetcher
from tests.conftest import at
day = date(2026, 4, int(sys.argv[2]))
began = time.monotonic()
fetcher = Fetcher("a@example.org", sleep=lambda _: None, deadline=float(sys.argv[3]))
report = run_daily(load(Path(sys.argv[1]), {}), day, at(day), fetcher)
print(time.monotonic() - began)
print(json.dumps({f.source: [f.state, len(f.sightings), *f.errors] for f in report.fetched}))
"""


class Outcome(dict[str, list[str]]):
    """Of each source: state, number of papers, errors. With the seconds that the run took, and its megabytes."""

    seconds: float
    megabytes: float


def run(place: Workplace, *urls: str, ping: str = "", day: int = 20, kind: str = "feed") -> Outcome:
    """A run with these feeds in a process of its own, which must end in time, with little memory and no traceback."""
    feeds = "".join(f'[[sources]]\ntype = "{kind}"\nname = "web{n}"\nurl = "{url}"\n' for n, url in enumerate(urls))
    place.more = (f'[notify]\nping = "{ping}"\n' if ping else "") + (
        f'[[sources]]\ntype = "file"\npath = "papers.jsonl"\n{feeds}'
    )
    place.lists(*(paper(n) for n in range(1, day + 1)))
    place.config()
    limit = 4 * 2**30  # what fails here must not take the machine with it
    process = subprocess.Popen(
        [sys.executable, "-c", MEASURED, RUN, str(place.path), str(day), str(DEADLINE)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    try:
        said, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    assert process.returncode == 0, errors[-3000:]
    assert "Traceback" not in errors
    took, sources, peak = said.splitlines()
    outcome = Outcome(json.loads(sources))
    outcome.seconds, outcome.megabytes = float(took), float(peak)
    assert outcome["papers"][0] == "read"
    assert outcome.megabytes < MEGABYTES
    assert outcome.seconds < DEADLINE + 5 + (10 if ping else 0), outcome
    return outcome


# The peak of the largest process; that of the parent alone would be that of pytest.
MEASURED = """
import resource, subprocess, sys
done = subprocess.run([sys.executable, "-c", *sys.argv[1:]])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)
sys.exit(done.returncode)
"""


def slowly(start: bytes, piece: bytes, pause: float = 0.02) -> Iterator[bytes]:
    yield start
    for _ in range(10_000):
        time.sleep(pause)
        yield piece


def endless(start: bytes, piece: bytes) -> Iterator[bytes]:
    return chain([start], repeat(piece * (65536 // len(piece))))


HEAD = b"HTTP/1.1 200 OK\r\n"
GZIP = HEAD + b"Content-Encoding: gzip\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
DRIPS: dict[str, tuple[bytes, bytes]] = {
    "headers": (HEAD, b"X: y\r\n"),
    "one header": (HEAD + b"X: ", b"y"),
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "body": (HEAD + b"Content-Length: 1000000\r\n\r\n<rss>", b" "),
    "file name of gzip": (GZIP + b"Content-Length: 1000000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\x03", b"a"),
    "chunk extension": (CHUNKED + b"5;", b"a"),
    "chunks": (CHUNKED, b"1\r\n \r\n"),
    "trailers": (CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(FEED), FEED), b"X: y\r\n"),
    "redirect body": (redirect("/").replace(b"Content-Length: 0", b"Content-Length: 1000000"), b"x"),
}


@pytest.mark.parametrize("names", [list(DRIPS)[::2], list(DRIPS)[1::2]], ids=["one half", "the other half"])
def test_no_drip_outlasts_the_deadline(workplace: Workplace, names: list[str]) -> None:
    with WebServer(
        lambda path: slowly(*DRIPS[names[int(path[1:])] if path != "/" else "redirect body"])
    ).running() as server:
        outcome = run(workplace, *(f"{server.url}/{n}" for n in range(len(names))))
    assert [outcome[f"web{n}"][0] for n in range(len(names))] == ["failed"] * len(names)


BIG = 300 * 2**20


def pack(pieces: Iterable[bytes], wbits: int = 31) -> bytes:
    packer = zlib.compressobj(9, wbits=wbits)
    return b"".join([*map(packer.compress, pieces), packer.flush()])


ZEROS = pack(repeat(bytes(2**20), BIG // 2**20))
ITEM = b"<rss version='2.0'><channel><item><title>T</title><description>%s</description></item></channel></rss>"
ENTITY = b'<?xml version="1.0"?>\n<!DOCTYPE rss [\n<!ENTITY a "%s">\n]>\n' % (b"x" * 50_000)
LAUGHS = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 10))
BOMBS: dict[str, Callable[[], Iterable[bytes]]] = {
    "gzip": lambda: [ok(ZEROS, b"Content-Encoding: gzip")],
    "gzip twice": lambda: [ok(gzip.compress(ZEROS), b"Content-Encoding: gzip, gzip")],
    "gzip in two headers": lambda: [ok(gzip.compress(ZEROS), b"Content-Encoding: gzip", b"Content-Encoding: gzip")],
    "deflate": lambda: [ok(ZEROS[10:-8], b"Content-Encoding: deflate")],
    "after the end of gzip": lambda: endless(GZIP + b"\r\n" + gzip.compress(FEED), b"x" * 4096),
    "endless body": lambda: endless(HEAD + b"\r\n<rss>", b"x" * 4096),
    "endless newlines": lambda: endless(HEAD + b"\r\n", b"\n" * 4096),
    "endless headers": lambda: endless(HEAD, b"X: y\r\n"),
    "endless interim answers": lambda: endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "endless trailers": lambda: endless(CHUNKED + b"0\r\n", b"X: y\r\n"),
    "endless chunk extension": lambda: endless(CHUNKED + b"5;", b"a" * 4096),
    "entity": lambda: [ok(ENTITY + ITEM % (b"&a;" * 16_000))],
    "laughs": lambda: [ok(b'<!DOCTYPE rss [<!ENTITY l0 "ha">' + LAUGHS + b"]>" + ITEM % (b"&l9;" * 100))],
    "entries": lambda: [ok(b"<rss version='2.0'><channel>" + b"<item><title>a" * 500_000)],
    "tags": lambda: [ok(b"<rss version='2.0'><channel><item>" + b"<a>" * 2_500_000)],
    "json lists": lambda: [ok(b"[" + b"[]," * 2_500_000 + b"[]]")],
    "json lists in lists": lambda: [ok(b"[" + (b"[" * 900 + b"]" * 900 + b",") * 4_500 + b"[]]")],
    "json papers": lambda: [ok(b"[" + b'{"title":"a"},' * 500_000 + b'{"title":"a"}]')],
    "deep json": lambda: [ok(b"[" * 7_000_000)],
}


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("kind", ["feed", "huggingface"])
def test_no_bomb_takes_memory_or_time(workplace: Workplace, kind: str, first: int) -> None:
    names = [name for name in BOMBS if ("json" in name) == (kind == "huggingface")][first::4]
    with WebServer(lambda path: BOMBS[names[int(re.findall(r"\d+", path)[0])]]()).running() as server:
        outcome = run(workplace, *(f"{server.url}/{n}" for n in range(len(names))), kind=kind)
    if "after the end of gzip" in names:
        assert outcome[f"web{names.index('after the end of gzip')}"][0] == "read"


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: endless(HEAD + b"\r\n", b"x" * 4096),
        lambda _: slowly(HEAD, b"X: y\r\n"),
        lambda _: endless(redirect("/").replace(b"Content-Length: 0\r\n", b""), b"x" * 4096),
    ],
    ids=["endless body", "dripped headers", "endless redirect"],
)
def test_no_ping_takes_memory_or_time(workplace: Workplace, answer: Answer) -> None:
    with WebServer(answer).running() as server:
        run(workplace, ping=server.url)
    assert server.sent < 64 * 2**20


# ---- fuzzing ---------------------------------------------------------------------------------------------------------

VALUES = [
    *(b"\xb2", b"\xe9", b"", b" ", b"0", b"-1", b"1e9", b"nan", b"9" * 5000, b"99999999999999999999", b"gzip", b"gzip, gzip"),
    *(b"br", b"chunked", b"identity", b"deflate", b"x" * 9000, b'"a"', b"W/\"\xff\"", b"t=\xb2", b"t=1", b'"api";r=0;t=0'),
    *(b"Mon, 20 Apr 2026 10:00:00 GMT", b"Mon, 99 Foo 99999 99:99:99 +99999999999999999999", b"Thu, 01 Jan 1970 00:00:00 -9999"),
    *(b"/", b"//", b"http://a..b/", b"http://" + b"a" * 70 + b"/", b"http://[::1]/", b"http://127.0.0.1:1/", b"ftp://x/"),
    *(b"file:///etc/passwd", b"http://\xff/", b"http://a:b@c:d/", b"?", b"#", b"http://1.1.1.1:99999/", b"\x00", b"a\x01b"),
]  # fmt: skip
NAMES = [
    *(b"ETag", b"Last-Modified", b"Retry-After", b"RateLimit", b"Date", b"Set-Cookie", b"Location", b"Content-Encoding"),
    *(b"Content-Length", b"Transfer-Encoding", b"Connection", b"Content-Type", b"Content-Range", b"X\xff", b"", b"a b"),
]  # fmt: skip
STATUSES = [b"200 OK"] * 12 + [
    b"%d %s" % (s, b"\xe9" * 3) for s in (100, 204, 206, 301, 302, 304, 307, 400, 404, 429, 500, 503)
]
BODIES = [(DATA / name).read_bytes() for name in ("feed_rss2.xml", "feed_rdf.xml", "feed_atom.xml", "feed_rss091.xml")]
PIECES = [
    *(b"<", b">", b"&", b"&#0;", b"&#x110000;", b"<![CDATA[", b"]]>", b"<!DOCTYPE x [", b"<!ENTITY a 'b'>", b"<!--", b"-->"),
    *(b"<?", b"<?xml version='1.0' encoding='utf-7'?>", b"<?xml encoding='punycode'?>", b"\xff\xfe", b"\xfe\xff\0<", b"\0"),
    *(b"<item>", b"</item>", b"<title>", b"&lt;b&gt;", b"\n" * 5000, b"<a " * 5000, b"&amp;" * 3000, b"<b>" * 3000, b"'" * 999),
    *(b"<pubDate>Mon, 99 Foo 99999 99:99:99 +99999999999</pubDate>", b"<link>http://[::1</link>", b"<guid>10.1000/x</guid>"),
    *(b"<author>" + b" " * 9000, b"\x1b[31m", "\u202e".encode(), b"\xed\xa0\x80", b"<content type='xhtml'>", b"<x:y>"),
    *(b"<description>" + b"<i>" * 900, b"<updated>9999999999-99-99T99:99:99Z</updated>", b"<title type='base64'>AAAA====="),
]  # fmt: skip


def mutate(chance: random.Random, body: bytes) -> bytes:
    for _ in range(chance.randint(0, 5)):
        start = chance.randint(0, len(body))
        body = body[:start] + chance.choice(PIECES) + body[start + chance.randint(0, 60) :]
    return body


def any_answer(chance: random.Random) -> Iterator[bytes]:
    """An answer with a few things wrong, from the status line to the last byte."""
    body = mutate(chance, chance.choice(BODIES))
    headers = [(chance.choice(NAMES), chance.choice(VALUES)) for _ in range(chance.randint(0, 4))]
    if chance.random() < 0.3:
        body = gzip.compress(body)[: None if chance.random() < 0.6 else chance.randint(0, 500)]
        body += chance.choice([b"", b"", b"x" * 99, gzip.compress(b"x")])
        headers.append((b"Content-Encoding", b"gzip"))
    if chance.random() < 0.3:
        size = chance.choice([b"%x" % len(body), b"0", b"-1", b"fffffffff", b"zz", b"5;" + b"a" * 999])
        body = size + b"\r\n" + body + chance.choice([b"\r\n0\r\n\r\n", b"", b"\r\n0\r\nX: \xff\r\n\r\n"])
        headers.append((b"Transfer-Encoding", b"chunked"))
    elif chance.random() < 0.7:
        headers.append((b"Content-Length", b"%d" % len(body)))
    status = chance.choice([b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/1.1 ", b"HTTP/9.9 ", b""]) + chance.choice(STATUSES)
    lines = [status, *(b"%s: %s" % header for header in headers)]
    whole = b"\r\n".join([*lines, b"", body])
    if chance.random() < 0.1:
        whole = b"HTTP/1.1 103 Early\r\n\r\n" * chance.randint(1, 5) + whole
    if chance.random() < 0.1:
        start = chance.randint(0, len(whole))
        whole = whole[:start] + chance.choice(VALUES) + whole[start:]
    yield whole


@pytest.mark.parametrize("seed", range(2))
def test_any_answer_is_papers_or_an_error_of_its_source(workplace: Workplace, seed: int) -> None:
    """Twice, so that what was cached is sent back."""
    lock = {n: random.Random(f"{seed} {n}") for n in range(100)}
    answer = lambda path: any_answer(lock[int(re.findall(r"\d+", path)[0]) if re.findall(r"\d+", path) else 0])  # noqa: E731
    with WebServer(answer).running() as server:
        urls = [f"{server.url}/feed/{n}" for n in range(100)]
        states = set()
        for day in (20, 21):
            outcome = run(workplace, *urls, day=day)
            states |= {facts[0] for facts in outcome.values()}
            assert "unexpected" not in json.dumps(outcome), outcome
            assert max(len(error) for facts in outcome.values() for error in map(str, facts)) < 500
    assert states >= {"read", "failed"}


def test_redirects_of_every_kind_end(workplace: Workplace) -> None:
    """Loops, and chains whose every hop is slow."""
    with (
        WebServer(lambda path: [redirect(path + "x")]).running() as longer,
        always(redirect("/")).running() as loop,
        WebServer(lambda _: slowly(b"", redirect("/"), 0.5)).running() as slow,
    ):
        outcome = run(workplace, longer.url, loop.url, slow.url)
    assert [outcome[f"web{n}"][0] for n in range(3)] == ["failed"] * 3
    assert max(len(server.heads) for server in (longer, loop, slow)) <= 7
