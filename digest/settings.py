"""Read a TOML table into a frozen dataclass, and report every problem by its dotted key.

The fields of the dataclass are the keys, and their annotations are the types. A field's metadata may hold:

    read      a function that converts the raw value, or raises ValueError with what is wrong
    type      the type of the raw value, where it is not that of the field
    example   a valid value, for messages about a missing or invalid one
    secret    the environment variable that holds the value; the field is not a key then

Every message has the form "KEY: what is wrong; what to write", as in `max_papers: must be a whole number, not "10";
write max_papers = 10 without quotes`. The second part is left out where the first says it all.
"""

import difflib
import json
import types
import typing
import zoneinfo
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_MAX_KEY = 100  # characters of a key in a message
_MAX_PATH, _MAX_NAME = 1000, 240  # bytes of a path and of a name in it; we append to both, and Linux takes 4096 and 255

_TYPE_NAMES = {
    str: "a string in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
    tuple: "a list of strings",
}


class Secret(str):
    """A password or token. Its repr is ***, so that no log or traceback shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class Problems(list[str]):
    """The problems found so far, one message each.

    `tables_by_key` returns what `map_keys` made of all tables; it is called when a table has an unknown key.
    """

    def __init__(self, tables_by_key: Callable[[], Mapping[str, str]] = dict) -> None:
        super().__init__()
        self.tables_by_key = tables_by_key

    def add(self, key: str, message: str | ValueError) -> None:
        self.append(f"{key if len(key) <= _MAX_KEY else f'{key[: _MAX_KEY - 1]}…'}: {message}")


def read_table(kind: type[T], table: object, where: str, problems: Problems, extra: Collection[str] = ()) -> T | None:
    """Convert `table` into a `kind`; where that fails, add the reasons to `problems` and return None.

    `where` is the dotted key of the table: "smtp", or "sources[2]" for the second of an array. `extra` are valid keys
    that the caller reads itself.
    """
    heading = f"[[{where.partition('[')[0]}]]" if "[" in where else f"[{where}]"
    if not isinstance(table, Mapping):
        problems.add(where, invalid_value("a table", table, f"write {heading}"))
        return None
    before = len(problems)
    known, secrets = _keys_and_secrets(kind)
    check_keys(table, [*known, *extra], where, problems, secrets)
    hints = typing.get_type_hints(kind)
    values = {}
    for key, field in known.items():
        if key in table:
            try:
                values[field.name] = _read_value(table[key], hints[field.name], field, key)
            except ValueError as error:
                problems.add(f"{where}.{key}", error)
        elif field.default is MISSING and field.default_factory is MISSING:
            line = f"{key} = {field.metadata.get('example', '…')}"
            problems.add(f"{where}.{key}", f"is missing; write {'' if table else f'{heading} and below it '}{line}")
    return kind(**values) if len(problems) == before else None


def _keys_and_secrets(kind: type) -> "tuple[dict[str, Field[Any]], dict[str, str]]":
    """The keys of a table with their fields, and its secrets with their environment variables."""
    settable = [f for f in fields(kind) if f.init]
    secrets = {f.name: str(f.metadata["secret"]) for f in settable if "secret" in f.metadata}
    return {f.name.rstrip("_"): f for f in settable if "secret" not in f.metadata}, secrets


def map_keys(tables: Mapping[str, Iterable[type]]) -> dict[str, str]:
    """Each key that is in one or two of `tables`, with their names, as in "[smtp] or [inbox]".

    `tables` maps a name in its brackets to the dataclasses for such a table.
    """
    found: dict[str, list[str]] = {}
    for name, kinds in tables.items():
        for key in {key for kind in kinds for key in _keys_and_secrets(kind)[0]}:
            found.setdefault(key, []).append(name)
    return {key: " or ".join(names) for key, names in found.items() if len(names) <= 2}


def check_keys(
    table: Mapping[str, Any],
    known: Collection[str],
    where: str,
    problems: Problems,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Add each unknown key of `table` to `problems`, with the likely key or the table that the key belongs in."""
    here = where.partition("[")[0]
    for key in table:
        if key in known:
            continue
        near = _closest(key.lower(), [*known, *(secrets or {})])
        if secrets and near in secrets:
            message = f"secrets do not belong in this file; write {secrets[near]}=… into .env next to it"
        elif (home := problems.tables_by_key().get(key)) and f"[{here}]" not in home:
            message = f"unknown key; it belongs in {home}"
            message += f", the key here is {next(iter(known))}" if len(known) == 1 else ""
        else:
            hint = f"did you mean {near}?" if near else f"valid keys: {', '.join(sorted(known))}"
            message = f"unknown key; {hint}"
        problems.add(f"{where}.{key}" if where else key, message)


def _read_value(raw: object, annotation: Any, field: "Field[Any]", key: str) -> Any:
    reader: Callable[[Any], Any] | None = field.metadata.get("read")
    wanted = _strip_optional(field.metadata.get("type", annotation))
    if not _has_type(raw, wanted):
        limits = f" {reader}" if isinstance(reader, _Range) else ""
        example = f"write something like {key} = {field.metadata['example']}" if "example" in field.metadata else ""
        expected = _TYPE_NAMES[typing.get_origin(wanted) or wanted] + limits
        raise invalid_value(expected, raw, _correct_line(raw, wanted, key) or example)
    return reader(raw) if reader else _convert(raw, wanted)


