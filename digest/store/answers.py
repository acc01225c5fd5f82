"""The mail that answers letters: confirmations, welcomes, and how things stand. Each is sent once.

It is kept like the messages in the outbox, and makes the same promise (see `digest.store.outbox` for its states): an
answer is frozen in the transaction that acts on the letter, so a letter is acted on and answered, or neither. Only the
process that holds the run lock sends, so an answer that is `sending` when it is opened belongs to a dead one, and is
sent again with the same bytes and the same Message-ID. After three days of real time an answer expires.

The text of an answer is deleted as soon as nothing more can happen to it: it has a token, and the address of somebody
who may not have asked for it.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from digest.delivery import Message, Outcome, State
from digest.mail.address import address_key
from digest.mail.answers import AnswerMail
from digest.store.database import transaction, utc

if TYPE_CHECKING:
    from sqlite_utils import Database

_MAX_AGE = timedelta(days=3)  # in the queue, and of a confirmation mail to somebody who did not answer


class Answers:
    """Answers in the database `db`."""

    def __init__(self, db: "Database") -> None:
        self._db = db
        self._left_in_doubt: set[int] = set()

    def queue(self, mail: AnswerMail, now: datetime) -> None:
        """Freeze an answer and queue it."""
        with transaction(self._db):
            self._db.execute(
                "INSERT INTO answer_mails (key, address, kind, message_id, bytes, created) VALUES (?, ?, ?, ?, ?, ?)",
                [address_key(mail.to), mail.to, mail.kind, mail.message_id, mail.content, utc(now)],
            )

    def count_since(self, address: str, since: datetime, kind: str = "") -> int:
        """Return how many answers of a kind (default: of any) were queued for an address since a moment."""
        row = self._db.execute(
            "SELECT count(*) FROM answer_mails WHERE key = ? AND created > ? AND ? IN ('', kind)",
            [address_key(address), utc(since), kind],
        ).fetchone()
        return int(row[0])

    def was_sent(self, message_id: str, address: str) -> bool:
        """Return whether an answer with this Message-ID was written to this address."""
        row = self._db.execute(
            "SELECT 1 FROM answer_mails WHERE key = ? AND message_id = ?", [address_key(address), message_id]
        ).fetchone()
        return row is not None

    # ---- deliver: what `digest.pipeline.deliver` needs of a queue ----------------------------------------------------

    def recover(self, now: datetime) -> None:
        """Clean up after a process that died, and let old answers expire. The caller holds the run lock."""
        oldest = utc(now - _MAX_AGE)
        with transaction(self._db):
            self._db.execute(
                "UPDATE answer_mails SET state = 'in doubt', doubt = 1, attempts = attempts + 1,"
                " reply = 'the process that was sending it died'"
                " WHERE id IN (SELECT id FROM answer_queue WHERE state = 'sending')"
            )
            self._db.execute(
                "UPDATE answer_mails SET state = 'expired', bytes = x''"
                " WHERE id IN (SELECT id FROM answer_queue WHERE created <= ?)",
                [oldest],
            )
            self._db.execute(
                "DELETE FROM answer_mails WHERE kind = 'confirmation' AND created <= ?"
                " AND state IN ('sent', 'refused', 'expired')",
                [oldest],
            )

    def claim(self, run: int) -> Iterator[Message]:  # noqa: ARG002  as of the outbox
        """Yield the answers in the queue, oldest first, each once.

        Those that were left in doubt here are skipped: only the next process retries them.
        """
        rows = self._db.execute("SELECT id, address, bytes, doubt FROM answer_queue ORDER BY id").fetchall()
        for key, address, content, doubt in rows:
            if key not in self._left_in_doubt:
                yield Message(key, "", address, content, bool(doubt))

    def settle(self, run: int, outcomes: Sequence[Outcome], now: datetime) -> None:  # noqa: ARG002
        """Record outcomes and announcements in one commit; on disk when this returns.

        A confirmation mail that was refused is not tried again: nobody may have asked for it.
        """
        self._left_in_doubt.update(outcome.key for outcome in outcomes if outcome.state is State.DOUBT)
        with transaction(self._db):
            self._db.conn.executemany(
                "UPDATE answer_mails SET state = iif(?4 AND kind = 'confirmation', 'refused', ?1), reply = ?2,"
                " doubt = max(doubt, ?1 = 'in doubt'), attempts = attempts + (?1 <> 'sending') WHERE id = ?3",
                [(outcome.state.value, outcome.reply[:500], outcome.key, _refuses(outcome)) for outcome in outcomes],
            )
            self._db.conn.executemany(
                "UPDATE answer_mails SET bytes = x'' WHERE id = ? AND state IN ('sent', 'refused')",
                [(outcome.key,) for outcome in outcomes],
            )

    def release(self, run: int, now: datetime) -> int:  # noqa: ARG002
        """Put back what was announced and not sent; return how many answers may be tried again."""
        with transaction(self._db):
            self._db.execute(
                "UPDATE answer_mails SET state = iif(doubt, 'in doubt', 'pending')"
                " WHERE id IN (SELECT id FROM answer_queue WHERE state = 'sending')"
            )
        row = self._db.execute("SELECT count(*) FROM answer_queue WHERE state = 'pending'").fetchone()
        return int(row[0])

    def count_waiting(self) -> int:
        """Return how many answers are in the queue."""
        return int(self._db.execute("SELECT count(*) FROM answer_queue").fetchone()[0])


def _refuses(outcome: Outcome) -> bool:
    """Return whether a server refused a message for good for its recipient, whatever else it may be worth trying."""
    return outcome.state is State.PENDING and not outcome.stop and outcome.reply.startswith("5")
