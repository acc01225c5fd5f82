"""Whatever happens in whatever order: no second message a day, no paper twice, nothing for who is out, nothing lost."""

# A machine of hypothesis plays weeks over a real database and a real Maildir, beside a model of who stands how.

import json
import tempfile
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from digest.delivery import Message, Outcome, State
from digest.inbound import InboxSettings
from digest.mail.message import Fragment
from digest.pipeline.context import Context
from digest.ranking import Profile
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.runs import Runs
from digest.store.subscribers import ImportedSubscriber, Subscribers
from tests.conftest import MONDAY, Workplace

pytestmark = pytest.mark.slow

NAMES = [f"{name}@example.org" for name in ("ann", "bob", "cyd", "dan")]
PEOPLE = st.sampled_from(NAMES)
PROFILES = st.builds(
    Profile, st.sampled_from([None, ("Even",), ("Odd",), ("Even", "Odd")]), st.sampled_from([None, 1, 2])
)
FATES: st.SearchStrategy[list[State]] = st.lists(
    st.sampled_from([State.SENT, State.PENDING, State.REFUSED, State.DOUBT]), min_size=1, max_size=8
) | st.just([])
SENDER, FRAGMENTS = "digest@example.org", [Fragment(b"To: \0address\0\r\n\r\n"), Fragment(text=b"text\r\n")]
MOST = 3


