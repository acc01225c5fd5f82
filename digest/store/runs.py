"""What each run did and what each source answered, written down as it happens: the pages that `digest.ledger` reads."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlite_utils import Database

from digest.sources import Fetched, PreviousRuns
from digest.sources.freshness import late_batches
from digest.store.database import transaction
from digest.store.statistics import READABLE, Statistics


class Runs:
    """Runs and fetches in the database `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def begin(self, command: str, day: date, now: datetime) -> int:
        """Open the entry of a run; its number is what claims are made in."""
        row = {"command": command, "day": day.isoformat(), "started": now.isoformat()}
        with transaction(self._db):
            return int(self._db.table("runs").insert(row).last_rowid or 0)

    def fetched(self, run: int, fetched: Fetched, new: int) -> None:
        """Note what a source answered in this run, and how many of its papers were `new`."""
        row = {
            "run": run,
            "source": fetched.source,
            "state": fetched.state,
            "papers": len(fetched.sightings),
            "new": new,
            "skipped": json.dumps(fetched.skipped[:50], ensure_ascii=False),
            "errors": json.dumps(fetched.errors[:50], ensure_ascii=False),
            "late": json.dumps(late_batches(fetched)[:50], ensure_ascii=False),
        }
        with transaction(self._db):
            self._db.table("fetches").insert(row, replace=True)

    def end(self, run: int, exit_code: int, summary: Mapping[str, Any], now: datetime) -> None:
        """Close the entry: how it ended and what it counted."""
        with transaction(self._db):
            self._db.table("runs").update(
                run,
                {"finished": now.isoformat(), "exit": exit_code, "summary": json.dumps(summary, ensure_ascii=False)},
            )

    def past(self, source: str, day: date) -> PreviousRuns:
        """How `source` did in the runs of the days up to `day`."""
        ledger = Statistics(self._db.conn)
        whole = ledger.newest(source, ("read",), day)
        read = ledger.newest(source, READABLE, day)
        return PreviousRuns(
            datetime.fromisoformat(whole["started"]) if whole else None,
            date.fromisoformat(read["day"]) if read else None,
            ledger.failed(source, read["run"] if read else 0),
        )
