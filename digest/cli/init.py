"""The `init` command: ask for what cannot be guessed, and write the first files."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from digest.cli import terminal
from digest.cli.app import App, handle_errors, main, warn_about_env

if TYPE_CHECKING:
    from digest.operations.init import Answer


@main.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path, file_okay=False))
@click.option("--to", metavar="ADDR", multiple=True, help="Subscriber's address; repeat for several.")
@click.option("--from", "from_", metavar="ADDR", help="Sender (default: the user name, or --to).")
@click.option("--host", metavar="HOST", help="Mail server (default: that of your provider).")
@click.option("--port", metavar="N", type=int, help="Port (default: the usual one for --security).")
@click.option("--security", metavar="starttls|tls|none", help="Encryption (default: the usual one for --port).")
@click.option("--username", metavar="NAME", help="User name (default: the first --to).")
@click.option("--timezone", metavar="ZONE", help="Time zone (default: that of this machine).")
@click.option("--maildir", metavar="PATH", help="Local folder to deliver to instead of a server.")
@click.option("--interest", metavar="TEXT", multiple=True, help="Phrase that interests you; repeat for several.")
@click.option("--category", metavar="NAME", multiple=True, help="arXiv category, like cs.LG; repeat for several.")
@click.option("--library", metavar="FILE", multiple=True, help="Papers you like: a .bib or .ris file.")
@click.pass_obj
@handle_errors
def init(app: App, folder: Path, from_: str | None, **options: Any) -> None:
    """Create config.toml and .env, with every option explained.

    They are created in DIR, by default the current folder. Existing files are never overwritten.

    On a terminal, it asks for your address, mail server and interests. Elsewhere, it uses the options and their
    defaults.
    """
    from digest.operations import init
    from digest.operations.timetable import machine_zone

    given: dict[str, Answer] = {o: v for o, v in {**options, "from": from_}.items() if v not in (None, ())}
    check_options(init.find_problems(init.add_defaults(given, "")))
    configured, interactive = init.has_config(folder), sys.stdin.isatty() and sys.stdout.isatty()
    zone = init.zone_name(machine_zone(os.environ))
    answers: dict[str, Answer] = {}
    if not configured and (interactive or given):
        answers = ask_questions(given, zone) if interactive else init.add_defaults(given, zone)
        check_options(init.find_problems(answers))
    password = ask_password(answers) if interactive and not (folder / ".env").exists() else ""
    warn_about_env(folder / ".env")
    written = init.write(folder, answers, password)
    ignored = [init.KEYS[option] for option in given] if configured else []
    print_next_step(app, folder, written, ignored, complete=bool(password) or not needs_password(answers))


def check_options(problems: dict[str, str]) -> None:
    """Raise ConfigError with all problems, if there are any."""
    if problems:
        from digest.errors import ConfigError

        raise ConfigError([f"--{option}: {message}" for option, message in problems.items()])


def ask_questions(given: "dict[str, Answer]", zone: str) -> "dict[str, Answer]":
    """Ask for all that was not given as an option, and add the defaults for the rest."""
    from digest.operations.init import INTERESTS, add_defaults, split_interests

    known = dict(given)
    tell("A few questions. Press Enter to accept the default in [brackets]; you can change everything later.")
    if "to" not in known:
        known |= ask("Your email address", "", known, parse_addresses)
    if not known.keys() & {"host", "maildir"}:
        usual = add_defaults(known, zone)
        server = f"{usual['host']}:{usual['port']}" if "host" in usual else ""
        question = "Mail server" if server else "Mail server, like smtp.example.org or smtp.example.org:465"
        known |= ask(question, server, known, parse_server)
    if not known.keys() & {"username", "maildir"}:
        username = str(add_defaults(known, zone).get("username") or "-")
        known |= ask("User name on the mail server (- for none)", username, known, parse_username)
    if "timezone" not in known:
        known |= ask("Time zone", zone, known, lambda text: {"timezone": text.strip()})
    if not known.keys() & set(INTERESTS):
        tell(
            "Papers on your interests come first in the mail. Write phrases, arXiv categories or a .bib file, with"
            " commas between them, like: diffusion models, cs.LG. Press Enter to skip."
        )
        known |= ask("Your interests", "", known, split_interests, optional=True)
    return add_defaults(known, zone)


def tell(text: str) -> None:
    """Print something to know before a question."""
    terminal.echo(text, sys.stdout)


def ask(
    question: str,
    default: str,
    known: "dict[str, Answer]",
    parse: "Callable[[str], dict[str, Answer]]",
    *,
    optional: bool = False,
) -> "dict[str, Answer]":
    """Ask one question until the answer is valid; an `optional` one may be left empty."""
    from digest.operations.init import add_defaults, find_problems

    def check(text: str) -> "dict[str, Answer]":
        answers = parse(text)
        problems = find_problems(add_defaults({**known, **answers}, "")).items()
        if messages := [message for option, message in problems if option in answers]:
            prefix = "Error: "  # which click puts before it
            text = f"it {messages[0]}" if messages[0].startswith("must ") else messages[0]
            raise click.UsageError(terminal.fit(prefix + text, terminal.columns(sys.stdout)).removeprefix(prefix))
        return answers

    answers: dict[str, Answer] = click.prompt(
        question, default="" if optional else default or None, value_proc=check, show_default=not optional
    )
    return answers


def parse_addresses(text: str) -> "dict[str, Answer]":
    return {"to": tuple(filter(None, map(str.strip, text.split(",")))) or (text,)}


def parse_server(text: str) -> "dict[str, Answer]":
    """Split `host` or `host:port`."""
    host, _, port = text.strip().rpartition(":")
    if not host or host.endswith(":") or not port.isdecimal():  # no port, an IPv6 address, or an invalid name
        return {"host": text.strip()}
    return {"host": host, "port": int(port)}


def parse_username(text: str) -> "dict[str, Answer]":
    return {"username": "" if text.strip() == "-" else text.strip()}


def needs_password(answers: "dict[str, Answer]") -> bool:
    return "maildir" not in answers and answers.get("username") != ""


def ask_password(answers: "dict[str, Answer]") -> str:
    """Ask for the password of the mail server; "" if it is skipped or not needed."""
    if not needs_password(answers):
        return ""
    from digest.delivery.providers import provider_of_server

    provider = provider_of_server(str(answers.get("host")))
    if provider and provider.note:
        tell(provider.note)
    question = "Password (hidden; press Enter to skip)"
    password: str = click.prompt(question, default="", hide_input=True, show_default=False)
    return password


def print_next_step(app: App, folder: Path, written: list[Path], ignored: list[str], *, complete: bool) -> None:
    """Print what was written and the command to run next.

    `ignored` are keys that were given for an existing config.toml; `complete` is whether all questions were answered.
    """
    config, env = folder / "config.toml", folder / ".env"
    for path in written:
        app.report(f"Wrote {path}")
    if ignored:
        app.report(f"{config} exists and was not changed; set {', '.join(ignored)} in it yourself.")
    elif not written:
        app.report("config.toml and .env exist already; nothing was changed.")
    where = "" if folder == Path() else f"-c {quote(str(config))} "
    next_step = "Next, check that everything works:"
    if not complete:
        next_step = f"Put your address and mail server into {config} and the password into {env}, then check them:"
    app.report(f"{next_step}\n\n  digest {where}doctor")
