"""Act on the replies in the inbox: each letter once, and on disk before the next one is read.

Tokens that we did not issue are ignored, so nobody can unsubscribe somebody else. A bounce is believed about
the subscriber whose token or Message-ID is in the returned mail.

Some mail servers return nothing. Their reports prove nothing, and anybody can write one about anybody, on as many days
as they like. So such a report changes nothing: it is a warning to the operator, who can tell whether it is true, and
only if we sent mail to that address in the last week.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from digest.errors import InboxError
from digest.inbound import Bounce, Complaint, InboxSettings, UnsubscribeRequest
from digest.inbound.mailbox import ReadLetter, mailbox_name, read_mailbox
from digest.store.mailboxes import Mailboxes
from digest.store.outbox import Outbox
from digest.store.subscribers import Subscriber, Subscribers

log = logging.getLogger("digest")

# Mail must stop within 48 hours of a request to unsubscribe (support.google.com/mail/answer/81126), so mail is held
# once the inbox has been unreadable for this long.
GRACE = timedelta(hours=48)
_BOUNCES_WITHIN = timedelta(days=7)  # of the delivery: mail servers give up after five days (RFC 5321 4.5.4.1)
_MAX_LINES = 5  # in the log about events of one kind, in one reading


class _ReadingLog:
    """The log of one reading: of each event the first lines, then one that counts the others.

    Whoever writes to the mailbox decides how many events there are.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[int, str]] = Counter()

    def write(self, level: int, event: str, facts: Mapping[str, object]) -> None:
        self._counts[level, event] += 1
        if self._counts[level, event] <= _MAX_LINES:
            log.log(level, event, facts)

    def close(self) -> None:
        for (level, event), count in self._counts.items():
            if count > _MAX_LINES:
                log.log(level, event, {"more": count - _MAX_LINES})


@dataclass
class InboxReport:
    """What a reading of the inbox found: addresses, and how many letters were forged or ignored.

    `unconfirmed` are addresses that only reports without our mail say cannot be reached.

    `failing` says since when the mailbox cannot be read, None when it can; `problem` why. `log` is where events are
    written to.
    """

    unsubscribed: set[str] = field(default_factory=set)
    bounced: set[str] = field(default_factory=set)
    unconfirmed: set[str] = field(default_factory=set)
    forged: int = 0
    ignored: int = 0
    failing: datetime | None = None
    problem: str = ""
    log: _ReadingLog = field(default_factory=_ReadingLog, repr=False)

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

        `clock` is the real time, even if the run uses --date.
        """
        mailbox, today, report = mailbox_name(settings), clock().date(), InboxReport()
        self._mailboxes.clear_other_failures(mailbox)
        # No letter can be a reply to us before the day of the first mail.
        since = min(self._outbox.first_day() or today, today)
        try:
            for letter in read_mailbox(settings, self._mailboxes.cursor(mailbox), since):
                with self._mailboxes.letter(mailbox, letter.cursor, letter.identity, today) as is_new:
                    if is_new:
                        self._act(letter, today, report)
                report.ignored += letter.skipped
        except InboxError as error:
            report.problem = str(error)
            report.failing = self._mailboxes.record_failure(mailbox, str(error), clock())
        else:
            self._mailboxes.record_success(mailbox, clock())
        finally:
            report.log.close()
        return report

    def _act(self, letter: ReadLetter, today: date, report: InboxReport) -> None:
        """Do what a letter asks for, in the transaction of the caller."""
        for event in letter.events:
            if isinstance(event, Bounce):
                self._record_bounce(event, today, report)
        requests = [event for event in letter.events if not isinstance(event, Bounce)]
        known = [self._unsubscribe(request, today, report) for request in requests]
        if requests and not any(known):
            report.forged += 1
            report.log.write(logging.WARNING, "unknown token", {"request": "unsubscribe", "token": requests[0].token})
        if letter.problem:
            report.ignored += 1
            report.log.write(logging.WARNING, "letter skipped", {"why": letter.problem})

    def _unsubscribe(self, request: UnsubscribeRequest | Complaint, today: date, report: InboxReport) -> bool:
        """Unsubscribe whoever the token or Message-ID belongs to; False if that is nobody."""
        how, message_id = ("complaint", request.message_id) if isinstance(request, Complaint) else ("letter", "")
        subscriber = self._sender_of(request.token, message_id)
        if subscriber and self._subscribers.unsubscribe(subscriber, today):
            report.unsubscribed.add(subscriber.address)
            report.log.write(logging.INFO, "unsubscribed", {"address": subscriber.address, "by": how})
        return subscriber is not None

    def _record_bounce(self, bounce: Bounce, today: date, report: InboxReport) -> None:
        why = " ".join(filter(None, (bounce.status, bounce.diagnostic)))
        if subscriber := self._sender_of(bounce.token, bounce.message_id):
            self._subscribers.record_bounce(subscriber, today, hard=bounce.hard, why=why)
            report.bounced.add(subscriber.address)
            facts = {"address": subscriber.address, "hard": bounce.hard, "why": why}
            report.log.write(logging.WARNING, "bounced", facts)
        elif not bounce.returned and (subscriber := self._mailed(bounce.recipient, today)):
            report.unconfirmed.add(subscriber.address)
            fix = f"if it is true: digest subscribers pause {subscriber.address}"
            facts = {"address": subscriber.address, "why": f"{why}; the report does not include our mail; {fix}"}
            report.log.write(logging.WARNING, "unconfirmed bounce", facts)
        else:
            report.ignored += 1

    def _sender_of(self, token: str, message_id: str) -> Subscriber | None:
        """The subscriber whose token or Message-ID this is."""
        if token and (found := self._subscribers.by_token(token)):
            return found
        row = self._outbox.subscriber_of_message(message_id)
        return None if row is None else self._subscribers.by_id(row)

    def _mailed(self, address: str, today: date) -> Subscriber | None:
        """The subscriber with this address, if a message left for it so recently that it may come back."""
        try:
            subscriber = self._subscribers.by_address(address)
        except ValueError:
            return None
        return subscriber if self._outbox.has_mailed(subscriber, today - _BOUNCES_WITHIN) else None
