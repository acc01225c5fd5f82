"""The configuration file: read it into a `Config`, or report every problem in it at once."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from digest.archive import ArchiveSettings
from digest.delivery import MaildirSettings, SmtpSettings, is_loopback
from digest.errors import ConfigError
from digest.files import read_text
from digest.inbound import DigestAddresses, InboxSettings
from digest.mail.address import Mailbox, parse_mailbox, untagged
from digest.mail.requests import FeedbackSettings, SignupSettings
from digest.mail.shard import MAX_SHARDS, Shard, index_in_array_job
from digest.mail.unsubscribe import UnsubscribeSettings
from digest.papers.text.clean import clean
from digest.ranking.sentences import FILES, SemanticSettings, libraries_installed
from digest.ranking.topics import Topic
from digest.settings import (
    Problems,
    Secret,
    check_keys,
    invalid_value,
    map_keys,
    number_between,
    one_of,
    quote_choices,
    quote_value,
    read_table,
    time_zone,
    web_address,
    weekdays,
)
from digest.sources import Source
from digest.sources.arxiv_categories import check_categories, is_like_category
from digest.sources.library import is_library
from digest.sources.registry import SOURCE_TYPES, source_class

T = TypeVar("T")

_TABLES = (
    "digest", "sources", "topics", "smtp", "maildir", "unsubscribe", "inbox", "signup", "feedback", "notify", "shard",
    "archive", "semantic",
)  # fmt: skip
_MAX_BYTES = 4 * 2**20  # of a file: 100,000 addresses
_MAX_TABLES = 1000  # in an array
_MAX_PROBLEMS = 100  # that are reported
# tomllib takes time quadratic in the parts of a key: a minute for 50,000. No key of ours has more than two.
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){50}""")


def _sender(value: str) -> Mailbox:
    return _mailbox(value, "Paper Digest <digest@example.org>")


def _addresses(values: list[str]) -> tuple[str, ...]:
    """Each address once, as the first of its spellings; upper and lower case make no difference."""
    found: dict[str, str] = {}
    for value in values:
        address = _mailbox(value, "you@example.org").address
        found.setdefault(address.lower(), address)
    return tuple(found.values())


def _mailbox(value: str, example: str) -> Mailbox:
    try:
        return parse_mailbox(value)
    except ValueError as error:
        raise ValueError(f'{quote_value(value)} {error}; write one like "{example}"') from None


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """The `[digest]` table. `days` are weekdays from 0, which is Monday."""

    from_: Mailbox = field(metadata={"read": _sender, "type": str, "example": '"Paper Digest <digest@example.org>"'})
    title: str = "Trending papers"
    to: tuple[str, ...] = field(default=(), metadata={"read": _addresses, "example": '["you@example.org"]'})
    timezone: ZoneInfo = field(default=ZoneInfo("UTC"), metadata={"read": time_zone, "type": str})
    max_papers: int = field(default=12, metadata={"read": number_between(1, 1000)})
    window_days: int = field(default=7, metadata={"read": number_between(0, 365)})
    database: Path = Path("history.db")
    when_empty: str = field(default="skip", metadata={"read": one_of("skip", "send")})
    variety: bool = True
    min_score: float = field(default=0.0, metadata={"read": number_between(0, 1000)})
    topics_only: bool = False
    days: frozenset[int] = field(
        default=frozenset(range(7)), metadata={"read": weekdays, "type": tuple[str, ...], "example": '["mon", "fri"]'}
    )
    templates: Path | None = None

    def mails_on(self, day: date) -> bool:
        """Whether `days` include the weekday of `day`."""
        return day.weekday() in self.days


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """The `[notify]` table. `ping` is requested after a good run, and with /start or /fail appended otherwise."""

    ping: str = field(default="", repr=False, metadata={"read": web_address})  # a secret: anyone who has it can ping


@dataclass(frozen=True, slots=True)
class ShardSettings:
    """The `[shard]` table: this digest serves the part `index` of `count`. An array job gives the index else."""

    count: int = field(metadata={"read": number_between(1, MAX_SHARDS), "example": "8"})
    index: int | None = field(default=None, metadata={"read": number_between(1, MAX_SHARDS), "example": "3"})


