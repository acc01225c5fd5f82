"""What a job works with: the stores over one open database, the secret beside it, and the way out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

from sqlite_utils import Database

from digest.config import Config
from digest.delivery import Deliver, MaildirSettings
from digest.errors import ConfigError
from digest.pipeline.inbox import InboxReader
from digest.pipeline.similar import SimilarPapers
from digest.sources.fetcher import FetchMemory
from digest.store.database import open_database
from digest.store.http_cache import HttpCache
from digest.store.outbox import Outbox
from digest.store.papers import Papers
from digest.store.runs import Runs
from digest.store.search import SearchIndex
from digest.store.secret import load_secret
from digest.store.subscribers import Subscribers


@dataclass(frozen=True)
class Context:
    """The stores of a configuration."""

    config: Config
    history: Papers
    outbox: Outbox
    subscribers: Subscribers
    journal: Runs
    answers: HttpCache
    likeness: SimilarPapers
    mailroom: InboxReader
    secret: bytes
    db: Database

    @classmethod
    def over(cls, config: Config, db: Database) -> "Context":
        key = load_secret(config.digest.database)
        history = Papers(db)
        likeness = SimilarPapers(history, SearchIndex(db))
        people = Subscribers(db, key)
        journal, answers, mailroom = Runs(db), HttpCache(db), InboxReader(db, people)
        return cls(config, history, Outbox(db), people, journal, answers, likeness, mailroom, key, db)


def fetch_memory(config: Config, journal: Runs, answers: HttpCache, day: date) -> FetchMemory:
    """What runs of the days up to `day` left for the fetcher."""
    database = config.digest.database
    past = {source.name: journal.past(source.name, day) for source in config.sources}
    return FetchMemory(past, answers.known(), database.with_name(database.name + ".pace"))


@contextmanager
def open_context(config: Config) -> Iterator[Context]:
    with open_database(config.digest.database) as db:
        yield Context.over(config, db)


def delivery_method(config: Config) -> Deliver:
    """How this configuration delivers. Raises ConfigError when it cannot."""
    settings = config.delivery
    if settings is None:
        raise ConfigError(
            ["smtp: is missing; write [smtp] with host = …, or [maildir] with path = …"], str(config.path)
        )
    if isinstance(settings, MaildirSettings):
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

    return smtp.smtp_delivery(settings)
