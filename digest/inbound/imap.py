"""Read the letters of a folder on an IMAP server without changing anything. The only module that uses imaplib.

RFC 3501: EXAMINE opens the folder read-only, and BODY.PEEK does not set the \\Seen flag.
"""

import base64
import imaplib
import re
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from itertools import zip_longest
from time import monotonic
from typing import Any

from digest.errors import InboxError
from digest.inbound import MAX_LETTER_BYTES, InboxSettings, Letter
from digest.inbound.headers import MAX_HEADER_BYTES
from digest.inbound.letters import DECISIVE_FIELDS, may_hold_event
from digest.papers.text.clean import clean

_SEARCH_WINDOW = 50_000  # letters searched at a time: the answer is one line, and imaplib accepts a million bytes of it
_FETCH_BATCH = 200  # headers fetched at a time: the UIDs must fit into a command of 8,000 bytes (RFC 7162 4)
_HEADER = f"BODY.PEEK[HEADER.FIELDS ({' '.join(DECISIVE_FIELDS).upper()})]<0.{MAX_HEADER_BYTES}>"
_WHOLE = f"BODY.PEEK[]<0.{MAX_LETTER_BYTES}>"
_UID = re.compile(rb"\bUID (\d{1,10})\b", re.IGNORECASE)
_MAX_FOLDER = 10_000_000  # letters in a folder; each window of them takes a command
_MAX_NEW = 1_000_000  # letters to read at once; their UIDs take 100 MB
_MAX_LINE_BYTES = 1_000_000
_MAX_ANSWER_BYTES = 32_000_000  # the headers of a batch have at most 13 MB
_MAX_TOTAL_BYTES = 4_000_000_000  # of a whole reading
_MAX_WAITS = 60  # times `timeout`: the seconds for a whole reading
_RECEIVE_BYTES = 65536
_COST_BYTES = 250  # memory that imaplib needs for each line, however short
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # strftime would use the locale's names


def imap_letters(
    settings: InboxSettings, cursor: str, since: date, wanted: Callable[[bytes], bool] = may_hold_event
) -> Iterator[Letter]:
    """Yield the letters after `cursor`, oldest first; without a valid cursor, those since the day `since`.

    A letter whose header is not `wanted` is not read further.

    A cursor is UIDVALIDITY:UID. If the server has renumbered the folder, UIDVALIDITY differs and the cursor is invalid.
    Raises InboxError, possibly after some letters.
    """
    client: _Client | None = None
    try:
        client = _connect(settings)
        if settings.security == "starttls":
            client.starttls(ssl.create_default_context())  # raises if it is not offered, or refused
        _log_in(client, settings)
        yield from _read_folder(client, settings, cursor, since, wanted)
        with suppress(OSError, imaplib.IMAP4.error, InboxError):  # everything has been read
            client.logout()
    except (OSError, ValueError, imaplib.IMAP4.error) as error:
        raise _explain_error(error, settings) from None
    finally:
        if client is not None:
            with suppress(OSError):
                client.shutdown()


