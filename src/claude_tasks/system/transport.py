"""One HTTP request: limited in time and size, never redirected; errors contain no secret.

Socket timeouts start again with every byte; a server that sends slowly would hold the sender for
hours. So the connection is shut down when the time is over. Only the look-up of a host name cannot
be interrupted: the resolver has limits of its own.
"""

from __future__ import annotations

import base64
import http.client
import math
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from claude_tasks.domain.instant import SECOND_MS, from_datetime

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_ANSWER = 16_384
"""Bytes: more than any thanks for a message needs."""


class UnusableAddressError(Exception):
    """An address that no request can be made of. The message tells why, without the address."""


class NoAnswerError(Exception):
    """No whole answer came. The message tells why, without the address."""


class TooSlowError(NoAnswerError):
    """No whole answer came in time."""


class HttpResponse(NamedTuple):
    """What a server said; header names are in lower case, ``body`` is its beginning.

    ``broken`` tells why the body may lack its end, None where it has it or was longer than wanted.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    broken: NoAnswerError | None = None


def request(
    url: str,
    body: bytes | None,
    headers: Mapping[str, str],
    *,
    seconds: float,
    largest: int = LARGEST_ANSWER,
) -> HttpResponse:
    """POST ``body``, or GET where it is None; any status is an answer, a redirect too.

    ``seconds`` bound all of it; of the answer's body ``largest`` bytes are read. Proxies of the
    environment are used. Errors: `UnusableAddressError`, `NoAnswerError`.
    """
    address, authorization = _address(url)
    if authorization and "Authorization" in headers:
        raise UnusableAddressError("the address names a user, but the request has its own key")
    deadline = _Deadline(seconds)
    try:
        asked = urllib.request.Request(  # noqa: S310 (_address lets http and https through only)
            address, data=body, headers={**headers, **authorization}
        )
        with deadline, _opener(deadline).open(asked, timeout=seconds) as answer:
            return _read(answer, deadline, largest)
    except TimeoutError as error:
        raise _too_slow(seconds) from error
    except urllib.error.URLError as error:
        if deadline.passed or isinstance(error.reason, TimeoutError):
            raise _too_slow(seconds) from error
        raise NoAnswerError(f"no connection: {_reason(error.reason)}") from error
    except (http.client.InvalidURL, UnicodeError) as error:
        raise UnusableAddressError("the address has characters that no address has") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        if deadline.passed:
            raise _too_slow(seconds) from error
        raise NoAnswerError(f"no proper HTTP answer: {_reason(error)}") from error


def wait_of(value: object, *, at: int) -> float | None:
    """Seconds that ``retry-after`` asks to wait (RFC 9110, 10.2.3); None where it makes no sense.

    Its value is a number of seconds, or a date.
    """
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        return None
    try:
        wait = float(value)
    except (ValueError, OverflowError):
        wait = _until(str(value), at)
    return max(0.0, wait) if math.isfinite(wait) else None


def _until(date: str, at: int) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError):
        return math.nan
    return (from_datetime(moment) - at) / SECOND_MS if moment.tzinfo else math.nan


class _Deadline:
    """Shuts a request's connections down when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self.seconds = seconds
        self._ends = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

    def connect(self, address: tuple[str, int], *_: object) -> socket.socket:
        """As `socket.create_connection`, where each of a host's addresses has all the time."""
        trouble = OSError(f"no address for {address[0]}")
        for family, kind, protocol, _name, where in socket.getaddrinfo(
            *address, 0, socket.SOCK_STREAM
        ):
            connected = socket.socket(family, kind, protocol)
            try:
                connected.settimeout(max(0.001, self._ends - time.monotonic()))
                connected.connect(where)
            except OSError as error:
                connected.close()
                trouble = error
            else:
                self.watch(connected)
                return connected
        raise trouble

    def watch(self, connected: socket.socket) -> None:
        """A connection of this request."""
        self._sockets.append(connected)
        if self.passed:
            self._end()

    def _end(self) -> None:
        self.passed = True
        for connected in list(self._sockets):
            with suppress(OSError):  # it ended by itself meanwhile
                # The plain one: that of TLS takes the session away under a thread that reads.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)


class _Response(http.client.HTTPResponse):
    """Its status counts, whatever becomes of the headers after it.

    A server that goes on sending into a connection that was shut down resets it: who reads next is
    told of that instead of the end.
    """

    def begin(self) -> None:
        try:
            super().begin()
        except OSError:
            if not isinstance(self.status, int):
                raise
            self.headers = self.msg = http.client.HTTPMessage()
            self.chunked, self.length, self.will_close = False, 0, True


class _Connection(http.client.HTTPConnection):
    response_class = _Response
    deadline: _Deadline

    def connect(self) -> None:
        # The way http.client offers: a proxy that drips its answer is met before `connect` ends.
        self._create_connection = self.deadline.connect
        super().connect()


class _SecureConnection(http.client.HTTPSConnection):
    response_class = _Response
    deadline: _Deadline

    def connect(self) -> None:
        self._create_connection = self.deadline.connect
        super().connect()
        self.deadline.watch(self.sock)  # TLS took the connection over


class _Http(urllib.request.AbstractHTTPHandler):
    """Both schemes, over watched connections."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._plain, req)

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._secure, req)

    def _plain(self, host: str, **options: Any) -> _Connection:
        connection = _Connection(host, **options)
        connection.deadline = self._deadline
        return connection

    def _secure(self, host: str, **options: Any) -> _SecureConnection:
        connection = _SecureConnection(host, **options)
        connection.deadline = self._deadline
        return connection


def _opener(deadline: _Deadline) -> urllib.request.OpenerDirector:
    """Nothing of urllib's defaults: no files, no FTP, no redirects, no errors for statuses."""
    opener = urllib.request.OpenerDirector()
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Http(deadline))
    return opener


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The address without user and password, and the header that carries them (RFC 7617)."""
    try:
        parts = urlsplit(url.strip())
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UnusableAddressError("this is no address") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UnusableAddressError("the address must start with https:// or http:// and a host")
    user, found, server = parts.netloc.rpartition("@")
    address = urlunsplit((parts.scheme, server, parts.path, parts.query, ""))
    if not found:
        return address, {}
    return address, {"Authorization": "Basic " + base64.b64encode(unquote(user).encode()).decode()}


def _read(answer: http.client.HTTPResponse, deadline: _Deadline, largest: int) -> HttpResponse:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        body, broken = answer.read(largest), None
        if len(body) < largest and answer.length:
            broken = NoAnswerError("the answer broke off")
    except (OSError, http.client.HTTPException, ValueError) as error:
        # Only the status counts: an accepted message must not be sent again because the rest of the
        # answer was lost.
        body, broken = b"", NoAnswerError(f"the answer broke off: {_reason(error)}")
    if deadline.passed and len(body) < largest:  # what is shut down looks like an end
        broken = _too_slow(deadline.seconds)
    return HttpResponse(answer.status, headers, body, broken)


def _reason(error: BaseException | str) -> str:
    """The system's words for an error of the system; the texts of others may hold the address."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__ if isinstance(error, BaseException) else "unknown"


def _too_slow(seconds: float) -> TooSlowError:
    return TooSlowError(f"no answer within {seconds:g} s")
