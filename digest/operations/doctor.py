"""Check everything that a run needs: what's wrong and how to fix it. Changes, records and sends nothing.

The functions are in the order in which `run_checks` calls them. The checks of templates and delivery are in
`doctor_mail`, those of the archive in `doctor_archive`, those of the sender's domain in `doctor_domain`.
"""

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

from digest.config import Config
from digest.delivery import SmtpSettings, providers
from digest.errors import ConfigError, HistoryError, InboxError
from digest.files import describe_exposed, format_mode
from digest.inbound import InboxSettings
from digest.inbound.mailbox import mailbox_name, read_mailbox
from digest.mail.address import Mailbox, address_key
from digest.mail.edition import format_date
from digest.operations.checks import Check, Mark, Problem
from digest.operations.doctor_archive import check_archive
from digest.operations.doctor_domain import Nameserver, check_domain, is_reserved
from digest.operations.doctor_mail import check_delivery, check_templates
from digest.operations.schedule import ScheduledRun
from digest.operations.status import describe_signups, describe_waiting
from digest.papers import Paper
from digest.papers.text.fit import format_bytes, plural
from digest.pipeline.context import Context
from digest.pipeline.run import fetch
from digest.ranking.sentences import SentenceModel
from digest.sources import Fetched
from digest.sources.fetcher import Fetcher, FetchMemory
from digest.sources.freshness import check_freshness, late_batches
from digest.store.database import check_health, open_read_only
from digest.store.fragments import find_damage
from digest.store.mark import HistoryMark
from digest.store.secret import load_secret, secret_path
from digest.store.statistics import Statistics, open_statistics

_RELEASE_YEAR = 2026  # of this program: a clock before it is wrong
_CLOCK_SKEW = timedelta(minutes=5)  # the clock of a file server may be ahead of ours by this much
_MIN_FREE = 50 * 10**6  # bytes: with less, a day's papers and the write-ahead log may not fit
_LOW_FREE = 500 * 10**6


def run_checks(
    config: Config,
    now: datetime,
    fetcher: Fetcher,
    scheduled: Sequence[ScheduledRun],
    missing_secrets: Sequence[str] = (),
    nameserver: Nameserver | None = None,
    cron_problem: str = "",
) -> Iterator[Check]:
    """Run every check, and yield each as soon as it is done.

    `now` is in the machine's time zone. `scheduled` is what runs this configuration on a schedule. `missing_secrets`
    are the secrets that this shell's environment has and .env lacks. `nameserver` is asked about the sender's domain,
    by default those of this machine. `cron_problem` is why the crontab starts nothing (see `find_cron_problem`).
    """
    local_now = now.astimezone(config.digest.timezone)
    yield check_configuration(config)
    private = _holds_addresses(config)
    yield check_secrets(config.path, config.digest.database, missing_secrets, holds_addresses=private)
    templates, largest = check_templates(config, local_now)
    yield templates
    database, readable = check_database(config.digest.database)
    yield database
    if readable:
        yield from check_topics(config)
    if config.semantic.model is not None:
        yield check_model(config.semantic.model)
    yield check_clock(config, now, readable)
    yield check_schedule(scheduled, cron_problem)
    yield from check_sources(config, local_now, fetcher, readable)
    yield from check_delivery(config, local_now, largest)
    if config.archive is not None:
        yield check_archive(config, config.archive, local_now)
    if config.inbox is not None:
        yield check_inbox(config.inbox, local_now.date())
    if config.signup is not None and readable:
        yield check_signups(config, local_now)
    if isinstance(config.delivery, SmtpSettings):  # a Maildir is on this machine, where nobody checks the domain
        yield from _check_sender(config.digest.from_, config.delivery, nameserver)


