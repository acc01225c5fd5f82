"""The three streams of the process: one may be closed from the start, have nobody who reads it, or not be writable."""

import io
import os
import sys
from typing import Any, TextIO

from digest.errors import OutputError


class _Patient(io.FileIO):
    """Writes to a descriptor. Whoever stops reading, as `head` does, has read enough: that is no failure."""

    def __init__(self, descriptor: int, *, told: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._told = told
        self._broken = False

    def write(self, content: Any, /) -> int:
        """All of it is taken, also once it goes nowhere. Raises Unprinted at the first failure that is `told`."""
        size = memoryview(content).nbytes
        if self._broken:
            return size
        try:
            return super().write(content)
        except OSError as problem:
            self._broken = True
            if self._told and not isinstance(problem, BrokenPipeError):
                raise OutputError(f"standard output cannot be written: {problem.strerror}") from None
            return size


def settle() -> None:
    """Let nothing fail for a stream that is closed or breaks: the work counts, and the exit code says how it went.

    Who has put other streams in their place, as tests do, keeps them.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # or the next file that is opened would get the number of the closed one
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  open while we live
    if sys.stdout is sys.__stdout__:
        sys.stdout = _over(sys.stdout, told=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _over(sys.stderr, told=False)


def _over(stream: Any, *, told: bool) -> TextIO:
    raw = _Patient(stream.fileno(), told=told)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=stream.errors, line_buffering=True, newline="\n"
    )
