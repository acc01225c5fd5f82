"""What readers said about papers: "more like this" and "not for me"."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from digest.store.database import transaction

if TYPE_CHECKING:
    from sqlite_utils import Database


@dataclass(frozen=True, slots=True)
class Label:
    """A reader's word about a paper: `paper` is its most reliable name, `day` when it was read."""

    paper: str
    title: str
    liked: bool
    day: date


class Labels:
    """The labels in `db`. A paper has at most one of a subscriber, the last one."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def put(self, subscriber: int, paper: int, liked: bool, day: date) -> None:
        """Label a paper."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO labels (subscriber, paper, liked, day) VALUES (?, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET liked = excluded.liked, day = excluded.day",
                [subscriber, paper, liked, day.isoformat()],
            )

    def forget(self, subscriber: int) -> None:
        """Delete all labels of a subscriber."""
        with transaction(self._db):
            self._db.execute("DELETE FROM labels WHERE subscriber = ?", [subscriber])

    def of(self, subscriber: int) -> list[Label]:
        """Return the labels of a subscriber, oldest first."""
        return [label for _, label in self._read(" WHERE l.subscriber = ?", [subscriber])]

    def all(self) -> dict[str, list[Label]]:
        """Return the labels of each subscriber who has any, by address."""
        found: dict[str, list[Label]] = {}
        for address, label in self._read("", []):
            found.setdefault(address, []).append(label)
        return found

    def _read(self, where: str, values: list[int]) -> Iterator[tuple[str, Label]]:
        """Yield (address, label); of a paper's names, the most reliable one (see `digest.papers`)."""
        rows = self._db.execute(
            "SELECT s.address, coalesce((SELECT min(name) FROM names WHERE paper = l.paper), ''), p.title,"  # noqa: S608  ours
            "  l.liked, l.day FROM labels l JOIN papers p ON p.id = l.paper"
            f" JOIN subscribers s ON s.id = l.subscriber{where} ORDER BY l.day, l.paper",
            values,
        )
        for address, name, title, liked, day in rows:
            yield address, Label(name, title, bool(liked), date.fromisoformat(day))

    def labelled(self) -> list[int]:
        """Return every paper that anybody labelled."""
        return [row[0] for row in self._db.execute("SELECT DISTINCT paper FROM labels ORDER BY paper")]
