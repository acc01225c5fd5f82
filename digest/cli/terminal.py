"""Print to a terminal: lines as wide as it is, without a break in a word, and colours. Files and pipes get plain lines.

What strangers wrote is escaped here, before any colour is added.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TextIO

import click

from digest.logs import Redactor, TextFormatter, escape, local_time

# A pattern, and how `click.style` shows what it matches, anywhere in a text of many lines.
Styles = Sequence[tuple[str, Mapping[str, Any]]]
_DEFAULT_COLUMNS = 80  # of a terminal that does not tell
_GREEN, _YELLOW, _RED, _BOLD = {"fg": "green"}, {"fg": "yellow"}, {"fg": "red"}, {"bold": True}

CHECKS: Styles = (("^[✓+](?= )", _GREEN), ("^!(?= )", _YELLOW), ("^[✗x](?= )", _RED))
STATUS: Styles = (
    ("^[A-Z]+ +[A-Z ]+$|^[A-Z]{3,}(?=  )", _BOLD),
    ("(?<=  )ok(?=  |$)", _GREEN),
    ("^  !|(?<=  )(?:partial|stale|empty|unfinished)(?=  )", _YELLOW),
    ("(?<=  )failed(?=  | \\()", _RED),
)
TABLE: Styles = (("\\A[A-Z]+ +[A-Z ]+$", _BOLD), ("(?<=  )[+](?=  )", _GREEN), ("(?<=  )-(?=  )", _RED))
ERROR: Styles = (("^(?:digest|Error):", {"fg": "red", "bold": True}),)
_LOG: Styles = (("(?<= )WARNING(?= )", _YELLOW), ("(?<= )ERROR(?= )", _RED))

# What a line hangs from when it is broken: its indentation, a mark or number, and a label with two spaces after it.
_HEAD = re.compile(r"\s*(?:[!✓✗+x→-] +|\d+\. +)?(?:\S+(?: \S+){0,3}? {2,})?")
_COMMAND = re.compile(r" +digest ")  # a line to copy
_QUOTED = re.compile("`[^`]+`")
_NO_BREAK = "\ue000"  # stands for a space at which a line is not broken


def echo(text: str, stream: TextIO, styles: Styles = (), *, nl: bool = True) -> None:
    """Print a text for people."""
    text = escape(text)
    if width := columns(stream):
        text = fit(text, width)
    click.echo(paint(text, styles) if has_colour(stream) else text, file=stream, nl=nl, color=True)


def columns(stream: TextIO) -> int:
    """Return how many columns a line on `stream` may have; 0 if it is no terminal, and there is no limit."""
    if not stream.isatty():
        return 0
    if (given := os.environ.get("COLUMNS", "")).isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(stream.fileno()).columns or _DEFAULT_COLUMNS
    except (OSError, ValueError):
        return _DEFAULT_COLUMNS


def has_colour(stream: TextIO) -> bool:
    """Return whether to print in colour: on a terminal, unless NO_COLOR is set (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def fit(text: str, width: int) -> str:
    """Break lines between words. Long words stay whole, and so do commands, which are there to be copied."""
    return "\n".join(part for line in text.split("\n") for part in _fit_line(line, width))


def _fit_line(line: str, width: int) -> list[str]:
    from digest.papers.text.fit import wrap  # not needed for what is not printed to a terminal

    if len(line) <= width // 2 or _COMMAND.match(line):
        return [line]
    words = _QUOTED.sub(lambda match: match[0].replace(" ", _NO_BREAK), line)
    head = _HEAD.match(words)
    first = head[0] if head and len(head[0]) <= width // 2 else words[: len(words) - len(words.lstrip())]
    parts = wrap(words[len(first) :], width, " " * len(first), first)
    return [part.replace(_NO_BREAK, " ") for part in parts] if len(parts) > 1 else [line]


def paint(text: str, styles: Styles) -> str:
    """Add colours to a text without any."""
    for pattern, style in styles:
        text = re.sub(pattern, partial(_style, style), text, flags=re.MULTILINE)
    return text


def _style(style: Mapping[str, Any], match: re.Match[str]) -> str:
    return click.style(match[0], **style)


class TerminalFormatter(TextFormatter):
    """06:00:00 INFO fetched source=arxiv papers=312"""

    def __init__(self, redactor: Redactor, stream: TextIO) -> None:
        super().__init__(redactor)
        self._stream = stream

    def format(self, record: logging.LogRecord) -> str:
        from digest.papers.text.fit import wrap

        head, *traceback = super().format(record).split("\n")
        line = "\n".join(wrap(head, columns(self._stream), "    ", "") or [head])
        return "\n".join([paint(line, _LOG) if has_colour(self._stream) else line, *traceback])

    def _time(self, record: logging.LogRecord) -> str:
        return local_time(record).strftime("%H:%M:%S")
