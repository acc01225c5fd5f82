"""Replace standard streams that are closed or broken."""

import io
import os
import sys
from typing import Any, TextIO

from digest.errors import OutputError


class _ForgivingWriter(io.FileIO):
    """Writes to a file descriptor. A reader that stops early, as `head` does, is no failure."""

    def __init__(self, descriptor: int, *, strict: bool) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._strict = strict
        self._broken = False

    def write(self, content: Any, /) -> int:
        """Accept everything, also once it goes nowhere. If `strict`, raises OutputError at the first other failure."""
        size = memoryview(content).nbytes
        if self._broken:
            return size
        try:
            return super().write(content)
        except OSError as error:
            self._broken = True
            if self._strict and not isinstance(error, BrokenPipeError):
                raise OutputError(f"standard output cannot be written: {error.strerror}") from None
            return size


def repair() -> None:
    """Make sure that no command fails because a stream is closed or breaks, or has no such character.

    Streams replaced by others, such as pytest, are kept.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # or the next file that is opened would get the number of the closed one
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  open while we live
    if sys.stdout is sys.__stdout__:
        sys.stdout = _wrap(sys.stdout, strict=True)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _wrap(sys.stderr, strict=False)


def _wrap(stream: Any, *, strict: bool) -> TextIO:
    raw = _ForgivingWriter(stream.fileno(), strict=strict)
    # A "?" for each character that the encoding lacks. Standard error never fails: it has backslashreplace.
    errors = "replace" if stream.errors in ("strict", "surrogateescape") else stream.errors
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=stream.encoding, errors=errors, line_buffering=True, newline="\n"
    )
