"""Events in letters: from letters as mail servers and programs write them, and from everything that looks similar."""

import base64
import random
import time
from dataclasses import replace
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.inbound import MAX_LETTER_BYTES, Bounce, Complaint, LetterEvent, UnsubscribeRequest
from digest.inbound.headers import MAX_HEADER_BYTES
from digest.inbound.letters import letter_identity, may_hold_event, parse_letter
from tests.damaged_letters import LETTERS, damaged_letter

TOKEN = "abcdefghijklmnopqrstuvwx23"
OTHER = "zyxwvutsrqponmlkjihgfedc76"
OURS = "<20260420.0123456789abcdef0123@example.org>"
GONE = Bounce("gone@reader.example", "5.1.1", True, "", True, OURS, TOKEN)
UNSUBSCRIBE = (UnsubscribeRequest(TOKEN),)
# Letters in which nobody asks for anything, although most of them name a token.
IDLE = (
    "answer", "away-exchange", "away-gmail", "away-vacation", "bounce-exim", "bounce-qmail", "digest", "forward",
    "qmail", "reply", "vacation",
)  # fmt: skip


def letter(*fields: str, body: str = "hello") -> bytes:
    return "\r\n".join([*fields, "", body, ""]).encode()


def report(*blocks: str, returned: str = "", kind: str = "message/delivery-status", encode: bool = False) -> bytes:
    """A report with these per-recipient blocks."""
    status = "\r\n\r\n".join(["Reporting-MTA: dns; mx.example.org", *blocks]) + "\r\n"
    encoding = ""
    if encode:
        encoding, status = "Content-Transfer-Encoding: base64\r\n", base64.encodebytes(status.encode()).decode()
    parts = [f"Content-Type: {kind}\r\n{encoding}\r\n{status}"]
    if returned:
        parts.append(f"Content-Type: text/rfc822-headers\r\n\r\n{returned}\r\n")
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--"
    return letter("To: digest@example.org", "Content-Type: multipart/report; boundary=x", body=body)


def failed(status: str, diagnostic: str = "", recipient: str = "rfc822; a@b.example") -> str:
    lines = ["Final-Recipient: " + recipient, "Action: failed", "Status: " + status]
    return "\r\n".join(lines + (["Diagnostic-Code: " + diagnostic] if diagnostic else []))


@pytest.mark.parametrize(
    ("name", "bounce"),
    [
        (
            "postfix",
            replace(GONE, diagnostic="550 5.1.1 <gone@reader.example>: Recipient address rejected: User unknown"),
        ),
        ("exim", replace(GONE, diagnostic="550-5.1.1 There is nobody of that name here. 550 5.1.1 Try another one.")),
        (
            "exchange",
            replace(
                GONE,
                status="5.1.10",
                diagnostic="550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup",
            ),
        ),
        (
            "gmail",
            replace(
                GONE,
                diagnostic="550-5.1.1 The account that you tried to reach does not exist. Look 550-5.1.1 for mistakes"
                " in the address. 550 5.1.1 a640c23a62f3a - rr1",
            ),
        ),
    ],
)
def test_bounces_of_every_mail_server_are_parsed(name: str, bounce: Bounce) -> None:
    assert parse_letter(LETTERS[name]) == (bounce,)


def test_of_several_failed_recipients_the_first_that_does_not_exist_counts() -> None:
    assert parse_letter(LETTERS["sendmail"]) == (replace(GONE, status="5.1.2"),)
    full = Bounce("full@reader.example", "5.2.2", False, "552 5.2.2 Mailbox full", True, OURS, TOKEN)
    assert parse_letter(LETTERS["sendmail"].replace(b"5.1.2", b"4.1.2")) == (full,)


def test_a_report_is_about_one_recipient_however_many_it_names() -> None:
    names = [f"rfc822; reader{number}@b.example" for number in range(100)]
    (bounce,) = parse_letter(report(*(failed("5.1.1", recipient=name) for name in names)))
    assert isinstance(bounce, Bounce)
    assert bounce.recipient == "reader0@b.example"


def test_only_abuse_reports_are_complaints() -> None:
    assert parse_letter(LETTERS["complaint"]) == (Complaint(OURS, TOKEN),)
    assert parse_letter(LETTERS["complaint"].replace(b"Type: abuse", b"Type: not-spam")) == ()


