"""Act on what the letters in the inbox ask for: each once, and on disk before the next one is read.

A token in a letter is one of ours or it is nothing: nobody leaves by somebody else's word. A report that mail came
back is believed about the subscriber whose token or Message-ID the returned mail carries. Where nothing came back
with it, the address it names is believed, if we ever wrote there.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlite_utils import Database

from digest.errors import InboxError
from digest.inbound import Bounce, Complaint, InboxSettings, LetterEvent
from digest.inbound.mailbox import ReadLetter, mailbox_name, read_mailbox
from digest.papers.text.fit import plural
from digest.store.database import transaction
from digest.store.subscribers import Subscriber, Subscribers

log = logging.getLogger("digest")

# Who asked to leave must get no more mail after 48 hours (support.google.com/mail/answer/81126): so long we go on
# without having looked.
GRACE = timedelta(hours=48)


@dataclass
class InboxReport:
    """What a reading came to. `failing` says since when the mailbox cannot be read, None when it can; `problem` why."""

    left: set[str] = field(default_factory=set)
    bounced: set[str] = field(default_factory=set)
    forged: int = 0
    alone: int = 0
    failing: datetime | None = None
    problem: str = ""

    def held(self, now: datetime) -> str:
        """Why no mail may go out, '' while it may."""
        if self.failing is None or now - self.failing < GRACE:
            return ""
        return f"nobody could unsubscribe by mail since {self.failing:%Y-%m-%d %H:%M}: {self.problem}"


class InboxReader:
    """What is known of mailboxes and their letters, in the database `db` of `subscribers`."""

    def __init__(self, db: Database, subscribers: Subscribers) -> None:
        self._db = db
        self._subscribers = subscribers

    def read(self, settings: InboxSettings, clock: Callable[[], datetime]) -> InboxReport:
        """Read the mailbox to its end. That it cannot be read is told in what is returned, and kept.

        `clock` tells the true time: letters come, and readers wait to be heard, by no other.
        """
        mailbox, today, received = mailbox_name(settings), clock().date(), InboxReport()
        self._forget_others(mailbox)
        try:
            for found in read_mailbox(settings, self._cursor(mailbox), self._beginning(today)):
                self._take(mailbox, found, today, received)
        except InboxError as problem:
            received.problem = str(problem)
            received.failing = self._failing(mailbox, str(problem), clock())
        else:
            with transaction(self._db):
                self._db.execute(_READ, [mailbox, clock().isoformat()])
        return received

    def _forget_others(self, mailbox: str) -> None:
        """A mailbox that is asked no more is no longer one that cannot be read. Up to where it was read, stays."""
        with transaction(self._db):
            self._db.execute("UPDATE mailboxes SET failing = NULL, problem = '' WHERE name <> ?", [mailbox])

    def _cursor(self, mailbox: str) -> str:
        row = self._db.execute("SELECT cursor FROM mailboxes WHERE name = ?", [mailbox]).fetchone()
        return str(row[0]) if row else ""

    def _beginning(self, today: date) -> date:
        """The day of the first mail: no letter can be an answer to us before it."""
        (day,) = self._db.execute("SELECT min(day) FROM editions").fetchone()
        return min(date.fromisoformat(day), today) if day else today

    def _take(self, mailbox: str, found: ReadLetter, today: date, received: InboxReport) -> None:
        """One letter, in one transaction with the memory of it."""
        with transaction(self._db):
            known = self._db.execute("SELECT 1 FROM letters WHERE id = ?", [found.identity]).fetchone()
            if found.identity and not known:
                self._db.execute("INSERT INTO letters (id, read) VALUES (?, ?)", [found.identity, today.isoformat()])
                for request in found.requests:
                    self._act(request, today, received)
            self._db.execute(_CURSOR, [mailbox, found.cursor])
        received.alone += found.left_alone

    def _act(self, request: LetterEvent, today: date, received: InboxReport) -> None:
        if isinstance(request, Bounce):
            self._came_back(request, today, received)
            return
        subscriber = self._concerned(request.token, request.message_id if isinstance(request, Complaint) else "")
        if subscriber is None:
            received.forged += 1
            log.warning("not ours", {"asks": "to leave", "token": request.token})
        elif self._subscribers.leave(subscriber, today):
            received.left.add(subscriber.address)
            log.info("left", {"address": subscriber.address, "by": type(request).__name__.lower()})

    def _came_back(self, request: Bounce, today: date, received: InboxReport) -> None:
        subscriber = self._concerned(request.token, request.message_id)
        if subscriber is None and not request.returned:
            subscriber = self._written_to(request.recipient)
        if subscriber is None:
            received.alone += 1
            return
        why = " ".join(filter(None, (request.status, request.diagnostic)))
        self._subscribers.bounced(subscriber, today, hard=request.hard, why=why)
        received.bounced.add(subscriber.address)
        log.warning("came back", {"address": subscriber.address, "hard": request.hard, "why": why})

    def _concerned(self, token: str, message_id: str) -> Subscriber | None:
        """Whose token or Message-ID this is."""
        if token and (found := self._subscribers.holding(token)):
            return found
        day = message_id[1:9]  # see digest.message.message_id
        row = self._db.execute(
            "SELECT d.subscriber FROM editions e JOIN deliveries d ON d.edition = e.id"
            " WHERE e.day = ? AND d.message_id = ?",
            [f"{day[:4]}-{day[4:6]}-{day[6:]}", message_id],
        ).fetchone()
        return self._subscribers.numbered(row[0]) if row else None

    def _written_to(self, recipient: str) -> Subscriber | None:
        """The subscriber with this address, if a message ever went there."""
        try:
            found = self._subscribers.get(recipient)
        except ValueError:
            return None
        sent = self._db.execute("SELECT 1 FROM deliveries WHERE subscriber = ? LIMIT 1", [found.id]).fetchone()
        return found if sent else None

    def _failing(self, mailbox: str, problem: str, now: datetime) -> datetime:
        """Keep that the mailbox cannot be read, and return since when."""
        with transaction(self._db):
            (since,) = self._db.execute(_FAILING, [mailbox, now.isoformat(), problem]).fetchone()
        return datetime.fromisoformat(since)


_READ = """
INSERT INTO mailboxes (name, cursor, read) VALUES (?, '', ?)
ON CONFLICT DO UPDATE SET read = excluded.read, failing = NULL, problem = ''
"""
_CURSOR = """
INSERT INTO mailboxes (name, cursor) VALUES (?, ?) ON CONFLICT DO UPDATE SET cursor = excluded.cursor
"""
_FAILING = """
INSERT INTO mailboxes (name, cursor, failing, problem) VALUES (?, '', ?, ?)
ON CONFLICT DO UPDATE SET failing = coalesce(failing, excluded.failing), problem = excluded.problem RETURNING failing
"""


def format_inbox(received: InboxReport) -> str:
    """What a reading came to, in a sentence or two."""
    parts = [
        f"{plural(len(received.left), 'reader')} left" if received.left else "",
        f"mail to {plural(len(received.bounced), 'address', 'addresses')} came back" if received.bounced else "",
        f"{plural(received.forged, 'letter')} had a token that is none of ours" if received.forged else "",
    ]
    found = ", ".join(filter(None, parts)) or "Nothing new"
    return f"{found[0].upper()}{found[1:]}; {plural(received.alone, 'other letter')} left alone."
