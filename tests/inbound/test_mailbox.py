"""Reading a Maildir, a real IMAP server, and servers that misbehave; nothing in the mailbox changes."""

import base64
import imaplib
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from digest.errors import InboxError
from digest.inbound import MAX_LETTER_BYTES, Bounce, InboxSettings, UnsubscribeRequest
from digest.inbound.imap import imap_letters
from digest.inbound.letters import letter_identity
from digest.inbound.mailbox import ReadLetter, mailbox_name, maildir_letters, read_mailbox
from digest.settings import Secret
from tests.certificates import self_signed
from tests.conftest import DATA
from tests.dovecot import PASSWORD, Dovecot, dovecot, needs_dovecot
from tests.imap_server import DROP, GOOD, PLAIN, RAW, STALL, Scripted

TOKEN = "abcdefghijklmnopqrstuvwx23"
OTHER = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
LONG_AGO = date(2000, 1, 1)


def unsubscribe(token: str = TOKEN, more: str = "") -> bytes:
    return f"To: unsubscribe+{token}@example.org\nSubject: unsubscribe\n\n{more}\n".encode()


def sample(name: str) -> bytes:
    return (DATA / "letters" / f"{name}.eml").read_bytes()


def read(inbox: InboxSettings, cursor: str = "", since: date = LONG_AGO) -> list[ReadLetter]:
    return list(read_mailbox(inbox, cursor, since))


def tokens(letters: list[ReadLetter]) -> list[str]:
    return [getattr(event, "token", "") for letter in letters for event in letter.events]


def cursors(letters: list[ReadLetter]) -> list[str]:
    return [letter.cursor for letter in letters]


def identities(letters: list[ReadLetter]) -> list[str]:
    return [letter.identity for letter in letters]


# ---- a Maildir -------------------------------------------------------------------------------------------------------


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("new", "cur", "tmp", ".Archive/new", ".Archive/cur"):
        (tmp_path / "mail" / part).mkdir(parents=True)
    return tmp_path / "mail"


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_a_maildir_is_read_whole_and_not_changed(maildir: Path) -> None:
    (maildir / "new/1.a.host").write_bytes(sample("vacation"))
    (maildir / "new/2.b.host").write_bytes(unsubscribe())
    (maildir / "cur/0.c.host:2,FS").write_bytes(sample("postfix"))
    (maildir / "cur/3.d.host:2,").write_bytes(sample("digest"))
    (maildir / "tmp/4.e.host").write_bytes(unsubscribe())
    (maildir / "cur/.hidden").write_bytes(unsubscribe())
    (maildir / ".Archive/cur/5.f.host:2,S").write_bytes(unsubscribe())
    before = snapshot(maildir)
    letters = read(InboxSettings(path=maildir))
    assert [[type(event) for event in letter.events] for letter in letters] == [[UnsubscribeRequest], [Bounce], []]
    assert [letter.skipped for letter in letters] == [1, 0, 1]
    assert read(InboxSettings(path=maildir)) == letters
    assert snapshot(maildir) == before


