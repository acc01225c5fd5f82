"""Lists of subscribers as a table, CSV or JSON, and back: what `write_subscribers` writes, `read_subscribers` reads."""

import csv
import io
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

from digest.logs import escape
from digest.mail.address import parse_mailbox
from digest.mail.shard import Shard
from digest.papers.text.clean import clean
from digest.papers.text.fit import format_table, plural, snippet
from digest.pipeline.context import Context
from digest.ranking import Profile
from digest.settings import weekday_names, weekdays
from digest.store.labels import Label
from digest.store.outbox import MailStatus
from digest.store.subscribers import FOREVER, ImportedSubscriber, ImportResult, SubscriberStatus

_STATES = ("active", "paused", "suspended", "left", "dropped")
_COLUMNS = ("address", "state", "topics", "max_papers", "paused_until", "days", "joined_by_mail", "feedback")
_ADDRESS_COLUMNS = ("address", "email", "e-mail", "mail")  # what other programs call it
_SEPARATOR = "|"  # of topics or days in a cell of CSV
_FORMULA_SIGNS = "=+-@"  # a cell that begins with one is a formula to a spreadsheet
_PLAIN_TOPIC = re.compile(r"[^\W_][^|;\t\r\n]*")  # some spreadsheets also begin a new cell after ; or a tab
MAX_BYTES = 256 * 2**20  # of a file; 100,000 subscribers take 10 to 20 MB, without the papers they were shown
# See digest.papers. JSON can name a surrogate, which is no character.
_NAME = re.compile(r"(?:arxiv|doi|id|title):[^\s\x00-\x1f\ud800-\udfff][^\x00-\x1f\ud800-\udfff]{0,1500}")
_FIRST_MAIL = date(2000, 1, 1)  # of any digest; what is imported may take the days before another one
_MAX_BAD_ROWS = 100_000  # after them, nothing more is read
_MAX_LISTED = 50  # rows or addresses that a report lists
_MAX_PROBLEM = 300  # characters of what is wrong with a row
_MAX_REPLY = 60  # characters of a server's reply in a table
_MAX_TITLE = 60  # characters of a title in a table
_MAX_NAME = 600  # characters of the name or title of a labelled paper
_MAX_QUOTED = 60  # characters of an invalid value in a message