class Weeks(RuleBasedStateMachine):
    """`got` is what surely or maybe arrived: message -> (reader, day, papers)."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        root = Path(self.folder.name)
        for part in ("new", "cur"):
            (root / "box" / part).mkdir(parents=True)
        self.box = root / "box"
        self.opening = open_database(root / "history.db")
        self.db = self.opening.__enter__()
        self.people, self.outbox = Subscribers(self.db, b"secret"), Outbox(self.db)
        self.context, self.journal = Context(Workplace(root).config(), self.db), Runs(self.db)
        self.day, self.papers, self.letters = MONDAY, 6, 0
        rows = ((n, MONDAY.isoformat()) for n in range(1, 31))
        self.db.conn.executemany("INSERT INTO papers VALUES (?, 'A title', '', '{}', ?, NULL)", rows)
        self.db.conn.commit()
        self.configured: set[str] = set()
        self.byhand: set[str] = set()
        self.gone: set[str] = set()
        self.suspended: set[str] = set()
        self.paused: dict[str, date] = {}
        self.got: dict[str, tuple[str, date, frozenset[int]]] = {}
        self.begun: set[int] = set()  # deliveries whose body may have been sent

    def teardown(self) -> None:
        self.opening.__exit__(None, None, None)
        self.folder.cleanup()

    @initialize(to=st.sets(PEOPLE, min_size=3))
    def begin(self, to: set[str]) -> None:
        self.configure(to)

    def now(self) -> datetime:
        return datetime.combine(self.day, time(6), ZoneInfo("UTC"))

    def receives(self, who: str) -> bool:
        known = who in self.configured | self.byhand
        away = who in self.gone | self.suspended or self.paused.get(who, self.day) > self.day
        return known and not away

    # --- What people do

    @rule(to=st.sets(PEOPLE))
    def configure(self, to: set[str]) -> None:
        self.people.configure(sorted(to))
        self.configured = to

    @rule(who=PEOPLE, chosen=PROFILES)
    def add(self, who: str, chosen: Profile) -> None:
        self.people.add(who, chosen)
        self.byhand.add(who)
        self.gone.discard(who)
        self.suspended.discard(who)
        self.paused.pop(who, None)

    @rule(who=PEOPLE)
    def remove(self, who: str) -> None:
        if self.people.status(who, self.day):
            self.people.unsubscribe(self.people.by_address(who), self.day)
            self.outbox.withdraw(self.day)
            self.left(who)

    def left(self, who: str) -> None:
        self.byhand.discard(who)
        self.gone.add(who)

    @rule(who=PEOPLE, days=st.integers(1, 4))
    def pause(self, who: str, days: int) -> None:
        if self.people.status(who, self.day):
            self.paused[who] = self.day + timedelta(days)
            self.people.pause(self.people.by_address(who), self.paused[who])
            self.outbox.withdraw(self.day)

    @rule(who=PEOPLE)
    def resume(self, who: str) -> None:
        if self.people.status(who, self.day):
            self.people.resume(self.people.by_address(who))
            self.paused.pop(who, None)

    @rule(who=st.sets(PEOPLE, min_size=1), state=st.sampled_from(["", "left", "suspended", "dropped"]))
    def take_in(self, who: set[str], state: str) -> None:
        self.people.import_all([ImportedSubscriber(one, state=state) for one in who], self.day)
        self.outbox.withdraw(self.day)
        for one in who - self.gone:
            if state == "left":
                self.left(one)
            elif state != "dropped":
                self.byhand.add(one)
            if state == "suspended":
                self.suspended.add(one)

    @rule(who=PEOPLE)
    def write_to_leave(self, who: str) -> None:
        self.letter(f"To: leave+{self.people.by_address(who).token}@example.org\nX: {self.letters}\n\n")
        if self.people.status(who, self.day):
            self.left(who)

    @rule(who=PEOPLE)
    def come_back_hard(self, who: str) -> None:
        token = self.people.by_address(who).token
        self.letter(
            'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
            f"--b\nContent-Type: message/delivery-status\n\nX: {self.letters}\n\nAction: failed\nStatus: 5.1.1\n"
            f"--b\nContent-Type: text/rfc822-headers\n\nList-Unsubscribe: <mailto:leave+{token}@example.org>\n--b--\n"
        )
        if self.people.status(who, self.day):
            self.suspended.add(who)

    def letter(self, raw: str) -> None:
        self.letters += 1
        (self.box / "new" / f"{self.letters}.letter").write_text(raw)
        self.context.inbox_reader(self.now).read(InboxSettings(path=self.box))
        self.outbox.withdraw(self.day)

    # --- What the job does

    @rule(days=st.sampled_from([1, 1, 1, 2, 5]))
    def wait(self, days: int) -> None:
        self.day += timedelta(days)

    @rule(count=st.integers(1, 3))
    @precondition(lambda self: self.papers < 20)
    def list_papers(self, count: int) -> None:
        self.papers += count

    @rule(fates=FATES, who=PEOPLE, chosen=PROFILES)
    def leave_unheard_and_come_back(self, fates: list[State], who: str, chosen: Profile) -> None:
        self.run(fates, crash="", meanwhile=who)
        self.remove(who)
        self.wait(1)
        self.add(who, chosen)
        self.run([], crash="", meanwhile=None)

    @rule(fates=FATES, crash=st.sampled_from(["", "claimed", "begun", "arrived"]), meanwhile=st.none() | PEOPLE)
    def run(self, fates: list[State], crash: str, meanwhile: str | None) -> None:
        """The server answers `fates`, then takes all. With `crash` the run is killed once these are used up."""
        number = self.journal.begin("run", self.day, self.now())
        self.outbox.recover(number, self.now())
        self.publish()
        fate = iter(fates)
        for _ in range(2):
            receivers = {who for who in NAMES if self.receives(who)}
            for message in self.outbox.claim(number):
                assert message.address in receivers
                if meanwhile and message.address != meanwhile:
                    self.remove(meanwhile)  # what is in the run's hands already may still go
                    meanwhile = None
                state = next(fate, None)
                if state is None and crash == "claimed":
                    return
                self.begun.add(message.key)
                self.outbox.settle(number, [Outcome(message.key, State.SENDING, "")], self.now())
                if state is None and crash == "begun":
                    return
                state = state or State.SENT
                if state in (State.SENT, State.DOUBT):
                    self.arrives(message)
                if state is State.SENT and crash == "arrived":
                    return
                self.outbox.settle(number, [Outcome(message.key, state, "so it said")], self.now())
            self.outbox.release(number, self.now())
        if not fates and not crash:
            self.nobody_was_missed()

    def publish(self) -> None:
        for audiences in self.outbox.audiences(self.day, MONDAY, self.day, range(1000)):
            assert len({audience.key for audience in audiences}) == len(audiences)
            chosen = [(audience, self.choose(audience.shown, audience.profile)) for audience in audiences]
            mails = [(audience, FRAGMENTS, papers) for audience, papers in chosen if papers]
            self.outbox.publish(self.day, SENDER, mails, self.now())

    def choose(self, shown: Iterable[int], profile: Profile) -> list[int]:
        kinds = profile.topics or ("Even", "Odd")
        wanted = [n for n in range(1, self.papers + 1) if n not in set(shown) and ("Even", "Odd")[n % 2] in kinds]
        return wanted[: profile.max_papers or MOST]

    def arrives(self, message: Message) -> None:
        day, papers, name = self.db.execute(
            "SELECT d.day, e.papers, d.message_id FROM deliveries d JOIN editions e ON e.id = d.edition WHERE d.id = ?",
            [message.key],
        ).fetchone()
        found = (message.address, date.fromisoformat(day), frozenset(json.loads(papers)))
        assert name not in self.got or (self.got[name] == found and message.repeated), "a copy is one of a doubt"
        self.got[name] = found

    def nobody_was_missed(self) -> None:
        for who in filter(self.receives, NAMES):
            subscriber = self.people.by_address(who)
            has = self.db.execute(
                "SELECT 1 FROM deliveries WHERE subscriber = ? AND day = ?", [subscriber.id, self.day.isoformat()]
            ).fetchone()
            shown = self.outbox.shown_to(subscriber, range(1, self.papers + 1), self.day)
            assert has or not self.choose(shown, subscriber.profile)

    # --- What holds at all times

    @invariant()
    def one_message_a_day_and_no_paper_twice(self) -> None:
        days: set[tuple[str, date]] = set()
        papers: set[tuple[str, int]] = set()
        for who, day, shown in self.got.values():
            assert (who, day) not in days
            days.add((who, day))
            assert not {(who, one) for one in shown} & papers
            papers |= {(who, one) for one in shown}

    @invariant()
    def in_doubt_is_only_what_began(self) -> None:
        doubts = self.db.execute("SELECT id FROM deliveries WHERE doubt OR state = 'in doubt'")
        assert {row[0] for row in doubts} <= self.begun

    @invariant()
    def each_stands_as_it_should(self) -> None:
        for who in NAMES:
            standing = self.people.status(who, self.day)
            if not (standing and "refused" in standing.why):
                assert bool(standing and standing.state == "active") == self.receives(who), (who, standing)


Weeks.TestCase.settings = settings(max_examples=400, stateful_step_count=30, deadline=None)
TestWeeks = Weeks.TestCase
