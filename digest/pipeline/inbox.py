"""Act on the replies in the inbox: each letter once, and on disk before the next one is read.

A token in a letter is one of ours or it counts for nothing: nobody can unsubscribe somebody else. A bounce is believed
about the subscriber whose token or Message-ID is in the returned mail; when nothing was returned with it, about the
address it names, if we ever wrote to that.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from digest.errors import InboxError
from digest.inbound import Bounce, Complaint, InboxSettings, LetterEvent
from digest.inbound.mailbox import mailbox_name, read_mailbox
from digest.store.mailboxes import Mailboxes
from digest.store.outbox import Outbox
from digest.store.subscribers import Subscriber, Subscribers

log = logging.getLogger("digest")

# Mail must stop within 48 hours of a request to unsubscribe (support.google.com/mail/answer/81126): so long we go on
# sending without having read the replies.
GRACE = timedelta(hours=48)


@dataclass
class InboxReport:
    """What a reading of the inbox found: addresses, and how many letters were forged or ignored.

    `failing` says since when the mailbox cannot be read, None when it can; `problem` why.
    """

    unsubscribed: set[str] = field(default_factory=set)
    bounced: set[str] = field(default_factory=set)
    forged: int = 0
    ignored: int = 0
    failing: datetime | None = None
    problem: str = ""

    def held(self, now: datetime) -> str:
        """Why no mail may be sent, '' while it may."""
        if self.failing is None or now - self.failing < GRACE:
            return ""
        return f"requests to unsubscribe cannot be read since {self.failing:%Y-%m-%d %H:%M}: {self.problem}"


class InboxReader:
    """Reads replies and does what they ask for."""

    def __init__(self, mailboxes: Mailboxes, subscribers: Subscribers, outbox: Outbox) -> None:
        self._mailboxes = mailboxes
        self._subscribers = subscribers
        self._outbox = outbox

    def read(self, settings: InboxSettings, clock: Callable[[], datetime]) -> InboxReport:
        """Read the mailbox to its end. A mailbox that cannot be read is reported and recorded, not raised.

        `clock` is the real time, whatever day a run takes for today.
        """
        mailbox, today, report = mailbox_name(settings), clock().date(), InboxReport()
        self._mailboxes.clear_other_failures(mailbox)
        # No letter can be a reply to us before the day of the first mail.
        since = min(self._outbox.first_day() or today, today)
        try:
            for letter in read_mailbox(settings, self._mailboxes.cursor(mailbox), since):
                with self._mailboxes.letter(mailbox, letter.cursor, letter.identity, today) as is_new:
                    for event in letter.events if is_new else ():
                        self._act(event, today, report)
                report.ignored += letter.skipped
        except InboxError as problem:
            report.problem = str(problem)
            report.failing = self._mailboxes.record_failure(mailbox, str(problem), clock())
        else:
            self._mailboxes.record_success(mailbox, clock())
        return report

    def _act(self, event: LetterEvent, today: date, report: InboxReport) -> None:
        if isinstance(event, Bounce):
            self._record_bounce(event, today, report)
            return
        subscriber = self._sender_of(event.token, event.message_id if isinstance(event, Complaint) else "")
        if subscriber is None:
            report.forged += 1
            log.warning("unknown token", {"asks": "unsubscribe", "token": event.token})
        elif self._subscribers.unsubscribe(subscriber, today):
            report.unsubscribed.add(subscriber.address)
            how = "complaint" if isinstance(event, Complaint) else "letter"
            log.info("unsubscribed", {"address": subscriber.address, "by": how})

    def _record_bounce(self, bounce: Bounce, today: date, report: InboxReport) -> None:
        subscriber = self._sender_of(bounce.token, bounce.message_id)
        if subscriber is None and not bounce.returned:
            subscriber = self._mailed(bounce.recipient)
        if subscriber is None:
            report.ignored += 1
            return
        why = " ".join(filter(None, (bounce.status, bounce.diagnostic)))
        self._subscribers.record_bounce(subscriber, today, hard=bounce.hard, why=why)
        report.bounced.add(subscriber.address)
        log.warning("bounced", {"address": subscriber.address, "hard": bounce.hard, "why": why})

    def _sender_of(self, token: str, message_id: str) -> Subscriber | None:
        """The subscriber whose token or Message-ID this is."""
        if token and (found := self._subscribers.by_token(token)):
            return found
        row = self._outbox.subscriber_of_message(message_id)
        return None if row is None else self._subscribers.by_id(row)

    def _mailed(self, address: str) -> Subscriber | None:
        """The subscriber with this address, if a message was ever sent there."""
        try:
            subscriber = self._subscribers.by_address(address)
        except ValueError:
            return None
        return subscriber if self._outbox.has_mailed(subscriber) else None
