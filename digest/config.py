"""The configuration file: TOML into a `Config`, or every problem in it at once."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from digest.delivery import MaildirSettings, SmtpSettings
from digest.errors import ConfigError
from digest.inbound import InboxSettings
from digest.mail.address import Mailbox, parse_mailbox
from digest.mail.unsubscribe import UnsubscribeSettings
from digest.pipeline.notify import NotifySettings
from digest.ranking.topics import Topic
from digest.settings import (
    Problems,
    Secret,
    find_homes,
    number_between,
    one_of,
    quote_value,
    read_table,
    time_zone,
    unknown_keys,
)
from digest.sources import Source
from digest.sources.registry import SOURCE_TYPES, source_class

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def _from(value: str) -> Mailbox:
    try:
        return parse_mailbox(value)
    except ValueError as problem:
        raise ValueError(
            f'{quote_value(value)} {problem}; write one like "Paper Digest <digest@example.org>"'
        ) from None


def _to(values: list[str]) -> tuple[str, ...]:
    found: dict[str, str] = {}
    for value in values:
        try:
            wire = parse_mailbox(value).address
        except ValueError as problem:
            raise ValueError(f'{quote_value(value)} {problem}; write one like "you@example.org"') from None
        found.setdefault(wire.lower(), wire)
    return tuple(found.values())


def _weekdays(values: list[str]) -> frozenset[int]:
    return frozenset(_DAYS.index(one_of(*_DAYS)(value)) for value in values)


@dataclass(frozen=True, slots=True)
class DigestSettings:
    """The `[digest]` table. `days` are weekdays, Monday is 0."""

    from_: Mailbox = field(metadata={"read": _from, "type": str, "example": '"Paper Digest <digest@example.org>"'})
    title: str = "Trending papers"
    to: tuple[str, ...] = field(default=(), metadata={"read": _to, "example": '["you@example.org"]'})
    timezone: ZoneInfo = field(default=ZoneInfo("UTC"), metadata={"read": time_zone, "type": str})
    max_papers: int = field(default=12, metadata={"read": number_between(1, 1000)})
    window_days: int = field(default=7, metadata={"read": number_between(0, 365)})
    database: Path = Path("history.db")
    when_empty: str = field(default="skip", metadata={"read": one_of("skip", "send")})
    variety: bool = True
    min_score: float = field(default=0.0, metadata={"read": number_between(0, 1000)})
    topics_only: bool = False
    days: frozenset[int] = field(
        default=frozenset(range(7)), metadata={"read": _weekdays, "type": tuple[str, ...], "example": '["mon", "fri"]'}
    )
    templates: Path | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without a problem; every path in it is absolute."""

    path: Path
    digest: DigestSettings
    sources: tuple[Source, ...]
    topics: tuple[Topic, ...]
    delivery: SmtpSettings | MaildirSettings | None
    unsubscribe: UnsubscribeSettings
    inbox: InboxSettings | None
    notify: NotifySettings


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read the file at `path`; secrets come from `environ`. Raises ConfigError with everything that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigError([f"{path} cannot be read: {_unreadable(path, problem)}"]) from None
    return parse(text, path, environ)


