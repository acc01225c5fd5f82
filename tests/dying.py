"""A process that dies at some statement to SQLite."""

import os
import signal
from collections.abc import Callable


def dying_at_statement(number: int) -> Callable[[str], None]:
    """Return a trace callback that kills this process at its `number`-th call."""
    left = number

    def step(_: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    return step