def _correct_line(raw: object, wanted: Any, key: str) -> str:
    """What to write for a value that is nearly right, like a number in quotes; "" for any other."""
    if isinstance(raw, str) and wanted in (int, float, bool):
        try:
            value = json.loads(raw.strip().lower())
        except ValueError:
            return ""
        return f"write {key} = {quote_value(value)} without quotes" if _has_type(value, wanted) else ""
    if isinstance(raw, float) and wanted is int and raw.is_integer():
        return f"write {key} = {int(raw)}"
    if isinstance(raw, str) and wanted == tuple[str, ...]:
        items = [item.strip() for item in raw.split(",") if item.strip()] or ["…"]
        return f"write {key} = {json.dumps(items, ensure_ascii=False)}"
    if isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], str) and wanted in (str, Path):
        return f"write {key} = {json.dumps(raw[0], ensure_ascii=False)} without brackets"
    return ""


def _has_type(raw: object, wanted: Any) -> bool:
    if wanted is float:
        return isinstance(raw, int | float) and not isinstance(raw, bool)
    if wanted is int:
        return isinstance(raw, int) and not isinstance(raw, bool)
    if typing.get_origin(wanted) is tuple:
        return isinstance(raw, list) and all(_has_type(item, typing.get_args(wanted)[0]) for item in raw)
    return isinstance(raw, str if wanted is Path else wanted)


def _convert(raw: Any, wanted: Any) -> Any:
    if wanted is Path:
        return _read_path(raw)
    return tuple(raw) if isinstance(raw, list) else wanted(raw)


def _read_path(raw: str) -> Path:
    if not raw:
        raise ValueError("must not be empty; write a path, or put # in front of the line")
    if "\0" in raw or len(raw.encode()) > _MAX_PATH or any(len(p.encode()) > _MAX_NAME for p in Path(raw).parts):
        raise invalid_value("a path", raw, "no file can have this name")
    try:
        path = Path(raw).expanduser()
        str(path).encode()  # the database takes nothing but UTF-8
    except (RuntimeError, UnicodeEncodeError):
        raise ValueError(f"{quote_value(raw)} has no usable home folder; write a path that begins with /") from None
    return path


def _strip_optional(annotation: Any) -> Any:
    """`X` for the annotation `X | None`."""
    if isinstance(annotation, types.UnionType):
        return next(arg for arg in typing.get_args(annotation) if arg is not type(None))
    return annotation


def invalid_value(expected: str, raw: object, hint: str = "") -> ValueError:
    """The error for a value that is not what was `expected`, like "a number"; `hint` says what to write."""
    return ValueError(f"must be {expected}, not {quote_value(raw)}" + (f"; {hint}" if hint else ""))


def quote_value(raw: object) -> str:
    """A value as it is written in TOML, on one line and at most 60 characters long."""
    plain = isinstance(raw, date | time | float)
    written = str(raw) if plain else json.dumps(raw, ensure_ascii=False, default=str)
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in written)
    return shown if len(shown) <= 60 else f"{shown[:59]}…"


def quote_choices(words: Iterable[str]) -> str:
    """`"a", "b" or "c"`"""
    *others, last = (f'"{word}"' for word in words)
    return f"{', '.join(others)} or {last}" if others else last


@dataclass(frozen=True, slots=True)
class _Range:
    low: float
    high: float

    def __call__(self, value: Any) -> Any:
        if not self.low <= value <= self.high:
            raise invalid_value(f"a number {self}", value)
        return value

    def __str__(self) -> str:
        return f"from {self.low:g} to {self.high:g}"


def number_between(low: float, high: float) -> Callable[[Any], Any]:
    """A reader for numbers from `low` to `high`, both included."""
    return _Range(low, high)


def one_of(*words: str) -> Callable[[str], str]:
    """A reader for one of a few words, in upper or lower case; it returns lower case."""

    def read(value: str) -> str:
        if value.lower() not in words:
            near = _closest(value.lower(), words)
            raise invalid_value(quote_choices(words), value, f'did you mean "{near}"?' if near else "")
        return value.lower()

    return read


def web_address(value: str) -> str:
    """A reader for http(s) addresses."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or any(c.isspace() for c in value):
        raise invalid_value("a web address", value, "write one that starts with https://")
    return value


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """A reader for time zones by their names in the IANA database."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        near = _closest_zone(name)
        hint = f'did you mean "{near}"?' if near else 'write one like "Europe/Berlin" or "UTC"'
        raise invalid_value("a time zone", name, hint) from None


def _closest_zone(name: str) -> str:
    """The zone with that name in another case, with that city, or with a similar name; "" for none.

    Nothing is similar to an abbreviation: CEST is not EST.
    """
    wanted = name.strip().lower().replace(" ", "_")
    known = {zone.lower(): zone for zone in sorted(zoneinfo.available_timezones())}
    city = next((zone for low, zone in known.items() if low.rpartition("/")[2] == wanted.rpartition("/")[2]), "")
    return known.get(wanted) or city or known.get(_closest(wanted, known, 0.8) if len(wanted) > 4 else "", "")


def _closest(word: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The most similar word among `known`; "" for none. `cutoff` is difflib's, from 0 to 1."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), "")
