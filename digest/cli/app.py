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
from shlex import quote
from shutil import which
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from digest import __version__
from digest.cli import streams, terminal
from digest.errors import ConfigError, DigestError, Interrupted
from digest.files import describe_exposed, expand_user, read_text
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
    """The global options, and where output goes. The configuration is read when a command asks for it."""

    def __init__(self, path: Path | None = None, *, quiet: bool = False) -> None:
        self.path = path
        self.quiet = quiet
        self.verbose = False
        self.log_format = "text"
        self.redactor = Redactor()

    def start_logging(self) -> None:
        """Log to standard error, as the options say."""
        handler = Handler(self.log_format, self.redactor)
        if self.log_format == "text" and sys.stderr.isatty():
            handler.setFormatter(terminal.TerminalFormatter(self.redactor, sys.stderr))
        logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
        log.setLevel(logging.WARNING if self.quiet else logging.DEBUG if self.verbose else logging.INFO)

    def config(self, other: Path | None = None, shard: "Shard | None" = None, *, warn: bool = True) -> "Config":
        """The configuration, or that in the file `other`, with secrets from .env and the environment.

        `shard` is the one that the command line names. With `warn`, a .env that others can read is a warning.

        Its secrets are redacted from now on. Raises ConfigError.
        """
        from digest.config import load

        path = expand_user(other) if other else self.find_config()
        environ = {**self.read_env(path), **os.environ}
        if warn:
            warn_about_env(path.parent / ".env")
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
        """The first of -c, $DIGEST_CONFIG, ./config.toml and ~/.config/digest/config.toml. Raises ConfigError.

        $XDG_CONFIG_HOME takes the place of ~/.config, if it is an absolute path
        (https://specifications.freedesktop.org/basedir-spec/latest/).
        """
        if named := self.path or os.environ.get("DIGEST_CONFIG"):
            return expand_user(Path(named))
        given = Path(os.environ.get("XDG_CONFIG_HOME", ""))
        user = given if given.is_absolute() else home() / ".config"
        places = (Path("config.toml"), user / "digest/config.toml")
        found = next((place for place in places if _exists(place)), None)
        if found is None:
            shown = places[1] if given.is_absolute() else "~/.config/digest/config.toml"
            problem = f"no configuration found: neither ./config.toml nor {shown} exists"
            raise ConfigError([f"{problem}; create one with `digest init`, or try `digest demo`"])
        return found

    @property
    def screen(self) -> TextIO | None:
        """Where progress is shown; nowhere with -q."""
        return None if self.quiet else sys.stderr

    @property
    def width(self) -> int:
        """Columns for a table on standard output; 0 for no limit."""
        return terminal.columns(sys.stdout)

    # Standard output. Secrets are redacted in messages only: a word of an export may be somebody's password, too.

    def report(self, message: str) -> None:
        """Say what was done; nothing with -q."""
        if not self.quiet:
            terminal.echo(self.redactor.redact(message), sys.stdout)

    def warn(self, message: str) -> None:
        """Say on standard error what is odd about what was asked for."""
        if self.log_format == "json":
            log.warning("note", {"why": message})
        else:
            terminal.echo(self.redactor.redact(message), sys.stderr)

    def show(self, text: str, styles: terminal.Styles = ()) -> None:
        """Print what was asked for."""
        terminal.echo(text, sys.stdout, styles)

    def show_json(self, document: Any) -> None:
        """Print one JSON document. What is escaped in it stays the same document."""
        click.echo(escape(json.dumps(document, ensure_ascii=False, indent=2)))

    def write(self, data: str | bytes) -> None:
        """Write what was asked for as it is, text in UTF-8."""
        click.echo(data.encode() if isinstance(data, str) else data, nl=False)


def warn_about_env(env: Path) -> None:
    """Warn if other users can access a .env, in the words of `digest doctor`."""
    if env.is_file() and (exposed := describe_exposed([env.absolute()])):
        log.warning("secrets exposed", {"why": exposed})


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


def typed_program() -> str:
    """What starts this digest when it is typed in the current folder: `digest` only if the shell finds this one."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{quote(sys.executable)} -m digest"
    found = which("digest")
    if called.name != "digest" or (found and called.exists() and called.samefile(found)):
        return "digest"
    return quote(str(called))


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
        except Exception as error:  # a bug: nothing is above this but Python
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
    terminal.echo(app.redactor.redact(message) if app else message, sys.stderr, terminal.ERROR)


# The options of every command, which may stand before or after it: spellings, and what click needs to know.
_GLOBAL_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("-c", "--config"),
        {
            "type": click.Path(path_type=Path, readable=False),
            "help": "Configuration file. [$DIGEST_CONFIG, ./config.toml, ~/.config/digest/config.toml]",
        },
    ),
    (("-v", "--verbose"), {"is_flag": True, "help": "Print more on standard error."}),
    (("-q", "--quiet"), {"is_flag": True, "help": "Only print problems."}),
    (
        ("--log-format",),
        {"type": click.Choice(tuple(Handler.formats)), "help": "Log lines for people, or JSON. [text]"},
    ),
)
_ATTRIBUTES = {"--config": "path", "--verbose": "verbose", "--quiet": "quiet", "--log-format": "log_format"}


class GlobalOptions(click.Command):
    """A command that takes the global options, too; only the help of the program lists them."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {spelling for param in own for spelling in param.opts}
        return [*_global_options(taken, hidden=ctx.parent is not None), *own]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        if ctx.parent is not None and not isinstance(self, click.Group):
            formatter.write_paragraph()
            formatter.write_text("-c FILE, -v, -q and --log-format may follow, too: see `digest --help`.")


def _global_options(taken: set[str], *, hidden: bool) -> Iterator[click.Option]:
    """Make the global options, without the spellings that a command uses for its own."""
    for spellings, settings in _GLOBAL_OPTIONS:
        free = [spelling for spelling in spellings if spelling not in taken]
        attribute = _ATTRIBUTES[spellings[-1]]
        yield click.Option(
            [f"global_{attribute}", *free], hidden=hidden, expose_value=False, callback=_set_option, **settings
        )


def _set_option(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Keep what was given; an option that is not given changes nothing that was given before the command."""
    if value:
        app = ctx.ensure_object(App)
        setattr(app, str(param.name).removeprefix("global_"), value)
        app.start_logging()


class Commands(GlobalOptions, click.Group):
    """The command as a process, with standard streams that work even if the shell closed them."""

    command_class = GlobalOptions
    group_class = type

    def main(self, *args: Any, **kwargs: Any) -> Any:
        streams.repair()
        try:
            if sys.platform == "win32":
                raise ConfigError(["Windows is not supported; run digest in WSL (Windows Subsystem for Linux)"])
            return super().main(*args, **kwargs)
        except DigestError as error:  # also of printing a help text, which no command does
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
        terminal.echo(text.getvalue(), sys.stderr, terminal.ERROR, nl=False)
        sys.exit(error.exit_code)


date_option = click.option("--date", "day", type=DateParam(), help="Run as if this day (YYYY-MM-DD) were today.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="digest")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Get trending papers in your email inbox once a day.

    Start with `digest demo`: it needs no network, account or configuration. Then `digest init`.
    """
    ctx.ensure_object(App).start_logging()
