"""A connection that may keep neither us waiting nor our memory.

uvicorn bounds the time between two requests, but neither how slowly a request's line and headers
come nor how long they are (httptools keeps all it gets), nor how long an answer lies there unread:
a handful of such clients would hold every descriptor there is, or all memory.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from claude_tasks.api.errors import error_bytes
from claude_tasks.api.listening import most_connections

if TYPE_CHECKING:
    import asyncio

HEADER_SECONDS = 15.0
MOST_HEADER_BYTES = 64 * 1024
READER_SECONDS = 30.0
_LINGER_SECONDS = 1.0
"""What still comes in after a refusal is dropped for so long: closing with bytes unread resets the
connection, and the client might never see why (RFC 9112, section 9.6)."""
_SLICE = 16 * 1024
"""How much is parsed at once, and so how exactly headers are measured."""

_UNPARSABLE = error_bytes("Invalid HTTP request", "bad_request")
_LONG_HEADERS = error_bytes("Request headers over 64 KiB", "headers_too_large")


class PromptProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with limits on the time and the memory that a client takes."""

    _waiting: asyncio.TimerHandle | None = None
    _refused = False
    _unfinished = 0
    """Bytes of a request's line and headers, or of trailers, that did not end yet."""
    _unsent = 0
    _moved_at: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.close()
            return
        self._wait(HEADER_SECONDS)

    def data_received(self, data: bytes) -> None:
        """Parse, a slice at a time, unless what comes is headers without end."""
        for start in range(0, len(data), _SLICE):
            if self._refused or self.transport.is_closing():
                return
            part = data[start : start + _SLICE]  # no copy where that is all
            self._unfinished += len(part)  # what gets on puts it back to 0: see below
            super().data_received(part)
            if self._unfinished > MOST_HEADER_BYTES:
                self._refuse(431, _LONG_HEADERS)

    def on_message_begin(self) -> None:
        """The first byte of a request: the rest of its headers must follow in time."""
        super().on_message_begin()
        self._unfinished = 0
        if self._waiting is None:
            self._wait(HEADER_SECONDS)

    def on_headers_complete(self) -> None:
        """The request is there."""
        self._unfinished = 0
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: how much of that there may be is not decided here."""
        self._unfinished = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the base's words)
        """Refuse what is no HTTP."""
        self._refuse(400, _UNPARSABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def let_go_if_unread(self, now: float) -> None:
        """Abort if the client took nothing of its answer for long; ``now`` in monotonic seconds.

        To be asked now and then. What waits may grow meanwhile, but shrinks when something is read.
        """
        unsent = self.transport.get_write_buffer_size()
        if unsent:
            unsent += _unsent_by_system(self.transport)
        if unsent == 0 or unsent < self._unsent or self._moved_at is None:
            self._moved_at = now
        self._unsent = unsent
        if now - self._moved_at >= READER_SECONDS:
            self.transport.abort()

    def _wait(self, seconds: float) -> None:
        self._waiting = self.loop.call_later(seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self, *_: Any) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, body: bytes) -> None:
        """Answer, then close. Whoever works on an earlier request is told that nobody waits."""
        self._refused = True
        self._stop_waiting()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if cycle.response_started or self.pipeline:  # it would get amid another answer
                self.transport.close()
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(self._whole_answer(status, body))
        self._wait(_LINGER_SECONDS)

    def _whole_answer(self, status: int, body: bytes) -> bytes:
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%s: %s\r\n" % header for header in headers]
        return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])


def _unsent_by_system(transport: asyncio.Transport) -> int:
    """Bytes that the system holds until the client's side has them (Linux: tcp(7), SIOCOUTQ).

    It takes in megabytes at once and then nothing for long: by our own buffer alone a client that
    reads slowly could not be told from one that does not read.
    """
    try:
        descriptor = transport.get_extra_info("socket").fileno()
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    except OSError:  # another system does not say, or it is closed just now
        return 0
    return int(struct.unpack("i", answer)[0])
