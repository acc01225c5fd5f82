"""Read the letters of a folder on an IMAP server, leaving all as it is. The only module that opens IMAP.

RFC 3501: EXAMINE opens the folder for reading only, and BODY.PEEK sets no flag.
"""

import base64
import imaplib
import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from itertools import zip_longest
from typing import Any

from digest.errors import InboxError
from digest.inbound import LIMIT, InboxSettings, Letter
from digest.inbound.headers import HEAD
from digest.inbound.letters import FIELDS, may_hold_request
from digest.papers.text.clean import clean

_WINDOW = 50_000  # letters searched at a time: the answer is one line, of which imaplib takes a million octets
_BATCH = 200  # heads fetched at a time: their numbers must fit into a command of 8,000 octets (RFC 7162 4)
_HEAD = f"BODY.PEEK[HEADER.FIELDS ({' '.join(FIELDS).upper()})]<0.{HEAD}>"
_WHOLE = f"BODY.PEEK[]<0.{LIMIT}>"
_UID = re.compile(rb"\bUID (\d+)", re.IGNORECASE)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # strftime's would be those of the locale


def letters(settings: InboxSettings, cursor: str, since: date) -> Iterator[Letter]:
    """The letters behind `cursor`, oldest first; without one, or one of another mailbox, those since the day `since`.

    A cursor is UIDVALIDITY:UID. A server that numbers its letters anew changes the first, and the reading begins anew.
    Raises InboxError, also half way.
    """
    client: imaplib.IMAP4 | None = None
    try:
        client = _connected(settings)
        if settings.security == "starttls":
            client.starttls(ssl.create_default_context())  # raises where it is not offered, or refused
        _log_in(client, settings)
        yield from _read_folder(client, settings, cursor, since)
        with suppress(OSError, imaplib.IMAP4.error):  # all is read: how they part does not matter
            client.logout()
    except (OSError, ValueError, imaplib.IMAP4.error) as problem:
        raise _explain_error(problem, settings) from None
    finally:
        if client is not None:
            with suppress(OSError):
                client.shutdown()


def _connected(settings: InboxSettings) -> imaplib.IMAP4:
    if settings.security == "tls":
        context = ssl.create_default_context()
        return imaplib.IMAP4_SSL(settings.host, settings.port, ssl_context=context, timeout=settings.timeout)
    return imaplib.IMAP4(settings.host, settings.port, settings.timeout)


def _log_in(client: imaplib.IMAP4, settings: InboxSettings) -> None:
    """By AUTHENTICATE PLAIN (RFC 4616), which carries any letters, or LOGIN, which carries those of ASCII."""
    user, password = settings.username, settings.password
    if not password:
        raise _unreadable(settings, f"there is no password for {user}; set DIGEST_INBOX_PASSWORD in .env")
    try:
        if "AUTH=PLAIN" in client.capabilities:
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        elif (user + password).isascii() and (user + password).isprintable():
            client.login(user, password)
        else:
            raise _unreadable(settings, "it takes logins in ASCII alone; choose another password")
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as problem:
        advice = "check inbox.username and DIGEST_INBOX_PASSWORD"
        raise _unreadable(settings, f"it refused the login of {user} ({_said(problem, settings)}); {advice}") from None


def _read_folder(client: imaplib.IMAP4, settings: InboxSettings, cursor: str, since: date) -> Iterator[Letter]:
    count = _examine(client, settings)
    validity = _number(client.response("UIDVALIDITY")[1])
    known, _, last = cursor.partition(":")
    after = int(last) if known == str(validity) and last.isdecimal() else 0
    uids = _uids(client, count, after, since)
    for start in range(0, len(uids), _BATCH):
        batch = uids[start : start + _BATCH]
        heads = _fetch(client, batch, _HEAD)
        for uid in batch:
            whole = may_hold_request(heads.get(uid, b""))
            yield Letter(f"{validity}:{uid}", _fetch(client, [uid], _WHOLE).get(uid, b"") if whole else b"")


def _examine(client: imaplib.IMAP4, settings: InboxSettings) -> int:
    """Open the folder for reading only; returns how many letters it holds."""
    kind, said = client.select(_quoted(settings.folder), readonly=True)
    if kind != "OK":
        reply = _without_password(_text(said), settings)
        raise _unreadable(settings, f"it does not open the folder {settings.folder!r} ({reply}); check inbox.folder")
    return _number(said)


