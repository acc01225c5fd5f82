"""No more messages in any stretch of time than the server allows.

Connections opened in the background, each for the message that wants it, so that a slow greeting holds up nobody.

Several connections, one queue, one thread: whoever can take a message gets the next one.

The connections are opened in threads of their own, since that is smtplib's and waits; everything after is one loop:

    advance   bodies and envelopes leave, on every connection that is ready for one
    listen    until something was answered or is overdue
    yield     what became known, as one batch; it is on disk when the loop goes on

Bodies leave in `advance` alone, and all that was known before it has been yielded: that is how the promise of
`digest.delivery` is kept.
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

from digest.delivery import Batches, Message, Outcome, Rate, State
from digest.delivery.smtp_protocol import ReplyClassifier, SessionLost, SmtpSession


class Throttle:
    """Keeps to a rate, over all connections; without one nothing waits. `clock` gives seconds."""

    def __init__(self, rate: Rate | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._taken: deque[float] = deque(maxlen=rate.count if rate else 0)

    def wait(self) -> float:
        """Seconds until the next message may go; 0 when it may go now."""
        if self._rate is None or len(self._taken) < self._rate.count:
            return 0.0
        return max(0.0, self._taken[0] + self._rate.seconds - self._clock())

    def take(self) -> None:
        """Count one message that goes now."""
        self._taken.append(self._clock())


class ConnectionClosed(Exception):
    """The connection is gone; the text says why."""


class ServerUnreachable(Exception):
    """No connection now; perhaps later."""


class ServerRejected(Exception):
    """The server will not work with us until somebody mends what the text says."""


class Transport(Protocol):
    """An open connection after the login; `features` are those of EHLO, in lower case."""

    features: dict[str, str]

    def fileno(self) -> int: ...
    def write(self, data: bytearray) -> None: ...
    def read(self) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A message that waits for a connection, until when, and where the answer comes."""

    message: Message
    deadline: float
    answer: "SimpleQueue[Transport | Exception]" = field(default_factory=SimpleQueue)


class Connector:
    """Opens connections with `connect`, which may take `patience` seconds. Can be waited for like a file."""

    def __init__(self, connect: Callable[[], Transport], patience: float) -> None:
        self.callers: set[_Waiting] = set()
        self._connect = connect
        self._patience = patience
        self._bell, self._ear = socket.socketpair()
        self._ear.setblocking(False)
        self._closed = False

    def fileno(self) -> int:
        return self._ear.fileno()

    def call(self, message: Message) -> None:
        """Begin to open a connection for a message."""
        caller = _Waiting(message, time.monotonic() + self._patience)
        self.callers.add(caller)
        threading.Thread(target=self._open, args=(caller,), daemon=True).start()

    def _open(self, caller: _Waiting) -> None:
        answer: Transport | Exception
        try:
            answer = self._connect()
        except Exception as problem:  # noqa: BLE001  raised again by whoever takes the answer
            answer = problem
        caller.answer.put(answer)
        with suppress(OSError):
            self._bell.send(b"!")
        if caller not in self.callers or self._closed:
            _close_late(caller)

    def answers(self) -> Iterator[tuple[Message, Transport | Exception]]:
        """Whose connection was opened, or failed to be, since the last time."""
        with suppress(BlockingIOError):
            self._ear.recv(4096)
        for caller in list(self.callers):
            try:
                answer = caller.answer.get_nowait()
            except Empty:
                if time.monotonic() < caller.deadline:
                    continue
                answer = ServerUnreachable("the server did not come to an end with its greeting")
            self.callers.discard(caller)
            yield caller.message, answer

    def close(self) -> None:
        """Wait for nobody any more; what opens late is closed at once."""
        self._closed = True
        for caller in self.callers:
            _close_late(caller)
        self._bell.close()
        self._ear.close()


def _close_late(caller: _Waiting) -> None:
    with suppress(Empty):
        answer = caller.answer.get_nowait()
        if not isinstance(answer, Exception):
            answer.close()


