from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Received(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """A server on the loopback that answers with bytes it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.drip: bytes | None = None
        self.hangs = False
        self.over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(length)
                receiver.received.append(Received(self.command, self.path, headers, body))
                self.close_connection = True
                if receiver.hangs:
                    receiver.over.wait(30)
                    return
                self.wfile.write(receiver.answer)
                while receiver.drip and not receiver.over.wait(0.02):
                    try:
                        self.wfile.write(receiver.drip)
                    except OSError:
                        return

            do_GET = do_POST  # noqa: N815 (the name is the server's)

            def log_message(self, *_: object) -> None:
                """Nothing: a test's output is for its failures."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answers(self, status: str, body: str = "", **headers: str) -> None:
        """Say a whole answer; ``_`` in header names stands for ``-``."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body.encode())}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.answer = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setenv("no_proxy", "*")
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield receiver
    receiver.over.set()
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()