class _Client(imaplib.IMAP4):
    """imaplib's client, with limits to what a server can make it wait for and keep in memory.

    imaplib reads literals of any size, and untagged lines for as long as they come. `read` and `readline` are its hooks
    for another way of reading; `timeout` alone limits each wait, but not their number.
    """

    def __init__(self, settings: InboxSettings, **more: Any) -> None:
        self._settings = settings
        self._deadline = monotonic() + _MAX_WAITS * settings.timeout
        self._answer_left, self._total_left = _MAX_ANSWER_BYTES, _MAX_TOTAL_BYTES
        self._unread, self._source = bytearray(), object()
        super().__init__(settings.host, settings.port, timeout=settings.timeout, **more)

    def ask(self, *command: str) -> list[Any]:
        """Send a UID command and return its answer, which has a limit of its own."""
        self._answer_left = _MAX_ANSWER_BYTES
        self.untagged_responses.clear()
        status, data = self.uid(*command)
        if status != "OK":
            raise self.error(_last(data).decode("utf-8", "replace"))
        return data

    def read(self, size: int) -> bytes:
        self._spend(size)
        while len(self._buffer()) < size and self._receive():
            pass
        return self._take(size)

    def readline(self) -> bytes:
        searched = 0
        while not (end := self._buffer().find(b"\n", searched) + 1):
            searched = len(self._unread)
            if searched > _MAX_LINE_BYTES:
                raise self._too_much(f"a line of more than {_MAX_LINE_BYTES:,} bytes")
            if not self._receive():
                end = searched
                break
        self._spend(end)
        return self._take(end)

    def _buffer(self) -> bytearray:
        """Return what was received and not read yet. What came before TLS was anybody's, and is dropped after it."""
        if self._source is not self.sock:
            self._unread, self._source = bytearray(), self.sock
        return self._unread

    def _receive(self) -> bool:
        """Wait for more; False if the server has closed the connection."""
        if monotonic() > self._deadline:
            limit = f"reading it takes longer than {_MAX_WAITS * self._settings.timeout:g} seconds"
            raise _inbox_error(self._settings, f"{limit}; the next run continues where this one stopped")
        data = self.sock.recv(_RECEIVE_BYTES)
        self._unread += data
        self._total_left -= len(data)
        if self._total_left < 0:
            raise self._too_much(f"more than {_MAX_TOTAL_BYTES:,} bytes in one reading")
        return bool(data)

    def _spend(self, size: int) -> None:
        self._answer_left -= size + _COST_BYTES
        if self._answer_left < 0:
            raise self._too_much(f"an answer of more than {_MAX_ANSWER_BYTES:,} bytes")

    def _take(self, size: int) -> bytes:
        data = bytes(self._unread[:size])
        del self._unread[:size]
        return data

    def _too_much(self, what: str) -> InboxError:
        return _inbox_error(self._settings, f"it sent {what}; check inbox.host and inbox.port, or ask its operator")


class _TlsClient(_Client, imaplib.IMAP4_SSL):
    """The same with TLS from the start."""


def _connect(settings: InboxSettings) -> _Client:
    if settings.security == "tls":
        return _TlsClient(settings, ssl_context=ssl.create_default_context())
    return _Client(settings)


def _log_in(client: _Client, settings: InboxSettings) -> None:
    """Log in with AUTHENTICATE PLAIN (RFC 4616), which carries any characters, or with LOGIN, which needs ASCII."""
    user, password = settings.username, settings.password
    if not password:
        raise _inbox_error(settings, f"there is no password for {user}; set DIGEST_INBOX_PASSWORD in .env")
    try:
        if "AUTH=PLAIN" in client.capabilities:
            client.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        elif (user + password).isascii() and (user + password).isprintable():
            client.login(user, password)
        else:
            raise _inbox_error(settings, "it accepts only ASCII in a login; choose another password")
    except imaplib.IMAP4.abort:
        raise
    except imaplib.IMAP4.error as error:
        hint = "check inbox.username and DIGEST_INBOX_PASSWORD"
        reply = _reply_text(error, settings)
        raise _inbox_error(settings, f"it rejected the login of {user} ({reply}); {hint}") from None


def _read_folder(
    client: _Client, settings: InboxSettings, cursor: str, since: date, wanted: Callable[[bytes], bool]
) -> Iterator[Letter]:
    count = _examine(client, settings)
    validity = _number(_last(client.response("UIDVALIDITY")[1]))
    known_validity, _, last_uid = cursor.partition(":")
    after = int(last_uid) if known_validity == str(validity) and last_uid.isdecimal() else 0
    uids = _search(client, count, after, since)
    if len(uids) > _MAX_NEW:
        raise _inbox_error(settings, f"the folder has more than {_MAX_NEW:,} new letters; move some elsewhere")
    for start in range(0, len(uids), _FETCH_BATCH):
        batch = uids[start : start + _FETCH_BATCH]
        headers = _fetch(client, batch, _HEADER)
        for uid in batch:
            whole = wanted(headers.get(uid, b""))
            raw = _fetch(client, [uid], _WHOLE).get(uid, b"") if whole else b""
            yield Letter(f"{validity}:{uid}", raw[:MAX_LETTER_BYTES])


def _examine(client: _Client, settings: InboxSettings) -> int:
    """Open the folder read-only and return how many letters it holds."""
    status, data = client.select(_quote_folder(settings.folder), readonly=True)
    if status != "OK":
        reply = _hide_password(_last(data).decode("utf-8", "replace"), settings)
        raise _inbox_error(settings, f"the folder {settings.folder!r} cannot be opened ({reply}); check inbox.folder")
    if (count := _number(_last(data))) > _MAX_FOLDER:
        raise _inbox_error(settings, f"the folder has {count:,} letters; use one with at most {_MAX_FOLDER:,}")
    return count


