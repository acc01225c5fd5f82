"""Whatever a web server answers is a page or one error of its source; the run goes on, and nothing leaks."""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import pytest
from click.testing import CliRunner, Result

from digest.cli import main
from tests.conftest import Workplace, html_of, paper, text_of
from tests.web import FEED, Network, WebServer, always, ok, redirect

FILE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'


def numbered(answers: Sequence[bytes]) -> WebServer:
    """A server with the answers at /0, /1 and so on."""
    return WebServer(lambda path: [answers[int(path[1:])] if path[1:].isdigit() else ok()])


def urls(server: WebServer, count: int) -> list[str]:
    return [f"{server.url}/{n}" for n in range(count)]


@dataclass
class Site:
    """A workplace with one intact source, and feeds that are hostile."""

    place: Workplace

    def run(self, *urls: str, day: int = 20, command: str = "fetch", options: tuple[str, ...] = ()) -> Result:
        feeds = "".join(f'[[sources]]\ntype = "feed"\nname = "web{n}"\nurl = "{url}"\n' for n, url in enumerate(urls))
        self.place.more = FILE + feeds
        self.place.lists(*(paper(n) for n in range(1, day + 1)))
        self.place.config()
        return CliRunner().invoke(
            main, ["-c", str(self.place.path), *options, command, "--date", f"2026-04-{day}"], catch_exceptions=False
        )

    def sources(self) -> dict[str, dict[str, object]]:
        document = json.loads(CliRunner().invoke(main, ["-c", str(self.place.path), "status", "--json"]).stdout)
        return {source["source"]: source for source in document["sources"]}

    def states(self) -> list[object]:
        return [source["state"] for name, source in self.sources().items() if name.startswith("web")]

    def error(self, name: str = "web0") -> str:
        errors = self.sources()[name]["errors"]
        assert isinstance(errors, list)
        assert len(errors) == 1, errors
        return str(errors[0])

    def answers(self) -> list[tuple[str, str]]:
        with closing(sqlite3.connect(self.place.folder / "history.db")) as db:
            return db.execute("SELECT etag, modified FROM answers").fetchall()


@pytest.fixture
def site(workplace: Workplace) -> Site:
    return Site(workplace)


# ---- headers (2, 3) --------------------------------------------------------------------------------------------------


def test_a_validator_that_cannot_be_sent_back_is_not_kept(site: Site) -> None:
    headers = [b'ETag: "\xe9"', b"Last-Modified: \xb2", b'ETag: "a\x01"', b"ETag: " + b"x" * 3000]
    with numbered([ok(FEED, header) for header in headers]).running() as server:
        for day in (20, 21):
            assert site.run(*urls(server, len(headers)), day=day).exit_code == 0
            assert site.states() == ["read"] * len(headers)
    assert len(server.heads) == 2 * len(headers)
    assert not re.search("(?i)if-(none|modified)", "".join(server.heads))


@pytest.mark.parametrize(("column", "value"), [("etag", '"\xe9"'), ("modified", "\xb2"), ("packed", b"damaged")])
def test_a_cached_response_that_cannot_be_used_is_replaced(site: Site, column: str, value: object) -> None:
    with always(ok(FEED, b'ETag: "a"', b"Last-Modified: b")).running() as server:
        site.run(server.url)
        with closing(sqlite3.connect(site.place.folder / "history.db")) as db, db:
            db.execute(f"UPDATE answers SET {column} = ?", [value])  # noqa: S608
        assert site.run(server.url, day=21).exit_code == 0
        assert site.sources()["web0"]["state"] == "read"
        assert site.answers() == [('"a"', "b")]
        site.run(server.url, day=22)
    assert ("If-None-Match" in server.heads[1], "If-None-Match" in server.heads[2]) == (column == "modified", True)
    assert server.heads[1].isascii()


