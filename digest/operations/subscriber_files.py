"""The list of subscribers as a table, as CSV and as JSON, and back again. What is written can be read."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from digest.mail.address import parse_mailbox
from digest.papers.text.clean import clean
from digest.papers.text.fit import format_table
from digest.store.subscribers import FOREVER, ImportedSubscriber, ImportResult, SubscriberStatus

_STATES = ("active", "paused", "suspended", "left", "dropped")
_COLUMNS = ("address", "state", "topics", "max_papers", "paused_until")
_BETWEEN = "|"  # topics in one cell of CSV
_ADDRESS = ("address", "email", "e-mail", "mail")  # what others call the column
_BETWEEN_VALUES = re.compile(r"[\s,]*")
_FORMULA = "=+-@"  # what a spreadsheet takes for the beginning of one
_ROW = 10_000  # characters of a line of JSON that are decoded apart from the rest
_FEW = 50  # bad rows named one by one
_SHORT = 60

Topics = Callable[[str], str]  # a topic's name as somebody wrote it -> as the configuration does, or ValueError


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that could not be taken, by the line it begins in, and what is wrong with it."""

    line: int
    problem: str


def write_subscribers(standings: Iterable[SubscriberStatus], form: str, topics: Iterable[str]) -> Iterator[str]:
    """The list as `table`, `csv` or `json`, in pieces as they are needed; a table says which are none of `topics`."""
    return _table(standings, set(topics)) if form == "table" else {"csv": _csv, "json": _json}[form](standings)


def _table(standings: Iterable[SubscriberStatus], topics: set[str]) -> Iterator[str]:
    rows = [("ADDRESS", "STATE", "TOPICS", "PAPERS", "")]
    for s in standings:
        note = s.why or ("named in digest.to" if s.configured else "")
        chosen = ", ".join(name if name in topics else f"{name} (not there)" for name in s.profile.topics or ())
        rows.append((s.address, _state(s), chosen or "all", _most(s) or "all", note))
    nobody = "Nobody yet: name addresses in digest.to, or `digest subscribers add` them."
    yield (format_table(rows) if len(rows) > 1 else nobody) + "\n"


def _state(standing: SubscriberStatus) -> str:
    until = standing.paused
    return f"paused until {until}" if until and until != FOREVER and standing.state == "paused" else standing.state


def _most(standing: SubscriberStatus) -> str:
    return str(standing.profile.max_papers or "")


def _csv(standings: Iterable[SubscriberStatus]) -> Iterator[str]:
    """A header and a line each; topics of one subscriber stand between |."""
    yield ",".join(_COLUMNS) + "\n"
    for standing in standings:
        row = _row(standing)
        # No spreadsheet computes what stands in angle brackets, and `read` knows them.
        given = f"<{standing.address}>" if standing.address[0] in _FORMULA else standing.address
        until = row["paused_until"] or ""
        yield _csv_line([given, row["state"], _cell(row["topics"] or ()), _most(standing), until])


def _csv_line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(cells)
    return out.getvalue()


def _json(standings: Iterable[SubscriberStatus]) -> Iterator[str]:
    """One JSON array, a subscriber a line."""
    before = "["
    for standing in standings:
        row = {**_row(standing), "configured": standing.configured, "why": standing.why, "bounces": standing.bounces}
        yield f"{before}\n  {json.dumps(row, ensure_ascii=False)}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _row(standing: SubscriberStatus) -> dict[str, Any]:
    return {
        "address": standing.address,
        "state": standing.state,
        "topics": None if standing.profile.topics is None else list(standing.profile.topics),
        "max_papers": standing.profile.max_papers,
        "paused_until": standing.paused.isoformat() if standing.paused else None,
    }


