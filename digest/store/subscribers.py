"""Subscribers: what they chose, their status, and their unsubscribe token.

A subscriber is one address, compared without case. Rows are never deleted, so neither the configuration nor an import
subscribes someone who unsubscribed, and nobody is sent a paper twice.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from digest.mail.address import address_key, normalize_address
from digest.mail.requests import feedback_token
from digest.ranking import DEFAULT_PROFILE, Profile
from digest.settings import WEEKDAYS, weekday_names, weekdays
from digest.store.database import transaction
from digest.store.labels import Label

if TYPE_CHECKING:
    from sqlite_utils import Database

FOREVER = date.max  # paused until further notice
_MAX_SOFT_BOUNCES = 5  # days in a row with mail that bounced for a temporary reason; then the subscriber is suspended
_MAX_GAP_DAYS = 3  # between two such bounces "in a row": not every day has mail


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One address. `id` is its row, or 0 for an unknown address (as in a preview for it)."""

    id: int
    address: str
    token: str
    profile: Profile = DEFAULT_PROFILE


@dataclass(frozen=True, slots=True)
class SubscriberStatus:
    """The status of a subscriber on a day.

    `state` is `active`, `paused` (until `paused`), `suspended` (for the reason `why`), `left` (unsubscribed) or
    `dropped` (no longer in digest.to, and never added by hand); in lists also `pending` (asked by mail, and has not
    confirmed it). `configured` is whether digest.to has the address,
    `confirmed` the day on which they subscribed by mail, None if they were added.
    """

    address: str
    state: str
    profile: Profile
    configured: bool
    paused: date | None = None
    why: str = ""
    bounces: int = 0
    confirmed: date | None = None

    @property
    def subscribed(self) -> bool:
        """Whether they are a subscriber, even if they get no mail for now."""
        return self.state not in ("left", "dropped", "pending")

    @property
    def silence(self) -> str:
        """Why they get no mail, as a predicate: "is paused until 2026-05-01"; '' if they get mail."""
        until = f" until {self.paused}" if self.paused and self.paused != FOREVER else ""
        return {
            "paused": f"is paused{until}",
            "suspended": f"is suspended: {self.why}",
            "left": self.why,
            "dropped": "is no longer in digest.to",
        }.get(self.state, "")


