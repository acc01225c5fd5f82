"""The whole message keeps the shape that the RFCs ask for, whatever is in it."""

import re
from datetime import date
from email import message_from_bytes, policy
from email.header import decode_header
from email.utils import parsedate_to_datetime
from quopri import decodestring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from digest.mail.address import Mailbox
from digest.mail.message import (
    Boundary,
    Fragment,
    MessageFrame,
    build_frame,
    encode_lines,
    fill_frame,
    first_fields,
    message_id,
    other_fields,
    quoted_printable,
)
from digest.mail.unsubscribe import UnsubscribeSettings
from digest.papers.text.fit import header_text
from tests.editions import DAY, LEAVE, NOW, PLACEHOLDERS, SENDER, TOKEN, edition, framed, mail, plain_papers

GAPS = [b"", b"address", b"token", b"id", b"address-qp", b"token-qp", b"feedback-qp", b"place"]
ONCE = (
    "from to subject date message-id list-id list-unsubscribe auto-submitted precedence feedback-id mime-version"
    " content-type"
)


def headers(raw: bytes) -> list[tuple[str, str]]:
    """Header fields, unfolded by the rule of RFC 5322 2.2.3 alone."""
    block = raw.partition(b"\r\n\r\n")[0].decode("ascii")
    fields = re.sub(r"\r\n(?=[ \t])", "", block).split("\r\n")
    return [(name.lower(), value.strip()) for name, _, value in (field.partition(":") for field in fields)]


def frame_of(subject: str, text: str = "text", title: str = "T", sender: Mailbox = SENDER) -> MessageFrame:
    """The frame of a message whose plain text and HTML are the same."""
    boundary, content = Boundary(PLACEHOLDERS), encode_lines(text + "\n", PLACEHOLDERS)
    head = other_fields(title, sender, LEAVE, PLACEHOLDERS, DAY, NOW, {}) + boundary.content_type
    body = Fragment(head, boundary.before_text + content, boundary.before_html + content + boundary.end)
    return build_frame([Fragment(first_fields(sender, subject)), body], sender.address)


MAIL = mail(edition(plain_papers(20), "Trending papers – größer"))
FIELDS = dict(headers(MAIL))


@pytest.mark.parametrize("length", range(30, 80, 3))
def test_a_subject_arrives_with_its_spaces_wherever_its_lines_end(length: int) -> None:
    for middle in ("", "ö", "…"):
        subject = f"{'Otters and seals of the north sea swim ' * 3}"[:length].strip() + f"{middle} · 11 more papers"
        raw = fill_frame(frame_of(subject), "ann@example.org", TOKEN, DAY)
        assert message_from_bytes(raw, policy=policy.default)["Subject"] == subject
        assert all(len(line) <= 76 for line in raw.split(b"List-Id")[0].split(b"\r\n"))


def test_every_header_is_there_once() -> None:
    names = [name for name, _ in headers(MAIL)]
    assert sorted(names) == sorted([*ONCE.split(), "list-unsubscribe-post"])


def test_lines_end_with_crlf_and_none_is_too_long() -> None:
    assert b"\n" not in MAIL.replace(b"\r\n", b"")
    assert b"\r" not in MAIL.replace(b"\r\n", b"")
    body = MAIL.partition(b"\r\n\r\n")[2]
    assert max(len(line) for line in body.split(b"\r\n")) <= 76
    assert max(len(line) for line in MAIL.split(b"\r\n")) <= 998


def test_no_line_begins_with_a_dot() -> None:
    assert b"\n." not in mail(edition(plain_papers(3), ".hidden\n.dots"))
    assert quoted_printable(".a\n..b\n") == b"=2Ea\r\n=2E.b\r\n"


LINES = st.text(st.sampled_from(".\n a=<ä" + PLACEHOLDERS.address[-1]), max_size=200)
LOCAL = st.text(st.sampled_from(".a="), min_size=1, max_size=64)


@given(text=LINES, title=LINES, local=LOCAL, gaps=st.integers(0, 3))
def test_no_message_that_is_built_has_a_line_with_a_leading_dot(text: str, title: str, local: str, gaps: int) -> None:
    content = text + f".{PLACEHOLDERS.address}.{PLACEHOLDERS.token}." * gaps + text
    frame = frame_of(title, content, title)
    assert not frame.leading_dots
    assert b"\n." not in b"\n" + fill_frame(frame, f"{local}@example.org", TOKEN, DAY)


def form(gaps: list[bytes]) -> st.SearchStrategy[list[tuple[bytes, bytes]]]:
    return st.lists(st.tuples(st.sampled_from([b".\r\n", b"\r\n", b"a\r\n"]), st.sampled_from(gaps)), max_size=6)


