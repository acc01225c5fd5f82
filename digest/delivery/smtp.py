"""Deliver by SMTP: connect, verify the server's certificate, log in, and send over a pool of connections.

This is the only module that opens SMTP connections. smtplib connects and logs in; after that the pool
(digest.delivery.smtp_pool) reads and writes the socket itself, through `SmtpConnection`.
"""

import base64
import io
import re
import selectors
import smtplib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from digest.delivery import Batches, Deliver, Message, ServerRejected, ServerUnreachable, SmtpSettings
from digest.delivery.providers import provider_of_server
from digest.delivery.smtp_pool import CONNECT_STEPS, ConnectionClosed, ConnectionPool, Relay, Throttle
from digest.delivery.smtp_protocol import printable_reply, size_limit
from digest.settings import Secret

_MAX_LOGIN_BYTES = 64_000  # that a server may send up to the login; they all need less than 4,000
_PIECE_BYTES = 12  # of a secret that give it away
_LONG_WORD = re.compile(rb"\S{%d,}" % _PIECE_BYTES)
_TLS_RECORD = 16384  # bytes of data in one TLS record (RFC 8446 5.1)
_GREETING_SECONDS = 3  # without a greeting, after which to see whether the server waits for TLS
# OpenSSL's reasons for a server that does not answer in TLS.
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
_TOKEN_SECONDS = 30  # for the token command to finish
_TOKEN_LIFETIME = 300  # seconds to reuse a token; most are valid for an hour