def read_subscribers(data: bytes, topics: Topics) -> Iterator[ImportedSubscriber | BadRow]:
    """Subscribers from CSV (`,`, `;` or tab), plain addresses a line, or JSON (an array, or an object a line).

    Every row comes out as a `Line` or as `Bad`; nothing is left out but empty lines and repeated headers.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        yield BadRow(line, "it is not UTF-8 text; save the file as UTF-8")
        return
    rows = _json_rows(text) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text)
    for number, row in rows:
        try:
            yield row if isinstance(row, BadRow) else _line(row, topics)
        except ValueError as problem:
            yield BadRow(number, str(problem))
        except RecursionError:  # of showing or reading a value within a value within a value
            yield BadRow(number, "it is nested too deep")


def _csv_rows(text: str) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """(line it begins in, row by column) of CSV; without a header every line is an address and nothing else."""
    header = ["address"]
    for number, cells in _records(list(io.StringIO(text, newline=""))):
        if isinstance(cells, BadRow):
            yield number, cells
            continue
        named = [cell.strip().lower().replace(" ", "_") for cell in cells]
        if header == ["address"] and set(named) & set(_ADDRESS):
            header = named
        elif any("@" in cell for cell in cells[len(header) :]):
            yield number, BadRow(number, f"{_short(cells[len(header)])} stands in no column; write one address a line")
        elif any(named):
            yield number, dict(zip(header, (cell.strip() for cell in cells), strict=False))


def _records(lines: Sequence[str]) -> Iterator[tuple[int, list[str] | BadRow]]:
    """(line it begins in, cells) of CSV. A quote that is not closed costs its own line, not those after it."""
    delimiter = max(",;\t", key=next((line for line in lines if line.strip()), "").count)
    begins = 0
    while begins < len(lines):
        # From here on, without a copy of the rest: there may be as many bad lines as lines.
        reader = csv.reader(map(lines.__getitem__, range(begins, len(lines))), delimiter=delimiter, strict=True)
        start = begins
        try:
            for cells in reader:
                yield begins + 1, cells
                begins = start + reader.line_num
        except csv.Error as problem:
            yield begins + 1, BadRow(begins + 1, f"it is not CSV: {problem}")
            begins += 1


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    """(line it begins in, value) of each element of a JSON array, or of each value one after the other."""
    line, counted = 1, 0
    array = text.lstrip().startswith("[")
    place = text.index("[") + 1 if array else 0
    while (found := _BETWEEN_VALUES.match(text, place)) and found.end() < len(text):
        place = found.end()
        line, counted = line + text.count("\n", counted, place), place
        if array and text[place] == "]":
            array, place = False, place + 1
            continue
        try:
            value, place = _value(text, place)
            yield line, value
        except (ValueError, RecursionError):
            yield line, BadRow(line, "it is not JSON" + ("; the rows after it were not read" if array else ""))
            end = text.find("\n", place)
            if array or end < 0:
                return
            place = end
    if array:
        yield line, BadRow(line, "the array has no end; the file may be cut off")


def _value(text: str, place: int) -> tuple[Any, int]:
    """The JSON value that begins at `place`, and where it ends. Raises ValueError or RecursionError."""
    decoder, end = json.JSONDecoder(), text.find("\n", place)
    if 0 < end - place < _ROW:
        # The line by itself: to tell where an error is, Python counts the lines of all it was given.
        row = text[place:end].rstrip()
        try:
            value, length = decoder.raw_decode(row)
        except json.JSONDecodeError as problem:
            if problem.pos < len(row):
                raise
        else:
            return value, place + length
    return decoder.raw_decode(text, place)


def _line(row: Any, topics: Topics) -> ImportedSubscriber:
    """A row as a subscriber. Raises ValueError with what is wrong in words."""
    if isinstance(row, str):
        row = {"address": row}
    if not isinstance(row, Mapping):
        raise ValueError(f'{_short(row)} is no subscriber; write an object like {{"address": "you@example.org"}}')
    given = next((row[key] for key in _ADDRESS if row.get(key)), None)
    if not isinstance(given, str):
        raise ValueError("it has no address")
    try:
        wire = parse_mailbox(given).address
    except ValueError as problem:
        raise ValueError(f"{_short(given)} {problem}") from None
    state = _state_of(row)
    # Who gets no mail is taken in with topics that are no more: it is by being known that they stay out.
    chosen = _topics(row, clean if state in ("suspended", "left", "dropped") else topics)
    until = _until(row) or (FOREVER if state == "paused" else None)
    return ImportedSubscriber(wire, chosen, _papers(row), until, state, clean(str(row.get("why") or ""))[:300])


def _state_of(row: Mapping[str, Any]) -> str:
    """How a row says its subscriber stands, '' where it does not: nobody is subscribed who may not want to be."""
    given = row.get("state") or ""
    state = given.casefold() if isinstance(given, str) else ""
    if given and state not in _STATES:
        raise ValueError(f"state {_short(given)} is none of {', '.join(_STATES)}; write left for who wants no mail")
    return state


def _topics(row: Mapping[str, Any], topics: Topics) -> tuple[str, ...] | None:
    """None where the row has no such column, () for all topics."""
    if "topics" not in row:
        return None
    given = row["topics"] or []
    names = _listed(given) if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"topics {_short(given)} are no list of names")
    return tuple(dict.fromkeys(topics(name.strip()) for name in names if name.strip()))


def _cell(topics: Sequence[str]) -> str:
    """Topics in one cell: between |, or as JSON where that would not come back as it went."""
    plain = not any(_BETWEEN in name or name.startswith("[") for name in topics)
    return _BETWEEN.join(topics) if plain else json.dumps(topics, ensure_ascii=False)


def _listed(cell: str) -> Any:
    """The topics in one cell."""
    try:
        return json.loads(cell) if cell.startswith("[") else cell.split(_BETWEEN)
    except json.JSONDecodeError:
        return cell.split(_BETWEEN)


def _papers(row: Mapping[str, Any]) -> int | None:
    """None where the row has no such column, 0 for as many as the digest has."""
    if "max_papers" not in row:
        return None
    given = row["max_papers"] or 0
    if isinstance(given, bool) or not re.fullmatch(r"[0-9]{1,4}", str(given)) or int(given) > 1000:
        raise ValueError(f"max_papers {_short(given)} is not a whole number from 1 to 1000")
    return int(given)


def _until(row: Mapping[str, Any]) -> date | None:
    given = row.get("paused_until") or ""
    try:
        return date.fromisoformat(given) if given else None
    except (TypeError, ValueError):
        raise ValueError(f"paused_until {_short(given)} is not a date; write one like 2026-12-01") from None


def split_rows(rows: Iterable[ImportedSubscriber | BadRow], bad: list[BadRow]) -> Iterator[ImportedSubscriber]:
    """The good rows; the others go into `bad`."""
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            yield row


def format_import(done: ImportResult) -> str:
    """What an import came to."""
    told = [f"Added {done.added:,}; {done.known:,} were here already."]
    if done.unsubscribed:
        names = ", ".join(done.unsubscribed[:_FEW]) + (" …" if len(done.unsubscribed) > _FEW else "")
        told.append(
            f"{len(done.unsubscribed):,} unsubscribed before and stay so, until `digest subscribers add`: {names}"
        )
    return "\n".join(told)


def format_bad_rows(bad: Sequence[BadRow]) -> str:
    """A sentence for each bad row, by line, as far as a person would read."""
    few = [f"line {row.line}: {row.problem}" for row in bad[:_FEW]]
    more = [f"… and {len(bad) - _FEW:,} more"] if len(bad) > _FEW else []
    many = f"{len(bad):,} rows" if len(bad) != 1 else "1 row"
    return "\n".join([f"{many} could not be taken:", *few, *more])


def _short(value: object) -> str:
    words = repr(value)
    return words if len(words) <= _SHORT else f"{words[: _SHORT - 1]}…"
