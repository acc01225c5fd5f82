"""`digest doctor`: every problem caused for real, a healthy installation, and no file changed."""

import json
import os
import re
import shutil
import socket
import sqlite3
import ssl
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlite_utils import Database, Migrations

from digest.cli import main
from digest.config import Config, load
from digest.delivery import SmtpSettings
from digest.errors import HistoryError
from digest.operations.checks import Check, Mark, format_check
from digest.operations.doctor import check_clock, check_disk_space, check_schedule, check_source, run_checks
from digest.operations.doctor_mail import check_delivery
from digest.operations.schedule import ScheduledRun
from digest.pipeline.run import fetch_only
from digest.settings import Secret
from digest.sources import Fetched, PreviousRuns
from digest.sources.fetcher import Fetcher
from digest.store import database
from digest.store.database import migrations, open_read_only
from tests.conftest import MONDAY, Workplace, at, html_of, paper, text_of
from tests.delivery.test_smtp import SECRET, STARTTLS
from tests.delivery.test_smtp import at as answers
from tests.machine import processes, programs
from tests.server import DROP, STALL, Answer, Server
from tests.system.test_faults import UNPRIVILEGED

NOW = datetime.now().astimezone()


@pytest.fixture
def place(workplace: Workplace, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A healthy installation that has run once and is scheduled, as current folder and home."""
    monkeypatch.chdir(workplace.folder)
    programs(tmp_path_factory.mktemp("bin"), monkeypatch)
    monkeypatch.setenv("HOME", str(workplace.folder))
    for name in ("DIGEST_CONFIG", "DIGEST_SMTP_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    workplace.lists(paper(1, upvotes=3), paper(2, upvotes=4))
    workplace.run(MONDAY)
    assert digest("schedule", "install").exit_code == 0
    return workplace


DAILY = ScheduledRun("crontab", "07:30 UTC, every day", NOW, "")


def run_doctor(place: Workplace) -> dict[str, Check]:
    checks = run_checks(place.config(), NOW, Fetcher("digest@example.org", sleep=lambda _: None), [DAILY])
    return {check.name: check for check in checks}


def digest(*words: str) -> Result:
    return CliRunner().invoke(main, words)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_healthy_installation_passes_every_check(place: Workplace) -> None:
    result = digest("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line[:2] for line in result.stdout.splitlines()] == ["✓ "] * 8
    names = [line[2:20].strip() for line in result.stdout.splitlines()]
    assert names == [
        *("configuration", "secrets", "templates", "database", "clock", "schedule", "source papers", "maildir"),
    ]
    assert "2 papers, intact" in result.stdout


def test_it_changes_no_file(place: Workplace) -> None:
    before = contents(place.folder)
    assert digest("doctor").exit_code == 0
    assert contents(place.folder) == before


def test_before_the_first_run_it_creates_neither_database_nor_secret_nor_mail(place: Workplace) -> None:
    for path in [*place.folder.glob("history.db*")]:
        path.unlink()
    shutil.rmtree(place.folder / "mail")
    before = contents(place.folder)
    checks = run_doctor(place)
    assert {check.mark for check in checks.values()} == {Mark.OK}
    assert "none yet, the first run creates it" in checks["database"].message
    assert {*contents(place.folder)} == {*before}
    assert not (place.folder / "mail").exists()


def test_a_group_may_share_the_configuration(place: Workplace) -> None:
    place.path.chmod(0o664)
    assert run_doctor(place)["secrets"].mark is Mark.OK


def test_a_missing_database_is_not_created(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be used"), open_read_only(tmp_path / "history.db"):
        pass
    assert list(tmp_path.iterdir()) == []


# --- Problems: how to cause each, and what the check says


def set_delivery(place: Workplace, table: str, to: str = "ann@lab.edu") -> None:
    """Another way of delivery than the Maildir."""
    text = place.path.read_text().replace('[maildir]\npath = "mail"', table).replace("ann@example.org", to)
    place.path.write_text(text)
    place.config = lambda: load(place.path, {})  # type: ignore[method-assign]


def override_template(place: Workplace, name: str, text: str) -> None:
    (place.folder / "mine").mkdir()
    (place.folder / "mine" / name).write_text(text)
    place.digest = {"templates": "mine"}


def execute(place: Workplace, *statements: str) -> None:
    with closing(sqlite3.connect(place.folder / "history.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def corrupt_database(place: Workplace) -> None:
    path = place.folder / "history.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'deliveries'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    good = path.read_bytes()
    path.write_bytes(good[: (root - 1) * size] + b"\xff" * size + good[root * size :])


def replace_with_other_database(place: Workplace) -> None:
    (place.folder / "history.db").unlink()
    execute(place, "CREATE TABLE wine (year INTEGER)")
    (place.folder / "history.db").chmod(0o600)


def replace_with_folder(place: Workplace) -> None:
    for path in place.folder.glob("history.db*"):
        path.unlink()
    (place.folder / "history.db").mkdir()


def replace_maildir_with_file(place: Workplace) -> None:
    shutil.rmtree(place.folder / "mail")
    (place.folder / "mail").write_text("not a folder")


def append_line(place: Workplace, line: str) -> None:
    place.papers.write_text(place.papers.read_text() + line)


def secret(place: Workplace) -> Path:
    return place.folder / "history.db.secret"


def write(name: str, text: str, mode: int) -> Callable[[Workplace], None]:
    def make(place: Workplace) -> None:
        (place.folder / name).write_text(text)
        (place.folder / name).chmod(mode)

    return make


@dataclass(frozen=True)
class Case:
    name: str
    make: Callable[[Workplace], object]
    mark: Mark
    message: str
    fix: str = ""


OK, FAIL, WARN = Mark.OK, Mark.FAIL, Mark.WARN
CASES = [
    Case("secrets", write(".env", "X=1\n", 0o644), FAIL, "other users on this machine can access .env (-rw-r--r--)", "chmod 600 "),
    Case("secrets", lambda p: (p.folder / "history.db").chmod(0o640), FAIL, "history.db (-rw-r-----)", "history.db"),
    Case("secrets", lambda p: secret(p).chmod(0o604), FAIL, "history.db.secret (-rw----r--)", "chmod 600 "),
    Case("secrets", lambda p: secret(p).unlink(), WARN, "history.db.secret is missing", "restore history.db.secret from a backup"),
    Case("secrets", lambda p: secret(p).write_text("hm"), FAIL, "its content is invalid", "restore it from a backup"),
    Case("secrets", lambda p: secret(p).write_text("ab"), FAIL, "is too short", "restore it from a backup"),
    Case("secrets", lambda p: p.path.chmod(0o666), FAIL, "every user on this machine can change config.toml", "chmod o-w "),
    Case("templates", lambda p: override_template(p, "digest.txt", "{{ unsubscribe_link }}\n{% if"), FAIL, "mine/digest.txt, line 2: ", "fix that"),
    Case("templates", lambda p: override_template(p, "_paper.html", "\n{{ paper.titel }}"), FAIL, "mine/_paper.html, line 2: "),
    Case("templates", lambda p: override_template(p, "digest.txt", "{{ unsubscribe_link }}{{ edition.top.title }}"), FAIL, "mine/digest.txt, line 1: "),
    Case("templates", lambda p: override_template(p, "digest.txt", "\n{{ ''.__class__ }}"), FAIL, "mine/digest.txt, line 2: access to attribute '__class__'", "delete the file"),
    Case("templates", lambda p: override_template(p, "digest.html", "{% include 'digest.html' %}"), FAIL, "mine/digest.html, line 1: it includes or calls itself", "delete the file"),
    Case("templates", lambda p: override_template(p, "digest.txt", "{% for _ in range(10**12) %}{% endfor %}"), FAIL, "mine/digest.txt, line 1: "),
    Case("templates", lambda p: override_template(p, "digest.html", ""), FAIL, "mine/digest.html: "),
    Case("templates", lambda p: override_template(p, "subject.txt", "Mine"), OK, "1 custom (subject.txt), without access to files"),
    Case("templates", lambda p: override_template(p, "digest.htm", "x"), WARN, "mine has the name of a template", "digest.html"),
    Case("templates", lambda p: override_template(p, "digest.txt", "hello"), WARN, "digest.txt has no unsubscribe link", "{{ unsubscribe_link }}"),
    Case("templates", lambda p: override_template(p, "digest.html", "<p>hello"), WARN, "digest.html has no unsubscribe link", "{{ unsubscribe_link }}"),
    Case("templates", lambda p: override_template(p, "digest.html", "<p>{{ unsubscribe_link }}" + "long " * 30_000), WARN, "Gmail hides", "shorten"),
    Case("database", write("history.db", "hello, I am a text\n" * 1000, 0o600), FAIL, "not a database, or damaged", "restore a backup"),
    Case("database", corrupt_database, FAIL, "it is damaged", "restore a backup"),
    Case("database", replace_with_other_database, FAIL, "it belongs to another program", "name another file"),
    Case("database", replace_with_folder, FAIL, "is not a file that you can read and write", "check its permissions"),
    Case("database", lambda p: execute(p, "INSERT INTO public_papers VALUES (77, 88, 1)"), FAIL, "2 rows refer to deleted ones"),
    Case("database", lambda p: execute(p, "DELETE FROM fragments WHERE id = 1"), WARN, "the text of past mail is damaged", "restore a backup"),
    Case("database", lambda p: execute(p, "UPDATE editions SET fragments = 'x'"), WARN, "the text of past mail is damaged", "restore a backup"),
    Case("database", lambda p: execute(p, "UPDATE fragments SET html = html || '.'", "UPDATE deliveries SET state = 'pending'"), FAIL, "mail is damaged, which is not sent: that of", "restore a backup"),
    Case("database", lambda p: execute(p, "INSERT INTO _sqlite_migrations VALUES (99, 'digest', 'later', '')"), FAIL, "written by a newer version of digest", "upgrade"),
    Case("clock", lambda p: os.utime(p.folder / "history.db", (4e9, 4e9)), FAIL, "the clock went back", "timedatectl"),
    Case("clock", lambda p: p.run((NOW + timedelta(3)).date()), WARN, "which is in the future: its --date was", "nothing to do if"),
    Case("source papers", lambda p: p.papers.unlink(), FAIL, "the file cannot be read: No such file", "check its url or path"),
    Case("source papers", lambda p: p.papers.write_text("{broken"), FAIL, "no line holds a paper"),
    Case("source papers", lambda p: append_line(p, "{broken\n"), WARN, "2 papers; 1 entry skipped: line 3: it is not JSON"),
    Case("delivery", lambda p: set_delivery(p, ""), FAIL, "smtp: is missing", "write [smtp] with host"),
    Case("delivery", lambda p: set_delivery(p, '[smtp]\nhost = "h"\nusername = "u"'), FAIL, "there is no password", "DIGEST_SMTP_PASSWORD"),
    Case("maildir", replace_maildir_with_file, FAIL, "cannot be written to: Not a directory", "maildir.path"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{case.name}: {case.message[:40]}" for case in CASES])
def test_a_problem_is_reported_with_its_fix_and_hides_no_other_check(place: Workplace, case: Case) -> None:
    case.make(place)
    checks = run_doctor(place)
    check = checks[case.name]
    assert (check.mark, case.message in check.message, case.fix in check.fix) == (case.mark, True, True), check
    assert len(checks) >= 7
    others = {check.name for check in checks.values() if check.mark is not Mark.OK} - {case.name, "domain"}
    assert not others, [checks[name] for name in others]


def test_an_older_database_is_no_problem_and_is_not_migrated(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    newer = Migrations("digest")
    for migration in migrations().pending(Database(memory=True)):
        newer(name=migration.name)(migration.fn)
    newer(name="yet to come")(lambda db: db.execute("ALTER TABLE papers ADD COLUMN later TEXT"))
    monkeypatch.setattr(database, "migrations", lambda: newer)
    before = (place.folder / "history.db").read_bytes()
    checks = run_doctor(place)
    assert checks["database"].mark is Mark.OK
    assert "the next run upgrades it" in checks["database"].message
    assert (place.folder / "history.db").read_bytes() == before


@pytest.mark.parametrize(
    ("size", "room", "mark"),
    [
        (1, 49, Mark.FAIL),
        (1, 499, Mark.WARN),
        (1, 501, Mark.OK),
        (10_000, 19_999, Mark.WARN),
        (10_000, 20_001, Mark.OK),
    ],
)
def test_a_disk_should_have_room_for_the_database_twice(size: int, room: int, mark: Mark) -> None:
    assert Check.of("database", "", check_disk_space(size * 10**6, room * 10**6)).mark is mark


@pytest.mark.slow
@pytest.mark.skipif(
    bool(UNPRIVILEGED) and not shutil.which("setpriv"), reason="root may write everywhere, without setpriv"
)
@pytest.mark.parametrize("block", ["file", "folder", "nothing there yet", "hidden"])
def test_missing_write_permission_is_reported(place: Workplace, block: str) -> None:
    for path in place.folder.glob("history.db*"):
        path.chmod(0o400 if block == "file" else 0o600)
        if block == "nothing there yet":
            path.unlink()
    if block == "hidden":
        place.digest = {"database": "hidden/history.db"}
        place.run(MONDAY)
        (place.folder / "hidden").chmod(0)
    place.folder.chmod(0o755 if block in ("file", "hidden") else 0o555)
    done = subprocess.run([*UNPRIVILEGED, sys.executable, "-m", "digest", "doctor"], capture_output=True, text=True)
    place.folder.chmod(0o755)
    if block == "hidden":
        (place.folder / "hidden").chmod(0o755)
    assert (done.returncode, "1 of 8 checks failed: database" in done.stderr) == (2, True), done
    assert "✗ database" in done.stdout


def test_the_time_is_shown_in_the_time_zones_of_the_digest_and_of_cron(place: Workplace) -> None:
    place.digest = {"timezone": "Asia/Kolkata"}
    now = datetime(2090, 4, 20, 22, 30, tzinfo=UTC)
    check = check_clock(place.config(), now, readable=True)
    assert check.message == "Friday 21 April 2090, 04:00 in Asia/Kolkata; cron uses this machine's time, 22:30 (UTC)"
    long_ago = check_clock(place.config(), datetime(1970, 1, 1, tzinfo=UTC), readable=True)
    assert (long_ago.mark, "the clock is wrong: it says 1970-01-01 00:00" in long_ago.message) == (Mark.FAIL, True)


# --- Sources


PAST = PreviousRuns(None, date(2026, 4, 17), 3)
STATES = [
    (Fetched("x", errors=("a", "b"), previous=PAST), Mark.FAIL, "a (and 1 more); last read 2026-04-17"),
    (Fetched("x", errors=("a",), read=1), Mark.WARN, "partly read: reachable, but it lists no papers now; a"),
    (Fetched("x", read=1, stale=("cs.LG",)), Mark.WARN, "cs.LG still shows an earlier day's papers"),
    (Fetched("x", read=1, empty=("cs.LG", "cs.CV")), Mark.WARN, "although new papers are due (and 1 more)"),
    (Fetched("x", read=1), Mark.OK, "reachable, but it lists no papers now"),
]


@pytest.mark.parametrize(("fetched", "mark", "message"), STATES)
def test_the_state_of_a_source_decides_its_mark(fetched: Fetched, mark: Mark, message: str) -> None:
    check = check_source(fetched)
    assert (check.name, check.mark, message in check.message) == ("source x", mark, True)


@contextmanager
def website(pages: Mapping[str, bytes]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Serves `pages` on a free port, everything else is 404; yields its address and the (path, If-None-Match) asked."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers.get("If-None-Match", "")
            asked.append((self.path, known))
            body = pages.get(self.path, b"")
            self.send_response(304 if known else 200 if self.path in pages else 404)
            self.send_header("ETag", '"one"')
            self.send_header("Content-Length", "0" if known else str(len(body)))
            self.end_headers()
            self.wfile.write(b"" if known else body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


FEED = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>x</title><item><title>On trees</title>
<link>https://example.org/1</link><description>They grow, slowly, and then they stop.</description>
<pubDate>Mon, 20 Apr 2026 06:00:00 GMT</pubDate></item></channel></rss>"""


def test_sources_are_fetched_with_the_cache_of_earlier_runs_and_nothing_is_recorded(place: Workplace) -> None:
    with website({"/feed.xml": FEED}) as (base, asked):
        feeds = (
            f'[[sources]]\ntype = "feed"\nname = "{name}"\nurl = "{base}/{name}.xml"\n' for name in ("feed", "gone")
        )
        place.more = "".join(feeds)
        place.run(MONDAY + timedelta(1))
        asked.clear()
        history = (place.folder / "history.db").read_bytes()
        checks = run_doctor(place)
    assert checks["source feed"].message == "1 paper, newest from 2026-04-20"
    assert sorted(asked) == [("/feed.xml", '"one"'), ("/gone.xml", "")]
    gone = checks["source gone"]
    assert (gone.mark, "404 Not Found" in gone.message) == (Mark.FAIL, True)
    assert (place.folder / "history.db").read_bytes() == history


# --- The mail server


def certified(folder: Path, days: int) -> ssl.SSLContext:
    """A server that shows a certificate for 127.0.0.1 which ends in `days`, in `folder`/cert.pem."""
    key, cert, request = folder / "key.pem", folder / "cert.pem", folder / "request.pem"
    name = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", *name, "-keyout", str(key), "-out", str(request)]
    sign = ["openssl", "x509", "-req", "-in", str(request), "-signkey", str(key), "-days", str(days)]
    for command in (new, [*sign, "-copy_extensions", "copy", "-out", str(cert)]):
        subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return context


def check_server(config: Config, server: Server, largest: int = 50_000, **more: Any) -> Check:
    settings = SmtpSettings(("127.0.0.1",), server.port, "none", timeout=2.0)
    (check,) = check_delivery(replace(config, delivery=replace(settings, **more)), NOW, largest)
    return check


def login(given: str) -> dict[str, Any]:
    return {"security": "starttls", "username": "me", "password": Secret(given)}


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], ssl.SSLContext]:
    """Makes a certificate for some days that this machine vouches for."""

    def make(days: int) -> ssl.SSLContext:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        return certified(tmp_path, days)

    return make


