"""Who receives the digest, what each of them chose, how each of them stands, and the token each can leave with.

A subscriber is one address, compared without case. Rows are never deleted: who has left stays known as such, so that
neither the configuration nor an import brings them back, and what they were shown is not shown again when they return.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlite_utils import Database

from digest.mail.address import address_key, normalize_address
from digest.store.database import transaction

FOREVER = date.max  # paused until further notice
_SOFT = 5  # days in a row with mail that came back for a passing reason, after which no more is sent
_APART = 3  # days between two such reports that still are "in a row": not every day has mail


@dataclass(frozen=True, slots=True)
class Profile:
    """What a subscriber chose: topics by name, None for all; papers in a mail, None for as many as the digest has."""

    topics: tuple[str, ...] | None = None
    max_papers: int | None = None


DEFAULT_PROFILE = Profile()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One address. `id` is its row, 0 for somebody who does not subscribe (a preview for a stranger)."""

    id: int
    address: str
    token: str
    profile: Profile = DEFAULT_PROFILE


@dataclass(frozen=True, slots=True)
class SubscriberStatus:
    """How a subscriber stands on a day.

    `state` is `active`, `paused` (until `paused`), `suspended` (`why` says so), `left` or `dropped` (no longer in
    digest.to, and never added by hand). `configured` says whether digest.to names the address.
    """

    address: str
    state: str
    profile: Profile
    configured: bool
    paused: date | None = None
    why: str = ""
    bounces: int = 0


