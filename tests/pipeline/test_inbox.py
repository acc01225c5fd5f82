"""Unsubscribing by mail, and bounces: from the mail that was sent to the letter that answers it."""

import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage, Message

import pytest
from click.testing import CliRunner, Result
from freezegun import freeze_time

from digest.cli import main
from digest.config import Config
from digest.errors import Undelivered
from digest.inbound import InboxSettings
from digest.pipeline.run import RunReport, read_inbox, run_daily
from digest.sources.fetcher import Fetcher
from digest.store.database import open_database
from digest.store.statistics import open_statistics
from digest.store.subscribers import Subscribers, SubscriberStatus
from tests.conftest import MONDAY, Workplace, at, paper
from tests.damaged_letters import damaged_letter
from tests.dovecot import PASSWORD, dovecot, needs_dovecot

READERS = ("ann@example.org", "bob@example.org", "cyd@example.org", "dan@example.org")
MORE = '[[sources]]\ntype = "file"\npath = "papers.jsonl"\n[unsubscribe]\nmailto = "leave@example.org"\n'


def letter(to: str, subject: str = "unsubscribe", sender: str = "somebody@else.example") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made.set_content("Please.\n")
    return made.as_bytes()


def leaving(mail: EmailMessage) -> bytes:
    """The letter that a mail program writes for the button next to a mail."""
    (where,) = re.findall(r"<mailto:([^?>]+)\?subject=([^>]+)>", str(mail["List-Unsubscribe"]))
    return letter(where[0], where[1].replace("%20", " "))


def report(mail: Message, status: str, *, returned: bool = True, to: str = "") -> bytes:
    """What a mail server sends back for a mail that it could not deliver (RFC 3464)."""
    facts = (
        f"Reporting-MTA: dns; mx.example\n\nFinal-Recipient: rfc822; {to or mail['To']}\nAction: failed\n"
        f"Status: {status}\nDiagnostic-Code: smtp; 550 {status} no\n"
    )
    headers = "".join(f"{name}: {value}\n" for name, value in mail.raw_items())
    parts = {"text/plain": "It did not work.\n", "message/delivery-status": facts}
    return multipart("delivery-status", {**parts, "text/rfc822-headers": headers} if returned else parts)


def complaint(mail: Message) -> bytes:
    """What a mail service sends when a reader called a mail spam (RFC 5965)."""
    facts = "Feedback-Type: abuse\nUser-Agent: x/1\nVersion: 1\n"
    parts = {"text/plain": "Spam.\n", "message/feedback-report": facts, "message/rfc822": mail.as_string()}
    return multipart("feedback-report", parts)


def multipart(kind: str, parts: dict[str, str]) -> bytes:
    head = (
        "From: MAILER-DAEMON@mx.example\nTo: digest@example.org\nSubject: A report\nAuto-Submitted: auto-replied\n"
        f'MIME-Version: 1.0\nContent-Type: multipart/report; report-type={kind}; boundary="edge"\n\n'
    )
    body = "".join(f"--edge\nContent-Type: {name}\n\n{content}\n" for name, content in parts.items())
    return f"{head}{body}--edge--\n".encode()


class Box:
    """A workplace whose mail is out, and a Maildir that takes the answers."""

    def __init__(self, workplace: Workplace) -> None:
        self.workplace = workplace
        self.folder = workplace.folder / "answers"
        for part in ("new", "cur", "tmp"):
            (self.folder / part).mkdir(parents=True)
        workplace.to = READERS
        workplace.more = MORE + '[inbox]\npath = "answers"\n'
        self.day = MONDAY
        self.count = 0
        self.run()

    def config(self) -> Config:
        return self.workplace.config()

    def run(self) -> RunReport:
        """The day's run, with two papers more than the day before."""
        number = (self.day - MONDAY).days * 2
        self.workplace.lists(*(paper(n) for n in range(number + 2)))
        return run_daily(self.config(), self.day, at(self.day), Fetcher("digest@example.org"))

    def mail(self, to: str) -> EmailMessage:
        return self.workplace.mails()[to][-1]

    def deliver(self, raw: bytes) -> None:
        self.count += 1
        (self.folder / "new" / f"{self.count}.letter.host").write_bytes(raw)

    def contents(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()}

    def command(self, *words: str) -> Result:
        self.config()
        with freeze_time(datetime.combine(self.day, datetime.min.time()) + timedelta(hours=9)):
            return CliRunner().invoke(main, ["-c", str(self.workplace.path), *words])

    def standings(self) -> dict[str, SubscriberStatus]:
        with open_database(self.workplace.folder / "history.db") as db:
            return {standing.address: standing for standing in Subscribers(db, b"").statuses(self.day)}

    def states(self) -> str:
        return " ".join(standing.state for standing in self.standings().values())


