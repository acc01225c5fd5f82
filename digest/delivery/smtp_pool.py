"""Several SMTP connections, one queue, one thread: each connection that is ready gets the next message.

The module hides all waiting: for the server, for connections being opened, for the sending rate, and for bodies that
can share a commit. Its parts, in the order of the file: `Transport`, the socket of a connection and how opening one can
fail; `Throttle`, the sending rate; `Connector`, which opens connections in threads of their own, because smtplib
blocks; and `ConnectionPool`, one loop over everything else:

    send    a body or an envelope on every connection that is ready for one
    wait    until a reply arrives, a connection opens, or a timeout passes
    yield   what became known and which bodies are sent next, as one batch, which is on disk when the loop goes on

A connection becomes ready for a body in `wait` only, and every such body is announced in the `yield` that follows. So
each body that `send` starts was announced, and the outcome of the last one on its connection is on disk too, as
`digest.delivery` promises. In the steady state both are in one batch: it costs no commit of its own.
"""

import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Protocol

from digest.delivery import Batches, Message, Outcome, Rate, ServerRejected, ServerUnreachable, State
from digest.delivery.smtp_protocol import ReplyClassifier, SessionLost, SmtpSession

# RFC 5321 4.5.3.2.6 grants the server ten minutes for the reply to the final dot, and 4.5.3.2.3 five for the others:
# giving up on that reply too early makes second copies.
_FINAL_REPLY_FACTOR = 4
CONNECT_STEPS = 5  # from the greeting to the login; each has the timeout to itself
_QUIT_SECONDS = 2.0  # to wait for the reply to QUIT
_POLL_SECONDS = 0.5  # between two looks at `stopped`
_MAX_FAILURES = 3  # connections in a row that ended before the server answered any message


class ConnectionClosed(Exception):
    """The connection is gone; the text says why."""


class Transport(Protocol):
    """An open connection after the login. `features` are the extensions from EHLO, in lower case.

    `hide_secrets` removes from a reply what the server may quote of the login.
    """

    features: dict[str, str]

    def hide_secrets(self, reply: bytes, /) -> bytes: ...
    def fileno(self) -> int: ...
    def write(self, data: bytearray) -> None: ...
    def read(self) -> bytes: ...
    def close(self) -> None: ...


