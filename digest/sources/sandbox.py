"""Parse the bodies of responses in a child process, which may use only so much memory and time.

No bound on the size of a body bounds what a parser does with it: feedparser and lxml have inputs of a few kilobytes
that take them minutes in C, where no thread of the same process can run, let alone stop them. A child can be killed.
One child parses for all sources, one response after another. It is started for the first response, in 0.1 s, and again
after it was killed.

The child gets the function that parses and a body, and returns a `Page` or an error, as pickles over a pipe.
"""

import atexit
import os
import pickle
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe
from threading import Lock
from time import monotonic, process_time

from digest.errors import SourceError
from digest.sources import Page

_MEMORY = 224 * 2**20  # bytes of heap; a feed of 5 MB takes 70
_SECONDS = 60.0  # of one body; a feed of 5 MB takes 4
_MAX_RESULT = 48 * 2**20  # bytes of a pickle

Parse = Callable[[bytes], Page]


class ParserError(Exception):
    """An unexpected exception in the child: a bug. Its text is the traceback."""


class Sandbox:
    """The child process; started when it is needed."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._child: tuple[subprocess.Popen[bytes], Connection, int] | None = None
        atexit.register(self.close)

    def parse(self, parse: Parse, body: bytes, seconds: float) -> tuple[Page, int]:
        """Return the page that `parse` makes of a body, and the size of its pickle in bytes.

        `seconds` are those left for this source, in which the bodies of others may come first. Raises SourceError,
        also when the limits are exceeded, and ParserError.
        """
        end = monotonic() + seconds
        if not self._lock.acquire(timeout=max(0.0, seconds)):
            raise SourceError("not parsed: the responses of other sources took too long")
        try:
            data = self._exchange((parse, body), min(_SECONDS, end - monotonic()))
        finally:
            self._lock.release()
        result = pickle.loads(data)  # noqa: S301 -- of our own code in the child
        if isinstance(result, Exception):
            raise result
        return result, len(data)

    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            process, connection, parent = self._child
            self._child = None
            connection.close()
            if parent == os.getpid():
                process.kill()
                process.wait()

    def _exchange(self, job: tuple[Parse, bytes], seconds: float) -> bytes:
        if self._child is None or self._child[2] != os.getpid():  # a fork must not use its parent's child
            self._child = _start_child()
        _, connection, _ = self._child
        try:
            connection.send(job)
            if connection.poll(seconds):
                return connection.recv_bytes(_MAX_RESULT)
            problem = f"parsing the response took more than {seconds:.0f} seconds"
        except (EOFError, OSError):
            problem = "parsing the response took too much memory"
        except BaseException:
            self.close()
            raise
        self.close()
        raise SourceError(problem)


def _start_child() -> tuple[subprocess.Popen[bytes], Connection, int]:
    """Start a child that imports what this process would, and is in no terminal's way."""
    ours, theirs = Pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        process = subprocess.Popen(  # noqa: S603 -- this module
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as problem:
        ours.close()
        raise SourceError(f"no process could be started to parse the response: {problem.strerror}") from None
    finally:
        theirs.close()
    return process, ours, os.getpid()


def main(connection: Connection) -> None:
    """Parse what comes until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError, ValueError):  # a system without this limit has the time limit still
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    with suppress(EOFError, BrokenPipeError):
        while True:
            parse, body = connection.recv()
            _limit_seconds()
            connection.send_bytes(_parse(parse, body))


def _limit_seconds() -> None:
    """End this process by itself even if the parent is killed in the meantime."""
    with suppress(OSError, ValueError):
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(process_time() + _SECONDS) + 2, hard))


def _parse(parse: Parse, body: bytes) -> bytes:
    try:
        return pickle.dumps(parse(body))
    except MemoryError:
        sys.exit(1)  # what is left of the memory may not do for the next body
    except SourceError as problem:
        return pickle.dumps(problem)
    except Exception:  # noqa: BLE001 -- raised in the parent
        return pickle.dumps(ParserError(traceback.format_exc()))


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
