"""The files a person writes: the configuration, and that nobody else can read what is secret or change what is run.

What time it is, where the day begins, and whether the clock has gone back.

The database: whether it is whole, of this version, and has room to grow. Opens it for reading, makes none.

Who receives: that what each chose is still there to be had. Only reads.

When the job runs by itself: that it does, once a day, and by a line that works.

Every source, asked as a run would ask it, side by side, with what earlier runs remember. Records nothing.

The mailbox of answers: that it can be read. Looks at the letters of today at most, and acts on none.

The whole examination in the order in which it is read: each check is yielded as soon as it is done.
"""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

from digest.config import Config
from digest.delivery import SmtpSettings
from digest.errors import ConfigError, HistoryError, InboxError
from digest.inbound import InboxSettings
from digest.inbound.mailbox import mailbox_name, read_mailbox
from digest.operations.checks import Check, Mark, Problem
from digest.operations.doctor_domain import Nameserver, check_domain, reserved
from digest.operations.doctor_mail import check_delivery, check_templates, deliver_test
from digest.operations.schedule import ScheduledRun
from digest.papers.text.fit import plural
from digest.pipeline.context import Context
from digest.pipeline.run import fetch
from digest.sources import Fetched
from digest.sources.fetcher import Fetcher, FetchMemory
from digest.sources.freshness import check_freshness, late_batches
from digest.store.database import DatabaseHealth, check_health, open_read_only
from digest.store.secret import load_secret
from digest.store.statistics import Statistics, open_statistics


def check_configuration(config: Config) -> Check:
    """One that can be used, and whether an example was left standing in it."""
    counts = ((len(config.sources), "source"), (len(config.topics), "topic"), (len(config.digest.to), "reader"))
    said = ", ".join(plural(count, word) for count, word in counts)
    left = [to for to in config.digest.to if reserved(to.rpartition("@")[2])]
    if left and isinstance(config.delivery, SmtpSettings):
        sentence = f"digest.to still holds {left[0]}, which is an example and no address"
        return Check("configuration", Mark.WARN, sentence, f"put your own address into digest.to in {config.path}")
    return Check("configuration", Mark.OK, f"{config.path}: {said}")


def check_secrets(path: Path, database: Path | None, stray: Sequence[str]) -> Check:
    """Who can read and write the files beside the configuration at `path`, and the database, where it is known."""
    private = [path.with_name(".env"), *(_parts(database) if database else ())]
    there = [file for file in private if is_there(file)]
    troubles = [*_open_to_others(there), *_changeable(path), *_stray(stray, path.with_name(".env"))]
    if database is not None and is_there(database):
        troubles += _signing(database)
    names = ", ".join(file.name for file in there)
    return Check.of("secrets", f"only you can read {names}" if there else "there are none yet", troubles)


def is_there(path: Path) -> bool:
    """Whether there is such a file, as far as we may look."""
    try:
        return path.is_file()
    except OSError:
        return False


def _parts(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("", "-wal", ".secret")]


def _open_to_others(files: Sequence[Path]) -> Iterator[Problem]:
    if loose := [file for file in files if _mode(file) & 0o077]:
        names = ", ".join(f"{file.name} ({stat.filemode(_mode(file))})" for file in loose)
        mend = "chmod 600 " + " ".join(shlex.quote(str(file)) for file in loose)
        yield Problem(Mark.FAIL, f"others on this machine can get at {names}", mend)


def _changeable(path: Path) -> Iterator[Problem]:
    """The configuration names a command to run: whoever may change it may run any."""
    if is_there(path) and _mode(path) & stat.S_IWOTH:
        said = f"everybody on this machine can change {path.name} ({stat.filemode(_mode(path))})"
        yield Problem(Mark.FAIL, said, f"chmod o-w {shlex.quote(str(path))}")


def _stray(names: Sequence[str], env: Path) -> Iterator[Problem]:
    for name in names:
        said = f"cron will not see the {name} of this shell; {env.name} has another or none"
        yield Problem(Mark.WARN, said, f"put {name}=… into {env}")


