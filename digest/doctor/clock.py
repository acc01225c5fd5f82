"""What time it is, where the day begins, and whether the clock has gone back."""

from datetime import datetime, timedelta
from pathlib import Path

from digest.config import Config
from digest.database import untouched
from digest.doctor import Check, Mark, Trouble
from digest.doctor.files import is_there
from digest.ledger import Ledger

_MADE = 2026  # the year of this program: no clock that goes right is before it
_ASKEW = timedelta(minutes=5)  # the clock of a file server may be ahead of ours by some of it


def examine(config: Config, now: datetime, readable: bool) -> Check:
    """`now` is in the machine's zone; `readable` says whether the database's journal can be asked."""
    zone = config.digest.timezone
    here = now.astimezone(zone)
    said = f"{here:%A} {here.day} {here:%B %Y, %H:%M} in {zone.key}"
    if here.utcoffset() != now.utcoffset():
        said += f"; cron goes by this machine's {now:%H:%M} ({now.tzname()})"
    troubles = _wrong(now, _changed(config.digest.database))
    if readable and not troubles:
        troubles = _ahead(now, _last_run(config.digest.database))
    return Check.of("clock", said, troubles)


def _wrong(now: datetime, changed: datetime | None) -> list[Trouble]:
    """The database's own file was written by the same clock, whatever day a run was told to take for today."""
    mend = "set the clock: timedatectl set-ntp true"
    if now.year < _MADE:
        return [Trouble(Mark.FAIL, f"it says {now:%Y-%m-%d %H:%M}, which is long ago", mend)]
    if changed is not None and now < changed - _ASKEW:
        said = f"it went back: it says {now:%Y-%m-%d %H:%M}, but the history was written at {changed:%Y-%m-%d %H:%M}"
        return [Trouble(Mark.FAIL, said, mend)]
    return []


def _ahead(now: datetime, last: datetime | None) -> list[Trouble]:
    if last is None or last <= now:
        return []
    said = f"the last run was at {last:%Y-%m-%d %H:%M}, which is still to come: --date named a day ahead of its time"
    return [Trouble(Mark.WARN, said, "nothing to do if that was meant")]


def _changed(database: Path) -> datetime | None:
    """When the database was last written to, None for none."""
    files = [file for end in ("", "-wal") if is_there(file := database.with_name(database.name + end))]
    newest = max((file.stat().st_mtime for file in files), default=None)
    return None if newest is None else datetime.fromtimestamp(newest).astimezone()


def _last_run(database: Path) -> datetime | None:
    with untouched(database) as db:
        runs = Ledger(db.conn).runs(1)
    return datetime.fromisoformat(runs[0]["started"]) if runs else None
