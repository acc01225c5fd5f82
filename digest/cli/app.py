"""What every command stands on: the options before it, its configuration, today, and how a failure ends."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click

from digest import __version__
from digest.cli import streams
from digest.errors import ConfigError, DigestError, Interrupted
from digest.logs import Handler, Redactor

if TYPE_CHECKING:
    from digest.config import Config
    from digest.operations.schedule import ScheduledRun

log = logging.getLogger("digest")

SECRETS = ("DIGEST_SMTP_PASSWORD", "DIGEST_INBOX_PASSWORD", "HF_TOKEN")


class DateParam(click.ParamType[date]):
    """A date as YYYY-MM-DD."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a date; write one like 2026-04-20", param, ctx)


class App:
    """What the options before the command say; the configuration is read when a command asks for it."""

    def __init__(
        self, path: Path | None, verbose: bool, quiet: bool, veil: Redactor | None = None, log_format: str = "text"
    ) -> None:
        self._path = path
        self.log_format = log_format
        self.verbose = verbose
        self.quiet = quiet
        self.veil = veil or Redactor()

    def config(self) -> "Config":
        from digest.config import load

        path = self.find()
        environ = {**self.kept(path), **os.environ}
        self.veil.hide(*(environ.get(name, "") for name in SECRETS))
        config = load(path, environ)
        self.veil.hide(config.notify.ping)
        return config

    def kept(self, path: Path) -> dict[str, str]:
        """What the .env beside the configuration at `path` holds. Raises ConfigError when it cannot be read."""
        from dotenv.parser import parse_stream  # not dotenv_values: it names neither the file nor what is wrong

        env = path.parent / ".env"
        try:
            found = list(parse_stream(StringIO(env.read_text(encoding="utf-8-sig")))) if env.exists() else []
            for line in (one.original.line for one in found if one.error):
                log.warning("not read", {"file": str(env.absolute()), "line": line, "why": "it is not NAME=value"})
            return {one.key: one.value for one in found if one.key and one.value is not None}
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError([f"{env} cannot be read: {reason}"]) from None

    def find(self) -> Path:
        """The first that is there of -c, $DIGEST_CONFIG, ./config.toml and ~/.config/digest/config.toml."""
        if named := self._path or os.environ.get("DIGEST_CONFIG"):
            return Path(named).expanduser()
        places = (Path("config.toml"), home() / ".config/digest/config.toml")
        found = next((place for place in places if _there(place)), None)
        if found is None:
            raise ConfigError(
                [
                    "there is no config.toml here, nor ~/.config/digest/config.toml;"
                    " `digest init` writes one, `digest demo` needs none"
                ]
            )
        return found

    @property
    def screen(self) -> TextIO | None:
        """Where progress is shown; nowhere with -q."""
        return None if self.quiet else sys.stderr

    def say(self, text: str) -> None:
        """What was done, on standard output; nothing with -q."""
        if not self.quiet:
            self.tell(text)

    def tell(self, text: str, *, nl: bool = True) -> None:
        """What was asked for, on standard output, -q or not; without secrets, whoever put them there."""
        click.echo(self.veil.over(text), nl=nl)


def clock(config: "Config", day: date | None) -> tuple[date, Callable[[], datetime]]:
    """Today in the digest's time zone, or `day` in its place, and a clock that agrees with it."""
    zone = config.digest.timezone
    chosen = day or datetime.now(zone).date()

    def now() -> datetime:
        return datetime.combine(chosen, datetime.now(zone).timetz()) if day else datetime.now(zone)

    return chosen, now


def home() -> Path:
    """Your home folder; who has none, like a number without a name in a container, has nothing there."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def _there(path: Path) -> bool:
    """Whether there is something to read, or to complain about: what may not be looked at elsewhere is not ours."""
    try:
        return path.is_file()
    except OSError:
        return not path.is_absolute()


def scheduled(config: "Config") -> "list[ScheduledRun]":
    """What runs this configuration by itself."""
    from digest.operations.schedule import find_scheduled_runs
    from digest.operations.timetable import machine_zone

    _, now = clock(config, None)
    return find_scheduled_runs(config.path, now(), home(), machine_zone(os.environ), os.environ)


def machine_time() -> datetime:
    """Now, in the time zone of this machine: the one that cron goes by."""
    return datetime.now().astimezone()


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turns what a command raises into a sentence and an exit code."""

    @wraps(command)
    def guarded(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except DigestError as problem:
            _end(problem)
        except (click.exceptions.Exit, click.ClickException):
            raise
        except click.Abort:  # Ctrl-C or the end of the input at a question
            _end(Interrupted(), below=True)
        except KeyboardInterrupt:
            _print_error(str(Interrupted()), below=True)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGINT)  # so that a shell's loop ends too, and no thread is waited for
        except Exception as problem:
            log.debug("traceback", exc_info=True)
            words = f"{type(problem).__name__}: {problem}"
            _print_error(f"this should not have happened ({words}); -v shows where")
            sys.exit(1)

    return guarded


def _end(problem: DigestError, *, below: bool = False) -> NoReturn:
    """End with a sentence on standard error and an exit code."""
    _print_error(str(problem), below=below)
    sys.exit(problem.exit_code)


def _print_error(sentence: str, *, below: bool = False) -> None:
    """Say on standard error what went wrong, and no secret with it; `below` what stands in a terminal's line now.

    Where the log is for machines, it is a line of the log: all that a command writes there can be parsed.
    """
    context = click.get_current_context(silent=True)
    chosen = context and context.find_object(App)
    if chosen and chosen.log_format == "json":
        log.error("ended", {"why": sentence})
        return
    if below and sys.stderr.isatty():
        click.echo(err=True)
    sentence = f"digest: {sentence}"
    click.echo(chosen.veil.over(sentence) if chosen else sentence, err=True)


class Commands(click.Group):
    """The command as a process: with streams that hold, whatever the shell has done to them."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        streams.settle()
        try:
            return super().main(*args, **kwargs)
        except DigestError as problem:  # of printing a help text, which no command does
            _end(problem)


date_option = click.option("--date", "day", type=DateParam(), help="Run as if this day (YYYY-MM-DD) were today.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-c",
    "--config",
    "path",
    type=click.Path(path_type=Path, readable=False),
    help="The configuration. [$DIGEST_CONFIG, ./config.toml, ~/.config/digest/config.toml]",
)
@click.option("-v", "--verbose", is_flag=True, help="Say more on standard error.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but trouble.")
@click.option(
    "--log-format",
    type=click.Choice(tuple(Handler.forms)),
    default="text",
    help="Log lines for people, or JSON. [text]",
)
@click.version_option(__version__, prog_name="digest")
@click.pass_context
def main(ctx: click.Context, path: Path | None, verbose: bool, quiet: bool, log_format: str) -> None:
    """Get trending papers in your email inbox once a day.

    Try `digest demo` first: it needs no network, account or configuration. Then `digest init`.
    """
    veil = Redactor()
    logging.basicConfig(level=logging.WARNING, handlers=[Handler(log_format, veil)], force=True)
    log.setLevel(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)
    ctx.obj = App(path, verbose, quiet, veil, log_format)
