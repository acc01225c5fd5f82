"""The command line: each command parses its options, opens what it needs, calls one function and prints the result.

Only this package reads the clock, the environment and .env. Modules that take long to import are imported by the
commands that need them, so that `digest --help` answers at once.
"""

from digest.cli import daily, history, init, maintenance, schedule, subscribers  # each adds its commands to `main`
from digest.cli.app import App, main

__all__ = ["App", "daily", "history", "init", "main", "maintenance", "schedule", "subscribers"]