@pytest.fixture
def box(workplace: Workplace) -> Box:
    return Box(workplace)


def test_a_letter_to_the_address_in_the_mail_unsubscribes_before_the_next_mail(box: Box) -> None:
    box.deliver(leaving(box.mail("bob@example.org")))
    before = box.contents()
    box.day += timedelta(1)
    box.run()
    assert box.states() == "active left active active"
    assert {to: len(mails) for to, mails in box.workplace.mails().items()} == {
        "ann@example.org": 2, "bob@example.org": 1, "cyd@example.org": 2, "dan@example.org": 2,
    }  # fmt: skip
    assert box.contents() == before, "nothing in the mailbox is touched"


def test_without_a_mailto_address_an_answer_with_the_subject_unsubscribes(workplace: Workplace) -> None:
    box = Box(workplace)
    workplace.more = workplace.more.replace('mailto = "leave@example.org"\n', "")
    box.day += timedelta(1)
    box.run()
    asked = leaving(box.mail("cyd@example.org"))
    assert b"To: digest@example.org" in asked
    box.deliver(asked)
    assert box.command("inbox").stdout == "1 subscriber unsubscribed; 0 other messages ignored.\n"
    assert box.states() == "active active left active"


def test_an_unknown_token_unsubscribes_nobody(box: Box) -> None:
    box.deliver(letter("leave+abcdefghijklmnopqrstuvwxyz@example.org"))
    box.deliver(letter("leave@example.org", sender="bob@example.org"))
    result = box.command("inbox")
    assert result.stdout == "1 message had an unknown token; 1 other message ignored.\n"
    assert box.states() == "active active active active"


def test_an_address_that_does_not_exist_gets_no_more_mail(box: Box) -> None:
    box.deliver(report(box.mail("bob@example.org"), "5.1.1"))
    assert box.command("inbox").stdout == "Mail to 1 address bounced; 0 other messages ignored.\n"
    bob = box.standings()["bob@example.org"]
    assert (bob.state, bob.bounces, bob.why) == ("suspended", 1, "mail bounced: 5.1.1 550 5.1.1 no")
    assert "bob@example.org: suspended, mail bounced: 5.1.1" in box.command("status").stdout


def test_a_full_mailbox_is_counted_and_goes_on(box: Box) -> None:
    box.deliver(report(box.mail("bob@example.org"), "5.2.2"))
    box.command("inbox")
    assert (box.states(), box.standings()["bob@example.org"].bounces) == ("active active active active", 1)


def test_a_report_is_about_whom_the_mail_in_it_was_sent_to_and_not_whom_it_names(box: Box) -> None:
    """Mail to Bob was forwarded, and the mailbox behind does not exist: it is Bob who cannot be reached."""
    box.deliver(report(box.mail("bob@example.org"), "5.1.1", to="ann@example.org"))
    box.command("inbox")
    assert box.states() == "active suspended active active"


def test_a_report_is_known_by_the_message_id_too(box: Box) -> None:
    mail = box.mail("dan@example.org")
    del mail["List-Unsubscribe"]
    box.deliver(report(mail, "5.1.1"))
    box.command("inbox")
    assert box.states() == "active active active suspended"