@dataclass(frozen=True, slots=True)
class ImportedSubscriber:
    """A subscriber as an import names it. What is None in `topics`, `max_papers`, `paused` was not said.

    `state` is one of those of `Standing` or '', `why` says why one is suspended.
    """

    address: str
    topics: tuple[str, ...] | None = None
    max_papers: int | None = None
    paused: date | None = None
    state: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import came to: who is new, who was there, and who had left and stays out."""

    added: int
    known: int
    out: tuple[str, ...]


class Subscribers:
    """The subscribers in `db`; `secret` makes their tokens unforgeable."""

    def __init__(self, db: Database, secret: bytes) -> None:
        self._db = db
        self._secret = secret

    def configure(self, addresses: Iterable[str]) -> None:
        """Make the `to` of the configuration the configured subscribers: add who is missing, drop who is gone."""
        with transaction(self._db):
            self._db.execute("UPDATE subscribers SET configured = 0 WHERE configured")
            for given in addresses:
                self._db.execute(
                    "INSERT INTO subscribers (key, address, token, configured) VALUES (?, ?, ?, 1)"
                    " ON CONFLICT (key) DO UPDATE SET configured = 1",
                    [address_key(given), given, token(self._secret, given)],
                )

    def get(self, given: str) -> Subscriber:
        """The subscriber with this address, or what a stranger with it would be. Raises ValueError for no address."""
        found = self._one(_BY_KEY, address_key(given))
        return found or Subscriber(0, normalize_address(given), token(self._secret, given))

    def holding(self, token: str) -> Subscriber | None:
        """The subscriber whose token this is; None for one that we never gave out."""
        return self._one(_HOLDING, token.lower())

    def numbered(self, number: int) -> Subscriber | None:
        """The subscriber of this row."""
        return self._one(_NUMBERED, number)

    def first(self, day: date) -> Subscriber | None:
        """The longest subscriber of those who get the mail of `day`."""
        return self._one(_FIRST, day.isoformat())

    def _one(self, question: str, value: str | int) -> Subscriber | None:
        row = self._db.execute(question, [value]).fetchone()
        return Subscriber(row[0], row[1], row[2], profile(*row[3:])) if row else None

    def standing(self, given: str, day: date) -> SubscriberStatus | None:
        """How one address stands, None when it was never heard of. Raises ValueError for no address."""
        row = self._db.execute(_STATUSES + " WHERE key = ?", [address_key(given)]).fetchone()
        return _status(row, day) if row else None

    def roster(self, day: date) -> Iterator[SubscriberStatus]:
        """How each stands, in the order in which they came; read as it is needed."""
        return (_status(row, day) for row in self._db.execute(_STATUSES + " ORDER BY id"))

    def add(self, given: str, chosen: Profile) -> None:
        """Subscribe an address by hand, with this profile: whatever kept mail from it is forgotten.

        Raises ValueError for no address.
        """
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO subscribers (key, address, token, configured, subscribed, topics, max_papers)"
                " VALUES (?, ?, ?, 0, 1, ?, ?) ON CONFLICT (key) DO UPDATE SET subscribed = 1, gone = NULL,"
                " paused = NULL, suspended = '', refusals = 0, refused = NULL, bounces = 0, bounced = NULL,"
                " topics = excluded.topics, max_papers = excluded.max_papers",
                [address_key(given), normalize_address(given), token(self._secret, given), *columns(chosen)],
            )

    def leave(self, subscriber: Subscriber, day: date) -> bool:
        """No more mail for this subscriber, whoever else names the address; False if it had left before."""
        return self._change(
            "UPDATE subscribers SET subscribed = 0, gone = ? WHERE gone IS NULL AND id = ?",
            day.isoformat(),
            subscriber.id,
        )

    def pause(self, subscriber: Subscriber, until: date) -> None:
        """No mail before the day `until`."""
        self._change("UPDATE subscribers SET paused = ? WHERE id = ?", until.isoformat(), subscriber.id)

    def resume(self, subscriber: Subscriber) -> None:
        """Mail again from now on."""
        self._change("UPDATE subscribers SET paused = NULL WHERE id = ?", subscriber.id)

    def _change(self, statement: str, *values: str | int) -> bool:
        with transaction(self._db):
            return bool(self._db.execute(statement, values).rowcount)

    def bounced(self, subscriber: Subscriber, day: date, *, hard: bool, why: str) -> None:
        """Count a report, read on `day`, that mail came back; at most one a day.

        An address that does not exist gets no more mail at once, a full or failing mailbox after five days in a row.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE subscribers SET bounces = CASE WHEN bounced = :day THEN bounces"
                " WHEN julianday(:day) - julianday(bounced) <= :apart THEN bounces + 1 ELSE 1 END, bounced = :day"
                " WHERE id = :id",
                {"day": day.isoformat(), "apart": _APART, "id": subscriber.id},
            )
            self._db.execute(
                "UPDATE subscribers SET suspended = :why"
                " WHERE id = :id AND suspended = '' AND (:hard OR bounces >= :soft)",
                {"why": f"mail came back: {why}"[:300], "id": subscriber.id, "hard": hard, "soft": _SOFT},
            )

    def take_in(self, lines: Iterable[ImportedSubscriber], day: date) -> ImportResult:
        """Take in everybody an import names, as they stood there, in one transaction. Who has left stays out.

        Of an address that comes twice, the last line counts. What a line does not say stays as it is.
        """
        self._db.execute(
            "CREATE TEMP TABLE IF NOT EXISTS incoming (key TEXT PRIMARY KEY, address TEXT, token TEXT, topics TEXT,"
            " max_papers INTEGER, paused TEXT, subscribed INTEGER, gone TEXT, suspended TEXT)"
        )
        with self._db.atomic():  # of the temporary table alone: no run has to wait while a long file is read
            self._db.execute("DELETE FROM temp.incoming")
            self._db.conn.executemany(
                "INSERT OR REPLACE INTO temp.incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self._incoming(line, day) for line in lines),
            )
        with transaction(self._db):
            known, out = self._met()
            self._db.execute(_TAKE_IN)
            (total,) = self._db.execute("SELECT count(*) FROM temp.incoming").fetchone()
        return ImportResult(total - known - len(out), known, tuple(out))

    def _incoming(self, line: ImportedSubscriber, day: date) -> list[Any]:
        return [
            address_key(line.address),
            normalize_address(line.address),
            token(self._secret, line.address),
            *columns(Profile(line.topics, line.max_papers)),
            line.paused and line.paused.isoformat(),
            line.state not in ("left", "dropped"),
            day.isoformat() if line.state == "left" else None,
            (line.why or "was suspended before it was imported") if line.state == "suspended" else "",
        ]

    def _met(self) -> tuple[int, list[str]]:
        """How many of the incoming are here already, and which of them have left."""
        rows = self._db.execute(
            "SELECT s.address, s.gone IS NOT NULL FROM temp.incoming i JOIN subscribers s ON s.key = i.key"
            " ORDER BY s.id"
        ).fetchall()
        return sum(not gone for _, gone in rows), [given for given, gone in rows if gone]


