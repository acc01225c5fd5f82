"""A TOML table into a frozen dataclass: every mistake named by its dotted key, with what to write instead.

The fields of the dataclass are the keys, their annotations say what is wanted. A field's metadata may hold

    read      a function that turns the raw value into the field's, or raises ValueError with what is wrong with it
    type      the type of the raw value, where it is not the field's
    example   what to write, for the message about a missing or wrong value
    secret    the variable of the environment that it comes from; it is no key

Time zones by their names in the IANA database, and what was probably meant by a name that is not in it.
"""

import difflib
import json
import types
import typing
import zoneinfo
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date, time
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_TYPE_NAMES = {
    str: "a text in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
    tuple: "a list of texts in brackets",
    dict: "a table",
}


class Secret(str):
    """A password or token. Its repr is ***, so that no log or traceback shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


class Problems(list[str]):
    """What was found wrong so far, a sentence each. `homes` tells the tables that keys belong to, see below."""

    def __init__(self, homes: Callable[[], Mapping[str, str]] = dict) -> None:
        super().__init__()
        self.homes = homes

    def add(self, key: str, sentence: str) -> None:
        self.append(f"{key}: {sentence}")


def read_table(kind: type[T], table: object, where: str, problems: Problems, extra: Collection[str] = ()) -> T | None:
    """Fill `kind` from `table`, or note in `problems` every reason why not and return None.

    `where` is the table's dotted key; `extra` are keys of the table that are read elsewhere.
    """
    heading = f"[[{where.partition('[')[0]}]]" if "[" in where else f"[{where}]"
    if not isinstance(table, Mapping):
        problems.add(where, f"{quote_value(table)} is {_describe_value(table)}; write a table: {heading}")
        return None
    before = len(problems)
    known, secrets = _fields_and_secrets(kind)
    unknown_keys(table, [*known, *extra], where, problems, secrets)
    hints = typing.get_type_hints(kind)
    values = {}
    for key, field in known.items():
        if key in table:
            values[field.name] = _value(table[key], hints[field.name], field, f"{where}.{key}", problems)
        elif field.default is MISSING and field.default_factory is MISSING:
            line = f"{key} = {field.metadata.get('example', '…')}"
            problems.add(f"{where}.{key}", f"is missing; write {'' if table else f'{heading} and below it '}{line}")
    return kind(**values) if len(problems) == before else None


def _fields_and_secrets(kind: type) -> "tuple[dict[str, Field[Any]], dict[str, str]]":
    """The keys of a table, and those that are none: secrets, with the variable that each comes from."""
    of = [f for f in fields(kind) if f.init]
    secrets = {f.name: str(f.metadata["secret"]) for f in of if "secret" in f.metadata}
    return {f.name.rstrip("_"): f for f in of if "secret" not in f.metadata}, secrets


def find_homes(tables: Mapping[str, Iterable[type]]) -> dict[str, str]:
    """Where each key belongs, for keys that are in one table or two; a table's name has its brackets."""
    found: dict[str, list[str]] = {}
    for name, kinds in tables.items():
        for key in {key for kind in kinds for key in _fields_and_secrets(kind)[0]}:
            found.setdefault(key, []).append(name)
    return {key: " or ".join(names) for key, names in found.items() if len(names) <= 2}


