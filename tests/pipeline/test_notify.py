"""The monitoring service is told that a run began and how it ended; however it fails, it changes no run."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from digest.errors import AlreadyRunning, ConfigError, HistoryError, NoSourceReadable, Undelivered
from digest.pipeline import notify
from digest.store.database import run_lock
from tests.conftest import MONDAY, Workplace, paper


class MonitoringService(ThreadingHTTPServer):
    """Takes down what it is asked for, and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Ear)
        self.heard: list[str] = []
        self.status = 200

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Ear(BaseHTTPRequestHandler):
    server: MonitoringService

    def do_GET(self) -> None:
        self.server.heard.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def service() -> Iterator[MonitoringService]:
    with MonitoringService() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def watched(workplace: Workplace, service: MonitoringService) -> Workplace:
    workplace.lists(paper(1))
    workplace.more = (
        f'[notify]\nping = "{service.address}/0123-uuid"\n[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    )
    return workplace


def test_a_good_run_pings_its_start_and_its_success(watched: Workplace, service: MonitoringService) -> None:
    watched.run(MONDAY)
    watched.run(MONDAY)
    assert service.heard == ["/0123-uuid/start", "/0123-uuid"] * 2


def test_every_kind_of_failure_pings_fail(watched: Workplace, service: MonitoringService) -> None:
    (watched.folder / "mail").write_text("not a folder")
    with pytest.raises(Undelivered):
        watched.run(MONDAY)
    watched.papers.unlink()
    with pytest.raises(NoSourceReadable):
        watched.run(MONDAY)
    (watched.folder / "history.db").write_bytes(b"no database" * 999)
    with pytest.raises(HistoryError):
        watched.run(MONDAY)
    assert service.heard == ["/0123-uuid/start", "/0123-uuid/fail"] * 3


def test_a_run_that_cannot_begin_pings_fail_and_one_that_is_late_nothing(
    watched: Workplace, service: MonitoringService
) -> None:
    watched.run(MONDAY)
    with run_lock(watched.folder / "history.db"), pytest.raises(AlreadyRunning):
        watched.run(MONDAY)
    assert len(service.heard) == 2
    (watched.folder / "history.db.lock").unlink()
    (watched.folder / "history.db.lock").mkdir()
    with pytest.raises(HistoryError):
        watched.run(MONDAY)
    assert service.heard[2:] == ["/0123-uuid/fail"]


def test_an_address_with_a_query_keeps_it(watched: Workplace, service: MonitoringService) -> None:
    watched.more = watched.more.replace("/0123-uuid", "/push/0123-uuid/?status=up")
    watched.run(MONDAY)
    assert service.heard == ["/push/0123-uuid/start?status=up", "/push/0123-uuid/?status=up"]


def test_a_service_that_fails_is_a_warning_without_its_address(
    watched: Workplace, service: MonitoringService, caplog: pytest.LogCaptureFixture
) -> None:
    service.status = 503
    watched.run(MONDAY)
    watched.more = watched.more.replace(str(service.server_port), "1")
    watched.run(MONDAY)
    assert len(watched.mails()["ann@example.org"]) == 1
    problems = [record.args for record in caplog.records if record.msg == "ping failed"]
    assert [p["why"] for p in problems if isinstance(p, dict)] == [
        *["the server returned 503 Service Unavailable"] * 2,
        *["the server cannot be reached: Connection refused"] * 2,
    ]
    assert "uuid" not in caplog.text + repr(watched.config())


@pytest.mark.parametrize("drop", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["nothing", "half an answer, again and again"])
def test_a_service_that_never_answers_holds_up_no_mail(
    watched: Workplace, caplog: pytest.LogCaptureFixture, drop: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stop = threading.Event()
        tap = threading.Thread(target=dripping, args=(silent, drop, stop))
        tap.start()
        watched.more = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{silent.getsockname()[1]}", watched.more)
        began = time.monotonic()
        watched.run(MONDAY)
        took = time.monotonic() - began
        stop.set()
        tap.join()
    assert took < 5
    assert len(watched.mails()["ann@example.org"]) == 1
    assert [r.args["why"] for r in caplog.records if isinstance(r.args, dict) and r.msg == "ping failed"] == [
        "the response was not complete within 0.5 seconds"
    ] * 2


def dripping(server: socket.socket, drop: bytes, stop: threading.Event) -> None:
    """Take every connection and send it a drop now and then, until it is time to stop."""
    server.settimeout(0.05)
    with contextlib.ExitStack() as stack:
        clients: list[socket.socket] = []
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                clients.append(stack.enter_context(server.accept()[0]))
            for client in clients:
                with contextlib.suppress(OSError):  # who has given up
                    client.sendall(drop)


def test_an_invalid_address_is_reported(watched: Workplace) -> None:
    watched.more = watched.more.replace("http://", "htp://")
    with pytest.raises(
        ConfigError, match=r'notify\.ping: must be a web address, not "htp://.*write one that starts with https://'
    ):
        watched.config()
