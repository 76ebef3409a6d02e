"""A connection that may not keep us waiting: request headers come in time, or it is closed.

uvicorn bounds the time between two requests, but not how slowly a request's line and headers come:
a handful of such clients would hold every descriptor there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEADER_SECONDS = 15.0
MOST_CONNECTIONS = 1000


class PromptProtocol(HttpToolsProtocol):
    """HTTP/1.1 as uvicorn speaks it, with a limit on the time that headers take."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base
        """Begin to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.close()
            return
        self._wait()

    def on_message_begin(self) -> None:
        """The first byte of a request: the rest of its headers must follow in time."""
        super().on_message_begin()
        if self._waiting is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """The request is there."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(HEADER_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self, *_: Any) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self.transport.close()
