"""The outbox: frozen messages and the state of each delivery.

What digest promises about delivery is kept here. The life of one message:

1. `audiences` reads the subscribers who still get a message today, a thousand at a time. Those of them who chose the
   same and were shown the same papers are one audience, which gets one mail.
2. `publish` freezes the mails of many audiences and queues one delivery per subscriber, in one commit. A mail is an
   edition: the list of the papers that it shows, and of the fragments that it is assembled from, which are frozen with
   it. From then on its bytes never change, and its papers count as shown to these subscribers, and to nobody else. A
   unique key refuses a second delivery for one subscriber and day, so a second run of the day adds nothing, and a run
   that died between two thousands leaves the rest to the next one.
3. `claim` reserves deliveries for this run, a hundred in one commit. They stay `pending`, but are not withdrawn now.
   Each message is assembled here. One whose text is damaged is never sent: it waits for a later run, or expires.
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
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from digest.delivery import Message, Outcome, State
from digest.errors import HistoryError, MailDamaged, MailPruned
from digest.mail.message import Fragment, fill_frame, message_id
from digest.ranking import Profile
from digest.settings import WEEKDAYS
from digest.store.database import transaction
from digest.store.fragments import Fragments
from digest.store.papers import MAY_SHOW, Papers
from digest.store.subscribers import LABELS, Subscriber, profile_from_columns

if TYPE_CHECKING:
    from sqlite_utils import Database

_READERS = 1_000  # whose audiences are in memory
_BATCH = 100  # deliveries claimed by one commit
_MAX_DAYS = 3  # in the queue
_MAX_NAMED = 10_000  # papers whose names are in memory during an export
_MAX_SHARED = 1_000  # editions that `publish` remembers, to use them again for readers with the same mail
MAX_REFUSALS = 3  # days with a refusal and no acceptance between them, after which a subscriber is suspended
_DAMAGED = "its text is damaged"  # how the reply of a message begins that must not be sent

# Deliveries (`d`, of the edition `e`) that count as shown: those that were sent, may have been, or still will be.
_COUNTS_AS_SHOWN = "(d.doubt OR d.state <> 'expired' AND (d.state <> 'pending' OR e.created >= :oldest))"
# Mail of other digests counts whatever its day (see `import_shown`). SQLite would look for it among all old mail.
_AUDIENCES = (
    f"SELECT s.id, s.topics, s.max_papers, {LABELS}, (SELECT group_concat(papers) FROM ("  # noqa: S608  ours
    " SELECT e.papers FROM deliveries d CROSS JOIN editions e ON e.id = d.edition"
    f" WHERE d.subscriber = s.id AND d.day >= :since AND {_COUNTS_AS_SHOWN}"
    " UNION ALL SELECT e.papers FROM deliveries d INDEXED BY deliveries_imported CROSS JOIN editions e"
    " ON e.id = d.edition WHERE d.subscriber = s.id AND d.message_id = '' AND d.day < :since))"
    " FROM receivers s WHERE s.id > :after AND s.since <= :day AND (s.days IS NULL OR instr(s.days, :weekday))"
    " AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.subscriber = s.id AND d.day = :day)"
    f" ORDER BY s.id LIMIT {_READERS}"
)
_QUEUE = (
    "INSERT OR IGNORE INTO deliveries (subscriber, day, edition, message_id, changed)"
    " SELECT id, ?2, ?3, message_id(token, ?2, ?4), ?5 FROM receivers WHERE id = ?1 AND since <= ?2"
)


# Topics, limit and labels as they are stored, and the candidates that were shown.
Key = tuple[str | None, int | None, str | None, frozenset[int]]


@dataclass(frozen=True, slots=True)
class Audience:
    """Subscribers without a message of the day yet who chose the same and were shown the same papers.

    `readers` are their rows. They get the same mail. `shown` are the papers of their mails that may be candidates of
    the day. Audiences with the same `key` are alike.
    """

    readers: tuple[int, ...]
    profile: Profile
    shown: frozenset[int]
    key: Key

    @property
    def size(self) -> int:
        return len(self.readers)


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


@dataclass
class _Published:
    """What `publish` stored for a day: the ids of its fragments by checksum, of the last editions by their lists."""

    day: date
    sender: str
    fragments: dict[bytes, int] = field(default_factory=dict)
    editions: dict[tuple[str, str], int] = field(default_factory=dict)


class Outbox:
    """Editions and deliveries in the database `db`.

    `damage` says what is wrong with the text of a message that `claim` left out; "" if it left out none.
    """

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._fragments = Fragments(db)
        self._published: _Published | None = None
        self._name = lru_cache(_MAX_NAMED)(self._read_name)
        self.damage = ""
        db.register_function(_message_id, name="message_id", deterministic=True)

    # ---- publish -----------------------------------------------------------------------------------------------------

    def audiences(self, day: date, since: date, today: date, candidates: Iterable[int]) -> Iterator[list[Audience]]:
        """Yield who still gets a message on `day`: the audiences of a thousand subscribers, then of the next thousand.

        `candidates` are the papers of the day, first seen from `since` on; what else was shown does not matter. Those
        who chose other days of the week get no mail. A message that has expired by `today`, the real day, has shown
        nothing. In a list, the audience with the lowest subscriber row comes first. Subscribers of one list may be like
        those of another: see `Audience.key`.
        """
        # A paper may have been in a mail before the day that counts as its first: see `digest.papers`.
        (first,) = self._db.execute(
            "SELECT min(recorded) FROM papers WHERE first_seen >= ?", [since.isoformat()]
        ).fetchone()
        values = {
            "day": day.isoformat(),
            "since": min(since.isoformat(), first or "9"),
            "weekday": WEEKDAYS[day.weekday()],
            "oldest": _oldest(today),
        }
        last, among = 0, frozenset(candidates)
        while rows := self._db.execute(_AUDIENCES, {**values, "after": last}).fetchall():
            readers: dict[Key, list[int]] = {}
            for reader, topics, max_papers, labels, listed in rows:
                shown = among.intersection(chain.from_iterable(_read_papers(f"[{listed or ''}]")))
                readers.setdefault((topics, max_papers, labels, shown), []).append(reader)
            yield [_audience(key, alike) for key, alike in readers.items()]
            last = rows[-1][0]

    def publish(
        self,
        day: date,
        sender: str,
        mails: Sequence[tuple[Audience, Sequence[Fragment], Sequence[int]]],
        now: datetime,
    ) -> int:
        """Freeze mails, and queue each for its audience, all in one commit; return the number of messages.

        A mail is an audience of the last `audiences`, the fragments of a message, and the papers that it shows, in
        their order. `sender` is the envelope address. Subscribers who already have a message of that day, or
        unsubscribed since `audiences`, are left out.
        """
        published, self._published = self._published, None  # until it is on disk
        if published is None or (published.day, published.sender) != (day, sender):
            published = _Published(day, sender)
        moment, day_text = now.isoformat(), day.isoformat()
        with transaction(self._db):
            rows = [
                (reader, day_text, edition, sender, moment)
                for audience, fragments, paper_ids in mails
                for edition in [self._edition(published, fragments, paper_ids, moment)]
                for reader in audience.readers
            ]
            queued = self._db.conn.executemany(_QUEUE, rows).rowcount
        self._published = published
        return queued

    def _edition(
        self, published: _Published, fragments: Sequence[Fragment], paper_ids: Iterable[int], moment: str
    ) -> int:
        """Return the edition with these fragments and papers: one of the last ones, or a new one."""
        ids = self._fragments.store(published.day, fragments, published.fragments)
        key = _to_json(ids), _to_json(paper_ids)
        edition = published.editions.pop(key, 0) or self._insert_edition(published.day, published.sender, *key, moment)
        published.editions[key] = edition  # the last one used is the last one
        if len(published.editions) > _MAX_SHARED:
            del published.editions[next(iter(published.editions))]
        return edition

    def _insert_edition(self, day: date, sender: str, fragments: str, papers: str, moment: str) -> int:
        edition = self._db.execute(
            "INSERT INTO editions (day, sender, created, papers, fragments) VALUES (?, ?, ?, ?, ?)",
            [day.isoformat(), sender, moment, papers, fragments],
        ).lastrowid
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
        rows = self._shown_papers(subscriber, today, before)
        return frozenset(paper_ids).intersection(chain.from_iterable(papers for _, papers in rows))

    def _shown_papers(
        self, subscriber: Subscriber, today: date, before: date = date.max
    ) -> list[tuple[str, list[int]]]:
        """Return the day and the papers of each mail of a day before `before` that counts as shown."""
        rows = self._db.execute(
            "SELECT d.day, e.papers FROM deliveries d JOIN editions e ON e.id = d.edition"  # noqa: S608  ours
            f" WHERE d.subscriber = :subscriber AND d.day < :before AND {_COUNTS_AS_SHOWN} ORDER BY d.day",
            {"subscriber": subscriber.id, "before": before.isoformat(), "oldest": _oldest(today)},
        )
        return [(day, _papers(listed)) for day, listed in rows]

    # ---- move --------------------------------------------------------------------------------------------------------

    def shown_names(self, subscriber: Subscriber, today: date) -> tuple[list[str], date | None]:
        """Return a name of every paper the subscriber was shown, and the day of the last mail, None if there is none.

        For another digest, which gives them to `import_shown`.
        """
        rows = self._shown_papers(subscriber, today)
        names = {self._name(paper) for _, papers in rows for paper in papers}
        return sorted(filter(None, names)), date.fromisoformat(rows[-1][0]) if rows else None

    def _read_name(self, paper_id: int) -> str:
        """Return the most reliable name of a paper (see `digest.papers`), "" if it has none."""
        (name,) = self._db.execute("SELECT min(name) FROM names WHERE paper = ?", [paper_id]).fetchone()
        return name or ""

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
                listed = _to_json(sorted(paper_ids))
                if (day, paper_ids) not in editions:
                    editions[day, paper_ids] = self._insert_edition(day, "", "[]", listed, now.isoformat())
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

        Raises MailPruned when its text has been deleted, MailDamaged when it is not what was frozen.
        """
        row = self._db.execute(
            "SELECT e.fragments, e.sender FROM deliveries d JOIN editions e ON e.id = d.edition"
            " WHERE d.subscriber = ? AND d.day = ?",
            [subscriber.id, day.isoformat()],
        ).fetchone()
        if row is None:
            return None
        mail = f"the mail of {day} to {subscriber.address}"
        if row[0] == "[]":
            raise MailPruned(f"{mail} is gone: `digest prune` deleted its text")
        try:
            return fill_frame(self._fragments.frame(*row), subscriber.address, subscriber.token, day)
        except MailDamaged as error:
            raise MailDamaged(f"{mail} is damaged: {error}; restore a backup of the history that has it") from None

    def last_mails(self, subscriber: Subscriber, limit: int) -> list[MailStatus]:
        """Return the newest mails to a subscriber, newest first."""
        rows = self._db.execute(
            "SELECT d.day, json_array_length(e.papers), d.state, d.reply FROM deliveries d"
            " JOIN editions e ON e.id = d.edition WHERE d.subscriber = ? ORDER BY d.day DESC LIMIT ?",
            [subscriber.id, limit],
        )
        return [MailStatus(date.fromisoformat(row[0]), *row[1:]) for row in rows]

    def appearances(self, paper_id: int, subscriber: int | None) -> list[Appearance]:
        """Return where a paper was in the mails to one subscriber or (for None) to all, oldest first.

        For all, it looks through the editions of every day since the paper was recorded.
        """
        which = (
            f"d.edition IN (SELECT id FROM editions WHERE {MAY_SHOW})"  # noqa: S608  ours
            if subscriber is None
            else "d.subscriber = :subscriber"
        )
        rows = self._db.execute(
            "SELECT d.day, p.key + 1 AS place, iif(d.state = 'expired' AND d.doubt = 0, 'never sent', d.state) AS came,"  # noqa: S608  ours
            " count(*) FROM deliveries d JOIN editions e ON e.id = d.edition JOIN json_each(e.papers) p"
            f" WHERE p.value = :paper AND {which} GROUP BY d.day, place, came ORDER BY d.day, place",
            {"paper": paper_id, "subscriber": subscriber},
        )
        return [Appearance(date.fromisoformat(row[0]), *row[1:]) for row in rows]

    def mail_of(self, subscriber: Subscriber, day: date) -> list[int] | None:
        """Return the papers in the mail of `day` to a subscriber, in their order; None if there is no mail.

        A mail that was never sent, and will not be, is none.
        """
        return self.papers_sent(subscriber.id, day).get(day)

    def papers_sent(self, subscriber: int, day: date | None = None) -> dict[date, list[int]]:
        """Return the papers of each day's mail (or that of `day`) to a subscriber, in their order.

        Without mail that was never sent.
        """
        rows = self._db.execute(
            "SELECT d.day, e.papers FROM deliveries d JOIN editions e ON e.id = d.edition WHERE d.subscriber = ?"
            " AND d.day BETWEEN ? AND ? AND (d.doubt OR d.state <> 'expired') ORDER BY d.day",
            [subscriber, (day or date.min).isoformat(), (day or date.max).isoformat()],
        )
        return {date.fromisoformat(row[0]): _papers(row[1]) for row in rows}

    def subscriber_of_message(self, message_id: str) -> int | None:
        """Return the row of the subscriber whose message has this Message-ID; None when it is not ours.

        It looks through the messages of that day: an index of random Message-IDs would make every mail dearer to queue.
        """
        row = self._db.execute(
            "SELECT d.subscriber FROM editions e JOIN deliveries d ON d.edition = e.id"
            " WHERE e.day = ? AND d.message_id = ?",
            [_day_of(message_id), message_id],
        ).fetchone()
        return int(row[0]) if row else None

    def papers_of_message(self, message_id: str, subscriber: Subscriber) -> dict[int, int] | None:
        """Return place -> paper of the message with this Message-ID; None if it is not one to this subscriber."""
        row = self._db.execute(
            "SELECT e.papers FROM deliveries d JOIN editions e ON e.id = d.edition"
            " WHERE d.subscriber = ? AND d.day = ? AND d.message_id = ?",
            [subscriber.id, _day_of(message_id), message_id],
        ).fetchone()
        if row is None:
            return None
        return {place: paper for place, paper in enumerate(_read_papers(row[0]), start=1) if paper}

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
                "UPDATE deliveries SET run = NULL, reply = iif(instr(reply, ?) = 1, '', reply)"
                " WHERE id IN (SELECT id FROM queue WHERE state = 'pending' AND run IS NOT NULL)",
                [_DAMAGED],
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

        Messages that this run left in doubt are skipped: only the next run retries them. So are those whose text is
        damaged: they keep their claim, so that `release` does not put them back, and `damage` says why.
        """
        last = 0
        while claimed := self._claim_batch(run, last):
            yield from self._messages(run, claimed)
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

        Mail to those who have unsubscribed since is withdrawn. Messages whose text is damaged are left to the next run.
        """
        with transaction(self._db):
            self._db.execute(
                "UPDATE deliveries SET state = iif(state = 'sending' AND doubt, 'in doubt', 'pending'), run = NULL"
                " WHERE id IN (SELECT id FROM queue WHERE state IN ('pending', 'sending') AND run = ?"
                " AND instr(reply, ?) <> 1)",
                [run, _DAMAGED],
            )
        self.withdraw(now.date())
        row = self._db.execute("SELECT count(*) FROM queue WHERE run IS NOT ?", [run]).fetchone()
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

    def _messages(self, run: int, deliveries: Sequence[int]) -> Iterator[Message]:
        rows = self._db.execute(
            "SELECT d.id, d.day, d.doubt, s.address, s.token, e.fragments, e.sender FROM deliveries d"
            " JOIN subscribers s ON s.id = d.subscriber JOIN editions e ON e.id = d.edition"
            " WHERE d.id IN (SELECT value FROM json_each(?)) ORDER BY d.id",
            [json.dumps(deliveries)],
        ).fetchall()
        damaged = []
        for delivery, day, doubt, address, token, fragments, sender in rows:
            try:
                frame = self._fragments.frame(fragments, sender)
            except MailDamaged as error:
                self.damage = f"{_DAMAGED}: {error}"
                damaged.append((run, self.damage, delivery))
                continue
            content = fill_frame(frame, address, token, date.fromisoformat(day))
            yield Message(delivery, sender, address, content, bool(doubt), frame.leading_dots)
        if damaged:
            with transaction(self._db):
                self._db.conn.executemany(
                    "UPDATE deliveries SET run = ?, reply = ?, attempts = attempts + 1 WHERE id = ?", damaged
                )

    def _count_refusal(self, delivery: int, now: datetime) -> None:
        """Count a refusal, at most one a day; after the third the subscriber is suspended."""
        self._db.execute(
            "UPDATE subscribers SET refusals = refusals + 1, refused = ?1, suspended = iif(refusals + 1 >= ?3 AND"
            " suspended = '', 'refused on three days, last on ' || ?1, suspended) WHERE refused IS NOT ?1"
            " AND id = (SELECT subscriber FROM deliveries WHERE id = ?2)",
            [now.date().isoformat(), delivery, MAX_REFUSALS],
        )


def _audience(key: Key, readers: Sequence[int]) -> Audience:
    topics, max_papers, labels, shown = key
    return Audience(tuple(readers), profile_from_columns(topics, max_papers, labels=labels), shown, key)


def _papers(listed: str) -> list[int]:
    """Return the papers in a column, without lost ones."""
    return [paper for paper in _read_papers(listed) if paper]


def _read_papers(listed: str) -> Any:
    """Return a column of papers, or a list of several. Raises HistoryError when somebody damaged it."""
    try:
        return json.loads(listed)
    except ValueError:
        raise HistoryError("a list of the papers in mails is damaged; restore a backup of the history") from None


def _to_json(numbers: Iterable[int]) -> str:
    return f"[{','.join(map(str, numbers))}]"


def _message_id(token: str, day: str, sender: str) -> str:
    return message_id(token, date.fromisoformat(day), sender)


def _day_of(message_id: str) -> str:
    """Return the day in a Message-ID (see `digest.mail.message.message_id`); of another one, what no row has."""
    return f"{message_id[1:5]}-{message_id[5:7]}-{message_id[7:9]}"


def _oldest(today: date) -> str:
    """Return the first day whose mail has not expired."""
    return (today - timedelta(_MAX_DAYS)).isoformat()