def _signing(database: Path) -> Iterator[Problem]:
    """The secret that signs the links to unsubscribe; a history without it has been moved without it."""
    file = _parts(database)[-1]
    if not file.exists():
        said = f"{file.name} is gone: the links to unsubscribe in earlier mails will not work any more"
        yield Problem(Mark.WARN, said, "restore it from a backup; without one the next run makes a new one")
        return
    try:
        load_secret(database)
    except HistoryError as problem:
        yield Problem.told(str(problem))


def _mode(path: Path) -> int:
    return path.stat().st_mode


_MADE = 2026  # the year of this program: no clock that goes right is before it
_ASKEW = timedelta(minutes=5)  # the clock of a file server may be ahead of ours by some of it


def check_clock(config: Config, now: datetime, readable: bool) -> Check:
    """`now` is in the machine's zone; `readable` says whether the database's journal can be asked."""
    zone = config.digest.timezone
    here = now.astimezone(zone)
    said = f"{here:%A} {here.day} {here:%B %Y, %H:%M} in {zone.key}"
    if here.utcoffset() != now.utcoffset():
        said += f"; cron goes by this machine's {now:%H:%M} ({now.tzname()})"
    troubles = _wrong_clock(now, _changed(config.digest.database))
    if readable and not troubles:
        troubles = _future_run(now, _last_run(config.digest.database))
    return Check.of("clock", said, troubles)


def _wrong_clock(now: datetime, changed: datetime | None) -> list[Problem]:
    """The database's own file was written by the same clock, whatever day a run was told to take for today."""
    mend = "set the clock: timedatectl set-ntp true"
    if now.year < _MADE:
        return [Problem(Mark.FAIL, f"it says {now:%Y-%m-%d %H:%M}, which is long ago", mend)]
    if changed is not None and now < changed - _ASKEW:
        said = f"it went back: it says {now:%Y-%m-%d %H:%M}, but the history was written at {changed:%Y-%m-%d %H:%M}"
        return [Problem(Mark.FAIL, said, mend)]
    return []


def _future_run(now: datetime, last: datetime | None) -> list[Problem]:
    if last is None or last <= now:
        return []
    said = f"the last run was at {last:%Y-%m-%d %H:%M}, which is still to come: --date named a day ahead of its time"
    return [Problem(Mark.WARN, said, "nothing to do if that was meant")]


def _changed(database: Path) -> datetime | None:
    """When the database was last written to, None for none."""
    files = [file for end in ("", "-wal") if is_there(file := database.with_name(database.name + end))]
    newest = max((file.stat().st_mtime for file in files), default=None)
    return None if newest is None else datetime.fromtimestamp(newest).astimezone()


def _last_run(database: Path) -> datetime | None:
    with open_read_only(database) as db:
        runs = Statistics(db.conn).runs(1)
    return datetime.fromisoformat(runs[0]["started"]) if runs else None


_LITTLE = 50 * 10**6  # bytes free: a day's answers and the write-ahead log may not fit
_SOME = 500 * 10**6


def check_database(path: Path) -> tuple[Check, bool]:
    """How the database at `path` stands, and whether what it remembers can be read."""
    try:
        return _existing_database(path) if path.exists() else (_missing_database(path), False)
    except HistoryError as problem:
        trouble = Problem.told(str(problem))
    except OSError as problem:
        mend = "check the permissions of its folder, or name another place in digest.database"
        trouble = Problem(Mark.FAIL, f"{path} cannot be looked at: {problem.strerror}", mend)
    return Check.of("database", "", [trouble]), False


def _existing_database(path: Path) -> tuple[Check, bool]:
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it for reading only
        told = f"{path} is no file that you may read and write; check its permissions, or name another place"
        raise HistoryError(f"{told} in digest.database")
    found, size, room = check_health(path), path.stat().st_size, shutil.disk_usage(path.parent).free
    said = f"{_bytes(size)}, {plural(found.papers, 'paper')}, intact; {_bytes(room)} free"
    if found.outdated:
        said += "; of an earlier version: the next run brings it up to date"
    troubles = [*_damage(found), *check_disk_space(size, room)]
    return Check.of("database", said, troubles), not found.damage and not found.outdated