def test_a_report_about_several_recipients_is_one_about_the_mail_in_it(box: Box) -> None:
    """Behind Bob's address stands a list of two people: it is his mail that came back, once."""
    raw = report(box.mail("bob@example.org"), "4.2.2")
    block = b"Final-Recipient: rfc822; other@else.example\nAction: failed\nStatus: 4.2.2\n"
    box.deliver(
        raw.replace(b"\n--edge\nContent-Type: text/rfc822", b"\n" + block + b"\n--edge\nContent-Type: text/rfc822")
    )
    assert box.command("inbox").stdout == "Mail to 1 address bounced; 0 other messages ignored.\n"
    assert (box.states(), box.standings()["bob@example.org"].bounces) == ("active active active active", 1)


def test_the_token_of_a_mail_that_was_pruned_still_takes_off_the_list(box: Box) -> None:
    asked, complained = leaving(box.mail("bob@example.org")), complaint(box.mail("cyd@example.org"))
    box.day += timedelta(400)
    assert box.command("prune", "--older-than", "90d").exit_code == 0
    box.deliver(asked)
    box.deliver(complained)
    box.command("inbox")
    assert box.states() == "active left left active"


def test_a_report_about_other_mail_suspends_nobody(box: Box) -> None:
    mail = box.mail("bob@example.org")
    for name, value in (("List-Unsubscribe", ""), ("Message-ID", "<20260420.somebody-elses@example.org>")):
        del mail[name]
        if value:
            mail[name] = value
    box.deliver(report(mail, "5.1.1"))
    assert box.command("inbox").stdout == "Nothing new; 1 other message ignored.\n"
    assert box.states() == "active active active active"


def test_a_report_that_returns_nothing_suspends_nobody(box: Box) -> None:
    """Anybody can write one, about anybody: it is a warning, about those whom we have just sent something."""
    box.command("subscribers", "add", "eve@example.org")
    for to in ("bob@example.org", "bob@example.org", "eve@example.org", "stranger@example.org", "no address"):
        box.deliver(report(box.mail("bob@example.org"), "5.1.1", returned=False, to=to))
    result = box.command("-q", "inbox")
    (line,) = {line.split(" ", 1)[1] for line in result.stderr.splitlines()}
    assert "unconfirmed bounce" in line
    assert "if it is true: digest subscribers pause bob@example.org" in line
    assert box.states() == "active active active active active"
    assert [standing.bounces for standing in box.standings().values()] == [0, 0, 0, 0, 0]


def test_a_report_that_returns_nothing_is_about_one_recipient(box: Box) -> None:
    blocks = "".join(f"\nFinal-Recipient: rfc822; {to}\nAction: failed\nStatus: 5.1.1\n" for to in READERS)
    box.deliver(multipart("delivery-status", {"message/delivery-status": f"Reporting-MTA: dns; mx.example\n{blocks}"}))
    assert box.command("inbox").stdout == "1 bounce could not be confirmed; 0 other messages ignored.\n"
    assert box.states() == "active active active active"


@pytest.mark.parametrize(("days", "warned"), [(7, True), (8, False)])
def test_a_report_that_returns_nothing_is_believable_within_a_week_of_a_delivery(
    box: Box, days: int, warned: bool
) -> None:
    raw = report(box.mail("bob@example.org"), "4.4.7", returned=False)
    box.day += timedelta(days)
    box.deliver(raw)
    assert ("1 bounce could not be confirmed" in box.command("inbox").stdout) == warned


def test_mail_that_never_left_cannot_come_back(box: Box) -> None:
    box.command("subscribers", "add", "eve@example.org")
    (box.workplace.folder / "mail").rename(box.workplace.folder / "elsewhere")
    (box.workplace.folder / "mail").write_text("no folder")
    box.day += timedelta(1)
    with pytest.raises(Undelivered):
        box.run()
    box.deliver(report(EmailMessage(), "5.1.1", returned=False, to="eve@example.org"))
    assert box.command("inbox").stdout == "Nothing new; 1 other message ignored.\n"
    assert box.standings()["eve@example.org"].bounces == 0


