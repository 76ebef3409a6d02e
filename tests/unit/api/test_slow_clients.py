"""Clients that keep a connection waiting for a request's headers, or send no end of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from claude_tasks.api import listening, protocol
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


async def _prompt_app(_scope: Any, _receive: Any, send: Any) -> None:
    await answer(send, 200, b"{}", [])


_states: list[ServerState] = []
"""Of the servers there were; the last is the one that serves."""


@contextlib.asynccontextmanager
async def _served(app: Any = _app) -> AsyncIterator[int]:
    """The port of a server that answers, by default slowly but surely."""
    loop = asyncio.get_running_loop()
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    _states.append(state)
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


@pytest.fixture
def _one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "MOST_CONNECTIONS", 1)
    monkeypatch.setattr(listening, "_FEWEST_CONNECTIONS", 1)
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 60)


@pytest.mark.usefixtures("_one_place")
def test_a_connection_too_many_is_closed_at_once_while_the_others_are_served() -> None:
    async def talk() -> None:
        async with _served() as port, _connected(port) as (first, writer):
            for _ in range(2):
                writer.write(REQUEST)
                await asyncio.sleep(PATIENCE)  # it is being answered
                async with _connected(port) as (second, _):
                    assert await _is_closed(second)
                assert await _answered(first), "who was there before stays"

    asyncio.run(talk())


@pytest.mark.usefixtures("_one_place")
@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", False),
        (REQUEST[:-2], False),
        (REQUEST, True),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhal", False),
    ],
    ids=["nothing", "headers", "answered", "body"],
)
def test_a_connection_too_many_takes_the_place_of_a_silent_one(
    sent: bytes, *, answered: bool
) -> None:
    async def reading_app(_scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await answer(send, 200, b"{}", [])

    async def talk() -> None:
        async with _served(reading_app) as port, _connected(port) as (first, writer):
            writer.write(sent)
            if answered:
                assert await _answered(first)
            async with _connected(port) as (second, other):
                other.write(REQUEST)
                assert await _answered(second)
                with contextlib.suppress(ConnectionError):
                    assert await _is_closed(first)

    asyncio.run(talk())


# Headers without end, and what is no HTTP


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 60)


async def _refusal(port: int, sent: bytes) -> tuple[bytes, Any]:
    """The status line and the JSON of the one answer to it; the connection must be closed then."""
    async with _connected(port) as (reader, writer):
        writer.write(sent)
        head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        status, *headers = head.split(b"\r\n")
        assert b"connection: close" in headers
        assert b"content-type: application/json" in headers
        return status, json.loads(body)


START = REQUEST[:-2]
MUCH = 300 * 1024


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize(
    "sent",
    [
        START + b"X: " + b"x" * MUCH,
        START + b"X: y\r\n" * (MUCH // 6),
        START + b"x" * MUCH,
        b"GET /" + b"x" * MUCH,
        b"\r\n" * (MUCH // 2),
    ],
    ids=["value", "many", "name", "path", "nothing"],
)
def test_headers_without_end_are_refused(sent: bytes) -> None:
    async def talk() -> None:
        async with _served(_prompt_app) as port:
            status, body = await _refusal(port, sent)
            assert status == b"HTTP/1.1 431 Request Header Fields Too Large"
            assert body == {"error": "Request headers over 64 KiB", "code": "headers_too_large"}

    asyncio.run(talk())


@pytest.mark.usefixtures("_patient")
def test_headers_without_end_after_an_answer_are_refused_too() -> None:
    chunked = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"

    async def talk() -> None:
        async with _served(_prompt_app) as port:
            for first in (REQUEST, chunked + b"0\r\n"):  # the second: trailers without end
                async with _connected(port) as (reader, writer):
                    writer.write(first)
                    assert await _answered(reader)
                    writer.write(first[: len(first) // 2] if first == REQUEST else b"")
                    writer.write(b"X: " + b"x" * MUCH)
                    heard = await asyncio.wait_for(reader.read(), 10)
                    assert heard.startswith(b"HTTP/1.1 4"), heard[:100]

    asyncio.run(talk())


@pytest.mark.usefixtures("_patient")
def test_a_refusal_never_gets_amid_another_answer() -> None:
    async def begun_app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await asyncio.Event().wait()

    async def talk() -> None:
        async with _served(begun_app) as port, _connected(port) as (reader, writer):
            writer.write(REQUEST)
            assert await asyncio.wait_for(reader.readuntil(b"begun\r\n"), 10)
            writer.write(b"?\r\n")
            assert await _is_closed(reader)

    asyncio.run(talk())


@pytest.mark.usefixtures("_patient")
def test_large_requests_and_many_are_not_taken_for_long_headers() -> None:
    large = START + b"X: " + b"x" * 60 * 1024 + b"\r\n\r\n"
    posted = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MUCH
    many = large * 5 + REQUEST * 2000

    async def talk() -> None:
        async with _served(_prompt_app) as port:
            for sent, answers in ((large, 1), (posted + b"y" * MUCH + large, 2), (many, 2005)):
                async with _connected(port) as (reader, writer):
                    writer.write(sent)
                    for _ in range(answers):
                        assert await _answered(reader)

    asyncio.run(talk())


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", START + b"a b\r\n\r\n", REQUEST + b"?\r\n"]
)
def test_what_is_no_http_is_told_so_in_json(sent: bytes) -> None:
    async def talk() -> None:
        async with _served() as port:
            status, body = await _refusal(port, sent)
            assert status == b"HTTP/1.1 400 Bad Request"
            assert body == {"error": "Invalid HTTP request", "code": "bad_request"}

    asyncio.run(talk())


# What comes before its turn


class _Crowd:
    """An application that answers when it is told to."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.go = asyncio.Event()
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        self.began.set()
        await self.go.wait()
        body = b""
        more = True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await answer(send, 200, b"{}", [])