def test_links_out_of_a_maildir_are_not_followed(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(unsubscribe())
    (maildir / "new/1.link").symlink_to(tmp_path / "elsewhere")
    assert read(InboxSettings(path=maildir)) == []


def test_letters_that_are_moved_while_being_read_are_read_once(maildir: Path) -> None:
    for number in range(6):
        name = f"new/{number}.host" if number < 3 else f"cur/{number}.host:2,"
        (maildir / name).write_bytes(unsubscribe(more=str(number)))
    contents: list[bytes] = []
    for letter in maildir_letters(maildir):
        if not contents:  # a mail program opens the folder …
            for path in (maildir / "new").iterdir():
                path.rename(maildir / "cur" / f"{path.name}:2,")
        if len(contents) == 1:  # … marks a letter as read, and deletes one
            (maildir / "cur/4.host:2,").rename(maildir / "cur/4.host:2,S")
            (maildir / "cur/5.host:2,").unlink()
        contents.append(letter.raw)
    assert sorted(contents) == [unsubscribe(more=str(number)) for number in range(5)]


def test_a_letter_larger_than_the_limit_is_read_up_to_it(maildir: Path) -> None:
    (maildir / "new/1.host").write_bytes(unsubscribe(more="x" * 2 * MAX_LETTER_BYTES))
    (letter,) = maildir_letters(maildir)
    assert len(letter.raw) == MAX_LETTER_BYTES
    assert tokens(read(InboxSettings(path=maildir))) == [TOKEN]


@pytest.fixture
def broken_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in the standard library: every subject with an encoded word fails."""

    def fail(text: str) -> str:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("email.quoprimime.header_decode", fail)


@pytest.mark.usefixtures("broken_decoder")
def test_a_letter_that_cannot_be_parsed_is_skipped_and_the_others_are_read(maildir: Path) -> None:
    raw = unsubscribe().replace(b"Subject: ", b"Subject: =?utf-8?q?x?=")
    (maildir / "new/1.host").write_bytes(raw)
    (maildir / "new/2.host").write_bytes(unsubscribe(OTHER))
    broken, whole = read(InboxSettings(path=maildir))
    assert (broken.events, broken.identity) == ((), letter_identity(raw))
    assert broken.problem == "it cannot be parsed: ZeroDivisionError: division by zero"
    assert (tokens([whole]), whole.problem) == ([OTHER], "")


@pytest.mark.usefixtures("broken_decoder")
def test_over_imap_the_cursor_moves_past_a_letter_that_cannot_be_parsed() -> None:
    raw = RAW.replace("Subject: ", "Subject: =?utf-8?q?x?=")
    steps = {
        step: GOOD[step].replace(RAW, raw).replace(f"{{{len(RAW)}}}", f"{{{len(raw)}}}")
        for step in ("HEADERS", "WHOLE")
    }
    with Scripted(steps).running() as inbox:
        broken, rest = read(inbox)
    assert (broken.cursor, broken.problem != "", rest) == ("7:1", True, ReadLetter("7:2", "", (), 1))


def test_letters_without_events_are_reported_now_and_then_so_that_the_cursor_moves(maildir: Path) -> None:
    for number in range(1100):
        (maildir / f"new/{number}.host").write_bytes(sample("reply"))
    assert [letter.skipped for letter in read(InboxSettings(path=maildir))] == [1000, 100]


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_path_that_is_not_a_maildir_is_an_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "file":
        path.write_bytes(unsubscribe())
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InboxError) as caught:
        read(InboxSettings(path=path))
    reason = "it is not a Maildir, which contains new and cur; check inbox.path"
    assert str(caught.value) == f"the mailbox {path} cannot be read: {reason}"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_letter_without_read_permission_is_an_error(maildir: Path) -> None:
    (maildir / "new/1.host").write_bytes(unsubscribe())
    (maildir / "new/1.host").chmod(0)
    with pytest.raises(InboxError, match="Permission denied"):
        read(InboxSettings(path=maildir))


def test_a_mailbox_has_a_name_without_secrets(maildir: Path) -> None:
    imap = InboxSettings(host="IMAP.example.org", username="me@example.org", password=Secret(PASSWORD), folder="A b")
    assert mailbox_name(imap) == "imap://me%40example.org@imap.example.org/A%20b"
    assert mailbox_name(replace(imap, port=143)) == "imap://me%40example.org@imap.example.org:143/A%20b"
    assert mailbox_name(InboxSettings(path=maildir)) == str(maildir)


# ---- servers that misbehave ------------------------------------------------------------------------------------------

STEPS = [step for step in GOOD if step not in ("LOGIN", "CAPABILITY", "LOGOUT")]
FLAGS = "* 2 FETCH (FLAGS (\\Seen))\r\n"


@pytest.mark.parametrize(
    "replies",
    [
        {},
        {"HEADERS": GOOD["HEADERS"].replace("UID 1 ", "").replace(")\r\n{tag}", " UID 1)\r\n{tag}")},
        {"HEADERS": FLAGS + GOOD["HEADERS"], "WHOLE": FLAGS + "* 2 EXPUNGE\r\n" + GOOD["WHOLE"]},
        {step: GOOD[step].replace("{tag}", FLAGS + "{tag}") for step in ("HEADERS", "WHOLE")},
        {"SEARCH": "* SEARCH 1\r\n* SEARCH 2\r\n{tag} OK done\r\n"},
        {"SEARCH": "* SEARCH 2 1\r\n* 3 EXISTS\r\n{tag} OK done\r\n"},
        {"LOGOUT": DROP},
        {"LOGOUT": STALL},
        {"LOGOUT": "{tag} NO stay\r\n"},
        {"HEADERS": GOOD["HEADERS"].replace("{tag}", '* 2 FETCH (UID 2 BODY[HEADER.FIELDS (TO)]<0> "")\r\n{tag}')},
    ],
)
def test_responses_are_parsed_in_any_order(replies: dict[str, str]) -> None:
    server = Scripted(replies)
    with server.running() as inbox:
        letters = read(inbox)
    assert tokens(letters) == [TOKEN]
    assert [(letter.cursor, letter.skipped) for letter in letters] == [("7:1", 0), ("7:2", 1)]
    words = " ".join(server.commands)
    assert "EXAMINE" in words
    assert not re.search(r"\b(SELECT|STORE|EXPUNGE|COPY|MOVE|APPEND|CLOSE)\b|BODY\[", words)


def test_a_letter_that_is_deleted_before_it_is_fetched_is_skipped() -> None:
    with Scripted({"WHOLE": "{tag} OK nothing\r\n"}).running() as inbox:
        assert read(inbox) == [ReadLetter("7:2", "", (), 2)]
    with Scripted({"HEADERS": "{tag} OK nothing\r\n"}).running() as inbox:
        assert read(inbox) == [ReadLetter("7:2", "", (), 2)]


def test_a_server_may_say_goodbye_at_length() -> None:
    with Scripted({"LOGOUT": "* BYE {9000000000}\r\n"}).running() as inbox:
        assert tokens(read(inbox)) == [TOKEN]


def test_what_was_sent_before_encryption_is_not_read_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody on the line can append an answer to the last one that is not encrypted."""
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    self_signed(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    replies = {
        "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n",
        "STARTTLS": "{tag} OK begin\r\n* BYE said the stranger\r\n",
    }
    with Scripted(replies, context).running() as inbox:
        assert tokens(read(replace(inbox, security="starttls"))) == [TOKEN]


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"LOGIN": "{tag} NO no " + PASSWORD + "\r\n"}, "it rejected the login of me (no ***); check inbox.username"),
        ({"EXAMINE": "{tag} NO none\r\n"}, "the folder 'INBOX' cannot be opened (none); check inbox.folder"),
        ({"GREETING": "* BYE too many\r\n"}, "IMAP error (* BYE too many); try again later"),
        ({"SEARCH": "{tag} NO busy\r\n"}, "IMAP error (busy); try again later"),
        ({"SEARCH": "* SEARCH one two\r\n{tag} OK done\r\n"}, "IMAP error (expected a number, got 'one')"),
        ({"SEARCH": "* SEARCH 1_0\r\n{tag} OK done\r\n"}, "IMAP error (expected a number, got '1_0')"),
        ({"SEARCH": "* SEARCH 1 99999999999\r\n{tag} OK done\r\n"}, "IMAP error (expected a number, got '9999999"),
        ({"SEARCH": "* SEARCH {3}\r\n1 2\r\n{tag} OK done\r\n"}, "IMAP error (expected numbers, got a literal)"),
        ({"EXAMINE": GOOD["EXAMINE"].replace("2 EX", "99999999999 EX")}, "IMAP error (expected a number, got '9999999"),
        (
            {"EXAMINE": GOOD["EXAMINE"].replace("2 EX", "4294967295 EX")},
            "the folder has 4,294,967,295 letters; use one",
        ),
        ({"HEADERS": "* 1 FETCH (UID 1 BODY[] {9000000000}\r\n"}, "it sent an answer of more than 32,000,000 bytes"),
        ({"WHOLE": f"* 1 FETCH (UID 1 BODY[] {{1{'0' * 30}}}\r\n"}, "it sent an answer of more than 32,000,000 bytes"),
        ({"WHOLE": f"* 1 FETCH (UID 1 BODY[] {{1{'0' * 5000}}}\r\n"}, "IMAP error ("),
        ({"GREETING": "* OK " + "x" * 2_000_000 + "\r\n"}, "it sent a line of more than 1,000,000 bytes; check inbox"),
        ({"HEADERS": "{tag} NO busy\r\n"}, "IMAP error (busy); try again later"),
        ({"EXAMINE": "* 2 EXISTS\r\n{tag} OK open\r\n"}, "IMAP error (expected a number, got '')"),
        ({"CAPABILITY": "* CAPABILITY \xff\r\n{tag} OK done\r\n"}, "IMAP error ("),
        ({"GREETING": "220 smtp.example.org ESMTP\r\n"}, "IMAP error ("),
        ({"LOGIN": "\x00\xff\r\n"}, ""),
        ({"HEADERS": "* 1 FETCH (UID 1 BODY[] {99}\r\nx"}, "it did not answer within 0.3 seconds"),
        *(({step: STALL, **PLAIN}, "it did not answer within 0.3 seconds") for step in STEPS),
        *(({step: DROP, **PLAIN}, "") for step in STEPS),
    ],
)
def test_an_unreadable_server_is_reported_without_the_password(replies: dict[str, str], reason: str) -> None:
    server = Scripted(replies)
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(inbox)
    message = str(caught.value)
    assert message.startswith(f"the mailbox on 127.0.0.1:{inbox.port} cannot be read: {reason}"), message
    assert PASSWORD not in message
    assert message.isprintable()


