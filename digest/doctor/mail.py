"""How mail goes out: the server's door tried as a run would, or the Maildir; and a test mail for whoever wants one."""

from datetime import UTC, datetime

from digest.config import Config
from digest.delivery import Maildir, Message, Smtp, State, maildir
from digest.delivery.doorway import Unreachable, Unwelcome
from digest.desk import way
from digest.doctor import Check, Mark, Trouble, sample
from digest.errors import ConfigError
from digest.message import fill

_SOON = 14  # days in which a certificate should have been renewed


def examine(config: Config, now: datetime, largest: int) -> Check:
    """Whether the way of delivery is open to a mail of `largest` bytes, without sending one."""
    missing = _missing(config)
    if isinstance(config.delivery, Smtp) and not missing:
        return _server(config.delivery, now, largest)
    if isinstance(config.delivery, Maildir):
        return _folder(config.delivery)
    return Check.of("delivery", "", missing)


def send_test(config: Config, to: str, now: datetime) -> Check:
    """Send one message that says it is a test to `to` alone. Not in the outbox: nothing counts as shown.

    Raises ConfigError when there is no way to deliver, or no message can be made.
    """
    made = sample.edition(config, now, 3)
    _, frame = sample.mailed(config, made, now, before="Test: ")
    # A new token each time, or the next test would have the Message-ID of this one and be taken for a copy.
    content = fill(frame, to, f"test{now:%Y%m%d%H%M%S%f}", made.day.isoformat())
    message = Message(1, frame.sender, to, content)
    outcomes = [o for batch in way(config)(iter([message]), lambda: False) for o in batch]
    reply = outcomes[-1].reply if outcomes else "the server said nothing"
    if outcomes and outcomes[-1].state is State.SENT:
        return Check("test mail", Mark.OK, f"to {to}: {reply}")
    return Check("test mail", Mark.FAIL, f"to {to}: {reply}", "nothing is queued: mend it and try again")


def _missing(config: Config) -> list[Trouble]:
    """What the configuration leaves out that a run would not begin without."""
    try:
        way(config)
    except ConfigError as problem:
        return [Trouble.told(problem.problems[0])]
    return []


def _folder(settings: Maildir) -> Check:
    try:
        maildir.probe(settings)
    except OSError as problem:
        said = f"{settings.path} cannot be written to: {problem.strerror}"
        return Check("maildir", Mark.FAIL, said, "check its permissions, or name another folder in maildir.path")
    return Check("maildir", Mark.OK, f"{settings.path} can be written to")


def _server(settings: Smtp, now: datetime, largest: int) -> Check:
    from digest.delivery import smtp

    try:
        welcome = smtp.knock(settings)
    except Unreachable as problem:
        mend = "check smtp.host, smtp.port and the network; some providers block the ports of mail"
        return Check("smtp", Mark.FAIL, str(problem), mend)
    except Unwelcome as problem:
        return Check("smtp", Mark.FAIL, str(problem))
    said = [f"{settings.host}:{settings.port}", welcome.tls or "in clear text, on this machine"]
    ends = None if welcome.ends is None else datetime.fromtimestamp(welcome.ends, UTC)
    if ends is not None:
        said.append(f"certificate until {ends:%Y-%m-%d}")
    said.append(f"logged in as {settings.username}" if settings.username else "no login")
    if welcome.most:
        said.append(f"takes {welcome.most:,} bytes")
    return Check.of("smtp", ", ".join(said), [*_ending(ends, now), *_small(welcome.most, largest)])


def _ending(ends: datetime | None, now: datetime) -> list[Trouble]:
    if ends is None or (ends - now).days >= _SOON:
        return []
    said = f"the certificate of the server ends in {(ends - now).days} days, on {ends:%Y-%m-%d %H:%M} UTC"
    return [Trouble(Mark.WARN, said, "ask who runs the server to renew it: once it has ended no mail goes out")]


def _small(most: int, largest: int) -> list[Trouble]:
    if not most or largest <= most:
        return []
    said = f"the server takes messages of {most:,} bytes, and ours have up to {largest:,}"
    return [Trouble(Mark.FAIL, said, "set digest.max_papers lower")]
