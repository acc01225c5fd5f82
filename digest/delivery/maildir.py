"""Put mail into a local Maildir, each message whole or not at all, and once."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

from digest.delivery import Batches, MaildirSettings, Message, Outcome, State
from digest.files import write_file


def deliver(settings: MaildirSettings, messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
    """Write each message under `settings.path`: to tmp/, synced, then moved to new/ (https://cr.yp.to/proto/maildir.html).

    The name is made of the message's own Message-ID, so that a message sent again after a crash replaces its copy
    instead of standing beside it. One that was read meanwhile, and so moved to cur/, is not brought back. The first
    message that cannot be written ends it: neither a full disk nor a folder of somebody else mends itself.
    """
    while not stopped() and (message := next(messages, None)):
        try:
            _write(settings.path, message)
        except OSError as problem:
            reply = f"{settings.path} cannot be written to: {problem.strerror}"
            yield [Outcome(message.key, State.PENDING, reply, stop=True)]
            return
        yield [Outcome(message.key, State.SENT, f"delivered to {settings.path}")]


def probe(settings: MaildirSettings) -> None:
    """Write a file where the next message would begin, and take it away. Raises OSError. Makes no folder."""
    draft = settings.path / "tmp" / "draft"
    with TemporaryFile(dir=next(folder for folder in draft.parents if folder.exists())) as file:
        file.write(b"a message")
        file.flush()


def _name(message: Message) -> str:
    """A file name that stands for the message: letters and digits of its Message-ID."""
    _, _, rest = message.bytes.partition(b"\r\nMessage-ID: <")
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
    write_file(folder / "new" / name, message.bytes.replace(b"\r\n", b"\n"), sync=True, draft=draft)