@pytest.mark.parametrize("password", [PASSWORD, 'back\\slash "quote"', "=equal="])
@pytest.mark.parametrize("form", ["{tag} NO you sent {command}", "* BYE {command}", "{command}", "{tag} BAD {command}"])
@pytest.mark.parametrize("capabilities", [{}, PLAIN], ids=["LOGIN", "PLAIN"])
def test_a_quoted_login_is_not_shown(capabilities: dict[str, str], form: str, password: str) -> None:
    server = Scripted({"LOGIN": f"{form}\r\n", "SECRET": f"{form}\r\n", **capabilities})
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(replace(inbox, password=Secret(password)))
    encoded = base64.b64encode(f"\0me\0{password}".encode()).decode()
    assert any(encoded in line if capabilities else "LOGIN" in line for line in server.commands)
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    for secret in (password, repr(password)[1:-1], quoted, repr(quoted)[1:-1], encoded):
        assert secret not in str(caught.value)


def test_a_password_may_have_any_characters_if_the_server_accepts_them() -> None:
    server = Scripted(PLAIN)
    with server.running() as inbox:
        assert tokens(read(replace(inbox, password=Secret("pässwörd\r\n")))) == [TOKEN]
    assert base64.b64encode("\0me\0pässwörd\r\n".encode()).decode() in server.commands


