"""The daily job: fetch, record, rank, render, queue, send. Preview is the same path without the last two."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from digest.config import Config
from digest.delivery import Deliver, State
from digest.errors import ConfigError, DigestError, InboxError, NoSourceReadable, Undelivered
from digest.mail.address import Mailbox
from digest.mail.edition import Edition, compose
from digest.mail.message import MessageFrame, build_frame, fill_frame, make_placeholders
from digest.mail.render import Renderer
from digest.mail.unsubscribe import unsubscribe_link
from digest.pipeline.context import Context, delivery_method, fetch_memory, open_context
from digest.pipeline.deliver import NO_PROGRESS, Progress, deliver_queue
from digest.pipeline.inbox import InboxReport
from digest.pipeline.notify import pinging
from digest.pipeline.select import Selection
from digest.sources import Fetched
from digest.sources.fetcher import Fetcher
from digest.sources.freshness import check_freshness, late_batches, source_notice
from digest.store.database import run_lock
from digest.store.outbox import Audience
from digest.store.statistics import Statistics
from digest.store.subscribers import Profile, Subscriber

log = logging.getLogger("digest")

_LOUD = 5  # warnings of one kind about one source; `digest status --json` has them all

Clock = Callable[[], datetime]


@dataclass
class RunReport:
    """What a run did, as it goes along."""

    day: date
    fetched: list[Fetched] = field(default_factory=list)
    new: int = 0
    papers: int = 0
    queued: int = 0
    outcomes: Counter[State] = field(default_factory=Counter)
    stopped: str = ""
    waiting: int = 0
    held: str = ""

    @property
    def readable(self) -> bool:
        return any(fetched.state != "failed" for fetched in self.fetched)

    def summary(self) -> dict[str, int | str]:
        """What the journal keeps of it."""
        return {
            "new": self.new,
            "papers": self.papers,
            "queued": self.queued,
            "sent": self.outcomes[State.SENT],
            "refused": self.outcomes[State.REFUSED],
            "waiting": self.waiting,
            "stopped": self.stopped,
        }


def run_daily(
    config: Config,
    day: date,
    clock: Clock,
    fetcher: Fetcher,
    watch: Progress = NO_PROGRESS,
    moment: Clock | None = None,
) -> RunReport:
    """The daily job. Raises NothingReadable or Undelivered once everything that could be done is done.

    `moment` tells the true time where `clock` agrees with another `day`: letters are read by it.
    """
    with (
        pinging(config.notify) as begin,
        run_lock(config.digest.database),
    ):
        begin()
        return _run(config, day, clock, fetcher, watch, moment or clock)


def _run(config: Config, day: date, clock: Clock, fetcher: Fetcher, watch: Progress, moment: Clock) -> RunReport:
    deliver = delivery_method(config)
    with open_context(config) as d, _entry(d, "run", day, clock) as (number, report):
        _take_up(d, number, report, clock, moment)  # first: the papers of what expires unsent may be chosen again
        _fetch(d, fetcher, number, report, clock())
        if report.readable and day.weekday() in config.digest.days:
            _publish(d, report, clock())
        _deliver(d, deliver, number, report, clock, watch)
        if not report.readable:
            raise NoSourceReadable("no source could be read, so there is no new mail; the next run tries again")
        _check_delivered(report)
    return report


def fetch_only(config: Config, day: date, clock: Clock, fetcher: Fetcher) -> RunReport:
    """Only fetch and record. Raises NothingReadable when no source could be read."""
    with (
        run_lock(config.digest.database),
        open_context(config) as d,
        _entry(d, "fetch", day, clock) as (number, report),
    ):
        _fetch(d, fetcher, number, report, clock())
        if not report.readable:
            raise NoSourceReadable("no source could be read; the next run tries again")
    return report


def send_queued(config: Config, day: date, clock: Clock, watch: Progress = NO_PROGRESS) -> RunReport:
    """Deliver what is queued. Raises Undelivered when some of it stays in the queue."""
    deliver = delivery_method(config)
    with run_lock(config.digest.database), open_context(config) as d, _entry(d, "send", day, clock) as (number, report):
        _take_up(d, number, report, clock, clock)
        _deliver(d, deliver, number, report, clock, watch)
        _check_delivered(report)
    return report


@dataclass(frozen=True)
class Preview:
    """A message that `run` would send: its bytes, how many papers it has, and whether it is in the outbox already."""

    bytes: bytes
    papers: int
    queued: bool


def preview(config: Config, day: date, to: str | None, clock: Clock, fetcher: Fetcher) -> Preview:
    """The message of `day` for the address `to`: as it was queued, or as it would be. Queues and sends nothing.

    Without `to`, for the first of digest.to, the first subscriber, or the sender, whom there is. Raises NothingReadable
    when there is nothing queued and no source could be read, ValueError when `to` is no address.
    """
    with open_context(config) as d:
        to = to or next(iter(config.digest.to), None)
        first = None if to else d.subscribers.first(day)
        reader = first or d.subscribers.get(to or config.digest.from_.address)
        frozen = d.outbox.of_day(reader, day)
        if frozen is not None:
            return Preview(frozen, 0, queued=True)
        report = RunReport(day)
        _record(d, fetcher, report, clock())
        if not report.readable:
            raise NoSourceReadable("no source could be read, so there is nothing to preview")
        choice = Selection(d.config, d.history, d.likeness, day)
        shown = d.outbox.shown_to(reader, (c.id for c in choice.candidates), day)
        edition = _edit(d, report, choice, shown, reader.profile)
        return Preview(_filled(d, edition, reader, clock()), len(edition.entries), queued=False)


def plan_run(config: Config, day: date, clock: Clock, fetcher: Fetcher) -> list[tuple[int, Edition]]:
    """What `run` would queue: (subscribers, edition) for each edition. Only fetches and records."""
    with open_context(config) as d:
        report = RunReport(day)
        d.subscribers.configure(config.digest.to)
        _record(d, fetcher, report, clock())
        if not report.readable:
            raise NoSourceReadable("no source could be read, so there would be no mail")
        return [(audience.size, edition) for audience, edition in _editions(d, report)]


@contextmanager
def _entry(d: Context, command: str, day: date, clock: Clock) -> Iterator[tuple[int, RunReport]]:
    """The journal's entry of a run, closed with how it ended."""
    report = RunReport(day)
    number = d.journal.begin(command, day, clock())
    try:
        yield number, report
    except DigestError as problem:
        d.journal.end(number, problem.exit_code, report.summary(), clock())
        raise
    d.journal.end(number, 0, report.summary(), clock())