def _missing_database(path: Path) -> Check:
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        said = f"{path.name} cannot be made, for {folder} cannot be written to"
        return Check("database", Mark.FAIL, said, "name another place in digest.database")
    room = shutil.disk_usage(folder).free
    return Check.of("database", f"none yet, the first run makes it; {_bytes(room)} free", check_disk_space(0, room))


def check_disk_space(size: int, room: int) -> list[Problem]:
    """Whether `room` bytes are too few for a database of `size`: it is copied when it is tidied up or backed up."""
    if room < _LITTLE:
        said = f"only {_bytes(room)} are free on its disk: a run would end in the middle of its work"
        return [Problem(Mark.FAIL, said, "make room; nothing is lost meanwhile")]
    if room < max(_SOME, 2 * size):
        return [Problem(Mark.WARN, f"{_bytes(room)} are free on its disk, and it has {_bytes(size)}", "make room soon")]
    return []


def _damage(found: DatabaseHealth) -> list[Problem]:
    said = "; ".join(found.damage)
    return [Problem(Mark.FAIL, f"it is damaged: {said}", "put a backup in its place or move it away")] if said else []


def _bytes(count: int) -> str:
    """A number of bytes as a person says it: 740 kB, 12 MB, 48 GB."""
    for power, unit in ((12, "TB"), (9, "GB"), (6, "MB")):
        if count >= 10**power:
            return f"{count / 10**power:.{0 if count >= 10 ** (power + 1) else 1}f} {unit}"
    return f"{count / 1000:.0f} kB"


def check_topics(config: Config) -> Iterator[Check]:
    """A check when readers chose topics that the configuration does not have; none when all is well."""
    with open_statistics(config.digest.database) as ledger:
        lost = ledger.missing_topics(topic.name for topic in config.topics)
    troubles = [
        Problem(
            Mark.WARN,
            f"{plural(count, 'reader')} chose the topic {name!r}, which is not in the configuration",
            f"write {name!r} into [[topics]] again, or choose anew with digest subscribers add ADDR --topic NAME",
        )
        for name, count in lost.items()
    ]
    if troubles:
        yield Check.of("readers", "", troubles)


def check_schedule(scheduled: Sequence[ScheduledRun]) -> Check:
    """`scheduled` is what runs this configuration by itself."""
    if not scheduled:
        trouble = Problem(Mark.WARN, "nothing runs the job by itself", "digest schedule install")
        return Check.of("schedule", "", [trouble])
    troubles = [Problem.told(f"{found.where}: {found.what}: {found.problem}") for found in scheduled if found.problem]
    if len(scheduled) > 1 and not troubles:
        places = " and ".join(f"{found.where} ({found.what})" for found in scheduled)
        troubles = [Problem(Mark.WARN, f"the job runs more than once: {places}", "one of them is enough")]
    said = "; ".join(f"{found.what}, by {found.where}{_next_run(found)}" for found in scheduled)
    return Check.of("schedule", said, troubles)


def _next_run(found: ScheduledRun) -> str:
    return f"; next on {found.next:%a %Y-%m-%d %H:%M}" if found.next else ""


def check_sources(config: Config, now: datetime, fetcher: Fetcher, readable: bool) -> Iterator[Check]:
    """Ask every source as a run would, and record nothing; `readable` says whether the database can be read."""
    if not readable:  # then no paper was listed before: only a batch without papers is late
        for fetched in fetcher.fetch(config.sources, now, FetchMemory()):
            yield check_source(check_freshness(fetched, lambda _: False))
        return
    with open_read_only(config.digest.database) as db:
        for fetched in fetch(Context(config, db), fetcher, now.date(), now):
            yield check_source(fetched)


