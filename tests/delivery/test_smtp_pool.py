"""The promise of delivery, whatever the server does: no body ahead of the record, and none unaccounted for."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from digest.delivery import Message, Outcome, State
from digest.delivery.smtp_pool import ConnectionClosed, ConnectionPool, ServerUnreachable, Throttle
from digest.delivery.smtp_protocol import ReplyClassifier

HANG_UP, SWALLOW = "hang up", "swallow"
NOTHING = -1  # the key of an empty message
STAGES = ("MAIL", "RCPT", "DATA", "BODY", "RSET")
REPLIES = {
    "MAIL": ["250 ok", "250 ok", "250 ok", "451 later", "421 closing", "gibberish", HANG_UP],
    "RCPT": [
        "250 ok",
        "250 ok",
        "250 ok",
        "250-2.1.5 a\r\n250 b",
        "450 later",
        "550 5.1.1 no",
        "550 5.7.1 no",
        HANG_UP,
    ],
    "DATA": ["354 go", "354 go", "354 go", "354 go", "451 later", "554 no", HANG_UP],
    "BODY": ["250 ok", "250 ok", "250 ok", "452 later", "554 no", "421 closing", "gibberish", HANG_UP, SWALLOW],
    "RSET": ["250 ok"],
}


@dataclass
class World:
    """What really happened, apart from what anybody was told."""

    choose: Callable[[list[str]], str]
    settled: set[int] = field(default_factory=set)
    bodies: list[int] = field(default_factory=list)  # every body that left, in order
    arrived: list[int] = field(default_factory=list)  # every message that was accepted
    broken: list[str] = field(default_factory=list)


class Memory:
    """A wire to a server that lives in this thread, so that each write is seen when it happens."""

    def __init__(self, world: World, pipelining: bool, chunk: int) -> None:
        self.world, self.chunk = world, chunk
        self.features = {"pipelining": ""} if pipelining else {}
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.buffer = b""
        self.body: int | None = None
        self.last: int | None = None
        self.recipient: int | None = None
        self.dead = False

    def fileno(self) -> int:
        return self.near.fileno()

    def read(self) -> bytes:
        try:
            data = self.near.recv(4096)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionClosed("the server hung up")
        return data

    def close(self) -> None:
        self.near.close()
        self.far.close()

    def write(self, data: bytearray) -> None:
        taken = bytes(data[: self.chunk])
        del data[: self.chunk]
        if self.dead:
            raise ConnectionClosed("broken pipe")
        self.buffer += taken
        while not self.dead and b"\r\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            self._line(line.decode())

    def _line(self, line: str) -> None:
        if self.body is not None:
            if line.startswith("key "):
                self._body_left(int(line[4:]))
            if line == ".":
                self._body_ended(self.body)
            return
        verb = line[:4]
        if verb in ("MAIL", "RSET"):
            self.recipient = None
        if verb == "QUIT":
            self.far.send(b"221 bye\r\n")
            self._die()
        elif self._answer(verb) and verb == "RCPT":
            self.recipient = int(line.partition("<r")[2].partition("@")[0])

    def _body_ended(self, key: int) -> None:
        if key == NOTHING and self.recipient is not None:
            self.world.broken.append(f"an empty message went to {self.recipient}")
        self._answer("BODY", key)
        self.body = self.recipient = None

    def _body_left(self, key: int) -> None:
        if self.last is not None and self.last not in self.world.settled:
            self.world.broken.append(f"{key} left before {self.last} was settled")
        if key != self.recipient:
            self.world.broken.append(f"{key} went to {self.recipient}")
        self.last = self.body = key
        self.world.bodies.append(key)

    def _answer(self, stage: str, message: int = NOTHING) -> bool:
        reply = self.world.choose(REPLIES[stage])
        if stage == "BODY" and (reply == SWALLOW or reply.startswith("250")) and message != NOTHING:
            self.world.arrived.append(message)
        if reply in (HANG_UP, SWALLOW):
            self._die()
            return False
        self.far.send(reply.encode() + b"\r\n")
        if reply.startswith("354"):
            self.body = NOTHING
        return reply.startswith("250")

    def _die(self) -> None:
        self.dead = True
        self.far.shutdown(socket.SHUT_RDWR)


def queue(count: int) -> Iterator[Message]:
    for key in range(count):
        yield Message(key, "digest@example.org", f"r{key}@example.org", f"key {key}\r\n.x\r\n".encode())


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 12),
    most=st.integers(1, 4),
    pipelining=st.booleans(),
    chunk=st.sampled_from([7, 40, 100_000]),
    patience=st.integers(1, 20),
)
def test_whatever_the_server_does_no_body_is_ahead_of_the_record_and_none_is_unaccounted_for(
    seed: int, count: int, most: int, pipelining: bool, chunk: int, patience: int
) -> None:
    world = World(Random(seed).choice)  # not drawn one by one: connections open in threads, in any order

    def connect() -> Memory:
        return Memory(world, pipelining, chunk)

    outcomes: dict[int, Outcome] = {}
    exchange = ConnectionPool(connect, most, 5.0, Throttle(None), ReplyClassifier())
    batches = exchange.deliver(queue(count), lambda: len(outcomes) > patience)
    for batch in batches:
        for outcome in batch:
            assert outcome.key not in outcomes
            outcomes[outcome.key] = outcome
        world.settled.update(outcome.key for outcome in batch)

    assert world.broken == []
    assert len(set(world.bodies)) == len(world.bodies), "a body left twice in one round"
    sent = {key for key, outcome in outcomes.items() if outcome.state is State.SENT}
    doubt = {key for key, outcome in outcomes.items() if outcome.state is State.DOUBT}
    assert sent <= set(world.arrived) <= sent | doubt
    assert doubt <= set(world.bodies) <= set(outcomes)


@settings(max_examples=30, deadline=None)
@given(allowed=st.integers(1, 3), most=st.integers(1, 5), count=st.integers(1, 30), pipelining=st.booleans())
def test_a_friendly_server_gets_everything_however_few_connections_it_allows(
    allowed: int, most: int, count: int, pipelining: bool
) -> None:
    world = World(lambda replies: replies[0])
    wires: list[Memory] = []

    def connect() -> Memory:
        if sum(not wire.dead for wire in wires) >= allowed:
            raise ServerUnreachable("421 too many connections")
        wires.append(Memory(world, pipelining, 100_000))
        return wires[-1]

    outcomes: list[Outcome] = []
    for batch in ConnectionPool(connect, most, 5.0, Throttle(None), ReplyClassifier()).deliver(
        queue(count), lambda: False
    ):
        outcomes += batch
        world.settled.update(outcome.key for outcome in batch)
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    assert sorted(outcome.key for outcome in outcomes) == sorted(world.arrived) == list(range(count))
    assert world.broken == []
