"""The promises of delivery, whatever the server does: no body before it is announced, no message lost."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.delivery import Message, Outcome, ServerRejected, ServerUnreachable, State
from digest.delivery.smtp_pool import ConnectionClosed, ConnectionPool, Relay, Throttle

HANG_UP, SWALLOW = "hang up", "swallow"
EMPTY = -1  # the key of an empty message
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
    """What really happened, whatever the pool was told."""

    choose: Callable[[list[str]], str]
    announced: set[int] = field(default_factory=set)
    settled: set[int] = field(default_factory=set)
    bodies: list[int] = field(default_factory=list)  # every body that left, in order
    arrived: list[int] = field(default_factory=list)  # every message that was accepted
    violations: list[str] = field(default_factory=list)


class MemoryTransport:
    """A transport to a server in the same thread, which sees each write when it happens."""

    def __init__(self, world: World, pipelining: bool, chunk: int) -> None:
        self.world, self.chunk = world, chunk
        self.features = {"pipelining": ""} if pipelining else {}
        self.client, self.server = socket.socketpair()
        self.client.setblocking(False)
        self.buffer = b""
        self.body: int | None = None
        self.last: int | None = None
        self.recipient: int | None = None
        self.dead = False

    def hide_secrets(self, reply: bytes) -> bytes:
        return reply

    def fileno(self) -> int:
        return self.client.fileno()

    def read(self) -> bytes:
        try:
            data = self.client.recv(4096)
        except BlockingIOError:
            return b""
        if not data:
            raise ConnectionClosed("the server closed the connection")
        return data

    def close(self) -> None:
        self.client.close()
        self.server.close()

    def write(self, data: bytearray) -> None:
        written = bytes(data[: self.chunk])
        del data[: self.chunk]
        if self.dead:
            raise ConnectionClosed("broken pipe")
        self.buffer += written
        while not self.dead and b"\r\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\r\n")
            self._handle_line(line.decode())

    def _handle_line(self, line: str) -> None:
        if self.body is not None:
            if line.startswith("key "):
                self._start_body(int(line[4:]))
            if line == ".":
                self._end_body(self.body)
            return
        verb = line[:4]
        if verb in ("MAIL", "RSET"):
            self.recipient = None
        if verb == "QUIT":
            self.server.send(b"221 bye\r\n")
            self._hang_up()
        elif self._reply(verb) and verb == "RCPT":
            self.recipient = int(line.partition("<r")[2].partition("@")[0])

    def _end_body(self, key: int) -> None:
        if key == EMPTY and self.recipient is not None:
            self.world.violations.append(f"an empty message went to {self.recipient}")
        self._reply("BODY", key)
        self.body = self.recipient = None

    def _start_body(self, key: int) -> None:
        if key not in self.world.announced:
            self.world.violations.append(f"{key} left before it was announced")
        if self.last is not None and self.last not in self.world.settled:
            self.world.violations.append(f"{key} left before {self.last} was settled")
        if key != self.recipient:
            self.world.violations.append(f"{key} went to {self.recipient}")
        self.last = self.body = key
        self.world.bodies.append(key)

    def _reply(self, stage: str, message: int = EMPTY) -> bool:
        reply = self.world.choose(REPLIES[stage])
        if stage == "BODY" and (reply == SWALLOW or reply.startswith("250")) and message != EMPTY:
            self.world.arrived.append(message)
        if reply in (HANG_UP, SWALLOW):
            self._hang_up()
            return False
        self.server.send(reply.encode() + b"\r\n")
        if reply.startswith("354"):
            self.body = EMPTY
        return reply.startswith("250")

    def _hang_up(self) -> None:
        self.dead = True
        self.server.shutdown(socket.SHUT_RDWR)


def queue(count: int) -> Iterator[Message]:
    for key in range(count):
        yield Message(key, "digest@example.org", f"r{key}@example.org", f"key {key}\r\n.x\r\n".encode())


def settle(world: World, batch: Sequence[Outcome]) -> None:
    assert batch, "an empty batch costs a commit"
    for outcome in batch:
        (world.announced if outcome.state is State.SENDING else world.settled).add(outcome.key)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 12),
    connections=st.integers(1, 4),
    pipelining=st.booleans(),
    chunk=st.sampled_from([7, 40, 100_000]),
    limit=st.integers(1, 20),
    relays=st.integers(1, 3),
)
def test_whatever_the_servers_do_no_body_precedes_the_last_outcome_and_every_body_has_one(
    seed: int, count: int, connections: int, pipelining: bool, chunk: int, limit: int, relays: int
) -> None:
    random = Random(seed)
    world = World(random.choice)  # not drawn one by one: connections open in threads, in any order

    def connect() -> MemoryTransport:
        if relays > 1 and random.random() < 0.3:
            raise random.choice([ServerUnreachable("421 not now"), ServerRejected("554 not you")])
        return MemoryTransport(world, pipelining, chunk)

    outcomes: dict[int, Outcome] = {}
    several = [Relay(f"r{n}" if relays > 1 else "", connect) for n in range(relays)]
    pool = ConnectionPool(several, connections, 5.0, Throttle(None))
    batches = pool.deliver(queue(count), lambda: len(outcomes) > limit)
    for batch in batches:
        for outcome in batch:
            assert outcome.key not in outcomes
            if outcome.state is State.SENDING:
                assert outcome.key not in world.announced
            else:
                outcomes[outcome.key] = outcome
        settle(world, batch)

    assert world.violations == []
    assert len(set(world.bodies)) == len(world.bodies), "a body left twice in one round"
    sent = {key for key, outcome in outcomes.items() if outcome.state is State.SENT}
    doubt = {key for key, outcome in outcomes.items() if outcome.state is State.DOUBT}
    assert world.announced >= {*world.bodies, *doubt}
    assert sent <= set(world.arrived) <= sent | doubt
    assert doubt <= set(world.bodies) <= set(outcomes)


@pytest.mark.parametrize("connections", [1, 3])
def test_an_announcement_shares_the_commit_of_the_outcomes_before_it(connections: int) -> None:
    world = World(lambda replies: replies[0])
    pool = ConnectionPool([Relay("", lambda: MemoryTransport(world, True, 100_000))], connections, 5.0, Throttle(None))
    commits = 0
    for batch in pool.deliver(queue(60), lambda: False):
        settle(world, batch)
        commits += 1
    assert (len(world.arrived), world.violations) == (60, [])
    assert commits <= 60 + connections


@settings(max_examples=30, deadline=None)
@given(allowed=st.integers(1, 3), connections=st.integers(1, 5), count=st.integers(1, 30), pipelining=st.booleans())
def test_a_server_gets_everything_however_few_connections_it_allows(
    allowed: int, connections: int, count: int, pipelining: bool
) -> None:
    world = World(lambda replies: replies[0])
    transports: list[MemoryTransport] = []

    def connect() -> MemoryTransport:
        if sum(not transport.dead for transport in transports) >= allowed:
            raise ServerUnreachable("421 too many connections")
        transports.append(MemoryTransport(world, pipelining, 100_000))
        return transports[-1]

    outcomes: list[Outcome] = []
    for batch in ConnectionPool([Relay("", connect)], connections, 5.0, Throttle(None)).deliver(
        queue(count), lambda: False
    ):
        outcomes += [outcome for outcome in batch if outcome.state is not State.SENDING]
        settle(world, batch)
    assert {outcome.state for outcome in outcomes} == {State.SENT}
    assert sorted(outcome.key for outcome in outcomes) == sorted(world.arrived) == list(range(count))
    assert world.violations == []
