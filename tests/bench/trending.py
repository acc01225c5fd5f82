"""How many of each day's finally most voted papers the mails caught: the daily job, replayed over recorded votes."""

import importlib.util
import json
import logging
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from digest.config import Config, load
from digest.pipeline.run import run_daily
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database

SHARED = Path(__file__).resolve().parents[3] / "shared"
VOTES = SHARED / "votes" / "hf-votes.jsonl"
CONFIG = """
[digest]
from = "digest@example.org"
to = ["ann@example.org"]
max_papers = 10

[[sources]]
type = "huggingface"
url = "http://127.0.0.1:{port}/api/daily_papers"

[maildir]
path = "mail"
"""


def tool(name: str) -> Any:
    """A program beside the recorded votes."""
    spec = importlib.util.spec_from_file_location(name, SHARED / "tools" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def replay(folder: Path) -> Iterator[dict[str, Any]]:
    """Run the job on every day from the first list to a week after the last; what each mail showed, in its order."""
    upstream = tool("upstream")
    votes = upstream.read_votes(VOTES)
    service = upstream.Upstream(votes=votes)
    server = upstream.serve(service)
    (folder / "config.toml").write_text(CONFIG.format(port=server.server_address[1]), encoding="utf-8")
    config = load(folder / "config.toml", {})
    day, last = date.fromisoformat(min(votes)), date.fromisoformat(max(votes)) + timedelta(7)
    while day <= last:
        service.today = day.isoformat()
        now = datetime.combine(day, time(8), ZoneInfo("UTC"))
        run_daily(config, day, lambda now=now: now, Fetcher("digest@example.org"))  # type: ignore[misc]
        yield {"date": day.isoformat(), "ids": shown(config, day)}
        day += timedelta(1)
    server.shutdown()


def shown(config: Config, day: date) -> list[str]:
    """The arXiv identifiers of the papers in the mail of a day."""
    with open_database(config.digest.database) as db:
        rows = db.execute(
            "SELECT substr(n.name, 7) FROM editions e JOIN json_each(e.papers) s"
            " JOIN names n ON n.paper = s.value AND n.name LIKE 'arxiv:%' WHERE e.day = ? ORDER BY s.key",
            [day.isoformat()],
        )
        return [row[0] for row in rows]


def main() -> None:
    if not VOTES.is_file():
        print(f"Trending: skipped, there are no recorded votes at {VOTES}")
        return
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        mails = {mail["date"]: mail["ids"] for mail in replay(Path(folder))}
        if len(sys.argv) > 1:
            lines = (json.dumps({"date": day, "ids": ids}) for day, ids in mails.items())
            Path(sys.argv[1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
    on_the_day, in_time, days = tool("trending").caught(mails, tool("upstream").read_votes(VOTES))
    print(f"Trending, {days} list days replayed with ten papers a mail: of the five papers that end up most voted")
    print(f"{on_the_day:.2f} are in the mail of their own day (3.90 wanted), {in_time:.2f} within three days (4.85)")


if __name__ == "__main__":
    main()
