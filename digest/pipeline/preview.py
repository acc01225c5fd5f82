"""Preview the mail that a run would send: the same path as the run, up to the frozen message."""

from dataclasses import dataclass
from datetime import date
from email import message_from_bytes, policy

from digest.config import Config
from digest.mail.message import build_frame, fill_frame
from digest.pipeline.archive import page_address
from digest.pipeline.context import Context, open_context
from digest.pipeline.day import DayEditions, load_selection
from digest.pipeline.run import Clock, RunReport, fetch_and_record
from digest.sources.fetcher import Fetcher
from digest.store.subscribers import Subscriber


@dataclass(frozen=True)
class Preview:
    """A message that a run would send, how many papers it has, and whether it is already in the outbox.

    `note` says why no run sends it, '' if one does.
    """

    content: bytes
    papers: int
    queued: bool
    note: str = ""


def preview(
    config: Config, day: date, to: str | None, clock: Clock, fetcher: Fetcher, real_clock: Clock | None = None
) -> Preview:
    """The message of `day` to the address `to`: as it was queued, or as it would be. Queues and sends nothing.

    Without `to`, the message to the first of digest.to, else to the first subscriber, else to the sender. Raises
    NoSourceReadable if nothing is queued and no source could be read, UnknownSubscriber if `to` is not one, MailPruned
    if the queued text was deleted, ConfigError for a broken template, and HistoryError.
    """
    with open_context(config) as context:
        subscriber, note = _find_reader(context, to, day)
        frozen = context.outbox.message_of(subscriber, day)
        if frozen is not None:
            return Preview(frozen, 0, queued=True, note=note)
        report = RunReport(day)
        fetch_and_record(context, report, fetcher, clock())
        report.check_readable()
        selection = load_selection(context, day)
        today = (real_clock or clock)().date()
        shown = context.outbox.shown_to(subscriber, selection.paper_ids, today)
        editions = DayEditions(context, selection, report.fetched, page_address(context, selection))
        edition, why = editions.edition(subscriber.profile, shown)
        if not note and not config.digest.mails_on(day):
            note = f"digest.days has no mail on a {day:%A}; no run sends this mail"
        elif not note and not editions.is_sent(edition):
            note = f'{why.format(whose="their")}, and when_empty = "skip"; no run sends this mail'
        (fragments,) = context.renderer.day(editions.masthead, clock()).fragments([edition])
        frame = build_frame(fragments, config.digest.from_.address)
        content = fill_frame(frame, subscriber.address, subscriber.token, day)
        return Preview(content, len(edition.picks), queued=False, note=note)


def _find_reader(context: Context, to: str | None, day: date) -> tuple[Subscriber, str]:
    """The reader of a preview, and why they get no mail."""
    with context.as_configured():
        first = context.subscribers.first(day)
        to = to or next(iter(context.config.digest.to), first.address if first else None)
        if to is None:
            sender = context.subscribers.by_address(context.config.digest.from_.address)
            return sender, "there are no subscribers; a new one would get this mail"
        subscriber, silence = context.find_reader(to, day)
    return subscriber, f"{subscriber.address} {silence}; no run sends this mail" if silence else ""


def message_part(message: bytes, form: str) -> bytes:
    """The `html` or `txt` of a message as a mail program decodes it, or all of it as it is for `eml`."""
    if form == "eml":
        return message
    parsed = message_from_bytes(message, policy=policy.default)
    body = parsed.get_body(("html",) if form == "html" else ("plain",))
    return body.get_content().encode("utf-8") if body is not None else b""
