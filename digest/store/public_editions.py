"""The frozen public editions, of which the archive consists.

A public edition is to the archive what a message is to a subscriber, with the same promises:

1. `shown` says which papers earlier public editions have shown. They are in no later one.
2. `freeze` stores the edition of a day and its papers in one commit. From then on it never changes, and a second run of
   that day adds nothing: a unique key refuses another edition for it.
3. `unwritten` are the days whose files still have to be written, in whatever way an earlier run ended; `mark_written`
   says that they are. So a process that dies in between has its files written by the next run.

What is stored are values, not pages: the papers, their votes and what else a page says. It is enough to write every
file of the archive again, byte for byte, and `digest prune` keeps it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from digest.archive import PublicEdition
from digest.mail.edition import Arrivals
from digest.papers import Paper
from digest.ranking import Listing
from digest.ranking.trending import Ranked, Trend, TrendKind
from digest.store.database import transaction
from digest.store.papers import paper_from_row, to_facts

if TYPE_CHECKING:
    from sqlite_utils import Database


class PublicEditions:
    """Public editions in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def shown(self, paper_ids: Iterable[int]) -> frozenset[int]:
        """Return which of the papers a public edition has shown."""
        rows = self._db.execute(
            "SELECT DISTINCT paper FROM public_papers WHERE paper IN (SELECT value FROM json_each(?))",
            [json.dumps(list(paper_ids))],
        )
        return frozenset(row[0] for row in rows)

    def frozen(self, day: date) -> bool:
        """Return whether `day` has a public edition."""
        found = self._db.execute("SELECT 1 FROM public_editions WHERE day = ?", [day.isoformat()])
        return found.fetchone() is not None

    def freeze(self, edition: PublicEdition) -> bool:
        """Freeze the edition of a day, unless that day has one; return whether it did. The ids are those of papers."""
        day = edition.day.isoformat()
        with transaction(self._db):
            done = self._db.execute(
                "INSERT OR IGNORE INTO public_editions (day, created, tag, content) VALUES (?, ?, ?, ?)",
                [day, edition.created.isoformat(), edition.tag, _pack(edition)],
            )
            if done.rowcount:
                self._db.conn.executemany(
                    "INSERT INTO public_papers (paper, edition, place) VALUES (?, ?, ?)",
                    [(ranked.trend.id, done.lastrowid, place) for place, ranked in enumerate(edition.ranked, start=1)],
                )
        return bool(done.rowcount)

    def days(self) -> dict[date, datetime]:
        """Return every day with an edition, in order, and when that was frozen."""
        rows = self._db.execute("SELECT day, created FROM public_editions ORDER BY day")
        return {date.fromisoformat(day): datetime.fromisoformat(created) for day, created in rows}

    def load(self, first: date, last: date) -> Iterator[PublicEdition]:
        """Yield the editions from `first` to `last`, both included, in order."""
        rows = self._db.execute(
            "SELECT day, created, tag, content FROM public_editions WHERE day BETWEEN ? AND ? ORDER BY day",
            [first.isoformat(), last.isoformat()],
        )
        for row in rows:
            yield _unpack(*row)

    def feed_tag(self) -> str:
        """Return the identifier of the feeds: made from that of the first edition, it stays when the archive moves."""
        (tag,) = self._db.execute("SELECT tag FROM public_editions ORDER BY id LIMIT 1").fetchone()
        return f"{tag.removesuffix('edition')}feed"

    def unwritten(self, target: str) -> list[date]:
        """Return the days whose files have not been written for `target`, in order."""
        rows = self._db.execute("SELECT day FROM public_editions WHERE written <> ? ORDER BY day", [target])
        return [date.fromisoformat(row[0]) for row in rows]

    def mark_written(self, days: Sequence[date], target: str) -> None:
        """Record that the files of these days have been written for `target`."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE public_editions SET written = ? WHERE day IN (SELECT value FROM json_each(?))",
                [target, json.dumps([day.isoformat() for day in days])],
            )


def _pack(edition: PublicEdition) -> str:
    """Return the column `content`."""
    papers = [_pack_paper(ranked, edition.papers[ranked.trend.id]) for ranked in edition.ranked]
    arrivals = {"new": edition.arrivals.new, "since": edition.arrivals.since.isoformat()}
    return json.dumps({"title": edition.title, "arrivals": arrivals, "papers": papers}, ensure_ascii=False)


def _pack_paper(ranked: Ranked, paper: Paper) -> dict[str, Any]:
    listing = ranked.trend.listing
    return {
        "title": paper.title,
        "abstract": paper.abstract,
        "facts": to_facts(paper),
        "kind": ranked.trend.kind.value,
        "source": listing.source,
        "listed": listing.day.isoformat(),
        "readings": [(seen.isoformat(), votes) for seen, votes in listing.readings],
    }


def _unpack(day: str, created: str, tag: str, content: str) -> PublicEdition:
    """Return the edition in a row; the ids of its papers are their places in it."""
    document = json.loads(content)
    arrivals, rows = document["arrivals"], dict(enumerate(document["papers"], start=1))
    return PublicEdition(
        day=date.fromisoformat(day),
        created=datetime.fromisoformat(created),
        tag=tag,
        title=document["title"],
        arrivals=Arrivals(arrivals["new"], date.fromisoformat(arrivals["since"])),
        ranked=tuple(_unpack_ranked(place, row) for place, row in rows.items()),
        papers={place: paper_from_row(row["title"], row["abstract"], row["facts"]) for place, row in rows.items()},
    )


def _unpack_ranked(place: int, row: dict[str, Any]) -> Ranked:
    readings = tuple((date.fromisoformat(seen), votes) for seen, votes in row["readings"])
    listing = Listing(row["source"], date.fromisoformat(row["listed"]), readings)
    return Ranked(Trend(place, 0.0, TrendKind(row["kind"]), listing), ())