def test_the_server_is_checked_as_a_delivery_uses_it(
    place: Workplace, trusted: Callable[[int], ssl.SSLContext]
) -> None:
    features = (*STARTTLS, "SIZE 35882577")
    with Server(features=features, context=trusted(90)).running() as server:
        check = check_server(place.config(), server, **login(SECRET))
    ends = (NOW + timedelta(90)).astimezone(UTC)
    assert check.mark is Mark.OK
    assert f"127.0.0.1:{server.port}, TLS 1." in check.message
    assert (
        f"certificate valid until {ends:%Y-%m-%d}, logged in as me, accepts messages up to 35,882,577 bytes"
        in check.message
    )
    stages = [stage for stage, _ in server.commands]
    assert stages == ["GREETING", "EHLO", "STARTTLS", "EHLO", "AUTH", "QUIT"]
    assert not server.taken


@pytest.mark.parametrize(("days", "mark"), [(2, Mark.WARN), (13, Mark.WARN), (16, Mark.OK), (-1, Mark.FAIL)])
def test_a_certificate_that_expires_soon_is_reported_in_time(
    place: Workplace, trusted: Callable[[int], ssl.SSLContext], days: int, mark: Mark
) -> None:
    with Server(features=STARTTLS, context=trusted(days)).running() as server:
        check = check_server(place.config(), server, **login(SECRET))
    assert check.mark is mark
    if mark is Mark.WARN:
        assert "the server's certificate expires in" in check.message
    if mark is Mark.FAIL:
        assert "certificate has expired" in check.message
        assert not server.heard("AUTH")