@pytest.mark.parametrize(
    "replies",
    [
        {},
        {"CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n", "STARTTLS": "{tag} NO not now\r\n"},
        {
            "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n",
            "STARTTLS": "{tag} OK go\r\n* OK hm\r\n",
        },
        {"GREETING": "* PREAUTH go on\r\n", "CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n{tag} OK done\r\n"},
    ],
)
def test_a_server_without_encryption_gets_no_password(replies: dict[str, str]) -> None:
    server = Scripted(replies)
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(replace(inbox, security="starttls"))
    assert not re.search("LOGIN|AUTHENTICATE", " ".join(server.commands))
    assert [line for line in server.commands if "STARTTLS" in line] or "STARTTLS" not in replies
    assert replies or "it does not offer STARTTLS; set inbox.security" in str(caught.value)


def test_a_password_that_login_cannot_send_is_not_sent() -> None:
    for password in ("pässword", "pass\r\nword"):
        server = Scripted({})
        with server.running() as inbox, pytest.raises(InboxError, match="accepts only ASCII in a login"):
            read(replace(inbox, password=Secret(password)))
        assert "LOGIN" not in " ".join(server.commands)


def test_a_missing_password_is_an_error() -> None:
    with Scripted({}).running() as inbox, pytest.raises(InboxError, match=r"set DIGEST_INBOX_PASSWORD in \.env"):
        read(replace(inbox, password=Secret("")))


