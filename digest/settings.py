"""Read a TOML table into a frozen dataclass, and report every problem by its dotted key.

The fields of the dataclass are the keys, and their annotations are the types. A field's metadata may hold:

    read      a function that converts the raw value, or raises ValueError with what is wrong
    type      the type of the raw value, where it is not that of the field
    example   a valid value, for messages about a missing or invalid one
    or_string whether a string stands for a list of it alone
    secret    the environment variable that holds the value; the field is not a key then

Every message has the form "KEY: what is wrong; what to write", as in `max_papers: must be a whole number, not "10";
write max_papers = 10 without quotes`. The second part is left out where the first says it all.
"""

import difflib
import json
import re
import types
import typing
import unicodedata
import zoneinfo
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from datetime import date, time
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_MAX_KEY = 100  # characters of a key in a message
_MAX_CHOICES = 10  # invalid values of a list in a message
_MAX_PATH, _MAX_NAME = 1000, 240  # bytes of a path and of a name in it; we append to both, and Linux takes 4096 and 255

_TYPE_NAMES = {
    str: "a string in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path in quotes",
    tuple: "a list of strings",
}

_OFFSET = re.compile(r"(?:Etc/)?(?:GMT|UTC)?\s*[+-]\s*\d{1,2}(?::?\d{2})?", re.IGNORECASE)
# Cities that no zone is named after; from tzdata's zone1970.tab, whose comments name the regions of each zone.
_CITIES = {
    "Europe/Berlin": "Munich, München, Hamburg, Cologne, Köln, Frankfurt, Stuttgart, Heidelberg, Dresden, Leipzig",
    "Europe/Zurich": "Geneva, Genève, Lausanne, Basel, Bern",
    "Europe/Vienna": "Wien, Graz, Salzburg",
    "Europe/Paris": "Lyon, Grenoble, Toulouse, Marseille",
    "Europe/London": "Cambridge, Oxford, Edinburgh, Manchester",
    "Europe/Rome": "Milan, Milano, Roma, Turin, Pisa",
    "Europe/Madrid": "Barcelona, Valencia",
    "Europe/Prague": "Praha, Brno",
    "Europe/Warsaw": "Krakow",
    "Europe/Moscow": "Saint Petersburg",
    "America/New_York": "Boston, Washington, Philadelphia, Pittsburgh, Princeton, Atlanta, Baltimore, Ithaca",
    "America/Chicago": "Austin, Houston, Dallas, Madison",
    "America/Los_Angeles": "San Francisco, Seattle, Stanford, Berkeley, San Diego, Palo Alto",
    "America/Toronto": "Ottawa, Waterloo",
    "America/Sao_Paulo": "Rio de Janeiro",
    "Asia/Kolkata": "Delhi, New Delhi, Mumbai, Bangalore, Bengaluru, Chennai, Hyderabad",
    "Asia/Shanghai": "Beijing, Shenzhen, Hangzhou, Guangzhou, Nanjing",
    "Asia/Tokyo": "Kyoto, Osaka, Tokio",
    "Asia/Jerusalem": "Haifa",
    "Australia/Sydney": "Canberra",
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
    or_string = "a string in quotes or " if field.metadata.get("or_string") else ""
    if or_string and isinstance(raw, str):
        raw = [raw]
    if not _has_type(raw, wanted):
        limits = f" {reader}" if isinstance(reader, _Range) else ""
        example = f"write something like {key} = {field.metadata['example']}" if "example" in field.metadata else ""
        expected = or_string + _TYPE_NAMES[typing.get_origin(wanted) or wanted] + limits
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


def invalid_choices(expected: str, wrong: Mapping[str, Sequence[str]], hint: str) -> ValueError:
    """The error for values of a list that are not what was `expected`, like "days": all of them.

    `wrong` maps each to the values that may have been meant; `hint` says what to write for one without such a value.
    """
    described = [
        quote_value(value) + (f" (did you mean {quote_choices(meant)}?)" if meant else "")
        for value, meant in islice(wrong.items(), _MAX_CHOICES)
    ]
    more = f" and {len(wrong) - _MAX_CHOICES:,} more" if len(wrong) > _MAX_CHOICES else ""
    return ValueError(
        f"must be {expected}, not {' or '.join(described)}{more}" + ("" if all(wrong.values()) else f"; {hint}")
    )


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


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def weekdays(names: Iterable[str]) -> frozenset[int]:
    """A reader for days of the week, in upper or lower case; it returns their numbers from 0, which is Monday."""
    found = {name: name.strip().lower() for name in names}
    if not found:
        raise ValueError('must not be empty; write days like "mon" and "fri"')
    if wrong := {
        name: [d for d in WEEKDAYS if low.startswith(d)] for name, low in found.items() if low not in WEEKDAYS
    }:
        raise invalid_choices("days of the week", wrong, f"write {quote_choices(WEEKDAYS)}")
    return frozenset(map(WEEKDAYS.index, found.values()))


def weekday_names(days: Iterable[int]) -> list[str]:
    """The names that `weekdays` reads, from Monday on."""
    return [WEEKDAYS[day] for day in sorted(days)]


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
        if _OFFSET.fullmatch(name):  # Etc/GMT+2 is UTC-2, as in POSIX, and no offset knows when clocks change
            hint = 'write the zone of a place, like "Europe/Berlin": it also knows when clocks change'
        raise invalid_value("a time zone", name, hint) from None


def _closest_zone(name: str) -> str:
    """The zone with that name in another case, or with that city, or nearly so; "" for none.

    A similar name is one with a misspelled city: nothing is similar to an abbreviation (CEST is not EST), and Munich is
    not Zurich.
    """
    place, city = _fold_zone(name), _fold_zone(name.rpartition("/")[2])
    known = {_fold_zone(zone): zone for zone in sorted(zoneinfo.available_timezones()) if not zone.startswith("Etc/")}
    cities: dict[str, str] = {}
    for zone in known.values():
        cities.setdefault(_fold_zone(zone.rpartition("/")[2]), zone)
    cities |= {_fold_zone(other): zone for zone, others in _CITIES.items() for other in others.split(", ")}
    near = _closest(city, cities, 0.8) if len(city) > 4 else ""
    return known.get(place) or cities.get(city) or cities.get(near, "")


def _fold_zone(name: str) -> str:
    """A name without case, accents, spaces and signs."""
    return "".join(c for c in unicodedata.normalize("NFKD", name.casefold()) if c.isalnum() or c == "/")


def _closest(word: str, known: Collection[str], cutoff: float = 0.6) -> str:
    """The most similar word among `known`; "" for none. `cutoff` is difflib's, from 0 to 1."""
    return next(iter(difflib.get_close_matches(word, known, n=1, cutoff=cutoff)), "")
