"""The daily job.

    fetch ──▶ record ──▶ select ──▶ compose ──▶ render ──▶ publish ──▶ deliver

`run_daily` does these steps in order; each takes what the one before returned:

1. It takes the run lock and opens the database. Replies come first: those who unsubscribed get nothing from now on.
   Mail that earlier runs left behind is recovered or expires, so that its papers can be chosen again.
2. `fetch` asks every source, side by side, with what earlier runs remember (validators, missed days).
3. `record` stores what a source lists: papers and sightings. Seen is not shown.
4. `select` loads the day's candidates and groups subscribers who chose the same and were shown the same papers; each
   group gets one list of papers, best first (`digest.ranking.selection`).
5. `compose` puts these papers into an edition: headings, entries, notices (`digest.mail.edition`).
6. `render` makes it a message with gaps for address and token (`digest.mail.render`).
7. `publish` freezes the message in the outbox and queues it for every subscriber of the group. From here on its papers
   count as shown, and no later run makes another mail for that day.
8. `deliver` sends the queue. Each outcome is on disk before the next message leaves on the same connection.

Steps 3, 7 and 8 write, each in transactions that are safe to repeat: a run may be killed at any moment and run again.
`preview` is the same path up to step 6, and `--dry-run` up to step 5.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial

from digest.config import Config
from digest.delivery import Deliver, State
from digest.errors import ConfigError, DigestError, InboxError, NoSourceReadable, Undelivered
from digest.mail.edition import Edition, compose
from digest.papers.text.fit import plural
from digest.pipeline.context import Context, delivery_method, open_context
from digest.pipeline.deliver import NO_PROGRESS, Progress, deliver_queue
from digest.pipeline.inbox import InboxReport
from digest.pipeline.notify import pinging
from digest.pipeline.select import load_selection
from digest.ranking.trending import Ranked
from digest.sources import Fetched
from digest.sources.fetcher import Fetcher
from digest.sources.freshness import check_freshness, late_batches, source_notice
from digest.store.database import run_lock
from digest.store.outbox import Audience

log = logging.getLogger("digest")

_MAX_WARNINGS = 5  # of one kind about one source; `digest status --json` has them all

Clock = Callable[[], datetime]


@dataclass
class RunReport:
    """What a run did so far."""

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
        """Whether any source could be read."""
        return any(fetched.state != "failed" for fetched in self.fetched)

    def summary(self) -> dict[str, int | str]:
        """What the database keeps of it."""
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
    progress: Progress = NO_PROGRESS,
    real_clock: Clock | None = None,
) -> RunReport:
    """The daily job. Raises NoSourceReadable or Undelivered once everything that could be done is done.

    `clock` gives the moment that the run takes for now, on `day`; `real_clock` the real time, for reading replies.
    """
    with pinging(config.notify.ping) as ping_start, run_lock(config.digest.database):
        ping_start()
        method = delivery_method(config)
        with open_context(config) as context, _recorded(context, "run", day, clock) as (run, report):
            _prepare(context, run, report, clock, real_clock or clock)
            for fetched in fetch(context, fetcher, day, clock()):
                record(context, report, fetched, run)
            if report.readable and day.weekday() in config.digest.days:
                _publish_all(context, report, clock)
            deliver(context, method, run, report, clock, progress)
            if not report.readable:
                raise NoSourceReadable("no source could be read, so there is no new mail; the next run tries again")
            _check_delivered(report)
        return report


def fetch_only(config: Config, day: date, clock: Clock, fetcher: Fetcher) -> RunReport:
    """Fetch and record. Raises NoSourceReadable when no source could be read."""
    with (
        run_lock(config.digest.database),
        open_context(config) as context,
        _recorded(context, "fetch", day, clock) as (run, report),
    ):
        for fetched in fetch(context, fetcher, day, clock()):
            record(context, report, fetched, run)
        if not report.readable:
            raise NoSourceReadable("no source could be read; the next run tries again")
    return report


def send_queued(config: Config, day: date, clock: Clock, progress: Progress = NO_PROGRESS) -> RunReport:
    """Deliver what is queued. Raises Undelivered when some of it stays in the queue."""
    method = delivery_method(config)
    with (
        run_lock(config.digest.database),
        open_context(config) as context,
        _recorded(context, "send", day, clock) as (run, report),
    ):
        _prepare(context, run, report, clock, clock)
        deliver(context, method, run, report, clock, progress)
        _check_delivered(report)
    return report


def plan_run(config: Config, day: date, clock: Clock, fetcher: Fetcher) -> list[tuple[int, Edition]]:
    """What `run_daily` would queue: (number of subscribers, edition) for each edition. Only fetches and records."""
    with open_context(config) as context:
        report = RunReport(day)
        context.subscribers.configure(config.digest.to)
        for fetched in fetch(context, fetcher, day, clock()):
            record(context, report, fetched)
        if not report.readable:
            raise NoSourceReadable("no source could be read, so there would be no mail")
        return [(audience.size, compose_edition(context, report, ranked)) for audience, ranked in select(context, day)]


def read_inbox(config: Config, day: date, clock: Clock) -> InboxReport:
    """Read the replies: who unsubscribes, and whose mail bounced. Raises InboxError when they cannot be read."""
    if config.inbox is None:
        problem = "inbox: is missing; write [inbox] with host = …, or with path = … for a Maildir"
        raise ConfigError([problem], str(config.path))
    with run_lock(config.digest.database), open_context(config) as context:
        context.subscribers.configure(config.digest.to)
        report = context.inbox_reader.read(config.inbox, clock)
        context.outbox.withdraw(day)
    if report.problem:
        raise InboxError(report.problem)
    return report


# ---- the steps -------------------------------------------------------------------------------------------------------


def fetch(context: Context, fetcher: Fetcher, day: date, now: datetime) -> Iterator[Fetched]:
    """What each source lists, in the order of the configuration, and whether it is fresh."""
    for fetched in fetcher.fetch(context.config.sources, now, context.fetch_memory(day)):
        yield check_freshness(fetched, partial(context.papers.all_listed, fetched.source, before=day))


def record(context: Context, report: RunReport, fetched: Fetched, run: int | None = None) -> None:
    """Store what a source lists; under the number of a `run` also how the source did in it."""
    new = context.papers.record(fetched.source, fetched.sightings, report.day)
    context.http_cache.store(fetched.responses, report.day)
    if run is not None:
        context.runs.record_fetch(run, fetched, new)
    report.fetched.append(fetched)
    report.new += new
    _log_fetch(fetched, new)


def select(context: Context, day: date) -> Iterator[tuple[Audience, list[Ranked]]]:
    """Every group of subscribers who still get mail of `day`, with the papers of that group, best first."""
    candidates = context.papers.candidates(day, context.config.digest.window_days)
    audiences = context.outbox.audiences(day, [candidate.id for candidate in candidates])
    if audiences:
        selection = load_selection(context, day, candidates)
        for audience in audiences:
            yield audience, selection.pick(audience.profile, audience.shown)


def compose_edition(context: Context, report: RunReport, ranked: Sequence[Ranked]) -> Edition:
    """The edition of these papers, with notices about the sources of this run."""
    papers = context.papers.load(r.trend.id for r in ranked)
    notices = [notice for fetched in report.fetched if (notice := source_notice(fetched))]
    new = context.papers.count_new(report.day)
    return compose(context.config.digest.title, report.day, ranked, papers, new, notices)


def publish(context: Context, report: RunReport, audience: Audience, edition: Edition, now: datetime) -> None:
    """Render an edition, freeze it in the outbox, and queue it for an audience."""
    frame = context.renderer.frame(edition, now)
    papers = [entry.id for entry in edition.entries]
    queued = audience.publish(frame, papers, now)
    report.queued += queued
    report.papers = max(report.papers, len(papers))
    log.info("queued", {"papers": len(papers), "messages": queued, "bytes": len(frame.bytes)})


def deliver(context: Context, method: Deliver, run: int, report: RunReport, clock: Clock, progress: Progress) -> None:
    """Send what is queued, unless it is held; each outcome is on disk before the next message leaves."""
    waiting = context.outbox.count_waiting()
    if waiting and report.held:
        report.stopped = report.held
    elif waiting:
        progress.begin(waiting)
        tally = deliver_queue(context.outbox, method, run, clock, progress)
        report.outcomes, report.stopped = tally.outcomes, tally.reason
    report.waiting = context.outbox.count_waiting()


# ---- around the steps ------------------------------------------------------------------------------------------------


@contextmanager
def _recorded(context: Context, command: str, day: date, clock: Clock) -> Iterator[tuple[int, RunReport]]:
    """Record in the database that a run begins and how it ends. Yields its number and its report."""
    report = RunReport(day)
    number = context.runs.begin(command, day, clock())
    try:
        yield number, report
    except DigestError as problem:
        context.runs.end(number, problem.exit_code, report.summary(), clock())
        raise
    context.runs.end(number, 0, report.summary(), clock())


def _prepare(context: Context, run: int, report: RunReport, clock: Clock, real_clock: Clock) -> None:
    """Settle who gets mail from now on, and what earlier runs left in the queue for them."""
    context.subscribers.configure(context.config.digest.to)
    if context.config.inbox is not None:
        replies = context.inbox_reader.read(context.config.inbox, real_clock)
        report.held = replies.held(real_clock())
        if replies.problem:
            log.error("replies cannot be read", {"since": replies.failing, "why": replies.problem})
    context.outbox.recover(run, report.day, clock())


def _publish_all(context: Context, report: RunReport, clock: Clock) -> None:
    """Select, compose and publish for every group of subscribers."""
    for name, count in context.statistics.missing_topics(topic.name for topic in context.config.topics).items():
        why = "it is not in [[topics]]; those who chose no other topic get all"
        log.warning("unknown topic", {"topic": name, "subscribers": count, "why": why})
    now = clock()
    for audience, ranked in select(context, report.day):
        edition = compose_edition(context, report, ranked)
        if edition.entries or context.config.digest.when_empty == "send":
            publish(context, report, audience, edition, now)
        else:
            log.info("nothing new", {"subscribers": audience.size})


def _log_fetch(fetched: Fetched, new: int) -> None:
    source = {"source": fetched.source}
    log.info("fetched", {**source, "state": fetched.state, "papers": len(fetched.sightings), "new": new})
    for event, sentences in (
        ("unreadable", fetched.errors),
        ("late", late_batches(fetched)),
        ("skipped", fetched.skipped),
    ):
        for sentence in sentences[:_MAX_WARNINGS]:
            log.warning(event, {**source, "why": sentence})
        if len(sentences) > _MAX_WARNINGS:
            log.warning(event, {**source, "more": len(sentences) - _MAX_WARNINGS})


def _check_delivered(report: RunReport) -> None:
    if report.waiting:
        why = f" ({report.stopped})" if report.stopped else ""
        raise Undelivered(
            f"{plural(report.waiting, 'message')} could not be delivered{why}; queued for the next run or `digest send`"
        )
