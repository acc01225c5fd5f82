"""An SMTP server on a real socket whose replies a test chooses; it keeps the commands and messages it gets."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

DROP = "(closes the connection)"
STALL = "(does not reply)"
SWALLOW = "(accepts the message and closes the connection without a reply)"

# (stage, argument, number of the connection) -> a reply, DROP, STALL, SWALLOW, or None for the default reply.
# Stages: GREETING, EHLO, STARTTLS, AUTH, MAIL, RCPT, DATA, BODY, RSET, QUIT.
Answer = Callable[[str, str, int], str | None]

_DEFAULT_REPLIES = {
    "GREETING": "220 test ESMTP",
    "STARTTLS": "220 2.0.0 go ahead",
    "AUTH": "235 2.7.0 welcome",
    "MAIL": "250 2.1.0 sender ok",
    "RCPT": "250 2.1.5 recipient ok",
    "DATA": "354 go on",
    "BODY": "250 2.0.0 queued",
    "RSET": "250 2.0.0 reset",
    "QUIT": "221 2.0.0 bye",
}


@dataclass
class Server:
    """Listens on a free port, or on `port` of another `host`. `taken`: the (recipient, message) pairs it accepted."""

    answer: Answer = lambda *_: None
    features: Sequence[str] = ("PIPELINING",)
    context: ssl.SSLContext | None = None
    tls_first: bool = False
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    commands: list[tuple[str, str]] = field(default_factory=list)  # every (stage, argument) it got
    connections: int = 0
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        self._socket = socket.create_server((self.host, self.port))
        self.port = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._clients: set[socket.socket] = set()

    def heard(self, stage: str) -> list[str]:
        return [argument for name, argument in self.commands if name == stage]

    def recipients(self) -> list[str]:
        return [recipient for recipient, _ in self.taken]

    @contextmanager
    def running(self) -> Iterator["Server"]:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            for client in list(self._clients):
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._stopping.is_set():
                client, _ = self._socket.accept()
                # Otherwise small replies wait 40 ms for each other.
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self.connections += 1
                    number = self.connections
                threading.Thread(target=self._serve, args=(client, number), daemon=True).start()

    def _serve(self, client: socket.socket, number: int) -> None:
        self._clients.add(client)
        session = _Session(self, client, number)
        with suppress(OSError, _Disconnect):
            session.run()
        session.close()
        self._clients.discard(client)


class _Disconnect(Exception):
    pass


class _Session:
    def __init__(self, server: Server, client: socket.socket, number: int) -> None:
        self.server, self.client, self.number = server, client, number
        self.file: BinaryIO = client.makefile("rb", buffering=1 << 16)  # type: ignore[assignment]
        self.sender = False
        self.recipient = ""

    def close(self) -> None:
        with suppress(OSError):
            self.file.close()
            self.client.close()

    def reply(self, stage: str, argument: str = "") -> str:
        """Send the reply the test chose, or the default; return it."""
        with self.server._lock:
            self.server.commands.append((stage, argument))
            reply = self.server.answer(stage, argument, self.number) or self._default_reply(stage)
        if reply == DROP:
            raise _Disconnect
        if reply == STALL:
            self.server._stopping.wait(60)
            raise _Disconnect
        self.client.sendall(reply.encode("utf-8", "surrogateescape") + (b"" if reply.endswith("\n") else b"\r\n"))
        return reply

    def _default_reply(self, stage: str) -> str:
        if stage != "EHLO":
            too_early = stage == "RCPT" and not self.sender
            return "503 5.5.1 MAIL first" if too_early else _DEFAULT_REPLIES.get(stage, "500 5.5.1 unknown command")
        words = [f for f in self.server.features if not (f == "STARTTLS" and isinstance(self.client, ssl.SSLSocket))]
        return "".join(f"250-{word}\r\n" for word in ("test", *words)) + "250 HELP"

    def run(self) -> None:
        if self.server.tls_first:
            self._encrypt()
        self.reply("GREETING")
        while line := self.file.readline():
            verb, _, argument = line.decode("ascii", "replace").strip().partition(" ")
            stage = {"HELO": "EHLO"}.get(verb.upper(), verb.upper())
            reply = self.reply(stage, argument)
            if stage == "QUIT":
                return
            if stage in ("MAIL", "RSET"):
                self.sender = stage == "MAIL" and reply.startswith("250")
            if stage == "RCPT":
                self.recipient = argument.partition("<")[2].partition(">")[0] if reply.startswith("250") else ""
            if stage == "STARTTLS" and reply.startswith("220"):
                self._encrypt()
            if stage == "DATA" and reply.startswith("354"):
                self._read_body()

    def _encrypt(self) -> None:
        assert self.server.context is not None
        self.file.close()
        self.client = self.server.context.wrap_socket(self.client, server_side=True)
        self.file = self.client.makefile("rb", buffering=1 << 16)  # type: ignore[assignment]

    def _read_body(self) -> None:
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            if not line:
                raise _Disconnect
            lines.append(line[1:] if line.startswith(b".") else line)
        recipient, self.recipient = self.recipient, ""
        if self.server.answer("BODY", recipient, self.number) == SWALLOW:
            self._accept_message(recipient, lines)
            raise _Disconnect
        if self.reply("BODY", recipient).startswith("250"):
            self._accept_message(recipient, lines)

    def _accept_message(self, recipient: str, lines: list[bytes]) -> None:
        if recipient or lines:
            with self.server._lock:
                self.server.taken.append((recipient, b"".join(lines)))
