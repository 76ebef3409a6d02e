"""The usage endpoint on loopback: answers as told, and remembers who asked."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

HOUR_MS = 3_600_000


def windows(five_hour: float, seven_day: float, *, hours: float = 1) -> dict[str, Any]:
    """A body as the service sends it; both windows begin anew so many hours from now."""
    moment = time.gmtime(time.time() + hours * 3600)
    resets_at = time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", moment)
    return {
        "five_hour": {"utilization": five_hour, "resets_at": resets_at},
        "seven_day": {"utilization": seven_day, "resets_at": resets_at},
        "seven_day_opus": None,
    }


class UsageEndpoint:
    """``status``, ``body`` (bytes or JSON value), ``headers`` and ``delay`` (s) of the answers."""

    def __init__(self) -> None:
        self.status = 200
        self.body: Any = windows(10, 20)
        self.headers: dict[str, str] = {}
        self.delay = 0.0
        self.asked: list[dict[str, str]] = []
        self._released = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                endpoint.asked.append({name.lower(): text for name, text in self.headers.items()})
                endpoint._released.wait(endpoint.delay)
                body = endpoint.body
                data = body if isinstance(body, bytes) else json.dumps(body).encode()
                try:
                    self.send_response(endpoint.status)
                    for name, text in endpoint.headers.items():
                        self.send_header(name, text)
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except (BrokenPipeError, ConnectionResetError):
                    return  # whoever asked gave up

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/oauth/usage"

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class RawEndpoint:
    """Answers every request with these bytes, whatever they are, then ``drip`` until the end."""

    def __init__(self, answer: bytes, *, drip: bytes = b"") -> None:
        self.answer = answer
        self.drip = drip
        self.asked: list[bytes] = []
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/api/oauth/usage"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while not self._over.is_set():
            connection, _ = self._socket.accept()
            with connection:
                self.asked.append(connection.recv(65_536))
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            connection.sendall(self.answer)
            while self.drip and not self._over.wait(0.02):
                connection.sendall(self.drip)
        except OSError:
            return  # whoever asked gave up

    def close(self) -> None:
        self._over.set()
        with socket.create_connection(self._socket.getsockname()):
            pass  # so that it does not wait for one
        self._thread.join()
        self._socket.close()


def log_in(home: Path, *, token: str = "sk-test-0123456789", expires_in: float = 3600) -> None:
    """Credentials as the CLI keeps them."""
    folder = home / ".claude"
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"accessToken": token, "expiresAt": int((time.time() + expires_in) * 1000)}
    (folder / ".credentials.json").write_text(json.dumps({"claudeAiOauth": entry}))
