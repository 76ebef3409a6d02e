"""An endpoint: a handler with its description for the router and for OpenAPI."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec

from claude_tasks.domain.errors import InvalidInputError, NotFoundError
from claude_tasks.domain.instant import from_rfc3339
from claude_tasks.domain.revision import Actor, Face

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from claude_tasks.api.authorization import Access
    from claude_tasks.api.backend import Backend

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_LARGEST_ID = 2**63 - 1
_MOST_DIGITS = len(str(_LARGEST_ID))
_REVISION = re.compile(r'(?:W/)?"?([1-9][0-9]{0,17})(?:-c[0-9a-z-]+)?"?')
NO_REVISION = 0
_EXACT = 2**53
"""Up to here a float is one whole number and no other."""


class ApiResponse(NamedTuple):
    """What a handler returns: a value to encode, or bytes that are encoded already."""

    value: Any
    status: int = 200
    headers: Mapping[str, str] = {}


class Call(NamedTuple):
    """One request, as handlers see it.

    ``change`` is the change counter as it stood before anything was read.
    """

    backend: Backend
    access: Access
    ids: Mapping[str, int]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    raw: bytes
    change: int

    @property
    def task_id(self) -> int:
        """The task in the path."""
        return self.ids["task_id"]

    @property
    def run_id(self) -> int:
        """The run in the path."""
        return self.ids["run_id"]

    @property
    def actor(self) -> Actor:
        """Who asks, by the scope of the token."""
        return Actor(Face.API, self.access.value)

    def fields(self) -> dict[str, Any]:
        """The body, an object. Errors: `InvalidInputError`."""
        return _decoded(self.raw, dict[str, Any])

    def body(self, kind: type[T]) -> T:
        """The body as a document. Errors: `InvalidInputError` naming the field."""
        try:
            return msgspec.convert(_with_whole_numbers(_decoded(self.raw, dict[str, Any])), kind)
        except msgspec.ValidationError as error:
            raise _named(error) from error

    def parameters(self, kind: type[S]) -> S:
        """The query as a document. Errors: `InvalidInputError` naming the parameter."""
        lists = {
            field.name
            for field in msgspec.structs.fields(kind)
            if getattr(field.type, "__origin__", None) is list
        }
        values = {name: got if name in lists else got[-1] for name, got in self.query.items()}
        try:
            return msgspec.convert(values, kind, strict=False)
        except msgspec.ValidationError as error:
            raise _named(error) from error

    def expected_revision(self) -> int | None:
        """The revision that ``If-Match`` names; None without it, or for ``*``.

        Of an ETag as `tag` makes it only the revision counts: that a task ran is no reason to
        refuse an edit. What no task ever had is `NO_REVISION`: it matches nothing (RFC 9110,
        section 13.1.1).
        """
        text = self.headers.get("if-match", "*").strip()
        if text == "*":
            return None
        found = _REVISION.fullmatch(text)
        return NO_REVISION if found is None else int(found[1])

    def tag(self, prefix: str = "") -> dict[str, str]:
        """The ETag of what is read in this call: valid while the change counter is unchanged.

        It also names this start of the server (another may serve another database, or show it
        differently) and the access of the client. None where the counter is unknown: two such
        answers may differ.
        """
        if self.change < 0:
            return {}
        parts = [prefix] if prefix else []
        parts += [f"c{self.change}", self.backend.start_id, self.access.value]
        return {"etag": f'"{"-".join(parts)}"'}


class Endpoint(NamedTuple):
    """One row of the API.

    ``errors`` are the statuses that come with its own rules, ``also`` those without a body.
    """

    method: str
    path: str
    handle: (
        Callable[[Call], Awaitable[ApiResponse]]
        | Callable[[Call], Awaitable[AsyncGenerator[bytes, None]]]
    )
    tag: str
    answer: Any
    status: int
    body: Any
    query: Any
    errors: tuple[int, ...]
    media_type: str
    if_match: bool
    also: tuple[int, ...]

    @property
    def summary(self) -> str:
        """The first line of the handler's docstring, and what follows it."""
        return (self.handle.__doc__ or "").strip().partition("\n")[0]

    @property
    def name(self) -> str:
        """What the operation is called."""
        return self.handle.__name__


def endpoint(
    method: str,
    path: str,
    *,
    tag: str,
    answer: Any,
    status: int = 200,
    body: Any = None,
    query: Any = None,
    errors: tuple[int, ...] = (),
    media_type: str = "application/json",
    if_match: bool = False,
    also: tuple[int, ...] = (),
) -> Callable[[Any], Endpoint]:
    """Make an endpoint of a handler. ``path`` is below ``/api/v1``."""

    def made(handle: Any) -> Endpoint:
        return Endpoint(
            method,
            path,
            handle,
            tag,
            answer,
            status,
            body,
            query,
            errors,
            media_type,
            if_match,
            also,
        )

    return made


def id_of(text: str, what: str) -> int:
    """An id in a path. Errors: `NotFoundError`, also for a text that cannot be an id."""
    # Not longer than an id may be: int() itself refuses thousands of digits.
    if text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS:
        found = int(text)
        if 0 < found <= _LARGEST_ID:
            return found
    raise NotFoundError(f"{what} not found")


def instant_of(name: str, text: str | msgspec.UnsetType) -> int | None:
    """A time in a query. Errors: `InvalidInputError`."""
    if isinstance(text, msgspec.UnsetType):
        return None
    try:
        return from_rfc3339(text)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error.message}", hint=error.hint) from error


def _decoded(raw: bytes, kind: type[T]) -> T:
    if not raw.strip():
        raise InvalidInputError("Invalid request body: it is empty", hint="send a JSON object")
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise _named(error) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError("Invalid request body: it is not UTF-8") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidInputError(f"Invalid request body: {error}") from error


def _with_whole_numbers(fields: dict[str, Any]) -> dict[str, Any]:
    """JSON knows one kind of number: 5.0 is as whole as 5."""
    return {
        name: int(value)
        if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT
        else value
        for name, value in fields.items()
    }


def _named(error: msgspec.ValidationError) -> InvalidInputError:
    """``Expected `int`, got `str` - at `$.limit` `` as ``limit: expected `int`, got `str` ``."""
    what, _, place = str(error).partition(" - at ")
    name = place.strip("`").removeprefix("$").lstrip(".")
    return InvalidInputError(f"{name}: {what[0].lower()}{what[1:]}" if name else what)
