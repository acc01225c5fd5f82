"""The daily job from papers to mail: everything is real, and the Maildir and the outbox are what counts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from digest.cli.output import format_plan
from digest.errors import AlreadyRunning, HistoryError, NoSourceReadable, Undelivered, UnknownSubscriber
from digest.pipeline.context import open_context
from digest.pipeline.preview import preview
from digest.pipeline.run import plan_run, run_daily
from digest.ranking import Profile
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database, run_lock
from digest.store.subscribers import SubscriberStatus
from tests.conftest import MONDAY, Workplace, at, html_of, paper, text_of, titles
from tests.ranking.test_selection import DIFFUSION, OTHERS

TUESDAY = MONDAY + timedelta(1)


def test_each_paper_reaches_each_subscriber_exactly_once(workplace: Workplace) -> None:
    workplace.to = ("ann@example.org", "bob@example.org")
    workplace.digest = {"max_papers": 4}
    workplace.lists(*(paper(n, upvotes=n) for n in range(10)))
    for later in range(4):
        workplace.run(MONDAY + timedelta(later))
    for to in workplace.to:
        mails = workplace.titles(to)
        assert [len(mail) for mail in mails] == [4, 4, 2]
        assert len({title for mail in mails for title in mail}) == 10


def test_a_second_run_of_the_day_sends_nothing(workplace: Workplace) -> None:
    workplace.lists(paper(1), paper(2))
    assert workplace.run(MONDAY).queued == 1
    workplace.lists(paper(1), paper(2), paper(3))
    report = workplace.run(MONDAY)
    assert (report.queued, report.new, len(workplace.titles())) == (0, 1, 1)
    workplace.run(TUESDAY)
    assert workplace.titles()[1] == ["Paper number 3 on something"]


def test_another_version_spelling_or_identifier_of_a_shown_paper_is_not_shown_again(workplace: Workplace) -> None:
    workplace.lists(paper(1, title="On Schrödinger bridges"))
    workplace.run(MONDAY)
    workplace.lists(
        {"id": "https://arxiv.org/abs/2604.00001v2", "title": "On bridges, second version", "doi": "10.1000/x"},
        {"title": 'ON SCHR\\"ODINGER BRIDGES'},
        {"doi": "10.1000/X", "title": "In a journal now"},
        paper(2),
    )
    workplace.run(TUESDAY)
    assert workplace.titles()[1] == ["Paper number 2 on something"]


def test_two_papers_that_turn_out_to_be_one_are_shown_no_more_when_either_was(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 1}
    one, other = paper(1, upvotes=9), {"doi": "10.1000/x", "title": "Its name in the journal", "upvotes": 1}
    workplace.lists(one, other)
    workplace.run(MONDAY)
    workplace.lists(one, other, {"id": "arxiv:2604.00001", "doi": "10.1000/x", "title": "Both names"})
    workplace.run(TUESDAY)
    assert workplace.titles() == [["Paper number 1 on something"]]


def test_who_subscribes_later_gets_the_same_days_mail_and_papers_others_have_seen(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    workplace.to = ("ann@example.org", "BOB@example.org")
    assert workplace.run(MONDAY).queued == 1
    assert workplace.titles("BOB@example.org") == [["Paper number 1 on something"]]
    assert len(workplace.titles("ann@example.org")) == 1


def test_who_is_no_longer_named_gets_nothing_and_nobody_sees_anothers_address(workplace: Workplace) -> None:
    workplace.to = ("ann@example.org", "bob@example.org")
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    workplace.to = ("bob@example.org",)
    workplace.lists(paper(2))
    workplace.run(TUESDAY)
    mails = workplace.mails()
    assert {to: len(found) for to, found in mails.items()} == {"ann@example.org": 1, "bob@example.org": 2}
    assert all("ann@" not in mail.as_string() for mail in mails["bob@example.org"])


def test_an_empty_day_sends_nothing_unless_asked_to(workplace: Workplace) -> None:
    workplace.lists()
    assert workplace.run(MONDAY).queued == 0
    workplace.digest = {"when_empty": "send"}
    workplace.run(MONDAY)
    (mail,) = workplace.mails()["ann@example.org"]
    assert "No new papers." in text_of(mail)
    assert "No new papers." in html_of(mail)
    assert "nothing new" in mail["Subject"]


def test_the_intro_counts_what_came_in_since_the_run_before(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 2}
    for later, count, intro in (
        (0, 3, "3 papers today; here are 2."),
        (1, 4, "1 paper since yesterday, and 1 from earlier days."),
        (2, 4, "1 paper from the last days; no list has a new one today."),
        (9, 6, "2 papers since 21 April."),
    ):
        workplace.lists(*(paper(n, upvotes=20 + n) for n in range(count)))
        workplace.run(MONDAY + timedelta(later))
        if later != 2:  # by then all has been sent
            assert intro in text_of(workplace.mails()["ann@example.org"][-1])


def test_on_other_days_a_run_only_fetches_and_records(workplace: Workplace) -> None:
    workplace.digest = {"days": ["tue"]}
    workplace.lists(paper(1))
    assert (workplace.run(MONDAY).new, workplace.mails()) == (1, {})
    workplace.run(TUESDAY)
    assert workplace.titles() == [["Paper number 1 on something"]]


def test_weak_papers_make_way_for_a_short_mail(workplace: Workplace) -> None:
    workplace.digest = {"min_score": 0.9}
    workplace.lists(paper(1, upvotes=100), paper(2, upvotes=90), paper(3, upvotes=1))
    workplace.run(MONDAY)
    assert len(workplace.titles()[0]) == 2


def test_a_topic_leads_says_why_and_may_be_all_there_is(workplace: Workplace) -> None:
    workplace.lists(
        paper(1, upvotes=100), paper(2, upvotes=2, abstract="All about otters."), paper(3, abstract="A survey.")
    )
    topic = '[[topics]]\nname = "Otters"\nmatch = ["otters"]\nmute = ["survey"]\n'
    workplace.more = topic + '[[sources]]\ntype = "file"\npath = "papers.jsonl"'
    workplace.run(MONDAY)
    (mail,) = workplace.mails()["ann@example.org"]
    assert titles(mail) == ["Paper number 2 on something", "Paper number 1 on something"]
    assert "◆&nbsp;Otters" in html_of(mail).replace("\xa0", "&nbsp;")
    assert "◆ Otters" in text_of(mail)
    workplace.digest, workplace.to = {"topics_only": True}, ("bob@example.org",)
    workplace.run(MONDAY)
    assert workplace.titles("bob@example.org") == [["Paper number 2 on something"]]


def test_one_theme_steps_back_unless_variety_is_switched_off(workplace: Workplace) -> None:
    themed = [
        paper(n, upvotes=90 - n, title=title, abstract=abstract)
        for n, (title, abstract) in enumerate(DIFFUSION + OTHERS)
    ]
    workplace.lists(*themed)
    workplace.to = ("ann@example.org",)
    workplace.digest = {"max_papers": 9}
    workplace.run(MONDAY)
    assert {title for title, _ in OTHERS} <= set(workplace.titles()[0])
    workplace.to, workplace.digest = ("bob@example.org",), {"max_papers": 9, "variety": False}
    workplace.run(MONDAY)
    assert {title for title, _ in DIFFUSION} <= set(workplace.titles("bob@example.org")[0])


def test_papers_of_a_mail_that_expired_unsent_come_again(workplace: Workplace) -> None:
    workplace.lists(paper(1), paper(2))
    (workplace.folder / "mail").write_text("in the way")
    with pytest.raises(Undelivered):
        workplace.run(MONDAY)
    (workplace.folder / "mail").unlink()
    workplace.run(MONDAY + timedelta(4))
    assert states(workplace) == {"expired": 1, "sent": 1}
    assert len(workplace.titles()) == 1
    assert len(workplace.titles()[0]) == 2


def test_a_paper_that_rises_while_nobody_looked_leads_and_says_from_where(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 2}
    workplace.lists(paper(1, upvotes=10), paper(2, upvotes=50), paper(3, upvotes=40))
    workplace.run(MONDAY)
    workplace.lists(paper(1, upvotes=11), paper(4, upvotes=60), paper(5, upvotes=70))
    workplace.run(TUESDAY)
    workplace.lists(paper(1, upvotes=480), paper(6, upvotes=90))
    workplace.run(MONDAY + timedelta(2))
    last = workplace.mails()["ann@example.org"][-1]
    assert titles(last)[0] == "Paper number 1 on something"
    assert "480 upvotes" in text_of(last)
    assert "480 upvotes, from Mon 20 Apr · +470 in 2 days" in text_of(last).replace("\n  ", "")


def test_the_preview_is_the_mail_and_marks_nothing(workplace: Workplace) -> None:
    workplace.lists(*(paper(n, upvotes=n) for n in range(5)))
    before = workplace.preview(MONDAY)
    assert workplace.preview(MONDAY) == before
    workplace.run(MONDAY)
    (sent,) = (workplace.folder / "mail" / "new").iterdir()
    assert sent.read_bytes() == before.replace(b"\r\n", b"\n")
    assert workplace.preview(MONDAY) == before, "after the run, the preview is what was queued"


def test_a_run_says_that_a_mail_is_damaged_and_sends_the_others(workplace: Workplace) -> None:
    workplace.lists(paper(1), paper(2))
    workplace.to = ("ann@example.org", "bob@example.org")
    with open_context(workplace.config()) as context:
        context.subscribers.configure(workplace.to)
        context.subscribers.choose(context.subscribers.by_address("bob@example.org"), Profile(max_papers=1))
    run_daily(workplace.config(), MONDAY, at(MONDAY), Fetcher("a@example.org"), hold=True)
    with open_database(workplace.folder / "history.db") as db, db.conn:
        listed = db.execute("SELECT fragments FROM editions ORDER BY id").fetchall()
        (only_anns, *_) = sorted(set(json.loads(listed[0][0])) - set(json.loads(listed[1][0])))
        db.execute("DELETE FROM fragments WHERE id = ?", [only_anns])
    with pytest.raises(Undelivered, match=r"1 message could not be delivered \(its text is damaged: "):
        workplace.run(MONDAY)
    assert list(workplace.mails()) == ["bob@example.org"]


def test_sixty_different_mails_are_one_line_in_the_log_and_fifty_in_a_plan(
    workplace: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    workplace.lists(*(paper(n, upvotes=n) for n in range(70)))
    workplace.to = [f"reader{n:02}@example.org" for n in range(60)]
    with open_context(workplace.config()) as context:
        context.subscribers.configure(workplace.to)
        for limit, address in enumerate(workplace.to, start=1):
            context.subscribers.choose(context.subscribers.by_address(address), Profile(max_papers=limit))
    report, plan = plan_run(workplace.config(), MONDAY, at(MONDAY), Fetcher("a@example.org"))
    assert [(size, len(edition.picks)) for size, edition in plan] == [(1, limit) for limit in range(1, 51)]
    assert report.unlisted == 10
    assert format_plan(report, plan).endswith("\nWould send other mail to 10 more subscribers.")
    with caplog.at_level("INFO", "digest"):
        assert workplace.run(MONDAY).queued == 60
    assert [record.getMessage() for record in caplog.records].count("queued") == 1
    assert [len(mail) for to in workplace.to for mail in workplace.titles(to)] == [*range(1, 61)]


def test_a_preview_of_mail_that_no_run_sends_says_why(workplace: Workplace) -> None:
    def note(day: date) -> str:
        return preview(workplace.config(), day, None, at(day), Fetcher("digest@example.org")).note

    workplace.lists(paper(1))
    assert note(MONDAY) == ""
    workplace.run(MONDAY)
    assert note(TUESDAY) == 'no new papers, and when_empty = "skip"; no run sends this mail'
    workplace.digest = {"days": ["mon"], "when_empty": "send"}
    assert note(TUESDAY) == "digest.days has no mail on a Tuesday; no run sends this mail"
    workplace.digest = {"when_empty": "send"}
    assert note(TUESDAY) == ""


def test_a_preview_for_an_unknown_address_is_refused_and_one_for_a_future_subscriber_is_what_they_will_get(
    workplace: Workplace,
) -> None:
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    with pytest.raises(UnknownSubscriber, match=r"carol@example.org is not a subscriber; .* subscribers add carol@"):
        workplace.preview(TUESDAY, "carol@example.org")
    workplace.to = (*workplace.to, "carol@example.org")
    assert b"carol@example.org" in workplace.preview(TUESDAY, "carol@example.org")
    assert list(workplace.mails()) == ["ann@example.org"]
    assert len(subscribers(workplace)) == 1


def test_a_dry_run_says_what_a_run_would_send_and_does_not(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    _, ((size, edition),) = plan_run(workplace.config(), MONDAY, at(MONDAY), Fetcher("a@example.org"))
    assert (size, [entry.title for entry in edition.entries]) == (1, ["Paper number 1 on something"])
    assert workplace.mails() == {}
    assert workplace.run(MONDAY).queued == 1


def test_a_dry_run_changes_nothing_about_subscribers(workplace: Workplace) -> None:
    workplace.to = ("ann@example.org", "bob@example.org")
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    workplace.to = ("bob@example.org", "eve@example.org")
    before = subscribers(workplace)
    report, plan = plan_run(workplace.config(), TUESDAY, at(TUESDAY), Fetcher("a@example.org"))
    assert [(size, len(edition.entries)) for size, edition in plan] == [(1, 1)]
    assert report.empty == {"no new papers": 1}
    assert subscribers(workplace) == before


def subscribers(workplace: Workplace) -> list[SubscriberStatus]:
    with open_context(workplace.config()) as context:
        return list(context.subscribers.statuses(TUESDAY))


BROKEN = '[[sources]]\ntype = "file"\nname = "gone"\npath = "gone.jsonl"\n'
WHOLE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"'


def test_one_source_that_cannot_be_read_is_named_in_the_mail_and_the_rest_goes_out(workplace: Workplace) -> None:
    workplace.more = BROKEN + WHOLE
    workplace.lists(paper(1))
    workplace.run(MONDAY)
    (mail,) = workplace.mails()["ann@example.org"]
    assert titles(mail) == ["Paper number 1 on something"]
    notice = "gone was unavailable today; its papers follow tomorrow."
    assert notice in text_of(mail).replace("\n", " ")
    assert notice in html_of(mail)
    assert "jsonl" not in text_of(mail) + html_of(mail)


def test_when_no_source_can_be_read_the_day_stays_open(workplace: Workplace) -> None:
    with pytest.raises(NoSourceReadable):
        workplace.run(MONDAY)
    workplace.lists(paper(1))
    assert workplace.run(MONDAY).queued == 1


def test_skipped_lines_are_mentioned_in_the_mail(workplace: Workplace) -> None:
    workplace.papers.write_text('{"title": "Good"}\n{broken\n[]\n')
    workplace.run(MONDAY)
    assert "papers listed entries that could not be read; they are left out." in text_of(
        workplace.mails()["ann@example.org"][0]
    )


def test_only_one_run_at_a_time(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    config = workplace.config()
    with run_lock(config.digest.database), pytest.raises(AlreadyRunning):
        workplace.run(MONDAY)
    assert workplace.run(MONDAY).queued == 1


@pytest.mark.parametrize(
    "content", [b"this is no database, it is a letter to you" * 100, b"SQLite format 3\x00" + b"\xff" * 5000]
)
def test_a_file_that_is_no_history_is_left_as_it_is(workplace: Workplace, content: bytes) -> None:
    workplace.lists(paper(1))
    database = workplace.folder / "history.db"
    database.write_bytes(content)
    with pytest.raises(HistoryError):
        workplace.run(MONDAY)
    assert database.read_bytes() == content
    assert workplace.mails() == {}


class Killed(BaseException):
    """The process ends here; nothing catches it."""


@contextmanager
def killed_at(commit: int, after: bool) -> Iterator[list[int]]:
    """Die at the given commit, just before or just after it; yields a list whose length counts the commits so far."""
    whole, count = Database.atomic, list[int]()

    @contextmanager
    def atomic(self: Database) -> Iterator[Any]:
        if self.conn.in_transaction:
            with whole(self) as db:
                yield db
            return
        with whole(self) as db:
            yield db
            count.append(1)
            if len(count) == commit and not after:
                raise Killed
        if len(count) == commit and after:
            raise Killed

    Database.atomic = atomic  # type: ignore[method-assign]
    try:
        yield count
    finally:
        Database.atomic = whole  # type: ignore[method-assign]


def commits_of_a_run(folder: Path) -> int:
    workplace = Workplace(
        folder, to=("ann@example.org", "bob@example.org", "cyd@example.org"), digest={"max_papers": 2}
    )
    workplace.lists(*(paper(n, upvotes=n) for n in range(5)))
    with killed_at(0, after=True) as count:
        workplace.run(MONDAY)
    return len(count)


@pytest.mark.parametrize("after", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["before", "after"])
def test_killed_at_any_commit_and_run_again_everybody_gets_the_days_mail_once(tmp_path: Path, after: bool) -> None:
    (tmp_path / "whole").mkdir()
    for commit in range(1, commits_of_a_run(tmp_path / "whole") + 1):
        folder = tmp_path / f"{commit}"
        folder.mkdir()
        workplace = Workplace(
            folder, to=("ann@example.org", "bob@example.org", "cyd@example.org"), digest={"max_papers": 2}
        )
        workplace.lists(*(paper(n, upvotes=n) for n in range(5)))
        with killed_at(commit, after), pytest.raises(Killed):
            workplace.run(MONDAY)
        frozen = queued(workplace)
        workplace.run(MONDAY)
        assert {to: len(mails) for to, mails in workplace.mails().items()} == dict.fromkeys(workplace.to, 1)
        assert not frozen or queued(workplace) == frozen, "what was queued before the kill is what was sent"
        assert states(workplace) == {"sent": 3}
        workplace.run(TUESDAY)
        for to in workplace.to:
            first, second = workplace.titles(to)
            assert not set(first) & set(second)


def queued(workplace: Workplace) -> list[tuple[Any, ...]]:
    with open_database(workplace.folder / "history.db") as db:
        rows = db.execute(
            "SELECT d.subscriber, d.message_id, e.fragments FROM deliveries d JOIN editions e ON e.id = d.edition"
        )
        return sorted(rows.fetchall())


def states(workplace: Workplace) -> dict[str, int]:
    with open_database(workplace.folder / "history.db") as db:
        return dict(db.execute("SELECT state, count(*) FROM deliveries GROUP BY state").fetchall())


def test_every_query_of_the_stores_uses_an_index(workplace: Workplace) -> None:
    workplace.digest = {"max_papers": 2}
    workplace.lists(*(paper(n, upvotes=n) for n in range(30)))
    asked: set[str] = set()
    whole = Database.execute

    def execute(self: Database, sql: str, parameters: Any = None) -> Any:
        asked.add(sql)
        return whole(self, sql, parameters)

    Database.execute = execute  # type: ignore[method-assign]
    try:
        for later in range(3):
            workplace.run(MONDAY + timedelta(later))
    finally:
        Database.execute = whole  # type: ignore[method-assign]
    with open_database(workplace.folder / "history.db") as db:
        for sql in asked:
            if sql.lstrip().startswith(("SELECT", "UPDATE", "DELETE")) and "temp." not in sql and "WHERE 0" not in sql:
                plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, _blanks(sql))]
                scans = [
                    line for line in plan if line.startswith("SCAN") and "json_each" not in line and "INDEX" not in line
                ]
                assert not [
                    line for line in scans if any(t in line for t in ("papers", "sightings", "shown", "names"))
                ], (sql, plan)


def _blanks(sql: str) -> Any:
    import re

    named = set(re.findall(r":(\w+)", sql))
    return dict.fromkeys(named, "[]") if named else ["[]"] * sql.count("?")


def test_dates_before_what_is_known_are_run_as_if_they_were_today(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    workplace.run(TUESDAY)
    workplace.lists(paper(2))
    workplace.run(MONDAY)
    assert [sorted(mail) for mail in workplace.titles()] == [
        ["Paper number 2 on something"],
        ["Paper number 1 on something"],
    ]
    assert at(MONDAY)().date() == date(2026, 4, 20)