def _uids(client: imaplib.IMAP4, count: int, after: int, since: date) -> list[int]:
    """The numbers of the letters to look at, ascending.

    Asked for from the newest down: letters that are deleted meanwhile move those above them down, into a window that is
    still to come or out of one that is done, and hide none. `n:*` holds the last letter even when that is below n.
    """
    day = max(since, date(1970, 1, 2)) - timedelta(days=1)  # the server's day may be another than ours
    criterion = f"UID {after + 1}:*" if after else f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year:04}"
    found: set[int] = set()
    for end in range(count, 0, -_WINDOW):
        window = f"{max(1, end - _WINDOW + 1)}:{'*' if end == count else end}"
        numbers = _ok(client.uid("SEARCH", window, criterion))
        found.update(int(n) for line in numbers if line for n in line.split())
    return sorted(uid for uid in found if uid > after)


def _fetch(client: imaplib.IMAP4, uids: Sequence[int], what: str) -> dict[int, bytes]:
    """The wanted part of each letter by its number; letters that are gone are left out.

    imaplib gives a literal as a pair of what stood before it and itself, then what stood behind it; a server may say
    the number in either place, and tell of flags that changed in between.
    """
    items = _ok(client.uid("FETCH", ",".join(map(str, uids)), f"(UID {what})"))
    found = {}
    for item, behind in zip_longest(items, items[1:]):
        if isinstance(item, tuple):
            uid = _UID.search(item[0]) or _UID.search(behind if isinstance(behind, bytes) else b"")
            if uid:
                found[int(uid[1])] = item[1]
    return found


def _ok(reply: tuple[str, list[Any]]) -> list[Any]:
    kind, said = reply
    if kind != "OK":
        raise imaplib.IMAP4.error(_text(said))
    return said


def _number(said: list[Any]) -> int:
    text = _text(said)
    if not text.isdecimal():
        raise imaplib.IMAP4.error(f"a number was expected, not {text[:60]!r}")
    return int(text)


def _text(said: list[Any]) -> str:
    last = said[-1] if said else b""
    return last.decode("utf-8", "replace") if isinstance(last, bytes) else ""


def _quoted(folder: str) -> str:
    """A folder's name as a quoted string, in the UTF-7 of its own that IMAP keeps (RFC 3501 5.1.3)."""

    def encoded(found: re.Match[str]) -> str:
        octets = base64.b64encode(found[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return "&-" if found[0] == "&" else f"&{octets.decode()}-"

    name = re.sub(r"&|[^ -~]+", encoded, folder)
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _unreadable(settings: InboxSettings, reason: str) -> InboxError:
    return InboxError(f"the mailbox on {settings.host}:{settings.port} cannot be read: {reason}")


def _explain_error(problem: Exception, settings: InboxSettings) -> InboxError:
    """What went wrong as a sentence."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        reason = f"its certificate does not verify ({problem.verify_message}); check inbox.host"
    elif isinstance(problem, ssl.SSLError):
        reason = f"we found no common TLS ({problem.reason or problem}); check inbox.port and inbox.security"
    elif isinstance(problem, TimeoutError):
        reason = f"it did not answer for {settings.timeout:g} seconds; check inbox.port and inbox.security"
    elif isinstance(problem, OSError):
        reason = f"{problem.strerror or problem}; check inbox.host and inbox.port"
    elif "TLS not supported" in str(problem):  # imaplib's words
        reason = 'it does not offer STARTTLS; set inbox.security to "tls" if its port is 993'
    else:
        reason = f"it cannot be worked with ({_said(problem, settings)}); try again later"
    return _unreadable(settings, reason)


def _said(problem: Exception, settings: InboxSettings) -> str:
    """imaplib's exceptions hold what the server said, as text or as bytes."""
    said = problem.args[0] if problem.args else ""
    return _without_password(said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said), settings)


def _without_password(said: str, settings: InboxSettings) -> str:
    """The server's words with our password taken out, should it quote it as it is or as it came over the wire."""
    user, password = settings.username.encode(), settings.password.encode()
    quoted = password.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for form in (quoted, password, base64.b64encode(password), base64.b64encode(b"\0" + user + b"\0" + password)):
        for text in (form.decode().rstrip("="), repr(form)[2:-1].rstrip("=")):  # imaplib shows some of it by repr()
            said = said.replace(text, "***") if text else said
    return clean(said)[:300]