def test_mail_that_comes_back_on_five_days_in_a_row_suspends(box: Box) -> None:
    for number in range(5):
        assert box.states() == "active active active active"
        box.deliver(report(box.mail("bob@example.org"), f"4.2.{number}"))
        box.command("inbox")
        box.day += timedelta(1)
        box.run()
    assert box.standings()["bob@example.org"].why == "mail bounced: 4.2.4 550 4.2.4 no"


def forgeries() -> Iterator[bytes]:
    """Reports about Bob by somebody who knows his address, our domain and the form of our mail."""

    def forged(**fields: str) -> Message:
        mail = Message()
        for name, value in {"To": "bob@example.org", **fields}.items():
            mail[name.replace("_", "-")] = value
        return mail

    for status in ("5.1.1", "5.2.1", "4.2.2", "5.0.0", "9.9.9", ""):
        yield report(forged(), status, returned=False)
    for token in ("a" * 26, "bob@example.org", "%00" * 9, "' OR 1=1 --", "*", "abcdefghijklmnopqrstuvwxy"):
        link = f"<mailto:leave+{token}@example.org>"
        message_id = f"<20260420.{token.encode().hex()[:20]:0<20}@example.org>"
        yield report(forged(List_Unsubscribe=link, Message_ID=message_id), "5.1.1")
        yield complaint(forged(List_Unsubscribe=link, Message_ID=message_id))
    for message_id in ("<>", "<%@example.org>", "<20260420.%@example.org>", "<99999999.x@x>", "<20260420>"):
        yield report(forged(Message_ID=message_id), "5.1.1")
        yield report(forged(Message_ID=message_id), "5.1.1", to="bob@example.org, ann@example.org")
    block = "Final-Recipient: rfc822; bob@example.org\nOriginal-Recipient: rfc822;bob@example.org\n"
    for kind in ("message/delivery-status", "message/global-delivery-status"):
        yield multipart("delivery-status", {kind: f"Reporting-MTA: dns; x\n\n{block}Action: failed\nStatus: 5.1.1\n"})


def test_nobody_is_suspended_by_forged_reports_on_however_many_days(box: Box) -> None:
    """Not even together with mail that comes back once."""
    for number in range(6):
        for raw in forgeries():
            box.deliver(b"X-Number: %d\n" % number + raw)
        assert box.command("-q", "inbox").exit_code == 0
        box.day += timedelta(1)
        box.run()
    assert box.states() == "active active active active"
    box.deliver(report(box.mail("bob@example.org"), "4.2.2"))
    box.command("inbox")
    assert box.states() == "active active active active"


def test_a_second_reading_changes_nothing_not_even_for_who_came_back(box: Box) -> None:
    box.deliver(leaving(box.mail("bob@example.org")))
    box.deliver(report(box.mail("ann@example.org"), "4.4.7"))
    box.deliver(letter("leave+abcdefghijklmnopqrstuvwxyz@example.org"))
    box.command("inbox")
    once = box.standings()
    assert box.command("inbox").stdout == "Nothing new; 0 other messages ignored.\n"
    assert box.standings() == once
    box.command("subscribers", "add", "bob@example.org")
    for path in list((box.folder / "new").iterdir()):
        path.rename(box.folder / "cur" / f"{path.name}:2,S")
    box.day += timedelta(1)
    box.run()
    assert box.states() == "active active active active"
    assert len(box.workplace.mails()["bob@example.org"]) == 2


