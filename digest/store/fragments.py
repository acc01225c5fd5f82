"""The fragments that mails consist of (see `digest.mail.message`), each stored once a day.

Each is read with a check: what was changed or deleted behind our back raises MailDamaged, and is never sent.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

from digest.errors import MailDamaged
from digest.mail.message import Fragment, MessageFrame, build_frame

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_FRAGMENTS = 20_000  # in memory, of 2 kB each; a day with a hundred thousand readers who all differ has as many
_MAX_FRAMES = 8  # in memory; the queue is mostly sorted by edition
# Casts, since somebody may have stored text by hand.
_COLUMNS = "checksum, begins_paper, CAST(head AS BLOB), CAST(text AS BLOB), CAST(html AS BLOB)"
_LISTS = "SELECT fragments, papers FROM editions WHERE day = ?"


class Fragments:
    """The fragments in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._fragment = lru_cache(_MAX_FRAGMENTS)(self._read)
        self.frame = lru_cache(_MAX_FRAMES)(self._build)

    def store(self, day: date, fragments: Sequence[Fragment], known: dict[bytes, int]) -> list[int]:
        """Return the ids of fragments of `day`; those that are not `known` by checksum are stored, and known then.

        The caller has a transaction, and drops `known` if it fails.
        """
        for fragment in fragments:
            if fragment.checksum not in known:
                row = self._db.execute(
                    "INSERT INTO fragments (day, checksum, begins_paper, head, text, html) VALUES (?, ?, ?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET begins_paper = excluded.begins_paper, head = excluded.head,"  # mends it
                    " text = excluded.text, html = excluded.html RETURNING id",
                    [
                        day.isoformat(),
                        fragment.checksum,
                        fragment.begins_paper,
                        fragment.head,
                        fragment.text,
                        fragment.html,
                    ],
                ).fetchone()
                known[fragment.checksum] = row[0]
        return [known[fragment.checksum] for fragment in fragments]

    def _build(self, listed: str, sender: str) -> MessageFrame:
        """Return the message of an edition; `listed` is its column `fragments`. Raises MailDamaged, which says why."""
        try:
            fragments = [self._fragment(number) for number in json.loads(listed)]
        except (ValueError, TypeError):
            raise MailDamaged("its list of fragments cannot be read") from None
        if not fragments:
            raise MailDamaged("it has no fragments")
        return build_frame(fragments, sender)

    def _read(self, number: int) -> Fragment:
        row = self._db.execute(f"SELECT {_COLUMNS} FROM fragments WHERE id = ?", [number]).fetchone()  # noqa: S608  ours
        if row is None:
            raise MailDamaged(f"its fragment {number} is missing")
        if (fragment := _sound(*row)) is None:
            raise MailDamaged(f"its fragment {number} was changed")
        return fragment


def find_damage(db: "Database") -> Iterator[tuple[date, int]]:
    """Yield the days with mail whose text is damaged, and how many messages of that day are in the queue.

    An edition names a fragment that is missing or was changed, or is in the queue without any, or its list of papers
    cannot be read. Reads every fragment and every edition; the numbers of a day's fragments are in memory.
    """
    queued = db.execute(
        "SELECT q.day, count(*), sum(e.fragments = '[]') FROM queue q JOIN editions e ON e.id = q.edition GROUP BY 1"
    )
    waiting = {day: (count, empty) for day, count, empty in queued}
    for (day,) in db.execute("SELECT DISTINCT day FROM editions ORDER BY day").fetchall():
        rows = db.execute(f"SELECT id, {_COLUMNS} FROM fragments WHERE day = ?", [day])  # noqa: S608  ours
        sound = {number for number, *columns in rows if _sound(*columns)}
        count, empty = waiting.get(day, (0, 0))
        if empty or not all(_consists(listed, papers, sound) for listed, papers in db.execute(_LISTS, [day])):
            yield date.fromisoformat(day), count


def _consists(listed: str, papers: str, sound: set[int]) -> bool:
    """Return whether all the fragments of an edition are among `sound`, and its papers can be read."""
    try:
        return sound.issuperset(json.loads(listed)) and isinstance(json.loads(papers), list)
    except (ValueError, TypeError):
        return False


def _sound(checksum: bytes, begins_paper: int, head: bytes, text: bytes, html: bytes) -> Fragment | None:
    """Return the fragment in a row; None if it is not what was stored."""
    fragment = Fragment(head, text, html, bool(begins_paper))
    return fragment if fragment.checksum == checksum else None
