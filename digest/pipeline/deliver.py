"""Deliver the queue: claim, send, settle. What cannot be sent now is retried soon, then left to the next run."""

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

# Seconds before each further round. Short: a person may be waiting, and the next run retries everything.
_PAUSES = (1.0, 3.0, 8.0)
_MAX_WARNINGS = 5  # of one kind; the rest is in `digest status`


class Progress(Protocol):
    """Watches mail go out, and may stop it."""

    def begin(self, total: int) -> None: ...
    def advance(self, count: int) -> None: ...
    def stopped(self) -> bool: ...
    def pause(self, seconds: float) -> None: ...


class NoProgress:
    """Shows nothing and never stops."""

    def begin(self, total: int) -> None: ...

    def advance(self, count: int) -> None: ...

    def stopped(self) -> bool:
        return False

    def pause(self, seconds: float) -> None:
        Event().wait(seconds)


NO_PROGRESS: Progress = NoProgress()


@dataclass
class DeliveryTally:
    """The latest outcomes, counted; `reason` says why what is left was left."""

    outcomes: Counter[State] = field(default_factory=Counter)
    reason: str = ""
    stop: bool = False


def deliver_queue(
    outbox: Outbox, deliver: Deliver, run: int, clock: Callable[[], datetime], progress: Progress
) -> DeliveryTally:
    """Send all that is queued, in rounds, until nothing is left that can be sent now.

    Each round tries every message once. The pauses between them grow and have random jitter, so that a server that
    asked to wait (greylisting, a full queue) does not get everything again at one moment.
    """
    tally = DeliveryTally()
    for pause in (*_PAUSES, None):
        _send_once(outbox, deliver, run, clock, progress, tally)
        left = outbox.release(run, clock())
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
    outbox: Outbox, deliver: Deliver, run: int, clock: Callable[[], datetime], progress: Progress, tally: DeliveryTally
) -> None:
    """Try the queue once. Each batch of outcomes is on disk before the next one is asked for."""
    with closing(deliver(outbox.claim(run, clock), progress.stopped)) as batches:
        for batch in batches:
            outbox.settle(batch, clock())
            for outcome in batch:
                _count(outcome, tally)
            progress.advance(sum(outcome.state in (State.SENT, State.REFUSED) for outcome in batch))


def _count(outcome: Outcome, tally: DeliveryTally) -> None:
    tally.outcomes[outcome.state] += 1
    if outcome.state is State.SENT:
        return
    if tally.outcomes[outcome.state] <= _MAX_WARNINGS:
        log.warning("not sent", {"state": outcome.state.value, "reply": outcome.reply})
    if outcome.state is not State.REFUSED and not tally.stop:
        tally.reason, tally.stop = outcome.reply, outcome.stop