class Throttle:
    """Keep to a rate over all connections; without a rate, there is no delay. `clock` returns seconds."""

    def __init__(self, rate: Rate | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._sent: deque[float] = deque(maxlen=rate.count if rate else 0)

    def delay(self) -> float:
        """Return the seconds until the next message may be sent, 0 if it may be sent now."""
        if self._rate is None or len(self._sent) < self._rate.count:
            return 0.0
        return max(0.0, self._sent[0] + self._rate.seconds - self._clock())

    def record(self) -> None:
        """Count one message that is sent now."""
        self._sent.append(self._clock())


@dataclass(frozen=True, slots=True, eq=False)
class _PendingConnection:
    """A connection being opened for `message`, until `deadline`. The thread puts the result into the queue."""

    message: Message
    deadline: float
    result: "SimpleQueue[Transport | Exception]" = field(default_factory=SimpleQueue)

    def discard(self) -> None:
        """Close the connection if it is open by now."""
        with suppress(Empty):
            result = self.result.get_nowait()
            if not isinstance(result, Exception):
                result.close()


class Connector:
    """Open connections in the background with `connect`, which has `timeout` seconds.

    Each connection is opened for one message, so a slow server delays only that message. A selector can wait for the
    connector: it becomes readable when a connection has been opened or has failed.
    """

    def __init__(self, connect: Callable[[], Transport], timeout: float) -> None:
        self.pending: set[_PendingConnection] = set()
        self._connect = connect
        self._timeout = timeout
        self._wakeup_sender, self._wakeup_receiver = socket.socketpair()
        self._wakeup_receiver.setblocking(False)
        self._closed = False

    def fileno(self) -> int:
        return self._wakeup_receiver.fileno()

    def open_for(self, message: Message) -> None:
        """Start to open a connection for a message."""
        pending = _PendingConnection(message, time.monotonic() + self._timeout)
        self.pending.add(pending)
        threading.Thread(target=self._open, args=(pending,), daemon=True).start()

    def _open(self, pending: _PendingConnection) -> None:
        result: Transport | Exception
        try:
            result = self._connect()
        except Exception as error:  # noqa: BLE001  the pool raises it again in its own thread
            result = error
        pending.result.put(result)
        with suppress(OSError):
            self._wakeup_sender.send(b"!")
        if pending not in self.pending or self._closed:
            pending.discard()

    def finished(self) -> Iterator[tuple[Message, Transport | Exception]]:
        """Yield each message whose connection was opened since the last call, or whose connection failed."""
        with suppress(BlockingIOError):
            self._wakeup_receiver.recv(4096)
        for pending in list(self.pending):
            try:
                result = pending.result.get_nowait()
            except Empty:
                if time.monotonic() < pending.deadline:
                    continue
                result = ServerUnreachable(f"connecting and logging in took longer than {self._timeout:g} seconds")
            self.pending.discard(pending)
            yield pending.message, result

    def close(self) -> None:
        """Stop waiting. A connection that is opened later is closed at once."""
        self._closed = True
        for pending in self.pending:
            pending.discard()
        self._wakeup_sender.close()
        self._wakeup_receiver.close()


class _Connection:
    """A connection of the pool: its socket, its session, and when the server's next reply is due."""

    def __init__(self, transport: Transport, classifier: ReplyClassifier, timeout: float) -> None:
        self.transport = transport
        self.session = SmtpSession(transport.features, classifier, transport.hide_secrets)
        self.deadline = float("inf")
        self.events = selectors.EVENT_READ
        self._timeout = timeout

    def write(self) -> None:
        """Write what the socket accepts. Raises ConnectionClosed."""
        before = len(self.session.outgoing)
        if before:
            self.transport.write(self.session.outgoing)
            if len(self.session.outgoing) < before:
                self._reset_deadline()

    def read(self) -> None:
        """Process what has arrived, and write what follows from it. Raises ConnectionClosed or SessionLost."""
        if data := self.transport.read():
            before = self.session.replies_received
            self.session.receive(data)
            # Only a whole reply is progress: a server that sends a byte now and then still times out.
            if self.session.replies_received > before:
                self._reset_deadline()
        self.write()

    def _reset_deadline(self) -> None:
        if not self.session.awaiting_reply:
            self.deadline = float("inf")
            return
        timeout = self._timeout * (_FINAL_REPLY_FACTOR if self.session.awaiting_outcome else 1)
        self.deadline = time.monotonic() + (min(timeout, _QUIT_SECONDS) if self.session.closing else timeout)


class ConnectionPool:
    """Send a queue of messages over up to `max_connections` connections that `connect` opens.

    `timeout` is how many seconds to wait for a reply. `throttle` and `classifier` may be shared between pools.
    """

    def __init__(
        self,
        connect: Callable[[], Transport],
        max_connections: int,
        timeout: float,
        throttle: Throttle,
        classifier: ReplyClassifier,
    ) -> None:
        self._max_connections = max_connections
        self._timeout = timeout
        self._throttle = throttle
        self._classifier = classifier
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._connector = Connector(connect, timeout * CONNECT_STEPS)
        self._returned: deque[Message] = deque()  # messages to send on another connection
        self._outcomes: list[Outcome] = []
        self._commit_seconds = 0.0  # how long the caller took for the last batch
        self._failures = 0
        self._stopping = False
        self._exhausted = False  # the iterator of messages has ended

    def deliver(self, messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
        """Deliver the messages; see `digest.delivery`. Ends early if the server is unreachable or rejects us."""
        self._selector.register(self._connector, selectors.EVENT_READ)
        try:
            while self._has_work():
                self._stopping = self._stopping or stopped()
                self._send(messages)
                self._wait(0 if self._outcomes else self._wait_seconds())
                if self._outcomes or self._announcements():
                    self._wait_for_replies()
                    batch, self._outcomes = self._outcomes + self._announcements(), []
                    started = time.monotonic()
                    yield batch
                    self._commit_seconds = time.monotonic() - started
        finally:
            for connection in list(self._connections):
                self._close(connection)
            self._connector.close()
            self._selector.close()

    def _has_work(self) -> bool:
        more = bool(self._connector.pending or self._returned or not self._exhausted)
        return bool(self._connections) or (more and not self._stopping)

    def _send(self, messages: Iterator[Message]) -> None:
        """Send a body or an envelope on each connection that is ready; open new ones while there are messages."""
        for connection in list(self._connections):
            session = connection.session
            if session.next_body and self._stopping:
                self._close(connection)  # an envelope without its body delivers nothing
                continue
            if session.next_body:
                session.send_body(self._next_message(messages))
            elif session.idle:
                self._assign(connection, self._next_message(messages))
            self._step(connection, connection.write)
        while len(self._connections) + len(self._connector.pending) < self._max_connections:
            message = self._next_message(messages)
            if message is None:
                break
            self._connector.open_for(message)

    def _next_message(self, messages: Iterator[Message]) -> Message | None:
        """Return the next message, or None if there is none now."""
        if self._stopping:
            return None
        if self._returned:
            return self._returned.popleft()
        if self._exhausted or self._throttle.delay():
            return None
        message = next(messages, None)
        if message is None:
            self._exhausted = True
        else:
            self._throttle.record()
        return message

    def _assign(self, connection: _Connection, message: Message | None) -> None:
        """Give an idle connection its next message, or close it with QUIT if no message can come any more."""
        if message is not None:
            connection.session.send_envelope(message)
        elif self._stopping or (self._exhausted and not self._connector.pending):
            # The message of a pending connection comes back to the queue if that connection fails.
            connection.session.quit()

    def _step(self, connection: _Connection, action: Callable[[], None]) -> None:
        """Read or write on a connection, then collect its outcomes and update what to wait for."""
        try:
            action()
        except (ConnectionClosed, SessionLost) as error:
            self._connection_lost(connection, str(error))
            return
        self._collect_outcomes(connection)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.session.outgoing else 0)
        if events != connection.events:
            connection.events = events
            self._selector.modify(connection.transport, events, connection)

    def _wait_seconds(self) -> float:
        """Return the seconds until something has to be done even if nothing arrives."""
        if not self._connections and not self._connector.pending:
            return min(_POLL_SECONDS, self._throttle.delay())
        next_deadline = min((connection.deadline for connection in self._connections), default=float("inf"))
        delay = self._throttle.delay() or _POLL_SECONDS
        return max(0.0, min(_POLL_SECONDS, delay, next_deadline - time.monotonic()))

    def _wait(self, seconds: float) -> None:
        """Wait for replies and new connections, and process them; drop connections whose reply is overdue."""
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Connection):
                self._step(key.data, key.data.read)
        for message, result in self._connector.finished():
            self._add_connection(message, result)
        now = time.monotonic()
        for connection in [connection for connection in self._connections if connection.deadline <= now]:
            self._connection_lost(connection, f"the server did not answer within {self._timeout:g} seconds")

    def _announcements(self) -> list[Outcome]:
        """The messages whose bodies `_send` will send next."""
        if self._stopping:
            return []
        bodies = (connection.session.next_body for connection in self._connections)
        return [Outcome(message.key, State.SENDING, "") for message in bodies if message]

    def _wait_for_replies(self) -> None:
        """Wait a little for replies that are due, so that one commit serves them too.

        Half as long as the last commit took, which is next to nothing on a fast disk. On a disk that syncs in 4 ms,
        four connections would otherwise settle into two pairs that wait for each other's commits.
        """
        end = time.monotonic() + self._commit_seconds / 2
        while any(c.session.awaiting_reply for c in self._connections) and (left := end - time.monotonic()) > 0:
            self._wait(left)

    def _add_connection(self, message: Message, result: Transport | Exception) -> None:
        """Put a new connection to work on the message it was opened for, or handle the failure to open it."""
        if isinstance(result, ServerRejected):
            self._add_outcome(Outcome(message.key, State.PENDING, str(result), stop=True))
        elif isinstance(result, ServerUnreachable):
            if self._connections or self._connector.pending:  # the server allows fewer connections: use those
                self._returned.append(message)
                self._max_connections = max(1, len(self._connections) + len(self._connector.pending))
            else:
                self._add_outcome(Outcome(message.key, State.PENDING, str(result)))
                self._stopping = True
        elif isinstance(result, Exception):
            raise result
        else:
            connection = _Connection(result, self._classifier, self._timeout)
            self._connections.add(connection)
            self._selector.register(result, selectors.EVENT_READ, connection)
            self._assign(connection, message)
            self._step(connection, connection.write)

    def _connection_lost(self, connection: _Connection, reason: str) -> None:
        """Settle what was under way. A message whose body was not begun is sent on another connection.

        If the server had not answered any message on this connection, the message may be the cause of the loss: it
        stays pending. After a few such connections in a row, the server is not working: stop.
        """
        session = connection.session
        message = session.connection_lost(reason, len(session.outgoing))
        self._collect_outcomes(connection)
        self._close(connection)
        if message is not None and session.messages_answered:
            self._returned.append(message)
        elif message is not None:
            self._add_outcome(Outcome(message.key, State.PENDING, reason))
        if not session.messages_answered and not session.closing:
            self._failures += 1
            self._stopping = self._stopping or self._failures >= _MAX_FAILURES

    def _collect_outcomes(self, connection: _Connection) -> None:
        outcomes, connection.session.outcomes = connection.session.outcomes, []
        for outcome in outcomes:
            self._add_outcome(outcome)

    def _add_outcome(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if outcome.stop:
            self._stopping = True
        if outcome.state is State.SENT:
            self._failures = 0

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.transport)
        connection.transport.close()
