"""Parse responses whose entries and fields may be missing or of the wrong type. Pure: no I/O."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any, TypeVar

from digest.errors import SourceError
from digest.sources import Page, Request, Sighting

Entry = TypeVar("Entry")

_MAX_SKIPPED = 10_000  # entries of a page: each leaves a message in the database


def build_page(
    entries: Iterable[Entry],
    parse: Callable[[Entry], Sighting | None],
    noun: str,
    first: int = 1,
    next_request: Request | None = None,
) -> Page:
    """Parse each entry; skip those for which `parse` raises ValueError or returns None (not wanted).

    Messages number the entries from `first` on: "row 3: it has no title", with "row" as the `noun`.
    """
    sightings: list[Sighting] = []
    skipped: list[str] = []
    for number, entry in enumerate(entries, start=first):
        if len(skipped) == _MAX_SKIPPED:
            skipped.append(f"{noun} {number}: not read, after so many invalid ones")
            break
        try:
            if sighting := parse(entry):
                sightings.append(sighting)
        except ValueError as problem:
            skipped.append(f"{noun} {number}: {problem}")
    return Page(tuple(sightings), next_request, tuple(skipped))


def parse_json(body: bytes) -> Any:
    """Parse a JSON document. Raises SourceError for any other body."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise SourceError(f"the response is not JSON: {describe_start(body)}") from None


def parse_rows(body: bytes) -> list[Any]:
    """Parse a JSON array. Raises SourceError for any other body."""
    rows = parse_json(body)
    if not isinstance(rows, list):
        raise SourceError(f"the response is not a list of papers: {describe_start(body)}")
    return rows


def describe_start(body: bytes) -> str:
    """Say what a body looks like, for an error message; without a word of it, since anybody may have written it."""
    start = body[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        return "it is empty"
    kinds = {b"<!doctype html": "HTML", b"<html": "HTML", b"<": "XML", b"{": "JSON", b"[": "JSON"}
    kind = next((kind for beginning, kind in kinds.items() if start.startswith(beginning)), "")
    return f"it looks like {kind}" if kind else "it looks like neither HTML, XML nor JSON"


def first_text(row: Mapping[str, Any], *keys: str) -> str:
    """Return the first string under `keys` that is not blank, '' if there is none."""
    return next((row[key] for key in keys if isinstance(row.get(key), str) and row[key].strip()), "")


def text_list(value: object) -> tuple[str, ...]:
    """Return the strings of a list. A string is taken as a list of one, anything else as an empty list."""
    items: Iterable[object] = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))


def parse_day(value: object) -> date | None:
    """Return the date at the start of an ISO 8601 timestamp, whatever its time zone; None for anything else."""
    try:
        return date.fromisoformat(value[:10]) if isinstance(value, str) else None
    except ValueError:
        return None


def parse_count(value: object) -> int | None:
    """Return a number of votes, rounded down; None for what is not a number from 0 to 2^53."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        return None
    return int(value)