def test_a_self_signed_certificate_fails(place: Workplace, tmp_path: Path) -> None:
    with Server(features=STARTTLS, context=certified(tmp_path, 90)).running() as server:
        check = check_server(place.config(), server, **login(SECRET))
    assert (check.mark, "certificate verification failed: self-signed certificate" in check.message) == (
        Mark.FAIL,
        True,
    )
    assert not server.heard("AUTH")


REJECTIONS: list[tuple[Answer, tuple[str, ...], dict[str, Any], str]] = [
    (answers("AUTH", "535 5.7.8 no"), ("AUTH PLAIN",), {"username": "me", "password": Secret("x")}, "rejected the login of me"),
    (answers("", ""), (), {"username": "me", "password": Secret("x")}, "does not offer login"),
    (answers("", ""), (), {"security": "starttls"}, "does not offer STARTTLS"),
    (answers("GREETING", "554 5.7.1 listed"), (), {}, "rejected the connection: 554 5.7.1 listed"),
    (answers("GREETING", "421 4.7.0 busy"), (), {}, "cannot be used right now"),
    (answers("GREETING", STALL), (), {"timeout": 0.2}, "did not answer within 0.2 seconds"),
    (answers("EHLO", DROP), (), {}, "cannot be reached"),
    (answers("", ""), ("SIZE 49999",), {}, "accepts messages up to 49,999 bytes, and ours can have 50,000"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "features", "more", "message"), REJECTIONS, ids=[case[3] for case in REJECTIONS])
