"""Reading mailboxes: a Maildir, a real IMAP server, and servers that misbehave; nothing in them changes."""

import base64
import imaplib
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

import pytest

from digest.errors import InboxError
from digest.inbound import LIMIT, Bounce, InboxSettings, UnsubscribeRequest
from digest.inbound.imap import letters as imap_letters
from digest.inbound.mailbox import ReadLetter, mailbox_name, read_mailbox
from digest.inbound.mailbox import maildir_letters as maildir_letters
from digest.settings import Secret
from tests.conftest import DATA
from tests.dovecot import PASSWORD, Dovecot, dovecot, needs_dovecot

TOKEN = "abcdefghijklmnopqrstuvwx23"
FORGED = "aaaaaaaaaaaaaaaaaaaaaaaaaa"
LONG_AGO = date(2000, 1, 1)


def leave(token: str = TOKEN, more: str = "") -> bytes:
    return f"To: unsubscribe+{token}@example.org\nSubject: unsubscribe\n\n{more}\n".encode()


def sample(name: str) -> bytes:
    return (DATA / "letters" / f"{name}.eml").read_bytes()


def read(inbox: InboxSettings, cursor: str = "", since: date = LONG_AGO) -> list[ReadLetter]:
    return list(read_mailbox(inbox, cursor, since))


def tokens(found: list[ReadLetter]) -> list[str]:
    return [request.token for one in found for request in one.requests]


# ---- a Maildir -------------------------------------------------------------------------------------------------------


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for part in ("new", "cur", "tmp", ".Archive/new", ".Archive/cur"):
        (tmp_path / "mail" / part).mkdir(parents=True)
    return tmp_path / "mail"


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file()}


def test_a_maildir_is_read_whole_and_left_as_it_is(maildir: Path) -> None:
    (maildir / "new/1.a.host").write_bytes(sample("vacation"))
    (maildir / "new/2.b.host").write_bytes(leave())
    (maildir / "cur/0.c.host:2,FS").write_bytes(sample("postfix"))
    (maildir / "cur/3.d.host:2,").write_bytes(sample("digest"))
    (maildir / "tmp/4.e.host").write_bytes(leave())
    (maildir / "cur/.hidden").write_bytes(leave())
    (maildir / ".Archive/cur/5.f.host:2,S").write_bytes(leave())
    before = snapshot(maildir)
    found = read(InboxSettings(path=maildir))
    assert [[type(r) for r in one.requests] for one in found] == [[UnsubscribeRequest], [Bounce], []]
    assert [one.left_alone for one in found] == [1, 0, 1]
    assert read(InboxSettings(path=maildir)) == found
    assert snapshot(maildir) == before