@dataclass(frozen=True, slots=True)
class Config:
    """A valid configuration. All its paths are absolute.

    With a `shard`, `digest.database` is that of the shard, and `digest.to` has its subscribers only.
    """

    path: Path
    digest: DigestSettings
    sources: tuple[Source, ...]
    topics: tuple[Topic, ...]
    delivery: SmtpSettings | MaildirSettings | None
    unsubscribe: UnsubscribeSettings
    inbox: InboxSettings | None
    signup: SignupSettings | None
    feedback: FeedbackSettings | None
    notify: NotifySettings
    shard: Shard | None = None
    archive: ArchiveSettings | None = None
    semantic: SemanticSettings = field(default_factory=SemanticSettings)

    def private_file_in(self, folder: Path) -> Path | None:
        """Return one of the files with addresses or secrets if it is in `folder`, which is to be published."""
        mail = self.delivery.path if isinstance(self.delivery, MaildirSettings) else None
        files = (self.digest.database, self.path, mail, self.inbox and self.inbox.path)
        inside = (file for file in files if file and _real(file).is_relative_to(_real(folder)))
        return next(inside, None)

    @property
    def addresses(self) -> DigestAddresses:
        """The addresses of this digest, by which its letters are judged."""
        sender, signup = self.digest.from_.address.lower(), self.signup.mailto.lower() if self.signup else ""
        others = {sender, self.unsubscribe.mailto.lower(), self.feedback.mailto.lower() if self.feedback else ""}
        own = frozenset(map(untagged, filter(None, {*others, signup})))
        authserv = self.inbox.authserv if self.inbox else ""
        return DigestAddresses(own, signup, signup in others, self.digest.title, authserv)