@pytest.mark.parametrize("name", ["unsubscribe", "apple", "request"])
def test_the_letter_that_a_link_in_our_mail_makes_unsubscribes_whatever_it_says(name: str) -> None:
    assert parse_letter(LETTERS[name]) == UNSUBSCRIBE


@pytest.mark.parametrize("name", ["late", "arrived", "read", *IDLE])
def test_other_letters_have_no_events(name: str) -> None:
    assert parse_letter(LETTERS[name]) == ()


@pytest.mark.parametrize(
    ("field", "events"),
    [
        (f"To: unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"TO: UNSUBSCRIBE+{TOKEN.upper()}@EXAMPLE.ORG", UNSUBSCRIBE),
        (f"To: Leave <unsubscribe-{TOKEN}@example.org>", UNSUBSCRIBE),
        (f"Cc: unsubscribe={TOKEN}@example.org", UNSUBSCRIBE),
        (f"To: digest@example.org,\r\n unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"Delivered-To: unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"X-Original-To: unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"Envelope-To: unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"X-Forwarded-To: unsubscribe+{TOKEN}@example.org", UNSUBSCRIBE),
        (f"Subject: unsubscribe {TOKEN}", UNSUBSCRIBE),
        (f"Subject: Unsubscribe: {TOKEN.upper()}", UNSUBSCRIBE),
        (f"Subject: unsubscribe%20{TOKEN}", UNSUBSCRIBE),
        (f"Subject: unsubscribe+{TOKEN}", UNSUBSCRIBE),
        (f"Subject: =?utf-8?Q?unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        (f"Subject: =?us-ascii?Q?unsubscribe?=\r\n =?us-ascii?Q?_{TOKEN}?=", UNSUBSCRIBE),
        (f"Subject: unsubscribe\r\n {TOKEN}", UNSUBSCRIBE),
        (f"Subject: [EXTERNAL] unsubscribe {TOKEN}", UNSUBSCRIBE),
        (f"Subject: EXT: unsubscribe {TOKEN} [SEC=OFFICIAL]", UNSUBSCRIBE),
        (f"Subject: ***SPAM*** unsubscribe {TOKEN}", UNSUBSCRIBE),
        (f"Subject: =?utf-8?Q?{quote('【外部】').replace('%', '=')}unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        (f"Subject: Fwd: unsubscribe {TOKEN}", UNSUBSCRIBE),
        (f"Subject: Re: unsubscribe {TOKEN}", ()),
        (f"Subject: Re: Fwd: unsubscribe {TOKEN}", ()),
        (f"Subject: [EXTERNAL] AW: unsubscribe {TOKEN}", ()),
        (f"Subject: =?utf-8?Q?Antwort:_unsubscribe_{TOKEN}?=", ()),
        (f"Subject: =?gb2312?B?tPC4tA==?= : unsubscribe {TOKEN}", ()),
        (f"Subject: unsubscribe {TOKEN}: thanks", ()),
        (f"Subject: How do I unsubscribe {TOKEN}?", ()),
        (f"Subject: unsubscribe {TOKEN} unsubscribe {OTHER}", ()),
        (f"Subject: Automatic reply: unsubscribe {TOKEN}", ()),
        ("Subject: =?utf-8?B?" + base64.b64encode(f"unsubscribe {TOKEN}".encode()).decode() + "?=", UNSUBSCRIBE),
        (f"Subject: =?no-such-charset?Q?unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        (f"Subject: =?undefined?Q?unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        (f"Subject: =?utf-16?Q?unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        ("Subject: =?utf-8?B?A?=", ()),
        (
            f"To: a+{TOKEN}@example.org, a+{OTHER}@example.org, a+{TOKEN}@example.org",
            (*UNSUBSCRIBE, UnsubscribeRequest(OTHER)),
        ),
        ("Subject: unsubscribe", ()),
        (f"Subject: {TOKEN}", ()),
        (f"Subject: unsubscribe {TOKEN}7", ()),
        (f"Subject: unsubscribe {TOKEN[:25]}", ()),
        (f"To: unsubscribe+{TOKEN[:25]}@example.org", ()),
        (f"To: unsubscribe+{TOKEN[:25]}1@example.org", ()),  # 1 is no letter of base32
        (f"To: unsubscribe+{TOKEN[:25]}\u017f@example.org", ()),  # a long s is an s to re.IGNORECASE
        (f"To: {TOKEN}@example.org", ()),
        (f"From: unsubscribe+{TOKEN}@example.org", ()),
        (f"Reply-To: unsubscribe+{TOKEN}@example.org", ()),
        (f"X-Note: To: unsubscribe+{TOKEN}@example.org", ()),
        (f"References: <unsubscribe+{TOKEN}@example.org>", ()),
    ],
)
def test_a_token_counts_in_a_recipient_address_and_after_unsubscribe(
    field: str, events: tuple[LetterEvent, ...]
) -> None:
    assert parse_letter(letter("From: ann@reader.example", field)) == events
    assert parse_letter(letter("From: ann@reader.example", field).replace(b"\r\n", b"\n")) == events


@pytest.mark.parametrize(
    ("field", "counts"),
    [
        ("Auto-Submitted: no", True),
        ("Auto-Submitted: No; owner-email=ann@reader.example", True),
        ("Auto-Submitted: auto-replied", False),
        ("auto-submitted: AUTO-GENERATED; x=y", False),
        ("List-Id: <list.example.org>", False),
        ("List-Unsubscribe: <mailto:leave@list.example.org>", False),
        ("List-Post: <mailto:list.example.org>", False),
        ("Precedence: bulk", False),
        ("Precedence: bulk (a list)", False),
        ("Return-Path: < >", False),
        ("Return-Path: <MAILER-DAEMON>", False),
        ("Precedence: first-class", True),
        ("X-Auto-Response-Suppress: All", False),
        ("X-Auto-Response-Suppress: None", True),
        ("X-Auto-Response-Suppress: DR, OOF, AutoReply", True),  # Exchange Online may add it to everything people write
        ("X-Autoreply: yes", False),
        ("X-Autoreply: no", True),
        ("X-Autorespond: Re: unsubscribe", False),
        ("X-Failed-Recipients: gone@reader.example", False),
        ("From: MAILER-DAEMON@mx.example.org (Mail Delivery System)", False),
        ("From: Mail Delivery System <mailer-daemon@mx.example.org>", False),
        ("From: MAILER-DAEMON (Mail Delivery System)", False),
        ("From: <postmaster@reader.example>", False),
        ("From: Postmaster <ann@reader.example>", True),
        ("From: Ann <not-the-postmaster@reader.example>", True),
        ("Return-Path: <MAILER-DAEMON@mx.example.org>", False),
        ("Content-Type: multipart/report; boundary=x", False),
        ("Return-Path: <>", False),
        ("Return-Path: <ann@reader.example>", True),
    ],
)
def test_automatic_and_bulk_mail_does_not_unsubscribe(field: str, counts: bool) -> None:
    expected = UNSUBSCRIBE if counts else ()
    assert parse_letter(letter(field, f"To: unsubscribe+{TOKEN}@example.org")) == expected
    assert parse_letter(letter(f"Subject: unsubscribe {TOKEN}", field)) == expected


def test_apples_button_unsubscribes_unless_a_letter_is_automatic_in_another_way() -> None:
    assert b"Auto-Submitted: auto-replied" in LETTERS["apple"]
    assert parse_letter(LETTERS["apple"].replace(b"X-Apple-Unsubscribe: true\n", b"")) == ()
    assert parse_letter(b"Precedence: bulk\n" + LETTERS["apple"]) == ()
    assert parse_letter(LETTERS["apple"].replace(b"<ann@reader.example>", b"<>")) == ()


def test_a_letter_has_at_most_ten_tokens() -> None:
    to = ", ".join(f"a+{chr(97 + number) * 26}@example.org" for number in range(26))
    assert [getattr(event, "token", "")[0] for event in parse_letter(letter(f"To: {to}"))] == list("abcdefghij")


@pytest.mark.parametrize(
    "subject",
    [
        b"=?\xe9?q?win?=",
        b"=?\xff\xfe?b?d2lu?=",
        b"=?utf-8?b?\xe9?=",
        b"=?utf-8?b?a?=",
        b"=?idna?q?xn--?=",
        b"=?punycode?q?" + b"9" * 900 + b"?=",
        b"=?zlib?b?eJw=?= =?\x00?q?x?=",
    ],
)
def test_a_broken_subject_does_not_make_parsing_fail(subject: bytes) -> None:
    raw = b"To: unsubscribe+" + TOKEN.encode() + b"@example.org\nSubject: " + subject + b"\n\n"
    assert parse_letter(raw) == UNSUBSCRIBE


def test_a_token_in_the_body_does_not_count() -> None:
    quoted = f"\r\nTo: unsubscribe+{TOKEN}@example.org\r\nSubject: unsubscribe {TOKEN}"
    assert parse_letter(letter("To: digest@example.org", body=quoted)) == ()
    assert parse_letter(b"\n" + letter(f"To: unsubscribe+{TOKEN}@example.org")) == ()


@pytest.mark.parametrize(
    ("status", "diagnostic", "code", "hard"),
    [
        ("5.1.1", "", "5.1.1", True),
        ("5.1.3 (bad)", "", "5.1.3", True),
        ("5.2.1", "", "5.2.1", True),
        ("5.2.2", "", "5.2.2", False),
        ("5.4.1", "", "5.4.1", False),
        ("5.7.1", "", "5.7.1", False),
        ("5.1.8", "smtp; 550 5.1.8 bad outbound sender", "5.1.8", False),
        ("4.1.1", "", "4.1.1", False),
        ("4.4.7", "", "4.4.7", False),
        ("5.0.0", "smtp; 550 5.1.1 unknown", "5.1.1", True),
        ("5.0.0", "smtp;550-5.1.1 unknown", "5.1.1", True),
        ("5.0.0", "smtp; 550 #5.1.0 Address rejected.", "5.1.0", True),
        ("5.0.0", "smtp; 550 unknown", "5.0.0", False),
        ("5.0.0", "smtp; 452 4.2.2 full", "5.0.0", False),
        ("5.4.0", "smtp; 550 5.1.1 unknown", "5.4.0", False),
        ("5.0.0", "smtp; 550 5.9.12.3 listed at 5.1.1.1", "5.9.12", False),
        ("", "smtp; 550 5.1.1 unknown", "5.1.1", True),
        ("", "smtp; 450 try again", "4.0.0", False),
        ("unknown", "x-unix; 67", "", False),
        ("2.1.5", "", "2.1.5", False),
    ],
)
def test_a_bounce_is_hard_if_the_mailbox_does_not_exist(status: str, diagnostic: str, code: str, hard: bool) -> None:
    (bounce,) = parse_letter(report(failed(status, diagnostic)))
    assert isinstance(bounce, Bounce)
    assert (bounce.status, bounce.hard) == (code, hard)


@pytest.mark.parametrize("action", ["delayed", "relayed", "expanded", "delivered", "", "Failedx-not"])
def test_only_what_failed_is_a_bounce(action: str) -> None:
    text = report(failed("5.1.1").replace("Action: failed", f"Action: {action}"))
    assert bool(parse_letter(text)) == action.lower().startswith("failed")


def test_a_report_without_the_failed_message_is_marked() -> None:
    (bounce,) = parse_letter(report(failed("5.1.1")))
    assert bounce == Bounce("a@b.example", "5.1.1", True, "", False, "", "")


@pytest.mark.parametrize(
    ("unsubscribe", "token"),
    [
        (f"<mailto:unsubscribe+{TOKEN}@example.org?subject=unsubscribe>", TOKEN),
        (f"<mailto:digest@example.org?subject=unsubscribe%20{TOKEN}>", TOKEN),
        (f"<https://example.org/u/{TOKEN}>", TOKEN),
        (f"<https://example.org/unsubscribefromthisdigests/{TOKEN}>", TOKEN),  # 26 letters
        ("<mailto:leave@list.example.org>", ""),
    ],
)
def test_the_returned_message_gives_its_message_id_and_token(unsubscribe: str, token: str) -> None:
    (bounce,) = parse_letter(report(failed("5.1.1"), returned=f"Message-ID: {OURS}\r\nList-Unsubscribe: {unsubscribe}"))
    assert isinstance(bounce, Bounce)
    assert (bounce.returned, bounce.message_id, bounce.token) == (True, OURS, token)
    (bounce,) = parse_letter(report(failed("5.1.1"), returned=f"\r\nMessage-ID: {OURS}"))  # one empty line too many
    assert isinstance(bounce, Bounce)
    assert bounce.message_id == OURS


@pytest.mark.parametrize(
    ("recipient", "address"),
    [
        ("rfc822; a@b.example", "a@b.example"),
        ("RFC822;<a@b.example>", "a@b.example"),
        ("utf-8; jürgen@b.example", "jürgen@b.example"),
        ("rfc822; a@b.example\x1b[31m\u202e", "a@b.example[31m"),
        ("rfc822; " + "a" * 500 + "@b.example", ""),
        ("x400; /cn=nobody", ""),
        ("", ""),
    ],
)
def test_the_recipient_is_an_address_or_empty(recipient: str, address: str) -> None:
    (bounce,) = parse_letter(report(failed("5.1.1", recipient=recipient)))
    assert isinstance(bounce, Bounce)
    assert bounce.recipient == address


def test_the_original_recipient_wins_over_the_one_it_was_forwarded_to() -> None:
    block = failed("5.1.1") + "\r\nOriginal-Recipient: rfc822; ann@reader.example"
    assert [b.recipient for b in parse_letter(report(block)) if isinstance(b, Bounce)] == ["ann@reader.example"]


def test_reports_with_encoded_or_international_parts_are_read() -> None:
    assert len(parse_letter(report(failed("5.1.1"), encode=True))) == 1
    assert len(parse_letter(report(failed("5.1.1"), kind="message/global-delivery-status"))) == 1


def test_a_part_ends_at_its_own_boundary() -> None:
    quoted = f"--x Content-Type: message/delivery-status\r\n\r\n{failed('5.1.1')}\r\n--x2\r\n"
    start, boundary, rest = report("Action: delivered").partition(b"--x\r\n")
    assert parse_letter(start + b"--x\r\n\r\n" + quoted.encode() + boundary + rest) == ()
    padded = report(failed("5.1.1")).replace(b"--x\r\n", b"--x \t\r\n")
    assert len(parse_letter(padded)) == 1


def test_at_most_twenty_parts_are_read() -> None:
    text = report(failed("5.1.1"))
    for others, bounces in ((19, 1), (20, 0)):
        parts = b"--x\r\n\r\n" * others + b"--x\r\n"
        assert len(parse_letter(text.replace(b"--x\r\n", parts, 1))) == bounces


def test_a_report_attached_to_another_letter_does_not_count() -> None:
    inner = LETTERS["postfix"].decode()
    outer = letter(
        "To: digest@example.org",
        "Content-Type: multipart/mixed; boundary=q",
        body=f"--q\r\nContent-Type: message/rfc822\r\n\r\n{inner}\r\n--q--",
    )
    assert parse_letter(outer) == ()


@pytest.mark.parametrize("name", LETTERS)
def test_the_header_tells_whether_the_whole_letter_is_needed(name: str) -> None:
    header = LETTERS[name].partition(b"\n\n")[0]
    assert may_hold_event(header) == (name not in IDLE or name == "reply"), "a reply may hold commands"
    assert may_hold_event(header) or not parse_letter(LETTERS[name])


def test_a_letter_has_the_same_identity_in_a_maildir_and_over_imap() -> None:
    identities = {letter_identity(raw) for raw in LETTERS.values()}
    assert len(identities) == len(LETTERS)
    assert {letter_identity(raw.replace(b"\n", b"\r\n")) for raw in LETTERS.values()} == identities
    large = b"To: a@b.example\n" + b"\n" * MAX_LETTER_BYTES + b"x"
    assert (
        letter_identity(large.replace(b"\n", b"\r\n"))
        == letter_identity(large)
        == letter_identity(large[:MAX_LETTER_BYTES])
    )
    assert len(letter_identity(b"")) == 64


@given(st.binary(max_size=2000))
def test_no_bytes_make_parsing_fail(raw: bytes) -> None:
    assert isinstance(parse_letter(raw), tuple)
    assert isinstance(may_hold_event(raw), bool)


def check_parsing(raw: bytes) -> None:
    """Parse a letter, which must not fail, and check that what is said about it can be shown and is short."""
    events = parse_letter(raw)
    assert may_hold_event(raw[:MAX_HEADER_BYTES]) or not events
    assert len(events) <= 10
    for event in events:
        shown = (
            (event.recipient, event.status, event.diagnostic)
            if isinstance(event, Bounce)
            else (getattr(event, "token", ""),)
        )
        assert "".join(shown).isprintable()
        assert all(len(text) <= 320 for text in shown)


def test_no_damage_to_a_letter_makes_parsing_fail() -> None:
    chance = random.Random(1)
    for _ in range(1000):
        check_parsing(damaged_letter(chance))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 20))
def test_no_damage_to_many_letters_makes_parsing_fail(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(10_000):
        check_parsing(damaged_letter(chance))


@pytest.mark.slow
def test_no_megabyte_of_pieces_makes_parsing_fail() -> None:
    chance = random.Random(2)
    for _ in range(100):
        start = damaged_letter(chance)
        filler = chance.choice((start, b"x" + chance.randbytes(6), *(filler for _, filler in FILLERS.values())))
        check_parsing(start + filler * (MAX_LETTER_BYTES // (len(filler) + 1)))


REPORT = b'Content-Type: multipart/report; boundary="x"\n\n'
PART = REPORT + b"--x\nContent-Type: %b\n\n"
FAILED = PART % b"message/delivery-status" + b"Action: failed\n"
FILLERS = {
    "boundaries": (REPORT, b"--x\n"),
    "half boundaries": (REPORT + b"--x", b" "),
    "almost boundaries": (REPORT, b"--x" + b" " * 70 + b"y\n"),
    "dashes": (REPORT + b"--x", b"--"),
    "recipients": (FAILED, b"\nAction: failed\nFinal-Recipient: rfc822; a@b.c\n"),
    "one recipient": (FAILED + b"Final-Recipient: rfc822;", b" <@"),
    "one field": (FAILED + b"Diagnostic-Code: ", b"5"),
    "replies": (FAILED + b"Diagnostic-Code: ", b"550-5.1 "),
    "folds": (FAILED + b"Diagnostic-Code: x\n", b" y\n"),
    "marks": (FAILED + b"Diagnostic-Code: ", "\u0301".encode()),
    "quoted": (REPORT + b"--x\nContent-Type: message/rfc822\nContent-Transfer-Encoding: quoted-printable\n\n", b"=\n="),
    "base64": (REPORT + b"--x\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n", b"QQ==\n"),
    "tokens": (PART % b"message/rfc822" + b"List-Unsubscribe: ", b"%20" + b"a" * 25),
    "ids": (PART % b"message/rfc822" + b"Message-ID: ", b"<a"),
    "boundary": (b"Content-Type: multipart/report", b';boundary="'),
    "boundary spaces": (b"Content-Type: multipart/report; boundary", b" "),
    "addresses": (b"To: ", b"+a@"),
    "requests": (b"To: ", b"+" + b"a" * 26),
    "senders": (b"To: unsubscribe+" + TOKEN.encode() + b"@example.org\nFrom: ", b"<mailer-daemon    "),
    "spaces": (b"Subject: unsubscribe", b" "),
    "separators": (b"Subject: unsubscribe", b"%20"),
    "subjects": (b"Subject: ", b"unsubscribe "),
    "brackets": (b"Subject: unsubscribe " + TOKEN.encode() + b" ", b"[("),
    "stars": (b"Subject: unsubscribe " + TOKEN.encode() + b" ", b"*"),
    "words": (b"Subject: ", b"=?utf-8?B?=?"),
    "whole words": (b"Subject: ", b"=?utf-8?Q?=41?= "),
    "fields": (b"", b"To: a\n"),
    "colons": (b"", b":"),
    "empty lines": (b"", b"\n"),
    "line ends": (b"To: a", b"\r\n "),
}  # fmt: skip


def hostile(size: int) -> dict[str, bytes]:
    """Return letters of this size that would take a careless parser long, or too deep."""
    letters = {name: start + filler * (size // len(filler)) for name, (start, filler) in FILLERS.items()}
    nested = (
        b'Content-Type: multipart/report; boundary="%d"\n\n--%d\n' % (depth, depth) for depth in range(size // 50)
    )
    return {**letters, "nested": b"".join(nested), "noise": random.Random(7).randbytes(size)}


def parsing_time(raw: bytes) -> float:
    times = []
    for _ in range(3):
        before = time.process_time()
        assert len(parse_letter(raw)) <= 10
        times.append(time.process_time() - before)
    return min(times)


@pytest.mark.parametrize(("name", "raw"), hostile(MAX_LETTER_BYTES).items(), ids=[*FILLERS, "nested", "noise"])
def test_no_letter_takes_long_to_parse(name: str, raw: bytes) -> None:
    assert parsing_time(raw) < 1.0, name


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FILLERS, "nested", "noise"])
def test_four_times_the_letter_takes_about_four_times_as_long(name: str) -> None:
    small, large = (hostile(size)[name] for size in (MAX_LETTER_BYTES // 4, MAX_LETTER_BYTES))
    assert parsing_time(large) < 8 * parsing_time(small) + 0.02  # 16 times if the time were quadratic
    if b"\n\n" not in small[:100]:  # of a header, less is read
        small, large = (hostile(size)[name] for size in (MAX_HEADER_BYTES // 4, MAX_HEADER_BYTES))
        assert parsing_time(large) < 8 * parsing_time(small) + 0.02