ReadShown = Callable[[str], tuple[Sequence[str], date | None]]  # an address -> names of papers, day of the last mail
ParseTopic = Callable[[str], str]  # a topic's name in a file -> as the configuration spells it, or ValueError


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be imported: the line in which it begins, and what is wrong with it."""

    line: int
    problem: str


def write_subscribers(
    statuses: Iterable[SubscriberStatus],
    form: str,
    topics: Iterable[str],
    labels: Mapping[str, Sequence[Label]] | None = None,
    shown: ReadShown | None = None,
    width: int = 0,
) -> Iterator[str]:
    """Format subscribers as `table`, `csv` or `json`, piece by piece.

    A table marks topics that are not in `topics`, and fits into `width` columns, if that is not 0. `labels` are those
    of each subscriber who has any, by address. With `shown`, JSON has the papers that each was shown and the day of the
    last mail.
    """
    if form == "table":
        return _write_table(statuses, set(topics), width)
    return _write_csv(statuses, labels or {}) if form == "csv" else _write_json(statuses, labels or {}, shown)


def _write_table(statuses: Iterable[SubscriberStatus], topics: set[str], width: int) -> Iterator[str]:
    rows = [("ADDRESS", "STATE", "TOPICS", "MAX PAPERS", "DAYS", "NOTE")]
    for s in statuses:
        rows.append((s.address, _format_state(s), *format_profile(s.profile, topics), _format_note(s)))
    empty = "No subscribers. `digest subscribers add ADDR` adds one; `list --all` also shows those who unsubscribed."
    yield (format_table(rows, width) if len(rows) > 1 else empty) + "\n"


def _format_note(status: SubscriberStatus) -> str:
    """Why they get no mail, unless the state says so, or how they became a subscriber."""
    return "" if status.state == "left" else status.why or _format_joined(status)


def _format_joined(status: SubscriberStatus) -> str:
    """How somebody became a subscriber, or where their request to become one is."""
    if status.state == "pending":
        return "asked by mail, not confirmed yet"
    by_mail = f"joined by mail on {status.confirmed}" if status.confirmed else ""
    by_hand = "in digest.to" if status.configured else "" if by_mail else "added by hand"
    return ", ".join(filter(None, (by_hand, by_mail)))


def format_profile(profile: Profile, topics: Collection[str]) -> tuple[str, str, str]:
    """The topics, papers in a mail and days of a profile, for people; marks topics that are not in `topics`."""
    names = ", ".join(name if name in topics else f"{name} (no such topic)" for name in profile.topics or ())
    return names or "all", str(profile.max_papers or "default"), ", ".join(weekday_names(profile.days or ())) or "all"


def format_subscriber(
    status: SubscriberStatus,
    mails: Sequence[MailStatus],
    topics: Collection[str],
    labels: Sequence[Label] = (),
    width: int = 0,
) -> str:
    """One subscriber, what they said about papers, and their last mails, in `width` columns; 0 means no limit."""
    names, max_papers, days = format_profile(status.profile, topics)
    facts = {
        "state": _format_state(status) + (f": {status.why}" if status.why and status.state != "left" else ""),
        "topics": names,
        "max papers": max_papers,
        "days": days,
        "in digest.to": "yes" if status.configured else "no",
        "joined": f"by mail on {status.confirmed}" if status.confirmed else "",
        "bounces": f"{status.bounces:,} in a row" if status.bounces else "",
    }
    lines = [status.address, *(f"  {name:<13} {fact}" for name, fact in facts.items() if fact)]
    if labels:
        rows = [("FEEDBACK", "DAY", "PAPER", "TITLE")]
        rows += [
            (_word(label), label.day.isoformat(), label.paper, snippet(label.title, _MAX_TITLE)) for label in labels
        ]
        lines += ["", format_table(rows), ""]
    if not mails:
        return "\n".join([*lines, "No mail so far."])
    rows = [("MAIL OF", "PAPERS", "STATE", "REPLY")]
    rows += [(mail.day.isoformat(), f"{mail.papers:,}", mail.state, snippet(mail.reply, _MAX_REPLY)) for mail in mails]
    return "\n".join([*lines, "", format_table(rows, width)])


def subscriber_document(
    status: SubscriberStatus, mails: Sequence[MailStatus], labels: Sequence[Label] = ()
) -> dict[str, Any]:
    """The document of `subscribers show --json`: as in `list --json`, and the last mails, newest first."""
    shown = [{**asdict(mail), "day": mail.day.isoformat()} for mail in mails]
    return {**_json_row(status, labels), "mails": shown}


def _word(label: Label) -> str:
    return "more" if label.liked else "less"


def _format_state(status: SubscriberStatus) -> str:
    if status.state == "paused" and status.paused and status.paused != FOREVER:
        return f"paused until {status.paused}"
    return status.why if status.state == "left" else status.state  # "unsubscribed on" a day


def _write_csv(statuses: Iterable[SubscriberStatus], labels: Mapping[str, Sequence[Label]]) -> Iterator[str]:
    yield _csv_line(_COLUMNS)
    for status in statuses:
        row = _row(status, labels.get(status.address, ()))
        if status.address[0] in _FORMULA_SIGNS:  # angle brackets keep it from being a formula, and can be read back
            row["address"] = f"<{status.address}>"
        row["topics"] = _format_topics(row["topics"] or ())
        row["days"] = _SEPARATOR.join(row["days"] or ())
        row["feedback"] = _json_cell(row["feedback"]) if row["feedback"] else ""
        yield _csv_line([row[column] or "" for column in _COLUMNS])


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _write_json(
    statuses: Iterable[SubscriberStatus], labels: Mapping[str, Sequence[Label]], shown: ReadShown | None
) -> Iterator[str]:
    """One JSON array, with a line for each subscriber."""
    before = "["
    for status in statuses:
        row = _json_row(status, labels.get(status.address, ()))
        if shown:
            names, last_mail = shown(status.address)
            row |= {"shown": names, "last_mail": last_mail and last_mail.isoformat()}
        yield f"{before}\n  {escape(json.dumps(row, ensure_ascii=False))}"
        before = ","
    yield "[]\n" if before == "[" else "\n]\n"


def _json_row(status: SubscriberStatus, labels: Sequence[Label]) -> dict[str, Any]:
    return {**_row(status, labels), "configured": status.configured, "why": status.why, "bounces": status.bounces}


def _row(status: SubscriberStatus, labels: Sequence[Label]) -> dict[str, Any]:
    return {
        "address": status.address,
        "state": status.state,
        "topics": None if status.profile.topics is None else list(status.profile.topics),
        "max_papers": status.profile.max_papers,
        "paused_until": status.paused.isoformat() if status.paused else None,
        "days": None if status.profile.days is None else weekday_names(status.profile.days),
        "joined_by_mail": status.confirmed.isoformat() if status.confirmed else None,
        "feedback": [
            {"paper": label.paper, "title": label.title, "label": _word(label), "day": label.day.isoformat()}
            for label in labels
        ],
    }


def read_subscribers(data: bytes, parse_topic: ParseTopic) -> Iterator[ImportedSubscriber | BadRow]:
    """Read subscribers from CSV (`,`, `;` or tab), one address per line, or JSON (an array, or one value per line).

    Every row yields an ImportedSubscriber or a BadRow, except empty lines and headers.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        yield BadRow(data.count(b"\n", 0, error.start) + 1, "not valid UTF-8; save the file as UTF-8")
        return
    rows = _read_json(text) if text.lstrip()[:1] in ("[", "{") else _read_csv(text)
    bad = 0
    for line, row in rows:
        if bad == _MAX_BAD_ROWS:
            yield BadRow(line, "too many invalid rows; nothing was read from here on")
            return
        parsed = row if isinstance(row, BadRow) else _try_row(line, row, parse_topic)
        bad += isinstance(parsed, BadRow)
        yield parsed


