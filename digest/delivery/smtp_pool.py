"""Several SMTP connections to one or more relays, one queue, one thread: a connection that is ready gets a message.

The module hides all waiting: for the server, for connections being opened, for the sending rate, and for bodies that
can share a commit. Its parts, in the order of the file: `Transport`, the socket of a connection and how opening one can
fail; `Throttle`, the sending rate; `Relay`, a server and what is known of it; `Connector`, which opens connections in
threads of their own, because smtplib blocks; and `ConnectionPool`, one loop over everything else:

    send    a body or an envelope on every connection that is ready for one
    wait    until a reply arrives, a connection opens, or a timeout passes
    yield   what became known and which bodies are sent next, as one batch, which is on disk when the loop goes on

A connection becomes ready for a body in `wait` only, and every such body is announced in the `yield` that follows. So
each body that `send` starts was announced, and the outcome of the last one on its connection is on disk too, as
`digest.delivery` promises. In the steady state both are in one batch: it costs no commit of its own.

A relay that cannot be used is left out of the run while another can. Its messages go to the others: in this round those
that it was never given, in the next round those that it was given and that have certainly not arrived. One that may
have arrived is in doubt as ever. When no relay is left, the delivery stops, and the next round tries them all again.
"""

import logging
import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, SimpleQueue
from typing import Protocol

from digest.delivery import Batches, Message, Outcome, Rate, ServerRejected, ServerUnreachable, State
from digest.delivery.smtp_protocol import ReplyClassifier, SessionLost, SmtpSession

log = logging.getLogger("digest")

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


@dataclass(slots=True, eq=False)
class Relay:
    """A server that takes our messages, and what is known of it, over all rounds of a run.

    `connect` opens a connection to it. `name` is how messages call it, '' for the only relay: they need not name it.
    `left_out` is why it gets no more messages, '' while it is used. `rejects` says that it rejects us until somebody
    fixes what `left_out` says. `failures` are connections in a row that ended before it answered any message.
    """

    name: str
    connect: Callable[[], Transport]
    classifier: ReplyClassifier = field(default_factory=ReplyClassifier)
    left_out: str = ""
    rejects: bool = False
    failures: int = 0
    limit: int = 0  # connections that it accepts at once, as far as we know
    reported: bool = False  # that it is left out, in the log

    def named(self, text: str) -> str:
        """A reply or an error of this relay, which begins with its name unless it is the only one."""
        return text if text.startswith(self.name) else f"{self.name}: {text}"


@dataclass(frozen=True, slots=True, eq=False)
class _PendingConnection:
    """A connection to `relay` being opened for `message`, until `deadline`. Its thread puts the result in the queue."""

    relay: Relay
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
    """Open connections to relays in the background; each has `timeout` seconds.

    Each connection is opened for one message, so a slow server delays only that message. A selector can wait for the
    connector: it becomes readable when a connection has been opened or has failed.
    """

    def __init__(self, timeout: float) -> None:
        self.pending: set[_PendingConnection] = set()
        self._timeout = timeout
        self._wakeup_sender, self._wakeup_receiver = socket.socketpair()
        self._wakeup_receiver.setblocking(False)
        self._closed = False

    def fileno(self) -> int:
        return self._wakeup_receiver.fileno()

    def open(self, relay: Relay, message: Message) -> None:
        """Start to open a connection to a relay for a message."""
        pending = _PendingConnection(relay, message, time.monotonic() + self._timeout)
        self.pending.add(pending)
        threading.Thread(target=self._open, args=(pending,), daemon=True).start()

    def _open(self, pending: _PendingConnection) -> None:
        result: Transport | Exception
        try:
            result = pending.relay.connect()
        except Exception as error:  # noqa: BLE001  the pool raises it again in its own thread
            result = error
        pending.result.put(result)
        with suppress(OSError):
            self._wakeup_sender.send(b"!")
        if pending not in self.pending or self._closed:
            pending.discard()

    def finished(self) -> Iterator[tuple[Relay, Message, Transport | Exception]]:
        """Yield each relay and message whose connection was opened since the last call, or whose connection failed."""
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
            yield pending.relay, pending.message, result

    def close(self) -> None:
        """Stop waiting. A connection that is opened later is closed at once."""
        self._closed = True
        for pending in self.pending:
            pending.discard()
        self._wakeup_sender.close()
        self._wakeup_receiver.close()