def unknown_keys(
    table: Mapping[str, Any],
    known: Collection[str],
    where: str,
    problems: Problems,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Note each key of `table` that is not known, with the one that was probably meant or the table it belongs to."""
    here = where.partition("[")[0]
    for key in table:
        if key in known:
            continue
        near = difflib.get_close_matches(key.lower(), [*known, *(secrets or {})], n=1, cutoff=0.6)
        if near and secrets and near[0] in secrets:
            hint = f"secrets do not belong here: put {secrets[near[0]]}=… into .env beside this file"
        elif (home := problems.homes().get(key)) and f"[{here}]" not in home:
            hint = f"it belongs below {home}" + (f"; the key here is {next(iter(known))}" if len(known) == 1 else "")
        else:
            hint = f"did you mean {near[0]}?" if near else f"known here: {', '.join(sorted(known))}"
        problems.add(f"{where}.{key}" if where else key, f"is not a key; {hint}")


def _value(raw: object, wanted: Any, field: "Field[Any]", where: str, problems: Problems) -> Any:
    reader: Callable[[Any], Any] | None = field.metadata.get("read")
    plain = field.metadata.get("type", wanted)
    if not _has_type(raw, plain):
        meant = _suggest_value(raw, _strip_optional(plain), where.rpartition(".")[2])
        problems.add(
            where, f"{quote_value(raw)} is {_describe_value(raw)}; write {meant or _describe_wanted(plain, field)}"
        )
        return None
    try:
        return reader(raw) if reader else _convert(raw, plain)
    except ValueError as problem:
        problems.add(where, str(problem))
        return None


def _suggest_value(raw: object, wanted: Any, key: str) -> str:
    """What to write for a value that is nearly right: a number in quotes, a text without brackets; '' for others."""
    if isinstance(raw, str) and wanted in (int, float, bool):
        try:
            value = json.loads(raw.strip().lower())
        except ValueError:
            return ""
        return f"{key} = {quote_value(value)} without quotes" if _has_type(value, wanted) else ""
    if isinstance(raw, float) and wanted is int and raw.is_integer():
        return f"{key} = {int(raw)}"
    if isinstance(raw, str) and wanted == tuple[str, ...]:
        items = [item.strip() for item in raw.split(",") if item.strip()] or ["…"]
        return f"it in brackets: {key} = {json.dumps(items, ensure_ascii=False)}"
    if isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], str) and wanted in (str, Path):
        return f"it without brackets: {key} = {json.dumps(raw[0], ensure_ascii=False)}"
    return ""


def _has_type(raw: object, wanted: Any) -> bool:
    wanted = _strip_optional(wanted)
    if wanted is float:
        return isinstance(raw, int | float) and not isinstance(raw, bool)
    if wanted is int:
        return isinstance(raw, int) and not isinstance(raw, bool)
    if typing.get_origin(wanted) is tuple:
        inner = typing.get_args(wanted)[0]
        return isinstance(raw, list) and all(_has_type(item, inner) for item in raw)
    return isinstance(raw, str if wanted is Path else wanted)


def _convert(raw: Any, wanted: Any) -> Any:
    wanted = _strip_optional(wanted)
    if wanted is Path and not raw:
        raise ValueError("is empty; write a path, or # in front of the line")
    return tuple(raw) if isinstance(raw, list) else Path(raw).expanduser() if wanted is Path else wanted(raw)


def _strip_optional(wanted: Any) -> Any:
    """`X` for the annotation `X | None`."""
    if isinstance(wanted, types.UnionType):
        return next(arg for arg in typing.get_args(wanted) if arg is not type(None))
    return wanted


def _describe_wanted(wanted: Any, field: "Field[Any]") -> str:
    wanted = _strip_optional(wanted)
    words = _TYPE_NAMES[typing.get_origin(wanted) or wanted]
    return (
        f"{words}, as in {field.name.rstrip('_')} = {field.metadata['example']}"
        if "example" in field.metadata
        else words
    )


def _describe_value(raw: object) -> str:
    if isinstance(raw, list):
        return "a list with something else than texts in it" if any(not isinstance(i, str) for i in raw) else "a list"
    if isinstance(raw, date | time):
        return "a date or time"
    return {bool: "true or false", str: "a text", dict: "a table"}.get(type(raw), "a number")


def quote_value(raw: object) -> str:
    """A value as the person wrote it, cut short."""
    words = repr(raw).lower() if isinstance(raw, bool) else str(raw) if isinstance(raw, date | time) else repr(raw)
    return words if len(words) <= 60 else f"{words[:59]}…"


def number_between(low: float, high: float) -> Callable[[Any], Any]:
    """A reader for numbers from `low` to `high`, both included."""

    def check(value: Any) -> Any:
        if not low <= value <= high:
            raise ValueError(f"{value} is out of range; write a number from {low:g} to {high:g}")
        return value

    return check


def one_of(*words: str) -> Callable[[str], str]:
    """A reader for one of a few words, whatever their case."""

    def check(value: str) -> str:
        if value.lower() not in words:
            near = difflib.get_close_matches(value.lower(), words, n=1, cutoff=0.6)
            hint = f'did you mean "{near[0]}"?' if near else "write one of " + ", ".join(f'"{w}"' for w in words)
            raise ValueError(f"{quote_value(value)} is not known; {hint}")
        return value.lower()

    return check


def web_address(value: str) -> str:
    """A reader for http(s) addresses."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(c.isspace() for c in value):
        raise ValueError(f"{quote_value(value)} is not a web address; write one that begins with https://")
    return value


def time_zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone called `name`. Raises ValueError with the one that was probably meant."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        near = _nearest_zone(name)
        hint = f'did you mean "{near}"?' if near else 'write one like "Europe/Berlin" or "UTC"'
        raise ValueError(f"{quote_value(name)} is not a time zone; {hint}") from None


def _nearest_zone(name: str) -> str:
    """The zone of that name in another case, of that city, or spelt much like it; '' for none."""
    wanted = name.strip().lower().replace(" ", "_")
    known = {zone.lower(): zone for zone in sorted(zoneinfo.available_timezones())}
    city = next((zone for low, zone in known.items() if low.rpartition("/")[2] == wanted.rpartition("/")[2]), "")
    alike = difflib.get_close_matches(wanted, known, n=1, cutoff=0.8)
    return known.get(wanted) or city or (known[alike[0]] if alike else "")