def _try_row(line: int, row: Any, parse_topic: ParseTopic) -> ImportedSubscriber | BadRow:
    try:
        return _parse_row(row, parse_topic)
    except ValueError as error:
        problem = str(error)
        return BadRow(line, problem if len(problem) <= _MAX_PROBLEM else f"{problem[: _MAX_PROBLEM - 1]}…")
    except RecursionError:  # when a deeply nested value is printed or parsed
        return BadRow(line, "nested too deeply")


def _read_csv(text: str) -> Iterator[tuple[int, Mapping[str, Any] | BadRow]]:
    """(line, row by column) of CSV; without a header, every line is an address and nothing else."""
    header = ["address"]
    for line, cells in _csv_records(list(io.StringIO(text, newline=""))):
        if isinstance(cells, BadRow):
            yield line, cells
            continue
        names = [cell.strip().lower().replace(" ", "_") for cell in cells]
        if header == ["address"] and set(names) & set(_ADDRESS_COLUMNS):
            header = names
        elif any("@" in cell for cell in cells[len(header) :]):
            extra = _quote(cells[len(header)])
            yield line, BadRow(line, f"unexpected {extra} after the last column; write one address per line")
        elif any(names):
            yield line, dict(zip(header, (cell.strip() for cell in cells), strict=False))


def _csv_records(lines: Sequence[str]) -> Iterator[tuple[int, list[str] | BadRow]]:
    """(line, cells) of CSV. A quote that is not closed spoils its own line, not those after it."""
    delimiter = max(",;\t", key=next((line for line in lines if line.strip()), "").count)
    begin = tried = 0
    while begin < len(lines):
        # What was within quotes in vain is read again line by line: a quote opened there would lead to the same end.
        end = begin + 1 if begin < tried else len(lines)
        reader = csv.reader(map(lines.__getitem__, range(begin, end)), delimiter=delimiter, strict=True)
        start = begin
        try:
            for cells in reader:
                yield begin + 1, cells
                begin = start + reader.line_num
        except csv.Error as error:
            yield begin + 1, BadRow(begin + 1, f"not valid CSV: {error}")
            tried = max(tried, start + reader.line_num - 1)
            begin += 1


def _read_json(text: str) -> Iterator[tuple[int, Any]]:
    """(line, value) of each element of a JSON array; of each line, where the text is not one valid array."""
    try:
        is_array = isinstance(json.loads(text), list)
    except (ValueError, RecursionError):
        is_array = False
    if is_array:
        yield from _array_elements(text)
        return
    lines = text.rstrip().split("\n")
    for number, line in enumerate(lines, start=1):
        if value := line.strip("[], \t\r"):  # what is around a value in an array with a value per line
            try:
                yield number, json.loads(value)
            except (ValueError, RecursionError):
                yield number, BadRow(number, "not valid JSON")
    if text.lstrip().startswith("[") and "]" not in text:
        yield len(lines), BadRow(len(lines), "the array is not closed; the file may be incomplete")


