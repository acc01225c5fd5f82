"""Parts of `digest status` that no other test covers: the next of several runs, durations, sizes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from digest.operations.schedule import ScheduledRun
from digest.operations.status import format_status, status_document
from digest.store.database import open_database
from digest.store.runs import Runs
from digest.store.statistics import open_statistics
from tests.conftest import MONDAY, MORNING, Workplace, paper


def show_status(database: Path, scheduled: Sequence[ScheduledRun] = ()) -> tuple[dict[str, Any], str]:
    with open_statistics(database) as statistics:
        document = status_document(statistics, database, scheduled, MORNING)
    return document, format_status(document)


def scheduled_run(moment: datetime | None, where: str = "crontab", problem: str = "") -> ScheduledRun:
    return ScheduledRun(where, "a line", moment, problem)


def test_the_next_run_is_the_first_of_all_that_are_scheduled(tmp_path: Path) -> None:
    later, never = scheduled_run(MORNING + timedelta(1)), scheduled_run(None, problem="the timer is off")
    document, text = show_status(tmp_path / "history.db", [later, never, scheduled_run(MORNING, where="a timer")])
    assert document["next_run"] == MORNING.isoformat()
    assert "NEXT     Mon 2026-04-20 06:00, by a timer" in text
    assert [one["next"] for one in document["schedule"]] == [
        (MORNING + timedelta(1)).isoformat(),
        None,
        MORNING.isoformat(),
    ]


def test_without_a_schedule_it_names_the_command_that_installs_one(tmp_path: Path) -> None:
    document, text = show_status(tmp_path / "history.db")
    assert (document["next_run"], document["schedule"]) == (None, [])
    assert "NEXT     no run is scheduled; run `digest schedule install`" in text
    assert not (tmp_path / "history.db").exists(), "status creates no database"


def test_a_crontab_line_of_the_users_own_runs_at_an_unknown_time(tmp_path: Path) -> None:
    own = ScheduledRun("crontab", "0 7 * * * digest run", None, "")
    document, text = show_status(tmp_path / "history.db", [own, scheduled_run(None, problem="the timer is off")])
    assert document["next_run"] is None
    assert "NEXT     unknown: it runs from a crontab line that digest did not write" in text
    assert document["schedule"][0] == {"where": "crontab", "what": own.what, "next": None, "problem": ""}
    assert (
        "NEXT     no run is scheduled"
        in show_status(tmp_path / "history.db", [scheduled_run(None, problem="the timer is off")])[1]
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.42, " 0.4 s "), (59.4, " 59.4 s "), (60, " 1:00 min "), (3725, " 62:05 min ")]
)
def test_the_duration_and_result_of_a_run(workplace: Workplace, seconds: float, words: str) -> None:
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    with open_database(workplace.folder / "history.db") as db:
        runs = Runs(db)
        number = runs.begin("send", MONDAY, MORNING)
        runs.end(number, 4, {"waiting": 3}, MORNING + timedelta(seconds=seconds))
        runs.begin("run", MONDAY, MORNING)
    document, text = show_status(workplace.folder / "history.db")
    assert [run["seconds"] for run in document["runs"]] == [None, round(seconds, 1), 0.0]
    row = next(line for line in text.splitlines() if line.startswith("send"))
    assert words in row
    assert row.split()[-5:] == ["failed", "(exit", "code", "4)", "3"]
    assert "unfinished" in text


def test_the_size_of_the_history_is_its_size_on_disk(workplace: Workplace) -> None:
    workplace.lists(paper(1), paper(2))
    workplace.run(MONDAY)
    document, text = show_status(workplace.folder / "history.db")
    history = document["history"]
    assert history["bytes"] >= (workplace.folder / "history.db").stat().st_size
    assert [history[key] for key in ("papers", "subscribers", "editions", "messages")] == [2, 1, 1, 1]
    assert "2 papers, 1 subscriber, 1 message" in text
