"""One request at a time with a pause behind it, over every process that shares a database.

The lock is the kernel's, so it goes with the process that holds it. The file holds when the last request ended, on the
machine's monotonic clock: it counts from the start of the machine, so a time to come is one from before a restart.
"""

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from digest.errors import SourceError


class RateLimit:
    """Spaces requests by what is written at `path`; without one, those of this process alone."""

    def __init__(self, path: Path | None, sleep: Callable[[float], None]) -> None:
        self._path = path
        self._sleep = sleep
        self._thread = threading.Lock()
        self._note = ""

    @contextmanager
    def turn(self, pause: float) -> Iterator[None]:
        """Wait until nobody asks and `pause` seconds have passed since somebody did; at once for no pause."""
        if pause <= 0:
            yield
            return
        with self._thread, self._process():
            self._wait(pause)
            try:
                yield
            finally:
                self._note = repr(time.monotonic())

    def _wait(self, pause: float) -> None:
        try:
            since = time.monotonic() - float(self._note)
        except ValueError:
            return
        if 0 <= since < pause:
            self._sleep(pause - since)

    @contextmanager
    def _process(self) -> Iterator[None]:
        """Hold the file, take its note and leave ours in it."""
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
            self._note = file.read(40)
            try:
                yield
            finally:
                file.truncate(0)
                file.write(self._note)