def check_source(fetched: Fetched) -> Check:
    """How a source stands: whether it was read, and whether what it lists is fresh."""
    listed = _listed(fetched)
    count = len(fetched.skipped)
    if fetched.state == "failed":
        trouble = [_failed(fetched)]
    elif fetched.errors:
        said = f"read in part: {listed}; {fetched.errors[0]}{_more(len(fetched.errors))}"
        trouble = [Problem(Mark.WARN, said, "nothing to do: the next run asks for it again")]
    elif sentences := late_batches(fetched):
        said = f"{listed}; {sentences[0]}{_more(len(sentences))}"
        trouble = [Problem(Mark.WARN, said, "nothing to do: the next run looks again")]
    elif count:
        said = f"{listed}; {count:,} {'entries' if count > 1 else 'entry'} left out: {fetched.skipped[0]}"
        trouble = [Problem(Mark.WARN, said, "the rest is used; mend it if it is yours")]
    else:
        trouble = []
    return Check.of(f"source {fetched.source}", listed, trouble)


def _failed(fetched: Fetched) -> Problem:
    previous = fetched.previous
    since = f"; last read {previous.last_read}" if previous.failed_runs and previous.last_read else ""
    said = f"{fetched.errors[0]}{_more(len(fetched.errors))}{since}"
    mend = "check its url or path in the configuration, and the network; a later run catches up"
    return Problem(Mark.FAIL, said, mend)


def _listed(fetched: Fetched) -> str:
    count = len(fetched.sightings)
    days = [day for sighting in fetched.sightings if (day := sighting.day or sighting.paper.published)]
    newest = f", the newest of {max(days)}" if days else ""
    return f"{plural(count, 'paper')}{newest}" if count else "it answers, and lists no paper now"


def _more(count: int) -> str:
    return f" (and {count - 1:,} more)" if count > 1 else ""


def check_inbox(settings: InboxSettings, today: date) -> Check:
    """Open the mailbox as a run does."""
    try:
        next(read_mailbox(settings, "", today), None)
    except InboxError as problem:
        return Check.of("inbox", "", [Problem.told(str(problem))])
    return Check("inbox", Mark.OK, f"{mailbox_name(settings)} can be read")


def run_checks(
    config: Config,
    now: datetime,
    fetcher: Fetcher,
    scheduled: Sequence[ScheduledRun],
    stray: Sequence[str] = (),
    nameserver: Nameserver | None = None,
) -> Iterator[Check]:
    """Look at everything that a run needs. Makes, records and sends nothing.

    `now` is the moment in the machine's own time zone, `scheduled` what runs this configuration by itself. `stray` are
    the secrets that the environment of this shell has and .env has not. `nameserver` is asked about the sender's
    domain, those of the machine without one.
    """
    here = now.astimezone(config.digest.timezone)
    yield check_configuration(config)
    yield check_secrets(config.path, config.digest.database, stray)
    rendered, largest = check_templates(config, here)
    yield rendered
    found, readable = check_database(config.digest.database)
    yield found
    if readable:
        yield from check_topics(config)
    yield check_clock(config, now, readable)
    yield check_schedule(scheduled)
    yield from check_sources(config, here, fetcher, readable)
    yield check_delivery(config, here, largest)
    if config.inbox is not None:
        yield check_inbox(config.inbox, here.date())
    if isinstance(config.delivery, SmtpSettings):  # nobody asks whose domain it is before mail leaves the machine
        yield from check_domain(config.digest.from_.domain, nameserver)


def checks_without_config(problem: ConfigError, path: Path | None, stray: Sequence[str] = ()) -> Iterator[Check]:
    """What can be examined when the configuration cannot be used; `path` is where it is, None for nowhere."""
    there = path is not None and is_there(path)
    mend = "the rest can be examined when this is mended" if there else "name it with -c, or write one with digest init"
    yield Check("configuration", Mark.FAIL, str(problem), mend)
    if path is not None and there:
        yield check_secrets(path, None, stray)


def send_test(config: Config, to: str, now: datetime) -> Check:
    """Send one message that says it is a test to the address `to`; see `digest.doctor.mail`."""
    try:
        return deliver_test(config, to, now.astimezone(config.digest.timezone))
    except ConfigError as problem:
        return Check("test mail", Mark.FAIL, f"not sent to {to}: {problem.problems[0]}")
