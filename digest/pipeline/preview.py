"""Preview the mail that a run would send: the same path as the run, up to the frozen message."""

from dataclasses import dataclass
from datetime import date
from email import message_from_bytes, policy
from pathlib import Path

from digest.config import Config
from digest.errors import ConfigError, NoSourceReadable
from digest.files import write_file
from digest.mail.message import fill_frame
from digest.papers.text.fit import plural
from digest.pipeline.context import open_context
from digest.pipeline.run import Clock, RunReport, compose_edition, fetch, record
from digest.pipeline.select import load_selection
from digest.sources.fetcher import Fetcher

_GMAIL_LIMIT = 102 * 1024  # bytes of HTML at which Gmail clips a mail, as far as anybody has measured


@dataclass(frozen=True)
class Preview:
    """A message that a run would send: its bytes, how many papers it has, and whether it is already in the outbox."""

    bytes: bytes
    papers: int
    queued: bool


def preview(config: Config, day: date, to: str | None, clock: Clock, fetcher: Fetcher) -> Preview:
    """The message of `day` to the address `to`: as it was queued, or as it would be. Queues and sends nothing.

    Without `to`, the message to the first of digest.to, else to the first subscriber, else to the sender. Raises
    NoSourceReadable when nothing is queued and no source could be read.
    """
    with open_context(config) as context:
        to = to or next(iter(config.digest.to), None)
        first = None if to else context.subscribers.first(day)
        reader = first or context.subscribers.get(to or config.digest.from_.address)
        frozen = context.outbox.message_of(reader, day)
        if frozen is not None:
            return Preview(frozen, 0, queued=True)
        report = RunReport(day)
        for fetched in fetch(context, fetcher, day, clock()):
            record(context, report, fetched)
        if not report.readable:
            raise NoSourceReadable("no source could be read, so there is nothing to preview")
        selection = load_selection(context, day)
        shown = context.outbox.shown_to(reader, (candidate.id for candidate in selection.candidates), day)
        edition = compose_edition(context, report, selection.pick(reader.profile, shown))
        frame = context.renderer.frame(edition, clock())
        content = fill_frame(frame, reader.address, reader.token, day.isoformat())
        return Preview(content, len(edition.entries), queued=False)


def message_part(message: bytes, form: str) -> bytes:
    """The `html` or `txt` of a message as a mail program decodes it, or all of it as it is for `eml`."""
    if form == "eml":
        return message
    parsed = message_from_bytes(message, policy=policy.default)
    body = parsed.get_body(("html",) if form == "html" else ("plain",))
    return body.get_content().encode("utf-8") if body is not None else b""


def describe_preview(shown: Preview) -> str:
    """How many papers and bytes a preview has, and how far that is below Gmail's limit."""
    parsed = message_from_bytes(shown.bytes)
    html = next(part for part in parsed.walk() if part.get_content_type() == "text/html")
    size = len(str(html.get_payload()))
    what = "already queued for that day" if shown.queued else plural(shown.papers, "paper")
    left = (_GMAIL_LIMIT - size) / 1024
    return f"{what}, {size / 1024:.0f} KB of HTML, {left:.0f} KB below the size at which Gmail clips."


def save_preview(path: Path, content: bytes) -> None:
    """Write the file whole or not at all. Raises ConfigError when it cannot be written."""
    try:
        write_file(path, content)
    except OSError as problem:
        raise ConfigError([f"{path} cannot be written: {problem.strerror}; name another file with -o"]) from None
