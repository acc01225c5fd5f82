"""Who receives the digest: by configuration, by hand, by import; who is paused, suspended, or has left for good."""

import csv
import io
import json
import re
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time
from hypothesis import given
from hypothesis import strategies as st

from digest.cli import main
from digest.errors import Undelivered
from digest.mail.shard import shard_of
from digest.operations.doctor import check_topics
from digest.operations.subscriber_files import BadRow, read_subscribers, split_rows, write_subscribers
from digest.pipeline.run import fetch_only
from digest.ranking import DEFAULT_PROFILE, Profile
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.outbox import Outbox
from digest.store.subscribers import ImportedSubscriber, Subscribers, SubscriberStatus, make_token
from tests.conftest import MONDAY, Workplace, at, paper, text_of
from tests.delivery.test_smtp import at as answers
from tests.pipeline.test_deliver import Installation
from tests.server import Server

TOPICS = (
    '[[topics]]\nname = "Even"\nmatch = ["even"]\nweight = 5\n[[topics]]\nname = "Odd"\nmatch = ["odd"]\nweight = 5\n'
)
FILE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n'


@pytest.fixture
def place(workplace: Workplace) -> Workplace:
    workplace.more = FILE + TOPICS
    workplace.lists(*(paper(n, title=f"{'Odd' if n % 2 else 'Even'} paper {n}", upvotes=n) for n in range(1, 9)))
    workplace.config()
    return workplace


def digest(place: Workplace, *words: str, stdin: bytes | None = None) -> Result:
    with freeze_time("2026-04-20 05:00:00"):
        return CliRunner().invoke(main, ["-c", str(place.path), *words], input=stdin)


def listed(place: Workplace, *words: str) -> dict[str, dict[str, object]]:
    return {row["address"]: row for row in json.loads(digest(place, "subscribers", "list", "--json", *words).stdout)}


def test_who_is_added_gets_mail_beside_those_of_the_configuration(place: Workplace) -> None:
    assert digest(place, "subscribers", "add", "bob@example.org", "Cyd <cyd@bücher.example>").exit_code == 0
    place.run(MONDAY)
    assert set(place.mails()) == {"ann@example.org", "bob@example.org", "cyd@xn--bcher-kva.example"}


def test_an_address_is_one_subscriber_however_it_is_written(place: Workplace) -> None:
    digest(place, "subscribers", "add", "ANN@Example.org", "Bob@example.org", "bob@EXAMPLE.ORG")
    assert list(listed(place)) == ["ann@example.org", "Bob@example.org"]
    place.run(MONDAY)
    assert {to: len(mails) for to, mails in place.mails().items()} == {"ann@example.org": 1, "Bob@example.org": 1}


def test_topics_and_limit_shape_the_mail_of_a_subscriber_alone(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "even", "--max-papers", "3")
    digest(place, "subscribers", "add", "cyd@example.org", "--topic", "Odd", "--max-papers", "3")
    preview = digest(place, "preview", "--date", "2026-04-20", "--to", "bob@example.org", "--format", "txt", "-o", "-")
    place.run(MONDAY)
    assert [title[:4] for title in place.titles("bob@example.org")[0]] == ["Even"] * 3
    assert [title[:4] for title in place.titles("cyd@example.org")[0]] == ["Odd "] * 3
    assert len(place.titles("ann@example.org")[0]) == 8
    assert all(title in preview.stdout for title in place.titles("bob@example.org")[0])


def test_subscribers_that_chose_alike_share_an_edition(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "cyd@example.org", "--topic", "Even")
    digest(place, "subscribers", "add", "dan@example.org")
    place.run(MONDAY)
    with open_database(place.folder / "history.db") as db:
        assert db.table("editions").count == 2


def test_adding_again_changes_what_is_said_and_nothing_else(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "Even", "--max-papers", "3")
    digest(place, "subscribers", "add", "bob@example.org", "--max-papers", "4")
    assert (listed(place)["bob@example.org"]["topics"], listed(place)["bob@example.org"]["max_papers"]) == (["Even"], 4)
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "*", "--max-papers", "0")
    assert (listed(place)["bob@example.org"]["topics"], listed(place)["bob@example.org"]["max_papers"]) == (None, None)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("add", "bob@example.org", "--topic", "Evn"), "there is no topic 'Evn'; did you mean Even?"),
        (("add", "bob@example.org", "--topic", "physics"), "the topics are Even, Odd"),
        (("add", "bob"), "'bob' is not an email address; write one like you@example.org"),
        (("add",), "Missing argument 'ADDR...'"),
        (("remove", "bob@example.org"), "no subscriber has the address bob@example.org"),
        (("pause", "ann@example.org", "--until", "2026-04-20"), "2026-04-20 is not after today, 2026-04-20"),
        (("pause", "ann@example.org", "--until", "soon"), "write one like 2026-04-20"),
        (("import", "nowhere.csv"), "No such file"),
        (("export", "no/such/folder.csv"), "cannot be written: No such file or directory"),
    ],
)
def test_a_slip_is_a_sentence_and_exit_code_2(place: Workplace, words: tuple[str, ...], sentence: str) -> None:
    result = digest(place, "subscribers", *words)
    assert result.exit_code == 2
    assert sentence in " ".join(result.stderr.split())


