"""The commands about who receives the digest: add, remove, pause, resume, list, import and export subscribers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from digest.cli.app import App, DateParam, clock, handle_errors, main

if TYPE_CHECKING:
    from digest.config import Config
    from digest.store.outbox import Outbox
    from digest.store.subscribers import Profile, Subscriber, Subscribers, SubscriberStatus


class AddressParam(click.ParamType[str]):
    """A mail address, with or without a name before it, in the form the wire takes."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from digest.mail.address import parse_mailbox

        try:
            return parse_mailbox(value).address
        except ValueError as problem:
            self.fail(f"{value!r}: {problem}; write one like you@example.org", param, ctx)


_FORMATS = click.Choice(("table", "csv", "json"))
_addresses = click.argument("addresses", metavar="ADDR...", nargs=-1, required=True, type=AddressParam())


@main.group()
def subscribers() -> None:
    """Who receives the digest, besides the addresses in digest.to."""


@dataclass(frozen=True)
class _Desk:
    """What these commands work with."""

    config: "Config"
    people: "Subscribers"
    outbox: "Outbox"
    today: date

    def known(self, given: str) -> "tuple[Subscriber, SubscriberStatus] | None":
        """The subscriber with this address and how it stands; None when nobody has it."""
        standing = self.people.standing(given, self.today)
        return (self.people.get(given), standing) if standing else None

    @property
    def topics(self) -> list[str]:
        return [topic.name for topic in self.config.topics]

    def topic(self, name: str) -> str:
        """A topic as the configuration spells it. Raises ValueError for one it does not have."""
        from difflib import get_close_matches

        names = self.topics
        found = name if name in names else next((one for one in names if one.casefold() == name.casefold()), None)
        if found is None:
            near = get_close_matches(name, names, n=1)
            there = f"the topics are {', '.join(names)}" if names else "the configuration has no [[topics]]"
            raise ValueError(f"there is no topic {name!r}; " + (f"did you mean {near[0]}?" if near else there))
        return found


@contextmanager
def _desk(chosen: App) -> Iterator[_Desk]:
    config = chosen.config()
    from digest.store.database import open_database
    from digest.store.outbox import Outbox
    from digest.store.secret import load_secret
    from digest.store.subscribers import Subscribers

    today, _ = clock(config, None)
    with open_database(config.digest.database) as db:
        people = Subscribers(db, load_secret(config.digest.database))
        people.configure(config.digest.to)
        yield _Desk(config, people, Outbox(db), today)


def _with_each_known(command: Callable[..., str]) -> Callable[..., None]:
    """Does a command for each of the addresses, says what came of it, and names those that nobody has."""

    @wraps(command)
    def each(chosen: App, addresses: tuple[str, ...], **options: Any) -> None:
        with _desk(chosen) as desk:
            found = [(given, desk.known(given)) for given in addresses]
            for _, known in found:
                if known:
                    chosen.say(command(desk, *known, **options))
            desk.outbox.withdraw(desk.today)
        if strangers := [given for given, known in found if not known]:
            raise click.BadParameter(
                f"nobody subscribes as {', '.join(strangers)}; `digest subscribers list --all` shows who does",
                param_hint="ADDR",
            )

    return each


@subscribers.command()
@_addresses
@click.option(
    "--topic",
    "names",
    metavar="NAME",
    multiple=True,
    help="Only this topic of [[topics]]; may be repeated; * is all of them.",
)
@click.option(
    "--max-papers", metavar="N", type=click.IntRange(0, 1000), help="Papers in a mail; 0 is digest.max_papers."
)
@click.pass_obj
@handle_errors
def add(chosen: App, addresses: tuple[str, ...], names: tuple[str, ...], max_papers: int | None) -> None:
    """Subscribe addresses, or change what they get.

    Who had left or was suspended gets mail again.
    """
    with _desk(chosen) as desk:
        before = [(given, desk.known(given)) for given in addresses]
        topics = _topics(desk, names)
        for given, known in before:
            profile = _changed(desk.people.get(given).profile, topics, max_papers)
            desk.people.add(given, profile)
            chosen.say(_added(given, known[1].state if known else "", profile))


def _topics(desk: _Desk, names: tuple[str, ...]) -> tuple[str, ...] | None:
    """None when nothing was said about topics, () for all of them."""
    try:
        found = tuple(dict.fromkeys(desk.topic(name) for name in names if name != "*"))
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint="--topic") from None
    return None if not names else () if "*" in names else found


def _changed(profile: "Profile", topics: tuple[str, ...] | None, max_papers: int | None) -> "Profile":
    if topics is not None:
        profile = replace(profile, topics=topics or None)
    return profile if max_papers is None else replace(profile, max_papers=max_papers or None)


def _added(given: str, state: str, profile: "Profile") -> str:
    told = {
        "": "Added {}", "dropped": "Added {}", "left": "Added {}, who had left",
        "suspended": "Added {} again, which was suspended", "paused": "Resumed {}",
    }  # fmt: skip
    what = told.get(state, "{} is subscribed").format(given)
    topics = f"topics: {', '.join(profile.topics)}" if profile.topics else "all topics"
    most = f"at most {profile.max_papers} papers" if profile.max_papers else "as many papers as digest.max_papers"
    return f"{what}: {topics}, {most}."


