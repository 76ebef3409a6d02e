"""Who gets messages: an HTTP server on loopback that keeps what it was sent."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Inbox:
    """Answers with ``status`` and keeps what it was sent, a GET as None.

    It answers messages while ``answers`` is set, and those to ``held`` paths once ``released``.
    """

    def __init__(self) -> None:
        self.status = 204
        self.statuses: dict[str, int] = {}
        """Of paths that are answered otherwise."""
        self.answers = threading.Event()
        self.answers.set()
        self.held: set[str] = set()
        self.released = threading.Event()
        self.got: list[tuple[str, Any]] = []
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                path = self.path.partition("?")[0]
                inbox.got.append((path, json.loads(body)))
                if path in inbox.held:
                    inbox.released.wait()
                inbox.answers.wait()
                self._answer(inbox.statuses.get(path, inbox.status))

            def do_GET(self) -> None:
                inbox.got.append((self.path, None))
                self._answer(200)

            def _answer(self, status: int) -> None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.got]

    def close(self) -> None:
        self.answers.set()
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