def parse(text: str, path: Path, environ: Mapping[str, str]) -> Config:
    """Read `text` as if it stood in a file at `path`. Raises ConfigError like `load`."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        from digest.toml_hints import explain_toml_error

        raise ConfigError([explain_toml_error(text, problem)], str(path)) from None
    problems = Problems(_homes)
    config = _config(table, path, environ, problems)
    if config is None or problems:
        raise ConfigError(problems, str(path))
    return config


@cache
def _homes() -> dict[str, str]:
    """Where the keys belong: who writes one elsewhere is told so."""
    return find_homes(
        {
            "[digest]": [DigestSettings],
            "[smtp]": [SmtpSettings],
            "[maildir]": [MaildirSettings],
            "[inbox]": [InboxSettings],
            "[notify]": [NotifySettings],
            "[unsubscribe]": [UnsubscribeSettings],
            "[[topics]]": [Topic],
            "[[sources]]": [source_class(name) for name in SOURCE_TYPES],
        }
    )


def _unreadable(path: Path, problem: OSError | UnicodeDecodeError) -> str:
    if isinstance(problem, UnicodeDecodeError):
        line = problem.object.count(b"\n", 0, problem.start) + 1
        return f"it is not UTF-8 text (line {line}); save it as UTF-8 in your editor"
    advice = {
        FileNotFoundError: "`digest init` writes one",
        IsADirectoryError: f"name the file in it, like {path / 'config.toml'}",
        PermissionError: "let whoever runs digest read it, with chown or chmod",
    }
    return "; ".join(filter(None, (problem.strerror, advice.get(type(problem)))))


def _config(table: dict[str, Any], path: Path, environ: Mapping[str, str], problems: Problems) -> Config | None:
    known = ("digest", "sources", "topics", "smtp", "maildir", "unsubscribe", "inbox", "notify")
    unknown_keys(table, known, "", problems)
    digest = read_table(DigestSettings, table.get("digest", {}), "digest", problems)
    sources = _sources(table.get("sources", []), path.parent, environ, problems)
    topics = [read_table(Topic, t, f"topics[{n}]", problems) for n, t in _tables(table, "topics", problems)]
    delivery = _delivery(table, path.parent, environ, problems)
    unsubscribe = read_table(UnsubscribeSettings, table.get("unsubscribe", {}), "unsubscribe", problems)
    inbox = _inbox(table, path.parent, environ, problems)
    notify = read_table(NotifySettings, table.get("notify", {}), "notify", problems)
    if digest is None or unsubscribe is None or notify is None:
        return None
    if digest.templates is not None and not (path.parent / digest.templates).is_dir():
        problems.add(
            "digest.templates", f"{quote_value(str(digest.templates))} is not a folder; write one with templates in it"
        )
    return Config(
        path=path.absolute(),
        digest=replace(
            digest,
            database=_absolute(path.parent, digest.database),
            templates=digest.templates and _absolute(path.parent, digest.templates),
        ),
        sources=sources,
        topics=tuple(filter(None, topics)),
        delivery=delivery,
        unsubscribe=unsubscribe,
        inbox=inbox,
        notify=notify,
    )


def _absolute(folder: Path, path: Path) -> Path:
    return (folder / path).absolute()


def _tables(table: Mapping[str, Any], key: str, problems: Problems) -> list[tuple[int, object]]:
    """The entries of an array of tables, counted from 1."""
    found = table.get(key, [])
    if not isinstance(found, list):
        what = "is a single table" if isinstance(found, Mapping) else f"{quote_value(found)} is no table"
        problems.add(key, f"{what}; write [[{key}]] with two brackets")
        return []
    return list(enumerate(found, start=1))


def _sources(raw: object, folder: Path, environ: Mapping[str, str], problems: Problems) -> tuple[Source, ...]:
    tables = _tables({"sources": raw}, "sources", problems)
    if not tables and raw == []:
        problems.add("sources", 'is missing; write [[sources]] and below it type = "huggingface"')
    found: list[Source] = []
    for number, entry in tables:
        source = _source(entry, f"sources[{number}]", folder, environ, problems)
        if source is not None:
            found.append(_named(source, {other.name for other in found}))
    return tuple(found)


def _source(entry: object, where: str, folder: Path, environ: Mapping[str, str], problems: Problems) -> Any:
    """One source, of the kind its `type` says; relative paths are made absolute, secrets come from `environ`."""
    named = entry.get("type") if isinstance(entry, Mapping) else None
    if isinstance(entry, Mapping) and not isinstance(named, str):
        problems.add(f"{where}.type", "is missing; write one of " + ", ".join(f'type = "{k}"' for k in SOURCE_TYPES))
        return None
    if isinstance(named, str):
        try:
            named = one_of(*SOURCE_TYPES)(named)
        except ValueError as problem:
            problems.add(f"{where}.type", str(problem))
            return None
    source = read_table(source_class(named or "file"), entry, where, problems, extra=["type"])
    if source is None:
        return None
    paths = {f.name: getattr(source, f.name) for f in fields(source)}
    own = {name: _absolute(folder, path) for name, path in paths.items() if isinstance(path, Path)}
    secrets = {f.name: _secret(environ, f.metadata["secret"]) for f in fields(source) if "secret" in f.metadata}
    return replace(source, **own, **secrets)


def _named(source: Any, taken: set[str]) -> Any:
    """The source under a name that no other has: its own, else what it reads, numbered where two would agree."""
    name = re.sub(r"\s+", " ", source.name or source.default_name).strip()[:60]
    unique = next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if n not in taken)
    return replace(source, name=unique)


def _secret(environ: Mapping[str, str], name: str) -> Secret:
    """A secret of a source, '' when it cannot stand in a header."""
    value = environ.get(name, "").strip()
    return Secret(value if value.isascii() and value.isprintable() else "")


def _delivery(
    table: Mapping[str, Any], folder: Path, environ: Mapping[str, str], problems: Problems
) -> SmtpSettings | MaildirSettings | None:
    smtp = read_table(SmtpSettings, table["smtp"], "smtp", problems) if "smtp" in table else None
    maildir = read_table(MaildirSettings, table["maildir"], "maildir", problems) if "maildir" in table else None
    if "smtp" in table and "maildir" in table:
        problems.add("maildir", "stands beside [smtp]; keep the one that mail should go to")
    if maildir is not None:
        return replace(maildir, path=_absolute(folder, maildir.path))
    if smtp is None:
        return None
    if smtp.security == "starttls" and smtp.port == 465:
        problems.add("smtp.security", '"starttls" does not go with port 465, which is TLS from the start; write "tls"')
    if smtp.security == "none" and not smtp.loopback:
        problems.add(
            "smtp.security", f'"none" would send the mail readable to {smtp.host}; write "starttls" or "tls" (port 465)'
        )
    return replace(smtp, password=Secret(environ.get("DIGEST_SMTP_PASSWORD", "")))


def _inbox(
    table: Mapping[str, Any], folder: Path, environ: Mapping[str, str], problems: Problems
) -> InboxSettings | None:
    inbox = read_table(InboxSettings, table["inbox"], "inbox", problems) if "inbox" in table else None
    if inbox is None:
        return None
    if inbox.path is not None:
        if inbox.host:
            problems.add("inbox.path", "stands beside inbox.host; keep the one where answers arrive")
        return replace(inbox, path=_absolute(folder, inbox.path))
    if not inbox.host:
        problems.add("inbox", 'names no mailbox; write host = "imap.example.org", or path = "Maildir"')
    elif not inbox.username:
        problems.add("inbox.username", 'is missing; write username = "digest@example.org"')
    if inbox.host and inbox.security == "none" and not inbox.loopback:
        problems.add(
            "inbox.security",
            f'"none" would send the password readable to {inbox.host}; write "tls" or "starttls" (port 143)',
        )
    return replace(inbox, password=Secret(environ.get("DIGEST_INBOX_PASSWORD", "")))