def test_an_unsubscribed_address_stays_unsubscribed_until_added_by_hand(place: Workplace, tmp_path: Path) -> None:
    digest(place, "subscribers", "add", "bob@example.org")
    assert (
        "Removed ann@example.org. It gets no mail although digest.to names it"
        in digest(place, "subscribers", "remove", "ANN@example.org", "bob@example.org").stdout
    )
    (tmp_path / "in.csv").write_text("address\nann@example.org\nBOB@example.org\ncyd@example.org\n")
    result = digest(place, "subscribers", "import", str(tmp_path / "in.csv"))
    assert re.search("^ann@example.org +unsubscribed +", digest(place, "subscribers", "list", "--all").stdout, re.M)
    assert "Skipped 2 who unsubscribed earlier; `digest subscribers add` subscribes them again" in result.stdout
    place.run(MONDAY)
    assert set(place.mails()) == {"cyd@example.org"}
    digest(place, "subscribers", "add", "ann@example.org")
    place.run(MONDAY + timedelta(1))
    assert set(place.mails()) == {"cyd@example.org", "ann@example.org"}


def test_a_subscriber_added_again_is_shown_no_paper_twice(place: Workplace) -> None:
    place.digest = {"max_papers": 5}
    place.run(MONDAY)
    digest(place, "subscribers", "remove", "ann@example.org")
    place.run(MONDAY + timedelta(1))
    digest(place, "subscribers", "add", "ann@example.org")
    place.run(MONDAY + timedelta(2))
    first, second = place.titles()
    assert (len(first), len(second), set(first) & set(second)) == (5, 3, set())


def test_a_pause_ends_on_its_day_and_what_was_missed_waits(place: Workplace) -> None:
    digest(place, "subscribers", "pause", "ann@example.org", "--until", "2026-04-22")
    for later in range(3):
        place.run(MONDAY + timedelta(later))
    (mail,) = place.mails()["ann@example.org"]
    assert "22 April 2026" in text_of(mail)
    assert len(place.titles()[0]) == 8


def test_a_pause_without_an_end_ends_by_hand(place: Workplace) -> None:
    digest(place, "subscribers", "pause", "ann@example.org")
    assert listed(place)["ann@example.org"]["state"] == "paused"
    place.run(MONDAY)
    assert place.mails() == {}
    assert digest(place, "subscribers", "resume", "ann@example.org").stdout == "ann@example.org gets mail again.\n"
    place.run(MONDAY)
    assert set(place.mails()) == {"ann@example.org"}


@pytest.mark.parametrize("words", [("remove",), ("pause",)])
def test_mail_that_waits_is_withdrawn_from_who_wants_no_more(workplace: Workplace, words: tuple[str, ...]) -> None:
    installation = Installation(workplace)
    installation.readers(3)
    with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)
    digest(workplace, "subscribers", *words, "reader1@example.org")
    assert installation.counts() == {"pending": 2}
    with Server().running() as server:
        installation.send(server.port)
    assert sorted(server.recipients()) == ["reader0@example.org", "reader2@example.org"]


def test_mail_that_may_have_arrived_is_not_sent_to_who_left_and_counts_as_shown(workplace: Workplace) -> None:
    installation = Installation(workplace)
    installation.readers(1)
    with Server(answers("MAIL", "451 4.3.0 later")).running() as server, pytest.raises(Undelivered):
        installation.run(server.port)
    with open_database(workplace.folder / "history.db") as db:
        db.execute("UPDATE deliveries SET state = 'in doubt', doubt = 1")
        db.conn.commit()
    digest(workplace, "subscribers", "remove", "reader0@example.org")
    with Server().running() as server:
        installation.send(server.port)
    assert (server.taken, installation.counts()) == ([], {"expired": 1})
    with open_database(workplace.folder / "history.db") as db:
        reader = Subscribers(db, b"x").by_address("reader0@example.org")
        assert Outbox(db).shown_to(reader, range(9), MONDAY) == {1, 2, 3}


def test_who_was_suspended_gets_mail_again_once_added(place: Workplace) -> None:
    place.config()
    with open_database(place.folder / "history.db") as db:
        people = Subscribers(db, b"x")
        people.configure(["ann@example.org"])
        people.record_bounce(people.by_address("ann@example.org"), MONDAY, hard=True, why="5.1.1 no such user")
    row = listed(place)["ann@example.org"]
    assert (row["state"], row["why"], row["bounces"]) == ("suspended", "mail bounced: 5.1.1 no such user", 1)
    assert "ann@example.org: suspended, mail bounced: 5.1.1 no such user" in digest(place, "status").stdout
    place.run(MONDAY)
    assert place.mails() == {}
    assert "which was suspended" in digest(place, "subscribers", "add", "ann@example.org").stdout
    place.run(MONDAY)
    assert len(place.titles()[0]) == 8


