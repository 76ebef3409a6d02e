"""What bounds the server: open files, clients that do not read, and its own end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from claude_tasks.api import listening, protocol
from claude_tasks.api import server as server_module
from claude_tasks.api.asgi import answer
from claude_tasks.api.change_broadcast import ChangeBroadcast, Places
from claude_tasks.api.server import ApiServer
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = b"x" * (32 << 20)
"""More than the sockets of both ends hold by themselves."""


# Open files


@pytest.mark.parametrize(
    ("soft", "most"),
    [
        (resource.RLIM_INFINITY, 1000),
        (65536, 1000),
        (4096, 1000),
        (1024, 384),
        (512, 128),
        (256, 16),
        (64, 16),
    ],
)
def test_connections_leave_files_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, resource.RLIM_INFINITY))
    assert listening.most_connections() == most


@pytest.mark.parametrize(
    ("before", "after"),
    [((200, 300), (300, 300)), ((200, 9000), (4096, 9000)), ((5000, 9000),) * 2],
)
def test_the_limit_of_open_files_is_raised_as_far_as_it_helps(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < before[1]:
        pytest.skip("this system allows fewer open files")
    program = (
        "import resource; from claude_tasks.api.listening import make_room;"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, {before}); make_room();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert said.stdout.decode().strip() == str(after)


def test_a_limit_that_cannot_be_raised_stays_and_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: Any) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    listening.make_room()
    assert "at most 256 open files" in caplog.text


def test_a_place_is_free_again_however_its_stream_ends() -> None:
    places = Places(1)
    with contextlib.suppress(RuntimeError), places.take() as taken:
        assert taken
        assert places.are_taken
        with places.take() as second:
            assert not second
        assert places.are_taken
        raise RuntimeError
    assert not places.are_taken


# The server


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
    elif scope["path"] == "/large":
        await answer(send, 200, LARGE, [])
    elif scope["path"] == "/never":
        await asyncio.Event().wait()
    else:
        await answer(send, 200, b"{}", [])


class _Served:
    """A server on a thread, and raw clients of it."""

    def __init__(self) -> None:
        bound = listening.listen("127.0.0.1", 0)
        self.port = bound.getsockname()[1]
        self.api = ApiServer(
            _app,
            bound,
            closing=asyncio.Event(),
            broadcast=ChangeBroadcast(cast("Any", None)),
            close=lambda: None,
        )
        self.clients: list[socket.socket] = []
        self.api.start()

    def ask(self, path: str, headers: str = "") -> socket.socket:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
        self.clients.append(client)
        return client

    @property
    def state(self) -> Any:
        return self.api._server.server_state

    def close(self) -> None:
        self.api.stop()
        for client in self.clients:
            client.close()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Served]:
    monkeypatch.setattr(server_module, "make_room", lambda: None)  # this process keeps its limit
    monkeypatch.setattr(protocol, "READER_SECONDS", 0.5)
    monkeypatch.setattr(server_module, "MOST_UNREAD", 10 * len(LARGE))
    monkeypatch.setattr(server_module, "_TICKS_BETWEEN_LOOKS", 1)
    started = _Served()
    yield started
    started.close()


def _read_slowly(client: socket.socket, until: threading.Event) -> None:
    while not until.is_set():
        assert client.recv(1 << 16)
        time.sleep(0.01)


@pytest.mark.parametrize("headers", ["", "Connection: close\r\n"])
def test_who_does_not_read_is_let_go_and_who_reads_slowly_is_not(
    served: _Served, headers: str
) -> None:
    enough = threading.Event()
    slow = served.ask("/large", headers)
    reading = threading.Thread(target=_read_slowly, args=(slow, enough))
    reading.start()
    served.ask("/")  # idle: nothing waits for it
    stuck = [served.ask("/large", headers) for _ in range(3)]
    wait_until(lambda: len(served.state.connections) == 5, what="all are there")
    wait_until(lambda: len(served.state.connections) == 2, seconds=5, what="three are let go")
    enough.set()
    reading.join()
    with contextlib.suppress(ConnectionResetError):
        for client in stuck:
            while client.recv(1 << 16):
                pass
    assert slow.recv(1 << 16), "who reads is still served"


def test_answers_that_nobody_takes_do_not_fill_memory(
    served: _Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "READER_SECONDS", 60)
    monkeypatch.setattr(server_module, "MOST_UNREAD", len(LARGE) // 2)
    enough = threading.Event()
    reader = served.ask("/large")
    reading = threading.Thread(target=_read_slowly, args=(reader, enough))
    reading.start()  # larger than allowed, but the only one
    wait_until(lambda: any(one.moved_at for one in served.state.connections), what="a look")
    for _ in range(5):
        served.ask("/large")
    wait_until(lambda: served.state.total_requests == 6, what="all are answered")
    wait_until(lambda: len(served.state.connections) == 1, seconds=5, what="all but one are let go")
    enough.set()
    reading.join()
    served.ask("/")
    wait_until(lambda: served.state.total_requests == 7, what="others are served")


def test_a_stop_cuts_nothing_off_where_nothing_goes_on(
    served: _Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "READER_SECONDS", 60)
    served.ask("/")
    served.ask("/large")
    wait_until(lambda: served.state.total_requests == 2, what="both are answered")
    with caplog.at_level(logging.INFO):
        began = time.monotonic()
        served.api.stop()
    assert time.monotonic() - began < 3
    assert [entry for entry in caplog.records if entry.levelno >= logging.WARNING] == []


def test_a_stop_tells_whom_it_cuts_off(served: _Served, caplog: pytest.LogCaptureFixture) -> None:
    clients = [served.ask("/never") for _ in range(2)]
    wait_until(lambda: len(served.state.tasks) == 2, what="both are under way")
    served.api.stop()
    said = [entry for entry in caplog.records if entry.levelno >= logging.WARNING]
    assert [(entry.name, entry.levelname, entry.getMessage()) for entry in said] == [
        ("claude_tasks.api.server", "WARNING", "requests cut off, for the server ends: 2")
    ]
    for client in clients:
        with client.makefile("rb") as heard:
            head, _, body = heard.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503")
        assert json.loads(body)["code"] == "stopping"