def test_links_out_of_a_maildir_are_not_followed(maildir: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(leave())
    (maildir / "new/1.link").symlink_to(tmp_path / "elsewhere")
    assert read(InboxSettings(path=maildir)) == []


def test_letters_that_are_moved_while_being_read_are_read_once(maildir: Path) -> None:
    for number in range(6):
        part = "new" if number < 3 else "cur"
        (maildir / part / (f"{number}.host" + (":2," if part == "cur" else ""))).write_bytes(leave(more=str(number)))
    found: list[bytes] = []
    for letter in maildir_letters(maildir):
        if not found:  # a mail program opens the folder …
            for path in (maildir / "new").iterdir():
                path.rename(maildir / "cur" / f"{path.name}:2,")
        if len(found) == 1:  # … marks a letter as read, and deletes one
            (maildir / "cur/4.host:2,").rename(maildir / "cur/4.host:2,S")
            (maildir / "cur/5.host:2,").unlink()
        found.append(letter.raw)
    assert sorted(found) == [leave(more=str(number)) for number in range(5)]


def test_a_letter_larger_than_the_limit_is_read_up_to_it(maildir: Path) -> None:
    (maildir / "new/1.host").write_bytes(leave(more="x" * 2 * LIMIT))
    (letter,) = maildir_letters(maildir)
    assert len(letter.raw) == LIMIT
    assert tokens(read(InboxSettings(path=maildir))) == [TOKEN]


@pytest.mark.parametrize("kind", ["missing", "file", "empty"])
def test_a_path_that_is_no_maildir_is_told(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    if kind == "file":
        path.write_bytes(leave())
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InboxError) as caught:
        read(InboxSettings(path=path))
    reason = "it is no Maildir, which holds new and cur; check inbox.path"
    assert str(caught.value) == f"the mailbox {path} cannot be read: {reason}"


@pytest.mark.skipif(os.getuid() == 0, reason="root may read every file")
def test_a_letter_that_may_not_be_read_is_told(maildir: Path) -> None:
    (maildir / "new/1.host").write_bytes(leave())
    (maildir / "new/1.host").chmod(0)
    with pytest.raises(InboxError, match="Permission denied"):
        read(InboxSettings(path=maildir))


def test_a_mailbox_has_a_name_without_secrets(maildir: Path) -> None:
    imap = InboxSettings(host="IMAP.example.org", username="me@example.org", password=Secret(PASSWORD), folder="A b")
    assert mailbox_name(imap) == "imap://me%40example.org@imap.example.org/A%20b"
    assert mailbox_name(replace(imap, port=143)) == "imap://me%40example.org@imap.example.org:143/A%20b"
    assert mailbox_name(InboxSettings(path=maildir)) == str(maildir)


# ---- servers that misbehave ------------------------------------------------------------------------------------------

RAW = leave().replace(b"\n", b"\r\n").decode()
STALL = "stall"
DROP = ""
GOOD = {
    "GREETING": "* OK ready\r\n",
    "CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK done\r\n",
    "LOGIN": "{tag} OK welcome\r\n",
    "EXAMINE": "* 2 EXISTS\r\n* OK [UIDVALIDITY 7] valid\r\n{tag} OK [READ-ONLY] open\r\n",
    "SEARCH": "* SEARCH 1 2\r\n{tag} OK done\r\n",
    "HEADS": f"* 1 FETCH (UID 1 BODY[HEADER.FIELDS (TO)]<0> {{{len(RAW)}}}\r\n{RAW})\r\n{{tag}} OK done\r\n",
    "WHOLE": f"* 1 FETCH (UID 1 BODY[]<0> {{{len(RAW)}}}\r\n{RAW})\r\n{{tag}} OK done\r\n",
    "AUTHENTICATE": "+ \r\n",
    "SECRET": "{tag} OK welcome\r\n",
    "LOGOUT": "* BYE bye\r\n{tag} OK done\r\n",
}


PLAIN = {"CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n"}
STEPS = [step for step in GOOD if step not in ("LOGIN", "CAPABILITY", "LOGOUT")]


@dataclass
class Scripted:
    """A server that answers one client as it is told, and remembers what it was asked."""

    replies: dict[str, str]
    port: int = 0
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[InboxSettings]:
        with ExitStack() as stack:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            thread = threading.Thread(target=self._serve, args=(listener,))
            thread.start()
            stack.callback(thread.join, 10)
            port = listener.getsockname()[1]
            inbox = InboxSettings(host="127.0.0.1", port=port, security="none", username="me")
            # Short where the server is to say nothing, long where it may be slow to say what it should.
            quiet = any(reply == STALL or "{99}" in reply for reply in self.replies.values())
            inbox = replace(inbox, timeout=0.3 if quiet else 20.0)
            yield replace(inbox, password=Secret(PASSWORD))

    def _serve(self, listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with suppress(ConnectionError), connection, connection.makefile("rwb") as stream:
            step, tag, said = "GREETING", "", ""
            while True:
                reply = {**GOOD, **self.replies}.get(step, "{tag} BAD what?\r\n")
                if reply == DROP:
                    return
                if reply != STALL:
                    reply = reply.replace("{tag}", tag).replace("{said}", said)
                    stream.write(reply.encode("latin-1"))
                    stream.flush()
                if reply.startswith("* BYE"):
                    return
                line = stream.readline().decode("latin-1").rstrip("\r\n")
                if not line:
                    return
                self.asked.append(line)
                if step == "AUTHENTICATE":
                    step, said = "SECRET", line
                    continue
                tag, _, said = line.partition(" ")
                word = re.search(r"CAPABILITY|LOGIN|AUTHENTICATE|STARTTLS|EXAMINE|SEARCH|LOGOUT", said)
                step = word[0] if word else "HEADS" if "HEADER" in said else "WHOLE"


FLAGS = "* 2 FETCH (FLAGS (\\Seen))\r\n"


@pytest.mark.parametrize(
    "replies",
    [
        {},
        {"HEADS": GOOD["HEADS"].replace("UID 1 ", "").replace(")\r\n{tag}", " UID 1)\r\n{tag}")},
        {"HEADS": FLAGS + GOOD["HEADS"], "WHOLE": FLAGS + "* 2 EXPUNGE\r\n" + GOOD["WHOLE"]},
        {step: GOOD[step].replace("{tag}", FLAGS + "{tag}") for step in ("HEADS", "WHOLE")},
        {"SEARCH": "* SEARCH 1\r\n* SEARCH 2\r\n{tag} OK done\r\n"},
        {"SEARCH": "* SEARCH 2 1\r\n* 3 EXISTS\r\n{tag} OK done\r\n"},
        {"LOGOUT": DROP},
        {"LOGOUT": STALL},
        {"LOGOUT": "{tag} NO stay\r\n"},
        {"HEADS": GOOD["HEADS"].replace("{tag}", '* 2 FETCH (UID 2 BODY[HEADER.FIELDS (TO)]<0> "")\r\n{tag}')},
    ],
)
def test_answers_are_understood_in_whatever_order_a_server_gives_them(replies: dict[str, str]) -> None:
    server = Scripted(replies)
    with server.running() as inbox:
        found = read(inbox)
    assert tokens(found) == [TOKEN]
    assert [(one.cursor, one.left_alone) for one in found] == [("7:1", 0), ("7:2", 1)]
    words = " ".join(server.asked)
    assert "EXAMINE" in words
    assert not re.search(r"\b(SELECT|STORE|EXPUNGE|COPY|MOVE|APPEND|CLOSE)\b|BODY\[", words)


def test_a_letter_that_is_gone_before_it_is_fetched_is_none() -> None:
    with Scripted({"WHOLE": "{tag} OK nothing\r\n"}).running() as inbox:
        assert read(inbox) == [ReadLetter("7:2", "", (), 2)]
    with Scripted({"HEADS": "{tag} OK nothing\r\n"}).running() as inbox:
        assert read(inbox) == [ReadLetter("7:2", "", (), 2)]


@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        ({"LOGIN": "{tag} NO no " + PASSWORD + "\r\n"}, "it refused the login of me (no ***); check inbox.username"),
        ({"EXAMINE": "{tag} NO none\r\n"}, "it does not open the folder 'INBOX' (none); check inbox.folder"),
        ({"GREETING": "* BYE too many\r\n"}, "it cannot be worked with (* BYE too many); try again later"),
        ({"SEARCH": "{tag} NO busy\r\n"}, "it cannot be worked with (busy); try again later"),
        ({"SEARCH": "* SEARCH one two\r\n{tag} OK done\r\n"}, "it cannot be worked with ("),
        ({"HEADS": "{tag} NO busy\r\n"}, "it cannot be worked with (busy); try again later"),
        ({"EXAMINE": "* 2 EXISTS\r\n{tag} OK open\r\n"}, "it cannot be worked with (a number was expected, not '')"),
        ({"CAPABILITY": "* CAPABILITY \xff\r\n{tag} OK done\r\n"}, "it cannot be worked with ("),
        ({"GREETING": "220 smtp.example.org ESMTP\r\n"}, "it cannot be worked with ("),
        ({"LOGIN": "\x00\xff\r\n"}, ""),
        ({"HEADS": "* 1 FETCH (UID 1 BODY[] {99}\r\nx"}, "it did not answer for 0.3 seconds"),
        *(({step: STALL, **PLAIN}, "it did not answer for 0.3 seconds") for step in STEPS),
        *(({step: DROP, **PLAIN}, "") for step in STEPS),
    ],
)
def test_a_server_that_cannot_be_read_is_told_without_the_password(replies: dict[str, str], reason: str) -> None:
    server = Scripted(replies)
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(inbox)
    said = str(caught.value)
    assert said.startswith(f"the mailbox on 127.0.0.1:{inbox.port} cannot be read: {reason}"), said
    assert PASSWORD not in said
    assert said.isprintable()