@dataclass(frozen=True, slots=True)
class ImportedSubscriber:
    """A subscriber in an import. `topics`, `max_papers`, `days` and `paused` are None where the import does not say.

    Empty `topics` or `days` mean all, 0 papers `digest.max_papers`. `state` is one of those of `SubscriberStatus` or
    ''; `why` is the reason for a suspension. `shown` are names of papers that another digest has sent to this
    subscriber, up to the day `last_mail`. `confirmed` is the day on which they subscribed by mail,
    `labels` are what they said about papers.
    """

    address: str
    topics: tuple[str, ...] | None = None
    max_papers: int | None = None
    paused: date | None = None
    state: str = ""
    why: str = ""
    days: frozenset[int] | None = None
    shown: tuple[str, ...] = ()
    last_mail: date | None = None
    confirmed: date | None = None
    labels: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The numbers of new and known addresses in an import, and those that stay unsubscribed."""

    added: int
    known: int
    unsubscribed: tuple[str, ...]


class Subscribers:
    """The subscribers in `db`; `secret` makes their tokens unforgeable."""

    def __init__(self, db: "Database", secret: bytes) -> None:
        self._db = db
        self._secret = secret
        self._by_feedback_token: dict[str, int] | None = None

    def configure(self, addresses: Iterable[str]) -> None:
        """Make the addresses of digest.to the configured subscribers: add new ones, drop those no longer in it."""
        with transaction(self._db):
            self._db.execute("UPDATE subscribers SET configured = 0 WHERE configured")
            for address in addresses:
                self._db.execute(
                    "INSERT INTO subscribers (key, address, token, configured) VALUES (?, ?, ?, 1)"
                    " ON CONFLICT (key) DO UPDATE SET configured = 1",
                    [address_key(address), address, make_token(self._secret, address)],
                )

    def by_address(self, address: str) -> Subscriber:
        """Return the subscriber with this address; for an unknown address a new one with row 0, which is not stored.

        Raises ValueError when it is not an address.
        """
        found = self._one(_BY_KEY, address_key(address))
        return found or Subscriber(0, normalize_address(address), make_token(self._secret, address))

    def by_token(self, token: str) -> Subscriber | None:
        """Return the subscriber with this token; None if there is none."""
        return self._one(_BY_TOKEN, token.lower())

    def by_feedback_token(self, token: str) -> Subscriber | None:
        """Return the subscriber who votes with this token; None if there is none.

        The first call reads all subscribers, of which each reading of the mailbox makes one at most.
        """
        if self._by_feedback_token is None:
            rows = self._db.execute("SELECT id, token FROM subscribers")
            self._by_feedback_token = {feedback_token(token): row for row, token in rows}
        row = self._by_feedback_token.get(token.lower())
        return None if row is None else self.by_id(row)

    def by_id(self, row: int) -> Subscriber | None:
        """Return the subscriber of this row; None if there is none."""
        return self._one(_BY_ID, row)

    def first(self, day: date) -> Subscriber | None:
        """Return the subscriber with the lowest row among those who get the mail of `day`."""
        return self._one(_FIRST, day.isoformat(), WEEKDAYS[day.weekday()])

    def _one(self, sql: str, *values: str | int) -> Subscriber | None:
        row = self._db.execute(sql, values).fetchone()
        return Subscriber(row[0], row[1], row[2], profile_from_columns(*row[3:])) if row else None

    def status(self, address: str, day: date) -> SubscriberStatus | None:
        """Return the status of an address, None for an unknown one. Raises ValueError when it is not an address."""
        row = self._db.execute(_STATUSES + " WHERE key = ?", [address_key(address)]).fetchone()
        return _status(row, day) if row else None

    def statuses(self, day: date) -> Iterator[SubscriberStatus]:
        """Return the status of every subscriber, by row; read as needed."""
        return (_status(row, day) for row in self._db.execute(_STATUSES + " ORDER BY id"))

    def add(self, address: str, profile: Profile, confirmed: date | None = None) -> None:
        """Subscribe an address with this profile; end any pause, suspension or earlier unsubscribe.

        `confirmed` is the day on which they subscribed by mail. Who already is subscribed remains so as before. Raises
        ValueError when it is not an address.
        """
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO subscribers (key, address, token, configured, subscribed, topics, max_papers, days,"
                " confirmed) VALUES (?, ?, ?, 0, 1, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET subscribed = 1,"
                " gone = NULL, paused = NULL, suspended = '', refusals = 0, refused = NULL, bounces = 0,"
                " bounced = NULL, topics = excluded.topics, max_papers = excluded.max_papers, days = excluded.days,"
                " confirmed = iif(gone IS NULL AND (configured OR subscribed), confirmed, excluded.confirmed)",
                [
                    address_key(address),
                    normalize_address(address),
                    make_token(self._secret, address),
                    *profile_columns(profile),
                    confirmed and confirmed.isoformat(),
                ],
            )

    def choose(self, subscriber: Subscriber, profile: Profile) -> None:
        """Change what a subscriber chose, but not their labels."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE subscribers SET topics = ?, max_papers = ?, days = ? WHERE id = ?",
                [*profile_columns(profile), subscriber.id],
            )

    def unsubscribe(self, subscriber: Subscriber, day: date) -> bool:
        """Unsubscribe; return False if they already had."""
        return self._change(
            "UPDATE subscribers SET subscribed = 0, gone = ? WHERE gone IS NULL AND id = ?",
            day.isoformat(),
            subscriber.id,
        )

    def pause(self, subscriber: Subscriber, until: date) -> None:
        """Pause mail until the day `until`."""
        self._change("UPDATE subscribers SET paused = ? WHERE id = ?", until.isoformat(), subscriber.id)

    def resume(self, subscriber: Subscriber) -> None:
        """End a pause."""
        self._change("UPDATE subscribers SET paused = NULL WHERE id = ?", subscriber.id)

    def _change(self, statement: str, *values: str | int) -> bool:
        with transaction(self._db):
            return bool(self._db.execute(statement, values).rowcount)

    def record_bounce(self, subscriber: Subscriber, day: date, *, hard: bool, why: str) -> None:
        """Count a bounce, read on `day`; at most one a day.

        An address that does not exist (`hard`) is suspended at once; a full mailbox after five days in a row.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE subscribers SET bounces = CASE WHEN bounced = :day THEN bounces"
                " WHEN julianday(:day) - julianday(bounced) <= :gap THEN bounces + 1 ELSE 1 END, bounced = :day"
                " WHERE id = :id",
                {"day": day.isoformat(), "gap": _MAX_GAP_DAYS, "id": subscriber.id},
            )
            self._db.execute(
                "UPDATE subscribers SET suspended = :why"
                " WHERE id = :id AND suspended = '' AND (:hard OR bounces >= :soft)",
                {"why": f"mail bounced: {why}"[:300], "id": subscriber.id, "hard": hard, "soft": _MAX_SOFT_BOUNCES},
            )

    def import_all(self, rows: Iterable[ImportedSubscriber], day: date) -> ImportResult:
        """Import subscribers with their status, in one transaction.

        Those who unsubscribed here stay unsubscribed. If an address occurs twice, the last row counts; what a row does
        not contain stays as it is.
        """
        self._db.execute(
            "CREATE TEMP TABLE IF NOT EXISTS incoming (key TEXT PRIMARY KEY, address TEXT, token TEXT, topics TEXT,"
            " max_papers INTEGER, days TEXT, paused TEXT, subscribed INTEGER, gone TEXT, suspended TEXT,"
            " confirmed TEXT)"
        )
        with self._db.atomic():  # for the temporary table only: no run has to wait while a long file is read
            self._db.execute("DELETE FROM temp.incoming")
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO temp.incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self._import_row(row, day) for row in rows),
            )
        with transaction(self._db):
            known, unsubscribed = self._known_in_import()
            self._db.execute(_IMPORT)
            (total,) = self._db.execute("SELECT count(*) FROM temp.incoming").fetchone()
        return ImportResult(total - known - len(unsubscribed), known, tuple(unsubscribed))

    def _import_row(self, row: ImportedSubscriber, day: date) -> list[Any]:
        return [
            address_key(row.address),
            normalize_address(row.address),
            make_token(self._secret, row.address),
            *profile_columns(Profile(row.topics, row.max_papers, row.days)),
            row.paused and row.paused.isoformat(),
            row.state not in ("left", "dropped"),
            day.isoformat() if row.state == "left" else None,
            (row.why or "was suspended before it was imported") if row.state == "suspended" else "",
            row.confirmed and row.confirmed.isoformat(),
        ]

    def _known_in_import(self) -> tuple[int, list[str]]:
        """Return how many of the incoming addresses are known, and which of them have unsubscribed."""
        rows = self._db.execute(
            "SELECT s.address, s.gone IS NOT NULL FROM temp.incoming i JOIN subscribers s ON s.key = i.key"
            " ORDER BY s.id"
        ).fetchall()
        return sum(not gone for _, gone in rows), [address for address, gone in rows if gone]


# A subscriber's labels as text, like "+12 -5", NULL for none. The order makes it the same for the same labels.
LABELS = (
    "(SELECT group_concat(iif(liked, '+', '-') || paper, ' ')"
    " FROM (SELECT liked, paper FROM labels WHERE subscriber = s.id ORDER BY paper))"
)
_COLUMNS = f"s.id, s.address, s.token, s.topics, s.max_papers, s.days, {LABELS}"
_BY_KEY = f"SELECT {_COLUMNS} FROM subscribers s WHERE key = ?"  # noqa: S608  ours, as below
_BY_TOKEN = f"SELECT {_COLUMNS} FROM subscribers s WHERE token = ?"  # noqa: S608
_BY_ID = f"SELECT {_COLUMNS} FROM subscribers s WHERE id = ?"  # noqa: S608
_FIRST = (
    f"SELECT {_COLUMNS} FROM receivers s"  # noqa: S608
    " WHERE since <= ? AND (days IS NULL OR instr(days, ?)) ORDER BY id LIMIT 1"
)
_STATUSES = (
    "SELECT address, topics, max_papers, days, configured, subscribed, gone, paused, suspended, bounces, confirmed"
    " FROM subscribers"
)
# An empty list means all topics, 0 means digest.max_papers, no days mean every day, and NULL means no change.
_IMPORT = """
INSERT INTO subscribers (key, address, token, configured, subscribed, topics, max_papers, days, paused, gone, suspended,
    confirmed)