@given(st.lists(st.tuples(form(GAPS[:-1]), form(GAPS), form(GAPS)), min_size=1, max_size=4), LOCAL)
def test_a_frame_of_any_make_is_without_leading_dots_only_if_no_message_of_it_has_one(
    made: list[tuple[list[tuple[bytes, bytes]], ...]], local: str
) -> None:
    forms = [[b"".join(b + (b"\0%b\0\r\n" % gap if gap else b"") for b, gap in form) for form in one] for one in made]
    frame = build_frame([Fragment(head, text, html) for head, text, html in forms], "a@example.org")
    if not frame.leading_dots:
        assert b"\n." not in b"\n" + fill_frame(frame, f"{local}@example.org", TOKEN, DAY)


def test_papers_are_numbered_in_their_order_in_the_text_and_in_the_html() -> None:
    place = encode_lines(f"{PLACEHOLDERS.place}. Paper, again {PLACEHOLDERS.place}\n", PLACEHOLDERS)
    paper, heading = Fragment(b"", place, place, begins_paper=True), Fragment(b"", b"HEADING\r\n", b"<h2>\r\n")
    badge = Fragment(b"", b"badge\r\n", b"")
    frame = build_frame([paper, heading, paper, badge, paper], "a@example.org")
    text = decodestring(b"".join(frame.pieces)).decode().replace("\r\n", "\n")
    papers = "1. Paper, again 1\n{}2. Paper, again 2\n{}3. Paper, again 3\n"
    assert text == papers.format("HEADING\n", "badge\n") + papers.format("<h2>\n", "")


def test_the_number_of_a_paper_stays_in_its_line() -> None:
    assert encode_lines(f"{PLACEHOLDERS.place}. Title\n", PLACEHOLDERS) == b"\0place\0. Title\r\n"
    assert encode_lines(f"No. {PLACEHOLDERS.place}", PLACEHOLDERS) == b"No.=20=\r\n\0place\0=\r\n"


LETTERS = st.text(st.sampled_from("ab.= \n\tä中" + PLACEHOLDERS.address[0]), max_size=120)


@given(st.lists(LETTERS, max_size=8))
def test_encoded_pieces_are_whole_lines_and_say_the_same_when_they_are_joined(pieces: list[str]) -> None:
    lines = [encode_lines(piece, PLACEHOLDERS) for piece in pieces]
    assert all(not line or line.endswith(b"\r\n") for line in lines)
    assert decodestring(b"".join(lines)).decode().replace("\r\n", "\n") == "".join(pieces)
    assert all(len(line) <= 76 for line in b"".join(lines).split(b"\r\n"))


def test_an_independent_parser_finds_plain_text_before_html() -> None:
    parsed = message_from_bytes(MAIL, policy=policy.default)
    assert parsed.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in parsed.iter_parts()] == ["text/plain", "text/html"]
    assert not parsed.defects
    assert not any(part.defects for part in parsed.walk())
    for part in parsed.iter_parts():
        assert part.get_content_charset() == "utf-8"
        assert "ann@example.org" in part.get_content()
        assert TOKEN in part.get_content()
        assert "PLACEHOLDER" not in part.get_content()


