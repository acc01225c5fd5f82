"""Log lines with time, level and key=value, or as one JSON object each; and no secret in them, nor elsewhere in print.

A record's event is its message, its facts are the mapping it was given: `log.info("fetched", {"papers": 3})`.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

_MIN_SECRET = 4  # characters; what is shorter would be found, and taken out, in every other word


class Redactor:
    """Takes secrets out of texts, once it has been told them."""

    def __init__(self) -> None:
        self._secrets: list[str] = []

    def hide(self, *secrets: str) -> None:
        """Let these show no more. What is shorter than four characters is no secret anybody could keep."""
        told = [secret for secret in secrets if len(secret) >= _MIN_SECRET]
        in_json = [json.dumps(secret, ensure_ascii=False)[1:-1] for secret in told]
        self._secrets = sorted({*self._secrets, *told, *in_json}, key=len, reverse=True)  # one may be part of another

    def over(self, text: str) -> str:
        """The text with *** where a secret stood."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


class _Formatter(logging.Formatter):
    """What both forms have in common: the parts of a record, in order, without secrets."""

    def __init__(self, veil: Redactor) -> None:
        super().__init__()
        self._veil = veil

    def _facts(self, record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
        if isinstance(record.args, Mapping):
            for key, value in record.args.items():
                yield key, self._veil.over(value) if isinstance(value, str) else value
        if record.exc_info:
            yield "traceback", self._veil.over(self.formatException(record.exc_info))

    def _event(self, record: logging.LogRecord) -> str:
        return self._veil.over(record.getMessage())

    @staticmethod
    def _time(record: logging.LogRecord) -> str:
        return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class TextFormatter(_Formatter):
    """2026-04-20T06:00:00.000+02:00 INFO fetched source=arxiv papers=312"""

    def format(self, record: logging.LogRecord) -> str:
        facts = dict(self._facts(record))
        trace = facts.pop("traceback", None)
        words = [
            self._time(record),
            record.levelname,
            self._event(record),
            *(f"{k}={_value(v)}" for k, v in facts.items()),
        ]
        return " ".join(words) + (f"\n{trace}" if trace else "")


class JsonFormatter(_Formatter):
    """{"time": "2026-04-20T06:00:00.000+02:00", "level": "info", "event": "fetched", "papers": 312}"""

    def format(self, record: logging.LogRecord) -> str:
        head = {"time": self._time(record), "level": record.levelname.lower(), "event": self._event(record)}
        return json.dumps({**head, **dict(self._facts(record))}, ensure_ascii=False, default=str)


class Handler(logging.StreamHandler[Any]):
    """Writes to standard error, in one of the `forms`."""

    forms: ClassVar[dict[str, type[_Formatter]]] = {"text": TextFormatter, "json": JsonFormatter}

    def __init__(self, form: str, veil: Redactor) -> None:
        super().__init__(sys.stderr)
        self.setFormatter(self.forms[form](veil))


def _value(value: object) -> str:
    """A value as it stands after `=`: in quotes when it would not end where it ends."""
    text = str(value)
    plain = text and not any(c.isspace() or c in '"=' or not c.isprintable() for c in text)
    return text if plain else json.dumps(text, ensure_ascii=False)