@pytest.mark.parametrize(
    ("days", "suspended"),
    [((0, 1, 2, 3, 4), True), ((0, 0, 0, 1, 1, 2, 3), False), ((0, 3, 6, 9, 12), True), ((0, 1, 2, 3, 8, 9), False)],
)
def test_five_days_in_a_row_with_soft_bounces_suspend(
    workplace: Workplace, days: tuple[int, ...], suspended: bool
) -> None:
    with open_database(workplace.folder / "history.db") as db:
        people = Subscribers(db, b"x")
        people.add("ann@example.org", DEFAULT_PROFILE)
        for day in days:
            people.record_bounce(
                people.by_address("ann@example.org"), MONDAY + timedelta(day), hard=False, why="4.2.2 full"
            )
        standing = people.status("ann@example.org", MONDAY)
        assert standing
        assert (standing.state == "suspended") == suspended


def test_the_configuration_can_drop_whom_it_named_but_not_who_was_added(place: Workplace) -> None:
    place.to = ("ann@example.org", "bob@example.org")
    place.config()
    digest(place, "subscribers", "add", "bob@example.org")
    place.to = ()
    place.config()
    assert list(listed(place)) == ["bob@example.org"]
    assert listed(place, "--all")["ann@example.org"]["state"] == "dropped"


def test_preview_without_a_name_shows_the_mail_of_the_first_who_gets_any(place: Workplace) -> None:
    place.to = ()
    place.config()
    digest(place, "subscribers", "add", "bob@example.org", "--max-papers", "2")
    shown = digest(place, "preview", "--date", "2026-04-20", "--format", "eml", "-o", "-")
    assert b"To: bob@example.org" in shown.stdout_bytes


# --- Import and export


def topic(name: str) -> str:
    if name.title() not in ("Even", "Odd"):
        raise ValueError(f"there is no topic {name!r}")
    return name.title()


def lines(data: bytes) -> tuple[list[ImportedSubscriber], list[BadRow]]:
    bad: list[BadRow] = []
    return list(split_rows(read_subscribers(data, topic), bad)), bad


@pytest.mark.parametrize(
    "data",
    [
        b"ann@example.org\nBob <bob@example.org>\n",
        b"address\nann@example.org\nbob@example.org\n",
        b"\xef\xbb\xbfName,E-Mail\r\nAnn,ann@example.org\r\n\r\nBob,bob@example.org\r\n",
        b"name;email\nA;ann@example.org\nB;bob@example.org",
        b"email\tname\nann@example.org\tA\nbob@example.org\tB",
        b'["ann@example.org", "bob@example.org"]',
        b'[\n {"address": "ann@example.org"},\n {"email": "bob@example.org"}\n]',
        b'{"address": "ann@example.org"}\n{"address": "bob@example.org"}\n',
    ],
)
def test_lists_are_read_as_others_write_them(data: bytes) -> None:
    assert lines(data) == ([ImportedSubscriber("ann@example.org"), ImportedSubscriber("bob@example.org")], [])


def test_bad_rows_are_named_by_line_and_good_ones_kept() -> None:
    data = (
        b"address,topics,max_papers,paused_until\nann@example.org,even,3,2026-05-01\nnobody,,,\n\nbob@example.org,Evn,,\n"
        b'"cyd@example.org,,,\ndan@example.org,,-3,\neve@example.org,,,soon\n,Even,,\nfay@example.org,,,\n'
    )
    good, bad = lines(data)
    assert good == [
        ImportedSubscriber("ann@example.org", ("Even",), 3, date(2026, 5, 1)),
        ImportedSubscriber("fay@example.org", (), 0),
    ]
    assert [row.line for row in bad] == [3, 5, 6, 7, 8, 9]
    problems = [
        "'nobody' is not an email address",
        "there is no topic 'Evn'",
        "not valid CSV: ",
        "max_papers: must be a whole number from 1 to 1000, not '-3'",
        "paused_until: must be a date like 2026-12-01, not 'soon'",
        "the address is missing",
    ]
    for row, problem in zip(bad, problems, strict=True):
        assert row.problem.startswith(problem)


def test_bad_json_is_named_by_line_too() -> None:
    good, bad = lines(b'{"address": "ann@example.org"}\n{"address": broken}\n5\n{"address": "bob@example.org"}\n')
    assert ([line.address for line in good], [row.line for row in bad]) == (
        ["ann@example.org", "bob@example.org"],
        [2, 3],
    )
    good, bad = lines(b'[\n"ann@example.org",\n{"address": 7},\n oops,\n"bob@example.org"]')
    assert ([line.address for line in good], [row.line for row in bad]) == (
        ["ann@example.org", "bob@example.org"],
        [3, 4],
    )
    good, bad = lines(b'[\n"ann@example.org",\n{"address":\n7},\n8]')
    assert ([line.address for line in good], [row.line for row in bad]) == (["ann@example.org"], [3, 5])


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_a_file_holds_is_lines_and_bad_rows(data: bytes) -> None:
    good, bad = lines(data)
    assert all("@" in line.address for line in good)
    assert all(row.line >= 1 for row in bad)


STANDINGS = st.builds(
    SubscriberStatus,
    address=st.integers(0, 999).map("reader{}@example.org".format),
    state=st.sampled_from(["active", "suspended", "left", "dropped"]),
    profile=st.builds(
        Profile, st.none() | st.lists(st.sampled_from(["Even", "Odd"]), min_size=1, unique=True).map(tuple),
        st.none() | st.integers(1, 1000),
        st.none() | st.frozensets(st.integers(0, 6), min_size=1),
    ),
    configured=st.booleans(),
    paused=st.none() | st.dates(MONDAY + timedelta(1), MONDAY + timedelta(900)),
)  # fmt: skip