@subscribers.command()
@_addresses
@click.pass_obj
@handle_errors
@_with_each_known
def remove(desk: _Desk, subscriber: "Subscriber", standing: "SubscriberStatus") -> str:
    """No more mail to these addresses.

    Not even if digest.to or an import names them, until they are added again.
    """
    if not desk.people.leave(subscriber, desk.today):
        return f"{subscriber.address} had left before."
    stays = " It may stay in digest.to: no mail goes there until you add it again." if standing.configured else ""
    return f"Removed {subscriber.address}.{stays}"


@subscribers.command()
@_addresses
@click.option(
    "--until",
    metavar="DATE",
    type=DateParam(),
    help="The day of the first mail again (YYYY-MM-DD). [until resumed]",
)
@click.pass_obj
@handle_errors
@_with_each_known
def pause(desk: _Desk, subscriber: "Subscriber", standing: "SubscriberStatus", until: date | None) -> str:
    """No mail to these addresses for a while.

    What they miss waits for them as long as it trends.
    """
    from digest.store.subscribers import FOREVER

    if until and until <= desk.today:
        raise click.BadParameter(f"{until} is not after today, {desk.today}", param_hint="--until")
    if standing.state in ("left", "dropped"):
        return f"{subscriber.address} gets no mail anyway: {standing.why or 'nobody names it any more'}."
    desk.people.pause(subscriber, until or FOREVER)
    return f"Paused {subscriber.address} " + (f"until {until}." if until else "until `digest subscribers resume`.")


@subscribers.command()
@_addresses
@click.pass_obj
@handle_errors
@_with_each_known
def resume(desk: _Desk, subscriber: "Subscriber", standing: "SubscriberStatus") -> str:
    """Mail again to addresses that were paused."""
    desk.people.resume(subscriber)
    if standing.state in ("left", "dropped", "suspended"):
        return f"{subscriber.address} gets no mail: {standing.why or 'nobody names it'}; `digest subscribers add` it."
    return f"{subscriber.address} gets mail again." if standing.paused else f"{subscriber.address} was not paused."


@subscribers.command(name="list")
@click.option("--all", "everyone", is_flag=True, help="Also who has left.")
@click.option("--format", "form", type=_FORMATS, default="table", help="How to write it. [table]")
@click.option("--json", "as_json", is_flag=True, help="The same as --format json: one JSON array.")
@click.pass_obj
@handle_errors
def list_(chosen: App, everyone: bool, form: str, as_json: bool) -> None:
    """Show who receives it, is paused or suspended."""
    from digest.operations.subscriber_files import write_subscribers

    with _desk(chosen) as desk:
        found = (s for s in desk.people.roster(desk.today) if everyone or s.state not in ("left", "dropped"))
        for part in write_subscribers(found, "json" if as_json else form, desk.topics):
            chosen.tell(part, nl=False)


@subscribers.command(name="export")
@click.argument(
    "target", metavar="[FILE]", default="-", type=click.Path(path_type=Path, dir_okay=False, allow_dash=True)
)
@click.option("--format", "form", type=_FORMATS, help="How to write it. [by the name of FILE, else csv]")
@click.pass_obj
@handle_errors
def export_(chosen: App, target: Path, form: str | None) -> None:
    """Write all subscribers to FILE or standard output.

    Those who have left as well. `import` reads it.
    """
    from digest.files import write_file
    from digest.operations.subscriber_files import (
        write_subscribers,
    )

    kind = form or ("json" if target.suffix.lower() == ".json" else "csv")
    with _desk(chosen) as desk:
        parts = write_subscribers(desk.people.roster(desk.today), kind, desk.topics)
        if str(target) == "-":
            for part in parts:
                chosen.tell(part, nl=False)
            return
        try:
            write_file(target, "".join(parts).encode("utf-8"), mode=0o600)  # addresses
        except OSError as problem:
            raise click.BadParameter(f"{target} cannot be written: {problem.strerror}", param_hint="FILE") from None
    chosen.say(f"Wrote {target}")


@subscribers.command(name="import")
@click.argument("source", metavar="FILE", type=click.File("rb"))
@click.pass_obj
@handle_errors
def import_(chosen: App, source: Any) -> None:
    """Subscribe everybody in FILE.

    CSV, JSON or an address a line; - is standard input. Good rows are taken, bad ones named by their line. Who has
    left stays out.
    """
    from digest.errors import ImportRejected
    from digest.operations.subscriber_files import (
        BadRow,
        format_bad_rows,
        format_import,
        read_subscribers,
        split_rows,
    )

    bad: list[BadRow] = []
    with _desk(chosen) as desk:
        rows = read_subscribers(source.read(), desk.topic)
        done = desk.people.take_in(split_rows(rows, bad), desk.today)
        desk.outbox.withdraw(desk.today)
    chosen.say(format_import(done))
    if bad:
        raise ImportRejected(format_bad_rows(bad))
