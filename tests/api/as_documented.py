"""Holds every answer of a server against the API's own documentation, as it comes in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from claude_tasks.api.endpoints import ENDPOINTS
from claude_tasks.api.errors import ErrorBody
from claude_tasks.api.openapi import document

if TYPE_CHECKING:
    import httpx

    from claude_tasks.api.endpoint import Endpoint

_PATHS: dict[str, Any] = document("")["paths"]
_NEVER_LISTED = {405}
"""What any path answers to a method it does not have."""


def check(answer: httpx.Response) -> None:
    """A hook for `httpx.Client`: the status is documented, the body is of the documented type."""
    method = {"HEAD": "GET"}.get(answer.request.method, answer.request.method)
    entry = endpoint_of(method, answer.request.url.path)
    if entry is None or answer.status_code in _NEVER_LISTED:
        return
    responses = _PATHS[f"/api/v1{entry.path}"][method.lower()]["responses"]
    where = f"{method} {entry.path}"
    assert str(answer.status_code) in responses, f"{where} answers {answer.status_code}"
    if "event-stream" in answer.headers.get("content-type", ""):
        return
    body = answer.read()
    if body and answer.headers["content-type"] == "application/json":
        good = answer.status_code == entry.status
        check_type(msgspec.json.decode(body), entry.answer if good else ErrorBody)


def check_type(value: Any, kind: Any) -> None:
    """That ``value`` is a ``kind`` with exactly its fields, however deep."""
    back = msgspec.to_builtins(msgspec.convert(value, kind))
    assert back == value, f"not a {kind.__name__}"


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """The endpoint that answers a request, None for a path outside of the API."""
    for entry in sorted(ENDPOINTS, key=lambda entry: entry.path.count("{")):
        pattern = re.sub(r"{\w+}", "[^/]+", f"/api/v1{entry.path}")
        if entry.method == method and re.fullmatch(pattern, path):
            return entry
    return None