SELECT key, address, token, 0, subscribed, nullif(topics, '[]'), nullif(max_papers, 0), nullif(days, ''), paused, gone,
    suspended, confirmed
FROM temp.incoming WHERE true ORDER BY rowid
ON CONFLICT (key) DO UPDATE SET
    subscribed = excluded.gone IS NULL AND max(excluded.subscribed, subscribed),
    gone = excluded.gone,
    suspended = coalesce(nullif(excluded.suspended, ''), suspended),
    topics = (SELECT nullif(coalesce(i.topics, subscribers.topics), '[]')
              FROM temp.incoming i WHERE i.key = excluded.key),
    max_papers = (SELECT nullif(coalesce(i.max_papers, subscribers.max_papers), 0)
                  FROM temp.incoming i WHERE i.key = excluded.key),
    days = (SELECT nullif(coalesce(i.days, subscribers.days), '') FROM temp.incoming i WHERE i.key = excluded.key),
    paused = coalesce(excluded.paused, paused),
    confirmed = coalesce(confirmed, excluded.confirmed)
WHERE subscribers.gone IS NULL
"""


def profile_from_columns(
    topics: str | None, max_papers: int | None, days: str | None = None, labels: str | None = None
) -> Profile:
    """Return the profile in the columns of a subscriber; without `days`, what matters for the papers of a mail."""
    labelled = [int(label) for label in (labels or "").split()]
    return Profile(
        topics=None if topics is None else tuple(json.loads(topics)),
        max_papers=max_papers,
        days=weekdays(days.split(",")) if days else None,
        liked=tuple(paper for paper in labelled if paper > 0),
        disliked=tuple(-paper for paper in labelled if paper < 0),
    )


def profile_columns(profile: Profile) -> tuple[str | None, int | None, str | None]:
    """Return the columns of a profile; they do not depend on the order of its topics."""
    topics = None if profile.topics is None else json.dumps(sorted(profile.topics), ensure_ascii=False)
    return topics, profile.max_papers, None if profile.days is None else ",".join(weekday_names(profile.days))


def make_token(secret: bytes, address: str) -> str:
    """Return 26 letters and digits (128 bits) for an address; they cannot be made without the secret."""
    digest = hmac.new(secret, b"subscriber " + address_key(address).encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:16]).decode("ascii").rstrip("=").lower()


def _status(row: Any, day: date) -> SubscriberStatus:
    address, topics, max_papers, days, configured, subscribed, gone, paused, suspended, bounces, confirmed = row
    until = date.fromisoformat(paused) if paused and paused > day.isoformat() else None
    known = configured or subscribed
    state = (
        "left" if gone else "dropped" if not known else "suspended" if suspended else "paused" if until else "active"
    )
    why = f"unsubscribed on {gone}" if gone else suspended
    profile = profile_from_columns(topics, max_papers, days)
    return SubscriberStatus(address, state, profile, bool(configured), until, why, bounces, _date(confirmed))


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