async def _settled(look: Any) -> Any:
    """What a figure is once it stands still."""
    before = object()
    while (now := look()) != before:
        before = now
        await asyncio.sleep(0.1)
    return now


@pytest.mark.usefixtures("_patient")
def test_requests_sent_ahead_are_neither_parsed_before_their_turn_nor_lost() -> None:
    async def talk() -> None:
        crowd = _Crowd()
        async with _served(crowd) as port, _connected(port) as (reader, writer):
            writer.write(REQUEST * 5000)
            await crowd.began.wait()
            connection: Any = next(iter(_states[-1].connections))
            queued = await _settled(lambda: len(connection.pipeline))
            assert 0 < queued < 30
            assert 0 < len(connection._ahead) <= 16 * 1024
            assert connection.flow.read_paused
            crowd.go.set()
            for _ in range(5000):
                assert await _answered(reader)
            writer.write(REQUEST)
            assert await _answered(reader)

    asyncio.run(talk())


@pytest.mark.usefixtures("_patient")
def test_a_body_that_nobody_reads_yet_is_not_taken_in() -> None:
    async def talk() -> None:
        crowd = _Crowd()
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % MUCH
        async with _served(crowd) as port, _connected(port) as (reader, writer):
            writer.write(head + b"y" * MUCH)
            await crowd.began.wait()
            connection: Any = next(iter(_states[-1].connections))
            assert await _settled(lambda: len(connection.cycle.body)) <= 20 * 1024
            crowd.go.set()
            assert await _answered(reader)
            assert crowd.bodies == [b"y" * MUCH]

    asyncio.run(talk())


@pytest.mark.parametrize(
    "more", [b"\r\n", b"y", b"yyyyy" + b"\r\n"], ids=["line", "body", "line after body"]
)
def test_what_comes_after_an_answer_and_is_no_request_buys_no_time(more: bytes) -> None:
    early = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"

    async def talk() -> None:
        async with _served(_prompt_app) as port, _connected(port) as (reader, writer):
            writer.write(REQUEST if more == b"\r\n" else early)
            assert await _answered(reader)
            writer.write(more)
            assert await _is_closed(reader)

    asyncio.run(talk())


# Another protocol asked for

UPGRADE = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize(
    ("framing", "sent"),
    [
        (b"Content-Length: 5\r\n", b"hello"),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        (b"Content-Length: 0\r\n", b""),
        (b"", b""),
    ],
    ids=["length", "chunked", "empty", "none"],
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_a_request_for_another_protocol_is_served_as_it_is_and_logs_nothing(
    caplog: pytest.LogCaptureFixture, framing: bytes, sent: bytes, step: int
) -> None:
    asked = b"POST /a HTTP/1.1\r\nHost: x\r\n" + UPGRADE + framing + b"\r\n" + sent

    async def talk() -> None:
        crowd = _Crowd()
        crowd.go.set()
        async with _served(crowd) as port, _connected(port) as (reader, writer):
            everything = asked + asked + REQUEST
            for start in range(0, len(everything), step):
                writer.write(everything[start : start + step])
                await asyncio.sleep(0)
            for _ in range(3):
                assert await _answered(reader)
            body = b"hello" if sent else b""
            assert crowd.bodies == [body, body, b""]

    asyncio.run(talk())
    assert not caplog.records
