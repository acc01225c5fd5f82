"""The program on a real terminal, in a process that is forked from the tests': it need not import everything again."""

import os
import pty
import struct
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from fcntl import ioctl
from pathlib import Path
from termios import TIOCSWINSZ

from digest.cli import main


def on_terminal(folder: Path, columns: int, words: tuple[str, ...], environ: Mapping[str, str]) -> tuple[int, str]:
    """Run `digest` in a folder, on a terminal of so many columns; return its exit code and what it printed."""
    outside, inside = pty.openpty()
    ioctl(inside, TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = os.fork()
    if child == 0:
        os.close(outside)
        os._exit(_run(folder, inside, words, environ))
    os.close(inside)
    said = b""
    with suppress(OSError):  # EIO: the end
        while part := os.read(outside, 4096):
            said += part
    os.close(outside)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.decode().replace("\r\n", "\n")


def _run(folder: Path, terminal: int, words: tuple[str, ...], environ: Mapping[str, str]) -> int:
    """Be what Python would be had it just been started there; return the exit code."""
    try:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environ)
        time.tzset()
        for number, mode in enumerate("rww"):
            os.dup2(terminal, number)
            stream = os.fdopen(number, mode, encoding="utf-8", closefd=False)
            for name in (("stdin", "stdout", "stderr")[number], ("__stdin__", "__stdout__", "__stderr__")[number]):
                setattr(sys, name, stream)
        main(words, prog_name="digest")
    except SystemExit as end:
        sys.stdout.flush()
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  nothing may leave a forked process
        traceback.print_exc()
    return 99
