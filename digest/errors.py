"""The expected failures, each with its exit code. Any other exception is a bug and ends in exit code 1.

DigestError
├── OutputError        1   standard output cannot be written to
├── Interrupted      130   Ctrl-C
├── ConfigError        2   the configuration, a template or a file named on the command line cannot be used
├── PaperNotFound      2   no recorded paper has the given name, or several titles begin with it
├── UnknownSubscriber  2   no subscriber has the address given with --to
├── RowsRejected       2   some rows of an import are invalid; the valid ones were imported
├── ScheduleError      2   the crontab or the timers cannot be read or written; nothing was changed
├── ChecksFailed       2   `digest doctor` found a problem that keeps a run from working
├── MailPruned         2   `digest prune` has deleted the text of that mail
├── NoSourceReadable   3   no source could be read; the next run tries again
├── HistoryError       3   the database cannot be used
├── MailDamaged        3   the text of that mail is missing from the database, or was changed there
├── InboxError         3   the mailbox with the replies cannot be read
├── Undelivered        4   some mail is still in the outbox
├── Unpublished        4   the archive could not be written; the next run writes it
├── AlreadyRunning     5   another run holds the lock
└── SourceError            a source's answer cannot be read: kept in `Fetched`, never ends the program
    └── TemporaryError     the same request may succeed in a moment
        └── Unreachable    there is no connection to the server
"""

from collections.abc import Sequence


class DigestError(Exception):
    """An expected failure. Its text is shown to the user: "what is wrong; what to do"."""

    exit_code = 1


class OutputError(DigestError):
    exit_code = 1


class Interrupted(DigestError):
    exit_code = 130  # 128 + the number of SIGINT, as in shells

    def __init__(self) -> None:
        super().__init__("interrupted; you can safely run the command again")


class ConfigError(DigestError):
    """Every problem found, one message each; `where` names the file that they are in."""

    exit_code = 2

    def __init__(self, problems: Sequence[str], where: str = "") -> None:
        self.problems = tuple(problems)
        self.where = where
        super().__init__("\n".join([f"{where} cannot be used:" if where else "", *self.problems]).strip())


class PaperNotFound(DigestError):
    exit_code = 2

    def __init__(self, name: str, titles: Sequence[str] = ()) -> None:
        """`titles` are some of those that begin with `name`, if several do."""
        short = name if len(name) <= 100 else f"{name[:99]}…"
        if titles:
            more = "\n".join(f"  {title}" for title in titles)
            super().__init__(f"several titles begin with {short!r}; write more of the one you mean:\n{more}")
        else:
            super().__init__(f"no paper found for {short!r}; find its name with `digest search`")


class UnknownSubscriber(DigestError):
    exit_code = 2

    def __init__(self, address: str) -> None:
        add = f"`digest subscribers add {address}` subscribes it"
        super().__init__(f"{address} is not a subscriber; `digest subscribers list` shows who is, {add}")


class RowsRejected(DigestError):
    """What is wrong with each invalid row of an import, a line each."""

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


class MailDamaged(DigestError):
    exit_code = 3


class InboxError(DigestError):
    exit_code = 3


class Undelivered(DigestError):
    exit_code = 4


class Unpublished(DigestError):
    exit_code = 4


class AlreadyRunning(DigestError):
    exit_code = 5


class SourceError(DigestError):
    """An answer that is not in the format of the source."""


class TemporaryError(SourceError):
    """A failure that may be gone in a moment; `wait` is the pause in seconds that the service asked for, if any."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Unreachable(TemporaryError):
    """The name of a server cannot be resolved, or there is no connection to it."""
