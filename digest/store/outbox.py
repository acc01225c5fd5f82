"""The outbox: frozen messages and the state of each delivery.

What digest promises about delivery is kept here. The life of one message:

1. `audiences` groups the subscribers who still get a message today. Those who chose the same and were shown the same
   papers share one edition.
2. `publish` freezes an edition and queues one delivery per subscriber, in one commit. From then on its bytes never
   change, and its papers count as shown to these subscribers, and to nobody else. A unique key refuses a second
   delivery for one subscriber and day, so a second run of the day adds nothing.
3. `claim` reserves deliveries for this run, a hundred in one commit. They stay `pending`, but are not withdrawn now.
4. `settle` records, in one commit, the outcome of each message that was sent or rejected, and `sending` for each one
   whose body is sent next. Nothing of a body is sent before that is on disk.
5. `release` puts back what was claimed and not sent.
6. When a process dies, the next run calls `recover`. What is `sending` may have arrived, so it is `in doubt` and is
   sent again with the same bytes and the same Message-ID. This cannot be avoided (RFC 1047). What was only claimed has
   certainly not arrived, and is as if it had not been claimed. Messages expire after three days of real time in the
   queue. If an expired message was certainly not sent, its papers can be sent again.

Each arrow is on disk before anything else happens to the message:

    publish ──▶ pending ──▶ sending ──▶ sent
                  │ ▲          │ ├────▶ in doubt ──▶ sending   it may have arrived; the next run sends the same bytes
                  │ └──────────┤        the server does not accept it for now, or the run ended before its body
                  └────────────┴──────▶ refused   the server does not accept it for this address

A claim is the number of the run beside `pending`: a message that is withdrawn is deleted, and must not leave then. One
`in doubt` needs no claim, because it only expires when it is withdrawn, and its outcome can still be recorded.

Only one run at a time sends: it holds the run lock (`digest.store.database.run_lock`), which the kernel releases when
the process ends. So a delivery that another run marked as `sending` belongs to a dead one.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from digest.delivery import Message, Outcome, State
from digest.errors import MailPruned
from digest.mail.message import MessageFrame, fill_frame, has_leading_dots, message_id
from digest.ranking import Profile
from digest.settings import WEEKDAYS
from digest.store.database import transaction
from digest.store.papers import Papers
from digest.store.subscribers import LABELS, Subscriber, profile_from_columns

if TYPE_CHECKING:
    from sqlite_utils import Database

_BATCH = 100  # deliveries claimed by one commit
_MAX_DAYS = 3  # in the queue
_MAX_NAMED = 10_000  # editions whose papers' names are in memory during an export
_MAX_FRAMES = 8  # in memory; the queue is mostly sorted by edition
MAX_REFUSALS = 3  # days with a refusal and no acceptance between them, after which a subscriber is suspended

# Deliveries that count as shown: all except those that expired, or are about to, and were certainly not sent.
_COUNTS_AS_SHOWN = (
    "(doubt OR state <> 'expired'"
    " AND (state <> 'pending' OR (SELECT created FROM editions WHERE id = edition) >= :oldest))"
)


@dataclass(frozen=True, slots=True)
class Audience:
    """Subscribers without a message of `day` yet who chose the same and were shown the same papers.

    They all get one edition. `key`: the editions they were shown, their topics, their `max_papers` and their labels.
    """

    day: date
    size: int
    shown: frozenset[int]
    profile: Profile
    key: tuple[str, str | None, int | None, str | None]


@dataclass(frozen=True, slots=True)
class MailStatus:
    """The mail of a day to a subscriber: how many papers it has, its state, and the last reply of the server."""

    day: date
    papers: int
    state: str
    reply: str


@dataclass(frozen=True, slots=True)
class Appearance:
    """A paper's place in the mails of a day, their state, and their number."""

    day: date
    place: int
    state: str
    mails: int