def test_a_server_that_rejects_us_fails_with_the_error_message_of_a_run(
    place: Workplace, answer: Answer, features: tuple[str, ...], more: dict[str, Any], message: str
) -> None:
    with Server(answer, features).running() as server:
        check = check_server(place.config(), server, **more)
    assert (check.name, check.mark, message in check.message) == ("smtp", Mark.FAIL, True), check
    assert "; " not in check.message, "the advice is in `fix`"
    assert "Traceback" not in check.message


@pytest.mark.parametrize("features", [(), ("SIZE",), ("SIZE 0",), ("SIZE many",), ("SIZE 50000",)])
def test_a_server_without_a_limit_or_with_a_larger_one_passes(place: Workplace, features: tuple[str, ...]) -> None:
    with Server(features=features).running() as server:
        check = check_server(place.config(), server)
    assert check.mark is Mark.OK
    assert "unencrypted, on this machine, no login" in check.message


def test_each_relay_is_checked_and_fails_only_if_none_works(place: Workplace) -> None:
    with Server().running() as server:
        set_delivery(place, f'[smtp]\nhost = ["127.0.0.1", "127.0.0.2"]\nport = {server.port}\nsecurity = "none"')
        checks = run_doctor(place)
        assert checks["smtp 127.0.0.1"].mark is Mark.OK
        down = checks["smtp 127.0.0.2"]
        assert (down.mark, down.fix[:15]) == (Mark.WARN, "check smtp.host")
        assert down.message == f"127.0.0.2:{server.port} cannot be reached: Connection refused"
    checks = run_doctor(place)
    assert {check.mark for name, check in checks.items() if name.startswith("smtp ")} == {Mark.FAIL}