def test_who_was_added_again_may_say_thanks(box: Box) -> None:
    """An answer to a letter about a request is not a request, nor is an automatic one."""
    box.workplace.more = MORE.replace('mailto = "leave@example.org"\n', "") + '[inbox]\npath = "answers"\n'
    box.day += timedelta(1)
    box.run()
    asked = leaving(box.mail("bob@example.org"))
    box.deliver(asked)
    box.command("inbox")
    assert box.states() == "active left active active"
    box.command("subscribers", "add", "bob@example.org")
    subject = re.findall(rb"Subject: (.*)", asked)[0]
    for answer in (b"Re: %b", b"Re: %b: thanks", b"AW: [EXTERNAL] %b", b"Automatic reply: %b"):
        box.deliver(asked.replace(subject, answer % subject))
    for field in (b"From: MAILER-DAEMON@mx.example\n", b"X-Auto-Response-Suppress: All\n", b"Precedence: junk\n"):
        box.deliver(field + asked)
    assert box.command("inbox").stdout == "Nothing new; 7 other messages ignored.\n"
    assert box.states() == "active active active active"


def test_another_letter_with_the_same_token_unsubscribes_again(box: Box) -> None:
    """The token is proof of having our mail; which of its letters a reader meant before is not for us to judge."""
    asked = leaving(box.mail("bob@example.org"))
    box.deliver(b"Message-ID: <1@else.example>\n" + asked)
    box.command("inbox")
    box.command("subscribers", "add", "bob@example.org")
    box.deliver(b"Message-ID: <1@else.example>\n" + asked)
    box.command("inbox")
    assert box.states() == "active active active active", "the same letter acts once, in whatever file it is"
    box.deliver(b"Message-ID: <2@else.example>\n" + asked)
    box.command("inbox")
    assert box.states() == "active left active active"


@pytest.mark.parametrize("command", ["run", "send", "inbox", "doctor"])
def test_a_letter_with_a_subject_that_nothing_can_decode_stops_no_command(box: Box, command: str) -> None:
    box.deliver(b"To: digest@example.org\nSubject: =?\xe9?q?win?=\n\nhello\n")
    box.deliver(leaving(box.mail("bob@example.org")))
    result = box.command(command)
    assert result.exit_code in ((0, 2) if command == "doctor" else (0,)), result.output
    assert "Traceback" not in result.stderr
    assert (box.states() == "active left active active") == (command != "doctor")