@pytest.mark.parametrize("password", [PASSWORD, 'back\\slash "quote"', "=equal="])
@pytest.mark.parametrize("form", ["{tag} NO you said {said}", "* BYE {said}", "{said}", "{tag} BAD {said}"])
@pytest.mark.parametrize("capabilities", [{}, PLAIN], ids=["LOGIN", "PLAIN"])
def test_a_server_that_quotes_the_login_is_not_quoted(capabilities: dict[str, str], form: str, password: str) -> None:
    server = Scripted({"LOGIN": f"{form}\r\n", "SECRET": f"{form}\r\n", **capabilities})
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(replace(inbox, password=Secret(password)))
    wire = base64.b64encode(f"\0me\0{password}".encode()).decode()
    assert any(wire in line if capabilities else "LOGIN" in line for line in server.asked)
    quoted = password.replace("\\", "\\\\").replace('"', '\\"')
    for secret in (password, repr(password)[1:-1], quoted, repr(quoted)[1:-1], wire):
        assert secret not in str(caught.value)


def test_a_password_of_any_letters_is_carried_where_the_server_allows_it() -> None:
    server = Scripted(PLAIN)
    with server.running() as inbox:
        assert tokens(read(replace(inbox, password=Secret("pässwörd\r\n")))) == [TOKEN]
    assert base64.b64encode("\0me\0pässwörd\r\n".encode()).decode() in server.asked


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
def test_a_server_that_does_not_encrypt_gets_no_password(replies: dict[str, str]) -> None:
    server = Scripted(replies)
    with server.running() as inbox, pytest.raises(InboxError) as caught:
        read(replace(inbox, security="starttls"))
    assert not re.search("LOGIN|AUTHENTICATE", " ".join(server.asked))
    assert [line for line in server.asked if "STARTTLS" in line] or "STARTTLS" not in replies
    assert replies or "it does not offer STARTTLS; set inbox.security" in str(caught.value)


