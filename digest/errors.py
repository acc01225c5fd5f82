"""The failures that are expected, each with the exit code it ends in.

    DigestError
    ├── Unprinted          1   standard output cannot be written
    ├── Stopped          130   Ctrl-C
    ├── ConfigError        2   the configuration or an override of a template; every problem at once
    ├── Unknown            2   no paper goes by the name that was given
    ├── BadRows            2   some rows of an import could not be taken; the others were
    ├── ScheduleError      2   the crontab or the timers cannot be read or written; nothing was changed
    ├── Unwell             2   an examination found what must be mended
    ├── Pruned             2   the text of that mail was removed by `digest prune`
    ├── NothingReadable    3   no source could be read; the day stays open for the next run
    ├── HistoryError       3   the database cannot be used
    ├── InboxError         3   the mailbox of answers cannot be read
    ├── Undelivered        4   some mail is still in the outbox
    ├── Busy               5   another run holds the lock
    └── SourceError            one answer of one source cannot be read: a value in `Fetched`, never an exit
        └── Passing            … and may be readable in a moment

Anything else is a bug and ends in exit code 1.
"""

from collections.abc import Sequence


class DigestError(Exception):
    """An expected failure; its text is a sentence for the person at the terminal."""

    exit_code = 1


class OutputError(DigestError):
    exit_code = 1


class Interrupted(DigestError):
    exit_code = 130  # 128 and the number of SIGINT, as shells count

    def __init__(self) -> None:
        super().__init__("stopped; what was done so far is kept, and doing it again is safe")


class ConfigError(DigestError):
    """What is wrong with the configuration: all of it, one sentence a problem."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], where: str = "") -> None:
        self.problems = tuple(problems)
        self.where = where
        super().__init__("\n".join([f"{where} cannot be used:" if where else "", *self.problems]).strip())


class PaperNotFound(DigestError):
    exit_code = 2

    def __init__(self, name: str) -> None:
        short = name if len(name) <= 100 else f"{name[:99]}…"
        super().__init__(
            f"no paper that goes by {short!r} was ever recorded; `digest search` finds papers by their words"
        )


class ImportRejected(DigestError):
    """What is wrong with some rows of an import: a sentence each."""

    exit_code = 2


class ScheduleError(DigestError):
    exit_code = 2


class ChecksFailed(DigestError):
    exit_code = 2


class MailPruned(DigestError):
    exit_code = 2


class NoSourceReadable(DigestError):
    exit_code = 3


class HistoryError(DigestError):
    exit_code = 3


class InboxError(DigestError):
    exit_code = 3


class Undelivered(DigestError):
    exit_code = 4


class AlreadyRunning(DigestError):
    exit_code = 5


class SourceError(DigestError):
    """An answer that is not what the service promised."""


class TemporaryError(SourceError):
    """A failure that may be gone in a moment; `wait` is how many seconds the service asked for, if it did."""

    def __init__(self, sentence: str, wait: float | None = None) -> None:
        super().__init__(sentence)
        self.wait = wait
