"""Hand mail to the server: verified, logged in, several connections at once. The only module that opens SMTP."""

import base64
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from digest.delivery import Batches, Deliver, Message, SmtpSettings
from digest.delivery.smtp_pool import ConnectionClosed, ConnectionPool, ServerRejected, ServerUnreachable, Throttle
from digest.delivery.smtp_protocol import ReplyClassifier, printable_reply
from digest.settings import Secret

_RECORD = 16384  # RFC 8446 5.1: octets in a TLS record. One a write, so that what was written is known exactly.
_TOKEN_SECONDS = 30
_TOKEN_FRESH = 300  # access tokens live for an hour; after five minutes a new connection asks anew


def smtp_delivery(settings: SmtpSettings) -> Deliver:
    """The way of delivery over up to `settings.connections` connections, opened as there is work and after a drop.

    What it learns in a round (the pace, the token, that the server takes our mail) it knows in the next. A round ends
    early when no connection can be opened or kept, or a reply says that the server will not work with us.
    """
    token, pace, judge = _Token(settings.token_command), Throttle(settings.rate), ReplyClassifier()
    context = _context(settings)  # once: reading the machine's certificates takes 30 ms

    def connect() -> SmtpConnection:
        return SmtpConnection(_connect(settings, context, token))

    def deliver(messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
        return ConnectionPool(connect, settings.connections, settings.timeout, pace, judge).deliver(messages, stopped)

    return deliver


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server shows whoever comes in.

    `tls` is the version, '' in clear text; `ends` is when the certificate does, in seconds since the epoch; `most` is
    how many bytes a message may have (RFC 1870), 0 where the server does not say.
    """

    tls: str
    ends: float | None
    most: int


def check_server(settings: SmtpSettings) -> ServerInfo:
    """Come in as a delivery does, look around, and leave. Raises Unreachable or Unwelcome with a sentence."""
    session = _connect(settings, _context(settings), _Token(settings.token_command))
    try:
        size = session.esmtp_features.get("size", "").strip()
        tls, ends = "", None
        if isinstance(session.sock, ssl.SSLSocket):
            tls = (session.sock.version() or "").replace("TLSv", "TLS ")
            ends = float(ssl.cert_time_to_seconds(str((session.sock.getpeercert() or {})["notAfter"])))
        with suppress(OSError):  # every smtplib.SMTPException is one: whoever leaves need not be answered
            session.quit()
    finally:
        session.close()
    return ServerInfo(tls, ends, int(size) if size.isdecimal() else 0)


class SmtpConnection:
    """The socket of an open session, plain or TLS, in a mode that never blocks: a `Wire`."""

    def __init__(self, session: smtplib.SMTP) -> None:
        self._session = session
        if session.sock is None:
            raise ServerUnreachable("the server hung up after the login")
        self._socket: socket.socket = session.sock
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # each write is a whole group of commands
        self._encrypted = isinstance(self._socket, ssl.SSLSocket)
        self.features = dict(session.esmtp_features)

    def fileno(self) -> int:
        return self._socket.fileno()

    def write(self, data: bytearray) -> None:
        """Write what the socket takes off the front of `data`. Raises Closed."""
        try:
            while data:
                with memoryview(data) as view:
                    written = self._socket.send(view[:_RECORD] if self._encrypted else view)
                del data[:written]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as problem:
            raise ConnectionClosed(problem.strerror or str(problem)) from None

    def read(self) -> bytes:
        """What has arrived; nothing if that was not for us. Raises Closed."""
        try:
            data = self._socket.recv(65536)
            while self._encrypted and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                data += self._socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as problem:
            raise ConnectionClosed(problem.strerror or str(problem)) from None
        if not data:
            raise ConnectionClosed("the server hung up")
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._session.close()


class _Token:
    """The access token that a command prints, shared by the connections that open within a few minutes."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command
        self._lock = threading.Lock()
        self._value = Secret("")
        self._got = 0.0

    def get(self) -> Secret:
        """Raises Unwelcome with a sentence that holds nothing the command printed."""
        with self._lock:
            if not self._value or time.monotonic() - self._got > _TOKEN_FRESH:
                self._value, self._got = self._ask(), time.monotonic()
            return self._value

    def _ask(self) -> Secret:
        name = f"smtp.token_command ({self.command[0]})"
        try:
            done = subprocess.run(  # noqa: S603  the person's own command, without a shell
                self.command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TOKEN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ServerRejected(f"{name} took longer than {_TOKEN_SECONDS} seconds; run it by hand") from None
        except OSError as problem:
            raise ServerRejected(f"{name} cannot be run: {problem.strerror}") from None
        value = done.stdout.decode("ascii", "replace").strip()
        if done.returncode != 0 or not value.isascii() or not value.isprintable() or not value:
            what = f"ended with code {done.returncode}" if done.returncode else "printed no token"
            raise ServerRejected(f"{name} {what}; run it by hand: it must print an access token and nothing else")
        return Secret(value)


def _context(settings: SmtpSettings) -> ssl.SSLContext | None:
    """What verifies the server; nothing for one that is not asked for a certificate."""
    return None if settings.security == "none" else ssl.create_default_context()


def _connect(settings: SmtpSettings, context: ssl.SSLContext | None, token: _Token) -> smtplib.SMTP:
    """A session that is encrypted, verified and logged in. Raises Unreachable or Unwelcome with a sentence."""
    where = f"{settings.host}:{settings.port}"
    session: smtplib.SMTP | None = None
    try:
        session = _open(settings, context)
        session.ehlo_or_helo_if_needed()
        if settings.username:
            _log_in(session, settings, token)
    except BaseException as problem:
        if session is not None:
            session.close()
        if isinstance(problem, OSError | UnicodeError):  # every smtplib.SMTPException is an OSError
            raise _explain_error(problem, where, settings) from None
        raise
    return session


def _open(settings: SmtpSettings, context: ssl.SSLContext | None) -> smtplib.SMTP:
    """Never a session in clear text where an encrypted one was asked for: both ways raise instead."""
    if settings.security == "tls":
        return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout, context=context)
    session = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout)
    if settings.security == "starttls":
        try:
            code, said = session.starttls(context=context)
        except BaseException:
            session.close()
            raise
        if code != 220:
            session.close()
            raise smtplib.SMTPResponseException(code, said)
    return session