@given(st.lists(STANDINGS, unique_by=lambda standing: standing.address), st.sampled_from(["csv", "json"]))
def test_what_is_written_can_be_read(standings: list[SubscriberStatus], form: str) -> None:
    good, bad = lines("".join(write_subscribers(standings, form, ())).encode())
    assert bad == []
    assert good == [
        ImportedSubscriber(
            s.address,
            s.profile.topics or (),
            s.profile.max_papers or 0,
            s.paused,
            s.state,
            days=s.profile.days or frozenset(),
        )
        for s in standings
    ]


def test_an_export_moves_everybody_to_another_place(place: Workplace, tmp_path: Path) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "Even", "--max-papers", "3", "--days", "fri,mon")
    digest(place, "subscribers", "add", "cyd@example.org", "dan@example.org")
    digest(place, "subscribers", "remove", "cyd@example.org")
    digest(place, "subscribers", "pause", "dan@example.org")
    for name in ("people.csv", "people.json"):
        assert digest(place, "subscribers", "export", str(tmp_path / name)).exit_code == 0
        (tmp_path / f"for-{name}").mkdir()
        other = Workplace(tmp_path / f"for-{name}", to=(), more=FILE + TOPICS)
        other.config()
        assert "Added 4" in digest(other, "subscribers", "import", str(tmp_path / name)).stdout
        for everybody in (listed(place, "--all"), listed(other, "--all")):
            for row in everybody.values():
                del row["configured"]
        here, there = ({a: {k: v for k, v in row.items() if k != "configured"} for a, row in listed(p, "--all").items()}
                       for p in (place, other))  # fmt: skip
        assert here == there


def test_export_writes_csv_that_a_spreadsheet_reads_to_standard_output(place: Workplace) -> None:
    (row,) = csv.DictReader(io.StringIO(digest(place, "subscribers", "export").stdout))
    assert row == {
        "address": "ann@example.org",
        "state": "active",
        "topics": "",
        "max_papers": "",
        "paused_until": "",
        "days": "",
        "joined_by_mail": "",
        "feedback": "",
    }


def test_an_exported_file_is_nobody_elses_to_read(place: Workplace, tmp_path: Path) -> None:
    digest(place, "subscribers", "export", str(tmp_path / "people.csv"))
    assert (tmp_path / "people.csv").stat().st_mode & 0o777 == 0o600


