"""No statement about a subscriber, a message or a letter looks through all of them."""

from datetime import timedelta

from digest.delivery import Outcome, State
from digest.inbound import InboxSettings
from digest.mail.message import Fragment
from digest.pipeline.context import Context
from digest.ranking import Profile
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.runs import Runs
from digest.store.statistics import Statistics
from digest.store.subscribers import ImportedSubscriber, Subscribers
from tests.conftest import MONDAY, Workplace, at

TUESDAY = MONDAY + timedelta(1)
# Steps that are no look through a table that grows: by an index, values given with the question, and small tables.
FINE = ("INDEX", "json_each", "CONSTANT ROW", "mailboxes", "SCAN i", "SCAN (", "temp.incoming")
# What looks at every subscriber on purpose: each statement is asked once a run or once a command.
WHOLE = (
    "UPDATE subscribers SET configured = 0",
    "WHERE topics IS NOT NULL GROUP BY topics",
    "suspended AS why FROM subscribers",
    "ORDER BY id LIMIT 1",
    "confirmed FROM subscribers ORDER BY id",
    "FROM temp.incoming i JOIN subscribers",
    "SELECT count(*) FROM",
    "SELECT DISTINCT paper FROM labels",
    "SELECT id, token FROM subscribers",
    "SELECT state, count(*) FROM deliveries WHERE message_id",
)


def test_no_question_about_one_subscriber_or_message_looks_at_all_of_them(workplace: Workplace) -> None:
    """Every statement that is made while people come and go, letters are read, mail is put off and status is asked."""
    asked: set[str] = set()
    with open_database(workplace.folder / "history.db") as db:
        db.conn.set_trace_callback(asked.add)
        people, outbox = Subscribers(db, b"x"), Outbox(db)
        inbox_reader = Context(workplace.config(), db).inbox_reader(at(MONDAY))
        people.configure(["ann@example.org", "bob@example.org"])
        people.add("cyd@example.org", Profile(("Gone",), 2))
        people.import_all(
            [
                ImportedSubscriber("dan@example.org", paused=TUESDAY),
                ImportedSubscriber("eve@example.org", state="left"),
            ],
            MONDAY,
        )
        for batch in outbox.audiences(MONDAY, MONDAY, MONDAY, range(1000)):
            mails = [(audience, [Fragment(b"x")], [1]) for audience in batch]
            outbox.publish(MONDAY, "digest@example.org", mails, at(MONDAY)())
        run = Runs(db).begin("run", MONDAY, at(MONDAY)())
        outbox.recover(run, at(MONDAY)())
        fates = [State.SENT, State.REFUSED, State.PENDING]
        for state, message in zip(fates, list(outbox.claim(run)), strict=True):
            for one in (State.SENDING, state):
                outbox.settle(run, [Outcome(message.key, one, "said")], at(MONDAY)())
        outbox.release(run, at(MONDAY)())
        for part in ("new", "cur"):
            (workplace.folder / "box" / part).mkdir(parents=True)
        ann = people.by_address("ann@example.org")
        report = (
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n"
            "Content-Type: message/delivery-status\n\nX: y\n\nAction: failed\nStatus: 4.2.2\n"
            "Final-Recipient: rfc822; ann@example.org\n"
        )
        back = "--b\nContent-Type: text/rfc822-headers\n\nMessage-ID: <20260420.x@example.org>\n"
        for n, letter in enumerate((f"To: leave+{ann.token}@x.org\n\n", f"{report}--b--\n", f"{report}{back}--b--\n")):
            (workplace.folder / "box" / "new" / str(n)).write_text(letter)
        inbox_reader.read(InboxSettings(path=workplace.folder / "box"))
        inbox_reader.read(InboxSettings(path=workplace.folder / "none"))
        people.pause(people.by_address("bob@example.org"), TUESDAY)
        people.resume(people.by_address("bob@example.org"))
        outbox.withdraw(MONDAY)
        outbox.message_of(ann, MONDAY)
        outbox.shown_to(ann, [1], MONDAY)
        outbox.import_shown([(ann, ["arxiv:2604.00009"], MONDAY)], at(MONDAY)())
        outbox.shown_names(ann, MONDAY)
        outbox.last_mails(ann, 9)
        outbox.appearances(1, ann.id)
        outbox.appearances(1, None)
        outbox.mail_of(ann, MONDAY)
        outbox.subscriber_of_message("<20260420.x@example.org>")
        outbox.papers_of_message("<20260420.x@example.org>", ann)
        outbox.count_waiting()
        people.first(MONDAY)
        list(people.statuses(MONDAY))
        ledger = Statistics(db.conn)
        for look in (
            ledger.deliveries_by_state,
            ledger.problem_deliveries,
            ledger.suspended,
            ledger.mailboxes,
            ledger.size,
        ):
            look()
        ledger.missing_topics([])
        db.conn.set_trace_callback(None)
        for sql in asked:
            if sql.startswith(("SELECT", "UPDATE", "DELETE", "INSERT")) and not any(whole in sql for whole in WHOLE):
                plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}")]
                scans = [step for step in plan if step.startswith("SCAN") and not any(fine in step for fine in FINE)]
                assert not scans, (sql, plan)
        assert len(asked) > 40
        (stream, *_) = (sql for sql in asked if sql.startswith("SELECT s.id, s.topics"))
        steps = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {stream}")]
        assert "SEARCH subscribers USING INTEGER PRIMARY KEY (rowid>?)" in steps
        assert "SEARCH d USING INDEX sqlite_autoindex_deliveries_1 (subscriber=? AND day>?)" in steps
        assert "SEARCH d USING INDEX deliveries_imported (subscriber=?)" in steps