def _check_sender(sender: Mailbox, settings: SmtpSettings, nameserver: Nameserver | None) -> Iterator[Check]:
    """Check the DNS records of the sender's domain, unless it belongs to the provider that sends the mail."""
    provider = providers.find_provider(sender.address)
    if provider and provider.host in settings.host:
        yield Check("domain", Mark.OK, f"{sender.domain} is your mail provider's, which keeps its SPF, DKIM and DMARC")
    else:
        yield from check_domain(sender.domain, nameserver)


def checks_without_config(error: ConfigError, path: Path | None) -> Iterator[Check]:
    """Run the checks that need no valid configuration; `path` is its file, None if none was found."""
    if path is None or not _is_file(path):
        yield Check("configuration", Mark.FAIL, str(error), "name it with -c, or create one with digest init")
        return
    fix = "fix this first, then run digest doctor again for the other checks"
    yield Check("configuration", Mark.FAIL, str(error), fix)
    yield check_secrets(path, None, ())


def check_configuration(config: Config) -> Check:
    """Check that a valid configuration has no example address left in it."""
    examples = [to for to in config.digest.to if is_reserved(to.rpartition("@")[2])]
    if examples and isinstance(config.delivery, SmtpSettings):
        message = f"digest.to still has the example address {examples[0]}"
        return Check("configuration", Mark.WARN, message, f"put your own address into digest.to in {config.path}")
    counts = ((len(config.sources), "source"), (len(config.topics), "topic"), (_count_readers(config), "reader"))
    listed = ", ".join(plural(count, word) for count, word in counts)
    return Check("configuration", Mark.OK, f"{config.path}: {listed}")


def _count_readers(config: Config) -> int:
    """Return how many get mail; without a readable database, those in digest.to."""
    keys = {address_key(address) for address in config.digest.to}
    if not _is_file(config.digest.database):
        return len(keys)
    try:
        with open_read_only(config.digest.database) as db:
            return Statistics(db.conn).count_readers(keys)
    except HistoryError:
        return len(keys)


def check_secrets(
    path: Path, database: Path | None, missing_secrets: Sequence[str], *, holds_addresses: bool = True
) -> Check:
    """Check that no other user can read .env and the database, or change the configuration at `path`.

    A group may read a database without addresses: other digests use it as a source.
    """
    env = path.with_name(".env")
    files = [file for file in (env, *(_database_files(database) if database else ())) if _is_file(file)]
    shared = _database_files(database)[:2] if database and not holds_addresses else []
    problems = list(_check_permissions(files, path, shared))
    for name in missing_secrets:
        message = f"cron will not see {name}: it is set in this shell, but missing or different in {env.name}"
        problems.append(Problem(Mark.WARN, message, f"put {name}=… into {env}"))
    if database is not None and _is_file(database):
        problems += _check_signing_secret(database)
    names = ", ".join(file.name for file in files)
    return Check.of("secrets", f"only you can access {names}" if names else "no files with secrets yet", problems)


def _holds_addresses(config: Config) -> bool:
    """Whether there are addresses in the database, or will be, or it cannot be told."""
    try:
        with open_statistics(config.digest.database) as statistics:
            return bool(config.digest.to) or statistics.holds_addresses()
    except HistoryError:
        return True


def _check_permissions(private: Sequence[Path], config: Path, shared: Collection[Path]) -> Iterator[Problem]:
    if exposed := describe_exposed(private, shared):
        yield Problem.parse(exposed)
    # The configuration names commands to run: who can change it can run any command as its owner.
    if _is_file(config) and config.stat().st_mode & stat.S_IWOTH:
        message = f"every user on this machine can change {config.name} ({format_mode(config)})"
        yield Problem(Mark.FAIL, message, f"chmod o-w {shlex.quote(str(config))}")


def _check_signing_secret(database: Path) -> Iterator[Problem]:
    """Check the secret that signs unsubscribe links; it is missing if the database was moved without it."""
    *_, secret = _database_files(database)
    if not secret.exists():
        message = f"{secret.name} is missing: unsubscribe links in earlier mails no longer work"
        fix = f"restore {secret.name} from a backup; otherwise the next run creates a new one"
        yield Problem(Mark.WARN, message, fix)
        return
    try:
        load_secret(database)
    except HistoryError as error:
        yield Problem.parse(str(error))


