"""The mail that is to go out, frozen, and what became of each message.

A delivery moves through these states; each arrow is on disk before anything else happens to it:

    publish ──▶ pending ──▶ sending ──▶ sent
                  ▲   claim    │  settle
                  ├────────────┼──▶ refused          the server will not have it for this address
                  └────────────┴──▶ in doubt ─▶ …    it may have arrived: the next run sends it again, the same bytes

Whoever claims holds the run lock (digest.lock), which the kernel takes from a process that dies. So a delivery that is
`sending` in the name of another run is a dead one's, and is taken over at once.

A paper counts as shown to a subscriber if and only if an edition that holds it is here under that subscriber's name.
What waits longer than three days expires: yesterday's news is no news. An expired message that never left the house
has shown nothing, so its papers may be shown again.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from sqlite_utils import Database

from digest.delivery import Message, Outcome, State
from digest.errors import MailPruned
from digest.mail.message import MessageFrame, fill_frame, message_id
from digest.store.database import transaction
from digest.store.subscribers import Profile, Subscriber, profile

_BATCH = 100  # deliveries claimed by one commit
_KEPT_DAYS = 3
_FRAMES = 8  # editions held in memory; the queue goes through them one after the other
REFUSALS = 3  # days with a refusal, and none with an acceptance between, after which a subscriber gets no more mail


@dataclass(frozen=True, slots=True)
class Audience:
    """Subscribers without a message yet that chose and have been shown the same: one edition serves them all.

    `key` is what they have in common in `temp.audience`: the editions they were shown, their topics and their limit.
    """

    key: tuple[str, str | None, int | None]
    size: int
    shown: frozenset[int]
    profile: Profile


class Outbox:
    """Editions and deliveries in the database `db`."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._frame = lru_cache(_FRAMES)(self._read_frame)
        db.register_function(message_id, deterministic=True)

    def audiences(self, day: date, papers: Iterable[int]) -> list[Audience]:
        """Who still gets a message on `day`, grouped by what they chose and which of `papers` they have been shown.

        Cost in memory: one row a group, not a subscriber.
        """
        editions = self._editions_with(papers)
        self._db.execute(
            "CREATE TEMP TABLE IF NOT EXISTS audience (subscriber INTEGER PRIMARY KEY, seen TEXT NOT NULL,"
            " topics TEXT, max_papers INTEGER)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS temp.audience_key ON audience (topics, max_papers, seen)")
        with transaction(self._db):
            self._db.execute("DELETE FROM temp.audience")
            self._db.execute(
                "INSERT INTO temp.audience SELECT s.id, coalesce((SELECT group_concat(edition) FROM (SELECT d.edition"
                " FROM deliveries d WHERE d.subscriber = s.id AND d.edition IN (SELECT value FROM json_each(:editions))"
                " AND (d.doubt OR d.state <> 'expired' AND (d.state <> 'pending' OR d.day >= :oldest))"
                " ORDER BY d.edition)), ''),"
                " s.topics, s.max_papers FROM receivers s WHERE s.since <= :day"
                " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.subscriber = s.id AND d.day = :day)",
                {"editions": json.dumps(sorted(editions)), "day": day.isoformat(), "oldest": _oldest(day)},
            )
        rows = self._db.execute(
            "SELECT seen, topics, max_papers, count(*) FROM temp.audience GROUP BY 1, 2, 3 ORDER BY min(subscriber)"
        ).fetchall()
        return [
            Audience((seen, topics, most), size, self._papers_of(seen, editions), profile(topics, most))
            for seen, topics, most, size in rows
        ]

    def shown_to(self, subscriber: Subscriber, papers: Iterable[int], day: date) -> frozenset[int]:
        """Which of `papers` the subscriber has been shown, as a run of `day` will count it once it has resumed."""
        editions = self._editions_with(papers)
        rows = self._db.execute(
            "SELECT edition FROM deliveries WHERE subscriber = ?"
            " AND (doubt OR state <> 'expired' AND (state <> 'pending' OR day >= ?))",
            [subscriber.id, _oldest(day)],
        )
        return frozenset().union(*(editions[row[0]] for row in rows if row[0] in editions))

    def _editions_with(self, papers: Iterable[int]) -> dict[int, set[int]]:
        """Edition -> which of `papers` it shows, for the editions that show any."""
        found: dict[int, set[int]] = {}
        rows = self._db.execute(
            "SELECT paper, edition FROM shown WHERE paper IN (SELECT value FROM json_each(?))",
            [json.dumps(list(papers))],
        )
        for paper, edition in rows:
            found.setdefault(edition, set()).add(paper)
        return found

    @staticmethod
    def _papers_of(seen: str, editions: dict[int, set[int]]) -> frozenset[int]:
        return frozenset().union(*(editions[int(edition)] for edition in seen.split(",") if edition))

    def publish(self, day: date, frame: MessageFrame, papers: Sequence[int], audience: Audience, now: datetime) -> int:
        """Freeze an edition and queue it for an audience, in one commit; return how many messages that made.

        A subscriber that has got a message of that day meanwhile is left out by the unique key, and who has left since
        the audience was counted by a second look.
        """
        seen, topics, most = audience.key
        with transaction(self._db):
            edition = self._db.execute(
                "INSERT INTO editions (day, sender, bytes, gaps, created) VALUES (?, ?, ?, ?, ?)",
                [day.isoformat(), frame.sender, frame.bytes, json.dumps(frame.gaps), now.isoformat()],
            ).lastrowid
            self._db.conn.executemany(
                "INSERT INTO shown (paper, edition, place) VALUES (?, ?, ?)",
                [(paper, edition, place) for place, paper in enumerate(papers, start=1)],
            )
            return self._db.execute(
                "INSERT OR IGNORE INTO deliveries (subscriber, day, edition, message_id, changed)"
                " SELECT s.id, :day, :edition, message_id(s.token, :day, :sender), :now"
                " FROM temp.audience a JOIN receivers s ON s.id = a.subscriber WHERE s.since <= :day"
                " AND a.seen = :seen AND a.topics IS :topics AND a.max_papers IS :most",
                {
                    "day": day.isoformat(),
                    "edition": edition,
                    "sender": frame.sender,
                    "now": now.isoformat(),
                    "seen": seen,
                    "topics": topics,
                    "most": most,
                },
            ).rowcount

    def of_day(self, subscriber: Subscriber, day: date) -> bytes | None:
        """The message of `day` for the subscriber as it was frozen, or None while there is none.

        Raises Pruned when there was one and its text is gone.
        """
        row = self._db.execute(
            "SELECT edition FROM deliveries WHERE subscriber = ? AND day = ?", [subscriber.id, day.isoformat()]
        ).fetchone()
        if row is None:
            return None
        frame = self._frame(row[0])
        if not frame.bytes:
            raise MailPruned(f"the mail of {day} to {subscriber.address} is long gone: its text was pruned")
        return fill_frame(frame, subscriber.address, subscriber.token, day.isoformat())

    def _read_frame(self, edition: int) -> MessageFrame:
        sender, body, gaps = self._db.execute(
            "SELECT sender, bytes, gaps FROM editions WHERE id = ?", [edition]
        ).fetchone()
        return MessageFrame(sender, body, tuple((offset, part) for offset, part in json.loads(gaps)))

    def withdraw(self, today: date) -> int:
        """Take the mail to whoever gets none any more out of the queue; return how many messages that were.

        What surely never left is as if it had not been queued, so its papers may come again. What may have arrived
        expires: it counts as shown, and no second copy leaves.
        """
        with transaction(self._db):
            rows = self._db.execute(
                "SELECT id FROM queue WHERE state <> 'sending' AND NOT EXISTS (SELECT 1 FROM receivers s"
                " WHERE s.id = queue.subscriber AND s.since <= max(queue.day, ?))",
                [today.isoformat()],
            )
            unwanted = json.dumps([row[0] for row in rows.fetchall()])
            self._db.execute(
                "UPDATE deliveries SET state = 'expired', reply = 'withdrawn: gets no more mail'"
                " WHERE doubt AND id IN (SELECT value FROM json_each(?))",
                [unwanted],
            )
            self._db.execute(
                "DELETE FROM deliveries WHERE NOT doubt AND id IN (SELECT value FROM json_each(?))", [unwanted]
            )
        return unwanted.count(",") + (unwanted != "[]")

    def resume(self, run: int, today: date, now: datetime) -> None:
        """Before a run chooses or delivers: what a dead run had in its hands is in doubt, what is too old expires.

        Mail to whoever has left meanwhile is withdrawn.

        The caller holds the run lock, so whatever is still `sending` belongs to a run that is dead.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE deliveries SET state = 'in doubt', doubt = 1, reply = 'the run that was sending it died',"
                " changed = ? WHERE id IN (SELECT id FROM queue WHERE state = 'sending' AND run IS NOT ?)",
                [now.isoformat(), run],
            )
            self._db.execute(
                "UPDATE deliveries SET state = 'expired', changed = ? WHERE id IN (SELECT id FROM queue WHERE day < ?)",
                [now.isoformat(), _oldest(today)],
            )
        self.withdraw(today)

    def claim(self, run: int, clock: Callable[[], datetime]) -> Iterator[Message]:
        """The queue, oldest first: every message once, as they are wanted, claimed by the hundred.

        What the run itself left in doubt is not in it: a second copy of that is for the next run to risk.
        """
        last = 0
        while claimed := self._claim_batch(run, last, clock()):
            yield from self._messages(claimed)
            last = claimed[-1]

    def _claim_batch(self, run: int, after: int, now: datetime) -> list[int]:
        with transaction(self._db):
            rows = self._db.execute(
                "UPDATE deliveries SET state = 'sending', run = :run, attempts = attempts + 1, changed = :now"
                " WHERE id IN (SELECT id FROM queue WHERE id > :after AND (state = 'pending' OR (state = 'in doubt'"
                " AND run IS NOT :run)) ORDER BY id LIMIT :batch) RETURNING id",
                {"run": run, "now": now.isoformat(), "after": after, "batch": _BATCH},
            ).fetchall()
        return sorted(row[0] for row in rows)

    def _messages(self, deliveries: Sequence[int]) -> Iterator[Message]:
        rows = self._db.execute(
            "SELECT d.id, d.edition, d.day, d.doubt, s.address, s.token FROM deliveries d"
            " JOIN subscribers s ON s.id = d.subscriber WHERE d.id IN (SELECT value FROM json_each(?)) ORDER BY d.id",
            [json.dumps(deliveries)],
        ).fetchall()
        for delivery, edition, day, doubt, address, token in rows:
            frame = self._frame(edition)
            yield Message(delivery, frame.sender, address, fill_frame(frame, address, token, day), bool(doubt))

    def settle(self, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Write down what became of some messages, by one commit; on disk when this returns."""
        with transaction(self._db):
            self._db.conn.executemany(
                "UPDATE deliveries SET state = ?1, doubt = max(doubt, ?1 = 'in doubt'), reply = ?2, changed = ?3"
                " WHERE id = ?4",
                [(outcome.state.value, outcome.reply[:500], now.isoformat(), outcome.key) for outcome in outcomes],
            )
            self._forgive([outcome.key for outcome in outcomes if outcome.state is State.SENT])
            for outcome in outcomes:
                if outcome.state is State.REFUSED:
                    self._hold_against(outcome.key, now)

    def _forgive(self, deliveries: Sequence[int]) -> None:
        """Who takes a message again has no refusals any more."""
        self._db.execute(
            "UPDATE subscribers SET refusals = 0 WHERE refusals > 0 AND id IN"
            " (SELECT subscriber FROM deliveries WHERE id IN (SELECT value FROM json_each(?)))",
            [json.dumps(deliveries)],
        )

    def _hold_against(self, delivery: int, now: datetime) -> None:
        """Count a refusal, once a day; after the third no more mail goes there."""
        self._db.execute(
            "UPDATE subscribers SET refusals = refusals + 1, refused = ?1, suspended = iif(refusals + 1 >= ?3 AND"
            " suspended = '', 'refused on three days, last on ' || ?1, suspended) WHERE refused IS NOT ?1"
            " AND id = (SELECT subscriber FROM deliveries WHERE id = ?2)",
            [now.date().isoformat(), delivery, REFUSALS],
        )

    def release(self, run: int, now: datetime) -> int:
        """What the run had claimed and did not come to goes back into the queue, unless its reader left meanwhile.

        Returns how many messages wait there that the run may try again.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE deliveries SET state = iif(doubt, 'in doubt', 'pending'), run = NULL, attempts = attempts - 1,"
                " changed = :now WHERE id IN (SELECT id FROM queue WHERE state = 'sending' AND run = :run)",
                {"now": now.isoformat(), "run": run},
            )
        self.withdraw(now.date())
        row = self._db.execute("SELECT count(*) FROM queue WHERE state = 'pending' OR run IS NOT ?", [run]).fetchone()
        return int(row[0])

    def waiting(self) -> int:
        """How many messages are still in the queue."""
        return int(self._db.execute("SELECT count(*) FROM queue").fetchone()[0])


def _oldest(today: date) -> str:
    """The first day whose mail is still worth sending."""
    return (today - timedelta(_KEPT_DAYS)).isoformat()
