"""No text of others is a command to the terminal; data that was asked for is not altered; JSON stays JSON."""

import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from digest.sources import fetcher
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.subscribers import Subscribers
from tests.conftest import MONDAY, Workplace, paper
from tests.delivery.test_smtp import at as answers
from tests.server import Server
from tests.terminal import on_terminal

RED = "\x1b[31m\x9b31m\x7f\u202ered\u2066\r\b"
OBEYED = re.compile("[\0-\b\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
SOURCE = '[[sources]]\ntype = "{}"\nname = "web{}"\nurl = "http://127.0.0.1:{}/"\n'


class Hostile(BaseHTTPRequestHandler):
    """Answers with a reason phrase in bytes that a terminal would obey, or with a body of them."""

    def do_GET(self) -> None:
        self.wfile.write(
            b"HTTP/1.1 404 \x1b[31mred\x9b31m\r\n\r\n"
            if "feed" not in self.path
            else b"HTTP/1.0 200 OK\r\n\r\n\x1b[31m"
        )

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hostile_web() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def digest(place: Workplace, *words: str, stdin: bytes | None = None) -> Result:
    with freeze_time("2026-04-20 05:00:00"):
        return CliRunner().invoke(main, ["-c", str(place.path), *words], input=stdin)


def check(result: Result, *codes: int) -> str:
    assert result.exit_code in codes, result.output
    for stream in (result.stdout_bytes, result.stderr_bytes):
        text = stream.decode("utf-8")
        assert not OBEYED.search(text), repr(OBEYED.search(text))
    return result.output


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    """Papers, sources, a file name and a topic that contain commands for terminals."""
    workplace.papers.write_text(
        "".join(f"{json.dumps(row)}\n" for row in (paper(1, title=f"{RED} paper"), paper(2, abstract=RED, url=RED)))
        + f'{RED}{{"title": broken\n'
    )
    workplace.more = (
        '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'
        f'[[sources]]\ntype = "file"\nname = {json.dumps(RED)}\npath = "{json.dumps(RED)[1:-1]}.jsonl"\n'
        f"[[topics]]\nname = {json.dumps(RED + ' topic')}\nmatch = [{json.dumps(RED)}]\n"
    )
    workplace.config()
    return workplace


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_server_can_send_commands_to_the_terminal(
    place: Workplace, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    monkeypatch.setattr(fetcher, "Fetcher", partial(Fetcher, sleep=lambda _: None))  # before the retries
    words = ("--log-format", form, "-v")
    with hostile_web() as web:
        place.more += SOURCE.format("huggingface", 1, web) + SOURCE.format("feed", 2, f"{web}/feed")
        place.config()
        reply = "550 5.1.1 \x1b]0;owned\x07\x9b31m\x7f no"
        with Server(answers("RCPT", reply)).running() as server:
            smtp = f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\n'
            place.path.write_text(place.path.read_text().replace('[maildir]\npath = "mail"', smtp))
            said = check(digest(place, *words, "run"), 0)
        said += check(digest(place, *words, "doctor"), 2)
    assert "404" in said
    assert "5.1.1" in check(digest(place, "status"), 0)
    document = json.loads(check(digest(place, "status", "--json"), 0))
    assert "404" in json.dumps(document["sources"])
    for command in (("search", "paper"), ("explain", "2604.00001"), ("backtest",), ("run", "--dry-run")):
        assert check(digest(place, *words, *command), 0)
    found = json.loads(check(digest(place, "search", "--json", "paper"), 0))
    assert len(found) == 2


def test_every_log_line_and_error_is_harmless_as_well(place: Workplace) -> None:
    name = f"{RED}\u2028.csv".replace("/", "")
    (place.folder / name).write_text("x\n" + RED + "\n")
    for words, code in (
        (("subscribers", "import", name), 2),
        (("subscribers", "import", str(place.folder / name)), 2),
        (("subscribers", "add", "a@example.org", "--topic", RED), 2),
        (("subscribers", "add", f"{RED}@example.org"), 2),
        (("subscribers", "export", f"{RED}/x"), 2),
        (("preview", "-o", f"{RED}/x"), 2),
        (("backup", f"{RED}/x"), 2),
        (("explain", f"{RED} nothing"), 2),
        (("status", RED), 2),
        (("status", f"--{RED}"), 2),
        ((RED,), 2),
        (("-c", f"{RED}/x", "status"), 2),
        (("--log-format", RED, "status"), 2),
        (("prune", "--older-than", RED), 2),
        (("schedule", "show", "--at", RED), 2),
        (("init", "--to", RED, "new"), 2),
    ):
        check(digest(place, *words), code)
    check(digest(place, "preview", "-o", str(place.folder / f"{RED}.html")), 0)
    check(digest(place, "backup", str(place.folder / f"{RED}.db")), 0)
    place.path.write_text(f"[digest]\n{json.dumps(RED)} = 1\nfrom = {json.dumps(RED)}\n")
    check(digest(place, "run"), 2)
    place.path.write_text(f"[digest]\nfrom = {RED}\n")
    check(digest(place, "run"), 2)
    (place.folder / ".env").write_text(f"{RED}\n")
    check(digest(place, "run"), 2)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("status", RED), "Error: Got unexpected extra argument ("),
        (("subscribers", "import", f"{RED}.csv"), "cannot be read: No such file or directory"),
        (("preview", "-o", f"{RED}/x"), "cannot be written: No such file or directory"),
        (("search", "paper"), "u202e"),
    ],
)
def test_a_real_terminal_gets_no_commands(place: Workplace, words: tuple[str, ...], line: str) -> None:
    """Elsewhere click itself removes some of them."""
    assert digest(place, "-q", "run").exit_code == 0
    with open_database(place.folder / "history.db") as db, db.conn:
        db.execute("UPDATE papers SET title = ?", [f"{RED} paper"])  # as no source would record it
    plain = {**os.environ, "NO_COLOR": "1", "COLUMNS": "1000"}
    code, said = on_terminal(place.folder, 80, ("-c", str(place.path), *words), plain)
    assert code == (0 if words[0] == "search" else 2)
    assert line in said
    assert not OBEYED.search(said.replace("\r\x1b[K", "")), said


