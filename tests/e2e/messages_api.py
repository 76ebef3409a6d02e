"""A loopback Anthropic Messages API: what the real Claude CLI talks to in the end-to-end tests.

It speaks the two requests the CLI makes (``POST /v1/messages``, as one answer or as server-sent
events, and ``POST /v1/messages/count_tokens``), decides by the ``[case:…]`` directive in the user's
message what to answer, and counts what it was asked. Protocol:
https://docs.anthropic.com/en/api/messages-streaming and https://docs.anthropic.com/en/api/errors.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

from e2e.messages_answers import USAGE, Answer, Json, decide, prompt_of

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


class MessagesApi:
    """The server. ``with MessagesApi() as api: … api.url …``; stopping it twice is fine.

    ``requests`` holds (path, body) of everything that was asked, oldest first; ``arrived`` is set
    at every request for a message, so that a test can wait for the agent to be under way.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, Json]] = []
        self.arrived = threading.Event()
        self._stopping = threading.Event()
        api = self

        class Handler(_Handler):
            owner = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """What belongs into ``ANTHROPIC_BASE_URL``."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def message_count(self) -> int:
        """How many messages were asked for."""
        return sum(path == "/v1/messages" for path, _ in self.requests)

    def note(self, path: str, body: Json) -> None:
        """Remember one request."""
        self.requests.append((path, body))
        if path == "/v1/messages":
            self.arrived.set()

    def times_asked(self, prompt: str) -> int:
        """How often a message was asked for with this very prompt."""
        bodies = [body for path, body in self.requests if path == "/v1/messages"]
        return sum(prompt_of(body) == prompt for body in bodies)

    def pause(self, seconds: float) -> bool:
        """Wait, but not beyond the server's end. True when the server is stopping."""
        return self._stopping.wait(seconds)

    def start(self) -> Self:
        """Serve from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Answer nothing more and free the port."""
        self._stopping.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: MessagesApi

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Keep the test output quiet; ``owner.requests`` is the log."""

    def do_POST(self) -> None:
        body = self._read_body()
        path = self.path.partition("?")[0]
        self.owner.note(path, body)
        if path == "/v1/messages":
            self._answer_message(body)
        elif path == "/v1/messages/count_tokens":
            self._send_json(200, {"input_tokens": USAGE["input_tokens"]})
        else:
            self._send_error(404, f"no such endpoint: POST {path}")

    def do_GET(self) -> None:
        self.owner.note(self.path, {})
        self._send_error(404, f"no such endpoint: GET {self.path}")

    def do_HEAD(self) -> None:
        self.owner.note(self.path, {})
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def _read_body(self) -> Json:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def _answer_message(self, body: Json) -> None:
        answer = decide(body, self.owner.times_asked(prompt_of(body)) - 1)
        stopped = answer.delay_seconds and self.owner.pause(answer.delay_seconds)
        if stopped or answer.drops:
            self.close_connection = True
        elif answer.status != 200:
            self._send_error(answer.status, answer.error, answer.headers)
        elif body.get("stream"):
            self._send_events(message_events(body, answer), answer.headers)
        else:
            self._send_json(200, message(body, answer), answer.headers)

    def _send_error(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        kind = ERROR_TYPES.get(status, "api_error")
        error = {"type": "error", "error": {"type": kind, "message": text}}
        self._send_json(status, error, headers or {})

    def _send_json(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self._send_head(status, "application/json", headers or {})
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_events(self, events: Iterator[Json], headers: Mapping[str, str]) -> None:
        self._send_head(200, "text/event-stream", headers)
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            line = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n"
            self.wfile.write(line.encode())
        self.close_connection = True

    def _send_head(self, status: int, kind: str, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("request-id", "req_simulated")
        for name, value in headers.items():
            self.send_header(name, value)


def message(body: Json, answer: Answer) -> Json:
    """The whole message, as a request without ``stream`` gets it."""
    return {
        "id": "msg_simulated",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", "simulated"),
        "content": answer.content,
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "usage": dict(answer.usage),
    }


def message_events(body: Json, answer: Answer) -> Iterator[Json]:
    """The same message as the series of server-sent events."""
    head = message(body, answer) | {"content": [], "stop_reason": None}
    yield {"type": "message_start", "message": head}
    for index, block in enumerate(answer.content):
        yield from _block_events(index, block)
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": answer.stop_reason, "stop_sequence": None},
        "usage": {"output_tokens": answer.usage["output_tokens"]},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: Json) -> Iterator[Json]:
    if block["type"] == "text":
        start: Json = {"type": "text", "text": ""}
        delta: Json = {"type": "text_delta", "text": block["text"]}
    else:
        start = block | {"input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    yield {"type": "content_block_start", "index": index, "content_block": start}
    yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}