def test_an_unreachable_server_is_an_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(InboxError) as caught:
        read(InboxSettings(host="127.0.0.1", port=port, username="me", password=Secret(PASSWORD)))
    reason = "Connection refused; check inbox.host and inbox.port"
    assert str(caught.value) == f"the mailbox on 127.0.0.1:{port} cannot be read: {reason}"


def test_a_large_mailbox_is_searched_in_windows_from_the_newest_down() -> None:
    server = Scripted({"EXAMINE": GOOD["EXAMINE"].replace("2 EXISTS", "120000 EXISTS")})
    with server.running() as inbox:
        assert tokens(read(inbox, since=date(2026, 1, 1))) == [TOKEN]
    windows = [line.partition("SEARCH ")[2] for line in server.commands if "SEARCH" in line]
    assert windows == [f"{window} SINCE 31-Dec-2025" for window in ("70001:*", "20001:70000", "1:20000")]


@pytest.mark.parametrize(
    ("cursor", "criterion", "expected"),
    [
        ("", "SINCE 1-Jan-1970", [TOKEN]),
        ("7:5", "UID 6:*", []),  # a server answers with the last letter, even if its UID is smaller
        ("6:5", "SINCE 1-Jan-1970", [TOKEN]),
        ("what", "SINCE 1-Jan-1970", [TOKEN]),
        ("7:-1", "SINCE 1-Jan-1970", [TOKEN]),
    ],
)
def test_a_cursor_is_valid_only_for_its_mailbox(cursor: str, criterion: str, expected: list[str]) -> None:
    server = Scripted({})
    with server.running() as inbox:
        assert tokens(read(inbox, cursor, date.min)) == expected
    assert f"UID SEARCH 1:* {criterion}" in " ".join(server.commands)


