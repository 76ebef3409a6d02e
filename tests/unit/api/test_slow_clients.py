"""Clients that keep a connection waiting for a request's headers are let go."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from claude_tasks.api import protocol
from claude_tasks.api.asgi import answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 0.1
REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", PATIENCE)


async def _app(_scope: Any, _receive: Any, send: Any) -> None:
    await asyncio.sleep(3 * PATIENCE)  # an answer may take longer than the headers
    await answer(send, 200, b"{}", [])


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[int]:
    """The port of a server that answers slowly but surely."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(_app, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    server = await loop.create_server(
        lambda: protocol.PromptProtocol(config, state, {}, loop), "127.0.0.1", 0
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()


@contextlib.asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    return await asyncio.wait_for(reader.read(), 10) == b""


async def _answered(reader: asyncio.StreamReader) -> bool:
    return b"200 OK" in await asyncio.wait_for(reader.readuntil(b"{}"), 10)


@pytest.mark.parametrize("sent", [b"", b"GET /api/v", REQUEST[:-2], REQUEST[:-1]])
def test_a_request_that_does_not_get_beyond_its_headers_is_closed(sent: bytes) -> None:
    async def talk() -> None:
        async with _served() as port, _connected(port) as (reader, writer):
            writer.write(sent)
            assert await _is_closed(reader)

    asyncio.run(talk())


def test_one_byte_at_a_time_does_not_buy_more_time() -> None:
    async def talk() -> None:
        async with _served() as port, _connected(port) as (reader, writer):
            closed = asyncio.ensure_future(_is_closed(reader))
            writer.write(b"GET / HTTP/1.1\r\nX: ")
            sent = 0
            while not closed.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"x")
                sent += 1
                await asyncio.sleep(PATIENCE / 10)
            assert sent > 1
            with contextlib.suppress(ConnectionError):
                assert await closed

    asyncio.run(talk())


def test_a_whole_request_has_all_the_time_it_needs() -> None:
    async def talk() -> None:
        async with _served() as port, _connected(port) as (reader, writer):
            for _ in range(2):
                writer.write(REQUEST)
                assert await _answered(reader)

    asyncio.run(talk())


def test_the_second_request_of_a_connection_is_held_to_the_same() -> None:
    async def talk() -> None:
        async with _served() as port, _connected(port) as (reader, writer):
            writer.write(REQUEST)
            assert await _answered(reader)
            writer.write(REQUEST[:10])
            assert await _is_closed(reader)

    asyncio.run(talk())


def test_a_connection_too_many_is_closed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 60)

    async def talk() -> None:
        async with _served() as port, _connected(port) as (first, writer):
            writer.write(REQUEST)
            assert await _answered(first)
            async with _connected(port) as (second, _):
                assert await _is_closed(second)
            writer.write(REQUEST)
            assert await _answered(first), "who was there before stays"

    asyncio.run(talk())
