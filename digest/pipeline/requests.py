"""Do what readers ask for by letter, and answer them: subscribe, confirm, vote, choose.

Every letter is acted on inside the transaction that remembers it (`digest.store.mailboxes`), and its answer is queued
there too: so each acts once and is answered once, whenever the process is killed. Confirmation mails are written
afterwards (`write_confirmations`), oldest request first, because there is a limit of them a day.

An answer always goes to the subscriber, never to whoever wrote the letter.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from digest.config import Config
from digest.inbound import Command, Confirmation, ReaderLetter, SubscribeRequest
from digest.mail.answers import AnswerWriter, Choices
from digest.mail.edition import format_date
from digest.ranking.selection import MAX_PAPERS
from digest.settings import WEEKDAYS, weekdays
from digest.store.answers import Answers
from digest.store.database import transaction
from digest.store.labels import Labels
from digest.store.outbox import Outbox
from digest.store.papers import Papers
from digest.store.signups import Signups
from digest.store.subscribers import FOREVER, Subscriber, Subscribers, SubscriberStatus

if TYPE_CHECKING:
    from sqlite_utils import Database

_ONE_DAY = timedelta(hours=24)
_MAX_ANSWERS = 20  # to a subscriber in a day; what is asked beyond that is done, and not answered
_LAST_DAY = date(2100, 12, 31)  # as on the command line
_DAYS_OF = {"day": 1, "week": 7, "month": 30}
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_VOTES = ("more", "less")


@dataclass
class Served:
    """What came of a reader's letter. `notes` are sentences for the answer, `answer` is its kind ('' for none)."""

    reader: Subscriber
    votes: int = 0
    unsubscribed: bool = False
    answer: str = ""
    notes: list[str] = field(default_factory=list)