def test_a_letter_that_cannot_be_parsed_is_counted_once(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the standard library is as good as one of ours."""

    def fail(text: str) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("email.quoprimime.header_decode", fail)
    box.deliver(letter("digest@example.org").replace(b"Subject: ", b"Subject: =?utf-8?q?x?="))
    box.deliver(leaving(box.mail("bob@example.org")))
    result = box.command("inbox")
    assert result.stdout == "1 subscriber unsubscribed; 1 other message ignored.\n"
    assert "WARNING letter skipped why=" in result.stderr
    result = box.command("inbox")
    assert (result.stdout, "letter skipped" in result.stderr) == ("Nothing new; 0 other messages ignored.\n", False)


def test_a_flood_of_letters_is_a_few_lines_in_the_log(box: Box) -> None:
    mails = [box.mail(to) for to in READERS]
    letters = str.maketrans("0123456789", "abcdefghij")
    for number in range(50):
        tokens = (f"{number:013}{n:013}".translate(letters) for n in range(1900))
        box.deliver(f"To: {', '.join(f'a+{token}@b.c' for token in tokens)}\n\n".encode())
        box.deliver(report(mails[number % 4], f"4.2.{number}"))
    result = box.command("inbox")
    assert result.stdout == "Mail to 4 addresses bounced, 50 messages had an unknown token; 0 other messages ignored.\n"
    lines = [line.partition(" WARNING ")[2] for line in result.stderr.splitlines()]
    assert len(lines) == 12
    assert [line for line in lines if "more" in line] == ["unknown token more=45", "bounced more=45"]


def test_mail_in_the_queue_is_not_sent_to_those_who_unsubscribed_meanwhile(box: Box) -> None:
    box.day += timedelta(1)
    (box.workplace.folder / "mail").rename(box.workplace.folder / "elsewhere")
    (box.workplace.folder / "mail").write_text("no folder")
    with pytest.raises(Undelivered):
        box.run()
    (box.workplace.folder / "mail").unlink()
    (box.workplace.folder / "elsewhere").rename(box.workplace.folder / "mail")
    box.deliver(leaving(box.mail("bob@example.org")))
    assert box.command("send").exit_code == 0
    assert {to: len(mails) for to, mails in box.workplace.mails().items()}["bob@example.org"] == 1
    assert len(box.workplace.mails()["ann@example.org"]) == 2


def test_a_mailbox_that_cannot_be_read_is_said_loudly_and_after_two_days_holds_the_mail(box: Box) -> None:
    box.folder.rename(box.workplace.folder / "away")
    sent = {0: 2, 1: 3, 2: 3}
    for later, mails in sent.items():
        box.day = MONDAY + timedelta(1 + later)
        box.workplace.lists(*(paper(n) for n in range(4 + 2 * later)))
        result = box.command("-q", "run")
        assert "inbox cannot be read" in result.stderr
        assert len(box.workplace.mails()["ann@example.org"]) == mails
        assert result.exit_code == (0 if mails > 1 + later else 4)
    assert "requests to unsubscribe cannot be read since 2026-04-21 09:00" in result.stderr
    assert "cannot be read since 2026-04-21 09:00" in box.command("status").stdout
    (box.workplace.folder / "away").rename(box.folder)
    box.deliver(leaving(box.mail("bob@example.org")))
    assert box.command("send").exit_code == 0
    assert len(box.workplace.mails()["ann@example.org"]) == 4
    assert len(box.workplace.mails()["bob@example.org"]) == 3
    assert "cannot be read" not in box.command("status").stdout


@pytest.mark.parametrize("first", ["2026-04-01", "2027-01-01"])
def test_how_long_a_mailbox_cannot_be_read_is_counted_in_real_time_whatever_the_date(box: Box, first: str) -> None:
    box.folder.rename(box.workplace.folder / "away")
    box.workplace.lists(*(paper(n) for n in range(4)))
    box.day = MONDAY + timedelta(1)
    assert box.command("run", "--date", first).exit_code == 0
    assert box.command("run").exit_code == 0
    assert "cannot be read since 2026-04-21 09:00" in box.command("status").stdout
    box.day = MONDAY + timedelta(3)
    box.workplace.lists(*(paper(n) for n in range(9)))
    assert box.command("run").exit_code == 4


def test_a_mailbox_that_is_no_longer_configured_is_no_longer_reported(box: Box) -> None:
    box.folder.rename(box.workplace.folder / "away")
    assert box.command("inbox").exit_code == 3
    box.workplace.more = MORE + '[inbox]\npath = "away"\n'
    assert box.command("inbox").exit_code == 0
    assert "cannot be read" not in box.command("status").stdout


def test_the_command_says_what_is_wrong_by_sentence_and_exit_code(box: Box) -> None:
    box.folder.rename(box.workplace.folder / "away")
    result = box.command("inbox")
    assert (result.exit_code, "answers" in result.stderr, "Traceback" in result.stderr) == (3, True, False)
    box.workplace.more = MORE
    result = box.command("inbox")
    assert (result.exit_code, "write [inbox] with host" in result.stderr) == (2, True)


def test_a_complaint_unsubscribes(box: Box) -> None:
    box.deliver(complaint(box.mail("cyd@example.org")))
    box.command("inbox")
    assert box.states() == "active active left active"


# --- A real IMAP server


@pytest.fixture
def imap(box: Box) -> Iterator[tuple[Box, Callable[[bytes], object], InboxSettings]]:
    with dovecot() as server:
        settings = server.inbox()
        box.workplace.more = MORE + (
            f'[inbox]\nhost = "127.0.0.1"\nport = {settings.port}\nsecurity = "none"\nusername = "me@example.org"\n'
        )
        yield box, server.deliver, settings


@pytest.mark.slow
@needs_dovecot
def test_unsubscribing_and_bouncing_over_a_real_imap_server(
    imap: tuple[Box, Callable[[bytes], object], InboxSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, deliver, settings = imap
    monkeypatch.setenv("DIGEST_INBOX_PASSWORD", PASSWORD)
    deliver(leaving(box.mail("bob@example.org")))
    deliver(letter("leave+abcdefghijklmnopqrstuvwxyz@example.org"))
    deliver(report(box.mail("ann@example.org"), "5.1.1"))
    deliver(letter("digest@example.org", "Lunch?"))
    assert box.command("inbox").stdout == (
        "1 subscriber unsubscribed, mail to 1 address bounced, 1 message had an unknown token;"
        " 1 other message ignored.\n"
    )
    assert box.states() == "suspended left active active"
    once = box.standings()
    assert box.command("inbox").stdout == "Nothing new; 0 other messages ignored.\n"
    assert box.standings() == once
    with open_statistics(box.workplace.folder / "history.db") as ledger:
        (mailbox,) = (one for one in ledger.mailboxes() if one["name"].startswith("imap:"))
    assert mailbox["name"] == f"imap://me%40example.org@127.0.0.1:{settings.port}/INBOX"
    box.day += timedelta(1)
    box.workplace.lists(*(paper(n) for n in range(9)))
    assert box.command("run").exit_code == 0
    assert {to for to, mails in box.workplace.mails().items() if len(mails) == 2} == {
        "cyd@example.org",
        "dan@example.org",
    }


@pytest.mark.slow
@needs_dovecot
def test_a_refused_login_is_loud_and_holds_nothing_back_yet(
    imap: tuple[Box, Callable[[bytes], object], InboxSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    box, _, _ = imap
    monkeypatch.setenv("DIGEST_INBOX_PASSWORD", "not-the-password")
    box.day += timedelta(1)
    box.workplace.lists(*(paper(n) for n in range(4)))
    result = box.command("-q", "run")
    assert result.exit_code == 0
    assert "inbox cannot be read" in result.stderr
    assert "not-the-password" not in result.output
    assert len(box.workplace.mails()["bob@example.org"]) == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_thousand_damaged_letters_unsubscribe_and_suspend_nobody(box: Box, seed: int) -> None:
    """None has a token of ours. Some are reports that name readers, but return nothing of our mail."""
    chance = random.Random(seed)
    for _ in range(1000):
        box.deliver(damaged_letter(chance).replace(b"gone@reader.example", chance.choice(READERS).encode()))
    box.deliver(leaving(box.mail("bob@example.org")))
    result = box.command("inbox")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("1 subscriber unsubscribed")
    assert "letter skipped" not in result.stderr, "no letter should need the net for the unforeseen"
    assert len(result.stderr.splitlines()) <= 3 * 6
    assert box.states() == "active left active active"


@pytest.mark.slow
@pytest.mark.parametrize("step", range(6))
def test_a_reading_killed_at_any_step_is_finished_by_the_next_and_counts_nothing_twice(box: Box, step: int) -> None:
    for to in READERS[:3]:
        box.deliver(report(box.mail(to), "5.2.2"))
    config = box.config()
    script = f"""
import os, signal, sys
from datetime import date, datetime, timezone
from pathlib import Path
from digest.config import load
from digest.pipeline.inbox import InboxReader
from digest.pipeline.run import read_inbox
from digest.store.mailboxes import Mailboxes
done = 0
def killing(function):
    def counted(*args, **options):
        global done
        if done == {step}:
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1
        return function(*args, **options)
    return counted
InboxReader._act = killing(InboxReader._act)  # in the middle of a letter's transaction
Mailboxes.letter = killing(Mailboxes.letter)  # between two letters
read_inbox(load(Path(sys.argv[1]), {{}}), date(2026, 4, 20), lambda: datetime(2026, 4, 20, 9, tzinfo=timezone.utc))
"""
    killed = subprocess.run([sys.executable, "-c", script, str(config.path)], check=False)
    assert killed.returncode == -9
    read_inbox(config, box.day, at(box.day))
    assert [standing.bounces for standing in box.standings().values()] == [1, 1, 1, 0]
    read_inbox(config, box.day + timedelta(1), at(box.day + timedelta(1)))
    assert [standing.bounces for standing in box.standings().values()] == [1, 1, 1, 0]
