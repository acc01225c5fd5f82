"""The command line: opens things, calls one function, reports. The only reader of the clock, the environment and .env.

Modules that cost time to import are imported by the commands that need them, so that `--help` answers at once.
"""

from digest.cli import asking, daily, health, keeping, people, scheduling, starting  # each adds to `main`
from digest.cli.frame import Chosen, main

__all__ = ["Chosen", "asking", "daily", "health", "keeping", "main", "people", "scheduling", "starting"]
