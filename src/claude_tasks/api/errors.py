"""Turns errors into answers: one table of codes, one body. A 5xx reveals no internals."""

from __future__ import annotations

import msgspec

from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConflictError,
    IllegibleError,
    InvalidInputError,
    NotFoundError,
    StorageBusyError,
    StorageValueError,
)

INTERNAL = 500

_BY_CODE = {
    "revision_conflict": 412,
    "queue_disabled": 503,
    "queue_full": 503,
    "usage_unavailable": 503,
}
_BY_CLASS: tuple[tuple[type[ClaudeTasksError], int], ...] = (
    (InvalidInputError, 400),
    (StorageValueError, 400),
    (NotFoundError, 404),
    (ConflictError, 409),
    (StorageBusyError, 503),
)
_UNSAID = {
    400: "A value that cannot be stored",
    500: "Internal error; the server's log says more",
    503: "The database is busy, try again",
}
"""Replacements for messages of the storage, which name files of the server."""


class ErrorBody(msgspec.Struct, omit_defaults=True):
    """What every answer but 2xx and 304 holds. ``hint`` says what helps."""

    error: str
    code: str
    hint: str | None = None
    details: str | None = None
    run_id: int | None = None


def status_of(error: ClaudeTasksError) -> int:
    """The HTTP status for an error."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    return next((status for kind, status in _BY_CLASS if isinstance(error, kind)), INTERNAL)


def body_of(error: ClaudeTasksError) -> ErrorBody:
    """What a client may know of an error."""
    status = status_of(error)
    if isinstance(error, IllegibleError):  # it names a row, and the command that helps
        return ErrorBody(error.message, error.code, hint=error.hint)
    if error.code not in _BY_CODE and (status in (500, 503) or error.code == "storage_value"):
        return ErrorBody(_UNSAID[status], error.code)
    return ErrorBody(error.message, error.code, hint=error.hint)


def as_json(value: object) -> bytes:
    """A value as JSON. Msgspec takes no subclass of ``str`` by itself, such as a hint."""
    return msgspec.json.encode(value, enc_hook=str.__str__)


def error_bytes(message: str, code: str, *, hint: str | None = None) -> bytes:
    """A body for an answer given before the application is asked."""
    return as_json(ErrorBody(message, code, hint=hint))