def test_an_installation_with_smtp_and_its_own_domain_passes_every_check(
    place: Workplace, trusted: Callable[[int], ssl.SSLContext]
) -> None:
    pytest.importorskip("dns", reason="dnspython is not installed (it is in the extra dns)")
    from tests.nameserver import serving
    from tests.operations.test_doctor_domain import DOMAIN, HEALTHY

    with Server(features=STARTTLS, context=trusted(90)).running() as server, serving(HEALTHY) as nameserver:
        table = f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nusername = "me"'
        text = place.path.read_text().replace('[maildir]\npath = "mail"', table)
        place.path.write_text(text.replace("@example.org", f"@{DOMAIN}"))
        config = load(place.path, {"DIGEST_SMTP_PASSWORD": SECRET})
        checks = list(run_checks(config, NOW, Fetcher("x@y.edu"), [DAILY], nameserver=nameserver))
    assert {check.mark for check in checks} == {Mark.OK}, checks
    assert [check.name for check in checks][-5:] == ["smtp", "SPF", "DKIM", "DMARC", "replies"]
    assert SECRET not in repr(checks)


def test_the_domain_of_a_provider_needs_no_look_at_its_records(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])  # no network: nothing here may ask it
    set_delivery(place, '[smtp]\nhost = "smtp.gmail.com"\nusername = ""', "ann@example.edu")
    text = place.path.read_text()
    place.path.write_text(re.sub('from = ".*"', 'from = "Paper Digest <ann@gmail.com>"', text))
    check = run_doctor(place)["domain"]
    assert (check.mark, check.fix) == (Mark.OK, "")
    assert check.message.startswith("gmail.com is your mail provider's")


