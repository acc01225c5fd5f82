"""Deliver the queue: claim, send, settle. What cannot be sent now is retried soon, then left to the next run."""

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from digest.delivery import Deliver, Message, Outcome, State

log = logging.getLogger("digest")

# Seconds before each further round. Short: a person may be waiting, and the next run retries everything.
_PAUSES = (1.0, 3.0, 8.0)
_MAX_WARNINGS = 5  # of one kind; the rest is in `digest status`


class Progress:
    """Receives the progress of a run, and can stop its delivery. This one does neither."""

    def composed(self, done: int, total: int) -> None:
        """The mail of `done` of `total` subscribers is composed."""

    def begin(self, total: int) -> None:
        """`total` messages are about to be sent."""

    def advance(self, count: int) -> None:
        """`count` more messages were sent or refused."""

    def stopped(self) -> bool:
        """Whether to stop."""
        return False

    def pause(self, seconds: float) -> None:
        """Wait before the next round."""
        time.sleep(seconds)


@dataclass
class DeliveryTally:
    """The number of outcomes by state; `reason` says why messages remain in the queue."""

    outcomes: Counter[State] = field(default_factory=Counter)
    reason: str = ""
    stop: bool = False


class Queue(Protocol):
    """Messages to deliver: the outbox, or the answers to letters. What each method promises is said there."""

    def claim(self, run: int) -> Iterator[Message]:
        """Yield the messages, each once."""

    def settle(self, run: int, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Record outcomes; on disk when this returns."""

    def release(self, run: int, now: datetime) -> int:
        """Put back what was not sent; return how many messages may be tried again."""

    def count_waiting(self) -> int:
        """Return how many messages are in the queue."""


def deliver_queue(
    queue: Queue, deliver: Deliver, run: int, clock: Callable[[], datetime], progress: Progress
) -> DeliveryTally:
    """Send all that is queued, in rounds, until nothing is left that can be sent now.

    Each round tries every message once. The pauses between them grow and have random jitter, so that a server that
    asked to wait (greylisting, a full queue) does not get everything again at one moment.
    """
    tally = DeliveryTally()
    for pause in (*_PAUSES, None):
        _send_once(queue, deliver, run, clock, progress, tally)
        left = queue.release(run, clock())
        if progress.stopped():
            tally.reason = "it was interrupted"
            break
        if tally.stop or not left or pause is None:
            break
        seconds = pause * random.uniform(0.75, 1.25)
        log.info("retrying", {"messages": left, "seconds": round(seconds, 1), "why": tally.reason})
        progress.pause(seconds)
    return tally


def _send_once(
    queue: Queue, deliver: Deliver, run: int, clock: Callable[[], datetime], progress: Progress, tally: DeliveryTally
) -> None:
    """Try the queue once. Each batch is on disk before the next one is asked for."""
    with closing(deliver(queue.claim(run), progress.stopped)) as batches:
        for batch in batches:
            queue.settle(run, batch, clock())
            for outcome in batch:
                if outcome.state is not State.SENDING:
                    _count(outcome, tally)
            progress.advance(sum(outcome.state in (State.SENT, State.REFUSED) for outcome in batch))


def _count(outcome: Outcome, tally: DeliveryTally) -> None:
    tally.outcomes[outcome.state] += 1
    if outcome.state is State.SENT:
        return
    if tally.outcomes[outcome.state] <= _MAX_WARNINGS and not outcome.stop:  # why a run stops is its last word
        log.warning("not sent", {"state": outcome.state.value, "reply": outcome.reply})
    if outcome.state is not State.REFUSED and not tally.stop:
        tally.reason, tally.stop = outcome.reply, outcome.stop
