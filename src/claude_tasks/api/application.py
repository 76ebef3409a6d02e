"""The application: every endpoint as a route of Starlette's, errors as answers.

Starlette's router finds the path and reads its parameters. Which method a path takes, and what an
error becomes, is decided here: all answers have one shape.
"""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route, Router

from claude_tasks.api.endpoint import ApiResponse, Call, Endpoint, id_of
from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.errors import INTERNAL, ErrorBody, as_json, body_of, status_of
from claude_tasks.api.openapi import SCHEMA_PATHS, schema_answers
from claude_tasks.api.rate_limit import RateLimit
from claude_tasks.api.sse import MEDIA_TYPE as EVENT_STREAM
from claude_tasks.domain.errors import ClaudeTasksError, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from claude_tasks.api.asgi import Receive, Scope, Send
    from claude_tasks.api.backend import Backend

    Handler = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
_lines: RateLimit[str] = RateLimit(burst=5, interval=10.0, keys=100, monotonic=time.monotonic)
"""Limits log lines: a lasting problem fails every request."""

_JSON = "application/json"
_KINDS = {"task_id": "Task", "run_id": "Run"}


def build_application(backend: Backend) -> Router:
    """All routes on this backend."""
    paths: dict[str, dict[str, Handler]] = {}
    for entry in ENDPOINTS:
        handlers = paths.setdefault(f"{PREFIX}{entry.path}", {})
        handlers.update(dict.fromkeys(_methods(entry), _handler(entry, backend)))
    for path, answer in zip(SCHEMA_PATHS, schema_answers(backend.version), strict=True):
        for prefix in ("", PREFIX):
            paths[f"{prefix}{path}"] = dict.fromkeys(("GET", "HEAD"), answer)
    paths["/metrics"] = paths[f"{PREFIX}/metrics"]
    routes = [Route(path, PathEndpoint(handlers)) for path, handlers in paths.items()]
    # Some clients write a slash at the end: it is the same path.
    routes += [Route(f"{route.path}/", route.endpoint) for route in routes]
    return Router(routes, redirect_slashes=False, default=_not_found)


class _Stream(StreamingResponse):
    """A stream whose source ends with it, so that its place is free at once."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().__call__(scope, receive, send)


class PathEndpoint:
    """A path with all its methods, as an ASGI application that makes all its answers."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        """``handlers`` by method. OPTIONS needs none."""
        self.handlers = handlers
        self._allow = {"allow": ", ".join(["OPTIONS", *handlers])}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        response = await self._answer(Request(scope, receive, send))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=self._allow)
        handler = self.handlers.get(request.method)
        if handler is None:
            body = ErrorBody("Method not allowed", "method_not_allowed")
            return _error_response(405, body, self._allow)
        try:
            return await handler(request)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is said and answered)
            return _failed(request, error)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    body = ErrorBody("Not found", "not_found", hint="GET /schema lists what there is")
    await _error_response(404, body)(scope, receive, send)


def _handler(entry: Endpoint, backend: Backend) -> Handler:
    async def handle(request: Request) -> Response:
        call = await _call(request, backend)
        answer = await entry.handle(call)
        if isinstance(answer, ApiResponse):
            return _response(answer)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        allowed = request.scope["state"]["still_allowed"]
        return _Stream(_while_allowed(answer, allowed), media_type=EVENT_STREAM, headers=headers)

    return handle


async def _while_allowed(
    parts: AsyncGenerator[bytes, None], still_allowed: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """A stream that ends when the token with which it was opened is no longer valid."""
    async with aclosing(parts):
        async for part in parts:
            if not still_allowed():
                return
            yield part


def _methods(entry: Endpoint) -> tuple[str, ...]:
    looks = entry.method == "GET" and entry.media_type != EVENT_STREAM
    return (entry.method, "HEAD") if looks else (entry.method,)


async def _call(request: Request, backend: Backend) -> Call:
    state = request.scope["state"]
    query: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        query.setdefault(name, []).append(value)
    return Call(
        backend=backend,
        access=state["access"],
        ids={name: id_of(text, _KINDS[name]) for name, text in request.path_params.items()},
        query=query,
        headers=request.headers,
        raw=b"" if request.method in ("GET", "HEAD") else await request.body(),
        change=state.get("change", -1),
    )


def _response(answer: ApiResponse) -> Response:
    value = answer.value
    body = value if isinstance(value, bytes) else as_json(value)
    headers: Mapping[str, str] = {"content-type": _JSON, **answer.headers}
    return Response(body, status_code=answer.status, headers=headers)


def _failed(request: Request, error: Exception) -> Response:
    """The one place where an error becomes an answer."""
    headers: dict[str, str] = {}
    if isinstance(error, ClaudeTasksError):
        status, body = status_of(error), body_of(error)
        body.run_id = getattr(error, "run_id", None)
    else:
        status = INTERNAL
        body = ErrorBody("Internal error; the server's log says more", "internal")
    if status >= INTERNAL:
        _log(request, status, error)
        headers["retry-after"] = "1"
    return _error_response(status, body, headers)


def _error_response(
    status: int, body: ErrorBody, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(as_json(body), status_code=status, headers=headers, media_type=_JSON)


def _log(request: Request, status: int, error: Exception) -> None:
    """Log a defect with its traceback; an error that the operator can fix with its hint."""
    said = f"{request.method} {ascii(request.url.path)[1:-1]}"
    if not isinstance(error, ClaudeTasksError):
        log.error("%s failed", said, exc_info=error)
    elif (status == INTERNAL or isinstance(error, StorageError)) and not _lines.take(error.code):
        log.error("%s failed: %s (%s)", said, error, error.hint or error.code)
