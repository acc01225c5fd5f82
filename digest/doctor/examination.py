"""The whole examination in the order in which it is read: each check is yielded as soon as it is done."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from digest.config import Config
from digest.delivery import Smtp
from digest.doctor import (
    Check,
    Mark,
    answers,
    clock,
    domain,
    files,
    history,
    mail,
    readers,
    sources,
    templates,
    timetable,
)
from digest.doctor.domain import Nameserver
from digest.errors import ConfigError
from digest.fetch import Fetcher
from digest.schedule import Found


def examine(
    config: Config,
    now: datetime,
    fetcher: Fetcher,
    scheduled: Sequence[Found],
    stray: Sequence[str] = (),
    nameserver: Nameserver | None = None,
) -> Iterator[Check]:
    """Look at everything that a run needs. Makes, records and sends nothing.

    `now` is the moment in the machine's own time zone, `scheduled` what runs this configuration by itself. `stray` are
    the secrets that the environment of this shell has and .env has not. `nameserver` is asked about the sender's
    domain, those of the machine without one.
    """
    here = now.astimezone(config.digest.timezone)
    yield files.configuration(config)
    yield files.secrets(config.path, config.digest.database, stray)
    rendered, largest = templates.examine(config, here)
    yield rendered
    found, readable = history.examine(config.digest.database)
    yield found
    if readable:
        yield from readers.examine(config)
    yield clock.examine(config, now, readable)
    yield timetable.examine(scheduled)
    yield from sources.examine(config, here, fetcher, readable)
    yield mail.examine(config, here, largest)
    if config.inbox is not None:
        yield answers.examine(config.inbox, here.date())
    if isinstance(config.delivery, Smtp):  # nobody asks whose domain it is before mail leaves the machine
        yield from domain.examine(config.digest.from_.domain, nameserver)


def without(problem: ConfigError, path: Path | None, stray: Sequence[str] = ()) -> Iterator[Check]:
    """What can be examined when the configuration cannot be used; `path` is where it is, None for nowhere."""
    there = path is not None and files.is_there(path)
    mend = "the rest can be examined when this is mended" if there else "name it with -c, or write one with digest init"
    yield Check("configuration", Mark.FAIL, str(problem), mend)
    if path is not None and there:
        yield files.secrets(path, None, stray)


def send_test(config: Config, to: str, now: datetime) -> Check:
    """Send one message that says it is a test to the address `to`; see `digest.doctor.mail`."""
    try:
        return mail.send_test(config, to, now.astimezone(config.digest.timezone))
    except ConfigError as problem:
        return Check("test mail", Mark.FAIL, f"not sent to {to}: {problem.problems[0]}")
