"""Send GET requests to web servers that may be hostile, slow or broken: sources, and the monitoring service.

`Web.get` is the only way out to HTTP. It gives an `Answer` or raises SourceError, within limits that hold whatever the
server sends:

1. Time. Every read and write on the socket, the TLS handshake and the look-up of the name get what is left until the
   deadline, so that a server gains nothing by sending a byte now and then.
2. Size. The bytes on the wire are counted, headers, chunks and interim answers included, and so are those of the
   decoded body. Only gzip is asked for and read; decoding ends where the first gzip member ends.
3. Addresses. Each redirect is followed here, after a look at where it leads: from a public address to no private one,
   and from https to no http. The address that was checked is the one that is connected to.
4. Headers. Only values of printable ASCII are passed on, and only those below.
5. Secrets. The headers of a request, and the user and password in its address, go to the first host alone.

Messages name hosts and statuses, and quote nothing that a server wrote.
"""

import socket
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from digest.errors import SourceError, TemporaryError, Unreachable

_MAX_REDIRECTS = 5
_MAX_OVERHEAD = 2**20  # bytes on the wire of headers, chunk sizes and redirects, beyond those of the body
_MAX_HEADER = 2_000  # characters of a value
_IDLE, _CONNECT = 20.0, 10.0  # seconds without a byte, and for a connection
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WITH_BODY = frozenset({200, 304})  # the body of any other answer is not read
_HEADERS = ("date", "etag", "last-modified", "ratelimit", "retry-after")
_NAT64 = IPv6Network("64:ff9b::/96")  # IPv4 addresses as IPv6 ones: RFC 6052


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; `headers` by their names in lower case, without those that cannot be used."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def phrase(self) -> str:
        """The status with its standard name, like "404 Not Found"."""
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)