def load(path: Path, environ: Mapping[str, str], shard: Shard | None = None) -> Config:
    """Read the file at `path`, and the secrets and the index of a shard from `environ`.

    `shard` is the one of the command line, before any other. Raises ConfigError with every problem found.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:  # paths below it are recorded in the database, which takes nothing else
        raise ConfigError([f"{path} has a path that is not valid UTF-8; rename the file or folder"]) from None
    try:
        text = read_text(path, _MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} cannot be read: {_explain_read_error(path, error)}"]) from None
    return parse(text, path, environ, shard)


def parse(text: str, path: Path, environ: Mapping[str, str], shard: Shard | None = None) -> Config:
    """Read `text` as the content of a file at `path`. Raises ConfigError like `load`."""
    if found := _LONG_KEY.search(text):
        line = text.count("\n", 0, found.start()) + 1
        raise ConfigError([f"line {line}: a key with more than 50 parts; write one key in each line"], str(path))
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a syntax error; or a number or nesting beyond Python's limits
        from digest.toml_hints import explain_toml_error

        raise ConfigError([explain_toml_error(text, error)], str(path)) from None
    problems = Problems(_tables_by_key)
    config = _config(table, path, environ, problems, shard)
    if config is None or problems:
        more = len(problems) - _MAX_PROBLEMS
        raise ConfigError([*problems[:_MAX_PROBLEMS], *([f"… and {more:,} more"] if more > 0 else [])], str(path))
    return config


@cache
def _tables_by_key() -> dict[str, str]:
    """Which tables have which key, for messages about a key in the wrong table."""
    return map_keys(
        {
            "[digest]": [DigestSettings],
            "[smtp]": [SmtpSettings],
            "[maildir]": [MaildirSettings],
            "[inbox]": [InboxSettings],
            "[notify]": [NotifySettings],
            "[semantic]": [SemanticSettings],
            "[shard]": [ShardSettings],
            "[unsubscribe]": [UnsubscribeSettings],
            "[signup]": [SignupSettings],
            "[feedback]": [FeedbackSettings],
            "[[topics]]": [Topic],
            "[[sources]]": [source_class(name) for name in SOURCE_TYPES],
        }
    )


def _explain_read_error(path: Path, error: OSError | UnicodeDecodeError) -> str:
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8; save the file as UTF-8 in your editor"
    hints = {
        FileNotFoundError: "create one with `digest init`",
        IsADirectoryError: f"name the file in it, like {path / 'config.toml'}",
        PermissionError: "make it readable for the user that runs digest, with chown or chmod",
    }
    return "; ".join(filter(None, (error.strerror, hints.get(type(error)))))


def _config(
    table: dict[str, Any], path: Path, environ: Mapping[str, str], problems: Problems, shard: Shard | None
) -> Config | None:
    check_keys(table, _TABLES, "", problems)
    digest = read_table(DigestSettings, table.get("digest", {}), "digest", problems)
    sources = _sources(table, path.parent, environ, problems)
    topics = _topics(table, path.parent, problems)
    delivery = _delivery(table, path.parent, environ, problems)
    unsubscribe = read_table(UnsubscribeSettings, table.get("unsubscribe", {}), "unsubscribe", problems)
    inbox = _inbox(table, path.parent, environ, problems)
    signup = _of_readers(SignupSettings, table, "signup", problems)
    feedback = _of_readers(FeedbackSettings, table, "feedback", problems)
    notify = read_table(NotifySettings, table.get("notify", {}), "notify", problems)
    shard = _shard(table, environ, problems, shard)
    archive = read_table(ArchiveSettings, table["archive"], "archive", problems) if "archive" in table else None
    semantic = _semantic(table, path.parent, problems)
    if digest is None or unsubscribe is None or notify is None:
        return None
    digest = _localized(digest, path.parent, shard, problems)
    _check_source_paths(sources, digest.database, problems)
    config = Config(
        path=path.absolute(),
        digest=digest,
        sources=sources,
        topics=topics,
        delivery=delivery,
        unsubscribe=unsubscribe,
        inbox=inbox,
        signup=signup,
        feedback=feedback,
        notify=notify,
        shard=shard,
        archive=archive and replace(archive, path=_absolute(path.parent, archive.path)),
        semantic=semantic,
    )
    if config.archive and (private := config.private_file_in(config.archive.path)):
        problems.add("archive.path", f"must not hold {private}, which nobody else may read; name a folder of its own")
    return config


def _localized(digest: DigestSettings, folder: Path, shard: Shard | None, problems: Problems) -> DigestSettings:
    """The `[digest]` table with absolute paths, and with the database and readers of the shard."""
    if digest.templates is not None and not (folder / digest.templates).is_dir():
        hint = "write the folder that holds your templates"
        problems.add("digest.templates", invalid_value("a folder", str(digest.templates), hint))
    database = _absolute(folder, digest.database)
    return replace(
        digest,
        to=tuple(to for to in digest.to if shard is None or shard.owns(to)),
        database=shard.database(database) if shard else database,
        templates=digest.templates and _absolute(folder, digest.templates),
    )


def _shard(
    table: Mapping[str, Any], environ: Mapping[str, str], problems: Problems, named: Shard | None
) -> Shard | None:
    """The shard that this process serves: the one `named` on the command line, that of [shard], or an array job's.

    Without [shard], a job array means nothing: it may run different configurations.
    """
    settings = read_table(ShardSettings, table["shard"], "shard", problems) if "shard" in table else None
    if settings is None:
        return named
    if named is not None:
        if named.count != settings.count:
            problems.add(
                "shard.count", f"is {settings.count}, but --shard is {named}; write --shard N/{settings.count}"
            )
        return named
    try:
        index = settings.index or index_in_array_job(environ, settings.count)
    except ValueError as error:
        problems.add("shard.count", str(error))
        return None
    if index is None:
        hint = f"write index = 1 to {settings.count}, run with --shard, or run it as an array job"
        problems.add("shard.index", f"is missing; {hint}")
        return None
    try:
        return Shard.checked(index, settings.count)
    except ValueError as error:
        problems.add("shard.index", f"{index} {error}")
        return None


def _of_readers(kind: type[T], table: Mapping[str, Any], key: str, problems: Problems) -> T | None:
    """The table of something that readers do by mail; None without it."""
    if key not in table:
        return None
    if "inbox" not in table:
        problems.add(key, "needs the mailbox that its letters arrive in; write [inbox] with host = … or path = …")
    return read_table(kind, table[key], key, problems)


def _semantic(table: Mapping[str, Any], folder: Path, problems: Problems) -> SemanticSettings:
    semantic = read_table(SemanticSettings, table.get("semantic", {}), "semantic", problems)
    if semantic is None or semantic.model is None:
        return SemanticSettings()
    model = _absolute(folder, semantic.model)
    if missing := [name for name in FILES if not (model / name).is_file()]:
        message = f"must be a folder with {' and '.join(FILES)}, {model} has no {missing[0]}"
        problems.add("semantic.model", f"{message}; write the folder of a sentence model, or leave the line out")
    elif not libraries_installed():
        message = "needs onnxruntime and tokenizers, which are not installed"
        problems.add("semantic.model", f"{message}; install them with pipx install --force '.[onnx]'")
    return replace(semantic, model=model)


def _real(path: Path) -> Path:
    """`path` without symbolic links. Unlike Path.resolve, accepts a link that leads to itself."""
    return Path(os.path.realpath(path))


def _absolute(folder: Path, path: Path) -> Path:
    return (folder / path).absolute()


def _tables(table: Mapping[str, Any], key: str, problems: Problems) -> list[tuple[int, object]]:
    """The entries of an array of tables, numbered from 1."""
    found = table.get(key, [])
    if not isinstance(found, list):
        problems.add(key, f"must be a list of tables; write [[{key}]] with two brackets")
        return []
    if len(found) > _MAX_TABLES:
        problems.add(key, f"must be at most {_MAX_TABLES:,}, not {len(found):,}")
        return []
    return list(enumerate(found, start=1))


def _topics(table: Mapping[str, Any], folder: Path, problems: Problems) -> tuple[Topic, ...]:
    """The topics; where they like a file, with its absolute path."""
    found, numbers = [], dict[str, int]()
    for number, entry in _tables(table, "topics", problems):
        where = f"topics[{number}]"
        topic = read_table(Topic, entry, where, problems)
        if topic is None:
            continue
        first = numbers.setdefault(topic.name.casefold(), number)
        if first != number:
            message = (
                f"{quote_value(topic.name)} is the name of topics[{first}] too; write another name, or make them one"
            )
            problems.add(f"{where}.name", message)
        if not topic.name.strip():
            problems.add(f"{where}.name", 'must not be empty; write name = "Diffusion"')
        if not any(map(str.strip, (*topic.match, *topic.authors, *topic.categories, *topic.like, *topic.mute))):
            problems.add(where, f'{quote_value(topic.name)} matches nothing; write below its name match = ["a phrase"]')
        try:
            check_categories(filter(is_like_category, topic.categories))
        except ValueError as error:
            problems.add(f"{where}.categories", error)
        files = (str(_absolute(folder, Path(text).expanduser())) if is_library(text) else text for text in topic.like)
        found.append(replace(topic, like=tuple(files)))
    return tuple(found)


def _sources(
    table: Mapping[str, Any], folder: Path, environ: Mapping[str, str], problems: Problems
) -> tuple[Source, ...]:
    if table.get("sources", []) == []:
        problems.add("sources", 'is missing; write [[sources]] and below it type = "huggingface"')
    found: list[Source] = []
    for number, entry in _tables(table, "sources", problems):
        source = _source(entry, f"sources[{number}]", folder, environ, problems)
        if source is not None:
            found.append(_with_unique_name(source, {other.name for other in found}))
    return tuple(found)


def _source(entry: object, where: str, folder: Path, environ: Mapping[str, str], problems: Problems) -> Any:
    """A source of the class that its `type` names, with absolute paths and with its secrets from `environ`."""
    kind = "file"
    if isinstance(entry, Mapping):
        try:
            kind = _source_type(entry.get("type"))
        except ValueError as error:
            problems.add(f"{where}.type", error)
            return None
    source = read_table(source_class(kind), entry, where, problems, extra=["type"])
    if source is None:
        return None
    values = {f.name: getattr(source, f.name) for f in fields(source)}
    paths = {name: _absolute(folder, value) for name, value in values.items() if isinstance(value, Path)}
    secrets = {f.name: _secret(environ, f.metadata["secret"]) for f in fields(source) if "secret" in f.metadata}
    return replace(source, **paths, **secrets)


def _check_source_paths(sources: Sequence[Any], database: Path, problems: Problems) -> None:
    for number, source in enumerate(sources, start=1):
        if getattr(source, "path", None) and _real(source.path) == _real(database):
            problems.add(f"sources[{number}].path", "is this digest's own history; name that of another digest")


def _source_type(value: object) -> str:
    if value is None:
        raise ValueError(f"is missing; write type = {quote_choices(SOURCE_TYPES)}")
    if not isinstance(value, str):
        raise invalid_value(quote_choices(SOURCE_TYPES), value)
    return one_of(*SOURCE_TYPES)(value)


def _with_unique_name(source: Any, taken: set[str]) -> Any:
    """`source` with a name that is not `taken`: its own or a default, and a number where that is taken."""
    name = (clean(source.name) or clean(source.default_name) or "source")[:60].strip()
    unique = next(n for n in chain([name], (f"{name}-{i}" for i in count(2))) if n not in taken)
    return replace(source, name=unique)


def _secret(environ: Mapping[str, str], name: str) -> Secret:
    """A secret of a source; "" when it is not allowed in an HTTP header."""
    value = environ.get(name, "").strip()
    return Secret(value if value.isascii() and value.isprintable() else "")


def _delivery(
    table: Mapping[str, Any], folder: Path, environ: Mapping[str, str], problems: Problems
) -> SmtpSettings | MaildirSettings | None:
    smtp = read_table(SmtpSettings, table["smtp"], "smtp", problems) if "smtp" in table else None
    maildir = read_table(MaildirSettings, table["maildir"], "maildir", problems) if "maildir" in table else None
    if "smtp" in table and "maildir" in table:
        problems.add("maildir", "cannot be used together with [smtp]; keep one of them")
    if maildir is not None:
        return replace(maildir, path=_absolute(folder, maildir.path))
    if smtp is None:
        return None
    if smtp.security == "starttls" and smtp.port == 465:
        problems.add("smtp.security", 'must be "tls" for port 465, which is encrypted from the start; write "tls"')
    if smtp.security == "none" and (far := [host for host in smtp.host if not is_loopback(host)]):
        message = f'must not be "none" for {" and ".join(far)}: mail would be sent unencrypted'
        problems.add("smtp.security", f'{message}; write "starttls" or "tls" (port 465)')
    return replace(smtp, password=Secret(environ.get("DIGEST_SMTP_PASSWORD", "")))


def _inbox(
    table: Mapping[str, Any], folder: Path, environ: Mapping[str, str], problems: Problems
) -> InboxSettings | None:
    inbox = read_table(InboxSettings, table["inbox"], "inbox", problems) if "inbox" in table else None
    if inbox is None:
        return None
    if inbox.path is not None:
        if inbox.host:
            problems.add("inbox.path", "cannot be used together with inbox.host; keep one of them")
        return replace(inbox, path=_absolute(folder, inbox.path))
    if not inbox.host:
        problems.add("inbox", 'has no mailbox; write host = "imap.example.org", or path = "Maildir"')
    elif not inbox.username:
        problems.add("inbox.username", 'is missing; write username = "digest@example.org"')
    if inbox.host and inbox.security == "none" and not inbox.loopback:
        message = f'must not be "none" for {inbox.host}: the password would be sent unencrypted'
        problems.add("inbox.security", f'{message}; write "tls" or "starttls" (port 143)')
    return replace(inbox, password=Secret(environ.get("DIGEST_INBOX_PASSWORD", "")))
