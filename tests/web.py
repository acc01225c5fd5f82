"""Web servers that answer with any bytes, and a network of the test's own: names, addresses and routes."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

# The path of a request -> what the server sends, piece by piece; then it closes the connection.
Answer = Callable[[str], Iterable[bytes]]

FEED = b"<rss version='2.0'><channel><title>F</title><item><title>A paper on tides</title></item></channel></rss>"


def ok(body: bytes = FEED, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def redirect(to: str) -> bytes:
    return b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + to.encode("latin-1") + b"\r\n\r\n"


@dataclass
class WebServer:
    """Listens on a free port of 127.0.0.1. `heads` are the requests it got."""

    answer: Answer
    heads: list[str] = field(default_factory=list)
    sent: int = 0  # bytes

    @contextmanager
    def running(self) -> Iterator["WebServer"]:
        self._stopped = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.settimeout(0.05)
            self.port: int = listening.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listening,), daemon=True)
            thread.start()
            try:
                yield self
            finally:
                self._stopped.set()
                thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        return [head.split(" ", 2)[1] for head in self.heads]

    def _accept(self, listening: socket.socket) -> None:
        while not self._stopped.is_set():
            with suppress(TimeoutError):
                client, _ = listening.accept()
                client.settimeout(5)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                part = client.recv(65536)
                if not part:
                    return
                head += part
            self.heads.append(head.decode("latin-1"))
            for piece in self.answer(self.heads[-1].split(" ", 2)[1]):
                client.sendall(piece)
                self.sent += len(piece)
                if self._stopped.is_set():
                    return
            client.shutdown(socket.SHUT_WR)  # not closed with bytes unread, which would reset the connection


def always(*pieces: bytes) -> WebServer:
    return WebServer(lambda _: pieces)


class Network:
    """What names resolve to, and which port is behind each address.

    A name has one list of addresses per look-up, and then the last one again. An empty list is that of a machine that
    is offline.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.routes: dict[str, int] = {}
        self.connected: list[str] = []
        self._resolve, self._connect = socket.getaddrinfo, socket.create_connection
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)
        monkeypatch.setattr(socket, "create_connection", self._create_connection)

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in self.names:
            return self._resolve(host, port, *args, **options)
        answers = self.names[name]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        if not addresses:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [
            (socket.AF_INET6 if ":" in a else socket.AF_INET, socket.SOCK_STREAM, 6, "", (a, port)) for a in addresses
        ]

    def _create_connection(self, address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        host, port = self._getaddrinfo(*address)[0][4][:2]
        self.connected.append(host)
        if host in self.routes:
            host, port = "127.0.0.1", self.routes[host]
        return self._connect((host, port), *args, **options)