def test_who_unsubscribes_can_do_so_by_web_and_by_mail() -> None:
    found = re.fullmatch(r"<([^<>]+)>,\s*<([^<>]+)>", FIELDS["list-unsubscribe"])
    assert found
    assert found[1] == f"https://d.example.org/u/{TOKEN}"
    assert found[2] == f"mailto:unsubscribe+{TOKEN}@mail.example.org?subject=unsubscribe"
    assert FIELDS["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


def test_one_click_is_only_promised_where_there_is_a_page() -> None:
    fields = dict(headers(mail(edition(plain_papers(1)), unsubscribe=UnsubscribeSettings(mailto="leave@example.org"))))
    assert fields["list-unsubscribe"] == f"<mailto:leave+{TOKEN}@example.org?subject=unsubscribe>"
    assert "list-unsubscribe-post" not in fields
    fields = dict(headers(mail(edition(plain_papers(1)), unsubscribe=UnsubscribeSettings())))
    assert fields["list-unsubscribe"] == f"<mailto:digest@mail.example.org?subject=unsubscribe%20{TOKEN}>"


def test_a_long_page_address_is_not_mangled() -> None:
    url = "https://example.org/" + "path/" * 40 + "{token}"
    fields = dict(headers(mail(edition(plain_papers(1)), unsubscribe=UnsubscribeSettings(url=url))))
    assert fields["list-unsubscribe"].startswith("<" + url.replace("{token}", TOKEN) + ">")


@pytest.mark.parametrize("length", range(30, 110, 4))
def test_a_token_keeps_the_lines_legal_wherever_in_a_line_it_falls(length: int) -> None:
    unsubscribe = UnsubscribeSettings(url="https://example.org/" + "p" * length + "{token}")
    raw = mail(edition(plain_papers(1)), unsubscribe=unsubscribe)
    assert max(len(line) for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n")) <= 76


def test_identity_and_dates_are_what_they_should_be() -> None:
    assert FIELDS["message-id"] == message_id(TOKEN, DAY, SENDER.address)
    assert re.fullmatch(r"<20260420\.[0-9a-f]{20}@mail\.example\.org>", FIELDS["message-id"])
    assert parsedate_to_datetime(FIELDS["date"]) == NOW
    assert FIELDS["date"].endswith("+0200")
    assert re.fullmatch(r"(.+ )?<daily\.digest\.mail\.example\.org>", FIELDS["list-id"])
    assert FIELDS["auto-submitted"] == "auto-generated"
    assert re.fullmatch(r"\d+:daily:digest:\w{5,15}", FIELDS["feedback-id"])


def test_a_message_id_is_the_same_for_a_retry_and_another_for_another_day_or_reader() -> None:
    ids = {message_id(token, day, "a@b.example") for token in ("one", "two") for day in (DAY, date(2026, 4, 21))}
    assert len(ids) == 4
    assert message_id("one", DAY, "a@b.example") in ids


@pytest.mark.parametrize(
    "subject", ["Kurz", "ü" * 100, "Ein – langer Titel über Dinge " * 5, "日本語の論文" * 20, "a" * 300]
)
def test_encoded_words_are_short_enough_and_say_what_was_meant(subject: str) -> None:
    line = next(v for n, v in headers(fill_frame(frame_of(subject), "a@b.example", TOKEN, DAY)) if n == "subject")
    assert all(len(word) <= 75 for word in re.findall(r"=\?[^?]+\?[^?]+\?[^?]*\?=", line))
    decoded = "".join(
        part.decode(charset or "ascii") if isinstance(part, bytes) else part for part, charset in decode_header(line)
    )
    assert decoded == header_text(subject, 200)


EVIL = [
    "=?utf-8?q?hi=0ABcc=3A_evil=40example.org?=",
    "a\r\nBcc: evil@example.org",
    "a\nX-Evil: yes",
    "a\u2028Bcc: evil@example.org",
    "a\x00b\x1b[31m",
    "\u202eevil",
    "\ud800 half",
    "=?utf-8?b?DQpCY2M6IGV2aWxAZXhhbXBsZS5vcmc=?=",
]


@pytest.mark.parametrize("evil", EVIL)
def test_no_subject_or_name_injects_a_header(evil: str) -> None:
    sender = Mailbox(header_text(evil), "digest@mail.example.org")
    raw = fill_frame(frame_of(evil, title=evil, sender=sender), "ann@example.org", TOKEN, DAY)
    assert sorted(name for name, _ in headers(raw)) == sorted([*ONCE.split(), "list-unsubscribe-post"])
    parsed = message_from_bytes(raw, policy=policy.default)
    assert parsed["Bcc"] is None
    assert parsed["X-Evil"] is None
    assert len(parsed.get_all("From") or ()) == 1


@settings(deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", min_codepoint=32), max_size=400))
def test_quoted_printable_comes_back_and_keeps_its_columns(text: str) -> None:
    encoded = quoted_printable(f"{text}\nsecond line \n")
    assert decodestring(encoded).replace(b"\r\n", b"\n").decode("utf-8") == f"{text}\nsecond line \n"
    assert all(len(line) <= 75 for line in encoded.split(b"\r\n"))


ADDRESSES = st.from_regex(r"[a-z0-9=+._-]{1,60}@[a-z0-9]{1,60}\.example", fullmatch=True).filter(
    lambda a: ".." not in a
)
FRAME = framed(edition(plain_papers(3)))


@settings(deadline=None)
@given(ADDRESSES)
def test_whatever_the_length_of_an_address_the_lines_around_it_keep_theirs(to: str) -> None:
    raw = fill_frame(FRAME, to, TOKEN, DAY)
    assert max(len(line) for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n")) <= 76
    parsed = message_from_bytes(raw, policy=policy.default)
    for kind in ("plain", "html"):
        body = parsed.get_body((kind,))
        assert body is not None
        assert to in body.get_content()


def test_filling_in_costs_little_and_changes_nothing_else() -> None:
    one, other = (fill_frame(FRAME, to, TOKEN, DAY) for to in ("ann@example.org", "bob@example.org"))
    assert one.replace(b"ann@", b"bob@") == other
    assert len(FRAME.pieces) // 2 < 12