class Web:
    """Sends requests, one at a time.

    agent       the User-Agent
    seconds     for all requests, from now on
    max_bytes   limit for a decoded body
    transport   used instead of the network
    """

    def __init__(
        self, agent: str, seconds: float, max_bytes: int, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._headers = {"User-Agent": agent, "Accept": "*/*", "Accept-Encoding": "gzip"}
        self._max_bytes = max_bytes
        self._limits = _Limits(seconds)
        self._given = transport
        self._first = transport or _Transport(self._limits)

    def close(self) -> None:
        self._first.close()

    @property
    def seconds_left(self) -> float:
        return self._limits.seconds_left

    @property
    def received(self) -> int:
        """Bytes on the wire of the last request."""
        return self._limits.received

    def get(
        self,
        address: str,
        *,
        validators: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        body: bool = True,
    ) -> Answer:
        """Request an address, and follow its redirects.

        `validators` make the request conditional; `secrets` are headers for the first host alone; without `body`, that
        is not read. Raises SourceError, TemporaryError for what may be gone in a moment, and Unreachable if there is no
        connection.
        """
        url = _parse_url(address)
        if url is None:
            raise SourceError("the address is not valid")
        self._limits.start(self._max_bytes + _MAX_OVERHEAD)
        try:
            with ExitStack() as stack:
                response = self._follow(url, dict(validators or {}), dict(secrets or {}), stack)
                return self._read(response, body=body)
        except (httpx.TimeoutException, httpcore.TimeoutException) as problem:
            self._limits.check()
            if isinstance(problem, httpx.ConnectTimeout | httpcore.ConnectTimeout):
                raise Unreachable("the server cannot be reached: timed out") from None
            raise TemporaryError("timed out") from None
        except (httpx.ConnectError, httpcore.ConnectError) as problem:
            raise _connection_error(problem) from None
        except (httpx.ProtocolError, httpcore.ProtocolError):
            raise TemporaryError("the server did not answer in HTTP") from None
        except (httpx.TransportError, httpcore.NetworkError, httpcore.ProxyError, OSError) as problem:
            raise TemporaryError(f"the connection failed ({type(problem).__name__})") from None

    def _follow(
        self, url: httpx.URL, validators: dict[str, str], secrets: dict[str, str], stack: ExitStack
    ) -> httpx.Response:
        """Request an address and then what it redirects to; each redirect in a connection of its own."""
        transport, was_public = self._first, False
        for hop in range(1 + _MAX_REDIRECTS):
            headers = {**self._headers, **validators, **secrets, **_basic_auth(url)}
            request = httpx.Request("GET", url.copy_with(username=None, password=None), headers=headers)
            try:
                response = transport.handle_request(request)
            except (Unreachable, httpx.ConnectError, httpcore.ConnectError):
                if hop:  # a mistake of the server that redirects
                    raise SourceError("redirected to a server that cannot be reached") from None
                raise
            stack.callback(response.close)  # and its connection, unless it was read to the end
            location = response.headers.get("Location")
            if response.status_code not in _REDIRECTS or location is None:
                return response
            response.close()
            was_public = was_public or _is_public_peer(response, url)
            target = _redirect_target(url, location)
            if was_public and not _may_be_public(_host(target)):
                raise SourceError("redirected into a private network, which is not followed")
            secrets = secrets if _is_same_site(url, target) else {}
            url = target
            transport = self._given or stack.enter_context(_Transport(self._limits, only_public=was_public))
        raise SourceError(f"redirected more than {_MAX_REDIRECTS} times")

    def _read(self, response: httpx.Response, *, body: bool) -> Answer:
        values = {name: response.headers.get(name, "").strip() for name in _HEADERS}
        headers = {name: value for name, value in values.items() if is_sendable(value)}
        wanted = body and response.status_code in _WITH_BODY
        return Answer(response.status_code, headers, self._decode(response) if wanted else b"")

    def _decode(self, response: httpx.Response) -> bytes:
        """Return the body. Raises SourceError if it is too large, or encoded in another way than gzip."""
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise SourceError("the response is encoded in a way that was not asked for")
        pieces = _gunzip(response.stream, self._max_bytes) if "gzip" in encoding else response.stream
        body = bytearray()
        assert isinstance(pieces, Iterable)  # noqa: S101 -- a transport that is not asynchronous
        for piece in pieces:
            self._limits.check()
            body += piece
            if len(body) > self._max_bytes:
                raise SourceError(f"the response is larger than {self._max_bytes / 2**20:.3g} MB")
        return bytes(body)


def is_sendable(value: str) -> bool:
    """Whether a value of a header can be kept and sent back: printable ASCII, and not too long."""
    return value.isascii() and value.isprintable() and 0 < len(value) <= _MAX_HEADER


def _gunzip(pieces: Any, max_bytes: int) -> Iterator[bytes]:
    """Decode gzip up to the end of its first member, to at most one byte more than `max_bytes`."""
    decoder, left = zlib.decompressobj(wbits=31), max_bytes + 1
    try:
        for piece in pieces:
            if decoder.eof:
                return
            decoded = decoder.decompress(piece, left)
            left -= len(decoded)
            yield decoded
            if left <= 0:
                return
    except zlib.error:
        raise SourceError("the response is not the gzip that it claims to be") from None
    if not decoder.eof:
        raise TemporaryError("the response is cut off")


# ---- addresses -------------------------------------------------------------------------------------------------------


def _parse_url(address: str, base: httpx.URL | None = None) -> httpx.URL | None:
    """Return an http(s) address whose host can be looked up; None for any other."""
    try:
        url = httpx.URL(address) if base is None else base.join(address)
        host = _host(url)
        _ = url.host  # decoded, which fails if it is not IDNA
    except (httpx.InvalidURL, ValueError, TypeError):
        return None
    valid = url.scheme in ("http", "https") and (_literal(host) or _is_host_name(host))
    return url if valid and 0 < (url.port or 80) < 65536 else None


def _host(url: httpx.URL) -> str:
    """The host in ASCII."""
    return url.raw_host.decode("ascii")


def _is_host_name(host: str) -> bool:
    """Whether labels and lengths are those of a host name (RFC 1123, 2.1; underscores are in use)."""
    labels = host.removesuffix(".").split(".")
    letters = all(c.isalnum() or c in "-_." for c in host)
    return letters and len(host) <= 253 and all(0 < len(label) <= 63 and label[0] != "-" for label in labels)


def _redirect_target(url: httpx.URL, location: str) -> httpx.URL:
    """Return where a redirect leads, without the user and password it may name."""
    target = _parse_url(location, url) if location.isprintable() and len(location) <= _MAX_HEADER else None
    if target is None:
        raise SourceError("redirected to an address that is not valid")
    if (url.scheme, target.scheme) == ("https", "http"):
        raise SourceError("redirected from https to http, which is not followed")
    return target.copy_with(username=None, password=None)


def _is_same_site(url: httpx.URL, target: httpx.URL) -> bool:
    """Whether a redirect stays at its host and port, or leads to https there."""
    upgraded = (url.scheme, url.port, target.scheme, target.port) == ("http", None, "https", None)
    return _host(url) == _host(target) and ((url.scheme, url.port) == (target.scheme, target.port) or upgraded)


def _basic_auth(url: httpx.URL) -> dict[str, str]:
    """The header for the user and password in an address."""
    if not url.username and not url.password:
        return {}
    auth = httpx.BasicAuth(url.username, url.password)
    return {"Authorization": next(auth.auth_flow(httpx.Request("GET", url))).headers["Authorization"]}


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """Return the IP address that a host is written as, if it is one."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _is_public(host: str) -> bool:
    """Whether an IP address is one of the public internet; an IPv4 address within an IPv6 one counts by itself."""
    address = _literal(host)
    if isinstance(address, IPv6Address):
        inner = IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
        address = inner or address.ipv4_mapped or address.sixtofour or address
    return address is not None and address.is_global and not address.is_multicast


def _may_be_public(host: str) -> bool:
    """Whether a host that is not looked up here may be public. What is looked up here is checked by its addresses."""
    return _is_public(host) if _literal(host) else host.rstrip(".").rpartition(".")[2] != "localhost"


def _is_public_peer(response: httpx.Response, url: httpx.URL) -> bool:
    """Whether a response came from a public address; by the name of the host if a proxy or a test stands between."""
    stream = response.extensions.get("network_stream")
    peer = stream.peer if isinstance(stream, _Stream) else ""
    return _is_public(peer) if peer else _may_be_public(_host(url))


# ---- the network -----------------------------------------------------------------------------------------------------


class _Limits:
    """The time and the bytes that are left; shared by all connections of a `Web`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._max_bytes = 0
        self.received = 0

    def start(self, max_bytes: int) -> None:
        """Begin a request that may receive so many bytes."""
        self._max_bytes, self.received = max_bytes, 0
        self.check()

    @property
    def seconds_left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    def check(self) -> None:
        """Raise SourceError after the deadline."""
        if not self.seconds_left:
            raise SourceError(f"the response was not complete within {self._seconds:g} seconds")

    def timeout(self, seconds: float) -> float:
        """Return `seconds`, or what is left of the time. Raises SourceError after the deadline."""
        self.check()
        return min(seconds, max(0.001, self.seconds_left))

    def count(self, received: int) -> None:
        """Count bytes. Raises SourceError when they are too many."""
        self.received += received
        if self.received > self._max_bytes:
            raise SourceError(f"the server sent more than {self._max_bytes / 2**20:.3g} MB")


class _Stream(httpcore.NetworkStream):
    """A connection whose reads and writes keep to the limits. `peer` is the address connected to, '' for a proxy."""

    def __init__(self, stream: httpcore.NetworkStream, limits: _Limits, peer: str) -> None:
        self._stream, self._limits, self.peer = stream, limits, peer

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._stream.read(max_bytes, self._limits.timeout(_IDLE))
        self._limits.count(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._limits.timeout(_IDLE))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, self._limits.timeout(_CONNECT))
        return _Stream(stream, self._limits, self.peer)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    """Connects to addresses that it has looked up and checked itself. A `proxy` is the operator's, and not checked."""

    def __init__(self, limits: _Limits, *, only_public: bool, proxy: bool) -> None:
        self._limits, self._only_public, self._proxy = limits, only_public, proxy
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = _look_up(host, port, self._limits.timeout(_CONNECT))
        if self._only_public and not self._proxy:
            addresses = [address for address in addresses if _is_public(address)]
            if not addresses:
                raise SourceError("redirected into a private network, which is not followed")
        problem: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                stream = self._backend.connect_tcp(address, port, self._limits.timeout(_CONNECT))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                problem = error
            else:
                return _Stream(stream, self._limits, "" if self._proxy else address)
        raise problem


