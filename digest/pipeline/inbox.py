"""Act on the replies in the inbox: each letter once, and on disk before the next one is read.

What readers ask for is done by `digest.pipeline.requests`. Tokens that we did not issue are ignored, so nobody can
unsubscribe somebody else. A bounce is believed about the subscriber whose token or Message-ID is in the returned mail.

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
from digest.inbound import (
    Bounce,
    Complaint,
    Confirmation,
    DigestAddresses,
    InboxSettings,
    LetterEvent,
    ReaderLetter,
    SubscribeRequest,
    UnsubscribeRequest,
)
from digest.inbound.mailbox import ReadLetter, mailbox_name, read_mailbox
from digest.pipeline.requests import Requests
from digest.store.mailboxes import LetterError, Mailboxes
from digest.store.outbox import Outbox
from digest.store.subscribers import Subscriber, Subscribers

log = logging.getLogger("digest")

# Mail must stop within 48 hours of a request to unsubscribe (support.google.com/mail/answer/81126), so mail is held
# once the inbox has been unreadable for this long.
GRACE = timedelta(hours=48)
_BOUNCES_WITHIN = timedelta(days=7)  # of the delivery: mail servers give up after five days (RFC 5321 4.5.4.1)
_BEFORE_FIRST_MAIL = timedelta(days=3)  # a letter to the sign-up address may come as long before it
_MAX_LINES = 5  # in the log about events of one kind, in one reading


# What a letter whose token is unknown asks for.
_REQUESTS: dict[type, str] = {
    UnsubscribeRequest: "unsubscribe",
    Complaint: "unsubscribe",
    Confirmation: "confirm",
    ReaderLetter: "feedback",
}


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
    """What a reading of the inbox found: addresses, votes, and how many letters were forged or ignored.

    `unconfirmed` are addresses that only reports without our mail say cannot be reached. `asked` are addresses that
    asked to subscribe, `subscribed` those that confirmed it, `changed` those of readers who chose something.

    `failing` says since when the mailbox cannot be read, None when it can; `problem` why. `log` is where events are
    written to.
    """

    unsubscribed: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    subscribed: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    votes: int = 0
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
    """Reads the letters to a digest with these `addresses`, and does what they ask for.

    `clock` is the real time, even if the run uses --date.
    """

    def __init__(
        self,
        mailboxes: Mailboxes,
        subscribers: Subscribers,
        outbox: Outbox,
        requests: Requests,
        addresses: DigestAddresses,
        clock: Callable[[], datetime],
    ) -> None:
        self._mailboxes = mailboxes
        self._requests = requests
        self._addresses = addresses
        self._subscribers = subscribers
        self._outbox = outbox
        self._clock = clock

    def read(self, settings: InboxSettings) -> InboxReport:
        """Read the mailbox to its end. A mailbox that cannot be read is reported and recorded, not raised."""
        mailbox, today, report = mailbox_name(settings), self._clock().date(), InboxReport()
        self._mailboxes.clear_other_failures(mailbox)
        # No letter can be a reply to us before the day of the first mail.
        since = min(self._outbox.first_day() or today, today - _BEFORE_FIRST_MAIL * bool(self._addresses.signup))
        try:
            for letter in read_mailbox(settings, self._mailboxes.cursor(mailbox), since, self._addresses):
                try:
                    with self._mailboxes.letter(mailbox, letter.cursor, letter.identity, today) as is_new:
                        if is_new:
                            self._act(letter, today, report)
                except LetterError as error:  # one letter, whatever is in it, stops no mail
                    log.debug("traceback", exc_info=True)
                    report.ignored += 1
                    report.log.write(logging.WARNING, "letter skipped", {"why": f"{error}; -v shows the traceback"})
                report.ignored += letter.skipped
        except InboxError as error:
            report.problem = str(error)
            report.failing = self._mailboxes.record_failure(mailbox, str(error), self._clock())
        else:
            self._mailboxes.record_success(mailbox, self._clock())
        finally:
            report.log.close()
        self._requests.write_confirmations()
        return report

    def _act(self, letter: ReadLetter, today: date, report: InboxReport) -> None:
        """Do what a letter asks for, in the transaction of the caller."""
        known = [self._act_on(event, today, report) for event in letter.events]
        if known and not any(known):
            request, token = _REQUESTS[type(letter.events[0])], getattr(letter.events[0], "token", "")
            report.forged += bool(token)
            report.ignored += not token
            if token:
                report.log.write(logging.WARNING, "unknown token", {"request": request, "token": token})
        if letter.problem:
            report.ignored += 1
            report.log.write(logging.WARNING, "letter skipped", {"why": letter.problem})

    def _act_on(self, event: LetterEvent, today: date, report: InboxReport) -> bool:
        """Act on an event; False if it is not known to be about a subscriber or a request of ours."""
        match event:
            case Bounce():
                self._record_bounce(event, today, report)
                return True
            case UnsubscribeRequest() | Complaint():
                return self._unsubscribe(event, report)
            case SubscribeRequest():
                if self._requests.ask(event):
                    report.asked.add(event.address)
                    report.log.write(logging.INFO, "asked to subscribe", {"address": event.address})
                else:
                    report.ignored += 1
                return True
            case Confirmation():
                if reader := self._requests.confirm(event):
                    report.subscribed.add(reader.address)
                    report.log.write(logging.INFO, "subscribed", {"address": reader.address, "by": "letter"})
                return reader is not None
            case ReaderLetter():
                return self._serve(event, report)

    def _serve(self, letter: ReaderLetter, report: InboxReport) -> bool:
        served = self._requests.serve(letter)
        if served is None:
            return False
        address = served.reader.address
        if served.unsubscribed:
            report.unsubscribed.add(address)
            report.log.write(logging.INFO, "unsubscribed", {"address": address, "by": "letter"})
        elif served.answer:
            report.changed.add(address)
        report.votes += served.votes
        return True

    def _unsubscribe(self, request: UnsubscribeRequest | Complaint, report: InboxReport) -> bool:
        """Unsubscribe whoever the token or Message-ID belongs to; False if that is nobody."""
        how, message_id = ("complaint", request.message_id) if isinstance(request, Complaint) else ("letter", "")
        subscriber = self._sender_of(request.token, message_id)
        if subscriber and self._requests.leave(subscriber):
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