def test_a_password_that_login_cannot_carry_is_told_and_not_sent() -> None:
    for password in ("pässword", "pass\r\nword"):
        server = Scripted({})
        with server.running() as inbox, pytest.raises(InboxError, match="takes logins in ASCII alone"):
            read(replace(inbox, password=Secret(password)))
        assert "LOGIN" not in " ".join(server.asked)


def test_a_mailbox_without_a_password_is_told() -> None:
    with Scripted({}).running() as inbox, pytest.raises(InboxError, match=r"set DIGEST_INBOX_PASSWORD in \.env"):
        read(replace(inbox, password=Secret("")))


def test_a_server_that_is_not_there_is_told() -> None:
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
    windows = [line.partition("SEARCH ")[2] for line in server.asked if "SEARCH" in line]
    assert windows == [f"{window} SINCE 31-Dec-2025" for window in ("70001:*", "20001:70000", "1:20000")]


@pytest.mark.parametrize(
    ("cursor", "criterion", "found"),
    [
        ("", "SINCE 1-Jan-1970", [TOKEN]),
        ("7:5", "UID 6:*", []),  # to which a server answers with the last letter, whatever its number
        ("6:5", "SINCE 1-Jan-1970", [TOKEN]),
        ("what", "SINCE 1-Jan-1970", [TOKEN]),
        ("7:-1", "SINCE 1-Jan-1970", [TOKEN]),
    ],
)
def test_a_cursor_counts_in_the_mailbox_it_is_of(cursor: str, criterion: str, found: list[str]) -> None:
    server = Scripted({})
    with server.running() as inbox:
        assert tokens(read(inbox, cursor, date.min)) == found
    assert f"UID SEARCH 1:* {criterion}" in " ".join(server.asked)


# ---- a real server ---------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[Dovecot]:
    with dovecot() as running:
        yield running


@pytest.fixture(scope="module")
def encrypted() -> Iterator[Dovecot]:
    with dovecot(tls=True) as running:
        running.deliver(leave())
        yield running


