"""Requests as fast as answers come: keep-alive connections on one thread, bytes only counted."""

from __future__ import annotations

import select
import socket
import time
from typing import NamedTuple

from bench.statistics_of import median, percentile

_BUFFER = bytearray(1 << 20)


class _Client:
    """One connection: what came of the current answer, and when it was asked for."""

    __slots__ = ("asked_at", "connection", "got")

    def __init__(self, port: int, request: bytes) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.connection.setblocking(False)
        self.got = 0
        self.ask(request)

    def ask(self, request: bytes) -> float:
        self.got, self.asked_at = 0, time.perf_counter()
        self.connection.send(request)
        return self.asked_at


class Load(NamedTuple):
    """What a server did: answers a second, milliseconds each, bytes of one answer."""

    per_second: float
    median_ms: float
    p99_ms: float
    size: int


def press(port: int, path: str, *, connections: int, seconds: float, headers: str = "") -> Load:
    """Ask for one path over and over. The answers must all be as long as the first one."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()
    size = _size_of_answer(port, request)
    poller = select.epoll()
    clients = [_Client(port, request) for _ in range(connections)]
    for client in clients:
        poller.register(client.connection, select.EPOLLIN)
    by_descriptor = {client.connection.fileno(): client for client in clients}
    try:
        taken, lasted = _count(poller, by_descriptor, request, size, seconds)
    finally:
        poller.close()
        for client in clients:
            client.connection.close()
    return Load(len(taken) / lasted, median(taken) * 1000, percentile(taken, 0.99) * 1000, size)


def _count(
    poller: select.epoll, clients: dict[int, _Client], request: bytes, size: int, seconds: float
) -> tuple[list[float], float]:
    """The seconds each answer took, and how long all of it lasted."""
    taken: list[float] = []
    begun = now = time.perf_counter()
    while now < begun + seconds:
        for descriptor, _ in poller.poll(1):
            client = clients[descriptor]
            got = client.connection.recv_into(_BUFFER)
            if got == 0:
                raise ConnectionError("the server closed a connection")
            client.got += got
            if client.got >= size:
                before = client.asked_at
                taken.append(client.ask(request) - before)
        now = time.perf_counter()
    return taken, now - begun


def _size_of_answer(port: int, request: bytes) -> int:
    """Bytes of head and body together."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(1 << 16)
        head = data.partition(b"\r\n\r\n")[0]
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 304")):
            raise RuntimeError(head.decode())
        return len(head) + 4 + int(fields.get(b"content-length", b"0"))