def _log_in(session: smtplib.SMTP, settings: SmtpSettings, token: _Token) -> None:
    if not settings.token_command:
        session.login(settings.username, settings.password)
        return
    bearer = f"user={settings.username}\x01auth=Bearer {token.get()}\x01\x01"
    # A refusal comes as a challenge that holds the reason, to be answered with nothing.
    session.auth("XOAUTH2", lambda challenge=None: bearer if challenge is None else "")


def _explain_error(problem: OSError | UnicodeError, where: str, settings: SmtpSettings) -> Exception:
    """What went wrong as a sentence, and whether it will pass."""
    if isinstance(problem, ssl.SSLCertVerificationError):
        return ServerRejected(
            f"{where} shows a certificate that does not verify: {problem.verify_message}; check smtp.host"
        )
    if isinstance(problem, UnicodeError):
        return ServerRejected(
            f"{where}: smtp.username, DIGEST_SMTP_PASSWORD or smtp.host holds letters SMTP cannot carry"
        )
    if isinstance(problem, smtplib.SMTPNotSupportedError):
        if settings.username and "AUTH" in str(problem):
            return ServerRejected(f'{where} offers no login; set smtp.username to "" if it wants none')
        return ServerRejected(f'{where} does not offer STARTTLS; set smtp.security to "tls" if its port is 465')
    if isinstance(problem, smtplib.SMTPResponseException):
        return _explain_refusal(problem, where, settings)
    if isinstance(problem, ssl.SSLError):
        return ServerUnreachable(f"{where} and we found no common TLS: {problem.reason or problem}")
    if isinstance(problem, TimeoutError) or "timed out" in str(problem):
        return ServerUnreachable(f"{where} did not answer for {settings.timeout:g} seconds")
    return ServerUnreachable(f"{where} cannot be reached: {problem.strerror or problem}")


def _explain_refusal(problem: smtplib.SMTPResponseException, where: str, settings: SmtpSettings) -> Exception:
    said = problem.smtp_error if isinstance(problem.smtp_error, bytes) else str(problem.smtp_error).encode()
    reply = f"{problem.smtp_code} {printable_reply(_without_password(said, settings))}".strip()
    if not 500 <= problem.smtp_code < 600 or said.startswith(b"Line too long"):  # the latter is smtplib's own
        return ServerUnreachable(f"{where} cannot be worked with now: {reply}")
    if isinstance(problem, smtplib.SMTPAuthenticationError):
        secret = "smtp.token_command" if settings.token_command else "DIGEST_SMTP_PASSWORD"
        login = f"{where} refused the login of {settings.username}"
        return ServerRejected(f"{login} ({reply}); check smtp.username and {secret}")
    return ServerRejected(f"{where} turned us away: {reply}")


def _without_password(said: bytes, settings: SmtpSettings) -> bytes:
    """The server's words with our password taken out, should it quote it in the clear or as AUTH carries it."""
    user, password = settings.username.encode(), settings.password.encode()
    if password:
        forms = [password, base64.b64encode(password), base64.b64encode(b"\0" + user + b"\0" + password)]
        for form in forms:
            said = said.replace(form.rstrip(b"="), b"***")
    return said
