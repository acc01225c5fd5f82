"""The commands that manage subscribers: add, remove, pause, resume, list, show, import, export."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli import terminal
from digest.cli.app import AddressParam, App, DateParam, clock, handle_errors, main

if TYPE_CHECKING:
    from digest.pipeline.context import Context
    from digest.ranking import Profile
    from digest.store.subscribers import ImportedSubscriber, Subscriber, Subscribers, SubscriberStatus

_FORMATS = click.Choice(("table", "csv", "json"))
_MAILS = 10  # that `show` shows


class WeekdaysParam(click.ParamType[frozenset[int]]):
    """Days of the week as mon,thu; * means every day, an empty set."""

    name = "days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> frozenset[int]:
        from digest.settings import weekdays

        if isinstance(value, frozenset):
            return value
        try:
            return frozenset() if value.strip() == "*" else weekdays(value.split(","))
        except ValueError as error:
            self.fail(f"{error}; like --days mon,thu", param, ctx)


_addresses = click.argument("addresses", metavar="ADDR...", nargs=-1, required=True, type=AddressParam())


@main.group()
def subscribers() -> None:
    """Manage subscribers in addition to digest.to."""


@dataclass(frozen=True)
class _Session:
    """What these commands work with. `clock` is the real time."""

    context: "Context"
    today: date
    clock: Callable[[], datetime]

    @property
    def subscribers(self) -> "Subscribers":
        return self.context.subscribers

    @property
    def topics(self) -> list[str]:
        return [topic.name for topic in self.context.config.topics]

    def pending(self) -> list[str]:
        """The addresses that asked to subscribe by mail and may still confirm it."""
        return self.context.signups.pending(self.clock())

    def find(self, address: str) -> "tuple[Subscriber, SubscriberStatus] | None":
        """The subscriber with this address and their status; None for an unknown address."""
        status = self.subscribers.status(address, self.today)
        return (self.subscribers.by_address(address), status) if status else None

    def shown(self, address: str) -> "tuple[list[str], date | None]":
        """The names of the papers that a subscriber was shown, and the day of the last mail."""
        return self.context.outbox.shown_names(self.subscribers.by_address(address), self.today)

    def topic(self, name: str) -> str:
        """A topic as the configuration spells it. Raises ValueError for an unknown one."""
        from difflib import get_close_matches

        names = self.topics
        found = name if name in names else next((one for one in names if one.casefold() == name.casefold()), None)
        if found is None:
            near = get_close_matches(name, names, n=1)
            known = f"the topics are {', '.join(names)}" if names else "the configuration has no [[topics]]"
            raise ValueError(f"there is no topic {name!r}; " + (f"did you mean {near[0]}?" if near else known))
        return found


@contextmanager
def _session(app: App) -> Iterator[_Session]:
    config = app.config()
    from digest.pipeline.context import open_context

    today, now = clock(config, None)
    with open_context(config) as context:
        context.subscribers.configure(config.digest.to)
        yield _Session(context, today, now)


def _for_each_subscriber(command: Callable[..., str]) -> Callable[..., None]:
    """Run a command for each address, report what it returns, and name the unknown addresses."""

    @wraps(command)
    def run_for_each(app: App, addresses: tuple[str, ...], **options: Any) -> None:
        with _session(app) as session:
            found = [(address, session.find(address)) for address in addresses]
            for _, known in found:
                if known:
                    app.report(command(session, *known, **options))
            session.context.outbox.withdraw(session.today)
        if unknown := [address for address, known in found if not known]:
            raise _unknown_address(", ".join(unknown))

    return run_for_each


def _unknown_address(address: str) -> click.BadParameter:
    message = f"no subscriber has the address {address}; `digest subscribers list --all` shows all"
    return click.BadParameter(message, param_hint="ADDR")


@subscribers.command()
@_addresses
@click.option(
    "--topic",
    "names",
    metavar="NAME",
    multiple=True,
    help="Only this topic of [[topics]]; may be repeated; * means all.",
)
@click.option(
    "--max-papers", metavar="N", type=click.IntRange(0, 1000), help="Papers in a mail; 0 means digest.max_papers."
)
@click.option("--days", metavar="DAYS", type=WeekdaysParam(), help="Mail only on these days: mon,thu; * means all.")
@click.pass_obj
@handle_errors
def add(
    app: App, addresses: tuple[str, ...], names: tuple[str, ...], max_papers: int | None, days: frozenset[int] | None
) -> None:
    """Subscribe addresses, or change what they get.

    Those who unsubscribed or were suspended get mail again.
    """
    with _session(app) as session:
        _check_shard(session, addresses)
        before = [(address, session.find(address)) for address in addresses]
        topics = _chosen_topics(session, names)
        _check_days(session, days)
        for address, known in before:
            profile = _changed(session.subscribers.by_address(address).profile, topics, max_papers, days)
            session.subscribers.add(address, profile)
            app.report(_format_added(address, known[1].state if known else "", profile))


def _chosen_topics(session: _Session, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """None when no topic was named, () for all of them."""
    try:
        found = tuple(dict.fromkeys(session.topic(name) for name in names if name != "*"))
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--topic") from None
    return None if not names else () if "*" in names else found


def _check_shard(session: _Session, addresses: tuple[str, ...]) -> None:
    """Raise BadParameter for addresses that another shard serves."""
    from digest.mail.shard import shard_of

    shard = session.context.config.shard
    if shard and (others := [address for address in addresses if not shard.owns(address)]):
        listed = ", ".join(f"{address} belongs to shard {shard_of(address, shard.count)}" for address in others)
        raise click.BadParameter(f"{listed}; this is shard {shard}, so add it there", param_hint="ADDR")


def _check_days(session: _Session, days: frozenset[int] | None) -> None:
    """Raise BadParameter when none of the days is one of digest.days, which no mail goes beyond."""
    from digest.settings import weekday_names

    allowed = session.context.config.digest.days
    if days and not days & allowed:
        message = f"digest.days has no mail on {', '.join(weekday_names(days))}"
        raise click.BadParameter(f"{message}; choose from {', '.join(weekday_names(allowed))}", param_hint="--days")


def _changed(
    profile: "Profile", topics: tuple[str, ...] | None, max_papers: int | None, days: frozenset[int] | None
) -> "Profile":
    if topics is not None:
        profile = replace(profile, topics=topics or None)
    if days is not None:
        profile = replace(profile, days=days or None)
    return profile if max_papers is None else replace(profile, max_papers=max_papers or None)


def _format_added(address: str, state: str, profile: "Profile") -> str:
    from digest.settings import weekday_names

    sentences = {
        "": "Added {}", "dropped": "Added {}", "left": "Added {}, who had unsubscribed",
        "suspended": "Added {}, which was suspended", "paused": "Resumed {}",
    }  # fmt: skip
    what = sentences.get(state, "{} is subscribed").format(address)
    label = "topics" if len(profile.topics or ()) > 1 else "topic"
    topics = f"{label} {', '.join(profile.topics)}" if profile.topics else "all topics"
    limit = f"at most {profile.max_papers} papers" if profile.max_papers else "as many papers as digest.max_papers"
    days = f", only on {', '.join(name.capitalize() for name in weekday_names(profile.days))}" if profile.days else ""
    return f"{what}: {topics}, {limit}{days}."


@subscribers.command()
@_addresses
@click.pass_obj
@handle_errors
@_for_each_subscriber
def remove(session: _Session, subscriber: "Subscriber", status: "SubscriberStatus") -> str:
    """Unsubscribe addresses.

    They get no more mail, even if digest.to or an import names them, until you add them again.
    """
    if not session.subscribers.unsubscribe(subscriber, session.today):
        return f"{subscriber.address} has already unsubscribed."
    note = " It gets no mail although digest.to names it, until you add it again." if status.configured else ""
    return f"Removed {subscriber.address}.{note}"


@subscribers.command()
@_addresses
@click.option(
    "--until",
    metavar="DATE",
    type=DateParam(),
    help="The day of the next mail (YYYY-MM-DD). [until resumed]",
)
@click.pass_obj
@handle_errors
@_for_each_subscriber
def pause(session: _Session, subscriber: "Subscriber", status: "SubscriberStatus", until: date | None) -> str:
    """Pause mail to addresses.

    Papers they miss can still be in a later mail while they trend.
    """
    from digest.store.subscribers import FOREVER

    if until and until <= session.today:
        raise click.BadParameter(f"{until} is not after today, {session.today}", param_hint="--until")
    if not status.subscribed:
        return f"{subscriber.address} gets no mail anyway: it {status.silence}."
    session.subscribers.pause(subscriber, until or FOREVER)
    return f"Paused {subscriber.address} " + (f"until {until}." if until else "until `digest subscribers resume`.")


@subscribers.command()
@_addresses
@click.pass_obj
@handle_errors
@_for_each_subscriber
def resume(session: _Session, subscriber: "Subscriber", status: "SubscriberStatus") -> str:
    """Resume mail to paused addresses."""
    session.subscribers.resume(subscriber)
    if not status.subscribed or status.state == "suspended":
        again = f"`digest subscribers add {subscriber.address}` subscribes it again"
        return f"{subscriber.address} gets no mail: it {status.silence}; {again}."
    return f"{subscriber.address} gets mail again." if status.paused else f"{subscriber.address} was not paused."


@subscribers.command(name="list")
@click.option("--all", "everyone", is_flag=True, help="Also those who unsubscribed or have not confirmed.")
@click.option("--format", "form", type=_FORMATS, default="table", help="Format. [table]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON array.")
@click.pass_obj
@handle_errors
def list_(app: App, everyone: bool, form: str, as_json: bool) -> None:
    """List subscribers and their status."""
    from digest.operations.subscriber_files import write_subscribers

    with _session(app) as session:
        statuses = session.subscribers.statuses(session.today)
        listed = _with_pending(session, statuses) if everyone else (one for one in statuses if one.subscribed)
        form = "json" if as_json else form
        for part in write_subscribers(listed, form, session.topics, session.context.labels.all(), width=app.width):
            if form == "table":
                app.show(part.rstrip("\n"), terminal.TABLE)
            else:
                app.write(part)


@subscribers.command()
@click.argument("address", metavar="ADDR", type=AddressParam())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
@handle_errors
def show(app: App, address: str, as_json: bool) -> None:
    """Show one subscriber: state, choices, votes and last mails."""
    from digest.operations.subscriber_files import format_subscriber, subscriber_document

    with _session(app) as session:
        found = session.find(address)
        if found is None:
            raise _unknown_address(address)
        subscriber, status = found
        mails, labels = session.context.outbox.last_mails(subscriber, _MAILS), session.context.labels.of(subscriber.id)
        if as_json:
            app.show_json(subscriber_document(status, mails, labels))
        else:
            app.show(format_subscriber(status, mails, session.topics, labels, app.width))


def _with_pending(session: _Session, statuses: "Iterable[SubscriberStatus]") -> "Iterator[SubscriberStatus]":
    """All subscribers, and the addresses that asked to subscribe by mail and have not confirmed yet."""
    from digest.ranking import DEFAULT_PROFILE
    from digest.store.subscribers import SubscriberStatus

    pending = {address.lower(): address for address in session.pending()}
    for status in statuses:
        asked = pending.pop(status.address.lower(), None)
        yield replace(status, state="pending", why="") if asked and not status.subscribed else status
    for address in pending.values():
        yield SubscriberStatus(address, "pending", DEFAULT_PROFILE, configured=False)


@subscribers.command(name="export")
@click.argument(
    "target", metavar="[FILE]", default="-", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True)
)
@click.option("--format", "form", type=_FORMATS, help="Format. [by the name of FILE, else csv]")
@click.pass_obj
@handle_errors
def export_(app: App, target: Path, form: str | None) -> None:
    """Write all subscribers to FILE or standard output.

    Includes those who unsubscribed. `import` reads it. JSON also has the papers that each was sent.
    """
    from digest.files import write_file
    from digest.operations.subscriber_files import write_subscribers

    kind = form or ("json" if target.suffix.lower() == ".json" else "csv")
    with _session(app) as session:
        statuses, labels = session.subscribers.statuses(session.today), session.context.labels.all()
        parts = write_subscribers(statuses, kind, session.topics, labels, session.shown)
        if str(target) == "-":
            for part in parts:
                app.write(part)
            return
        try:
            write_file(target, "".join(parts).encode("utf-8"), mode=0o600)  # it holds addresses
        except OSError as problem:
            raise click.BadParameter(f"{target} cannot be written: {problem.strerror}", param_hint="FILE") from None
    app.report(f"Wrote {target}")


@subscribers.command(name="import")
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path, readable=False, allow_dash=True))
@click.pass_obj
@handle_errors
def import_(app: App, source: Path) -> None:
    """Import subscribers from FILE.

    FILE is CSV, JSON or one address per line; - is standard input. Valid rows are imported, invalid ones are named by
    their line. Those who unsubscribed stay unsubscribed. A shard takes only its own subscribers.
    """
    from digest.errors import RowsRejected
    from digest.operations.subscriber_files import (
        BadRow,
        format_bad_rows,
        format_import,
        import_labels,
        read_subscribers,
        split_rows,
    )

    bad: list[BadRow] = []
    others: list[str] = []
    mailed: list[ImportedSubscriber] = []
    labelled: list[ImportedSubscriber] = []
    with _session(app) as session:
        rows = split_rows(read_subscribers(_read_import(source), session.topic), bad)
        own = _own_rows(session, rows, others, mailed, labelled)
        result = session.subscribers.import_all(own, session.today)
        unknown = import_labels(session.context, labelled, session.today)
        _, now = clock(session.context.config, None)
        shown = ((session.subscribers.by_address(r.address), r.shown, r.last_mail) for r in mailed if r.last_mail)
        session.context.outbox.import_shown(shown, now())
        session.context.outbox.withdraw(session.today)
    app.report(format_import(result, session.context.config.shard, len(others), unknown))
    if bad:
        raise RowsRejected(format_bad_rows(bad))


def _own_rows(
    session: _Session,
    rows: "Iterator[ImportedSubscriber]",
    others: list[str],
    mailed: "list[ImportedSubscriber]",
    labelled: "list[ImportedSubscriber]",
) -> "Iterator[ImportedSubscriber]":
    """Yield the rows of this shard's subscribers.

    Collect the addresses of the others, and again the rows of those who had mail, and of those who labelled papers.
    """
    shard = session.context.config.shard
    for row in rows:
        if shard and not shard.owns(row.address):
            others.append(row.address)
            continue
        if row.last_mail:
            mailed.append(row)
        if row.labels:
            labelled.append(row)
        yield row


def _read_import(source: Path) -> bytes:
    """The content of a file, or of standard input for the name "-"."""
    from digest.files import read_file, read_stream
    from digest.operations.subscriber_files import MAX_BYTES

    try:
        if str(source) == "-":
            return read_stream(sys.stdin.buffer, MAX_BYTES)
        return read_file(source, MAX_BYTES)
    except OSError as error:
        message = f"{source} cannot be read: {error.strerror}; name a file, or - for standard input"
        raise click.BadParameter(message, param_hint="FILE") from None