def test_an_example_address_in_the_configuration_is_a_warning(place: Workplace) -> None:
    with Server().running() as server:
        set_delivery(place, f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"', "ann@example.org")
        checks = run_doctor(place)
    assert {check.name for check in checks.values() if check.mark is Mark.WARN} == {"configuration", "domain"}
    assert "digest.to still has the example address ann@example.org" in checks["configuration"].message


# --- The test mail


def test_a_test_mail_goes_to_one_address_says_it_is_a_test_and_is_not_recorded(place: Workplace) -> None:
    with Server(answers("BODY", "250 2.0.0 queued as 77")).running() as server:
        set_delivery(place, f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"')
        before = (place.folder / "history.db").read_bytes()
        results = [digest("doctor", "--send-test", "Me <me@Example.org>") for _ in range(2)]
    assert [result.exit_code for result in results] == [0, 0]
    assert "✓ test mail           to me@example.org: 250 2.0.0 queued as 77" in results[0].stdout
    assert (place.folder / "history.db").read_bytes() == before
    assert server.recipients() == ["me@example.org"] * 2
    first, second = (message_from_bytes(body, policy=policy.default) for _, body in server.taken)
    assert first["Subject"].startswith("Test: Trending papers")
    assert first["To"] == "me@example.org"
    assert first["Message-ID"] != second["Message-ID"]
    assert "This is a test message from `digest doctor`" in " ".join(text_of(first).split())
    assert "This is a test message from `digest doctor`" in html_of(first)


def test_a_refused_test_mail_fails_with_the_reply_of_the_server(place: Workplace) -> None:
    with Server(answers("RCPT", "550 5.1.1 no such user")).running() as server:
        set_delivery(place, f'[smtp]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"')
        result = digest("doctor", "--send-test", "me@example.org")
    assert result.exit_code == 2
    assert "✗ test mail           to me@example.org: 550 5.1.1 no such user" in result.stdout


def test_a_test_mail_can_go_into_a_maildir(place: Workplace) -> None:
    assert digest("doctor", "--send-test", "me@example.org").exit_code == 0
    (mail,) = place.mails()["me@example.org"]
    assert mail["Subject"].startswith("Test: ")


@pytest.mark.parametrize("address", ["nobody", "a b@example.org", ""])
def test_a_test_mail_to_an_invalid_address_is_a_usage_error(place: Workplace, address: str) -> None:
    result = digest("doctor", "--send-test", address)
    assert (result.exit_code, "--send-test" in result.stderr, result.stdout) == (2, True, "")


# --- The command


def test_every_problem_of_a_configuration_is_reported_and_its_permissions_are_still_checked(place: Workplace) -> None:
    place.path.write_text('[digest]\nfrom = 3\nmax_paper = 4\n[[sources]]\ntype = "fil"\n')
    (place.folder / ".env").write_text("DIGEST_SMTP_PASSWORD=x\n")
    (place.folder / ".env").chmod(0o644)
    result = digest("doctor", "--send-test", "me@example.org")
    assert (result.exit_code, "Traceback" in result.output) == (2, False)
    for words in (
        "✗ configuration",
        "digest.from: must be a string in quotes, not 3",
        "did you mean max_papers?",
        'mean "file"?',
        "chmod 600 ",
    ):
        assert words in result.stdout
    assert "2 of 2 checks failed: configuration, secrets" in result.stderr


def test_other_commands_warn_about_an_env_that_others_can_read_as_the_doctor_does(place: Workplace) -> None:
    (place.folder / ".env").write_text("DIGEST_SMTP_PASSWORD=x\n")
    (place.folder / ".env").chmod(0o640)
    words = f"other users on this machine can access .env (-rw-r-----); chmod 600 {place.folder / '.env'}"
    for command in (["run"], ["-q", "run"], ["preview"], ["status"], ["init"]):
        result = digest(*command)
        assert (result.exit_code, result.stderr.count(words)) == (0, 1), command
    doctor = digest("doctor")
    assert (doctor.exit_code, doctor.stderr.count("other users")) == (2, 0)
    assert words.partition(";")[0] in doctor.stdout
    (place.folder / ".env").chmod(0o600)
    assert "other users" not in digest("run").stderr + digest("doctor").stdout


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[digest", b""])
def test_an_unreadable_or_missing_configuration_fails_without_a_traceback(place: Workplace, content: bytes) -> None:
    place.path.write_bytes(content)
    assert digest("doctor").exit_code == 2
    result = digest("-c", "nowhere.toml", "doctor")
    assert (result.exit_code, "→ name it with -c" in result.stdout, "secrets" in result.stdout) == (2, True, False)
    place.path.unlink()
    result = digest("doctor")
    assert (result.exit_code, "create one with `digest init`" in result.stdout) == (2, True)


def test_an_env_file_that_is_not_text_is_an_error(place: Workplace) -> None:
    (place.folder / ".env").write_bytes(b"X=\xff\xfe\n")
    result = digest("doctor")
    assert (result.exit_code, ".env cannot be read: it is not UTF-8 text" in result.stdout) == (2, True)


def test_a_password_that_cron_will_not_see_is_a_warning(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGEST_SMTP_PASSWORD", SECRET)
    result = digest("doctor")
    assert result.exit_code == 0
    assert "! secrets             cron will not see DIGEST_SMTP_PASSWORD: it is set in this shell" in result.stdout
    assert SECRET not in result.output
    (place.folder / ".env").write_text(f"DIGEST_SMTP_PASSWORD={SECRET}\n")
    (place.folder / ".env").chmod(0o600)
    assert "cron will not see" not in digest("doctor").stdout


def test_quiet_prints_only_problems(place: Workplace) -> None:
    result = digest("-q", "doctor")
    assert (result.exit_code, result.output) == (0, "")
    place.papers.unlink()
    result = digest("-q", "doctor")
    assert result.exit_code == 2
    assert [line[:15] for line in result.stdout.splitlines()] == ["✗ source papers", " " * 15]


def test_json_is_one_document_with_every_check(place: Workplace) -> None:
    document = json.loads(digest("doctor", "--json").stdout)
    assert document["ok"] is True
    assert {tuple(check) for check in document["checks"]} == {("name", "mark", "message", "fix")}
    place.papers.unlink()
    result = digest("doctor", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"]) == (2, False)
    assert [check["name"] for check in document["checks"] if check["mark"] == "fail"] == ["source papers"]


@pytest.mark.parametrize("environ", [{"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONIOENCODING": "ascii"}])
def test_an_ascii_terminal_gets_ascii_signs(place: Workplace, environ: dict[str, str]) -> None:
    place.papers.write_text(json.dumps(paper(1)) + '\n{"title": 7}\nµ\n')
    words = [sys.executable, "-m", "digest", "doctor"]
    done = subprocess.run(words, env={**os.environ, **environ}, capture_output=True, check=True)
    assert done.stderr == b""
    assert b"! source papers" in done.stdout
    assert (b"+ clock" in done.stdout) == ("PYTHONIOENCODING" in environ)


def test_a_check_is_printed_with_its_fix_below() -> None:
    check = Check("論文", Mark.FAIL, "one\ntwo", "do this")
    pad = " " * 22
    assert format_check(check) == f"✗ 論文{' ' * 16}one\n{pad}two\n{pad}→ do this"
    assert format_check(check, "ascii") == f"x ??{' ' * 16}one\n{pad}two\n{pad}-> do this"


# --- The schedule and the inbox


@pytest.mark.parametrize(
    ("scheduled", "mark", "message", "fix"),
    [
        ([], Mark.WARN, "nothing runs the job on a schedule", "digest schedule install"),
        ([DAILY], Mark.OK, "07:30 UTC, every day, by crontab; next run", ""),
        (
            [DAILY, DAILY],
            Mark.WARN,
            "the job runs more than once: crontab (07:30 UTC, every day) and",
            "only one of them",
        ),
        ([ScheduledRun("crontab", "0 7 * * * digest run", None, "")], Mark.OK, "digest run, by crontab", ""),
        (
            [DAILY, ScheduledRun("a.timer", "x", None, "it is off; switch it on")],
            Mark.FAIL,
            "a.timer: x: it is off",
            "switch it on",
        ),
    ],
)
def test_the_schedule_is_checked(scheduled: Sequence[ScheduledRun], mark: Mark, message: str, fix: str) -> None:
    check = check_schedule(scheduled)
    assert (check.mark, message in check.message, fix in check.fix) == (mark, True, True), check


@pytest.mark.parametrize(
    ("names", "advice"),
    [
        (("systemd", "sshd"), "sudo systemctl enable --now cron (or crond), or use a timer: digest schedule install"),
        (("sh", "python3"), "sudo service cron start"),
        (("sh", "cronyd", "(cron)x"), "sudo service cron start"),
    ],
)
def test_a_crontab_that_no_daemon_reads_is_a_problem(place: Workplace, names: tuple[str, ...], advice: str) -> None:
    processes(Path(os.environ["PATH"].split(":")[0]) / "proc", *names)
    result = digest("doctor")
    assert result.exit_code == 0
    shown = " ".join(result.stdout.split())
    assert f"no cron daemon is running, so the crontab starts nothing → {advice}" in shown
    assert "! schedule" in shown
    said = digest("schedule", "install", "--at", "06:00").stdout
    assert f"But no cron daemon is running, so the crontab starts nothing. To start one: {advice}" in said


@pytest.mark.parametrize("names", [("systemd", "cron"), ("init", "crond"), ("sh", "busybox"), ()])
def test_any_daemon_will_do_and_hidden_processes_may_hold_one(place: Workplace, names: tuple[str, ...]) -> None:
    processes(Path(os.environ["PATH"].split(":")[0]) / "proc", *names)
    assert "no cron daemon" not in digest("doctor").output


def test_a_crontab_line_of_the_users_own_is_a_schedule(place: Workplace) -> None:
    line = f"0 7 * * * {sys.executable} -m digest -q -c {place.path} run"
    subprocess.run(["crontab", "-"], input=f"{line}\n", text=True, check=True)
    (shown,) = (found for found in digest("doctor").stdout.splitlines() if "schedule" in found[:12])
    assert shown.startswith("✓")
    assert f"{line}, by crontab" in shown


def test_the_mailbox_of_replies_is_only_opened(place: Workplace) -> None:
    place.more = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[inbox]\npath = "answers"'
    assert (run_doctor(place)["inbox"].mark, "answers" in run_doctor(place)["inbox"].message) == (Mark.FAIL, True)
    for part in ("new", "cur", "tmp"):
        (place.folder / "answers" / part).mkdir(parents=True)
    assert run_doctor(place)["inbox"] == Check("inbox", Mark.OK, f"{place.folder}/answers can be read")


@pytest.mark.parametrize("to", [(), ("ann@example.org",)])
def test_a_group_may_read_a_history_without_addresses(workplace: Workplace, to: tuple[str, ...]) -> None:
    workplace.to = to
    workplace.lists(paper(1))
    fetch_only(workplace.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    history = workplace.folder / "history.db"
    history.chmod(0o640)
    fetch_only(workplace.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    assert stat.S_IMODE(history.stat().st_mode) == 0o640
    checks = run_checks(workplace.config(), at(MONDAY)(), Fetcher("digest@example.org"), [])
    (secrets,) = (check for check in checks if check.name == "secrets")
    assert ("other users on this machine can access history.db" in secrets.message) is bool(to)
