"""The command line: opens things, calls one function, reports. The only reader of the clock, the environment and .env.

Modules that cost time to import are imported by the commands that need them, so that `--help` answers at once.
"""

from digest.cli import daily, history, init, maintenance, schedule, subscribers  # each adds to `main`
from digest.cli.app import App, main

__all__ = ["App", "daily", "history", "init", "main", "maintenance", "schedule", "subscribers"]