def _database_files(database: Path) -> list[Path]:
    return [database, database.with_name(f"{database.name}-wal"), secret_path(database)]


def _is_file(path: Path) -> bool:
    """Whether the file exists; False if we may not look."""
    try:
        return path.is_file()
    except OSError:
        return False


def check_database(path: Path) -> tuple[Check, bool]:
    """Check the database and its disk; also return whether the database can be read: it is intact and up to date."""
    try:
        return _check_existing_database(path) if path.exists() else (_check_missing_database(path), False)
    except HistoryError as error:
        problem = Problem.parse(str(error))
    except OSError as error:
        fix = "check the permissions of its folder, or choose another path in digest.database"
        problem = Problem(Mark.FAIL, f"{path} cannot be accessed: {error.strerror}", fix)
    return Check.of("database", "", [problem]), False


def _check_existing_database(path: Path) -> tuple[Check, bool]:
    if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):  # SQLite would open it read-only
        message = f"{path} is not a file that you can read and write"
        fix = "check its permissions, or choose another path in digest.database"
        return Check("database", Mark.FAIL, message, fix), False
    health, size, free = check_health(path), path.stat().st_size, shutil.disk_usage(path.parent).free
    message = f"{format_bytes(size)}, {plural(health.papers, 'paper')}, intact; {format_bytes(free)} free"
    if health.outdated:
        message += "; from an earlier version: the next run upgrades it"
    problems = check_disk_space(size, free)
    if not health.outdated and not health.damage:
        problems += [*_check_mark(path), *_check_texts(path)]
    if health.damage:
        damage = f"the database is damaged: {'; '.join(health.damage)}"
        problems.insert(0, Problem(Mark.FAIL, damage, "restore a backup or move it away"))
    return Check.of("database", message, problems), not health.damage and not health.outdated


def _check_mark(path: Path) -> Iterator[Problem]:
    """Check that the history is the last one of its place, and not a restored backup."""
    with open_read_only(path) as db:
        mark = HistoryMark(db, path)
        if mark.problem:
            yield Problem.parse(mark.problem)
        elif mark.is_missing:
            message = f"the history was moved or restored to this place: if it is a backup, {mark.lacking}"
            yield Problem(Mark.WARN, message, "unsubscribe them again: digest subscribers remove ADDR")


def _check_texts(path: Path) -> Iterator[Problem]:
    """Check that the text of every mail is what was frozen; one that is not is never sent."""
    with open_read_only(path) as db:
        damaged = list(find_damage(db))
    if queued := [f"{day}, {plural(waiting, 'message')} in the queue" for day, waiting in damaged if waiting]:
        message = f"mail is damaged, which is not sent: that of {_first_of(queued)}"
        fix = "restore a backup that has its text; without one it expires after three days, and its papers come again"
        yield Problem(Mark.FAIL, message, fix)
    if past := [f"{day}" for day, waiting in damaged if not waiting]:
        message = f"the text of past mail is damaged, so that preview cannot show it: that of {_first_of(past)}"
        yield Problem(Mark.WARN, message, "restore a backup if you need it; digest prune deletes the text of old mail")


