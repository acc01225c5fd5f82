"""A person's crontab as bytes, read and written through the program crontab."""

import re
import subprocess
from collections.abc import Mapping

from digest.errors import ScheduleError

_SECONDS = 5
# How crontab -l says that there is none: Debian's, cronie's and macOS's; BusyBox's.
_NONE = re.compile(rb"no crontab for|can't open '[^']*': No such file")


def read(environ: Mapping[str, str]) -> bytes:
    """The crontab, empty when there is none. Raises ScheduleError when it is not to be had."""
    done = _run(environ, "-l")
    if done.returncode == 0:
        return done.stdout
    if _NONE.search(done.stderr):
        return b""
    raise ScheduleError(f"your crontab cannot be read: {_said(done)}")


def write(environ: Mapping[str, str], table: bytes) -> None:
    """Put `table` in place of the crontab; an empty one takes it away. Raises ScheduleError, nothing changed then."""
    done = _run(environ, "-", given=table) if table else _run(environ, "-r")
    if done.returncode != 0:
        raise ScheduleError(f"your crontab was not changed: {_said(done)}")


def _run(environ: Mapping[str, str], word: str, given: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(  # noqa: S603  whichever crontab is first on the person's PATH
            ["crontab", word],  # noqa: S607
            input=given,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env={**environ, "LC_ALL": "C"},  # that _NONE is in English
        )
    except subprocess.TimeoutExpired:
        raise ScheduleError(
            f"crontab gave no answer in {_SECONDS} seconds; see `crontab -l` before you try again"
        ) from None
    except OSError as problem:
        raise ScheduleError(
            f"the program crontab cannot be started ({problem.strerror}); install cron (Debian: apt install cron),"
            " or let systemd do it: `digest schedule install --systemd`"
        ) from None


def _said(done: "subprocess.CompletedProcess[bytes]") -> str:
    words = " ".join(done.stderr.decode("utf-8", "replace").split())
    return words or f"crontab ended with exit code {done.returncode} and said nothing"
