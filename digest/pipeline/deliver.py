"""Drain the outbox: claim, send, settle. What does not go now is tried again soon, then left for the next run."""

import logging
import random
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Protocol

from digest.delivery import Deliver, Outcome, State
from digest.store.outbox import Outbox

log = logging.getLogger("digest")

# Seconds before each further round. Short: a person may be waiting, and the next run tries everything again.
_PAUSES = (1.0, 3.0, 8.0)
_LOUD = 5  # warnings of one kind; the rest is in `digest status`


class Progress(Protocol):
    """Who looks on while mail goes out, and may end it."""

    def begin(self, total: int) -> None: ...
    def settled(self, count: int) -> None: ...
    def stopped(self) -> bool: ...
    def pause(self, seconds: float) -> None: ...


class NoProgress:
    """Nobody looks on."""

    def begin(self, total: int) -> None: ...

    def settled(self, count: int) -> None: ...

    def stopped(self) -> bool:
        return False

    def pause(self, seconds: float) -> None:
        Event().wait(seconds)


NO_PROGRESS: Progress = NoProgress()


@dataclass
class DeliveryTally:
    """What came of the messages: their latest outcomes counted, and why what is left was left."""

    outcomes: Counter[State] = field(default_factory=Counter)
    reason: str = ""
    stop: bool = False


def deliver_queue(
    outbox: Outbox, deliver: Deliver, run: int, clock: Callable[[], datetime], watch: Progress
) -> DeliveryTally:
    """Send all that is queued, in rounds, until nothing is left that can go now.

    Each round tries every message once. The pauses between them grow and are spread by chance, so that a server that
    asked for patience (greylisting, a full queue) is not met by everyone again at once.
    """
    tally = DeliveryTally()
    for pause in (*_PAUSES, None):
        _round(outbox, deliver, run, clock, watch, tally)
        left = outbox.release(run, clock())
        if watch.stopped():
            tally.reason = "it was interrupted"
            break
        if tally.stop or not left or pause is None:
            break
        seconds = pause * random.uniform(0.75, 1.25)
        log.info("trying again", {"messages": left, "seconds": round(seconds, 1), "why": tally.reason})
        watch.pause(seconds)
    return tally


def _round(
    outbox: Outbox, deliver: Deliver, run: int, clock: Callable[[], datetime], watch: Progress, tally: DeliveryTally
) -> None:
    """Try the queue once. Each batch is on disk before the next one is asked for."""
    with closing(deliver(outbox.claim(run, clock), watch.stopped)) as batches:
        for batch in batches:
            outbox.settle(batch, clock())
            for outcome in batch:
                _count(outcome, tally)
            watch.settled(sum(outcome.state in (State.SENT, State.REFUSED) for outcome in batch))


def _count(outcome: Outcome, tally: DeliveryTally) -> None:
    tally.outcomes[outcome.state] += 1
    if outcome.state is State.SENT:
        return
    if tally.outcomes[outcome.state] <= _LOUD:
        log.warning("not sent", {"state": outcome.state.value, "reply": outcome.reply})
    if outcome.state is not State.REFUSED and not tally.stop:
        tally.reason, tally.stop = outcome.reply, outcome.stop