def _array_elements(text: str) -> Iterator[tuple[int, Any]]:
    decoder, line, counted = json.JSONDecoder(), 1, 0
    place = text.index("[") + 1
    while (start := _next_value(text, place)) is not None:
        line, counted = line + text.count("\n", counted, start), start
        value, place = decoder.raw_decode(text, start)
        yield line, value


def _next_value(text: str, place: int) -> int | None:
    """Where the next element of a valid array starts; None at its end."""
    found = re.compile(r"[^\s,]").search(text, place)
    return found.start() if found and found[0] != "]" else None


def _parse_row(row: Any, parse_topic: ParseTopic) -> ImportedSubscriber:
    """Parse a row. Raises ValueError with what is wrong."""
    if isinstance(row, str):
        row = {"address": row}
    if not isinstance(row, Mapping):
        raise ValueError(f'must be an object like {{"address": "you@example.org"}}, not {_quote(row)}')
    given = next((row[column] for column in _ADDRESS_COLUMNS if row.get(column)), None)
    if not isinstance(given, str):
        raise ValueError("the address is missing")
    try:
        address = parse_mailbox(given).address
    except ValueError as error:
        raise ValueError(f"{_quote(given)} {error}") from None
    state = _parse_state(row)
    # Subscribers who get no mail may have topics that no longer exist: they must be known to stay without mail.
    topics = _parse_topics(row, clean if state in ("suspended", "left", "dropped") else parse_topic)
    until = _parse_date(row, "paused_until") or (FOREVER if state == "paused" else None)
    why = clean(str(row.get("why") or ""))[:300]
    return ImportedSubscriber(
        address,
        topics,
        _parse_limit(row),
        until,
        state,
        why,
        days=_parse_days(row),
        shown=_parse_shown(row),
        last_mail=_parse_date(row, "last_mail"),
        confirmed=_parse_date(row, "joined_by_mail"),
        labels=_parse_labels(row),
    )


def _parse_state(row: Mapping[str, Any]) -> str:
    """The state of a row, '' if it has none. An unknown one is an error: it may mean that they want no mail."""
    given = row.get("state") or ""
    state = given.casefold() if isinstance(given, str) else ""
    if given and state not in _STATES:
        names = f"{', '.join(_STATES[:-1])} or {_STATES[-1]}"
        raise ValueError(f"state: must be {names}, not {_quote(given)}; write left for an unsubscribed address")
    return state


def _parse_topics(row: Mapping[str, Any], parse_topic: ParseTopic) -> tuple[str, ...] | None:
    """None if the row has no such column, () for all topics."""
    if "topics" not in row:
        return None
    given = row["topics"] or []
    names = _split_topics(given) if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"topics: must be a list of names, not {_quote(given)}")
    return tuple(dict.fromkeys(parse_topic(name.strip()) for name in names if name.strip()))


def _json_cell(value: object) -> str:
    """JSON in a cell of CSV; some spreadsheets begin a new cell after ; even within quotes."""
    return json.dumps(value, ensure_ascii=False).replace(";", "\\u003b")


def _format_topics(topics: Sequence[str]) -> str:
    """Topics in one cell, separated by |; as JSON if a spreadsheet would run that, or if it could not be read back."""
    if all(map(_PLAIN_TOPIC.fullmatch, topics)):
        return _SEPARATOR.join(topics)
    return _json_cell(topics)


def _split_topics(cell: str) -> Any:
    try:
        return json.loads(cell) if cell.startswith("[") else cell.split(_SEPARATOR)
    except json.JSONDecodeError:
        return cell.split(_SEPARATOR)


def _parse_limit(row: Mapping[str, Any]) -> int | None:
    """None if the row has no such column, 0 for digest.max_papers."""
    if "max_papers" not in row:
        return None
    given = row["max_papers"] or 0
    if isinstance(given, bool) or not re.fullmatch(r"[0-9]{1,4}", str(given)) or int(given) > 1000:
        raise ValueError(f"max_papers: must be a whole number from 1 to 1000, not {_quote(given)}")
    return int(given)


def _parse_days(row: Mapping[str, Any]) -> frozenset[int] | None:
    """None if the row has no such column, an empty set for every day."""
    if "days" not in row:
        return None
    given = row["days"] or []
    names = re.split(r"[|,; ]+", given.strip("|,; ")) if isinstance(given, str) else given
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"days: must be a list of days, not {_quote(given)}")
    try:
        return weekdays(names) if names and names != [""] else frozenset()
    except ValueError as error:
        raise ValueError(f"days: {error}") from None