def read_inbox(config: Config, day: date, clock: Clock) -> InboxReport:
    """Read who asks to leave and whose mail came back. Raises InboxError when the mailbox cannot be read."""
    if config.inbox is None:
        raise ConfigError(
            ["inbox: is missing; write [inbox] with host = …, or with path = … for a Maildir"], str(config.path)
        )
    with run_lock(config.digest.database), open_context(config) as d:
        d.subscribers.configure(config.digest.to)
        received = d.mailroom.read(config.inbox, clock)
        d.outbox.withdraw(day)
    if received.problem:
        raise InboxError(received.problem)
    return received


def _take_up(d: Context, number: int, report: RunReport, clock: Clock, moment: Clock) -> None:
    """Who receives from now on, and what earlier runs left in the queue for them."""
    d.subscribers.configure(d.config.digest.to)
    if d.config.inbox is not None:
        received = d.mailroom.read(d.config.inbox, moment)
        report.held = received.held(moment())
        if received.problem:
            log.error("NO LETTER COULD BE READ", {"since": received.failing, "why": received.problem})
    d.outbox.resume(number, report.day, clock())


def _fetch(d: Context, fetcher: Fetcher, number: int, report: RunReport, now: datetime) -> None:
    for fetched, new in _record(d, fetcher, report, now):
        d.journal.fetched(number, fetched, new)


def _record(d: Context, fetcher: Fetcher, report: RunReport, now: datetime) -> list[tuple[Fetched, int]]:
    """Ask every source and record what it lists; say in the log how it went."""
    done = []
    for answered in fetcher.fetch(d.config.sources, now, fetch_memory(d.config, d.journal, d.answers, report.day)):
        fetched = check_freshness(answered, partial(d.history.listed, answered.source, before=report.day))
        new = d.history.record(fetched.source, fetched.sightings, report.day)
        d.answers.keep(fetched.answers, report.day)
        done.append((fetched, new))
        report.fetched.append(fetched)
        report.new += new
        _log(fetched, new)
    return done


