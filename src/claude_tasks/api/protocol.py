"""A connection with limits on the time and the memory that its client can take.

uvicorn limits the time between two requests, but not how slowly a request's line and headers
arrive, how long they are (httptools keeps all it gets), how much arrives before the application
reads it, or how long an answer stays unread: a few such clients could take all descriptors or all
memory.

One connection may hold, besides an answer: 64 KiB of headers, 16 KiB of a body that the application
does not read yet, and 16 KiB of requests sent ahead (pipelined), unparsed: each parsed one takes a
hundred times its bytes.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
import time
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from claude_tasks.api.errors import error_bytes
from claude_tasks.api.listening import most_connections
from claude_tasks.api.rate_limit import RateLimit

HEADER_SECONDS = 15.0
MOST_HEADER_BYTES = 64 * 1024
MOST_HEADERS_TOGETHER = 4 * 1024 * 1024
"""Bytes of unfinished headers on all connections together; beyond it the longest are refused."""
_ORDINARY_HEADERS = 4 * 1024
READER_SECONDS = 30.0
_LINGER_SECONDS = 1.0
"""How long input after a refusal is read and dropped: closing with unread bytes resets the
connection, and the client might not see the answer (RFC 9112, section 9.6)."""
_READ_BYTES = 16 * 1024
"""How much is read at once."""
_MOST_UNREAD_BODY = 4 * 1024
"""Bytes of a body that the application does not read, after which reading stops."""
_SLICE = 512
"""How much is parsed at once: how exactly headers are measured, and how many requests sent ahead
become objects before their turn."""

_lines: RateLimit[str] = RateLimit(burst=5, interval=10.0, keys=100, monotonic=time.monotonic)
"""Limits log lines about an address that sends only invalid requests."""

_UNPARSABLE = error_bytes("Invalid HTTP request", "bad_request")
_MANY_HEADERS = error_bytes("Too many long headers at once", "header_memory_full", hint="try again")
_LONG_HEADERS = error_bytes("Request headers over 64 KiB", "headers_too_large")


class _Flow(FlowControl):
    """Stops reading while there is ``enough``, even if another part asks for more."""

    enough = False

    def resume_reading(self) -> None:
        """Read on, unless there is enough."""
        if not self.enough:
            super().resume_reading()


class PromptProtocol(HttpToolsProtocol, asyncio.BufferedProtocol):
    """HTTP/1.1 as uvicorn speaks it, with limits on the time and the memory that a client takes."""

    flow: _Flow
    _inbox = bytearray()
    _waiting: asyncio.TimerHandle | None = None
    _refused = False
    _ahead = b""
    """Requests sent ahead, to be parsed when those before them are answered."""
    _amid_headers = False
    _is_primed = False
    """While a parser is told of a request that was there already."""
    unfinished = 0
    """Bytes of a request's line and headers, or of trailers, that did not end yet."""
    _unsent = 0
    moved_at = 0.0
    """When the client last took something of what waits for it."""
    heard_at = 0.0
    """When something came last, in the loop's seconds."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Begin to wait for a request. One connection too many takes the place of an idle one."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self.heard_at = self.loop.time()
        if len(self.connections) > most_connections() and not self._take_a_place():
            transport.close()
            return
        self._wait(HEADER_SECONDS)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 (the loop would read far more)
        """Where the next bytes are to go; no connection keeps a buffer while nothing comes."""
        self._inbox = bytearray(_READ_BYTES)
        return self._inbox

    def buffer_updated(self, nbytes: int) -> None:
        """They are there."""
        data = bytes(memoryview(self._inbox)[:nbytes])
        self._inbox = bytearray()
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        """Parse what came."""
        self.heard_at = self.loop.time()
        self._unset_keepalive_if_required()
        data, self._ahead = self._ahead + data, b""
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        """Slice by slice, unless what comes is headers without end, or not its turn yet."""
        for start in range(0, len(data), _SLICE):
            if self._refused or self.transport.is_closing():
                return
            if self.pipeline:
                self._ahead = data[start:]
                self.flow.enough = True
                self.flow.pause_reading()
                self._stop_waiting()  # we let the client wait
                return
            part = data[start : start + _SLICE]  # no copy where that is all
            self.unfinished += len(part)  # what gets on puts it back to 0: see below
            self._feed(part)
            if self.unfinished > MOST_HEADER_BYTES:
                self.refuse(431, _LONG_HEADERS)
        if self.unfinished > _ORDINARY_HEADERS:
            self._bound_headers()
        # What began, or came after an answer, must become a request in time.
        if self._waiting is None and (self._amid_headers or self._is_answered):
            self._wait(HEADER_SECONDS)

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._stay_with_http()
            if rest := data[upgrade.args[0] :]:
                self._feed(rest)
        except httptools.HttpParserError:
            if not _lines.take(self.client[0] if self.client else ""):
                self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("")

    def on_response_complete(self) -> None:
        """An answer is sent: drop the rest of the body; go on with requests sent ahead."""
        if self._is_answered:  # else a later request is there, and the body is of that
            self.cycle.body = bytearray()
        super().on_response_complete()
        if self._ahead and not self.pipeline:
            self.flow.enough = False
            self.flow.resume_reading()
            self.data_received(b"")

    def on_message_begin(self) -> None:
        """The first byte of a request: the rest of its headers must follow in time."""
        if self._is_primed:
            return
        super().on_message_begin()
        self.unfinished = 0
        self._amid_headers = True

    def on_url(self, url: bytes) -> None:
        """A part of the request's target."""
        if not self._is_primed:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        if not self._is_primed:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The request is there."""
        if self._is_primed:
            return
        self.unfinished = 0
        self._amid_headers = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body: how much of that there may be is not decided here."""
        self.unfinished = 0
        super().on_body(body)
        if len(self.cycle.body) > _MOST_UNREAD_BODY and not self.cycle.response_complete:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """The request's end; but not where it asks for another protocol and its body follows."""
        if not (self.parser.should_upgrade() and self._framing()):
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the base's words)
        """Refuse what is no HTTP."""
        self.refuse(400, _UNPARSABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def let_go_if_unread(self, now: float) -> None:
        """Abort if the client took nothing of its answer for long; ``now`` in monotonic seconds.

        To be asked now and then. What waits may grow meanwhile, but shrinks when something is read.
        """
        unsent = self.unread
        if unsent:
            unsent += _unsent_by_system(self.transport)
        if unsent == 0 or unsent < self._unsent or not self._unsent:
            self.moved_at = now
        self._unsent = unsent
        if now - self.moved_at >= READER_SECONDS:
            self.transport.abort()

    @property
    def unread(self) -> int:
        """Bytes of answers that not even the system has taken yet."""
        return self.transport.get_write_buffer_size()

    @property
    def _is_answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    @property
    def waits_for_client(self) -> bool:
        """Whether it is the client's turn: to send a request, or the rest of one."""
        if self._is_answered:
            return not self.transport.get_write_buffer_size()
        return self.cycle.more_body

    def _take_a_place(self) -> bool:
        """End the connection that has been silent for longest while it was its turn, if any is.

        So a client that opens all connections and sends nothing does not keep others out.
        """
        there = [one for one in self.connections if not one.transport.is_closing()]
        if len(there) <= most_connections():
            return True
        silent = [
            one
            for one in there
            if isinstance(one, PromptProtocol) and one is not self and one.waits_for_client
        ]
        if not silent:
            return False
        min(silent, key=lambda one: one.heard_at).transport.abort()
        return True

    def _bound_headers(self) -> None:
        """Refuse the longest headers that did not end while all together take too much."""
        long = [
            one
            for one in self.connections
            if isinstance(one, PromptProtocol) and one.unfinished > _ORDINARY_HEADERS
        ]
        long.sort(key=lambda one: one.unfinished)
        total = sum(one.unfinished for one in long)
        while total > MOST_HEADERS_TOGETHER:
            longest = long.pop()
            total -= longest.unfinished
            longest.unfinished = 0
            longest.refuse(503, _MANY_HEADERS)
            longest.parser = None  # it keeps them

    def _stay_with_http(self) -> None:
        """Ignore ``Upgrade`` (RFC 9110, 7.8): the request is handled as HTTP/1.1.

        The parser takes what follows such headers for another protocol, the body too. A new one is
        told how that is framed.
        """
        framing = self._framing()
        if not framing:
            return
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as its base does
        self._is_primed = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%s\r\n" % framing)
        self._is_primed = False

    def _framing(self) -> bytes:
        """The headers that tell of a body, b"" where there is none."""
        told = [
            b"%s: %s\r\n" % (name, value)
            for name, value in self.headers
            if name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0"))
        ]
        return b"".join(told)

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

    def refuse(self, status: int, body: bytes) -> None:
        """Answer, then close. The handler of an earlier request is told of the disconnect."""
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
