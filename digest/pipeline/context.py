"""Open what the steps of a job use: the stores, the renderer and the delivery method."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING

from digest.config import Config
from digest.delivery import Deliver, MaildirSettings
from digest.errors import ConfigError, UnknownSubscriber
from digest.mail.shard import shared_path
from digest.pipeline.inbox import InboxReader
from digest.pipeline.requests import Requests
from digest.pipeline.similar import SimilarPapers
from digest.ranking.sentences import SentenceModel
from digest.settings import weekday_names
from digest.store.answers import Answers
from digest.store.database import open_database, rolled_back
from digest.store.http_cache import HttpCache
from digest.store.labels import Labels
from digest.store.mailboxes import Mailboxes
from digest.store.mark import HistoryMark
from digest.store.outbox import Outbox
from digest.store.papers import Papers
from digest.store.public_editions import PublicEditions
from digest.store.runs import Runs
from digest.store.search import SearchIndex
from digest.store.secret import load_secret
from digest.store.signups import Signups
from digest.store.statistics import Statistics
from digest.store.subscribers import Subscriber, Subscribers

if TYPE_CHECKING:
    from sqlite_utils import Database

    from digest.mail.render import Renderer
    from digest.sources.fetcher import FetchMemory


log = logging.getLogger("digest")


class Context:
    """The stores of a configuration, over the open database `db`.

    The secret is created on first use, so whatever needs it is opened lazily.
    """

    def __init__(self, config: Config, db: "Database") -> None:
        self.config = config
        self.db = db
        self.mark = HistoryMark(db, config.digest.database)
        self.papers = Papers(db)
        model = SentenceModel(config.semantic.model) if config.semantic.model else None
        self.similar = SimilarPapers(self.papers, SearchIndex(db), model)
        self.http_cache = HttpCache(db)
        self.outbox = Outbox(db)
        self.public_editions = PublicEditions(db)
        self.answers = Answers(db)
        self.labels = Labels(db)
        self.runs = Runs(db)
        self.statistics = Statistics(db.conn)

    @cached_property
    def secret(self) -> bytes:
        return load_secret(self.config.digest.database)

    @cached_property
    def subscribers(self) -> Subscribers:
        return Subscribers(self.db, self.secret)

    @cached_property
    def signups(self) -> Signups:
        return Signups(self.db, self.secret)

    def inbox_reader(self, clock: Callable[[], datetime]) -> InboxReader:
        """The reader of letters; `clock` is the real time, even if the run uses --date."""
        requests = Requests(self.config, self.db, self.subscribers, self.signups, clock)
        addresses = self.config.addresses
        return InboxReader(Mailboxes(self.db), self.subscribers, self.outbox, requests, addresses, clock)

    @cached_property
    def renderer(self) -> "Renderer":
        return make_renderer(self.config, self.secret)

    @contextmanager
    def as_configured(self) -> Iterator[None]:
        """A block in which digest.to names its subscribers, as it will in the next run; nothing is stored."""
        with rolled_back(self.db):
            self.subscribers.configure(self.config.digest.to)
            yield

    def find_reader(self, address: str, day: date) -> tuple[Subscriber, str]:
        """The subscriber with this address, and why they get no mail on `day` ('' if they do).

        Call it inside `as_configured`. Raises UnknownSubscriber.
        """
        status = self.subscribers.status(address, day)
        if status is None:
            raise UnknownSubscriber(address)
        silence, days = status.silence, status.profile.days
        if not silence and days is not None and day.weekday() not in days:
            silence = f"gets mail on {', '.join(weekday_names(days))} only"
        return self.subscribers.by_address(address), silence

    def fetch_memory(self, day: date) -> "FetchMemory":
        """What earlier runs stored for the fetcher, up to `day`."""
        from digest.sources.fetcher import FetchMemory

        shared = shared_path(self.config.digest.database)
        previous = {source.name: self.runs.previous(source.name, day) for source in self.config.sources}
        return FetchMemory(previous, self.http_cache.load(), shared.with_name(shared.name + ".pace"))


@contextmanager
def open_context(config: Config, *, create: bool = True) -> Iterator[Context]:
    """The context of a configuration, its database open. Raises HistoryError when the database cannot be used.

    Warns about a history that was moved or restored to this place (see `digest.store.mark`).
    """
    with open_database(config.digest.database, create=create) as db:
        context = Context(config, db)
        if context.mark.is_missing:
            why = f"{context.mark.path.name} is missing; if this is a backup, {context.mark.lacking}"
            log.warning("history moved or restored", {"path": str(config.digest.database), "why": why})
            context.mark.advance()
        with context.mark.following():
            yield context


def make_renderer(config: Config, secret: bytes) -> "Renderer":
    """The renderer of a configuration; `secret` makes its placeholders."""
    from digest.mail.render import Renderer

    settings = config.digest
    home = config.archive.url if config.archive else ""
    return Renderer(
        settings.title, settings.from_, config.unsubscribe, secret, settings.templates, home, config.feedback
    )


def delivery_method(config: Config) -> Deliver:
    """How this configuration delivers mail. Raises ConfigError when it cannot."""
    settings = config.delivery
    if settings is None:
        raise ConfigError(
            ["smtp: is missing; write [smtp] with host = …, or [maildir] with path = …"], str(config.path)
        )
    if isinstance(settings, MaildirSettings):
        from digest.delivery import maildir

        return partial(maildir.deliver, settings)
    if settings.username and not settings.password and not settings.token_command:
        problem = "smtp.username: is set, but there is no password; put DIGEST_SMTP_PASSWORD=… into .env"
        raise ConfigError([problem], str(config.path))
    if settings.token_command and not settings.username:
        problem = "smtp.token_command: is set without smtp.username; write whose token it is"
        raise ConfigError([problem], str(config.path))
    from digest.delivery import smtp

    return smtp.smtp_delivery(settings)
