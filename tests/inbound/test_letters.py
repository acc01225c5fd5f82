"""Events in letters: from letters as mail servers and programs write them, and from everything that looks similar."""

import base64
import random
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from digest.inbound import MAX_LETTER_BYTES, Bounce, Complaint, LetterEvent, UnsubscribeRequest
from digest.inbound.letters import letter_identity, may_hold_event, parse_letter
from tests.conftest import DATA

LETTERS = {path.stem: path.read_bytes() for path in sorted((DATA / "letters").glob("*.eml"))}
TOKEN = "abcdefghijklmnopqrstuvwx23"
OTHER = "zyxwvutsrqponmlkjihgfedc76"
OURS = "<20260420.0123456789abcdef0123@example.org>"
GONE = Bounce("gone@reader.example", "5.1.1", True, "", True, OURS, TOKEN)
UNSUBSCRIBE = (UnsubscribeRequest(TOKEN),)


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


def test_only_the_failed_recipients_of_several_are_returned() -> None:
    full = Bounce("full@reader.example", "5.2.2", False, "552 5.2.2 Mailbox full", True, OURS, TOKEN)
    assert parse_letter(LETTERS["sendmail"]) == (full, replace(GONE, status="5.1.2"))


def test_only_abuse_reports_are_complaints() -> None:
    assert parse_letter(LETTERS["complaint"]) == (Complaint(OURS, TOKEN),)
    assert parse_letter(LETTERS["complaint"].replace(b"Type: abuse", b"Type: not-spam")) == ()


@pytest.mark.parametrize("name", ["unsubscribe", "apple"])
def test_a_letter_to_the_address_with_the_token_unsubscribes_whatever_it_says(name: str) -> None:
    assert parse_letter(LETTERS[name]) == UNSUBSCRIBE


@pytest.mark.parametrize("name", ["late", "arrived", "read", "qmail", "vacation", "reply", "forward", "digest"])
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
        (f"Subject: Re: Unsubscribe: {TOKEN.upper()}", UNSUBSCRIBE),
        (f"Subject: =?utf-8?Q?Antwort:_unsubscribe_{TOKEN}?=", UNSUBSCRIBE),
        ("Subject: =?utf-8?B?" + base64.b64encode(f"unsubscribe {TOKEN}".encode()).decode() + "?=", UNSUBSCRIBE),
        (f"Subject: =?no-such-charset?Q?unsubscribe_{TOKEN}?=", ()),
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
        ("Precedence: bulk", False),
        ("Precedence: first-class", True),
        ("Return-Path: <>", False),
        ("Return-Path: <ann@reader.example>", True),
    ],
)
def test_automatic_and_bulk_mail_does_not_unsubscribe(field: str, counts: bool) -> None:
    assert parse_letter(letter(field, f"To: unsubscribe+{TOKEN}@example.org")) == (UNSUBSCRIBE if counts else ())


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
    assert may_hold_event(header) == (name not in ("qmail", "vacation", "reply", "forward", "digest"))
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


PIECES = st.sampled_from(
    [b"\n", b"\r\n", b"\n\n", b"--", b"--x", b"\nContent-Type: ", b"message/rfc822", b"multipart/report; boundary=x",
     b'"', b";", b"=?utf-8?B?", b"?=", b"\x00", b"\xff\xfe", b"\nAction: failed", b"\nStatus: 5.1.1", b"\r", b"<>"]
)  # fmt: skip


@given(st.sampled_from(sorted(LETTERS)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), PIECES), max_size=12))
def test_no_damage_to_a_letter_makes_parsing_fail(name: str, damage: list[tuple[float, int, bytes]]) -> None:
    raw = LETTERS[name]
    for place, length, piece in damage:
        at = int(place * len(raw))
        raw = raw[:at] + piece + raw[at + length :]
    for event in parse_letter(raw):
        if isinstance(event, Bounce):
            assert (event.recipient + event.diagnostic).isprintable()
            assert len(event.recipient) <= 320
            assert len(event.diagnostic) <= 300


def hostile() -> dict[str, bytes]:
    """Return letters of a megabyte or more that would take a careless parser long, or too deep."""
    nested = b"".join(
        b'Content-Type: multipart/report; boundary="%d"\n\n--%d\n' % (depth, depth) for depth in range(20_000)
    )
    dsn = b'Content-Type: multipart/report; boundary="x"\n\n--x\nContent-Type: message/delivery-status\n\n'
    noise = random.Random(7).randbytes(MAX_LETTER_BYTES)
    return {
        "nested": nested,
        "boundaries": b'Content-Type: multipart/report; boundary="x"\n\n' + b"--x\n" * 300_000,
        "half boundaries": b'Content-Type: multipart/report; boundary="x"\n\n' + b"--x" + b" " * MAX_LETTER_BYTES,
        "recipients": dsn + b"Action: failed\nFinal-Recipient: rfc822; a@b.c\n\n" * 20_000,
        "one field": dsn + b"Action: failed\nDiagnostic-Code: " + b"5" * MAX_LETTER_BYTES,
        "folds": dsn + b"Action: failed\nDiagnostic-Code: x\n" + b" y\n" * 300_000,
        "addresses": b"To: " + b"+a@" * 300_000,
        "spaces": b"Subject: unsubscribe" + b" " * MAX_LETTER_BYTES,
        "unclosed": b"Content-Type: multipart/report" + b';boundary="' * 80_000,
        "words": b"Subject: " + b"=?utf-8?B?=?" * 80_000,
        "marks": dsn + b"Action: failed\nDiagnostic-Code: " + "\u0301".encode() * 300_000,
        "returned": b'Content-Type: multipart/report; boundary="x"\n\n--x\nContent-Type: message/rfc822\n\n'
        b"List-Unsubscribe: " + b"%20" * 300_000 + b"\nMessage-ID: " + b"<" * 60_000,
        "empty lines": b"\n" * MAX_LETTER_BYTES,
        "noise": noise,
    }


@pytest.mark.parametrize(("name", "raw"), hostile().items(), ids=list(hostile()))
def test_no_letter_takes_long_to_parse(name: str, raw: bytes) -> None:
    before = time.process_time()
    assert len(parse_letter(raw)) <= 101  # a block about the message, and a hundred about recipients
    assert time.process_time() - before < 1.0, name