_BY_KEY = "SELECT id, address, token, topics, max_papers FROM subscribers WHERE key = ?"
_HOLDING = "SELECT id, address, token, topics, max_papers FROM subscribers WHERE token = ?"
_NUMBERED = "SELECT id, address, token, topics, max_papers FROM subscribers WHERE id = ?"
_FIRST = "SELECT id, address, token, topics, max_papers FROM receivers WHERE since <= ? ORDER BY id LIMIT 1"
_STATUSES = (
    "SELECT address, topics, max_papers, configured, subscribed, gone, paused, suspended, bounces FROM subscribers"
)
# An empty list says "all topics" and 0 "as many as the digest has", where NULL says nothing.
_TAKE_IN = """
INSERT INTO subscribers (key, address, token, configured, subscribed, topics, max_papers, paused, gone, suspended)
SELECT key, address, token, 0, subscribed, nullif(topics, '[]'), nullif(max_papers, 0), paused, gone, suspended
FROM temp.incoming WHERE true ORDER BY rowid
ON CONFLICT (key) DO UPDATE SET
    subscribed = excluded.gone IS NULL AND max(excluded.subscribed, subscribed),
    gone = excluded.gone,
    suspended = coalesce(nullif(excluded.suspended, ''), suspended),
    topics = (SELECT nullif(coalesce(i.topics, subscribers.topics), '[]')
              FROM temp.incoming i WHERE i.key = excluded.key),
    max_papers = (SELECT nullif(coalesce(i.max_papers, subscribers.max_papers), 0)
                  FROM temp.incoming i WHERE i.key = excluded.key),
    paused = coalesce(excluded.paused, paused)
WHERE subscribers.gone IS NULL
"""


def profile(topics: str | None, max_papers: int | None) -> Profile:
    """A profile from its two columns."""
    return Profile(None if topics is None else tuple(json.loads(topics)), max_papers)


def columns(chosen: Profile) -> tuple[str | None, int | None]:
    """The two columns of a profile; the same for the same choice, in whatever order its topics were named."""
    return None if chosen.topics is None else json.dumps(sorted(chosen.topics), ensure_ascii=False), chosen.max_papers


def token(secret: bytes, given: str) -> str:
    """26 letters and digits (128 bits) that stand for an address and cannot be made without the secret."""
    digest = hmac.new(secret, b"subscriber " + address_key(given).encode(), hashlib.sha256).digest()
    return base64.b32encode(digest[:16]).decode("ascii").rstrip("=").lower()


def _status(row: Any, day: date) -> SubscriberStatus:
    given, topics, most, configured, subscribed, gone, paused, suspended, bounces = row
    until = date.fromisoformat(paused) if paused and paused > day.isoformat() else None
    known = configured or subscribed
    state = (
        "left" if gone else "dropped" if not known else "suspended" if suspended else "paused" if until else "active"
    )
    why = f"left on {gone}" if gone else suspended
    return SubscriberStatus(given, state, profile(topics, most), bool(configured), until, why, bounces)
