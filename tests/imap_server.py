"""An IMAP server on a real socket whose replies a test chooses; it keeps the commands that it gets."""

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace

from digest.inbound import InboxSettings
from digest.settings import Secret
from tests.dovecot import PASSWORD

STALL = "stall"
DROP = ""
RAW = "To: unsubscribe+abcdefghijklmnopqrstuvwx23@example.org\r\nSubject: unsubscribe\r\n\r\n\r\n"
GOOD = {
    "GREETING": "* OK ready\r\n",
    "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n",
    "LOGIN": "{tag} OK welcome\r\n",
    "EXAMINE": "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n{tag} OK [READ-ONLY] open\r\n",
    "SEARCH": "* SEARCH 1 2\r\n{tag} OK done\r\n",
    "HEADERS": f"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (TO)]<0> {{{len(RAW)}}}\r\n{RAW})\r\n{{tag}} OK done\r\n",
    "WHOLE": f"* 1 FETCH (UID 1 BODY[]<0> {{{len(RAW)}}}\r\n{RAW})\r\n{{tag}} OK done\r\n",
    "AUTHENTICATE": "+ \r\n",
    "SECRET": "{tag} OK welcome\r\n",
    "LOGOUT": "* BYE bye\r\n{tag} OK done\r\n",
}
PLAIN = {"CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n"}

# A text in which {tag} and {command} are filled in, DROP, STALL, or what makes the chunks of a reply from the command.
Reply = str | Callable[[str, str], Iterator[bytes]]


@dataclass
class Scripted:
    """A server that sends the given replies to one client, in place of `GOOD` ones, and keeps its commands.

    With a `context` it speaks TLS after its reply to STARTTLS.
    """

    replies: Mapping[str, Reply]
    context: ssl.SSLContext | None = None
    commands: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[InboxSettings]:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            stack.callback(thread.join, 10)
            port = listener.getsockname()[1]
            inbox = InboxSettings(host="127.0.0.1", port=port, security="none", username="me")
            # Short if the server is meant to be silent, long if it may only be slow.
            silent = any(reply == STALL or "{99}" in str(reply) for reply in self.replies.values())
            inbox = replace(inbox, timeout=0.3 if silent else 20.0)
            yield replace(inbox, password=Secret(PASSWORD))

    def _serve(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with suppress(ConnectionError, ssl.SSLError), ExitStack() as stack:
            stack.enter_context(connection)
            stream = stack.enter_context(connection.makefile("rb"))
            step, tag, command = "GREETING", "", ""
            while True:
                reply: Reply = {**GOOD, **self.replies}.get(step, "{tag} BAD what?\r\n")
                if reply == DROP:
                    return
                if callable(reply):
                    for chunk in reply(tag, command):
                        connection.sendall(chunk)
                elif reply != STALL:
                    reply = reply.replace("{tag}", tag).replace("{command}", command)
                    connection.sendall(reply.encode("latin-1"))
                    if reply.startswith("* BYE"):
                        return
                if step == "STARTTLS" and self.context:
                    connection = stack.enter_context(self.context.wrap_socket(connection, server_side=True))
                    stream = stack.enter_context(connection.makefile("rb"))
                line = stream.readline().decode("latin-1").rstrip("\r\n")
                if not line:
                    return
                self.commands.append(line)
                if step == "AUTHENTICATE":
                    step, command = "SECRET", line
                    continue
                tag, _, command = line.partition(" ")
                word = re.search(r"CAPABILITY|LOGIN|AUTHENTICATE|STARTTLS|EXAMINE|SEARCH|LOGOUT", command)
                step = word[0] if word else "HEADERS" if "HEADER" in command else "WHOLE"
