"""The OpenAPI 3.1 document, from the endpoints themselves and the types of their schemas."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.responses import Response

from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.errors import ErrorBody
from claude_tasks.api.page import page
from claude_tasks.domain.run import Reason, State

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from claude_tasks.api.endpoint import Endpoint

_REF = "#/components/schemas/{name}"
_JSON = "application/json"
_OPEN = ("/health",)
_ID = {"type": "integer", "minimum": 1, "maximum": 2**63 - 1}
_MEANINGS = {
    200: "done, or found",
    201: "kept",
    202: "accepted",
    204: "nothing more to come",
    304: "not modified since the ETag named in If-None-Match",
    400: "the request makes no sense; the message names the field",
    401: "no token, or a wrong one",
    403: "refused: host, origin, or a token that may only read",
    404: "there is no such thing",
    405: "not with this method",
    408: "the body did not come in time",
    409: "not possible as things stand",
    412: "changed meanwhile: If-Match names another revision",
    413: "the body is larger than 1 MiB",
    415: "the body is not application/json",
    429: "too many wrong tokens",
    500: "the server failed; its log says more",
    503: "not just now; try again",
}
_ALWAYS = (403, 429, 500, 503)
_WITH_BODY = (400, 408, 413, 415)


def document(version: str) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for entry in ENDPOINTS:
        paths.setdefault(f"/api/v1{entry.path}", {})[entry.method.lower()] = _operation(entry)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "claude-tasks",
            "version": version,
            "description": "The scheduler for coding agents. Whoever can add a task can run code.",
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


SCHEMA_PATHS = ("/schema", "/schema/openapi.json")


def schema_answers(version: str) -> list[Callable[[Request], Awaitable[Response]]]:
    """What answers `SCHEMA_PATHS`: a page for people, JSON for programs."""
    whole = document(version)
    as_json = msgspec.json.encode(whole)
    as_page = page(whole)

    async def openapi_json(_: Request) -> Response:
        return Response(as_json, media_type=_JSON)

    async def schema(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return Response(as_json, media_type=_JSON)
        policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        headers = {"content-security-policy": policy}
        return Response(as_page, media_type="text/html", headers=headers)

    return [schema, openapi_json]


def _operation(entry: Endpoint) -> dict[str, Any]:
    about = re.sub(r"\s+", " ", entry.handle.__doc__ or "").strip()
    operation: dict[str, Any] = {
        "operationId": entry.name,
        "tags": [entry.tag],
        "summary": entry.summary.rstrip("."),
        "description": about,
        "parameters": _parameters(entry),
        "responses": _responses(entry),
    }
    if entry.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {_JSON: {"schema": _ref(entry.body)}},
        }
    if entry.path in _OPEN:
        operation["security"] = []
    return operation


def _parameters(entry: Endpoint) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _ID}
        for name in re.findall(r"{(\w+)}", entry.path)
    ]
    if entry.query is not None:
        for field in msgspec.structs.fields(entry.query):
            shape = msgspec.json.schema_components([field.type], ref_template=_REF)[0][0]
            parameters.append({"name": field.encode_name, "in": "query", "schema": shape})
    if entry.if_match:
        about = 'the revision this change is meant for, such as "3", or an ETag of the task'
        shape = {"type": "string"}
        parameters.append(
            {"name": "If-Match", "in": "header", "description": about, "schema": shape}
        )
    if entry.media_type == "text/event-stream":
        shape = {"type": "string", "pattern": r"^[0-9]{1,15}$"}
        parameters.append({"name": "Last-Event-ID", "in": "header", "schema": shape})
    return parameters


def _responses(entry: Endpoint) -> dict[str, Any]:
    good: dict[str, Any] = {
        "description": _MEANINGS[entry.status],
        "content": {entry.media_type: {"schema": _ref(entry.answer)}},
    }
    responses = {str(entry.status): good}
    for status in entry.also:
        responses[str(status)] = {"description": _MEANINGS[status]}
    errors = {*entry.errors, *_ALWAYS}
    if entry.path not in _OPEN:
        errors.add(401)
    if entry.method != "GET":  # a body that is not asked for is read all the same
        errors.update(_WITH_BODY)
    if entry.query is not None:
        errors.add(400)
    if entry.if_match:
        errors.add(412)
    for status in sorted(errors):
        responses[str(status)] = {
            "description": _MEANINGS[status],
            "content": {_JSON: {"schema": _ref(ErrorBody)}},
        }
    return responses


def _schemas() -> dict[str, Any]:
    kinds: list[Any] = [ErrorBody, State, Reason]
    for entry in ENDPOINTS:
        kinds += [kind for kind in (entry.answer, entry.body) if kind not in (None, str)]
    return msgspec.json.schema_components(kinds, ref_template=_REF)[1]


def _ref(kind: Any) -> dict[str, Any]:
    return {"type": "string"} if kind is str else {"$ref": _REF.format(name=kind.__name__)}