# ---- a real server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Dovecot]:
    with dovecot(tls=True) as running:
        running.deliver(unsubscribe())
        yield running


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs the real server."""
    marked: Callable[..., None] = pytest.mark.slow(needs_dovecot(test))
    return marked


@real
def test_a_real_mailbox_is_read_and_not_changed(server: Dovecot) -> None:
    server.deliver(sample("reply"))
    server.deliver(unsubscribe(), flags="")
    server.deliver(unsubscribe(OTHER), flags="S")
    server.deliver(sample("postfix"), flags="FS")
    server.deliver(sample("vacation"))
    before = server.letters()
    letters = read(server.inbox())
    assert sorted(tokens(letters)) == sorted([TOKEN, OTHER, TOKEN])
    assert sum(letter.skipped for letter in letters) == 2
    assert server.letters() == before


@real
def test_a_second_reading_finds_only_what_is_new(server: Dovecot) -> None:
    assert read(server.inbox()) == []
    for number in range(450):  # more than are fetched at a time
        server.deliver(unsubscribe(more=str(number)) if number % 100 == 0 else sample("reply"))
    first = read(server.inbox())
    assert [cursor.partition(":")[2] for cursor in cursors(first)] == ["1", "101", "201", "301", "401", "450"]
    assert read(server.inbox(), first[-1].cursor) == []
    assert cursors(read(server.inbox(), first[3].cursor)) == [letter.cursor for letter in first[4:]]
    server.deliver(unsubscribe(OTHER))
    assert tokens(read(server.inbox(), first[-1].cursor)) == [OTHER]


@real
def test_a_renumbered_mailbox_is_read_again_and_its_letters_keep_their_identity(server: Dovecot) -> None:
    server.deliver(sample("unsubscribe"))
    server.deliver(sample("gmail"))
    first = read(server.inbox())
    server.renumber()
    again = read(server.inbox(), first[-1].cursor)
    assert set(cursors(again)).isdisjoint(cursors(first))
    assert identities(again) == identities(first)
    assert identities(read(InboxSettings(path=server.mail))) == [letter.identity for letter in first]


@real
def test_letters_from_before_the_first_digest_are_not_read(server: Dovecot) -> None:
    server.deliver(unsubscribe())
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login("me", PASSWORD)
        client.append("INBOX", "", '"10-Apr-2020 12:00:00 +0000"', unsubscribe(OTHER))
    assert tokens(read(server.inbox(), since=date(2020, 4, 12))) == [TOKEN]
    assert sorted(tokens(read(server.inbox(), since=date(2020, 4, 11)))) == sorted([OTHER, TOKEN])


@real
@pytest.mark.parametrize(
    ("folder", "encoded"),
    [
        ("Answers", "Answers"),
        ("Two words", '"Two words"'),
        ("\u03ff", "&A,8-"),
        ('Entwürfe & "mehr" \\ 日本', '"Entw&APw-rfe &- \\"mehr\\" \\\\ &ZeVnLA-"'),
    ],
)
def test_another_folder_can_be_read_whatever_its_name(server: Dovecot, folder: str, encoded: str) -> None:
    with pytest.raises(InboxError, match=r"the folder .* cannot be opened .*; check inbox\.folder"):
        read(server.inbox(folder=folder))
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login("me", PASSWORD)
        assert client.create(encoded)[0] == "OK"
        assert client.append(encoded, "", "", unsubscribe())[0] == "OK"
    assert tokens(read(server.inbox(folder=folder))) == [TOKEN]
    assert tokens(read(server.inbox())) == []


@real
def test_a_large_letter_is_fetched_up_to_the_limit(server: Dovecot) -> None:
    server.deliver(unsubscribe(more="x" * 70 + "\n" + "y" * 3 * MAX_LETTER_BYTES))
    (whole,) = imap_letters(server.inbox(), "", LONG_AGO)
    assert len(whole.raw) == MAX_LETTER_BYTES
    (from_imap,), (from_maildir,) = read(server.inbox()), read(InboxSettings(path=server.mail))
    assert from_imap.events == (UnsubscribeRequest(TOKEN),)
    assert from_imap.identity == from_maildir.identity


@real
def test_a_rejected_login_is_an_error(server: Dovecot) -> None:
    with pytest.raises(InboxError) as caught:
        read(server.inbox(password=Secret("not-the-password")))
    assert "it rejected the login of me@example.org ([AUTHENTICATIONFAILED] Authentication failed.)" in str(
        caught.value
    )
    assert "not-the-password" not in str(caught.value)


@real
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mailbox_is_read_encrypted(encrypted: Dovecot, security: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(encrypted.certificate))
    assert tokens(read(encrypted.inbox(security=security))) == [TOKEN]


@real
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_server_with_an_untrusted_certificate_gets_no_password(encrypted: Dovecot, security: str) -> None:
    name = f"wary-{security}@example.org"
    with pytest.raises(InboxError, match=r"certificate verification failed \(.*\); check inbox.host"):
        read(encrypted.inbox(security=security, username=name))
    assert name not in encrypted.log
