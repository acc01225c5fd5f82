"""Keep requests apart in time, one at a time, over all threads and processes that share a file."""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from digest.errors import SourceError


class RateLimit:
    """Allows one request at a time, with a pause after each.

    The file at `path` is locked during a request, and then holds the time at which it ended. The kernel releases the
    lock of a process that dies. The time is that of the monotonic clock, which starts with the machine, so a time in
    the future is from before a restart and is ignored. Without a `path`, the limit holds for this process only.
    """

    def __init__(self, path: Path | None, sleep: Callable[[float], None]) -> None:
        self._path = path
        self._sleep = sleep
        self._lock = threading.Lock()
        self._last_end = ""  # as in the file: anything may be in there

    @contextmanager
    def wait_turn(self, pause: float) -> Iterator[None]:
        """Wait until `pause` seconds after the last request, and hold back others until the block ends.

        A `pause` of 0 means no limit. Raises SourceError if the file cannot be opened.
        """
        if pause <= 0:
            yield
            return
        with self._lock, self._locked_file():
            self._wait(pause)
            try:
                yield
            finally:
                self._last_end = repr(time.monotonic())

    def _wait(self, pause: float) -> None:
        try:
            elapsed = time.monotonic() - float(self._last_end)
        except ValueError:
            return
        if 0 <= elapsed < pause:
            self._sleep(pause - elapsed)

    @contextmanager
    def _locked_file(self) -> Iterator[None]:
        """Lock the file, read the time in it, and write the new time at the end."""
        if self._path is None:
            yield
            return
        try:
            file = self._path.open("a+")
        except OSError as problem:
            raise SourceError(f"{self._path} cannot be opened: {problem.strerror}") from None
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            self._last_end = file.read(40)
            try:
                yield
            finally:
                file.truncate(0)
                file.write(self._last_end)