# RFC 5321 4.5.3.2.6 grants the server ten minutes for the answer to the final dot and 4.5.3.2.3 five for the others,
# because giving up early there is what makes second copies.
_DOT_PATIENCE = 4
_GREETING_PATIENCE = 5  # steps from the greeting to the login, each bounded by itself
_FAREWELL = 2.0  # seconds to wait for the answer to QUIT
_LOOK_UP = 0.5  # seconds after which `stopped` is looked at again
_FAILURES = 3  # connections in a row that ended before they served anyone: the server is not well


class _Worker:
    """A connection and its dialogue. `patience` is how many seconds an answer may take."""

    def __init__(self, wire: Transport, judge: ReplyClassifier, patience: float) -> None:
        self.wire = wire
        self.talk = SmtpSession(wire.features, judge)
        self.deadline = float("inf")
        self.events = selectors.EVENT_READ
        self._patience = patience

    def flush(self) -> None:
        """Write what the connection takes. Raises Closed."""
        before = len(self.talk.out)
        if before:
            self.wire.write(self.talk.out)
            if len(self.talk.out) < before:
                self._wait()

    def hear(self) -> None:
        """Take in what arrived, and say what it calls for. Raises Closed or Lost."""
        if data := self.wire.read():
            before = self.talk.heard
            self.talk.receive(data)
            if self.talk.heard > before:
                self._wait()
        self.flush()

    def _wait(self) -> None:
        """Begin to wait for the next answer. Only whole replies count, so that a trickle is no answer."""
        if not self.talk.awaiting:
            self.deadline = float("inf")
            return
        patience = self._patience * (_DOT_PATIENCE if self.talk.in_body else 1)
        self.deadline = time.monotonic() + (min(patience, _FAREWELL) if self.talk.closing else patience)


