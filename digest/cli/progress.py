"""Show the progress of a run on the terminal, and stop its delivery cleanly on SIGINT and SIGTERM."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TextIO

from digest.pipeline.deliver import Progress

_INTERVAL = 0.2  # seconds between two updates of the line
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TerminalProgress(Progress):
    """Counts mails on one line of `screen`, if that is a terminal, and notices signals to stop."""

    def __init__(self, screen: TextIO | None) -> None:
        self._screen = screen if screen is not None and screen.isatty() else None
        self._stop = Event()
        self._total = self._done = 0
        self._began = self._shown = 0.0

    def composed(self, done: int, total: int) -> None:
        self._began = self._began or time.monotonic()
        self._show("Composing", done, total)

    def begin(self, total: int) -> None:
        """From now on a signal stops cleanly, and a second one at once."""
        self._total, self._began = total, time.monotonic()
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    def advance(self, count: int) -> None:
        self._done += count
        self._show("Sending", self._done, self._total)

    def stopped(self) -> bool:
        return self._stop.is_set()

    def pause(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def end(self) -> None:
        """Clear the line."""
        if self._screen is not None and self._shown:
            self._screen.write("\r\x1b[K")
            self._screen.flush()

    def _show(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._screen is not None and (now - self._shown >= _INTERVAL or done == total):
            self._shown = now
            self._screen.write(f"\r\x1b[K{progress_line(what, done, total, now - self._began)}")
            self._screen.flush()

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        signal.signal(number, signal.SIG_DFL)
        if self._screen is not None:
            self._screen.write("\r\x1b[KFinishing the messages under way; press Ctrl-C again to stop at once.\n")
            self._screen.flush()


@contextmanager
def show_progress(*, quiet: bool) -> Iterator[TerminalProgress]:
    """Progress of one run. Signal handlers are restored afterwards."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    terminal = TerminalProgress(None if quiet else sys.stderr)
    try:
        yield terminal
    finally:
        terminal.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def progress_line(what: str, done: int, total: int, seconds: float) -> str:
    """Messages done, speed and time left.

    >>> progress_line("Sending", 2_500, 10_000, 5.0)
    'Sending  2,500 of 10,000  25 %  500/s  0:15 left'
    """
    share = f"{what}  {done:,} of {total:,}  {100 * done // max(total, 1)} %"
    if not done or seconds <= 0:
        return share
    rate = done / seconds
    minutes, rest = divmod(round((total - done) / rate), 60)
    speed = f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s" if rate >= 1 else f"{rate * 60:.1f}/min"
    return f"{share}  {speed}  {minutes:,}:{rest:02} left"