WEIRD = [
    b"HTTP/1.1 404 No\r\nRetry-After: \xb2\r\n\r\n",
    b"HTTP/1.1 404 No\r\nRetry-After: 1\xb2\r\n\r\n",
    b"HTTP/1.1 404 No\r\nRetry-After: " + b"9" * 5000 + b"\r\n\r\n",
    b"HTTP/1.1 503 No\r\nRetry-After: 999999999999\r\n\r\n",
    b"HTTP/1.1 404 No\r\nSet-Cookie: sid=\xe9\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nSet-Cookie: sid=\xe9\r\nLocation: /5\r\n\r\n",
    *(redirect(to) for to in ("http://a..b/", f"http://{'a' * 70}/", f"http://{'a.' * 200}b/")),
    *(redirect(to) for to in ("http://a:99999/", "http://xn--a/", "file:///etc/passwd", "x:y", "http://127.0.0.1:1/")),
    *(redirect(to) for to in ("http://a b/", "http://a%00b/", "http://[::1", "http://user:pass@/", "http://-a-/")),
    redirect("x" * 9000),
]  # fmt: skip


def test_weird_headers_are_an_error_of_their_source_alone(site: Site) -> None:
    with numbered(WEIRD).running() as server:
        result = site.run(*urls(server, len(WEIRD)), command="run")
    assert result.exit_code == 0, result.output
    assert site.states() == ["failed"] * len(WEIRD)
    assert site.sources()["papers"]["state"] == "read"
    assert "unexpected" not in str(site.sources())