def smtp_delivery(settings: SmtpSettings) -> Deliver:
    """Return a delivery method over up to `settings.connections` connections in all, opened as needed.

    It can be called several times in a run: the throttle, the access token, and what is known of each relay are
    remembered between calls. A call ends early if no connection can be opened or kept, or replies say that the relays
    reject us.
    """
    token, throttle = _AccessToken(settings.token_command), Throttle(settings.rate)
    context = _tls_context(settings)  # shared, because loading the system's certificates takes 30 ms

    def relay(host: str) -> Relay:
        name = f"{host}:{settings.port}" if len(settings.host) > 1 else ""
        return Relay(name, lambda: SmtpConnection(*_connect(host, settings, context, token)))

    relays = [relay(host) for host in settings.host]

    def deliver(messages: Iterator[Message], stopped: Callable[[], bool]) -> Batches:
        return ConnectionPool(relays, settings.connections, settings.timeout, throttle).deliver(messages, stopped)

    return deliver


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What a server reports on a connection.

    `tls` is the TLS version, '' without TLS. `expires` is when its certificate does, in seconds since the epoch.
    `max_bytes` is the largest message it accepts (RFC 1870), 0 if it does not say.
    """

    tls: str
    expires: float | None
    max_bytes: int


def check_server(settings: SmtpSettings, host: str) -> ServerInfo:
    """Connect to a relay and log in as a delivery does. Raises ServerUnreachable or ServerRejected."""
    session, _ = _connect(host, settings, _tls_context(settings), _AccessToken(settings.token_command))
    try:
        max_bytes = size_limit(session.esmtp_features) or 0
        tls, expires = "", None
        if isinstance(session.sock, ssl.SSLSocket):
            tls = (session.sock.version() or "").replace("TLSv", "TLS ")
            expires = float(ssl.cert_time_to_seconds(str((session.sock.getpeercert() or {})["notAfter"])))
        with suppress(OSError, ServerUnreachable):  # the reply to QUIT does not matter
            session.quit()
    finally:
        session.close()
    return ServerInfo(tls, expires, max_bytes)


class SmtpConnection:
    """The non-blocking socket of a connection that is logged in, with or without TLS. Implements `Transport`."""

    def __init__(self, session: smtplib.SMTP, hide_secrets: Callable[[bytes], bytes]) -> None:
        self._session = session
        self._hide_secrets = hide_secrets
        if session.sock is None:
            raise ServerUnreachable("the server closed the connection after the login")
        self._socket: socket.socket = session.sock
        self._socket.setblocking(False)
        # Without Nagle's delay: each write is already a complete group of commands.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._encrypted = isinstance(self._socket, ssl.SSLSocket)
        self.features = dict(session.esmtp_features)

    def hide_secrets(self, reply: bytes) -> bytes:
        return self._hide_secrets(reply)

    def fileno(self) -> int:
        return self._socket.fileno()

    def write(self, data: bytearray) -> None:
        """Remove from the front of `data` what the socket accepts. Raises ConnectionClosed.

        What is left in `data` has certainly not arrived: the state of a message depends on it. So TLS gets one record
        at a time. OpenSSL cuts a larger write into several records, and can send some of them before it reports that
        nothing was written. A single record that was sent in part cannot be decrypted, so it counts as not sent.
        """
        try:
            while data:
                with memoryview(data) as view:
                    written = self._socket.send(view[:_TLS_RECORD] if self._encrypted else view)
                del data[:written]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise ConnectionClosed(error.strerror or str(error)) from None

    def read(self) -> bytes:
        """Return what has arrived, b"" if that was nothing or only TLS housekeeping. Raises ConnectionClosed."""
        try:
            data = self._socket.recv(65536)
            # Data that OpenSSL has already decrypted does not make the socket readable again.
            while self._encrypted and isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
                data += self._socket.recv(65536)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return b""
        except OSError as error:
            raise ConnectionClosed(error.strerror or str(error)) from None
        if not data:
            raise ConnectionClosed("the server closed the connection")
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._session.close()


class _AccessToken:
    """The access token that a command prints, shared by connections that open within a few minutes."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.command = command
        self._lock = threading.Lock()
        self._value = Secret("")
        self._fetched = 0.0

    def get(self) -> Secret:
        """Return the token. Raises ServerRejected, whose text contains nothing that the command printed."""
        with self._lock:
            if not self._value or time.monotonic() - self._fetched > _TOKEN_LIFETIME:
                self._value, self._fetched = self._run_command(), time.monotonic()
            return self._value

    def _run_command(self) -> Secret:
        name = f"smtp.token_command ({self.command[0]})"
        try:
            result = subprocess.run(  # noqa: S603  the user's own command, run without a shell
                self.command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TOKEN_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise ServerRejected(f"{name} timed out after {_TOKEN_SECONDS} seconds; run it by hand") from None
        except OSError as error:
            raise ServerRejected(f"{name} cannot be run: {error.strerror}") from None
        value = result.stdout.decode("ascii", "replace").strip()
        if result.returncode != 0 or not value.isascii() or not value.isprintable() or not value:
            problem = f"failed with exit code {result.returncode}" if result.returncode else "printed no token"
            raise ServerRejected(f"{name} {problem}; run it by hand: it must print an access token and nothing else")
        return Secret(value)


def _tls_context(settings: SmtpSettings) -> ssl.SSLContext | None:
    return None if settings.security == "none" else ssl.create_default_context()


class _Client(smtplib.SMTP):
    """smtplib's client, with limits to what a server can make it wait for and keep in memory up to the login.

    smtplib reads the lines of a reply for as long as they come, and its timeout limits each wait, but not their number.
    """

    def __init__(self, host: str, settings: SmtpSettings, **more: Any) -> None:
        self._settings = settings
        self._server = f"{host}:{settings.port}"
        self._seconds = settings.timeout * CONNECT_STEPS
        self._deadline = time.monotonic() + self._seconds
        self._bytes_left = _MAX_LOGIN_BYTES
        super().__init__(host, settings.port, timeout=settings.timeout, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect. Raises ServerRejected if the server says nothing, because it waits for TLS that we start later."""
        connected: socket.socket = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # not in typeshed
        silent = self._settings.security == "starttls" and not _has_answer(connected, min(timeout, _GREETING_SECONDS))
        if silent and _speaks_tls(host, port, timeout):
            connected.close()
            raise ServerRejected(f'{self._server} expects TLS from the start; write smtp.security = "tls"')
        return connected

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None:  # at first, and after STARTTLS
            self.file = io.BufferedReader(_Replies(self))
        try:
            return super().getreply()
        except BaseException:
            self.close()
            raise

    def receive_into(self, buffer: Any) -> int:
        """Wait for more. Raises ServerUnreachable when it takes too long in all, or is too much."""
        if time.monotonic() > self._deadline:
            raise ServerUnreachable(
                f"{self._server}: connecting and logging in took longer than {self._seconds:g} seconds"
            )
        count = self.sock.recv_into(buffer) if self.sock else 0
        self._bytes_left -= count
        if self._bytes_left < 0:
            what = f"sent more than {_MAX_LOGIN_BYTES:,} bytes before the login"
            raise ServerUnreachable(f"{self._server} {what}; check smtp.host and smtp.port")
        return count


def _has_answer(connected: socket.socket, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(connected, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _speaks_tls(host: str, port: int, timeout: float) -> bool:
    """Whether a server begins a TLS handshake on a new connection; its certificate does not matter for that."""
    context = ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), min(timeout, _GREETING_SECONDS)) as connected,
            context.wrap_socket(connected, server_hostname=host),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return True
    except (OSError, ValueError):
        return False


class _TlsClient(_Client, smtplib.SMTP_SSL):
    """The same with TLS from the first byte."""


class _Replies(io.RawIOBase):
    """What a client receives, as the file that smtplib reads."""

    def __init__(self, client: _Client) -> None:
        self._client = client

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._client.receive_into(buffer)


def _connect(
    host: str, settings: SmtpSettings, context: ssl.SSLContext | None, token: _AccessToken
) -> tuple[_Client, Callable[[bytes], bytes]]:
    """Return a client that is encrypted, verified and logged in, and what hides its login in replies of the server.

    Raises ServerUnreachable or ServerRejected, whatever the server does.
    """
    access_token = token.get() if settings.token_command else Secret("")
    hide_secrets = _make_hider(settings, access_token)
    client: _Client | None = None
    try:
        client = _open(host, settings, context)
        client.ehlo_or_helo_if_needed()
        if settings.username:
            _log_in(client, settings, access_token)
    except BaseException as error:
        if client is not None:
            client.close()
        # Every smtplib.SMTPException is an OSError. A ValueError is what smtplib and the modules that it uses raise for
        # replies that make no sense.
        if isinstance(error, OSError | ValueError):
            raise _explain_error(error, f"{host}:{settings.port}", settings, hide_secrets) from None
        raise
    return client, hide_secrets


def _open(host: str, settings: SmtpSettings, context: ssl.SSLContext | None) -> _Client:
    """Connect, with TLS unless `security` is "none": never fall back to an unencrypted session."""
    if settings.security == "tls":
        return _TlsClient(host, settings, context=context)
    client = _Client(host, settings)
    if settings.security == "starttls":
        try:
            client.starttls(context=context)  # raises if it is not offered, or refused
        except BaseException:
            client.close()
            raise
    return client


def _log_in(client: _Client, settings: SmtpSettings, access_token: Secret) -> None:
    if not settings.token_command:
        client.login(settings.username, settings.password)
        return
    bearer = _bearer(settings, access_token)
    # The server rejects a token with a challenge that contains the reason; the answer to it is empty.
    client.auth("XOAUTH2", lambda challenge=None: bearer if challenge is None else "")


def _bearer(settings: SmtpSettings, access_token: Secret) -> str:
    return f"user={settings.username}\x01auth=Bearer {access_token}\x01\x01"


def _make_hider(settings: SmtpSettings, access_token: Secret) -> Callable[[bytes], bytes]:
    """Return a function that replaces what we log in with by ***, in every form in which it is sent.

    A server may quote it cut off or broken into lines, so each word with a long enough piece of it is replaced too.
    """
    plain_login = f"\0{settings.username}\0{settings.password}"
    forms: set[bytes] = set()
    for secret, login in ((settings.password, plain_login), (access_token, _bearer(settings, access_token))):
        if secret:
            forms.add(secret.encode())
            forms.update(base64.b64encode(text.encode()).rstrip(b"=") for text in (secret, login))
    if not forms:
        return bytes
    whole = re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)))
    pieces = {piece for form in forms for piece in _cut(form)}

    def hide_word(word: re.Match[bytes]) -> bytes:
        return word[0] if pieces.isdisjoint(_cut(word[0])) else b"***"

    return lambda text: _LONG_WORD.sub(hide_word, whole.sub(b"***", text))


def _cut(text: bytes) -> Iterator[bytes]:
    """Yield every piece of a text that would give a secret away."""
    return (text[start : start + _PIECE_BYTES] for start in range(len(text) - _PIECE_BYTES + 1))


def _explain_error(
    error: OSError | ValueError, server: str, settings: SmtpSettings, hide_secrets: Callable[[bytes], bytes]
) -> Exception:
    """Turn an error into a sentence: ServerUnreachable if it may pass, ServerRejected if somebody has to fix it."""
    if isinstance(error, smtplib.SMTPResponseException):
        return _explain_reply(error, server, settings, hide_secrets)
    if isinstance(error, ssl.SSLCertVerificationError):
        return ServerRejected(f"{server}: certificate verification failed: {error.verify_message}; check smtp.host")
    if isinstance(error, UnicodeError):
        keys = "smtp.username, DIGEST_SMTP_PASSWORD or smtp.host"
        return ServerRejected(f"{server}: {keys} contains characters that SMTP cannot send; use only ASCII")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if settings.username and "AUTH" in str(error):
            return ServerRejected(f'{server} does not offer login; set smtp.username to "" if it needs none')
        return ServerRejected(f'{server} does not offer STARTTLS; set smtp.security to "tls" if smtp.port is 465')
    if isinstance(error, ssl.SSLError):
        if settings.security == "tls" and error.reason in _NO_TLS:
            return ServerRejected(f'{server} does not use TLS from the start; write smtp.security = "starttls"')
        reason = error.reason or error
        return ServerUnreachable(f"{server}: TLS handshake failed: {reason}; check smtp.port and smtp.security")
    if type(error) is smtplib.SMTPException and "No suitable" in str(error):
        hint = "set smtp.token_command if it accepts access tokens"
        return ServerRejected(f"{server} does not offer a login with a password; {hint}")
    if isinstance(error, ValueError) or type(error) is smtplib.SMTPException:  # challenges without sense or end
        return ServerUnreachable(f"{server} sent invalid replies to the login; check smtp.host and smtp.port")
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return ServerUnreachable(f"{server} did not answer within {settings.timeout:g} seconds")
    return ServerUnreachable(f"{server} cannot be reached: {error.strerror or error}")


def _explain_reply(
    error: smtplib.SMTPResponseException,
    server: str,
    settings: SmtpSettings,
    hide_secrets: Callable[[bytes], bytes],
) -> Exception:
    text = error.smtp_error if isinstance(error.smtp_error, bytes) else str(error.smtp_error).encode()
    reply = f"{error.smtp_code} {printable_reply(hide_secrets(text))}".strip()
    if not 500 <= error.smtp_code < 600 or text.startswith(b"Line too long"):  # the latter is smtplib's own
        return ServerUnreachable(f"{server} cannot be used right now: {reply}")
    if isinstance(error, smtplib.SMTPAuthenticationError):
        secret = "smtp.token_command" if settings.token_command else "DIGEST_SMTP_PASSWORD"
        login = f"{server} rejected the login of {settings.username}"
        provider = provider_of_server(server.rpartition(":")[0])
        note = f". {provider.note}" if provider and provider.note else ""
        return ServerRejected(f"{login} ({reply}); check smtp.username and {secret}{note}")
    return ServerRejected(f"{server} rejected the connection: {reply}")
