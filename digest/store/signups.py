"""Requests to subscribe by mail: from the letter of a stranger to the reply that confirms it.

    letter ──▶ waiting ──▶ answered ──▶ used
               (the cap      (one confirmation mail,
                of a day)     a token for three days)

Whatever an address asks, it gets one confirmation mail in 24 hours, subscribed or not, so nobody learns from it who is
subscribed. Its +tags count as the same address, since anybody can invent any number of them. Nothing is kept of a
request that three days have not confirmed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from digest.mail.address import address_key, untagged
from digest.mail.requests import (
    CONFIRM_WITHIN,
    confirmation_token,
    is_confirmation_token,
    read_confirmation_token,
)
from digest.store.database import transaction, utc
from digest.store.statistics import Statistics

if TYPE_CHECKING:
    from sqlite_utils import Database

_ONE_IN = timedelta(hours=24)  # confirmation mails to an address


@dataclass(frozen=True, slots=True)
class Signup:
    """A request that a confirmation mail answers. `letter` is the Message-ID of the letter, or ''."""

    address: str
    letter: str
    token: str


class Signups:
    """The requests in `db`; `secret` makes their tokens unforgeable. `now` is the real time, whatever --date is."""

    def __init__(self, db: "Database", secret: bytes) -> None:
        self._db = db
        self._secret = secret

    def ask(self, address: str, letter: str, now: datetime) -> bool:
        """Record the request of an address; return False if it has one that waits or was answered in 24 hours.

        The same for any other +tag of the address. Raises ValueError when it is not an address.
        """
        with transaction(self._db):
            key = address_key(address)
            local, _, domain = (plain := untagged(key)).rpartition("@")
            known = self._db.execute(
                "SELECT 1 FROM requests WHERE (key = :plain OR key > :local || '+' AND key < :local || ','"  # one range
                " AND substr(key, -length(:domain)) = :domain) AND (answered IS NULL OR answered > :since)",
                {"plain": plain, "local": local, "domain": f"@{domain}", "since": utc(now - _ONE_IN)},
            ).fetchone()
            if not known:
                self._db.execute(
                    "INSERT INTO requests (key, address, letter, asked) VALUES (?, ?, ?, ?)",
                    [key, address, letter, utc(now)],
                )
        return not known

    def answer(self, now: datetime, max_per_day: int) -> Signup | None:
        """Take the oldest request that waits, make its token, and count it as answered; None if none may be answered.

        The caller queues the confirmation mail in the same transaction. Requests of three days are deleted.
        """
        with transaction(self._db):
            self._db.execute("DELETE FROM requests WHERE coalesce(answered, asked) <= ?", [utc(now - CONFIRM_WITHIN)])
            if Statistics(self._db.conn).signups(now)["today"] >= max_per_day:
                return None
            row = self._db.execute(
                "UPDATE requests SET answered = ? WHERE id = (SELECT min(id) FROM requests WHERE answered IS NULL)"
                " RETURNING id, key, address, letter",
                [utc(now)],
            ).fetchone()
        if row is None:
            return None
        return Signup(row[2], row[3], confirmation_token(self._secret, row[0], row[1], now + CONFIRM_WITHIN))

    def confirm(self, token: str, now: datetime) -> str | None:
        """Return the address that a token of 40 letters and digits confirms, None if it is forged, expired or used.

        From then on, no token confirms this address that was made before.
        """
        number, expires = read_confirmation_token(token)
        row = self._db.execute("SELECT key, address, used FROM requests WHERE id = ?", [number]).fetchone()
        key, address, used = row or ("", "", None)
        if not is_confirmation_token(self._secret, token, key) or used or expires <= now.timestamp():
            return None
        self.use(address, now)
        return str(address)

    def use(self, address: str, now: datetime) -> None:
        """End all requests of an address that were answered: they are confirmed, or its reader has unsubscribed."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE requests SET used = ? WHERE key = ? AND answered IS NOT NULL", [utc(now), address_key(address)]
            )

    def pending(self, now: datetime) -> list[str]:
        """Return the addresses that may still confirm, or wait for their confirmation mail, oldest first."""
        rows = self._db.execute(
            "SELECT address FROM requests WHERE used IS NULL AND coalesce(answered, asked) > ? GROUP BY key"
            " ORDER BY min(id)",
            [utc(now - CONFIRM_WITHIN)],
        )
        return [row[0] for row in rows]
