"""Crowds of clients that never finish: the server's memory is bounded, and others are served."""

from __future__ import annotations

import contextlib
import re
import socket
from typing import TYPE_CHECKING

import psutil
import pytest

from support.server import Server
from support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.installation import Installation

CROWD = 300
MIB = 1024 * 1024
TOKEN = "t" * 32
ALLOWED = 20 * MIB


@pytest.fixture(params=["no token", "token"])
def server(request: pytest.FixtureRequest, installation: Installation) -> Iterator[Server]:
    """A server that asks for a token, and one on loopback that does not."""
    environment = {"CLAUDE_TASKS_AUTH_TOKEN": TOKEN} if request.param == "token" else {}
    started = Server(installation, **environment)
    started.add()  # all is loaded
    yield started
    started.close()


def _memory(server: Server) -> int:
    return int(psutil.Process(server.process.pid).memory_info().rss)


@contextlib.contextmanager
def _crowd(server: Server, sent: bytes, *, size: int = CROWD) -> Iterator[list[socket.socket]]:
    """So many connections that sent all of it, or as much as the server took."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(size):
            client = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), timeout=20)
            )
            client.setblocking(False)
            clients.append(client)
        rest = {client: memoryview(sent) for client in clients}

        def push() -> bool:
            moved = False
            for client, data in list(rest.items()):
                try:
                    taken = client.send(data[: 64 * 1024])
                except BlockingIOError:
                    continue
                except OSError:
                    taken = len(data)  # sent away
                moved = True
                rest[client] = data[taken:]
                if not rest[client]:
                    del rest[client]
            return moved

        quiet = 0
        while rest and quiet < 20:
            quiet = 0 if push() else quiet + 1
            server.get("/health")  # it has a turn in between, and answers
        yield clients


def _post(server: Server, framing: str, body: bytes) -> bytes:
    return (
        f"POST /api/v1/tasks HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        f"Content-Type: application/json\r\n{framing}\r\n\r\n"
    ).encode() + body


@pytest.mark.parametrize("framing", [f"Content-Length: {MIB}", "Transfer-Encoding: chunked"])
def test_unfinished_bodies_do_not_fill_memory_nor_keep_others_out(
    server: Server, framing: str
) -> None:
    almost = b"x" * (MIB - 1)
    body = almost if "Length" in framing else b"%x\r\n%s" % (MIB, almost)
    before = _memory(server)
    with _crowd(server, _post(server, framing, body)):
        assert server.add(name="small")["name"] == "small"
        assert _memory(server) - before < ALLOWED
    assert "Traceback" not in server.log
    assert server.get("/tasks")["total"] == 2


def test_without_a_token_a_body_is_refused_before_it_is_sent(installation: Installation) -> None:
    server = Server(installation, CLAUDE_TASKS_AUTH_TOKEN=TOKEN)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(_post(server, f"Content-Length: {MIB}\r\nExpect: 100-continue", b""))
        assert client.recv(100).startswith(b"HTTP/1.1 401 ")
    server.close()


def test_headers_without_end_do_not_fill_memory(server: Server) -> None:
    sent = f"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX: {'x' * 60_000}"
    before = _memory(server)
    with _crowd(server, sent.encode(), size=3 * CROWD):
        assert server.add(name="small")["name"] == "small"
        assert _memory(server) - before < 1.5 * ALLOWED
    assert "Traceback" not in server.log


def test_requests_sent_ahead_do_not_fill_memory(server: Server) -> None:
    sent = f"GET /api/v1/health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
    before = _memory(server)
    with _crowd(server, sent.encode() * 4000):
        assert server.add(name="small")["name"] == "small"
        # Their answers, which nobody reads, are bounded otherwise.
        assert _memory(server) - before < 3 * ALLOWED
    assert "Traceback" not in server.log


def test_a_crowd_that_says_nothing_keeps_nobody_out(installation: Installation) -> None:
    server = Server(installation, CLAUDE_TASKS_AUTH_TOKEN=TOKEN)
    with _crowd(server, b"GET /", size=1100):
        assert server.add(name="served")["name"] == "served"
        process = psutil.Process(server.process.pid)
        wait_until(lambda: process.num_fds() < 1200, what="the first of them were sent away")
    assert not re.search("Too many open files|Traceback", server.log)
    server.close()