def test_an_unreadable_wait_is_no_wait(site: Site) -> None:
    zone, monday = b"Mon, 20 Apr 2026 10:00:00 +99999999999999999999", b"Mon, 20 Apr 2026 10:00:00 GMT"
    headers = [
        *(b"RateLimit: t=\xb2", b"Retry-After: " + zone, b"Retry-After: " + monday + b"\r\nDate: " + zone),
        *(b"Retry-After: " + monday + b"\r\nDate: Mon, 20 Apr 2026 10:00:00 -0000", b"Retry-After: -1"),
    ]
    busy = [b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n" for header in headers]
    answers = {f"/{n}": iter([answer, ok()]) for n, answer in enumerate(busy)}
    with WebServer(lambda path: [next(answers[path])]).running() as server:
        result = site.run(*urls(server, len(headers)))
    assert result.exit_code == 0, result.output
    assert site.states() == ["read"] * len(headers)


def test_a_cookie_is_not_sent_back(site: Site) -> None:
    with WebServer(
        lambda path: [redirect("/x").replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=b\r\n\r\n") if path == "/" else ok()]
    ).running() as server:
        assert site.run(f"{server.url}/").exit_code == 0
    assert server.paths == ["/", "/x"]
    assert "cookie" not in "".join(server.heads).lower()


# ---- what reaches whom (9) -------------------------------------------------------------------------------------------


def test_no_secret_of_an_address_and_no_word_of_a_server_reaches_a_reader_or_the_operator(site: Site) -> None:
    phishing = b"Your mailbox is full, visit http://phish.example/ " + b"x" * 60_000
    with (
        always(b"HTTP/1.1 404 " + phishing + b"\r\n\r\n").running() as wordy,
        always(ok(b"phish.example " * 999)).running() as garbage,
        always(redirect("http://phish.example:1/phish.example")).running() as away,
    ):
        addresses = [
            f"{server.url}/path-key?api_key=hunter2".replace("//", "//user:passw0rd@")
            for server in (wordy, garbage, away)
        ]
        result = site.run(*addresses, command="run", options=("-v",))
    assert result.exit_code == 0
    (mail,) = site.place.mails()["ann@example.org"]
    for text in (text_of(mail), html_of(mail)):
        assert not re.search("phish|mailbox is full|path-key|hunter2|passw0rd|user:|127.0.0.1", text)
    assert len(text_of(mail)) < 5_000
    said = result.output + json.dumps(site.sources())
    assert "404 Not Found" in site.error("web0")
    assert not re.search("mailbox is full|hunter2|passw0rd|user:", said)
    assert max(map(len, said.splitlines())) < 10_000
    assert "phish" not in said


def test_credentials_in_an_address_are_sent_to_its_host_only(site: Site) -> None:
    with always(ok()).running() as other, always(redirect(f"http://localhost:{other.port}/")).running() as server:
        assert site.run(server.url.replace("//", "//user:p%40ss@")).exit_code == 0
        assert site.sources()["web0"]["state"] == "read"
    assert "Authorization: Basic dXNlcjpwQHNz" in server.heads[0]
    assert "authorization" not in other.heads[0].lower()


# ---- redirects into a private network (10) ---------------------------------------------------------------------------

PUBLIC, OTHER = "93.184.215.14", "1.1.1.1"
INSIDE = """
    127.0.0.1 127.9.9.9 10.0.0.1 192.168.1.1 172.16.0.1 169.254.169.254 100.64.0.1 0.0.0.0 224.0.0.1 ::1 :: fd00::1
    fe80::1 ::ffff:10.0.0.1 64:ff9b::10.0.0.1 2002:a00:1::1
""".split()


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


@pytest.fixture
def secret() -> Iterator[WebServer]:
    with always(ok(b"the secret of an inner server")).running() as server:
        yield server


def wire(network: Network, first: WebServer, inner: WebServer) -> None:
    network.names.update({"feed.example.com": [[PUBLIC]]})
    network.routes.update({PUBLIC: first.port, **dict.fromkeys(INSIDE, inner.port)})


@pytest.mark.parametrize("named", [False, True])
def test_no_redirect_leads_into_a_private_network(site: Site, network: Network, secret: WebServer, named: bool) -> None:
    network.names |= {f"inner{n}.example.com": [[address]] for n, address in enumerate(INSIDE)}
    literal = [f"[{address}]" if ":" in address else address for address in INSIDE]
    hosts = [f"inner{n}.example.com" for n in range(len(INSIDE))] if named else [*literal, "localhost", "x.localhost."]
    with numbered([redirect(f"http://{host}/latest/meta-data") for host in hosts]).running() as first:
        wire(network, first, secret)
        result = site.run(*(f"http://feed.example.com/{n}" for n in range(len(hosts))))
    assert secret.heads == []
    assert "the secret" not in result.output + str(site.sources())
    assert str(site.sources()).count("redirected into a private network, which is not followed") == len(hosts)


def test_a_name_that_changes_its_address_leads_nowhere_else(site: Site, network: Network, secret: WebServer) -> None:
    network.names["rebound.example.com"] = [[OTHER], ["127.0.0.1"]]
    with always(redirect("http://rebound.example.com/")).running() as first, always(ok()).running() as good:
        wire(network, first, secret)
        network.routes[OTHER] = good.port
        site.run("http://feed.example.com/feed")
    assert (secret.heads, len(good.heads)) == ([], 1)
    assert network.connected == [PUBLIC, OTHER]


def test_a_private_mirror_may_redirect_within_its_network(site: Site) -> None:
    with always(ok()).running() as second, always(redirect(f"http://localhost:{second.port}/")).running() as first:
        site.run(first.url)
    assert site.sources()["web0"]["state"] == "read"


def test_a_public_server_may_redirect_to_another_one(site: Site, network: Network, secret: WebServer) -> None:
    network.names["www.example.com"] = [["10.0.0.1", OTHER]]
    with always(redirect("http://www.example.com/")).running() as first, always(ok()).running() as good:
        wire(network, first, secret)
        network.routes[OTHER] = good.port
        site.run("http://feed.example.com/feed")
    assert (site.sources()["web0"]["state"], secret.heads) == ("read", [])


# ---- offline ---------------------------------------------------------------------------------------------------------


def test_offline_is_one_sentence_and_the_details_are_in_status(site: Site, network: Network) -> None:
    network.names |= {host: [[]] for host in ("huggingface.co", "rss.arxiv.org", "feed.example.com")}
    site.place.more = """
        [[sources]]
        type = "huggingface"
        [[sources]]
        type = "arxiv"
        categories = ["cs.LG", "cs.CV"]
        [[sources]]
        type = "feed"
        url = "http://feed.example.com/"
        """
    site.place.config()
    result = CliRunner().invoke(main, ["-c", str(site.place.path), "run", "--date", "2026-04-20"])
    assert (result.exit_code, result.stdout) == (3, "")
    sentence = "no source could be reached: this machine seems to be offline; the next run tries again"
    assert result.stderr == f"digest: {sentence}\n"
    errors = site.sources()["arxiv"]["errors"]
    assert errors == [
        "category cs.LG: the name rss.arxiv.org cannot be resolved: Temporary failure in name resolution",
        "category cs.CV: not requested: the server cannot be reached",
    ]


# ---- what feeds hold (5, 6) ------------------------------------------------------------------------------------------

ITEM = b"<item><title>A paper on tides</title>%s</item>"
RSS = b"<rss version='2.0' xmlns:dc='http://purl.org/dc/elements/1.1/'><channel>%s</channel></rss>"
SMALL = 2**20
NAMES = b" ".join(b"a%d" % n for n in range(40_000))


SLOW = {
    "newlines": b"\n" * SMALL + RSS % (ITEM % b""),
    "declaration": b"<?xml version='1.0'?>" + b" \n" * SMALL + RSS % (ITEM % b""),
    "doctype": b"<!DOCTYPE rss" + b"\n" * SMALL + b">" + RSS % (ITEM % b""),
    "doctypes": b"<!DOCTYPE\n" * 50_000 + b">" + RSS % (ITEM % b""),
    "tags": RSS % (ITEM % (b"<description>&lt;p&gt;" + b"&lt;a " * 60_000 + b"&lt;/p&gt;</description>")),
    "attributes": RSS % (ITEM % (b"<description>&lt;a " + NAMES + b"&gt;</description>")),
    "spaces": RSS % (ITEM % (b"<dc:creator>A" + b" " * 300_000 + b"B</dc:creator>")),
    "mails": RSS % (ITEM % (b"<author>" + b"a@" * 100_000 + b"</author>")),
    "doi": RSS % (ITEM % (b"<link>https://x.org/10.1000/a" + b".full.pdf" * 50_000 + b"!</link>")),
}


def test_a_feed_that_was_made_to_be_slow_is_read(site: Site) -> None:
    """Each took the parsers minutes."""
    with numbered([ok(body) for body in SLOW.values()]).running() as server:
        site.run(*urls(server, len(SLOW)))
    assert dict(zip(SLOW, site.states(), strict=True)) == dict.fromkeys(SLOW, "read"), site.sources()


DTDS = [
    '<!DOCTYPE rss [<!ENTITY a "EXPANDED"><!ENTITY b "&a;&a;">]>',
    '<!DOCTYPE rss [\n<!ENTITY b "EXPANDED">\n]>',
    '<!DOCTYPE rss [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    '<!-- <rss> --><!DOCTYPE rss [<!-- ]> --> <!ENTITY b "EXPANDED">]>',
]


def test_no_entity_of_a_document_is_expanded(site: Site) -> None:
    bodies = []
    for encoding in ("utf-8", "utf-16", "utf-7"):
        for dtd in DTDS:
            item = RSS % (ITEM % b"<author>x &b;</author>")
            bodies.append(f"<?xml version='1.0' encoding='{encoding}'?>\n{dtd}\n{item.decode()}".encode(encoding))
    with numbered([ok(body) for body in bodies]).running() as server:
        site.run(*urls(server, len(bodies)))
    found = CliRunner().invoke(main, ["-c", str(site.place.path), "search", "--json", "tides"]).stdout
    assert "EXPANDED" not in found
    assert "root:" not in found
    assert str(site.sources()).count("declares entities") >= 2 * len(DTDS)


def test_a_document_type_without_entities_is_fine(site: Site) -> None:
    rdf = b'<!DOCTYPE rdf:RDF [\n<!ENTITY % HTMLlat1 PUBLIC "-//W3C//x" "http://www.w3.org/x.ent">\n%HTMLlat1;\n]>'
    bodies = [
        b"<?xml version='1.0'?><!-- a --><?b c?>\n" + dtd + RSS % (ITEM % b"") for dtd in (rdf, b"<!DOCTYPE rss>")
    ]
    with numbered([ok(body) for body in bodies]).running() as server:
        site.run(*urls(server, len(bodies)))
    assert site.states() == ["read"] * len(bodies)