class Requests:
    """What readers of a digest may ask for. `clock` is the real time, whatever --date is."""

    def __init__(
        self, config: Config, db: "Database", subscribers: Subscribers, signups: Signups, clock: Callable[[], datetime]
    ) -> None:
        self._config = config
        self._db = db
        self._subscribers = subscribers
        self._signups = signups
        self._labels, self._answers, self._outbox, self._papers = Labels(db), Answers(db), Outbox(db), Papers(db)
        self._writer = AnswerWriter(
            config.digest.title, config.digest.from_, config.unsubscribe, config.signup, config.feedback,
            config.digest.templates,
        )  # fmt: skip
        self._clock = clock

    # ---- subscribe ---------------------------------------------------------------------------------------------------

    def ask(self, request: SubscribeRequest) -> bool:
        """Record a request to subscribe; False for one that gets no confirmation mail of its own, or not from us."""
        shard = self._config.shard
        if shard and not shard.owns(request.address):
            return False
        return self._signups.ask(request.address, request.message_id, self._clock())

    def write_confirmations(self) -> None:
        """Queue a confirmation mail for each request that waits, as many as a day allows."""
        signup = self._config.signup
        while signup and self._write_confirmation(signup.max_per_day):
            pass

    def _write_confirmation(self, max_per_day: int) -> bool:
        with transaction(self._db):
            now = self._clock()
            taken = self._signups.answer(now, max_per_day)
            if taken:
                self._answers.queue(self._writer.confirmation(taken.address, taken.token, taken.letter, now), now)
        return taken is not None

    def confirm(self, confirmation: Confirmation) -> Subscriber | None:
        """Subscribe the address that a token confirms, and welcome it; None if the token confirms nothing."""
        now = self._clock()
        address = self._signups.confirm(confirmation.token, now) if self._config.signup else None
        if address is None:
            return None
        self._subscribers.add(address, self._subscribers.by_address(address).profile, confirmed=now.date())
        reader = self._subscribers.by_address(address)
        self._answer("welcome", reader, [], confirmation.message_id)
        return reader

    # ---- vote and choose ---------------------------------------------------------------------------------------------

    def serve(self, letter: ReaderLetter) -> Served | None:
        """Do what a reader's letter asks for, and queue the answer; None if it is not known to be a reader's."""
        reader = self._reader_of(letter)
        if reader is None:
            return None
        served = Served(reader)
        if not self._status(reader).subscribed:
            self._refuse(letter, served)
        else:
            for command in letter.commands:
                self._do(command, letter, served)
        if served.answer and self._may_answer(served):
            self._answer(served.answer, served.reader, served.notes, letter.message_id)
        return served

    def _reader_of(self, letter: ReaderLetter) -> Subscriber | None:
        """The subscriber of the letter's token, or the one who wrote it in reply to our mail to them."""
        if letter.token:
            return self._subscribers.by_feedback_token(letter.token)
        reader = self._subscribers.by_address(letter.address)
        if not reader.id:
            return None
        mailed = self._outbox.papers_of_message(letter.replied_to, reader) is not None
        return reader if mailed or self._answers.was_sent(letter.replied_to, reader.address) else None

    def _refuse(self, letter: ReaderLetter, served: Served) -> None:
        """Whoever unsubscribed stays so, until a letter to the sign-up address or the operator says otherwise."""
        if any(command.word not in (*_VOTES, "reset") for command in letter.commands):
            served.answer = "choices"
            again = f"To subscribe again, write to {self._config.signup.mailto}." if self._config.signup else ""
            served.notes = [f"You are unsubscribed, so nothing was changed. {again}".strip()]

    def _do(self, command: Command, letter: ReaderLetter, served: Served) -> None:
        if command.word in _VOTES:
            served.votes += self._vote(command, letter, served.reader)
        elif command.word == "reset":
            self._labels.forget(served.reader.id)
        elif command.word == "help":
            served.answer = served.answer or "help"
        else:
            served.answer = "choices"
            change = getattr(self, f"_{command.word}")
            if note := change(served, command.argument):
                served.notes.append(note)
            served.reader = self._subscribers.by_id(served.reader.id) or served.reader

    def _vote(self, command: Command, letter: ReaderLetter, reader: Subscriber) -> bool:
        """Label the paper at a place in the mail that was replied to, or of a name; False if there is none."""
        if self._config.feedback is None:
            return False
        if command.argument.isdecimal():
            paper = (self._outbox.papers_of_message(letter.replied_to, reader) or {}).get(int(command.argument))
        else:
            paper = self._papers.find_named(command.argument)
        if paper is None:
            return False
        self._labels.put(reader.id, paper, command.word == "more", self._clock().date())
        return True

    # Each of these is a command; it returns what the answer says besides how things stand now.

    def _topics(self, served: Served, argument: str) -> str:
        known = {topic.name.casefold(): topic.name for topic in self._config.topics}
        named = [name.strip().casefold() for name in argument.split(",") if name.strip()]
        if named in (["all"], ["*"]):
            chosen = None
        elif named and all(name in known for name in named):
            chosen = tuple(dict.fromkeys(known[name] for name in named))
        else:
            listed = (
                f"The topics are: {', '.join(known.values())}." if known else "This digest has none to choose from."
            )
            return f"There is no such topic, so your topics were not changed. {listed}"
        self._subscribers.choose(served.reader, replace(served.reader.profile, topics=chosen))
        return ""

    def _max(self, served: Served, argument: str) -> str:
        number = 0 if argument == "default" else int(argument)
        if number > MAX_PAPERS:
            return f"A mail has at most {MAX_PAPERS} papers, so nothing was changed."
        self._subscribers.choose(served.reader, replace(served.reader.profile, max_papers=number or None))
        return ""

    def _days(self, served: Served, argument: str) -> str:
        days = None if argument == "all" else weekdays(argument.split())
        self._subscribers.choose(served.reader, replace(served.reader.profile, days=days))
        none = days is not None and not days & self._config.digest.days
        return "This digest has no mail on these days, so you will get none." if none else ""

    def _pause(self, served: Served, argument: str) -> str:
        today, until = self._clock().date(), FOREVER
        try:
            if argument.startswith("until"):
                until = date.fromisoformat(argument.split()[1])
            elif argument:
                number, unit = argument.removeprefix("for ").rstrip("s").replace(" ", ""), ""
                unit = next(name for name in _DAYS_OF if number.endswith(name))
                until = today + timedelta(int(number.removesuffix(unit)) * _DAYS_OF[unit])
        except (ValueError, OverflowError):
            until = today
        if not (today < until <= _LAST_DAY or until == FOREVER):
            return "Mail was not paused: write a day after today, like 2030-01-31."
        self._subscribers.pause(served.reader, until)
        return ""

    def _resume(self, served: Served, _argument: str) -> str:
        self._subscribers.resume(served.reader)
        return ""

    def _unsubscribe(self, served: Served, _argument: str) -> str:
        served.unsubscribed = self.leave(served.reader)
        again = f" To come back, write to {self._config.signup.mailto}." if self._config.signup else ""
        return f"You are unsubscribed and get no more mail.{again}"

    def leave(self, reader: Subscriber) -> bool:
        """Unsubscribe a reader, whose confirmation mails confirm nothing any more; False if they already had."""
        self._signups.use(reader.address, self._clock())
        return self._subscribers.unsubscribe(reader, self._clock().date())

    # ---- answer ------------------------------------------------------------------------------------------------------

    def _may_answer(self, served: Served) -> bool:
        since, to = self._clock() - _ONE_DAY, served.reader.address
        if served.answer == "help" and self._answers.count_since(to, since, "help"):
            return False
        return self._answers.count_since(to, since) < _MAX_ANSWERS

    def _answer(self, kind: str, reader: Subscriber, notes: list[str], letter: str) -> None:
        now = self._clock()
        choices = self._choices(reader, notes)
        self._answers.queue(self._writer.about_choices(kind, reader.address, reader.token, choices, letter, now), now)

    def _choices(self, reader: Subscriber, notes: list[str]) -> Choices:
        settings, profile = self._config.digest, reader.profile
        days = settings.days if profile.days is None else profile.days & settings.days
        names = [name for number, name in enumerate(_DAY_NAMES) if number in days]
        status = self._status(reader)
        return Choices(
            subscribed=status.subscribed,
            state=_describe_state(status),
            topics=profile.topics or (),
            known_topics=tuple(topic.name for topic in self._config.topics),
            max_papers=min(profile.max_papers or settings.max_papers, MAX_PAPERS),
            days="every day" if len(names) == len(WEEKDAYS) else ", ".join(names) or "none",
            notes=tuple(notes),
        )

    def _status(self, reader: Subscriber) -> SubscriberStatus:
        status = self._subscribers.status(reader.address, self._clock().date())
        return status or SubscriberStatus(reader.address, "left", reader.profile, configured=False)


def _describe_state(status: SubscriberStatus) -> str:
    if status.state == "paused" and status.paused:
        return (
            "paused until you write “resume”"
            if status.paused == FOREVER
            else f"paused until {format_date(status.paused)}"
        )
    return {
        "active": "as usual",
        "suspended": "stopped, because mail to you came back; ask whoever runs this digest",
    }.get(status.state, "none, you are unsubscribed")
