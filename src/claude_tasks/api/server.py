"""The API server: uvicorn on its own thread, so that signals stay with the main thread.

``start`` reports failure, ``stop`` blocks and may be repeated. Streams never end by themselves:
they are told to, so that a stop takes as long as the requests under way, at most `GRACE_SECONDS`.
What is left then is cut off by us; uvicorn's own end of patience only stands behind that.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, cast

import uvicorn

from claude_tasks.api.asgi import answer
from claude_tasks.api.errors import error_bytes
from claude_tasks.api.listening import make_room
from claude_tasks.api.protocol import PromptProtocol
from claude_tasks.system.service_thread import ServiceThread

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable

    from claude_tasks.api.asgi import Application, Message, Receive, Scope, Send
    from claude_tasks.api.change_broadcast import ChangeBroadcast

log = logging.getLogger(__name__)

GRACE_SECONDS = 1.5
_LAST_WORDS_SECONDS = 0.1
_BACKSTOP_SECONDS = 5
_TICKS_BETWEEN_LOOKS = 10
"""uvicorn ticks every 0.1 s."""
_KEEP_ALIVE_SECONDS = 30
MOST_UNREAD = 64 * 1024 * 1024
"""Bytes of answers that clients have not taken yet, all together."""
_START_SECONDS = 10.0
_STOPPING = error_bytes("The server stops", "stopping", hint="try again")


class ApiServer(ServiceThread):
    """Serves one application on one socket. `stop` answers what was asked."""

    def __init__(
        self,
        app: Application,
        bound: socket.socket,
        *,
        closing: asyncio.Event,
        broadcast: ChangeBroadcast,
        close: Callable[[], None],
    ) -> None:
        """``closing`` and ``broadcast`` end the streams; ``close`` lets go of what the app uses."""
        super().__init__("API server")
        self._socket = bound
        self._closing = closing
        self._broadcast = broadcast
        self._close = close
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        config = uvicorn.Config(
            _CutOff(app, closing),
            http=PromptProtocol,
            ws="none",
            lifespan="on",
            proxy_headers=False,  # an address that a client may choose proves nothing
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_BACKSTOP_SECONDS,
        )
        self._server = _Server(config, self._on_started)

    def prepare(self) -> None:
        """Have room for many connections."""
        make_room()

    def confirm(self) -> None:
        """Wait until it listens. Errors: what kept it from that."""
        self._ready.wait(_START_SECONDS)
        if self.failure is not None:
            raise self.failure
        if self._loop is None:
            raise TimeoutError("the API server did not start")

    def run(self) -> None:
        """Answer requests."""
        self._server.run(sockets=[self._socket])
        if not self._server.should_exit:
            raise RuntimeError("it ended by itself")

    def interrupt(self) -> None:
        """Take no more requests and end the streams. May be called before `stop`."""
        self._server.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed: it has ended
                self._loop.call_soon_threadsafe(self._end_streams)

    def finish(self) -> None:
        """End the wait of `confirm`."""
        self._ready.set()

    def stop(self) -> None:
        """End, then let go of the socket and of what the application uses."""
        super().stop()
        self._socket.close()
        self._close()

    def _end_streams(self) -> None:
        self._closing.set()
        self._broadcast.close()

    def _on_started(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready.set()


def _bound_unread(connections: list[PromptProtocol]) -> None:
    """Abort the connections that read least while unread answers fill memory.

    A single answer may be larger than that.
    """
    waiting = [connection for connection in connections if connection.unread]
    waiting.sort(key=lambda connection: (connection.moved_at, -connection.unread))
    total = sum(connection.unread for connection in waiting)
    while total > MOST_UNREAD and len(waiting) > 1:
        let_go = waiting.pop(0)
        total -= let_go.unread
        let_go.transport.abort()


class _CutOff:
    """An ASGI layer: a request that is still there when the grace is over gets an answer."""

    def __init__(self, app: Application, closing: asyncio.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        def note(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await self._app(scope, receive, note)
        except asyncio.CancelledError:
            if not self._closing.is_set():
                raise
            log.info("a request was cut off: it took longer than the server's end may")
            if not started:
                await answer(send, 503, _STOPPING, [])


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it listens and waits for no client that does not read."""

    def __init__(
        self, config: uvicorn.Config, on_started: Callable[[asyncio.AbstractEventLoop], None]
    ) -> None:
        super().__init__(config)
        self._on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started(asyncio.get_running_loop())

    async def on_tick(self, counter: int) -> bool:
        """What uvicorn does ten times a second; let go of those who do not read."""
        if counter % _TICKS_BETWEEN_LOOKS == 0:
            now = asyncio.get_running_loop().time()
            connections = self._connections()
            for connection in connections:
                connection.let_go_if_unread(now)
            _bound_unread(connections)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End, in time whatever clients do."""
        cutting = asyncio.create_task(self._cut_off_after_grace())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await cutting

    async def _cut_off_after_grace(self) -> None:
        """Cancel the remaining requests, then close connections whose clients do not read."""
        await asyncio.sleep(GRACE_SECONDS)
        left = list(self.server_state.tasks)
        if left:
            log.warning("requests cut off, for the server ends: %d", len(left))
            for task in left:
                task.cancel()
            await asyncio.sleep(_LAST_WORDS_SECONDS)  # `_CutOff` answers for them
        for connection in self._connections():
            connection.transport.abort()

    def _connections(self) -> list[PromptProtocol]:
        return cast("list[PromptProtocol]", list(self.server_state.connections))