def _check_missing_database(path: Path) -> Check:
    folder = next(folder for folder in path.parents if folder.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        message = f"{path.name} cannot be created: {folder} is not writable"
        return Check("database", Mark.FAIL, message, "choose another path in digest.database")
    free = shutil.disk_usage(folder).free
    message = f"none yet, the first run creates it; {format_bytes(free)} free"
    return Check.of("database", message, check_disk_space(0, free))


def check_disk_space(size: int, free: int) -> list[Problem]:
    """Check that `free` bytes are enough for a database of `size` bytes, which prune and backup copy."""
    if free < _MIN_FREE:
        message = f"only {format_bytes(free)} free on its disk: a run would fail halfway"
        return [Problem(Mark.FAIL, message, "free some disk space; nothing is lost meanwhile")]
    if free < max(_LOW_FREE, 2 * size):
        message = f"only {format_bytes(free)} free on its disk, and the database has {format_bytes(size)}"
        return [Problem(Mark.WARN, message, "free some disk space soon")]
    return []


def check_topics(config: Config) -> Iterator[Check]:
    """Yield a check if readers chose topics that the configuration does not have."""
    with open_statistics(config.digest.database) as statistics:
        missing = statistics.missing_topics(topic.name for topic in config.topics)
    problems = [
        Problem(
            Mark.WARN,
            f"{plural(count, 'reader')} chose the topic {name!r}, which is not in the configuration",
            f"add {name!r} to [[topics]] again, or change their topics: digest subscribers add ADDR --topic NAME",
        )
        for name, count in missing.items()
    ]
    if problems:
        yield Check.of("readers", "", problems)


def check_model(folder: Path) -> Check:
    """Check that the sentence model in a folder makes vectors."""
    try:
        vectors = SentenceModel(folder).embed([Paper("A paper")])
    except ConfigError as error:
        return Check.of("model", "", [Problem.parse(str(error))])
    return Check("model", Mark.OK, f"{folder}: vectors of {plural(vectors.shape[1], 'number')}")


def check_clock(config: Config, now: datetime, readable: bool) -> Check:
    """Check the clock: `now` is in the machine's time zone, `readable` says whether the database can be read."""
    zone = config.digest.timezone
    local_now = now.astimezone(zone)
    message = f"{format_date(local_now)}, {local_now:%H:%M} in {zone.key}"
    if local_now.utcoffset() != now.utcoffset():
        message += f"; cron uses this machine's time, {now:%H:%M} ({now.tzname()})"
    return Check.of("clock", message, _check_time(config.digest.database, now, readable))


def _check_time(database: Path, now: datetime, readable: bool) -> Iterator[Problem]:
    command = "sudo sntp -sS time.apple.com" if sys.platform == "darwin" else "timedatectl set-ntp true"
    fix = f"set the clock: {command}"
    if now.year < _RELEASE_YEAR:
        yield Problem(Mark.FAIL, f"the clock is wrong: it says {now:%Y-%m-%d %H:%M}", fix)
        return
    # This clock set the times of the files, while --date can give a run any day.
    times = [file.stat().st_mtime for file in _database_files(database)[:2] if _is_file(file)]
    written = datetime.fromtimestamp(max(times, default=0)).astimezone()
    if now < written - _CLOCK_SKEW:
        message = f"the clock went back: it says {now:%Y-%m-%d %H:%M}, but the database was written at"
        yield Problem(Mark.FAIL, f"{message} {written:%Y-%m-%d %H:%M}", fix)
    elif readable and (last := _last_run(database)) and last > now:
        message = f"the last run was at {last:%Y-%m-%d %H:%M}, which is in the future: its --date was ahead of time"
        yield Problem(Mark.WARN, message, "nothing to do if that was intended")


def _last_run(database: Path) -> datetime | None:
    with open_read_only(database) as db:
        runs = Statistics(db.conn).runs(1)
    return datetime.fromisoformat(runs[0]["started"]) if runs else None


def check_schedule(scheduled: Sequence[ScheduledRun], cron_problem: str = "") -> Check:
    """Check that the job runs on a schedule, that it works, and that there is only one."""
    problems = [Problem.parse(f"{run.where}: {run.what}: {run.problem}") for run in scheduled if run.problem]
    if not scheduled:
        problems = [Problem(Mark.WARN, "nothing runs the job on a schedule", "digest schedule install")]
    elif len(scheduled) > 1 and not problems:
        places = " and ".join(f"{run.where} ({run.what})" for run in scheduled)
        problems = [Problem(Mark.WARN, f"the job runs more than once: {places}", "keep only one of them")]
    if cron_problem and any(run.where == "crontab" for run in scheduled):
        problems.append(replace(Problem.parse(cron_problem), mark=Mark.WARN))
    message = "; ".join(
        f"{run.what}, by {run.where}" + (f"; next run {run.next:%a %Y-%m-%d %H:%M}" if run.next else "")
        for run in scheduled
    )
    return Check.of("schedule", message, problems)


def check_sources(config: Config, now: datetime, fetcher: Fetcher, readable: bool) -> Iterator[Check]:
    """Fetch every source as a run does, and record nothing; `readable` says whether the database can be read."""
    if not readable:  # then no paper counts as listed before, and a batch is late only if it is empty
        for fetched in fetcher.fetch(config.sources, now, FetchMemory()):
            yield check_source(check_freshness(fetched, lambda _: False))
        return
    with open_read_only(config.digest.database) as db:
        for fetched in fetch(Context(config, db), fetcher, now.date(), now):
            yield check_source(fetched)


def check_source(fetched: Fetched) -> Check:
    """Check that a source could be read, and that what it lists is new."""
    days = [day for sighting in fetched.sightings if (day := sighting.day or sighting.paper.published)]
    newest = f", newest from {max(days)}" if days else ""
    count = len(fetched.sightings)
    empty = "readable" if fetched.history else "reachable, but it lists no papers now"
    listed = f"{plural(count, 'paper')}{newest}" if count else empty
    return Check.of(f"source {fetched.source}", listed, _check_fetched(fetched, listed))


def _check_fetched(fetched: Fetched, listed: str) -> Iterator[Problem]:
    if fetched.state == "failed":
        last = (
            f"; last read {fetched.previous.last_read}"
            if fetched.previous.failed_runs and fetched.previous.last_read
            else ""
        )
        fix = "check its url or path in the configuration and your network; a later run catches up"
        yield Problem(Mark.FAIL, f"{_first_of(fetched.errors)}{last}", fix)
    elif fetched.errors:
        message = f"partly read: {listed}; {_first_of(fetched.errors)}"
        yield Problem(Mark.WARN, message, "nothing to do: the next run retries")
    elif late := late_batches(fetched):
        yield Problem(Mark.WARN, f"{listed}; {_first_of(late)}", "nothing to do: the next run retries")
    elif skipped := fetched.skipped:
        message = f"{listed}; {plural(len(skipped), 'entry', 'entries')} skipped: {skipped[0]}"
        yield Problem(Mark.WARN, message, "the rest is used; fix the source if it is yours")


def _first_of(messages: Sequence[str]) -> str:
    return messages[0] + (f" (and {len(messages) - 1:,} more)" if len(messages) > 1 else "")


def check_inbox(settings: InboxSettings, today: date) -> Check:
    """Check that the mailbox of replies can be read. Reads at most the messages of today, and acts on none."""
    try:
        next(read_mailbox(settings, "", today), None)
    except InboxError as error:
        return Check.of("inbox", "", [Problem.parse(str(error))])
    return Check("inbox", Mark.OK, f"{mailbox_name(settings)} can be read")


def check_signups(config: Config, now: datetime) -> Check:
    """Check how many requests to subscribe are open, and whether some wait because of the day's limit."""
    limit = config.signup.max_per_day if config.signup else 0
    with open_statistics(config.digest.database) as statistics:
        signups = {**statistics.signups(now), "max_per_day": limit}
    problems = []
    if waiting := signups["waiting"]:
        fix = "raise signup.max_per_day if these are people; the addresses are in digest subscribers list --all"
        problems = [Problem(Mark.WARN, f"{describe_signups(signups)}; {describe_waiting(waiting)}", fix)]
    return Check.of("signup", describe_signups(signups), problems)
