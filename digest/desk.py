"""What a job works with: the stores over one open database, the secret beside it, and the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

from sqlite_utils import Database

from digest import database, secret
from digest.answers import Answers
from digest.archive import Archive
from digest.config import Config
from digest.delivery import Deliver, Maildir
from digest.errors import ConfigError
from digest.fetch import Memory
from digest.history import History
from digest.journal import Journal
from digest.likeness import Likeness
from digest.mailroom import Mailroom
from digest.outbox import Outbox
from digest.subscribers import Subscribers


@dataclass(frozen=True)
class Desk:
    """The stores of a configuration."""

    config: Config
    history: History
    outbox: Outbox
    subscribers: Subscribers
    journal: Journal
    answers: Answers
    likeness: Likeness
    mailroom: Mailroom
    secret: bytes
    db: Database

    @classmethod
    def over(cls, config: Config, db: Database) -> "Desk":
        key = secret.beside(config.digest.database)
        history = History(db)
        likeness = Likeness(history, Archive(db))
        people = Subscribers(db, key)
        journal, answers, mailroom = Journal(db), Answers(db), Mailroom(db, people)
        return cls(config, history, Outbox(db), people, journal, answers, likeness, mailroom, key, db)


def memory(config: Config, journal: Journal, answers: Answers, day: date) -> Memory:
    """What runs of the days up to `day` left for the fetcher."""
    database = config.digest.database
    past = {source.name: journal.past(source.name, day) for source in config.sources}
    return Memory(past, answers.known(), database.with_name(database.name + ".pace"))


@contextmanager
def desk(config: Config) -> Iterator[Desk]:
    with database.opened(config.digest.database) as db:
        yield Desk.over(config, db)


def way(config: Config) -> Deliver:
    """How this configuration delivers. Raises ConfigError when it cannot."""
    settings = config.delivery
    if settings is None:
        raise ConfigError(
            ["smtp: is missing; write [smtp] with host = …, or [maildir] with path = …"], str(config.path)
        )
    if isinstance(settings, Maildir):
        from digest.delivery import maildir

        return partial(maildir.deliver, settings)
    if settings.username and not settings.password and not settings.token_command:
        raise ConfigError(
            ["smtp.username: is set but there is no password; put DIGEST_SMTP_PASSWORD=… into .env or the environment"],
            str(config.path),
        )
    if settings.token_command and not settings.username:
        raise ConfigError(
            ["smtp.token_command: is set without smtp.username; write whose token it is"], str(config.path)
        )
    from digest.delivery import smtp

    return smtp.post(settings)