def test_reading_only_the_first_lines_is_no_failure(place: Workplace) -> None:
    with open_database(place.folder / "history.db") as db:
        Subscribers(db, b"x").import_all((ImportedSubscriber(f"reader{n}@example.org") for n in range(10_000)), MONDAY)
    words = [sys.executable, "-m", "digest", "-c", str(place.path), "subscribers", "export"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert (
            process.stdout.readline() == b"address,state,topics,max_papers,paused_until,days,joined_by_mail,feedback\n"
        )
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_an_import_comes_from_standard_input_and_is_safe_to_repeat(place: Workplace) -> None:
    data = b"address\nbob@example.org\nbroken\n"
    for told in ("Added 1 subscriber; 0 already existed.\n", "Added 0 subscribers; 1 already existed.\n"):
        result = digest(place, "subscribers", "import", "-", stdin=data)
        assert (result.exit_code, result.stdout) == (2, told)
        assert "line 3: 'broken' is not an email address" in result.stderr


def test_a_token_is_that_of_its_subscriber_and_no_other(place: Workplace) -> None:
    with open_database(place.folder / "history.db") as db:
        people = Subscribers(db, b"secret")
        people.add("bob@example.org", DEFAULT_PROFILE)
        given = people.by_token(make_token(b"secret", "BOB@example.org").upper())
        assert given
        assert given.address == "bob@example.org"
        assert people.by_token(make_token(b"another", "bob@example.org")) is None


def test_explain_counts_with_the_topics_of_the_reader(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "Even", "--max-papers", "1")
    fetch_only(place.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    for name, words in (
        ("2604.00007", "a mail has at most 1"),
        ("2604.00008", "is number 1 in that day's mail (at most 1 paper)"),
    ):
        assert words in digest(place, "explain", name, "--to", "bob@example.org", "--date", "2026-04-20").stdout


# --- Import as others write, and as they mean it


@pytest.mark.parametrize(
    ("data", "line", "words"),
    [
        (b"ann@example.org, bob@example.org\n", 1, "unexpected ' bob@example.org' after the last column"),
        (b"address\nann@example.org,bob@example.org\n", 2, "unexpected 'bob@example.org' after the last column"),
        (b"address,state\nann@example.org,unsubscribed\n", 2,
         "state: must be active, paused, suspended, left or dropped, not 'unsubscribed'; write left"),
        (b'{"address": "ann@example.org", "state": ["left"]}', 1, "left or dropped, not ['left']; write left"),
        (b'[\n"bob@example.org",\n"cyd@example.org"\n', 3, "the array is not closed; the file may be incomplete"),
        (b'{"address": "ann@example.org", "topics": "' + b"[" * 9000 + b'"}', 1, "nested too deeply"),
        (b'{"address": ' + b"[" * 900 + b"]" * 900 + b"}", 1, "the address is missing"),
        (b"[" * 100_000, 1, "the array is not closed"),
    ],
)  # fmt: skip
def test_values_of_a_file_that_cannot_be_imported_are_reported(data: bytes, line: int, words: str) -> None:
    good, bad = lines(data)
    assert [one.address for one in good] == (["bob@example.org", "cyd@example.org"] if b"cyd" in data else [])
    assert [(row.line, words in row.problem) for row in bad] == [(line, True)]


def test_what_stands_behind_an_array_is_read_too() -> None:
    good, bad = lines(b'["ann@example.org"]\n{"address": "bob@example.org"}\noops')
    assert ([line.address for line in good], [row.line for row in bad]) == (["ann@example.org", "bob@example.org"], [3])


@pytest.mark.parametrize("odd", ["\u2028", "\x0b", "\x85", "\x1c"])
def test_a_line_ends_where_an_editor_ends_it(odd: str) -> None:
    good, bad = lines(f"name,address\nAnn{odd}Bee,ann@example.org\nx,\n".encode())
    assert ([line.address for line in good], [row.line for row in bad]) == (["ann@example.org"], [3])


def test_who_gets_no_mail_there_gets_none_here_whatever_the_case_and_the_topics(place: Workplace) -> None:
    data = (
        b"address,state,topics,paused_until\nann@example.org,LEFT,Gone,\nbob@example.org,Suspended,Gone,\n"
        b"cyd@example.org,paused,Even,\ndan@example.org,dropped,Gone,\n"
    )
    place.to = ()
    place.config()
    assert digest(place, "subscribers", "import", "-", stdin=data).exit_code == 0
    states = ["left", "suspended", "paused", "dropped"]
    assert [row["state"] for row in listed(place, "--all").values()] == states
    place.run(MONDAY)
    assert place.mails() == {}


def test_control_characters_in_an_imported_list_are_removed(place: Workplace) -> None:
    odd = r'"why": "\ud800\u001b[31mred", "topics": ["\udfff\u0007x"]'
    row = f'{{"address": "bob@example.org", "state": "suspended", {odd}}}'
    result = digest(place, "subscribers", "import", "-", stdin=row.encode())
    assert (result.exit_code, result.stdout) == (0, "Added 1 subscriber; 0 already existed.\n")
    told = listed(place)["bob@example.org"]
    assert str(told["why"]).isprintable()
    assert all(str(name).isprintable() for name in told["topics"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_taken_in_where_it_was_made_changes_nobody(place: Workplace, form: str) -> None:
    place.to = ("ann@example.org", "zoe@example.org")
    place.config()
    digest(place, "subscribers", "add", "bob@example.org", "cyd@example.org", "dan@example.org", "--topic", "Odd")
    digest(place, "subscribers", "remove", "bob@example.org")
    digest(place, "subscribers", "pause", "cyd@example.org")
    with open_database(place.folder / "history.db") as db:
        people = Subscribers(db, b"x")
        people.record_bounce(people.by_address("dan@example.org"), MONDAY, hard=True, why="5.1.1 no such user")
    place.to = ("ann@example.org",)
    place.config()
    before = listed(place, "--all")
    assert before["zoe@example.org"]["state"] == "dropped"
    exported = digest(place, "subscribers", "export", "--format", form).stdout_bytes
    assert digest(place, "subscribers", "import", "-", stdin=exported).exit_code == 0
    after = listed(place, "--all")
    if form == "csv":
        before["dan@example.org"]["why"] = after["dan@example.org"]["why"]
    assert after == before


# Names of topics that a spreadsheet would run, some of them only with another separator, or that are hard to read back.
CELLS = [
    '=HYPERLINK("http://a.example","x")',
    "+1",
    "@SUM(1)",
    "-1",
    "＝1",
    "＠x",
    "x;=1+1",
    "x; =1+1",
    "x\t=1",
    "x\n=1",
]
CELLS += [
    " =1",
    "\t=1",
    "C|D",
    "[E]",
    '["E"]',
    "|=1",
    '"=1"',
    "'=1",
    "x,=1",
    'x",=1',
    "é",
    "日本",
    "x\\u003b=1",
    "*",
    "_x",
]


@pytest.mark.parametrize("given", ["=cmd|'/C!A0", "+1", "-1", "=HYPERLINK"])
def test_no_cell_of_an_export_is_a_formula_and_it_comes_back_the_same(given: str) -> None:
    there = SubscriberStatus(f"{given}@example.org", "active", DEFAULT_PROFILE, configured=False)
    text = "".join(write_subscribers([there], "csv", ()))
    assert not runnable(text)
    (line,), bad = lines(text.encode())
    assert (line.address, bad) == (there.address, [])


def runnable(text: str) -> list[str]:
    """The cells that a spreadsheet would run, whichever separator it expects."""
    cells = (c for d in ",;\t" for row in csv.reader(io.StringIO(text, newline=""), delimiter=d) for c in row)
    return [cell for cell in cells if cell.strip()[:1] in tuple("=+-@＝＋－＠")]


@pytest.mark.parametrize("first", CELLS)
def test_no_topic_of_an_export_is_a_formula_and_it_comes_back_the_same(first: str) -> None:
    for topics in ((first,), (first, "Even"), ("Even", first)):
        there = SubscriberStatus("ann@example.org", "active", Profile(topics), configured=False)
        text = "".join(write_subscribers([there], "csv", ()))
        assert not runnable(text)
        names = tuple(name.strip() for name in topics)
        assert list(read_subscribers(text.encode(), str)) == [
            ImportedSubscriber("ann@example.org", names, 0, None, "active", days=frozenset())
        ]


@given(st.lists(st.text(max_size=8).filter(str.strip), min_size=1, max_size=3, unique_by=str.strip))
def test_any_topics_come_back_the_same(names: list[str]) -> None:
    there = SubscriberStatus("ann@example.org", "active", Profile(tuple(names)), configured=False)
    text = "".join(write_subscribers([there], "csv", ()))
    assert not runnable(text)
    (back,) = read_subscribers(text.encode(), str)
    assert isinstance(back, ImportedSubscriber)
    assert back.topics == tuple(name.strip() for name in names)


def test_an_imported_list_puts_no_formula_into_an_export(place: Workplace) -> None:
    """The topics of those who get no mail are kept as they were imported."""
    row = json.dumps({"address": "bob@example.org", "state": "left", "topics": CELLS[:6]})
    assert digest(place, "subscribers", "import", "-", stdin=row.encode()).exit_code == 0
    for words in (("export",), ("list", "--all", "--format", "csv")):
        text = digest(place, "subscribers", *words).stdout
        assert "HYPERLINK" in text
        assert not runnable(text)


def test_topics_named_in_another_order_are_the_same_choice(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "Even", "--topic", "Odd")
    digest(place, "subscribers", "add", "cyd@example.org", "--topic", "Odd", "--topic", "Even")
    place.to = ()
    place.run(MONDAY)
    with open_database(place.folder / "history.db") as db:
        assert db.table("editions").count == 1


WORST = {
    "braces": b"{\n",
    "brackets": b"[\n",
    "quotes": b'"\n',
    "commas": b",\n",
    "deep braces": b'{"a":',
    "deep brackets": b"[",
    "empty lines": b"\n",
    "carriage returns": b"\r",
    "one line": b"a@example.org ",
    "one cell": b'"x',
    "one number": b"9",
    "one key": b'{"address": "a"},',
    "quotes not closed": b'"a@example.org\n',
    "quotes opened again": b'x","\n',
    "quotes opened again, with semicolons": b'x";"\n',
    "quotes opened at the end": b'a@example.org,"\n',
    "quotes in quotes": b'"""\n',
    "headers": b"address\n",
    "columns": b"address,",
    "rows of an array": b"1,\n",
    "nested rows": b"[" * 900 + b"]" * 900 + b",\n",
    "bad rows": b'{"address": broken}\n',
}


@pytest.mark.parametrize("kind", sorted(WORST))
def test_the_worst_file_costs_no_more_than_its_size(kind: str) -> None:
    """Half a second each; where each row looks at all those below it, 10 seconds and more."""
    check_cost(WORST[kind] * (100_000 // len(WORST[kind])), 5)


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"", b"{\n", b"[", b'"', b"address,topics\n"])
@pytest.mark.parametrize("kind", sorted(WORST))
def test_a_megabyte_of_it_is_read_in_time(kind: str, before: bytes) -> None:
    check_cost(before + WORST[kind] * (2**20 // len(WORST[kind])), 30)


def check_cost(data: bytes, seconds: float) -> None:
    begun = time.process_time()
    good, bad = lines(data)
    assert time.process_time() - begun < seconds
    assert len(good) <= 1 + data.count(b"a@example.org")
    assert all(len(row.problem) <= 300 for row in bad)


def test_a_file_of_bad_rows_is_given_up() -> None:
    good, bad = lines(b"x\n" * 150_000 + b"ann@example.org\n")
    assert (good, len(bad)) == ([], 100_001)
    assert (bad[-1].line, bad[-1].problem) == (100_001, "too many invalid rows; nothing was read from here on")


def test_a_quote_that_is_never_closed_spoils_its_own_line_alone() -> None:
    data = b'ann@example.org\n"x,bob@example.org\ncyd@example.org\n' + b'x","\n' * 1000 + b'"dan@example.org"\n'
    good, bad = lines(data)
    assert [line.address for line in good] == ["ann@example.org", "cyd@example.org", "dan@example.org"]
    assert [row.line for row in bad] == [2, *range(4, 1004)]


def test_a_cell_of_several_lines_is_one_cell() -> None:
    good, bad = lines(b'"x\nname,address\n"Ann\n\nBee",ann@example.org\n"Bob ""B""\nBee",bob@example.org\n')
    assert [line.address for line in good] == ["ann@example.org", "bob@example.org"]
    assert [row.line for row in bad] == [1]


# --- Topics that the configuration has no more


def test_subscribers_of_a_deleted_topic_get_all_topics_and_a_warning_is_logged(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--topic", "Even", "--max-papers", "3", "--days", "fri,mon")
    digest(place, "subscribers", "add", "cyd@example.org", "--topic", "Even", "--topic", "Odd")
    place.digest = {"topics_only": True}
    place.more = place.more.replace('"Even"', '"Straight"')
    place.config()
    result = digest(place, "run")
    assert result.exit_code == 0, result.output
    assert "WARNING unknown topic topic=Even subscribers=2" in result.stderr
    previewed = digest(place, "preview", "--to", "bob@example.org", "--format", "eml", "-o", "-").stdout_bytes
    bob, cyd = place.titles("bob@example.org")[0], place.titles("cyd@example.org")[0]
    assert (len(bob), {title[:3] for title in cyd}) == (3, {"Odd"})
    assert b"bob@example.org" in previewed
    assert "Even (no such topic)" in digest(place, "subscribers", "list").stdout
    (check,) = check_topics(place.config())
    message = "2 readers chose the topic 'Even', which is not in the configuration"
    assert (check.mark, check.message) == ("warn", message)
    place.more = place.more.replace('"Straight"', '"Even"')
    assert list(check_topics(place.config())) == []


def test_a_limit_beyond_what_a_mail_holds_is_that_of_the_mail_and_so_explained(place: Workplace) -> None:
    digest(place, "subscribers", "add", "bob@example.org", "--max-papers", "1000")
    place.lists(*(paper(n, upvotes=n) for n in range(200)))
    fetch_only(place.config(), MONDAY, at(MONDAY), Fetcher("digest@example.org"))
    for number, words in ((199, "(at most 120 papers)"), (1, "a mail has at most 120")):
        told = digest(place, "explain", f"2604.{number:05}", "--to", "bob@example.org", "--date", "2026-04-20").stdout
        assert words in told, told


def test_a_weekly_reader_gets_the_papers_of_the_week_on_her_day(place: Workplace) -> None:
    """Nothing on other days, then what the daily reader was mailed in the meantime, and none of it twice."""
    said = digest(place, "subscribers", "add", "wil@example.org", "--days", "Thu,mon", "--max-papers", "100").stdout
    assert said == "Added wil@example.org: all topics, at most 100 papers, only on Mon, Thu.\n"
    for number in range(8):  # from Monday to Monday
        place.lists(*(paper(n, title=f"Paper {n}", upvotes=n) for n in range(1, 4 + 2 * number)))
        place.run(MONDAY + timedelta(number))
    mails = place.mails()
    assert [mail["Date"].datetime.strftime("%a") for mail in mails["wil@example.org"]] == ["Mon", "Thu", "Mon"]
    assert len(mails["ann@example.org"]) == 8
    weekly, daily = (place.titles(f"{name}@example.org") for name in ("wil", "ann"))
    assert [len(titles) for titles in weekly] == [3, 6, 8]
    assert sorted(title for titles in weekly for title in titles) == sorted(t for titles in daily for t in titles)


def test_days_are_listed_shown_kept_and_reset(place: Workplace) -> None:
    digest(place, "subscribers", "add", "wil@example.org", "--days", "mon")
    assert re.search(
        r"^wil@example\.org +active +all +default +mon +added by hand$",
        digest(place, "subscribers", "list").stdout,
        re.M,
    )
    digest(place, "subscribers", "add", "wil@example.org", "--topic", "Even")
    row = json.loads(digest(place, "subscribers", "show", "WIL@example.org", "--json").stdout)
    assert (row["days"], row["topics"], row["mails"]) == (["mon"], ["Even"], [])
    (place.folder / "more.csv").write_text(
        "address,days\nwil@example.org,\nxia@example.org,tue|sun\nyan@example.org,x\n"
    )
    result = digest(place, "subscribers", "import", str(place.folder / "more.csv"))
    assert result.exit_code == 2
    assert 'line 4: days: must be days of the week, not "x"; write "mon", ' in result.stderr
    everybody = listed(place)
    assert (everybody["wil@example.org"]["days"], everybody["xia@example.org"]["days"]) == (None, ["tue", "sun"])
    assert digest(place, "subscribers", "add", "xia@example.org", "--days", "*").exit_code == 0
    assert listed(place)["xia@example.org"]["days"] is None


@pytest.mark.parametrize(
    ("days", "message"),
    [
        ("monday,fri,x", 'must be days of the week, not "monday" (did you mean "mon"?) or "x"; write "mon", "tue", '),
        ("", 'must be days of the week, not ""; write "mon", '),
        ("sat,sun", "digest.days has no mail on sat, sun; choose from mon, tue, wed, thu, fri"),
    ],
)
def test_days_that_do_not_exist_or_have_no_mail_are_refused(place: Workplace, days: str, message: str) -> None:
    place.digest["days"] = ["mon", "tue", "wed", "thu", "fri"]
    place.config()
    result = digest(place, "subscribers", "add", "wil@example.org", "--days", days)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert "wil@example.org" not in listed(place, "--all")


def test_a_subscriber_is_shown_with_their_last_mails(place: Workplace) -> None:
    place.lists(*(paper(n, upvotes=n) for n in range(1, 4)))
    digest(place, "run")
    said = digest(place, "subscribers", "show", "ann@example.org").stdout
    assert re.search(r"^ann@example\.org\n  state +active\n  topics +all\n  max papers +default\n  days +all\n", said)
    assert re.search(r"^MAIL OF +PAPERS +STATE +REPLY\n2026-\d\d-\d\d +3 +sent +\S", said, re.M), said
    (mail,) = json.loads(digest(place, "subscribers", "show", "ann@example.org", "--json").stdout)["mails"]
    assert (mail["papers"], mail["state"]) == (3, "sent")
    unknown = digest(place, "subscribers", "show", "nobody@example.org")
    assert unknown.exit_code == 2
    assert "no subscriber has the address nobody@example.org" in " ".join(unknown.stderr.split())


# --- Moving to more shards


def sharded(workplace: Workplace, folder: str, index: int, count: int) -> Workplace:
    """The digest of a shard in a folder of its own, over the same file of papers."""
    place = Workplace(workplace.folder / folder, to=[])
    place.folder.mkdir()
    papers = f'[[sources]]\ntype = "file"\npath = "{workplace.papers}"'
    place.more = f"{papers}\n[shard]\ncount = {count}\nindex = {index}"
    place.config()
    return place


def test_readers_who_move_to_other_shards_get_no_paper_and_no_mail_of_a_day_twice(workplace: Workplace) -> None:
    everyone = [f"reader{n}@example.org" for n in range(24)]
    workplace.lists(*(paper(n) for n in range(30)))
    (workplace.folder / "people.txt").write_text("\n".join(everyone))
    before = [sharded(workplace, f"before{index}", index, 2) for index in (1, 2)]
    after = [sharded(workplace, f"after{index}", index, 3) for index in (1, 2, 3)]
    for place in before:
        result = digest(place, "subscribers", "import", str(workplace.folder / "people.txt"))
        assert "of other shards; this is shard" in result.output
        place.run(MONDAY)
        place.run(MONDAY + timedelta(1))
        digest(place, "subscribers", "export", str(place.folder / "export.json"))
    for place in after:
        for old in before * 2:  # twice, as somebody would who is not sure
            assert digest(place, "subscribers", "import", str(old.folder / "export.json")).exit_code == 0
        place.run(MONDAY + timedelta(1))  # has been mailed by the old shards
        place.run(MONDAY + timedelta(2))
    moved = {to: titles for place in after for to in place.mails() for titles in [place.titles(to)]}
    received = {to: mails for place in after for to, mails in place.mails().items()}
    assert sorted(moved) == sorted(everyone)
    for place in before:
        for to in place.mails():
            (titles,), (mail,) = moved[to], received[to]
            assert mail["Date"].datetime.date() == MONDAY + timedelta(2), "Tuesday's mail came from the old shard"
            assert len(titles) == 30 - 2 * 12
            assert not set(titles) & {title for mail in place.titles(to) for title in mail}


def test_a_shard_adds_only_its_own_subscribers(workplace: Workplace) -> None:
    workplace.lists(paper(1))
    place = sharded(workplace, "one", 1, 2)
    readers = [f"reader{n}@example.org" for n in range(9)]
    own, other = (next(reader for reader in readers if shard_of(reader, 2) == index) for index in (1, 2))
    assert digest(place, "subscribers", "add", own).exit_code == 0
    refused = digest(place, "subscribers", "add", other)
    assert (refused.exit_code, "belongs to shard 2; this is shard 1/2" in refused.output) == (2, True)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"shown": ["arxiv:1"]}, "last_mail: is missing"),
        ({"shown": "arxiv:1", "last_mail": "2026-04-20"}, "shown: must be a list of names"),
        ({"shown": ["nothing"], "last_mail": "2026-04-20"}, "shown: must be a list of names"),
        ({"shown": [1], "last_mail": "2026-04-20"}, "shown: must be a list of names"),
        ({"shown": ["title:\ud800"], "last_mail": "2026-04-20"}, "shown: must be a list of names"),
        ({"shown": ["arxiv:1"], "last_mail": "0001-01-01"}, "last_mail: must be a day since 2000-01-01"),
        ({"last_mail": "yesterday"}, "last_mail: must be a date"),
    ],
)
def test_what_was_shown_is_checked(workplace: Workplace, row: dict[str, object], problem: str) -> None:
    path = workplace.folder / "people.json"
    path.write_text(json.dumps([{"address": "ann@example.org", **row}]))
    workplace.config()
    result = digest(workplace, "subscribers", "import", str(path))
    assert (result.exit_code, problem in result.output) == (2, True), result.output


def test_a_preview_on_a_day_without_mail_says_so(place: Workplace) -> None:
    digest(place, "subscribers", "add", "wil@example.org", "--days", "thu")
    output = str(place.folder / "x.html")
    said = digest(place, "preview", "--to", "wil@example.org", "-o", output).output
    assert "wil@example.org gets mail on thu only; no run sends this mail" in " ".join(said.split())
    said = digest(place, "preview", "--to", "wil@example.org", "--date", "2026-04-23", "-o", output).output
    assert "only" not in said