def _log(fetched: Fetched, new: int) -> None:
    source = {"source": fetched.source}
    log.info("fetched", {**source, "state": fetched.state, "papers": len(fetched.sightings), "new": new})
    for event, sentences in (
        ("unreadable", fetched.errors),
        ("late", late_batches(fetched)),
        ("skipped", fetched.skipped),
    ):
        for sentence in sentences[:_LOUD]:
            log.warning(event, {**source, "why": sentence})
        if len(sentences) > _LOUD:
            log.warning(event, {**source, "more": len(sentences) - _LOUD})


def _publish(d: Context, report: RunReport, now: datetime) -> None:
    """Put the day's editions into the outbox, for everyone who has none yet."""
    for name, readers in Statistics(d.db.conn).lost_topics(topic.name for topic in d.config.topics).items():
        why = "it is not in [[topics]]; who chose nothing else gets all"
        log.warning("no such topic", {"topic": name, "subscribers": readers, "why": why})
    for audience, edition in _editions(d, report):
        if not edition.entries and d.config.digest.when_empty == "skip":
            log.info("nothing new", {"subscribers": audience.size})
            continue
        frame = _frame(d, edition, now)
        queued = d.outbox.publish(report.day, frame, [entry.id for entry in edition.entries], audience, now)
        report.queued += queued
        report.papers = max(report.papers, len(edition.entries))
        log.info("queued", {"papers": len(edition.entries), "messages": queued, "bytes": len(frame.bytes)})


def _editions(d: Context, report: RunReport) -> Iterator[tuple[Audience, Edition]]:
    choice = Selection(d.config, d.history, d.likeness, report.day)
    for audience in d.outbox.audiences(report.day, [c.id for c in choice.candidates]):
        yield audience, _edit(d, report, choice, audience.shown, audience.profile)


def _edit(d: Context, report: RunReport, choice: Selection, shown: frozenset[int], profile: Profile) -> Edition:
    """The edition for readers that chose `profile` and have been shown `shown`."""
    ranked = choice.lineup(shown, profile)[: choice.most(profile)]
    papers = dict(d.history.papers(r.trend.id for r in ranked))
    notices = [sentence for fetched in report.fetched if (sentence := source_notice(fetched))]
    return compose(d.config.digest.title, report.day, ranked, papers, d.history.count_new(report.day), notices)


def _frame(d: Context, edition: Edition, now: datetime) -> MessageFrame:
    config, slots = d.config, make_placeholders(d.secret, edition.day)
    sender: Mailbox = config.digest.from_
    leave = unsubscribe_link(config.unsubscribe, sender, slots.token)
    rendered = Renderer(config.digest.templates).render(edition, slots, leave)
    return build_frame(rendered, config.digest.title, sender, config.unsubscribe, slots, edition.day, now)


def _filled(d: Context, edition: Edition, reader: Subscriber, now: datetime) -> bytes:
    return fill_frame(_frame(d, edition, now), reader.address, reader.token, edition.day.isoformat())


def _deliver(d: Context, deliver: Deliver, number: int, report: RunReport, clock: Clock, watch: Progress) -> None:
    """Send what is queued, unless it is held; each outcome is on disk before the next message leaves."""
    waiting = d.outbox.waiting()
    if waiting and report.held:
        report.stopped = report.held
    elif waiting:
        watch.begin(waiting)
        tally = deliver_queue(d.outbox, deliver, number, clock, watch)
        report.outcomes, report.stopped = tally.outcomes, tally.reason
    report.waiting = d.outbox.waiting()


def _check_delivered(report: RunReport) -> None:
    if report.waiting:
        many = f"{report.waiting:,} message{'s' * (report.waiting != 1)}"
        why = f" ({report.stopped})" if report.stopped else ""
        raise Undelivered(f"{many} could not be delivered{why}; queued for the next run or `digest send`")