class Outbox:
    """Editions and deliveries in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._frame = lru_cache(_MAX_FRAMES)(self._read_frame)
        self._leading_dots = lru_cache(_MAX_FRAMES)(lambda edition: has_leading_dots(self._frame(edition)))
        self._names = lru_cache(_MAX_NAMED)(self._read_names)
        db.register_function(_message_id, name="message_id", deterministic=True)

    # ---- publish -----------------------------------------------------------------------------------------------------

    def audiences(self, day: date, paper_ids: Iterable[int], today: date) -> list[Audience]:
        """Return who still gets a message on `day`, grouped by what they chose and which of the papers they were shown.

        Those who chose other days of the week get none. A message that has expired by `today`, the real day, has shown
        nothing. The audience with the lowest subscriber row comes first. Their subscribers are in a temporary table, so
        that memory does not grow with their number: `publish` needs it, and the next `audiences` replaces it.
        """
        editions = self._editions_with(paper_ids)
        self._db.execute(
            "CREATE TEMP TABLE IF NOT EXISTS audience (subscriber INTEGER PRIMARY KEY, editions TEXT NOT NULL,"
            " topics TEXT, max_papers INTEGER, labels TEXT)"
        )
        self._db.execute(
            "CREATE INDEX IF NOT EXISTS temp.audience_key ON audience (topics, max_papers, editions, labels)"
        )
        with transaction(self._db):
            self._db.execute("DELETE FROM temp.audience")
            self._db.execute(
                "INSERT INTO temp.audience SELECT s.id, coalesce((SELECT group_concat(edition) FROM (SELECT edition"  # noqa: S608  ours
                " FROM deliveries WHERE subscriber = s.id AND edition IN (SELECT value FROM json_each(:editions))"
                f" AND {_COUNTS_AS_SHOWN} ORDER BY edition)), ''), s.topics, s.max_papers, {LABELS}"
                " FROM receivers s WHERE s.since <= :day AND (s.days IS NULL OR instr(s.days, :weekday))"
                " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.subscriber = s.id AND d.day = :day)",
                {
                    "editions": json.dumps(sorted(editions)),
                    "day": day.isoformat(),
                    "weekday": WEEKDAYS[day.weekday()],
                    "oldest": _oldest(today),
                },
            )
        rows = self._db.execute(
            "SELECT editions, topics, max_papers, labels, count(*) FROM temp.audience GROUP BY 1, 2, 3, 4"
            " ORDER BY min(subscriber)"
        ).fetchall()
        return [
            Audience(
                day=day,
                size=size,
                shown=frozenset().union(*(editions[int(edition)] for edition in listed.split(",") if edition)),
                profile=profile_from_columns(topics, max_papers, labels=labels),
                key=(listed, topics, max_papers, labels),
            )
            for listed, topics, max_papers, labels, size in rows
        ]

    def publish(self, audience: Audience, frame: MessageFrame, paper_ids: Sequence[int], now: datetime) -> int:
        """Freeze an edition and queue it for an audience of the last `audiences`, in one commit.

        Return the number of messages. Subscribers who already have a message of that day, or unsubscribed since
        `audiences`, are left out.
        """
        day = audience.day.isoformat()
        editions, topics, max_papers, labels = audience.key
        with transaction(self._db):
            edition = self._insert_edition(audience.day, frame, paper_ids, now)
            return self._db.execute(
                "INSERT OR IGNORE INTO deliveries (subscriber, day, edition, message_id, changed)"
                " SELECT s.id, :day, :edition, message_id(s.token, :day, :sender), :now"
                " FROM temp.audience a JOIN receivers s ON s.id = a.subscriber WHERE s.since <= :day"
                " AND a.editions = :editions AND a.topics IS :topics AND a.max_papers IS :max_papers"
                " AND a.labels IS :labels",
                {
                    "day": day,
                    "edition": edition,
                    "sender": frame.sender,
                    "now": now.isoformat(),
                    "editions": editions,
                    "topics": topics,
                    "max_papers": max_papers,
                    "labels": labels,
                },
            ).rowcount

    def _insert_edition(self, day: date, frame: MessageFrame, paper_ids: Iterable[int], now: datetime) -> int:
        edition = self._db.execute(
            "INSERT INTO editions (day, sender, bytes, gaps, created) VALUES (?, ?, ?, ?, ?)",
            [day.isoformat(), frame.sender, frame.content, json.dumps(frame.gaps), now.isoformat()],
        ).lastrowid
        self._db.conn.executemany(
            "INSERT INTO shown (paper, edition, place) VALUES (?, ?, ?)",
            [(paper_id, edition, place) for place, paper_id in enumerate(paper_ids, start=1)],
        )
        return int(edition or 0)

    def count_readers(self, day: date) -> tuple[int, int]:
        """Return how many subscribers get mail on `day`, and how many of them already have a message of that day."""
        found = self._db.execute(
            "SELECT count(*), count(d.id) FROM receivers s"
            " LEFT JOIN deliveries d ON d.subscriber = s.id AND d.day = :day"
            " WHERE s.since <= :day AND (s.days IS NULL OR instr(s.days, :weekday))",
            {"day": day.isoformat(), "weekday": WEEKDAYS[day.weekday()]},
        ).fetchone()
        return int(found[0]), int(found[1])

    def shown_to(
        self, subscriber: Subscriber, paper_ids: Iterable[int], today: date, before: date = date.max
    ) -> frozenset[int]:
        """Return which of the papers the subscriber was shown in mails of the days before `before`.

        As a run on the real day `today` counts it.
        """
        editions = self._editions_with(paper_ids)
        rows = self._db.execute(
            f"SELECT edition FROM deliveries WHERE subscriber = :subscriber AND day < :before AND {_COUNTS_AS_SHOWN}",  # noqa: S608  ours
            {"subscriber": subscriber.id, "before": before.isoformat(), "oldest": _oldest(today)},
        )
        return frozenset().union(*(editions[row[0]] for row in rows if row[0] in editions))

    def _editions_with(self, paper_ids: Iterable[int]) -> dict[int, set[int]]:
        """Return edition -> which of the papers it shows, for the editions that show any."""
        editions: dict[int, set[int]] = {}
        rows = self._db.execute(
            "SELECT paper, edition FROM shown WHERE paper IN (SELECT value FROM json_each(?))",
            [json.dumps(list(paper_ids))],
        )
        for paper_id, edition in rows:
            editions.setdefault(edition, set()).add(paper_id)
        return editions

    # ---- move --------------------------------------------------------------------------------------------------------

    def shown_names(self, subscriber: Subscriber, today: date) -> tuple[list[str], date | None]:
        """Return a name of every paper the subscriber was shown, and the day of the last mail, None if there is none.

        For another digest, which gives them to `import_shown`.
        """
        rows = self._db.execute(
            f"SELECT edition, day FROM deliveries WHERE subscriber = :subscriber AND {_COUNTS_AS_SHOWN}",  # noqa: S608
            {"subscriber": subscriber.id, "oldest": _oldest(today)},
        ).fetchall()
        names = {name for edition, _ in rows for name in self._names(edition)}
        return sorted(names), max((date.fromisoformat(day) for _, day in rows), default=None)

    def _read_names(self, edition: int) -> tuple[str, ...]:
        """Return the most reliable name of each paper of an edition (see `digest.papers`)."""
        rows = self._db.execute(
            "SELECT (SELECT min(name) FROM names WHERE paper = s.paper) FROM shown s WHERE edition = ?", [edition]
        )
        return tuple(row[0] for row in rows if row[0])

    def import_shown(self, shown: Iterable[tuple[Subscriber, Collection[str], date]], now: datetime) -> None:
        """Record which papers another digest has shown to subscribers, up to a day each, in one transaction.

        They count as shown by a mail of that day, so no paper and no mail of that day comes twice. Repeating it changes
        nothing.
        """
        papers, editions = Papers(self._db), dict[tuple[date, frozenset[int]], int]()
        with transaction(self._db):
            for subscriber, names, last_day in shown:
                paper_ids = frozenset(map(papers.known_or_stub, names))
                paper_ids -= self.shown_to(subscriber, paper_ids, now.date())
                day = self._free_day(subscriber, last_day)
                if not paper_ids and day != last_day:
                    continue
                if (day, paper_ids) not in editions:
                    editions[day, paper_ids] = self._insert_edition(day, MessageFrame("", b"", ()), paper_ids, now)
                self._db.execute(
                    "INSERT INTO deliveries (subscriber, day, edition, message_id, state, changed)"
                    " VALUES (?, ?, ?, '', 'sent', ?)",
                    [subscriber.id, day.isoformat(), editions[day, paper_ids], now.isoformat()],
                )

    def _free_day(self, subscriber: Subscriber, day: date) -> date:
        """Return the last day up to `day` without a mail to the subscriber."""
        rows = self._db.execute("SELECT day FROM deliveries WHERE subscriber = ?", [subscriber.id])
        taken = {row[0] for row in rows}
        while day.isoformat() in taken:
            day -= timedelta(1)
        return day

    # ---- look back ---------------------------------------------------------------------------------------------------

    def message_of(self, subscriber: Subscriber, day: date) -> bytes | None:
        """Return the message of `day` to a subscriber as it was frozen; None when there is none.

        Raises MailPruned when its text has been deleted.
        """
        row = self._db.execute(
            "SELECT edition FROM deliveries WHERE subscriber = ? AND day = ?", [subscriber.id, day.isoformat()]
        ).fetchone()
        if row is None:
            return None
        frame = self._frame(row[0])
        if not frame.content:
            raise MailPruned(f"the mail of {day} to {subscriber.address} is gone: `digest prune` deleted its text")
        return fill_frame(frame, subscriber.address, subscriber.token, day)

    def last_mails(self, subscriber: Subscriber, limit: int) -> list[MailStatus]:
        """Return the newest mails to a subscriber, newest first."""
        rows = self._db.execute(
            "SELECT d.day, (SELECT count(*) FROM shown s WHERE s.edition = d.edition), d.state, d.reply"
            " FROM deliveries d WHERE d.subscriber = ? ORDER BY d.day DESC LIMIT ?",
            [subscriber.id, limit],
        )
        return [MailStatus(date.fromisoformat(row[0]), *row[1:]) for row in rows]

    def appearances(self, paper_id: int, subscriber: int | None) -> list[Appearance]:
        """Return where a paper was in the mails to one subscriber or (for None) to all, oldest first."""
        rows = self._db.execute(
            "SELECT d.day, s.place, iif(d.state = 'expired' AND d.doubt = 0, 'never sent', d.state) AS came, count(*)"
            " FROM shown s JOIN deliveries d ON d.edition = s.edition"
            " WHERE s.paper = :paper AND (:subscriber IS NULL OR d.subscriber = :subscriber)"
            " GROUP BY d.day, s.place, came ORDER BY d.day, s.place",
            {"paper": paper_id, "subscriber": subscriber},
        )
        return [Appearance(date.fromisoformat(row[0]), *row[1:]) for row in rows]

    def mail_of(self, subscriber: Subscriber, day: date) -> list[int] | None:
        """Return the papers in the mail of `day` to a subscriber, in their order; None if there is no mail.

        A mail that was never sent, and will not be, is none.
        """
        row = self._db.execute(
            "SELECT edition FROM deliveries WHERE subscriber = ? AND day = ? AND (doubt OR state <> 'expired')",
            [subscriber.id, day.isoformat()],
        ).fetchone()
        if row is None:
            return None
        papers = self._db.execute("SELECT paper FROM shown WHERE edition = ? ORDER BY place", [row[0]])
        return [paper_id for (paper_id,) in papers]

    def papers_sent(self, subscriber: int) -> dict[date, list[int]]:
        """Return the papers of each day's mail to a subscriber, in their order, without mail that was never sent."""
        rows = self._db.execute(
            "SELECT d.day, s.paper FROM deliveries d JOIN shown s ON s.edition = d.edition WHERE d.subscriber = ?"
            " AND NOT (d.state = 'expired' AND d.doubt = 0) ORDER BY d.day, s.place",
            [subscriber],
        )
        sent: dict[date, list[int]] = {}
        for day, paper_id in rows:
            sent.setdefault(date.fromisoformat(day), []).append(paper_id)
        return sent

    def subscriber_of_message(self, message_id: str) -> int | None:
        """Return the row of the subscriber whose message has this Message-ID; None when it is not ours."""
        row = self._db.execute(
            "SELECT d.subscriber FROM editions e JOIN deliveries d ON d.edition = e.id"
            " WHERE e.day = ? AND d.message_id = ?",
            [_day_of(message_id), message_id],
        ).fetchone()
        return int(row[0]) if row else None

    def papers_of_message(self, message_id: str, subscriber: Subscriber) -> dict[int, int] | None:
        """Return place -> paper of the message with this Message-ID; None if it is not one to this subscriber."""
        row = self._db.execute(
            "SELECT edition FROM deliveries WHERE subscriber = ? AND day = ? AND message_id = ?",
            [subscriber.id, _day_of(message_id), message_id],
        ).fetchone()
        if row is None:
            return None
        return dict(self._db.execute("SELECT place, paper FROM shown WHERE edition = ?", row).fetchall())

    def has_mailed(self, subscriber: Subscriber, since: date) -> bool:
        """Return whether a message since the day `since` left for this subscriber, or may have."""
        row = self._db.execute(
            "SELECT 1 FROM deliveries WHERE subscriber = ? AND day >= ? AND (doubt OR state = 'sent') LIMIT 1",
            [subscriber.id, since.isoformat()],
        ).fetchone()
        return row is not None

    def first_day(self) -> date | None:
        """Return the day of the first edition; None before it."""
        (day,) = self._db.execute("SELECT min(day) FROM editions").fetchone()
        return date.fromisoformat(day) if day else None

    # ---- deliver -----------------------------------------------------------------------------------------------------

    def recover(self, run: int, now: datetime) -> None:
        """Clean up after earlier runs, before a run selects papers or delivers. The caller holds the run lock.

        Messages that a dead run was sending become in doubt, what it had only claimed is free again, messages that have
        waited too long by `now`, the real time, expire, and mail to those who unsubscribed is withdrawn.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE deliveries SET state = 'in doubt', doubt = 1, attempts = attempts + 1,"
                " reply = 'the run that was sending it died', changed = ?"
                " WHERE id IN (SELECT id FROM queue WHERE state = 'sending' AND run IS NOT ?)",
                [now.isoformat(), run],
            )
            self._db.execute(
                "UPDATE deliveries SET run = NULL"
                " WHERE id IN (SELECT id FROM queue WHERE state = 'pending' AND run IS NOT NULL)"
            )
            self._db.execute(
                "UPDATE deliveries SET state = 'expired', changed = ? WHERE id IN"
                " (SELECT q.id FROM queue q JOIN editions e ON e.id = q.edition WHERE e.created < ?)",
                [now.isoformat(), _oldest(now.date())],
            )
        self.withdraw(now.date())

    def withdraw(self, today: date) -> int:
        """Remove mail to unsubscribed, paused or suspended subscribers from the queue; return the number of messages.

        Messages that were certainly not sent are deleted, so their papers can be sent again; the others expire, and no
        second copy is sent. What a run has claimed or is sending is left to that run.
        """
        with transaction(self._db):
            rows = self._db.execute(
                "SELECT id FROM queue WHERE (state = 'in doubt' OR (state = 'pending' AND run IS NULL))"
                " AND NOT EXISTS (SELECT 1 FROM receivers s"
                " WHERE s.id = queue.subscriber AND s.since <= max(queue.day, ?))",
                [today.isoformat()],
            ).fetchall()
            unwanted = json.dumps([row[0] for row in rows])
            self._db.execute(
                "UPDATE deliveries SET state = 'expired', reply = 'withdrawn: the subscriber gets no more mail'"
                " WHERE doubt AND id IN (SELECT value FROM json_each(?))",
                [unwanted],
            )
            self._db.execute(
                "DELETE FROM deliveries WHERE NOT doubt AND id IN (SELECT value FROM json_each(?))", [unwanted]
            )
        return len(rows)

    def claim(self, run: int) -> Iterator[Message]:
        """Yield the messages of the queue, oldest first, each once; they are claimed in batches.

        Messages that this run left in doubt are skipped: only the next run retries them.
        """
        last = 0
        while claimed := self._claim_batch(run, last):
            yield from self._messages(claimed)
            last = claimed[-1]

    def settle(self, run: int, outcomes: Sequence[Outcome], now: datetime) -> None:
        """Record the outcomes of some messages, and which are sent next, in one commit; on disk when this returns."""
        moment, done = now.isoformat(), [outcome for outcome in outcomes if outcome.state is not State.SENDING]
        with transaction(self._db):
            self._db.conn.executemany(
                "UPDATE deliveries SET state = ?1, doubt = max(doubt, ?1 = 'in doubt'), reply = ?2, changed = ?3,"
                " run = iif(?1 = 'pending', NULL, ?4), attempts = attempts + 1 WHERE id = ?5",
                [(outcome.state.value, outcome.reply[:500], moment, run, outcome.key) for outcome in done],
            )
            self._db.conn.executemany(
                "UPDATE deliveries SET state = 'sending', run = ? WHERE id = ?",
                [(run, outcome.key) for outcome in outcomes if outcome.state is State.SENDING],
            )
            self._db.conn.executemany(  # an address that accepts mail is not suspended for earlier refusals
                "UPDATE subscribers SET refusals = 0 WHERE refusals > 0"
                " AND id = (SELECT subscriber FROM deliveries WHERE id = ?)",
                [(outcome.key,) for outcome in done if outcome.state is State.SENT],
            )
            for outcome in done:
                if outcome.state is State.REFUSED:
                    self._count_refusal(outcome.key, now)

    def release(self, run: int, now: datetime) -> int:
        """Put back what the run claimed and did not send; return how many messages it may try again.

        Mail to those who have unsubscribed since is withdrawn.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE deliveries SET state = iif(state = 'sending' AND doubt, 'in doubt', 'pending'), run = NULL"
                " WHERE id IN (SELECT id FROM queue WHERE state IN ('pending', 'sending') AND run = ?)",
                [run],
            )
        self.withdraw(now.date())
        row = self._db.execute("SELECT count(*) FROM queue WHERE state = 'pending' OR run IS NOT ?", [run]).fetchone()
        return int(row[0])

    def count_waiting(self) -> int:
        """Return how many messages are in the queue."""
        return int(self._db.execute("SELECT count(*) FROM queue").fetchone()[0])

    def _claim_batch(self, run: int, after: int) -> list[int]:
        with transaction(self._db):
            rows = self._db.execute(
                "UPDATE deliveries SET run = iif(state = 'pending', :run, run) WHERE id IN (SELECT id FROM queue"
                " WHERE id > :after AND (run IS NULL OR (state = 'in doubt' AND run <> :run))"
                " ORDER BY id LIMIT :batch) RETURNING id",
                {"run": run, "after": after, "batch": _BATCH},
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
            content = fill_frame(frame, address, token, date.fromisoformat(day))
            yield Message(delivery, frame.sender, address, content, bool(doubt), self._leading_dots(edition))

    def _read_frame(self, edition: int) -> MessageFrame:
        sender, body, gaps = self._db.execute(
            "SELECT sender, bytes, gaps FROM editions WHERE id = ?", [edition]
        ).fetchone()
        return MessageFrame(sender, body, tuple((offset, part) for offset, part in json.loads(gaps)))

    def _count_refusal(self, delivery: int, now: datetime) -> None:
        """Count a refusal, at most one a day; after the third the subscriber is suspended."""
        self._db.execute(
            "UPDATE subscribers SET refusals = refusals + 1, refused = ?1, suspended = iif(refusals + 1 >= ?3 AND"
            " suspended = '', 'refused on three days, last on ' || ?1, suspended) WHERE refused IS NOT ?1"
            " AND id = (SELECT subscriber FROM deliveries WHERE id = ?2)",
            [now.date().isoformat(), delivery, MAX_REFUSALS],
        )


def _message_id(token: str, day: str, sender: str) -> str:
    return message_id(token, date.fromisoformat(day), sender)


def _day_of(message_id: str) -> str:
    """Return the day in a Message-ID (see `digest.mail.message.message_id`); of another one, what no row has."""
    return f"{message_id[1:5]}-{message_id[5:7]}-{message_id[7:9]}"


def _oldest(today: date) -> str:
    """Return the first day whose mail has not expired."""
    return (today - timedelta(_MAX_DAYS)).isoformat()