def _look_up(host: str, port: int, seconds: float) -> list[str]:
    """Return the addresses of a host; in a thread, since nothing else limits the time that this takes."""
    answers: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def resolve() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([str(address[0]) for *_, address in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    Thread(target=resolve, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty:
        raise Unreachable(f"the name {host} was not resolved in time") from None
    if isinstance(answer, Exception):
        reason = getattr(answer, "strerror", None) or "it is not a valid name"
        raise Unreachable(f"the name {host} cannot be resolved: {reason}")
    return list(dict.fromkeys(answer))


class _Transport(httpx.BaseTransport):
    """Sends requests through connections that keep to the limits, and through the proxies of the environment."""

    def __init__(self, limits: _Limits, *, only_public: bool = False) -> None:
        self._limits, self._only_public = limits, only_public
        self._pools: dict[str, httpcore.ConnectionPool] = {}  # by the address of the proxy

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        proxy = _proxy_for(url)
        if proxy not in self._pools:
            network = _Network(self._limits, only_public=self._only_public, proxy=bool(proxy))
            self._pools[proxy] = _make_pool(proxy, network)
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        response = self._pools[proxy].handle_request(httpcore.Request("GET", target, headers=request.headers.raw))
        return httpx.Response(
            response.status, headers=response.headers, stream=_Body(response), extensions=response.extensions
        )

    def close(self) -> None:
        for pool in self._pools.values():
            pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


def _make_pool(proxy: str, network: _Network) -> httpcore.ConnectionPool:
    context = _tls_context()
    if not proxy:
        return httpcore.ConnectionPool(ssl_context=context, network_backend=network)
    url = httpx.URL(proxy)
    auth = (url.username.encode(), url.password.encode()) if url.username else None
    address = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/")
    make = httpcore.SOCKSProxy if url.scheme.startswith("socks") else httpcore.HTTPProxy
    return make(proxy_url=address, proxy_auth=auth, ssl_context=context, network_backend=network)


def _proxy_for(url: httpx.URL) -> str:
    """Return the proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY and so on), '' for none."""
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all", "")
    if not proxy or proxy_bypass(_host(url)):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


@cache
def _tls_context() -> ssl.SSLContext:
    """The certificates that httpx trusts, or those in SSL_CERT_FILE. Reading them takes 20 ms."""
    return httpx.create_ssl_context()


def _connection_error(problem: Exception) -> SourceError:
    """Tell a certificate that is not valid, which no retry changes, from a server that cannot be reached."""
    cause: BaseException | None = problem
    while cause and not isinstance(cause, ssl.SSLError | OSError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return SourceError(f"the server's certificate is not valid: {cause.verify_message[:200]}")
    if isinstance(cause, ssl.SSLError):
        return TemporaryError("the TLS handshake failed")
    reason = getattr(cause, "strerror", None)
    return Unreachable("the server cannot be reached" + (f": {reason}" if reason else ""))
