"""What every command shares: the global options, the configuration, today, parameter types, and error handling."""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from digest import __version__
from digest.cli import streams
from digest.errors import ConfigError, DigestError, Interrupted
from digest.files import expand_user, read_text
from digest.logs import Handler, Redactor, escape

if TYPE_CHECKING:
    from digest.config import Config
    from digest.mail.shard import Shard
    from digest.operations.schedule import ScheduledRun

log = logging.getLogger("digest")

SECRETS = ("DIGEST_SMTP_PASSWORD", "DIGEST_INBOX_PASSWORD", "HF_TOKEN")

_MAX_ENV_BYTES = 64 * 1024  # a value with 64,000 spaces takes dotenv 3 seconds, one with a million an hour
_MAX_WARNINGS = 5  # about lines of .env


_DATES = date(2000, 1, 1), date(2100, 12, 31)  # far from where counting days or converting time zones overflows


class DateParam(click.ParamType[date]):
    """A date as YYYY-MM-DD, from 2000 to 2100."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            given = date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write one like 2026-04-20", param, ctx)
        first, last = _DATES
        if not first <= given <= last:
            self.fail(f"{value!r} must be between {first} and {last}", param, ctx)
        return given


class AddressParam(click.ParamType[str]):
    """A mail address, with or without a name before it."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from digest.mail.address import parse_mailbox

        try:
            return parse_mailbox(value).address
        except ValueError as error:
            self.fail(f"{value!r} {error}; write one like you@example.org", param, ctx)


