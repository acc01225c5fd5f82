"""Keep requests apart in time, one at a time, over all threads and processes that share a file."""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import FileIO
from pathlib import Path

from digest.errors import SourceError
from digest.files import open_lock

_PATIENCE = 60.0  # seconds to wait for other processes; a request takes them a few
_POLL = 0.1  # seconds between two attempts to lock the file


class RateLimit:
    """Allows one request at a time, with a pause after each.

    The file at `path` is locked during a request, and then holds the time at which it ended. It is not locked during
    the pause, so that another process can go first. The kernel releases the lock of a process that dies. The time is
    that of the monotonic clock, which starts with the machine, so a time in the future is from before a restart and is
    ignored. Without a `path`, the limit holds for this process only.
    """

    def __init__(self, path: Path | None, sleep: Callable[[float], None]) -> None:
        self._path = path
        self._sleep = sleep
        self._lock = threading.Lock()
        self._last_end = ""  # as in the file: anything may be in there
        self._patience = _PATIENCE

    @contextmanager
    def wait_turn(self, pause: float) -> Iterator[None]:
        """Wait until `pause` seconds after the last request, and hold back others until the block ends.

        A `pause` of 0 means no limit. Raises SourceError if the file cannot be opened, or if another process keeps it
        locked for a minute; then the next call does not wait for that process again.
        """
        if pause <= 0:
            yield
            return
        with self._lock, self._open_file() as file:
            self._wait(file, pause)
            try:
                yield
            finally:
                self._last_end = repr(time.monotonic())
                _write(file, self._last_end)

    def _open_file(self) -> "FileIO | nullcontext[None]":
        if self._path is None:
            return nullcontext()
        try:
            return open_lock(self._path)
        except OSError as error:
            raise SourceError(f"{self._path} cannot be opened: {error.strerror}") from None

    def _wait(self, file: FileIO | None, pause: float) -> None:
        """Wait for a turn, and lock the file."""
        waited, waited_for = 0.0, None
        while True:
            if _try_lock(file):
                self._last_end = _read(file) or self._last_end
                step = _seconds_left(self._last_end, pause)
                if not step or self._last_end == waited_for:
                    self._patience = _PATIENCE
                    return
                waited_for = self._last_end
                _unlock(file)
            elif waited < self._patience:
                step = _POLL
            else:
                self._patience = 0.0
                message = f"another process has kept {self._path} locked for {_PATIENCE:.0f} seconds"
                raise SourceError(f"{message}; end it: `fuser {self._path}` shows which")
            self._sleep(step)
            waited += step


def _seconds_left(last_end: str, pause: float) -> float:
    try:
        elapsed = time.monotonic() - float(last_end)
    except ValueError:
        return 0.0
    return pause - elapsed if 0 <= elapsed < pause else 0.0


# No file stands for one that only this process knows.


def _try_lock(file: FileIO | None) -> bool:
    try:
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(file: FileIO | None) -> None:
    if file is not None:
        fcntl.flock(file, fcntl.LOCK_UN)


def _read(file: FileIO | None) -> str:
    return os.pread(file.fileno(), 40, 0).decode("ascii", "replace") if file is not None else ""


def _write(file: FileIO | None, text: str) -> None:
    with suppress(OSError):  # of a full disk: this process remembers it by itself
        if file is not None:
            file.truncate(0)
            os.pwrite(file.fileno(), text.encode(), 0)
