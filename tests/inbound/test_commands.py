"""What a reader types above a quotation, and what is only quoted or said in passing."""

import pytest

from digest.inbound import Command, Confirmation, DigestAddresses, ReaderLetter, SubscribeRequest
from digest.inbound.commands import parse_commands
from digest.inbound.letters import parse_letter
from digest.inbound.parts import html_text

OURS = DigestAddresses(
    frozenset({"digest@example.org", "subscribe@example.org"}), "subscribe@example.org", title="Papers"
)


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("+2 -5", ["more 2", "less 5"]),
        ("+2, \u22125;+10", ["more 2", "less 5", "more 10"]),
        ("topics Diffusion, Robotics", ["topics Diffusion, Robotics"]),
        ("Topic: Diffusion", ["topics Diffusion"]),
        ("MAX 5.", ["max 5"]),
        ("days thu, mon", ["days mon thu"]),
        ("days weekdays", ["days mon tue wed thu fri"]),
        ("days every day", ["days all"]),
        ("pause 2 weeks", ["pause 2 weeks"]),
        ("pause", ["pause "]),
        ("pause until 2026-05-04", ["pause until 2026-05-04"]),
        ("Hello!\n\nresume\n\nBest, Ann", ["resume "]),
        ("Unsubscribe!", ["unsubscribe "]),
        ("pause for breath", ["help "]),
        ("max\nplease", ["help "]),
        ("I would unsubscribe", []),
        ("re\u017fet\npau\u017fe\ntopic\u017f all", []),  # ſ is an s only to patterns that ignore case in all scripts
        ("unsubscribe me", ["help "]),
        ("Hello\nunsubscribe me", []),
        ("> unsubscribe", []),
        ("Thanks\n-- \nunsubscribe", []),
        ("Papers\nunsubscribe", []),
        ("On 20 April Paper Digest wrote:\nunsubscribe", []),
        ("Am Montag schrieb Paper Digest:\nunsubscribe", []),
        ("Von: Paper Digest\nunsubscribe", []),
        ("Paper Digest <digest@example.org>\nunsubscribe", []),
        ("-----Original Message-----\nunsubscribe", []),
    ],
)
def test_lines_that_hold_nothing_but_a_command_count_above_a_quotation(text: str, commands: list[str]) -> None:
    assert [f"{command.word} {command.argument}" for command in parse_commands(text, OURS)] == commands


@pytest.mark.parametrize(
    "quoted",
    [
        "<blockquote>max 3</blockquote>",
        '<div class="gmail_quote">max 3</div>',
        '<div id="divRplyFwdMsg">max 3</div>',
        '<div style="border:none;border-top:solid #E1E1E1 1.0pt">max 3</div>',
    ],
)
def test_html_is_read_as_text_up_to_a_quotation(quoted: str) -> None:
    page = (
        f"<html><head><title>max 9</title></head><body><style>max 8</style><p>max&nbsp;<b>5</b><br>resume</p>{quoted}"
    )
    assert parse_commands(html_text(page), OURS) == (Command("max", "5"), Command("resume"))


def letter(*fields: str, body: str = "") -> bytes:
    return "\r\n".join([*fields, "", body]).encode()


FROM_ANN = ("From: Ann <ann@reader.example>", "Message-ID: <1@reader.example>")
MAIL = "<20260420.0123456789abcdef0123@example.org>"


def test_a_letter_is_taken_for_what_its_address_and_subject_say() -> None:
    asked = SubscribeRequest("ann@reader.example", "<1@reader.example>")
    assert parse_letter(letter(*FROM_ANN, "To: Subscribe@Example.org"), OURS) == (asked,)
    assert parse_letter(letter(*FROM_ANN, "To: subscribe@example.org", "Subject: unsubscribe"), OURS) == ()
    assert parse_letter(letter(*FROM_ANN, "To: subscribe@example.org.evil.example"), OURS) == ()
    token = "abcdefgh" * 5
    confirmed = (Confirmation(token, "<1@reader.example>"),)
    assert parse_letter(letter(*FROM_ANN, f"To: subscribe+{token}@example.org"), OURS) == confirmed
    assert parse_letter(letter(*FROM_ANN, f"Subject: Re: Confirm ({token})"), OURS) == confirmed
    vote = parse_letter(letter(*FROM_ANN, f"To: f+{token[:32]}@x.org", "Subject: more%20arxiv:2604.00001"), OURS)
    command = (Command("more", "arxiv:2604.00001"),)
    assert vote == (ReaderLetter(token[:32], "ann@reader.example", "", "<1@reader.example>", command),)
    assert parse_letter(letter(*FROM_ANN, f"Subject: less doi:10.1/x {token[:32]}"), OURS)[0].commands == (  # type: ignore[union-attr]
        Command("less", "doi:10.1/x"),
    )
    replied = parse_letter(letter(*FROM_ANN, f"In-Reply-To: {MAIL}", body="+2"), OURS)
    assert replied == (ReaderLetter("", "ann@reader.example", MAIL, "<1@reader.example>", (Command("more", "2"),)),)


@pytest.mark.parametrize(
    ("fields", "heard"),
    [
        (("From: <digest+x@example.org>",), False),
        (("From: a@b.example, c@d.example",), False),
        (("From: a@b.example", "From: c@d.example"), False),
        (("From: ann@reader.example (Ann)",), True),
        (('From: "Ann <x@y.example>" <ann@reader.example>',), True),
        (("From: ann@reader.example", "X-Apple-Unsubscribe: true"), False),
        (("From: ann@reader.example", "X-Auto-Response-Suppress: OOF"), False),
        (("From: ann@reader.example", "Subject: Automatic reply: hello"), False),
    ],
)
def test_only_a_person_with_one_address_asks_to_subscribe(fields: tuple[str, ...], heard: bool) -> None:
    assert bool(parse_letter(letter(*fields, "To: subscribe@example.org"), OURS)) == heard


@pytest.mark.parametrize(
    ("result", "believed"),
    [
        ("mx.example.org; dmarc=fail (p=none) header.from=reader.example", False),
        ("mx.example.org 1; spf=pass; DMARC = fail", False),
        ("(comment) mx.example.org; dmarc=fail", False),
        ("mx.example.org; dmarc=pass", True),
        ("mx.other.example; dmarc=fail", True),
        ("mx.example.org.evil.example; dmarc=fail", True),
    ],
)
def test_only_the_named_server_is_believed_about_forgery(result: str, believed: bool) -> None:
    raw = letter(*FROM_ANN, "To: subscribe@example.org", f"Authentication-Results: {result}")
    named = DigestAddresses(OURS.own, OURS.signup, authserv="mx.example.org")
    assert bool(parse_letter(raw, named)) == believed
    assert parse_letter(raw, OURS)