class ShardParam(click.ParamType["Shard"]):
    """A shard as 3/8."""

    name = "shard"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Shard":
        from digest.mail.shard import Shard

        try:
            return Shard.parse(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


class App:
    """The global options. The configuration is read when a command asks for it."""

    def __init__(
        self, path: Path | None, *, quiet: bool, redactor: Redactor | None = None, log_format: str = "text"
    ) -> None:
        self._path = path
        self.log_format = log_format
        self.quiet = quiet
        self.redactor = redactor or Redactor()

    def config(self, other: Path | None = None, shard: "Shard | None" = None) -> "Config":
        """The configuration, or that in the file `other`, with secrets from .env and the environment.

        `shard` is the one that the command line names.

        Its secrets are redacted from now on. Raises ConfigError.
        """
        from digest.config import load

        path = expand_user(other) if other else self.find_config()
        environ = {**self.read_env(path), **os.environ}
        self.redactor.add(*(environ.get(name, "") for name in SECRETS))
        config = load(path, environ, shard)
        self.redactor.add(config.notify.ping)
        return config

    def read_env(self, path: Path) -> dict[str, str]:
        """The .env beside the configuration at `path`. Raises ConfigError when it cannot be read."""
        from dotenv.parser import parse_stream  # not dotenv_values: it names neither the file nor what is wrong

        env = path.parent / ".env"
        try:
            lines = list(parse_stream(StringIO(read_text(env, _MAX_ENV_BYTES)))) if env.exists() else []
            for number in [line.original.line for line in lines if line.error][:_MAX_WARNINGS]:
                log.warning(
                    "line ignored", {"file": str(env.absolute()), "line": number, "why": "it is not NAME=value"}
                )
            return {line.key: line.value for line in lines if line.key and line.value is not None}
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError([f"{env} cannot be read: {reason}"]) from None

    def find_config(self) -> Path:
        """The first of -c, $DIGEST_CONFIG, ./config.toml and ~/.config/digest/config.toml. Raises ConfigError."""
        if named := self._path or os.environ.get("DIGEST_CONFIG"):
            return expand_user(Path(named))
        places = (Path("config.toml"), home() / ".config/digest/config.toml")
        found = next((place for place in places if _exists(place)), None)
        if found is None:
            problem = "no configuration found: neither ./config.toml nor ~/.config/digest/config.toml exists"
            raise ConfigError([f"{problem}; create one with `digest init`, or try `digest demo`"])
        return found

    @property
    def screen(self) -> TextIO | None:
        """Where progress is shown; nowhere with -q."""
        return None if self.quiet else sys.stderr

    # Standard output. Secrets are redacted in messages only: a word of an export may be somebody's password, too.

    def report(self, message: str) -> None:
        """Say what was done; nothing with -q."""
        if not self.quiet:
            click.echo(escape(self.redactor.redact(message)))

    def show(self, text: str, *, nl: bool = True) -> None:
        """Print what was asked for; a JSON document stays the same document."""
        click.echo(escape(text), nl=nl)

    def show_json(self, document: Any) -> None:
        self.show(json.dumps(document, ensure_ascii=False, indent=2))

    def write(self, data: str | bytes) -> None:
        """Write what was asked for as it is, text in UTF-8."""
        click.echo(data.encode() if isinstance(data, str) else data, nl=False)


def clock(config: "Config", day: date | None) -> tuple[date, Callable[[], datetime]]:
    """Today in the digest's time zone, or `day` in its place, and a clock that agrees with it."""
    zone = config.digest.timezone
    chosen = day or datetime.now(zone).date()

    def now() -> datetime:
        return datetime.combine(chosen, datetime.now(zone).timetz()) if day else datetime.now(zone)

    return chosen, now


def home() -> Path:
    """The home folder; a folder that does not exist for users without one, as in some containers."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _exists(path: Path) -> bool:
    """Whether the file exists. A file in the current folder that cannot be accessed counts, and is reported later."""
    try:
        return path.is_file()
    except OSError:
        return not path.is_absolute()


def scheduled(config: "Config") -> "list[ScheduledRun]":
    """The scheduled runs of this configuration."""
    from digest.operations.schedule import find_scheduled_runs
    from digest.operations.timetable import machine_zone

    _, now = clock(config, None)
    return find_scheduled_runs(config.path, now(), home(), machine_zone(os.environ), os.environ)


def machine_time() -> datetime:
    """Now, in the time zone of this machine, which cron uses."""
    return datetime.now().astimezone()


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a command raises into a message and an exit code."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except DigestError as error:
            _end(error)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except click.Abort:  # Ctrl-C or the end of the input at a question
            _end(Interrupted(), below=True)
        except KeyboardInterrupt:
            _print_error(str(Interrupted()), below=True)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)  # so that a shell's loop ends too, and no thread is waited for
        except Exception as error:
            log.debug("traceback", exc_info=True)
            _print_error(f"unexpected error ({type(error).__name__}: {error}); -v shows the traceback")
            sys.exit(1)

    return guarded


def _end(error: DigestError, *, below: bool = False) -> NoReturn:
    """End with a message on standard error and an exit code."""
    _print_error(str(error), below=below)
    sys.exit(error.exit_code)


def _print_error(message: str, *, below: bool = False) -> None:
    """Print an error on standard error, redacted; `below` what a terminal's current line shows.

    With --log-format json it is a line of the log, so that everything on standard error can be parsed.
    """
    context = click.get_current_context(silent=True)
    app = context and context.find_object(App)
    if app and app.log_format == "json":
        log.error("ended", {"why": message})
        return
    if below and sys.stderr.isatty():
        click.echo(err=True)
    message = f"digest: {message}"
    click.echo(escape(app.redactor.redact(message) if app else message), err=True)


class Commands(click.Group):
    """The command as a process, with standard streams that work even if the shell closed them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        streams.repair()
        try:
            return super().main(*args, **kwargs)
        except DigestError as error:  # of printing a help text, which no command does
            _end(error)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        with _escaped_usage_errors():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        with _escaped_usage_errors():
            return super().invoke(ctx)


@contextmanager
def _escaped_usage_errors() -> Iterator[None]:
    """End with what click prints about a wrong command line, which quotes it."""
    try:
        yield
    except click.ClickException as error:
        text = StringIO()
        error.show(text)
        click.echo(escape(text.getvalue()), err=True, nl=False)
        sys.exit(error.exit_code)


date_option = click.option("--date", "day", type=DateParam(), help="Run as if this day (YYYY-MM-DD) were today.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, readable=False),
    help="Configuration file. [$DIGEST_CONFIG, ./config.toml, ~/.config/digest/config.toml]",
)
@click.option("-v", "--verbose", is_flag=True, help="Print more on standard error.")
@click.option("-q", "--quiet", is_flag=True, help="Only print problems.")
@click.option(
    "--log-format",
    type=click.Choice(tuple(Handler.formats)),
    default="text",
    help="Log lines for people, or JSON. [text]",
)
@click.version_option(__version__, prog_name="digest")
@click.pass_context
def main(ctx: click.Context, path: Path | None, verbose: bool, quiet: bool, log_format: str) -> None:
    """Get trending papers in your email inbox once a day.

    Start with `digest demo`: it needs no network, account or configuration. Then `digest init`.
    """
    redactor = Redactor()
    logging.basicConfig(level=logging.WARNING, handlers=[Handler(log_format, redactor)], force=True)
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    ctx.obj = App(path, quiet=quiet, redactor=redactor, log_format=log_format)
