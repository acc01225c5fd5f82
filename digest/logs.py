"""Log lines with time, level and key=value pairs, or as one JSON object each; secrets are replaced by ***.

A record's event is its message, its facts are the mapping passed with it: `log.info("fetched", {"papers": 3})`.
"""

import json
import logging
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

_MIN_SECRET = 4  # characters; a shorter secret would be found in every other word
# Control characters (C0 but for tab and line end, DEL, C1), marks that turn the direction of text, line separators of
# Unicode, and halves of characters, which no stream can encode.
_UNSAFE = re.compile("[\0-\b\v-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")


def escape(text: str) -> str:
    r"""`text` with what a terminal would obey written as \u001b; a JSON document stays the same document."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def local_time(record: logging.LogRecord) -> datetime:
    """When a record was made, in the time zone of this machine."""
    return datetime.fromtimestamp(record.created).astimezone()


class Redactor:
    """Replaces secrets in texts by ***."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def add(self, *secrets: str) -> None:
        """Replace these from now on; secrets of fewer than four characters are ignored."""
        long = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
        in_json = [json.dumps(secret, ensure_ascii=False)[1:-1] for secret in long]
        # The longest first: one secret may contain another.
        self._secrets = sorted({*self._secrets, *long, *in_json}, key=len, reverse=True)

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def redact_under(self, keys: Collection[str], document: Any, *, under: bool = False) -> Any:
        """A JSON document with secrets replaced in the texts under these keys, and nowhere else."""
        if isinstance(document, Mapping):
            return {k: self.redact_under(keys, value, under=under or k in keys) for k, value in document.items()}
        if isinstance(document, list):
            return [self.redact_under(keys, value, under=under) for value in document]
        return self.redact(document) if under and isinstance(document, str) else document


class _Formatter(logging.Formatter):
    """The parts of a record that both formats show, without secrets."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redact = redactor.redact

    def _facts(self, record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
        if isinstance(record.args, Mapping):
            for key, value in record.args.items():
                yield key, self._redact(value) if isinstance(value, str) else value
        if record.exc_info:
            yield "traceback", self._redact(self.formatException(record.exc_info))

    def _event(self, record: logging.LogRecord) -> str:
        return self._redact(record.getMessage())

    def _time(self, record: logging.LogRecord) -> str:
        return local_time(record).isoformat(timespec="milliseconds")


class TextFormatter(_Formatter):
    """2026-04-20T06:00:00.000+02:00 INFO fetched source=arxiv papers=312"""

    def format(self, record: logging.LogRecord) -> str:
        facts = dict(self._facts(record))
        traceback = facts.pop("traceback", None)
        pairs = [f"{key}={_quote_fact(value)}" for key, value in facts.items()]
        event = self._event(record).replace("\n", "\\n")
        line = " ".join([self._time(record), record.levelname, event, *pairs])
        return escape(f"{line}\n{traceback}" if traceback else line)


class JsonFormatter(_Formatter):
    """{"time": "2026-04-20T06:00:00.000+02:00", "level": "info", "event": "fetched", "papers": 312}"""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": self._time(record), "level": record.levelname.lower(), "event": self._event(record)}
        return escape(json.dumps({**head, **dict(self._facts(record))}, ensure_ascii=False, default=str))


class Handler(logging.StreamHandler[Any]):
    """Writes to standard error in one of the `formats`."""

    formats: ClassVar[dict[str, type[_Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}

    def __init__(self, log_format: str, redactor: Redactor) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(self.formats[log_format](redactor))


def _quote_fact(value: object) -> str:
    """A value as text, in quotes if it is empty or has spaces, quotes, = or unprintable characters."""
    text = str(value)
    plain = text and not any(c.isspace() or c in '"=' or not c.isprintable() for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