class _Connection:
    """A connection of the pool: its relay, its socket, its session, and when the server's next reply is due."""

    def __init__(self, relay: Relay, transport: Transport, timeout: float) -> None:
        self.relay = relay
        self.transport = transport
        self.session = SmtpSession(transport.features, relay.classifier, transport.hide_secrets)
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
    """Send a queue of messages over up to `max_connections` connections, spread over `relays`.

    `timeout` is how many seconds to wait for a reply. `relays` and `throttle` are used for all rounds of a run; a relay
    that an earlier round left out is used again only if all were.
    """

    def __init__(self, relays: Sequence[Relay], max_connections: int, timeout: float, throttle: Throttle) -> None:
        self._relays = relays
        for relay in self._relays:
            relay.limit = max_connections
        if not self._usable():
            for relay in self._relays:
                relay.left_out, relay.rejects, relay.failures = "", False, 0
        self._max_connections = max_connections
        self._timeout = timeout
        self._throttle = throttle
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._connector = Connector(timeout * CONNECT_STEPS)
        self._returned: deque[Message] = deque()  # messages to send on another connection
        self._outcomes: list[Outcome] = []
        self._commit_seconds = 0.0  # how long the caller took for the last batch
        self._stopping = False
        self._exhausted = False  # the iterator of messages has ended

    def deliver(self, messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
        """Deliver the messages; see `digest.delivery`. Ends early if every relay is unreachable or rejects us."""
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
                session.send_body(self._message_for(connection.relay, messages))
            elif session.idle:
                self._assign(connection, self._message_for(connection.relay, messages))
            self._step(connection, connection.write)
        while (relay := self._next_relay()) and (message := self._message_for(relay, messages)):
            self._connector.open(relay, message)

    def _all_reject(self) -> bool:
        return all(relay.rejects for relay in self._relays)

    def _leave_out(self, relay: Relay, why: str, *, rejects: bool) -> None:
        """Send nothing more to a relay. The others go on; without any, stop."""
        if not relay.left_out:
            relay.left_out, relay.rejects = relay.named(why), rejects
        if not self._usable():
            self._stopping = True
        elif not relay.reported:
            relay.reported = True
            log.warning("relay left out", {"relay": relay.name, "why": why})

    def _usable(self) -> list[Relay]:
        return [relay for relay in self._relays if not relay.left_out]

    def _busy(self, relay: Relay) -> int:
        """The number of connections to a relay, open or being opened."""
        pending = sum(connection.relay is relay for connection in self._connector.pending)
        return pending + sum(connection.relay is relay for connection in self._connections)

    def _next_relay(self) -> Relay | None:
        """Return the relay to open the next connection to: the one with the fewest; None if there are enough."""
        if len(self._connections) + len(self._connector.pending) >= self._max_connections:
            return None
        usable = ((self._busy(relay), relay) for relay in self._usable())
        free = [(busy, relay.failures, relay) for busy, relay in usable if busy < relay.limit]
        return min(free, key=lambda entry: (*entry[:2], random.random()))[2] if free else None

    def _message_for(self, relay: Relay, messages: Iterator[Message]) -> Message | None:
        """Return the next message for a relay, or None if there is none now."""
        if self._stopping or relay.left_out:
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
        elif self._stopping or connection.relay.left_out or (self._exhausted and not self._connector.pending):
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
        """Wait for replies and new connections, and process them.

        Drop connections whose reply is overdue, and those to relays left out that would be given a body next.
        """
        for key, _ in self._selector.select(seconds):
            if isinstance(key.data, _Connection):
                self._step(key.data, key.data.read)
        for relay, message, result in self._connector.finished():
            self._add_connection(relay, message, result)
        now = time.monotonic()
        for connection in [connection for connection in self._connections if connection.deadline <= now]:
            self._connection_lost(connection, f"the server did not answer within {self._timeout:g} seconds")
        if not self._stopping:
            for connection in [c for c in self._connections if c.relay.left_out and c.session.next_body]:
                self._returned += filter(None, [connection.session.next_body])  # not announced yet
                self._close(connection)

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

    def _add_connection(self, relay: Relay, message: Message, result: Transport | Exception) -> None:
        """Put a new connection to work on the message it was opened for, or handle the failure to open it."""
        if isinstance(result, ServerUnreachable) and (busy := self._busy(relay)):
            relay.limit = busy  # the server allows fewer connections: use those
            self._returned.append(message)
        elif isinstance(result, ServerUnreachable | ServerRejected):
            self._leave_out(relay, str(result), rejects=isinstance(result, ServerRejected))
            if self._usable():
                self._returned.append(message)
            else:
                why = "; ".join(other.left_out for other in self._relays)
                self._outcomes.append(Outcome(message.key, State.PENDING, why, self._all_reject()))
        elif isinstance(result, Exception):
            raise result
        else:
            connection = _Connection(relay, result, self._timeout)
            self._connections.add(connection)
            self._selector.register(result, selectors.EVENT_READ, connection)
            self._assign(connection, message)
            self._step(connection, connection.write)

    def _connection_lost(self, connection: _Connection, reason: str) -> None:
        """Settle what was under way. A message whose body was not begun is sent on another connection.

        If the server had not answered any message on this connection, the message may be the cause of the loss: it
        stays pending. After a few such connections in a row, the relay is not working: leave it out.
        """
        session, relay = connection.session, connection.relay
        message = session.connection_lost(reason, len(session.outgoing))
        self._collect_outcomes(connection)
        self._close(connection)
        if message is not None and session.messages_answered:
            self._returned.append(message)
        elif message is not None:
            self._add_outcome(relay, Outcome(message.key, State.PENDING, reason))
        if not session.messages_answered and not session.closing:
            relay.failures += 1
            if relay.failures >= _MAX_FAILURES:
                self._leave_out(relay, reason, rejects=False)

    def _collect_outcomes(self, connection: _Connection) -> None:
        outcomes, connection.session.outcomes = connection.session.outcomes, []
        for outcome in outcomes:
            self._add_outcome(connection.relay, outcome)

    def _add_outcome(self, relay: Relay, outcome: Outcome) -> None:
        """Take an outcome. A relay that rejects us, or is too full for any message, is left out while another works."""
        if relay.name:
            outcome = replace(outcome, reply=relay.named(outcome.reply))
        if outcome.state is State.SENT:
            relay.failures = 0
        elif outcome.stop:
            self._leave_out(relay, outcome.reply, rejects=True)
            outcome = replace(outcome, stop=self._all_reject())
        elif relay.classifier.overloaded and len(self._usable()) > 1:
            self._leave_out(relay, outcome.reply, rejects=False)
        self._outcomes.append(outcome)

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.transport)
        connection.transport.close()
