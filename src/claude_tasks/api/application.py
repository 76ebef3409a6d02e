"""The Litestar application: every endpoint as a route, errors as answers."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import HttpMethod, Litestar, Request, Response, Router
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream

from claude_tasks.api.endpoint import ApiResponse, Call, Endpoint, id_of
from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.errors import INTERNAL, ErrorBody, body_of, status_of
from claude_tasks.api.openapi import schema_routes
from claude_tasks.api.rate_limit import RateLimit
from claude_tasks.api.sse import MEDIA_TYPE as EVENT_STREAM
from claude_tasks.domain.errors import ClaudeTasksError, StorageError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from claude_tasks.api.backend import Backend

log = logging.getLogger(__name__)

PREFIX = "/api/v1"
_lines: RateLimit[str] = RateLimit(burst=5, interval=10.0, keys=100, monotonic=time.monotonic)
"""A standing trouble fails every request: a line for each would fill the disk."""

_JSON = "application/json"
_KINDS = {"task_id": "Task", "run_id": "Run"}

_Request = Request[Any, Any, Any]


def build_application(backend: Backend) -> Litestar:
    """All routes on this backend."""
    # OPTIONS first: a path that has none when its first handler comes gets one from Litestar.
    routes = [*_options(), *(_route(entry, backend) for entry in ENDPOINTS)]
    return Litestar(
        route_handlers=[
            Router(PREFIX, route_handlers=[*routes, *schema_routes(backend.version)]),
            *schema_routes(backend.version),
            _route(next(entry for entry in ENDPOINTS if entry.path == "/metrics"), backend),
        ],
        exception_handlers={Exception: _failed},  # any of them
        openapi_config=None,
        logging_config=None,
    )


def _route(entry: Endpoint, backend: Backend) -> HTTPRouteHandler:
    async def handle(request: _Request) -> Response[Any]:
        call = await _call(request, backend)
        answer = await entry.handle(call)
        if isinstance(answer, ApiResponse):
            return _response(answer)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        allowed = request.scope["state"]["still_allowed"]
        return Stream(_while_allowed(answer, allowed), media_type=EVENT_STREAM, headers=headers)

    handler = HTTPRouteHandler(
        _litestar_path(entry),
        http_method=_methods(entry),
        name=entry.name,
        status_code=entry.status,
    )
    handle.__annotations__ = {"request": _Request, "return": Response[Any]}
    return handler(handle)


async def _while_allowed(
    parts: AsyncGenerator[bytes, None], still_allowed: Callable[[], bool]
) -> AsyncGenerator[bytes, None]:
    """A stream, for as long as the token that it was opened with counts."""
    async with aclosing(parts):  # so that its place is free at once
        async for part in parts:
            if not still_allowed():
                return
            yield part


def _methods(entry: Endpoint) -> list[HttpMethod]:
    looks = entry.method == "GET" and entry.media_type != EVENT_STREAM
    return [HttpMethod(entry.method), *([HttpMethod.HEAD] if looks else [])]


def _litestar_path(entry: Endpoint) -> str:
    return entry.path.replace("}", ":str}")


def _options() -> list[HTTPRouteHandler]:
    """OPTIONS for every path. Litestar's own names the methods of the path's first handler only."""
    allowed: dict[str, list[str]] = {}
    for entry in ENDPOINTS:
        allowed.setdefault(_litestar_path(entry), ["OPTIONS"]).extend(_methods(entry))
    return [_options_route(path, ", ".join(methods)) for path, methods in allowed.items()]


def _options_route(path: str, methods: str) -> HTTPRouteHandler:
    async def options() -> Response[None]:
        return Response(None, status_code=204, headers={"allow": methods})

    options.__annotations__ = {"return": Response[None]}
    return HTTPRouteHandler(path, http_method=[HttpMethod.OPTIONS], status_code=204)(options)


async def _call(request: _Request, backend: Backend) -> Call:
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


def _response(answer: ApiResponse) -> Response[Any]:
    value = answer.value
    body = value if isinstance(value, bytes) else msgspec.json.encode(value)
    headers: Mapping[str, str] = answer.headers
    media_type = headers.get("content-type", _JSON)
    others = {name: text for name, text in headers.items() if name != "content-type"}
    return Response(body, status_code=answer.status, headers=others, media_type=media_type)


def _failed(request: _Request, error: Exception) -> Response[Any]:
    """The one place where an error becomes an answer."""
    headers: dict[str, str] = {}
    if isinstance(error, ClaudeTasksError):
        status, body = status_of(error), body_of(error)
        body.run_id = getattr(error, "run_id", None)
    elif isinstance(error, HTTPException) and error.status_code < INTERNAL:
        status, body = error.status_code, _of_router(error)
        headers = dict(error.headers or {})
    else:
        status = INTERNAL
        body = ErrorBody("Internal error; the server's log says more", "internal")
    if status >= INTERNAL:
        _log(request, status, error)
        headers["retry-after"] = "1"
    return Response(
        msgspec.json.encode(body), status_code=status, headers=headers, media_type=_JSON
    )


def _log(request: _Request, status: int, error: Exception) -> None:
    """A defect with its trace; what the operator can mend with the words that help."""
    said = f"{request.method} {ascii(request.url.path)[1:-1]}"
    if not isinstance(error, ClaudeTasksError):
        log.error("%s failed", said, exc_info=error)
    elif (status == INTERNAL or isinstance(error, StorageError)) and not _lines.take(error.code):
        log.error("%s failed: %s (%s)", said, error, error.hint or error.code)


def _of_router(error: HTTPException) -> ErrorBody:
    if isinstance(error, NotFoundException):
        return ErrorBody("Not found", "not_found", hint="GET /schema lists what there is")
    if isinstance(error, MethodNotAllowedException):
        return ErrorBody("Method not allowed", "method_not_allowed")
    return ErrorBody(error.detail, "invalid")