# ---- secrets ---------------------------------------------------------------------------------------------------------

WORDS = ("papers", "example.org", "title", "Paper", "active")  # a password, and what is in everything


@pytest.fixture
def common(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Workplace:
    workplace.more = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[[topics]]\nname = "papers"\nmatch = ["x"]\n'
    workplace.lists(paper(1), paper(2, title="All papers of example.org", abstract="title active"))
    workplace.config()
    digest(workplace, "-q", "run")
    digest(workplace, "subscribers", "add", "papers@example.org", "--topic", "papers")
    return workplace


DATA = (
    ("subscribers", "export"),
    ("subscribers", "export", "--format", "json"),
    ("subscribers", "list"),
    ("subscribers", "list", "--format", "csv"),
    ("subscribers", "list", "--json"),
    ("search", "papers"),
    ("search", "papers", "--json"),
    ("explain", "2604.00002"),
    ("backtest",),
    ("run", "--dry-run", "--date", "2026-04-21"),
    ("preview", "-o", "-"),
    ("preview", "-o", "-", "--format", "eml"),
    ("status", "--json"),
    ("doctor", "--json"),
    ("schedule", "show"),
)


@pytest.mark.parametrize("words", DATA, ids=" ".join)
def test_no_password_alters_data(common: Workplace, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    before = digest(common, *words)
    for name, word in zip(("DIGEST_SMTP_PASSWORD", "DIGEST_INBOX_PASSWORD", "HF_TOKEN"), WORDS, strict=False):
        monkeypatch.setenv(name, word)
    after = digest(common, *words)
    if words == ("doctor", "--json"):
        assert [check["name"] for check in json.loads(after.stdout)["checks"]][-2:] == ["source papers", "maildir"]
        return
    assert re.sub(r"# Next run: .*", "", after.stdout) == re.sub(r"# Next run: .*", "", before.stdout)


def test_a_file_is_written_as_it_is_too(common: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGEST_SMTP_PASSWORD", "example.org")
    path = common.folder / "people.csv"
    assert "***" not in path.name
    digest(common, "subscribers", "export", str(path))
    assert path.read_text().count("@example.org") == 2


SECRET = "hunter2-correct-horse"


def test_no_text_in_the_history_brings_a_secret_into_a_message(
    common: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers quoted it in everything that is kept of them."""
    monkeypatch.setenv("DIGEST_SMTP_PASSWORD", SECRET)
    quoted = json.dumps([f"it said {SECRET}"])
    with open_database(common.folder / "history.db") as db, db.conn:
        db.execute("UPDATE fetches SET errors = ?, skipped = ?, late = ?", [quoted] * 3)
        db.execute("UPDATE runs SET summary = json_set(summary, '$.stopped', ?)", [f"it said {SECRET}"])
        db.execute("UPDATE deliveries SET state = 'refused', reply = ?", [f"550 {SECRET}"])
        db.execute("INSERT INTO mailboxes (name, cursor, failing, problem) VALUES ('m', '', '2026', ?)", [SECRET])
        Subscribers(db, b"x").record_bounce(
            Subscribers(db, b"x").by_address("ann@example.org"), MONDAY, hard=True, why=SECRET
        )
    text, document = digest(common, "status").stdout, digest(common, "status", "--json").stdout
    assert SECRET not in text + document
    assert text.count("***") >= 5
    assert_redacted(json.loads(document))


def assert_redacted(document: dict[str, Any]) -> None:
    source, queue = document["sources"][0], document["queue"]
    assert (source["errors"], source["skipped"], source["late"]) == (["it said ***"],) * 3
    assert (queue["problems"][0]["reply"], document["inbox"][0]["problem"]) == ("550 ***", "***")
    assert document["runs"][0]["summary"]["stopped"] == "it said ***"


def test_the_secrets_of_a_configuration_to_compare_are_secrets_too(
    common: Workplace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other: Path = tmp_path_factory.mktemp("other") / "config.toml"
    other.write_text(common.path.read_text() + '[inbox]\nhost = "\x7f"\n')
    (other.parent / ".env").write_text(f"HF_TOKEN={SECRET}\n")
    other.write_text(common.path.read_text().replace('"papers"', f'"papers {SECRET}"') + f"[x-{SECRET}]\n")
    result = digest(common, "backtest", "--config", str(other))
    assert (result.exit_code, "***" in result.stderr, SECRET in result.stderr) == (2, True, False)
