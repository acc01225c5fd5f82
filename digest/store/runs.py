"""Record each run and the result of each source in it. `digest.store.statistics` reads them."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from digest.sources import Fetched, PreviousRuns
from digest.sources.freshness import late_batches
from digest.store.database import transaction
from digest.store.statistics import GOOD_STATES, Statistics

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_MESSAGES = 50  # of each kind, for a source and run


class Runs:
    """Runs and fetches in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db

    def begin(self, command: str, day: date, now: datetime) -> int:
        """Record that a run begins; return its number, with which it claims messages."""
        row = {"command": command, "day": day.isoformat(), "started": now.isoformat()}
        with transaction(self._db):
            return int(self._db.table("runs").insert(row).last_rowid or 0)

    def record_fetch(self, run: int, fetched: Fetched, new: int) -> None:
        """Record the result of a source in this run, and how many of its papers were `new`."""
        row = {
            "run": run,
            "source": fetched.source,
            "state": fetched.state,
            "papers": fetched.papers,
            "new": new,
            "skipped": json.dumps(fetched.skipped[:_MAX_MESSAGES], ensure_ascii=False),
            "errors": json.dumps(fetched.errors[:_MAX_MESSAGES], ensure_ascii=False),
            "late": json.dumps(late_batches(fetched)[:_MAX_MESSAGES], ensure_ascii=False),
        }
        with transaction(self._db):
            self._db.table("fetches").insert(row, replace=True)

    def end(self, run: int, exit_code: int, summary: Mapping[str, Any], now: datetime) -> None:
        """Record how a run ended and what it counted."""
        with transaction(self._db):
            self._db.table("runs").update(
                run,
                {"finished": now.isoformat(), "exit": exit_code, "summary": json.dumps(summary, ensure_ascii=False)},
            )

    def previous(self, source: str, day: date) -> PreviousRuns:
        """Return the results of `source` in the runs of the days up to `day`."""
        statistics = Statistics(self._db.conn)
        whole = statistics.newest_fetch(source, ("read",), day)
        read = statistics.newest_fetch(source, GOOD_STATES, day)
        return PreviousRuns(
            datetime.fromisoformat(whole["started"]) if whole else None,
            date.fromisoformat(read["day"]) if read else None,
            statistics.count_fetches_since(source, read["run"] if read else 0),
        )