def _parse_labels(row: Mapping[str, Any]) -> tuple[Label, ...]:
    """What a subscriber said about papers: a list of objects, in CSV as JSON."""
    given = row.get("feedback") or []
    try:
        listed = json.loads(given) if isinstance(given, str) else given
        return tuple(_parse_label(label) for label in listed)
    except (ValueError, TypeError, KeyError, AttributeError):
        like = '[{"paper": "arxiv:2604.00001", "label": "more"}]'
        raise ValueError(f"feedback: must be a list like {like}, not {_quote(given)}") from None


def _parse_label(label: Mapping[str, Any]) -> Label:
    liked = {"more": True, "less": False}[label["label"]]
    title, day = label.get("title") or "", date.fromisoformat(label.get("day") or date.min.isoformat())
    return Label(clean(label["paper"])[:_MAX_NAME], clean(title)[:_MAX_NAME], liked, day)


def import_labels(context: Context, imported: Iterable[ImportedSubscriber], today: date) -> int:
    """Store the labels of subscribers who were imported; return how many there were for papers that are not known.

    A paper that this history does not know is stored under its name and title, if it has one.
    """
    unknown = 0
    for row in imported:
        subscriber = context.subscribers.by_address(row.address)
        for label in row.labels if subscriber.id else ():
            paper = context.papers.find_named(label.paper)
            if paper is None and label.title:
                paper = context.papers.record_unlisted(label.paper, label.title)
            if paper is None:
                unknown += 1
            else:
                context.labels.put(subscriber.id, paper, label.liked, label.day if label.day > date.min else today)
    return unknown


def _parse_date(row: Mapping[str, Any], column: str) -> date | None:
    given = row.get(column) or ""
    try:
        return date.fromisoformat(given) if given else None
    except (TypeError, ValueError):
        raise ValueError(f"{column}: must be a date like 2026-12-01, not {_quote(given)}") from None


def _parse_shown(row: Mapping[str, Any]) -> tuple[str, ...]:
    given = row.get("shown") or []
    if not isinstance(given, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in given):
        raise ValueError(f'shown: must be a list of names like "arxiv:2604.00001", not {_quote(given)}')
    if given and not row.get("last_mail"):
        raise ValueError("last_mail: is missing; write the day up to which these papers were shown, like 2026-12-01")
    if (last_mail := _parse_date(row, "last_mail")) and last_mail < _FIRST_MAIL:
        raise ValueError(f"last_mail: must be a day since {_FIRST_MAIL}, not {last_mail}")
    return tuple(given)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…"


def split_rows(rows: Iterable[ImportedSubscriber | BadRow], bad: list[BadRow]) -> Iterator[ImportedSubscriber]:
    """Yield the good rows, and append the others to `bad`."""
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            yield row


def format_import(result: ImportResult, shard: Shard | None, elsewhere: int, unknown: int = 0) -> str:
    """What an import did; `elsewhere` are those that belong to other shards, `unknown` votes for unknown papers."""
    lines = [f"Added {plural(result.added, 'subscriber')}; {result.known:,} already existed."]
    if shard:
        lines.append(f"Left out {plural(elsewhere, 'subscriber')} of other shards; this is shard {shard}.")
    if unsubscribed := result.unsubscribed:
        names = ", ".join(unsubscribed[:_MAX_LISTED]) + (" …" if len(unsubscribed) > _MAX_LISTED else "")
        again = "`digest subscribers add` subscribes them again"
        lines.append(f"Skipped {len(unsubscribed):,} who unsubscribed earlier; {again}: {names}")
    if unknown:
        lines.append(f"Skipped {plural(unknown, 'vote')} for papers that this history does not know.")
    return "\n".join(lines)


def format_bad_rows(bad: Sequence[BadRow]) -> str:
    """The rows that could not be imported, by line, the first 50 of them one by one."""
    lines = [f"line {row.line}: {row.problem}" for row in bad[:_MAX_LISTED]]
    more = [f"… and {len(bad) - _MAX_LISTED:,} more"] if len(bad) > _MAX_LISTED else []
    return "\n".join([f"{plural(len(bad), 'row')} could not be imported:", *lines, *more])
