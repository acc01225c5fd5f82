"""Every paper ever listed, under all its names, and each time a source listed it.

A recorded paper is not yet a sent one: see `digest.store.outbox`.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from itertools import groupby, islice
from typing import TYPE_CHECKING

from digest.papers import Paper, build_paper, is_same_paper, merge_papers, paper_names, parse_name
from digest.ranking import Candidate, Listing
from digest.sources import Sighting
from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database

# The day on which a paper was first seen that no source listed: every listing is earlier. In the table it is ''.
_UNLISTED = date.max
_MAX_OPEN = 256  # texts in memory while a list is recorded
# Editions that show :paper. It was in no mail before the day on which it was recorded, but for those of other digests.
MAY_SHOW = (
    "(day >= (SELECT min(since) FROM (SELECT recorded AS since FROM papers WHERE id = :paper"
    " UNION ALL SELECT nullif(first_seen, '') FROM papers WHERE id = :paper)) OR sender = '')"
    " AND instr(replace(replace(papers, '[', ','), ']', ','), ',' || :paper || ',')"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A paper on the list of the day `listed`, as it was read on the day `seen`; `votes` is None without votes."""

    seen: date
    source: str
    listed: date
    votes: int | None


@dataclass(frozen=True, slots=True)
class CopiedPaper:
    """A paper of another history, with all its names and readings."""

    paper: Paper
    first_seen: date
    names: tuple[str, ...]
    readings: tuple[Reading, ...]


