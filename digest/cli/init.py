"""The command that begins: asks a person at a terminal what cannot be guessed, and writes the first files."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from digest.cli.app import App, handle_errors, main

if TYPE_CHECKING:
    from digest.operations.init import Answer


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", metavar="ADDR", multiple=True, help="Who receives it; may be given several times.")
@click.option("--from", "from_", metavar="ADDR", help="Who the mail is from. [the user name's address]")
@click.option("--host", metavar="HOST", help="The mail server. [known for many providers]")
@click.option("--port", metavar="N", type=int, help="Its port. [what goes with --security]")
@click.option("--security", metavar="starttls|tls|none", help="How it is spoken to. [what goes with --port]")
@click.option("--username", metavar="NAME", help="The user name there. [the first --to]")
@click.option("--timezone", metavar="ZONE", help="Where today begins. [the machine's]")
@click.option("--maildir", metavar="PATH", help="Deliver into this folder instead of to a server.")
@click.pass_obj
@handle_errors
def init(chosen: App, folder: Path, from_: str | None, **options: Any) -> None:
    """Write config.toml and .env, every option explained.

    Into DIR, the current folder by default; overwrites nothing.

    At a terminal it asks for your address and mail server. Elsewhere, options and what follows from them are taken.
    """
    from digest.operations import init
    from digest.operations.timetable import machine_zone

    given: dict[str, Answer] = {o: v for o, v in {**options, "from": from_}.items() if v not in (None, ())}
    refuse(init.mistakes(init.suggested(given, "")))
    begun, asking = init.begun(folder), sys.stdin.isatty() and sys.stdout.isatty()
    zone = init.zone(machine_zone(os.environ))
    answers: dict[str, Answer] = {}
    if not begun and (asking or given):
        answers = asked(given, zone) if asking else init.suggested(given, zone)
        refuse(init.mistakes(answers))
    password = secret(answers) if asking and not (folder / ".env").exists() else ""
    written = init.write(folder, answers, password)
    report(chosen, folder, written, [init.KEYS[o] for o in given] if begun else [])


def refuse(mistakes: dict[str, str]) -> None:
    """End with what is wrong with the options, all of it."""
    if mistakes:
        from digest.errors import ConfigError

        raise ConfigError([f"--{option}: {sentence}" for option, sentence in mistakes.items()])


def asked(given: "dict[str, Answer]", zone: str) -> "dict[str, Answer]":
    """The answers of the person at the terminal; Enter takes what is suggested, and what was given is not asked for."""
    from digest.operations.init import suggested

    known = dict(given)
    click.echo("A few questions; Enter takes what stands in [brackets]. Everything can be changed later.")
    if "to" not in known:
        known |= ask("Your mail address", "", known, readers)
    if not known.keys() & {"host", "maildir"}:
        usual = suggested(known, zone)
        server = f"{usual['host']}:{usual['port']}" if "host" in usual else ""
        known |= ask("Mail server, like smtp.example.org or smtp.example.org:465", server, known, address)
    if not known.keys() & {"username", "maildir"}:
        known |= ask("User name there, - for none", str(suggested(known, zone).get("username") or "-"), known, user)
    if "timezone" not in known:
        known |= ask("Time zone", zone, known, lambda text: {"timezone": text.strip()})
    return suggested(known, zone)


def ask(
    question: str, suggestion: str, known: "dict[str, Answer]", read: "Callable[[str], dict[str, Answer]]"
) -> "dict[str, Answer]":
    """What one question answers, asked again until a configuration can hold it."""
    from digest.operations.init import mistakes, suggested

    def checked(text: str) -> "dict[str, Answer]":
        answers = read(text)
        found = mistakes(suggested({**known, **answers}, "")).items()
        if wrong := [sentence for option, sentence in found if option in answers]:
            raise click.UsageError(wrong[0])
        return answers

    answers: dict[str, Answer] = click.prompt(question, default=suggestion or None, value_proc=checked)
    return answers


def readers(text: str) -> "dict[str, Answer]":
    return {"to": tuple(filter(None, map(str.strip, text.split(",")))) or (text,)}


def address(text: str) -> "dict[str, Answer]":
    """A server with or without a port behind a colon."""
    host, _, port = text.strip().rpartition(":")
    if not host or host.endswith(":") or not port.isdecimal():  # an IPv6 address, or what shall be told as it is
        return {"host": text.strip()}
    return {"host": host, "port": int(port)}


def user(text: str) -> "dict[str, Answer]":
    return {"username": "" if text.strip() == "-" else text.strip()}


def secret(answers: "dict[str, Answer]") -> str:
    """The password for the mail server, typed unseen; '' for somebody who puts it into .env later, or needs none."""
    if "maildir" in answers or answers.get("username") == "":
        return ""
    from digest.operations.init import find_provider

    provider = find_provider(str(answers.get("username")))
    if provider and provider.note and provider.host == answers.get("host"):
        click.echo(f"{provider.host}: {provider.note}.")
    question = "Password (it does not show; Enter to put it into .env later)"
    password: str = click.prompt(question, default="", hide_input=True, show_default=False)
    return password


def report(chosen: App, folder: Path, written: list[Path], unused: list[str]) -> None:
    """Say what was written and what to type next; `unused` are keys that could not be written."""
    config, env = folder / "config.toml", folder / ".env"
    for path in written:
        chosen.report(f"Wrote {path}")
    if unused:
        chosen.report(f"{config} was there already and was not changed; write {', '.join(unused)} into it yourself.")
    elif not written:
        chosen.report("config.toml and .env are there already; nothing was changed.")
    chosen.report(f"See that {config} has your address and mail server, and {env} the password; then type:")
    where = "" if folder == Path() else f"-c {quote(str(config))} "
    chosen.report(f"  digest {where}doctor\n  digest {where}preview --open")
