"""One HTTP request with an end: bounded in time and size, never redirected, never a secret told.

Socket timeouts start anew with every byte; a server that drips one at a time would hold the sender
for hours. So the connection is shut down when the time is over, whatever it is doing then. Only the
look-up of a host name cannot be interrupted: the resolver has limits of its own.
"""

from __future__ import annotations

import base64
import http.client
import socket
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_ANSWER = 16_384


class Answer(NamedTuple):
    """What a server said; header names are in lower case, ``body`` is its beginning."""

    status: int
    headers: dict[str, str]
    body: bytes


class UnusableAddressError(Exception):
    """An address that no request can be made of. The message tells why, without the address."""


class NoAnswerError(Exception):
    """No whole answer came. The message tells why, without the address."""


def request(url: str, body: bytes | None, headers: Mapping[str, str], *, seconds: float) -> Answer:
    """POST ``body``, or GET where it is None; any status is an answer, a redirect too.

    Proxies of the environment are used. Errors: `UnusableAddressError`, `NoAnswerError`.
    """
    address, authorization = _address(url)
    deadline = _Deadline(seconds)
    try:
        asked = urllib.request.Request(  # noqa: S310 (_address lets http and https through only)
            address, data=body, headers={**headers, **authorization}
        )
        with deadline, _opener(deadline).open(asked, timeout=seconds) as answer:
            return _read(answer)
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


class _Deadline:
    """Shuts a request's connections down when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._timer.join()

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


class _Connection(http.client.HTTPConnection):
    deadline: _Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _SecureConnection(http.client.HTTPSConnection):
    deadline: _Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


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


def _read(answer: http.client.HTTPResponse) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    try:
        body = answer.read(LARGEST_ANSWER)
    except (OSError, http.client.HTTPException, ValueError):
        # The status is what counts: a message that was taken must not be sent again because the
        # thanks for it got lost.
        body = b""
    return Answer(answer.status, headers, body)


def _reason(error: BaseException | str) -> str:
    """The system's words for an error of the system; the texts of others may hold the address."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__ if isinstance(error, BaseException) else "unknown"


def _too_slow(seconds: float) -> NoAnswerError:
    return NoAnswerError(f"no answer within {seconds:g} s")