def real(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that needs the real server."""
    marked: Callable[..., None] = pytest.mark.slow(needs_dovecot(test))
    return marked


@real
def test_a_real_mailbox_is_read_and_left_as_it_is(server: Dovecot) -> None:
    server.deliver(sample("reply"))
    server.deliver(leave(), flags="")
    server.deliver(leave(FORGED), flags="S")
    server.deliver(sample("postfix"), flags="FS")
    server.deliver(sample("vacation"))
    before = server.letters()
    found = read(server.inbox())
    assert sorted(tokens(found)) == sorted([TOKEN, FORGED, TOKEN])  # whose a token is, the subscribers know
    assert sum(one.left_alone for one in found) == 2
    assert server.letters() == before


@real
def test_a_second_reading_finds_only_what_is_new(server: Dovecot) -> None:
    assert read(server.inbox()) == []
    for number in range(450):  # more than are fetched at a time
        server.deliver(leave(more=str(number)) if number % 100 == 0 else sample("reply"))
    first = read(server.inbox())
    assert [one.cursor.partition(":")[2] for one in first] == ["1", "101", "201", "301", "401", "450"]
    assert read(server.inbox(), first[-1].cursor) == []
    assert [one.cursor for one in read(server.inbox(), first[3].cursor)] == [one.cursor for one in first[4:]]
    server.deliver(leave(FORGED))
    assert tokens(read(server.inbox(), first[-1].cursor)) == [FORGED]


@real
def test_a_mailbox_that_was_numbered_anew_is_read_anew_and_its_letters_known(server: Dovecot) -> None:
    server.deliver(sample("leave"))
    server.deliver(sample("gmail"))
    first = read(server.inbox())
    server.renumber()
    again = read(server.inbox(), first[-1].cursor)
    assert {one.cursor for one in again}.isdisjoint(one.cursor for one in first)
    assert [one.identity for one in again] == [one.identity for one in first]
    assert [one.identity for one in read(InboxSettings(path=server.mail))] == [one.identity for one in first]


@real
def test_letters_from_before_the_first_digest_are_not_looked_at(server: Dovecot) -> None:
    server.deliver(leave())
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login("me", PASSWORD)
        client.append("INBOX", "", '"10-Apr-2020 12:00:00 +0000"', leave(FORGED))
    assert tokens(read(server.inbox(), since=date(2020, 4, 12))) == [TOKEN]
    assert sorted(tokens(read(server.inbox(), since=date(2020, 4, 11)))) == sorted([FORGED, TOKEN])


@real
@pytest.mark.parametrize(
    ("folder", "wire"),
    [
        ("Answers", "Answers"),
        ("Two words", '"Two words"'),
        ("\u03ff", "&A,8-"),
        ('Entwürfe & "mehr" \\ 日本', '"Entw&APw-rfe &- \\"mehr\\" \\\\ &ZeVnLA-"'),
    ],
)
def test_another_folder_can_be_read_whatever_its_name(server: Dovecot, folder: str, wire: str) -> None:
    with pytest.raises(InboxError, match=r"does not open the folder .*; check inbox\.folder"):
        read(server.inbox(folder=folder))
    with imaplib.IMAP4("127.0.0.1", server.port) as client:
        client.login("me", PASSWORD)
        assert client.create(wire)[0] == "OK"
        assert client.append(wire, "", "", leave())[0] == "OK"
    assert tokens(read(server.inbox(folder=folder))) == [TOKEN]
    assert tokens(read(server.inbox())) == []


@real
def test_a_large_letter_is_fetched_up_to_the_limit(server: Dovecot) -> None:
    server.deliver(leave(more="x" * 70 + "\n" + "y" * 3 * LIMIT))
    (whole,) = imap_letters(server.inbox(), "", LONG_AGO)
    assert len(whole.raw) == LIMIT
    (from_imap,), (from_maildir,) = read(server.inbox()), read(InboxSettings(path=server.mail))
    assert from_imap.requests == (UnsubscribeRequest(TOKEN),)
    assert from_imap.identity == from_maildir.identity


@real
def test_a_refused_login_is_told(server: Dovecot) -> None:
    with pytest.raises(InboxError) as caught:
        read(server.inbox(password=Secret("not-the-password")))
    assert "it refused the login of me@example.org ([AUTHENTICATIONFAILED] Authentication failed.)" in str(caught.value)
    assert "not-the-password" not in str(caught.value)


@real
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mailbox_is_read_encrypted(encrypted: Dovecot, security: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(encrypted.certificate))
    assert tokens(read(encrypted.inbox(security=security))) == [TOKEN]


@real
@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_certificate_nobody_vouches_for_gets_no_password(encrypted: Dovecot, security: str) -> None:
    name = f"wary-{security}@example.org"
    with pytest.raises(InboxError, match=r"its certificate does not verify \(.*\); check inbox.host"):
        read(encrypted.inbox(security=security, username=name))
    assert name not in encrypted.log