def _search(client: _Client, count: int, after: int, since: date) -> list[int]:
    """Return the UIDs of the letters to look at, ascending; not all of them if there are more than `_MAX_NEW`.

    The windows go from the newest letter down. If letters are deleted meanwhile, those above them move down, into a
    window still to be searched or within one already searched, so none is missed. `n:*` always includes the last
    letter, even if its UID is below n.
    """
    day = max(since, date(1970, 1, 2)) - timedelta(days=1)  # the server may be in another time zone
    criterion = f"UID {after + 1}:*" if after else f"SINCE {day.day}-{_MONTHS[day.month - 1]}-{day.year:04}"
    uids: set[int] = set()
    for end in range(count, 0, -_SEARCH_WINDOW):
        window = f"{max(1, end - _SEARCH_WINDOW + 1)}:{'*' if end == count else end}"
        for line in client.ask("SEARCH", window, criterion):
            if isinstance(line, tuple):
                raise imaplib.IMAP4.error("expected numbers, got a literal")
            uids.update(uid for word in (line or b"").split() if (uid := _number(word)) > after)
        if len(uids) > _MAX_NEW:
            break
    return sorted(uids)


def _fetch(client: _Client, uids: Sequence[int], item: str) -> dict[int, bytes]:
    """Return the item of each letter by UID; letters that are gone are left out.

    imaplib returns a literal as a tuple of the text before it and the literal, then the text after it. The UID may be
    in either text, and flag changes of other letters may come in between.
    """
    data = client.ask("FETCH", ",".join(map(str, uids)), f"(UID {item})")
    contents = {}
    for entry, following in zip_longest(data, data[1:]):
        if isinstance(entry, tuple):
            uid = _UID.search(entry[0]) or _UID.search(following if isinstance(following, bytes) else b"")
            if uid:
                contents[int(uid[1])] = entry[1]
    return contents


def _number(word: bytes) -> int:
    if not re.fullmatch(rb"[0-9]{1,10}", word):  # of 32 bits (RFC 3501 9)
        raise imaplib.IMAP4.error(f"expected a number, got {word[:60].decode('utf-8', 'replace')!r}")
    return int(word)


def _last(data: list[Any]) -> bytes:
    return data[-1] if data and isinstance(data[-1], bytes) else b""


def _quote_folder(folder: str) -> str:
    """Return a folder's name as a quoted string in IMAP's modified UTF-7 (RFC 3501 5.1.3)."""

    def encode(match: re.Match[str]) -> str:
        encoded = base64.b64encode(match[0].encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
        return "&-" if match[0] == "&" else f"&{encoded.decode()}-"

    name = re.sub(r"&|[^ -~]+", encode, folder)
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _inbox_error(settings: InboxSettings, reason: str) -> InboxError:
    return InboxError(f"the mailbox on {settings.host}:{settings.port} cannot be read: {reason}")


def _explain_error(error: Exception, settings: InboxSettings) -> InboxError:
    """Turn an error into a sentence that says what to do."""
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = f"certificate verification failed ({error.verify_message}); check inbox.host"
    elif isinstance(error, ssl.SSLError):
        reason = f"TLS handshake failed ({error.reason or error}); check inbox.port and inbox.security"
    elif isinstance(error, TimeoutError):
        reason = f"it did not answer within {settings.timeout:g} seconds; check inbox.port and inbox.security"
    elif isinstance(error, OSError):
        reason = f"{error.strerror or error}; check inbox.host and inbox.port"
    elif "TLS not supported" in str(error):  # imaplib's words
        reason = 'it does not offer STARTTLS; set inbox.security to "tls" if inbox.port is 993'
    else:
        reason = f"IMAP error ({_reply_text(error, settings)}); try again later"
    return _inbox_error(settings, reason)


def _reply_text(error: Exception, settings: InboxSettings) -> str:
    """Return the server's reply, which imaplib's exceptions contain as str or bytes."""
    text = error.args[0] if error.args else ""
    return _hide_password(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text), settings)


def _hide_password(text: str, settings: InboxSettings) -> str:
    """Replace the password in a server's reply, as it is or as it was sent, with ***."""
    user, password = settings.username.encode(), settings.password.encode()
    quoted = password.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for form in (quoted, password, base64.b64encode(password), base64.b64encode(b"\0" + user + b"\0" + password)):
        for secret in (form.decode().rstrip("="), repr(form)[2:-1].rstrip("=")):  # imaplib shows some of it by repr()
            text = text.replace(secret, "***") if secret else text
    return clean(text[:1000])[:300]
