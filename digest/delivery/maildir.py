"""Deliver to a local Maildir: each message is written completely or not at all, and only once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

from digest.delivery import Batches, MaildirSettings, Message, Outcome, State
from digest.files import write_file


def deliver(settings: MaildirSettings, messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
    """Deliver each message into `settings.path`; see `digest.delivery` for the promises.

    A message is announced in one batch with the outcome of the one before. It is written to tmp/, synced, then moved to
    new/ (https://cr.yp.to/proto/maildir.html). Its file name comes from its Message-ID, so a message delivered again
    after a crash replaces its first copy. If that copy was read in the meantime, and so moved to cur/, nothing is
    written. The first message that cannot be written ends the delivery: a full disk or a missing permission would stop
    the others too.
    """
    outcomes: list[Outcome] = []
    for message in messages:
        yield [*outcomes, Outcome(message.key, State.SENDING, "")]
        outcomes = []
        if stopped():
            return
        try:
            _write(settings.path, message)
        except OSError as error:
            reply = f"{settings.path} cannot be written to: {error.strerror}"
            yield [Outcome(message.key, State.PENDING, reply, stop=True)]
            return
        outcomes = [Outcome(message.key, State.SENT, f"delivered to {settings.path}")]
    if outcomes:
        yield outcomes


def probe(settings: MaildirSettings) -> None:
    """Check that messages can be written, with a temporary file. Creates no folder. Raises OSError."""
    folder = settings.path / "tmp"
    with TemporaryFile(dir=next(path for path in (folder, *folder.parents) if path.exists())) as file:
        file.write(b"a message")
        file.flush()


def _name(message: Message) -> str:
    """Return a file name made from the Message-ID: its letters, digits, dots and hyphens, and _ for the rest."""
    _, _, rest = message.content.partition(b"\r\nMessage-ID: <")
    return "".join(c if c.isalnum() or c in ".-" else "_" for c in rest.partition(b">")[0].decode("ascii"))


def _write(folder: Path, message: Message) -> None:
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True, mode=0o700)
    name = _name(message)
    if message.repeated and any((folder / "cur").glob(f"{name}:2,*")):
        return
    draft = folder / "tmp" / name
    draft.unlink(missing_ok=True)  # left by a crash
    # Maildirs hold messages as a mail program writes them: lines end with LF.
    write_file(folder / "new" / name, message.content.replace(b"\r\n", b"\n"), sync=True, draft=draft)