class ConnectionPool:
    """Drains a queue of messages over up to `most` connections that `connect` opens, no faster than `pace`."""

    def __init__(
        self, connect: Callable[[], Transport], most: int, patience: float, pace: Throttle, judge: ReplyClassifier
    ) -> None:
        self._most = most
        self._patience = patience
        self._pace = pace
        self._judge = judge
        self._lines: set[_Worker] = set()
        self._selector = selectors.DefaultSelector()
        self._doorway = Connector(connect, patience * _GREETING_PATIENCE)
        self._given_back: deque[Message] = deque()
        self._outcomes: list[Outcome] = []
        self._settling = 0.0
        self._failures = 0
        self._over = False
        self._drained = False

    def deliver(self, messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
        """See `digest.delivery`. Ends early when no connection can be had, or a reply stops the run."""
        self._selector.register(self._doorway, selectors.EVENT_READ)
        try:
            while self._busy():
                self._over = self._over or stopped()
                self._advance(messages)
                self._listen(0 if self._outcomes else self._patience_left())
                if self._outcomes:
                    self._gather()
                    batch, self._outcomes = self._outcomes, []
                    begun = time.monotonic()
                    yield batch
                    self._settling = time.monotonic() - begun
        finally:
            for line in list(self._lines):
                self._drop(line)
            self._doorway.close()
            self._selector.close()

    def _busy(self) -> bool:
        more = bool(self._doorway.callers or self._given_back or not self._drained)
        return bool(self._lines) or (more and not self._over)

    def _take(self, messages: Iterator[Message]) -> Message | None:
        """The next message, or None while there is none to be had."""
        if self._over:
            return None
        if self._given_back:
            return self._given_back.popleft()
        if self._drained or self._pace.wait():
            return None
        message = next(messages, None)
        if message is None:
            self._drained = True
        else:
            self._pace.take()
        return message

    def _advance(self, messages: Iterator[Message]) -> None:
        for line in list(self._lines):
            if line.talk.ready and self._over:
                self._drop(line)  # an envelope without its body delivers nothing
                continue
            if line.talk.ready:
                line.talk.begin(self._take(messages))
            elif line.talk.idle:
                self._employ(line, self._take(messages))
            self._carry(line, line.flush)
        while len(self._lines) + len(self._doorway.callers) < self._most:
            message = self._take(messages)
            if message is None:
                break
            self._doorway.call(message)

    def _employ(self, line: _Worker, message: Message | None) -> None:
        if message is not None:
            line.talk.offer(message)
        elif self._over or (self._drained and not self._doorway.callers):  # a caller's message may come back
            line.talk.quit()

    def _carry(self, line: _Worker, step: Callable[[], None]) -> None:
        """Do a step of input or output on a line, and see to what came of it."""
        try:
            step()
        except (ConnectionClosed, SessionLost) as problem:
            self._lost(line, str(problem))
            return
        self._collect(line)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.talk.out else 0)
        if events != line.events:
            line.events = events
            self._selector.modify(line.wire, events, line)

    def _gather(self) -> None:
        """Wait a little for bodies that are still under way, so that one commit serves them too.

        Half as long as the last batch took to settle, that is hardly at all on a quick disk. On one that syncs in 4 ms
        four connections would otherwise fall into two pairs that wait for each other's commits.
        """
        until = time.monotonic() + self._settling / 2
        while any(line.talk.in_body for line in self._lines) and (left := until - time.monotonic()) > 0:
            self._listen(left)

    def _listen(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            if isinstance(key.data, _Worker):
                self._carry(key.data, key.data.hear)
        for message, answer in self._doorway.answers():
            self._greeted(message, answer)
        now = time.monotonic()
        for line in [line for line in self._lines if line.deadline <= now]:
            self._lost(line, f"the server did not answer for {self._patience:g} seconds")

    def _patience_left(self) -> float:
        """Seconds to the next thing that happens by itself."""
        if not self._lines and not self._doorway.callers:
            return min(_LOOK_UP, self._pace.wait())
        soonest = min((line.deadline for line in self._lines), default=float("inf"))
        rate = self._pace.wait() or _LOOK_UP
        return max(0.0, min(_LOOK_UP, rate, soonest - time.monotonic()))

    def _greeted(self, message: Message, answer: Transport | Exception) -> None:
        """A connection was opened for a message, or not."""
        if isinstance(answer, ServerRejected):
            self._note(Outcome(message.key, State.PENDING, str(answer), stop=True))
        elif isinstance(answer, ServerUnreachable):
            if self._lines or self._doorway.callers:  # others serve: do without this one
                self._given_back.append(message)
                self._most = max(1, len(self._lines) + len(self._doorway.callers))
            else:
                self._note(Outcome(message.key, State.PENDING, str(answer)))
                self._over = True
        elif isinstance(answer, Exception):
            raise answer
        else:
            line = _Worker(answer, self._judge, self._patience)
            self._lines.add(line)
            self._selector.register(answer, selectors.EVENT_READ, line)
            self._employ(line, message)
            self._carry(line, line.flush)

    def _lost(self, line: _Worker, why: str) -> None:
        """A connection ended. What it had not begun is tried on another, if this one was any good."""
        message = line.talk.lost(why, len(line.talk.out))
        self._collect(line)
        self._drop(line)
        if message is not None and line.talk.served:
            self._given_back.append(message)
        elif message is not None:
            self._note(Outcome(message.key, State.PENDING, why))
        if not line.talk.served and not line.talk.closing:
            self._failures += 1
            self._over = self._over or self._failures >= _FAILURES

    def _collect(self, line: _Worker) -> None:
        outcomes, line.talk.outcomes = line.talk.outcomes, []
        for outcome in outcomes:
            self._note(outcome)

    def _note(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if outcome.stop:
            self._over = True
        if outcome.state is State.SENT:
            self._failures = 0

    def _drop(self, line: _Worker) -> None:
        self._lines.discard(line)
        self._selector.unregister(line.wire)
        line.wire.close()
