"""The daily job.

    fetch ──▶ record ──▶ select ──▶ compose ──▶ render ──▶ publish ──▶ deliver
                         └────────── a thousand readers at a time ────┘

Before the steps, `run_daily` takes the run lock, opens the database and reads the letters of readers (`inbox`): those
who unsubscribed get nothing from now on, and the answers to the others are queued. A restored backup ends the run. Mail
that earlier runs left behind is recovered or expires, so that its papers can be chosen again. Then each step is a
function:

1. `fetch` asks every source, side by side, with what earlier runs remember (validators, missed days).
2. `record` stores what a source lists: papers and sightings. A recorded paper is not yet a sent one. Papers that topics
   like, and that no source ever listed, are looked up once (`look_up_likes`).
3. `select` chooses the papers of each reader, best first (`digest.ranking.selection`). The candidates of the day and
   their scores are computed once; readers come as a stream, and those who chose the same and were shown the same papers
   share an edition (`digest.pipeline.day`).
4. `compose` puts these papers into an edition: headings, entries (`digest.mail.edition`).
5. `render` makes it a list of fragments of messages, each of them rendered once a day (`digest.mail.render`).
6. `publish` freezes the fragments and editions in the outbox and queues a message for every reader, a thousand in one
   commit. From here on the papers of an edition count as shown to its readers, and no later run makes another mail for
   that day. With an archive, the public edition of the day is frozen before, and its pages are written after this step
   (`digest.pipeline.archive`), also on a day without mail.
7. `deliver` sends the queued answers to letters, and then the queued mail. Each outcome is on disk before the next
   message leaves on the same connection.

What they count is collected in a `RunReport`. Every step but compose and render may write, in transactions that are
safe to repeat: a run may be killed at any moment and run again. `preview` is the same path up to step 5, and
`--dry-run` up to step 4. Between runs, `read_inbox` reads the letters and sends the answers to them, and no other mail.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from pathlib import Path

from digest.config import Config
from digest.delivery import Deliver, State
from digest.errors import (
    ConfigError,
    DigestError,
    HistoryError,
    InboxError,
    NoSourceReadable,
    SourceError,
    Undelivered,
    Unpublished,
)
from digest.mail.edition import Edition
from digest.papers import parse_name
from digest.papers.text.fit import plural
from digest.pipeline.archive import freeze_public_edition, page_address, write_new_pages
from digest.pipeline.context import Context, delivery_method, open_context
from digest.pipeline.day import DayEditions, load_selection
from digest.pipeline.deliver import Progress, Queue, deliver_queue
from digest.pipeline.inbox import InboxReport
from digest.pipeline.notify import pinging
from digest.sources import Fetched, PreviousRuns
from digest.sources.fetcher import Fetcher
from digest.sources.freshness import check_freshness, late_batches
from digest.sources.history import History
from digest.sources.lookup import plan_lookup
from digest.store.database import run_lock
from digest.store.origin import open_origin
from digest.store.outbox import Audience

log = logging.getLogger("digest")

_MAX_PLANNED = 50  # editions of a plan
_MAX_WARNINGS = 5  # of one kind about one source; `digest status --json` has them all

# The current time in the digest's time zone; with --date, that time of day on the given day. What happens to replies
# and to mail in the queue happens in real time, whatever --date is: see `real_clock`, by default the same.
Clock = Callable[[], datetime]


@dataclass
class RunReport:
    """What a run did so far.

    command      "run", "fetch" or "send"
    mail_day     whether digest.days has mail on that day
    number       of the run in the database; 0 for a preview or dry run, which is not recorded
    fetched      one result per source
    new          papers recorded for the first time
    readers      subscribers who get mail on that day
    mailed       those of them who had a message of that day already
    empty        subscribers for whom there was no paper, by the reason (`Selection.why_empty`)
    unlisted     subscribers whose editions a plan does not list
    papers       papers in the largest edition
    queued       messages queued by this run
    outcomes     delivery attempts of the day's mail by how they ended
    answered     answers to letters that were sent
    stopped      why messages remain in the queue
    waiting      messages in the queue
    held         why no mail may be sent, "" if it may
    unpublished  why the archive could not be written, "" if it was
    """

    day: date
    command: str = "run"
    mail_day: bool = True
    number: int = 0
    fetched: list[Fetched] = field(default_factory=list)
    new: int = 0
    readers: int = 0
    mailed: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    unlisted: int = 0
    papers: int = 0
    queued: int = 0
    outcomes: Counter[State] = field(default_factory=Counter)
    answered: int = 0
    stopped: str = ""
    waiting: int = 0
    held: str = ""
    unpublished: str = ""

    @property
    def readable(self) -> bool:
        """Whether any source could be read."""
        return any(fetched.readable for fetched in self.fetched)

    @property
    def offline(self) -> bool:
        """Whether no connection to any source was possible."""
        return bool(self.fetched) and all(fetched.unreachable for fetched in self.fetched)

    def check_readable(self) -> None:
        """Raise NoSourceReadable unless a source could be read."""
        if self.offline:
            raise NoSourceReadable(
                "no source could be reached: this machine seems to be offline; the next run tries again"
            )
        if not self.readable:
            raise NoSourceReadable("no source could be read; the next run tries again")

    def check_delivered(self) -> None:
        """Raise Undelivered if messages remain in the queue."""
        if self.waiting:
            why = f" ({self.stopped})" if self.stopped else ""
            messages = plural(self.waiting, "message")
            raise Undelivered(f"{messages} could not be delivered{why}; queued for the next run or `digest send`")

    def check_published(self) -> None:
        """Raise Unpublished if the archive could not be written."""
        if self.unpublished:
            raise Unpublished(self.unpublished)

    def summary(self) -> dict[str, int | str]:
        """The part that is stored in the database."""
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
    progress: Progress | None = None,
    real_clock: Clock | None = None,
    *,
    hold: bool = False,
) -> RunReport:
    """The daily job. Raises NoSourceReadable or Undelivered once everything that could be done is done.

    With `hold`, everything but the last step: mail is queued and stays there for `send_queued` or the next run. So the
    history can be saved elsewhere before the first message leaves.
    """
    real_clock = real_clock or clock
    with pinging(config.notify.ping) as ping_start:
        method = None if hold else delivery_method(config)
        with _recorded_run(config, "run", day, clock, ping_start) as (context, report):
            _prepare(context, report, real_clock)
            fetch_and_record(context, report, fetcher, clock())
            report.mail_day = config.digest.mails_on(day)
            if report.readable and report.mail_day:
                _warn_about_topics(context)
                freeze_editions(context, report, clock(), real_clock(), progress or Progress())
            write_pages(context, report)
            if method is None:
                report.waiting = context.outbox.count_waiting() + context.answers.count_waiting()
            else:
                deliver(context, method, report, real_clock, progress)
            report.check_readable()
            if not hold:
                report.check_delivered()
            report.check_published()
    return report


def fetch_only(config: Config, day: date, clock: Clock, fetcher: Fetcher) -> RunReport:
    """Fetch and record. Raises NoSourceReadable when no source could be read."""
    with _recorded_run(config, "fetch", day, clock) as (context, report):
        fetch_and_record(context, report, fetcher, clock())
        report.check_readable()
    return report


def send_queued(config: Config, day: date, clock: Clock, progress: Progress | None = None) -> RunReport:
    """Deliver what is queued. Raises Undelivered when some of it stays in the queue."""
    method = delivery_method(config)
    with _recorded_run(config, "send", day, clock) as (context, report):
        _prepare(context, report, clock)
        deliver(context, method, report, clock, progress)
        report.check_delivered()
    return report


def plan_run(
    config: Config, day: date, clock: Clock, fetcher: Fetcher, real_clock: Clock | None = None
) -> tuple[RunReport, list[tuple[int, Edition]]]:
    """What `run_daily` would queue: a report, and (number of subscribers, edition) for each edition.

    There are none on a day without mail, and at most fifty. Fetches and records papers; changes neither the subscribers
    nor the queue. Raises NoSourceReadable.
    """
    with open_context(config) as context:
        report = RunReport(day)
        fetch_and_record(context, report, fetcher, clock())
        report.check_readable()
        report.mail_day = config.digest.mails_on(day)
        if not report.mail_day:
            return report, []
        selection = load_selection(context, day)  # may store embeddings, which are kept
        editions = DayEditions(context, selection, report.fetched)
        planned: dict[tuple[str, tuple[int, ...]], tuple[int, Edition]] = {}
        with context.as_configured():
            report.readers, report.mailed = context.outbox.count_readers(day)
            for audiences in context.outbox.audiences(
                day, selection.since, (real_clock or clock)().date(), selection.paper_ids
            ):
                for audience, edition in _compose(report, editions, audiences):
                    shown = edition.intro, tuple(entry.id for entry in edition.entries)
                    if shown in planned or len(planned) < _MAX_PLANNED:
                        size, first = planned.get(shown, (0, edition))
                        planned[shown] = size + audience.size, first
                    else:
                        report.unlisted += audience.size
        return report, list(planned.values())


def read_inbox(config: Config, day: date, clock: Clock, progress: Progress | None = None) -> InboxReport:
    """Read the letters, do what they ask for, and deliver the answers to them, but no other mail.

    Raises ConfigError without an inbox, AlreadyRunning during a run, InboxError when it cannot be read, and Undelivered
    when answers stay in the queue.
    """
    if config.inbox is None:
        problem = "inbox: is missing; write [inbox] with host = …, or with path = … for a Maildir"
        raise ConfigError([problem], str(config.path))
    with run_lock(config.digest.database, brief=True), open_context(config) as context:
        context.subscribers.configure(config.digest.to)
        context.answers.recover(clock())
        report = context.inbox_reader(clock).read(config.inbox)
        context.outbox.withdraw(day)
        sending = RunReport(day, held=report.held(clock()))
        if context.answers.count_waiting():
            deliver(context, delivery_method(config), sending, clock, progress, [context.answers])
    if report.problem:
        raise InboxError(report.problem)
    sending.check_delivered()
    return report


# ---- the steps -------------------------------------------------------------------------------------------------------


def fetch(context: Context, fetcher: Fetcher, day: date, now: datetime) -> Iterator[Fetched]:
    """What each source lists, and whether it is fresh: other histories first, then in the order of the configuration.

    The papers of a history are still in it: `record` copies them.
    """
    memory = context.fetch_memory(day)
    histories = [source for source in context.config.sources if isinstance(source, History)]
    for source in histories:
        yield _open_history(source, day, memory.previous[source.name])
    others = [source for source in context.config.sources if source not in histories]
    for fetched in fetcher.fetch(others, now, memory):
        yield check_freshness(fetched, partial(context.papers.all_listed, fetched.source, before=day))


def record(context: Context, report: RunReport, fetched: Fetched) -> None:
    """Store what a source lists and, for a recorded run, how the source did."""
    if fetched.history is None:
        new = context.papers.record(fetched.source, fetched.sightings, report.day)
    else:
        fetched, new = _copy_history(context, fetched, fetched.history)
    context.http_cache.store(fetched.responses, report.day)
    if report.number:
        context.runs.record_fetch(report.number, fetched, new)
    report.fetched.append(fetched)
    report.new += new
    if not fetched.unreachable:
        _log_fetch(fetched, new)


def _open_history(source: History, day: date, previous: PreviousRuns) -> Fetched:
    try:
        with open_origin(source.path) as origin:
            return origin.fetched(source.name, day, previous)
    except SourceError as error:
        return Fetched(source.name, errors=(f"{source.path}: {error}",), previous=previous)


def _copy_history(context: Context, fetched: Fetched, path: Path) -> tuple[Fetched, int]:
    """Copy what is new in another history; return the number of new papers, too."""
    try:
        with open_origin(path) as origin:
            copied, new = context.papers.copy(fetched.source, origin.papers(fetched.previous.last_read))
    except SourceError as error:
        return replace(fetched, read=0, errors=(f"{path}: {error}",), worst=""), 0
    return replace(fetched, copied=copied), new


def fetch_and_record(context: Context, report: RunReport, fetcher: Fetcher, now: datetime) -> None:
    """Record what each source lists as soon as it is fetched.

    Sources that could not be reached are logged at the end, and only if another one could: offline, one sentence will
    do (`RunReport.check_readable`).
    """
    for fetched in fetch(context, fetcher, report.day, now):
        record(context, report, fetched)
    for fetched in report.fetched:
        if fetched.unreachable and not report.offline:
            _log_fetch(fetched, 0)
    if report.readable:  # else the network is down
        look_up_likes(context, fetcher, report.day, now)


def look_up_likes(context: Context, fetcher: Fetcher, day: date, now: datetime) -> None:
    """Ask arXiv once for each paper that a topic likes and that no source listed; it can be compared with from now on.

    A digest that reads nothing but files stays offline.
    """
    config = context.config
    names = (name for topic in config.topics for text in topic.like if (name := parse_name(text)).startswith("arxiv:"))
    unknown = [name.removeprefix("arxiv:") for name in context.papers.never_asked(names)]
    lookup = plan_lookup(unknown, config.sources)
    if lookup is None:
        return
    for fetched in fetcher.fetch([lookup], now, context.fetch_memory(day)):
        for problem in fetched.errors:
            log.warning("liked papers not looked up", {"why": problem})
        if not fetched.errors:
            asked = [f"arxiv:{identifier}" for identifier in lookup.identifiers]
            context.papers.record_lookup((sighting.paper for sighting in fetched.sightings), asked, day)
            log.info("looked up liked papers", {"asked": len(asked), "found": len(fetched.sightings)})


def freeze_editions(context: Context, report: RunReport, now: datetime, real_now: datetime, progress: Progress) -> None:
    """Freeze the public edition of the day, then the mail of each subscriber, a thousand of them in one commit.

    Mail expires by `real_now`. Memory does not grow with the number of subscribers.
    """
    selection = load_selection(context, report.day)
    freeze_public_edition(context, selection, now)
    report.readers, report.mailed = context.outbox.count_readers(report.day)
    editions = DayEditions(context, selection, report.fetched, page_address(context, selection))
    mail = context.renderer.day(editions.masthead, now)
    sender = context.config.digest.from_.address
    done = 0
    for audiences in context.outbox.audiences(report.day, selection.since, real_now.date(), selection.paper_ids):
        composed = _compose(report, editions, audiences)
        fragments = mail.fragments([edition for _, edition in composed])
        mails = [
            (audience, parts, [entry.id for entry in edition.entries])
            for (audience, edition), parts in zip(composed, fragments, strict=True)
        ]
        report.queued += context.outbox.publish(report.day, sender, mails, real_now)
        done += sum(audience.size for audience in audiences)
        progress.composed(done, report.readers - report.mailed)
    if report.queued:
        log.info("queued", {"messages": report.queued, "papers": report.papers})
    if report.empty:
        ((why, _),) = report.empty.most_common(1)
        others = f"; {plural(len(report.empty) - 1, 'other reason')}" if len(report.empty) > 1 else ""
        log.info("nothing new", {"subscribers": report.empty.total(), "why": why.format(whose="their") + others})


def _compose(report: RunReport, editions: DayEditions, audiences: Sequence[Audience]) -> list[tuple[Audience, Edition]]:
    """Return the edition of each audience, without those that get no mail."""
    composed = []
    for audience in audiences:
        edition, why = editions.edition(audience.profile, audience.shown)
        if why:
            report.empty[why] += audience.size
        if editions.is_sent(edition):
            composed.append((audience, edition))
            report.papers = max(report.papers, len(edition.picks))
    return composed


def write_pages(context: Context, report: RunReport) -> None:
    """Write the pages and feeds of new public editions. Where that fails, the mail is sent all the same."""
    try:
        if files := write_new_pages(context):
            log.info("archive written", {"files": files})
    except (Unpublished, ConfigError) as error:
        report.unpublished = str(error)
        log.error("archive not written", {"why": report.unpublished})


def deliver(
    context: Context,
    method: Deliver,
    report: RunReport,
    clock: Clock,
    progress: Progress | None,
    queues: Sequence[Queue] | None = None,
) -> None:
    """Send what is queued, unless it is held; each outcome is on disk before the next message leaves.

    `queues` are by default the answers to letters, which are few, and then the day's mail.
    """
    queues = queues or [context.answers, context.outbox]
    if waiting := sum(queue.count_waiting() for queue in queues):
        if report.held:
            report.stopped = report.held
        else:
            progress = progress or Progress()
            progress.begin(waiting)
            context.mark.advance()
            for queue in [queue for queue in queues if queue.count_waiting()]:
                tally = deliver_queue(queue, method, report.number, clock, progress)
                damage = context.outbox.damage if queue is context.outbox else ""
                report.stopped = tally.reason or damage or report.stopped
                if queue is context.answers:
                    report.answered = tally.outcomes[State.SENT]
                else:
                    report.outcomes = tally.outcomes
    report.waiting = sum(queue.count_waiting() for queue in queues)


# ---- around the steps ------------------------------------------------------------------------------------------------


@contextmanager
def _recorded_run(
    config: Config, command: str, day: date, clock: Clock, ping_start: Callable[[], None] = lambda: None
) -> Iterator[tuple[Context, RunReport]]:
    """Hold the run lock, open the database, and record in it that a run begins and how it ends."""
    with run_lock(config.digest.database):
        ping_start()
        with open_context(config) as context:
            number = context.runs.begin(command, day, clock())
            report = RunReport(day, command, number=number)
            try:
                yield context, report
            except DigestError as error:
                context.runs.end(number, error.exit_code, report.summary(), clock())
                raise
            context.runs.end(number, 0, report.summary(), clock())


def _prepare(context: Context, report: RunReport, real_clock: Clock) -> None:
    """Settle who gets mail from now on, and what earlier runs left in the queue for them.

    Raises HistoryError for a restored backup, which does not know who unsubscribed since.
    """
    if context.mark.problem:
        raise HistoryError(context.mark.problem)
    context.subscribers.configure(context.config.digest.to)
    if context.config.inbox is not None:
        replies = context.inbox_reader(real_clock).read(context.config.inbox)
        report.held = replies.held(real_clock())
        if replies.problem:
            log.error("inbox cannot be read", {"since": replies.failing, "why": replies.problem})
    context.answers.recover(real_clock())
    context.outbox.recover(report.number, real_clock())


def _warn_about_topics(context: Context) -> None:
    """Warn about topics that subscribers chose and that are no longer in the configuration."""
    for name, count in context.statistics.missing_topics(topic.name for topic in context.config.topics).items():
        why = "it is not in [[topics]]; subscribers who chose no other topic get papers of all topics"
        log.warning("unknown topic", {"topic": name, "subscribers": count, "why": why})


def _log_fetch(fetched: Fetched, new: int) -> None:
    source = {"source": fetched.source}
    log.info("fetched", {**source, "state": fetched.state, "papers": fetched.papers, "new": new})
    for event, messages in (
        ("unreadable", fetched.errors),
        ("late", late_batches(fetched)),
        ("skipped", fetched.skipped),
    ):
        for message in messages[:_MAX_WARNINGS]:
            log.warning(event, {**source, "why": message})
        if len(messages) > _MAX_WARNINGS:
            log.warning(event, {**source, "more": len(messages) - _MAX_WARNINGS})