class Papers:
    """Papers and sightings in the database `db`. A `paper_id` is the number of a row."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def record(self, source: str, sightings: Iterable[Sighting], day: date) -> int:
        """Store what `source` listed when it was read on `day`; return how many papers are new.

        One transaction. Repeating it changes nothing; a later reading on the same day replaces that day's votes.
        """
        new = 0
        with transaction(self._db):
            texts = _Texts(self._db)
            mailed = self._db.execute("SELECT 1 FROM editions WHERE day = ?", [day.isoformat()]).fetchone()
            for sighting in _without_shared_idents(sightings):
                paper_id, is_new = self._store(texts, sighting.paper, day)
                new += is_new
                self._db.execute(
                    "INSERT INTO sightings (paper, source, day, seen, votes, mailed) VALUES (:paper, :source,"
                    " coalesce(:listed, (SELECT min(day) FROM sightings"
                    " WHERE paper = :paper AND source = :source), :seen),"
                    " :seen, :votes, :mailed)"
                    " ON CONFLICT DO UPDATE SET mailed = coalesce(mailed, iif(excluded.mailed IS NULL, NULL, votes)),"
                    " votes = coalesce(excluded.votes, votes)",
                    {
                        "paper": paper_id,
                        "source": source,
                        "listed": sighting.day and sighting.day.isoformat(),
                        "seen": day.isoformat(),
                        "votes": sighting.votes,
                        "mailed": -1 if mailed else None,
                    },
                )
            texts.write()
        return new

    def copy(self, history: str, papers: Iterable[CopiedPaper]) -> tuple[int, int]:
        """Store papers of another history with all their readings; return how many they are, and how many are new.

        Their sources have the weight of the source `history` from now on. Repeating it changes nothing.
        """
        count = new = 0
        for batch in _batched(papers, _MAX_OPEN):
            with transaction(self._db):
                texts = _Texts(self._db)
                for copied in batch:
                    paper_id, is_new = self._store(texts, copied.paper, copied.first_seen)
                    if not copied.paper.from_feed or is_new:
                        self._add_names(paper_id, copied.names)
                    self._copy_readings(history, paper_id, copied.readings)
                    count, new = count + 1, new + is_new
                texts.write()
        return count, new

    def _copy_readings(self, history: str, paper_id: int, readings: Iterable[Reading]) -> None:
        self._db.conn.executemany(
            "INSERT INTO sightings (paper, source, day, seen, votes) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET votes = coalesce(excluded.votes, votes)",
            [(paper_id, r.source, r.listed.isoformat(), r.seen.isoformat(), r.votes) for r in readings],
        )
        self._db.conn.executemany(
            "INSERT INTO origins (source, history) VALUES (?, ?)"
            " ON CONFLICT DO UPDATE SET history = excluded.history WHERE history <> excluded.history",
            sorted({(reading.source, history) for reading in readings}),
        )

    def origins(self) -> dict[str, str]:
        """Return the sources of other histories, and through which source of this digest each came."""
        return dict(self._db.execute("SELECT source, history FROM origins").fetchall())

    def never_asked(self, names: Iterable[str]) -> list[str]:
        """Return the names, like arxiv:2011.13456, of papers that are not recorded and were never looked up."""
        rows = self._db.execute(
            "SELECT DISTINCT value FROM json_each(?) WHERE NOT EXISTS"
            " (SELECT 1 FROM names n JOIN papers p ON p.id = n.paper WHERE n.name = value AND p.title <> '')"
            " AND value NOT IN (SELECT name FROM lookups) ORDER BY value",
            [json.dumps(list(names))],
        )
        return [row[0] for row in rows]

    def record_lookup(self, papers: Iterable[Paper], names: Iterable[str], day: date) -> None:
        """Store papers that no source listed: the answer to a question for `names`, which may lack some.

        They can be found by `find` and be compared with, but are no candidates before a source lists them.
        """
        with transaction(self._db):
            texts = _Texts(self._db)
            for paper in papers:
                self._store(texts, paper, _UNLISTED)
            texts.write()
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO lookups (name, asked) VALUES (?, ?)",
                [(name, day.isoformat()) for name in names],
            )

    def all_listed(self, source: str, sightings: Iterable[Sighting], before: date) -> bool:
        """Return whether `source` listed every one of these on a day before `before`."""
        return all(
            self._db.execute(
                "SELECT 1 FROM names n JOIN sightings s ON s.paper = n.paper WHERE n.name IN"
                " (SELECT value FROM json_each(?)) AND s.source = ? AND s.seen < ? LIMIT 1",
                [json.dumps(paper_names(sighting.paper)), source, before.isoformat()],
            ).fetchone()
            for sighting in sightings
        )

    def candidates(self, day: date, window_days: int, *, as_mailed: bool = False) -> list[Candidate]:
        """Return the papers first seen on `day` or in the `window_days` before it, with their listings up to `day`.

        With `as_mailed`, as they were when the first mail of `day` was made, whatever was read on that day later.
        """
        votes = "iif(s.seen = :day, coalesce(s.mailed, s.votes), s.votes)" if as_mailed else "s.votes"
        rows = self._db.execute(
            f"SELECT p.id, p.first_seen, s.source, s.day, s.seen, {votes} AS counted"  # noqa: S608  ours
            " FROM papers p JOIN sightings s ON s.paper = p.id WHERE p.first_seen BETWEEN :since AND :day"
            " AND s.seen <= :day AND counted IS NOT -1 ORDER BY p.id, s.source, s.day, s.seen",
            {"since": (day - timedelta(window_days)).isoformat(), "day": day.isoformat()},
        )
        return [
            Candidate(paper_id, date.fromisoformat(first_seen), tuple(_listings(readings)))
            for (paper_id, first_seen), readings in groupby(rows, key=lambda row: (row[0], row[1]))
        ]

    def load(self, paper_ids: Iterable[int]) -> dict[int, Paper]:
        """Return papers by id, in the order of their ids; unknown ones are left out."""
        rows = self._db.execute(
            "SELECT id, title, abstract, facts FROM papers WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id",
            [json.dumps(list(paper_ids))],
        )
        return {row[0]: paper_from_row(*row[1:]) for row in rows}

    def known_or_stub(self, name: str) -> int:
        """Return the paper with this name; a new row with nothing but the name if there is none.

        Such a row is no candidate. The first source that lists the paper fills it in, as if it were new on that day.
        """
        if (paper_id := self._by_name(name)) is not None:
            return paper_id
        kind, _, value = name.partition(":")
        arxiv, doi, ident = (value if kind == own else "" for own in ("arxiv", "doi", "id"))
        known = Paper(title="", arxiv=arxiv, doi=doi, ident=ident, from_feed=True)
        paper_id = self._insert(known, _UNLISTED)
        self._add_names(paper_id, [name])
        return paper_id

    def find(self, text: str, *, unlisted: bool = False) -> int | None:
        """Return the id of the paper with this name, title or web address; None if there is none.

        With `unlisted`, it may be one that no source listed.
        """
        from digest.papers.text.readable import fold_title

        name = parse_name(text)
        found = self._db.execute(
            "SELECT paper FROM names WHERE name = :name UNION ALL SELECT paper FROM names WHERE name = :title"
            " UNION ALL SELECT paper FROM names"
            " WHERE name > 'id:' AND name < 'id;' AND substr(name, -length(:own)) = :own LIMIT 1",
            {"name": name, "title": "title:" + fold_title(text)[:400], "own": ":" + name.partition(":")[2]},
        ).fetchone()
        if found is None:
            return None
        title, first_seen = self._db.execute("SELECT title, first_seen FROM papers WHERE id = ?", found).fetchone()
        return int(found[0]) if title and (unlisted or first_seen) else None

    def find_by_beginning(self, text: str, limit: int) -> list[int]:
        """Return the listed papers whose titles begin with `text`, at most `limit`, by title; none for no text."""
        from digest.papers.text.readable import fold_title

        start = "title:" + fold_title(text)[:400]
        rows = self._db.execute(
            "SELECT DISTINCT paper FROM names JOIN papers ON id = paper WHERE name >= :start"
            " AND substr(name, 1, length(:start)) = :start AND name < 'title;' AND :start <> 'title:'"
            " AND first_seen <> '' ORDER BY name LIMIT :limit",
            {"start": start, "limit": limit},
        )
        return [row[0] for row in rows]

    def find_named(self, text: str) -> int | None:
        """Return the id of the paper with exactly this name, listed or not, else what `find` returns."""
        return self._by_name(text) or self.find(text)

    def _by_name(self, name: str) -> int | None:
        row = self._db.execute("SELECT paper FROM names WHERE name = ?", [name]).fetchone()
        return int(row[0]) if row else None

    def record_unlisted(self, name: str, title: str) -> int | None:
        """Store a paper that no source has listed, so that no mail has it; None if it cannot be stored under its name.

        It counts as from a feed: whatever a source says of it later takes its place.
        """
        kind, _, value = name.partition(":")
        source, _, identifier = value.partition(":") if kind == "id" else ("", "", name)
        try:
            paper = build_paper(title, identifiers=[identifier], source=source, from_feed=True)
        except ValueError:
            return None
        if name not in paper_names(paper):
            return None
        with transaction(self._db):
            texts = _Texts(self._db)
            paper_id, _ = self._store(texts, paper, _UNLISTED)
            texts.write()
        return paper_id

    def readings(self, paper_id: int) -> tuple[date, list[Reading]]:
        """Return the day a paper was first seen, and every reading of a list with it, oldest first.

        Raises TypeError for an unknown paper.
        """
        first = self._db.execute("SELECT first_seen FROM papers WHERE id = ?", [paper_id]).fetchone()[0]
        rows = self._db.execute(
            "SELECT seen, source, day, votes FROM sightings WHERE paper = ? ORDER BY seen, source, day", [paper_id]
        )
        readings = [Reading(date.fromisoformat(r[0]), r[1], date.fromisoformat(r[2]), r[3]) for r in rows]
        return date.fromisoformat(first), readings

    def arrivals(self, day: date) -> tuple[int, date]:
        """Return how many papers were first seen on `day`, and since when they could come in.

        That is the last day before on which any came in; without one, the day of the oldest list that had them.
        """
        count, before, oldest = self._db.execute(
            "SELECT count(*), (SELECT max(first_seen) FROM papers WHERE first_seen < :day), (SELECT min(s.day)"
            " FROM papers p JOIN sightings s ON s.paper = p.id WHERE p.first_seen = :day)"
            " FROM papers WHERE first_seen = :day",
            {"day": day.isoformat()},
        ).fetchone()
        return count, date.fromisoformat(before or oldest or day.isoformat())

    def _store(self, texts: "_Texts", paper: Paper, day: date) -> tuple[int, bool]:
        """Store `paper`, merged with all rows that are the same paper; return its id and whether it is new."""
        texts.make_room()
        names = paper_names(paper)
        paper_id, *others = self._rows_of(texts, paper, names) or [0]
        if not paper_id:
            paper_id = self._insert(paper, day)
            self._add_names(paper_id, names)
            return paper_id, True
        known = texts.read(paper_id)[0]
        if paper.from_feed:
            paper, names, others = replace(paper, arxiv=known.arxiv, doi=known.doi, ident=known.ident), (), []
        rows = (texts.read(row) for row in (paper_id, *others))
        seen = min([day, *(since for text, since in rows if paper.from_feed or not text.from_feed)])
        for other in others:
            known = merge_papers(known, texts.read(other)[0])
            texts.forget(other)
            self._merge_rows(other, paper_id)
        merged = merge_papers(known, paper)
        texts.change(paper_id, merged, seen)
        self._add_names(paper_id, [name for name in names if not _contradicts(name, merged)])
        return paper_id, False

    def _rows_of(self, texts: "_Texts", paper: Paper, names: Sequence[str]) -> list[int]:
        """Return the rows that are this paper, the one with its most reliable name first; no two contradict."""
        found = self._db.execute(
            "SELECT paper, json_group_array(name) FROM names WHERE name IN (SELECT value FROM json_each(?))"
            " GROUP BY paper",
            [json.dumps(names)],
        )
        shared = {row: json.loads(listed) for row, listed in found.fetchall()}
        same: list[int] = []
        for row in sorted(shared, key=lambda row: min(map(names.index, shared[row]))):
            known = texts.read(row)[0]
            others = [texts.read(other)[0] for other in same]
            apart = any((known.arxiv and other.arxiv) or (known.doi and other.doi) for other in others)
            if is_same_paper(paper, known, shared[row]) and not apart:
                same.append(row)
        return same

    def _insert(self, paper: Paper, day: date) -> int:
        cursor = self._db.execute(
            "INSERT INTO papers (title, abstract, facts, first_seen) VALUES (?, ?, ?, ?)",
            [paper.title, paper.abstract, to_facts(paper), _format_day(day)],
        )
        return int(cursor.lastrowid or 0)

    def _add_names(self, paper_id: int, names: Iterable[str]) -> None:
        rows = [(name, paper_id) for name in names]
        self._db.conn.executemany("INSERT OR IGNORE INTO names (name, paper) VALUES (?, ?)", rows)

    def _merge_rows(self, other: int, into: int) -> None:
        """Move the names, sightings, appearances and labels of the row `other` to `into`, which is the same paper.

        Looks through the editions of every day since `other` was recorded. A mail that had both keeps both places.
        """
        for statement in (
            "UPDATE names SET paper = :into WHERE paper = :other",
            "INSERT INTO sightings SELECT :into, source, day, seen, votes, mailed FROM sightings WHERE paper = :other"
            " ON CONFLICT DO UPDATE SET votes = max(coalesce(excluded.votes, 0), coalesce(votes, 0))",
            "DELETE FROM sightings WHERE paper = :other",
            "UPDATE editions SET papers = (SELECT json_group_array(iif(value = :other, :into, value))"  # noqa: S608  ours
            f" FROM json_each(editions.papers)) WHERE {MAY_SHOW.replace(':paper', ':other')}",
            "UPDATE papers SET recorded = (SELECT min(day) FROM (SELECT recorded AS day FROM papers"
            " WHERE id IN (:into, :other) UNION ALL SELECT nullif(first_seen, '') FROM papers"
            " WHERE id IN (:into, :other))) WHERE id = :into",
            "UPDATE OR IGNORE public_papers SET paper = :into WHERE paper = :other",
            "DELETE FROM public_papers WHERE paper = :other",
            "UPDATE OR IGNORE labels SET paper = :into WHERE paper = :other",
            "DELETE FROM labels WHERE paper = :other",
            "DELETE FROM papers WHERE id = :other",
        ):
            self._db.execute(statement, {"into": into, "other": other})


class _Texts:
    """The text of the rows that a reading lists: read and written once, however often the reading lists a paper."""

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._rows: dict[int, tuple[Paper, date]] = {}
        self._changed: set[int] = set()

    def read(self, row: int) -> tuple[Paper, date]:
        """Return the text of a row and the day it was first seen."""
        if row not in self._rows:
            title, abstract, facts, first_seen = self._db.execute(
                "SELECT title, abstract, facts, first_seen FROM papers WHERE id = ?", [row]
            ).fetchone()
            unlisted = _UNLISTED.isoformat()
            self._rows[row] = paper_from_row(title, abstract, facts), date.fromisoformat(first_seen or unlisted)
        return self._rows[row]

    def change(self, row: int, paper: Paper, first_seen: date) -> None:
        if self._rows[row] != (paper, first_seen):
            self._rows[row] = paper, first_seen
            self._changed.add(row)

    def forget(self, row: int) -> None:
        """Drop a row that was merged into another one."""
        self._rows.pop(row)
        self._changed.discard(row)

    def make_room(self) -> None:
        if len(self._rows) >= _MAX_OPEN:
            self.write()

    def write(self) -> None:
        for row in sorted(self._changed):
            paper, first_seen = self._rows[row]
            self._db.execute(
                "UPDATE papers SET title = ?1, abstract = ?2, facts = ?3, first_seen = ?4,"
                " recorded = iif(first_seen <> '' AND (?4 > first_seen OR ?4 = ''),"
                " min(coalesce(recorded, first_seen), first_seen), recorded) WHERE id = ?5",
                [paper.title, paper.abstract, to_facts(paper), _format_day(first_seen), row],
            )
        self._rows.clear()
        self._changed.clear()


def _batched(papers: Iterable[CopiedPaper], size: int) -> Iterator[list[CopiedPaper]]:
    remaining = iter(papers)
    while batch := list(islice(remaining, size)):
        yield batch


def _format_day(first_seen: date) -> str:
    """Return the column `first_seen`: '' for a paper that no source listed, which is in no range of days."""
    return "" if first_seen == _UNLISTED else first_seen.isoformat()


def _without_shared_idents(sightings: Iterable[Sighting]) -> Iterator[Sighting]:
    """Yield the sightings of one reading, without the identifiers that their source gives to several titles."""
    sightings, titles = list(sightings), dict[str, set[str]]()
    for sighting in sightings:
        titles.setdefault(sighting.paper.ident, set()).add(sighting.paper.title)
    for sighting in sightings:
        paper = sighting.paper
        shared = paper.ident and len(titles[paper.ident]) > 1
        yield replace(sighting, paper=replace(paper, ident="")) if shared else sighting


def _contradicts(name: str, paper: Paper) -> bool:
    """Return whether `name` is another arXiv identifier or DOI than the paper's."""
    kind, _, value = name.partition(":")
    return (kind == "arxiv" and value != paper.arxiv) or (kind == "doi" and value != paper.doi)


def _listings(rows: Iterable[sqlite3.Row]) -> Iterator[Listing]:
    for (source, day), readings in groupby(rows, key=lambda row: (row[2], row[3])):
        yield Listing(source, date.fromisoformat(day), tuple((date.fromisoformat(r[4]), r[5]) for r in readings))


def to_facts(paper: Paper) -> str:
    """Return the column `facts`: all fields of a paper but title and abstract, without the empty ones."""
    facts = {key: value for key, value in asdict(paper).items() if value and key not in ("title", "abstract")}
    if paper.published:
        facts["published"] = paper.published.isoformat()
    return json.dumps(facts, ensure_ascii=False)


def paper_from_row(title: str, abstract: str, facts: str) -> Paper:
    """Return the paper in three columns of a row."""
    known = json.loads(facts)
    for key in ("authors", "categories", "keywords"):
        known[key] = tuple(known.get(key, ()))
    if "published" in known:
        known["published"] = date.fromisoformat(known["published"])
    return Paper(title=title, abstract=abstract, **known)
