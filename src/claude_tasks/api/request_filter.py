"""The filter before the application: whose host and origin, which token, how large a body.

    Host ─▶ Origin ─▶ preflight ─▶ token ─▶ may it change things ─▶ type and size of the body ─▶ app
     403      403        204      401, 429          403            415, 413, 408, 503, 400

What is refused never reaches the application, and neither does an upload that breaks off: a body is
read whole, within bounds, and then replayed (`bodies`). Nothing of it is read before the token is
known. A request without a body costs a walk over its headers and a closure around ``send``. ASGI
3.0: header names come in lower case.
"""

from __future__ import annotations

import logging
import math
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.api.asgi import answer
from claude_tasks.api.authorization import (
    SAFE_METHODS,
    Access,
    HostRule,
    TokenCheck,
    bearer_token,
    cors_origin,
    fetch_allowed,
    host_allowed,
    host_rule,
    is_loopback,
    origin_allowed,
    token_digest,
)
from claude_tasks.api.bodies import (
    BODY_LIMIT,
    BODY_MEMORY,
    BODY_SECONDS,
    Body,
    BodyError,
    BodyMemory,
    CrowdedOutError,
    HungUpError,
    TooLargeError,
    TooSlowError,
)
from claude_tasks.api.errors import error_bytes
from claude_tasks.api.rate_limit import FailedAttempts, RateLimit
from claude_tasks.domain.hint import Command, Hint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from claude_tasks.api.asgi import Application, Headers, Message, Receive, Scope, Send
    from claude_tasks.settings import Settings
    from claude_tasks.tokens import Tokens, TokenWatch

log = logging.getLogger(__name__)

HEALTH = "/api/v1/health"
"""The one path that asks neither for a token nor for a name of ours: it tells the version alone."""

_READING = frozenset({"GET", "HEAD"})
_READERS_POST = frozenset({"/api/v1/schedules/preview"})
"""Requests that only compute, with what they compute from in the body."""

_LOOKED_AT = frozenset({
    b"access-control-request-method", b"authorization", b"content-length", b"content-type",
    b"host", b"origin", b"sec-fetch-site", b"transfer-encoding",
})  # fmt: skip

_ALWAYS_ADDED: Headers = [
    (b"x-content-type-options", b"nosniff"),
    # Pages of other origins cannot embed an answer either, where no Origin header is sent.
    (b"cross-origin-resource-policy", b"same-origin"),
]
_NOT_STORED = (b"cache-control", b"no-store")
_PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID",
    ),
    (b"access-control-max-age", b"600"),
]
_LOGGED_PATH = 200
_LOG_BURST, _LOG_SECONDS, _LOG_KEYS = 20, 10.0, 1024
"""Lines about refusals for each address: so many at once, then one every so many seconds."""


class Policy(NamedTuple):
    """What the filter goes by.

    ``body_seconds`` is for a whole body, however slowly it comes; ``body_memory`` for all of them.
    """

    tokens: TokenCheck
    hosts: HostRule
    cors_origin: bytes | None = None
    body_seconds: float = BODY_SECONDS
    body_memory: int = BODY_MEMORY


def build_policy(
    settings: Settings, tokens: Tokens, *, hostname: str, watch: TokenWatch | None = None
) -> Policy:
    """The policy that the settings ask for. Errors: `ConfigurationError`."""
    return Policy(
        tokens=TokenCheck(tokens, watch=watch),
        hosts=host_rule(settings.host, configured=settings.allowed_hosts, hostname=hostname),
        cors_origin=cors_origin(settings.cors_origin),
    )


class _Refused(Exception):  # noqa: N818 (an answer, no error)
    """The answer to a request that goes no further, and the reason that is logged."""

    def __init__(self, status: int, body: bytes, reason: str, headers: Headers) -> None:
        super().__init__(reason)
        self.status = status
        self.body = body
        self.reason = reason
        self.headers = headers


class _Refusal(NamedTuple):
    """A refusal that is always the same, encoded once."""

    status: int
    body: bytes
    reason: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def error(self, detail: str = "") -> _Refused:
        """To be raised."""
        return _Refused(self.status, self.body, self.reason + detail, list(self.headers))


_FOREIGN_HOST = _Refusal(
    403,
    error_bytes(
        "Host not allowed: name it in CLAUDE_TASKS_ALLOWED_HOSTS of the server",
        "host_refused",
        hint=Hint("for example CLAUDE_TASKS_ALLOWED_HOSTS=mybox.local ", Command("serve")),
    ),
    "foreign host",
)
_FOREIGN_ORIGIN = _Refusal(
    403,
    error_bytes(
        "Origin not allowed", "origin_refused", hint="name it in CLAUDE_TASKS_CORS_ORIGIN of serve"
    ),
    "foreign origin",
)
_CROSS_SITE = _Refusal(
    403, error_bytes("Origin not allowed", "origin_refused"), "sent by a page of another site"
)
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)
_UNAUTHORIZED = error_bytes(
    "Unauthorized",
    "unauthorized",
    hint=Hint("send Authorization: Bearer TOKEN; ", Command("token", "new"), " makes one"),
)
_NO_TOKEN = _Refusal(401, _UNAUTHORIZED, "no token", _CHALLENGE)
_WRONG_TOKEN = _Refusal(401, _UNAUTHORIZED, "wrong token", _CHALLENGE)
_READ_ONLY = _Refusal(403, error_bytes("This token may only read", "read_only"), "read-only token")
_BAD_LENGTH = _Refusal(400, error_bytes("Bad Content-Length", "bad_request"), "bad content length")
_NOT_JSON = _Refusal(
    415,
    error_bytes(
        "The Content-Type must be application/json",
        "unsupported_media_type",
        hint="curl: --json DATA, or -H 'Content-Type: application/json'",
    ),
    "body is not declared as JSON",
)
_TOO_LARGE = _Refusal(413, error_bytes("Request body over 1 MiB", "body_too_large"), "large body")
_TOO_SLOW = _Refusal(
    408,
    error_bytes("The request body took too long", "request_timeout"),
    "slow body",
    ((b"connection", b"close"),),
)


_CROWDED_OUT = _Refusal(
    503,
    error_bytes("Too many request bodies at once", "body_memory_full", hint="try again"),
    "other bodies needed the room",
    ((b"connection", b"close"), (b"retry-after", b"1")),
)
_BODY_REFUSALS: dict[type[BodyError], _Refusal] = {
    TooLargeError: _TOO_LARGE,
    TooSlowError: _TOO_SLOW,
    CrowdedOutError: _CROWDED_OUT,
}


class RequestFilter:
    """An ASGI layer.

    The application behind it finds ``scope["state"]["access"]``, an `Access`, and in
    ``["still_allowed"]`` what tells an answer that goes on and on whether it may.
    """

    def __init__(self, app: Application, policy: Policy, *, monotonic: Callable[[], float]) -> None:
        """``monotonic`` gives seconds."""
        self._app = app
        self._policy = policy
        self._attempts = FailedAttempts(monotonic)
        self._bodies = BodyMemory(policy.body_memory)
        self._log_lines = RateLimit[str](
            burst=_LOG_BURST, interval=_LOG_SECONDS, keys=_LOG_KEYS, monotonic=monotonic
        )
        self._last_host: bytes | None = None
        # Answers may be cached: all of them must say that they differ by origin.
        vary: Headers = [] if policy.cors_origin is None else [(b"vary", b"Origin")]
        self._added: Headers = [*_ALWAYS_ADDED, *vary]
        self._added_for_cors: Headers = [
            *self._added,
            (b"access-control-allow-origin", policy.cors_origin or b""),
            (b"access-control-expose-headers", b"ETag, Retry-After"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on to the application."""
        if scope["type"] != "http":
            await self._no_request(scope, receive, send)
            return
        found = _looked_at(scope["headers"])
        origin = found.get(b"origin")
        is_cors = origin is not None and origin == self._policy.cors_origin
        send = _adding(send, self._added_for_cors if is_cors else self._added)
        body = None
        try:
            self._check_source(scope, found)
            if is_cors and _is_preflight(scope["method"], found):
                await _answer_preflight(send)
                return
            state = scope.setdefault("state", {})
            state["access"], digest = self._authorize(scope, found)
            state["still_allowed"] = partial(self._policy.tokens.still_opens, digest)
            if scope["method"] not in _READING or _declares_body(found):
                body = await self._read_body(found, receive)
                receive = body.replayed(receive)
        except _Refused as refused:
            self._log("refused", scope, refused.reason)
            await answer(send, refused.status, refused.body, refused.headers)
            return
        except HungUpError:
            self._log("dropped", scope, "the client hung up in the middle of its body")
            return
        try:
            await self._app(scope, receive, send)
        finally:
            if body is not None:
                body.release()

    def _log(self, what: str, scope: Scope, reason: str) -> None:
        """One line. Never the query, nor a header that may hold a token.

        Limited for each address, so that a client that is refused all the time does not fill the
        disk.
        """
        client = _address_of(scope)
        if self._log_lines.take(client):
            return
        method, path = _escaped(scope["method"]), _escaped(scope["path"])
        log.warning("%s %s %s from %s: %s", what, method, path, _escaped(client) or "?", reason)

    async def _no_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # there are none here; this answers 403
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    def _check_source(self, scope: Scope, found: dict[bytes, bytes]) -> None:
        """Check that the request comes from our page or a program, under a name of ours."""
        method = scope["method"]
        host, origin = found.get(b"host"), found.get(b"origin")
        if (host is None or host != self._last_host) and not _asks_for_health(scope):
            if not (host_allowed(host, self._policy.hosts) or _is_old_program(scope, host)):
                raise _FOREIGN_HOST.error(f" {_escaped(host)}")
            self._last_host = host
        if origin is not None and not origin_allowed(origin, host, self._policy.cors_origin):
            raise _FOREIGN_ORIGIN.error(f" {_escaped(origin)}")
        if method not in SAFE_METHODS and not fetch_allowed(
            method, origin, found.get(b"sec-fetch-site")
        ):
            raise _CROSS_SITE.error()

    def _authorize(self, scope: Scope, found: dict[bytes, bytes]) -> tuple[Access, bytes | None]:
        """What the client may do, if that is enough for what it asks; its token's digest."""
        method, path = scope["method"], scope["path"]
        tokens = self._policy.tokens
        tokens.look()
        if not tokens.required:
            return Access.FULL, None
        if _asks_for_health(scope):
            return Access.READ, None
        access, digest = self._authenticate(scope, found.get(b"authorization"))
        reads = method in _READING or (method == "POST" and path in _READERS_POST)
        if access is Access.READ and not reads:
            raise _READ_ONLY.error()
        return access, digest

    def _authenticate(self, scope: Scope, authorization: bytes | None) -> tuple[Access, bytes]:
        token = bearer_token(authorization)
        if token is None:
            raise _NO_TOKEN.error()
        digest = token_digest(token)
        access = self._policy.tokens.access_of(digest)
        if access is not None:
            # Admitted even if others fail from the same address, which may be a proxy's.
            return access, digest
        wait = self._attempts.failed(_address_of(scope), digest)
        raise _too_many(wait) if wait else _WRONG_TOKEN.error()

    async def _read_body(self, found: dict[bytes, bytes], receive: Receive) -> Body:
        """The whole body, to be released. Raises `_Refused`, `HungUpError`."""
        if _declares_body(found) and not _is_json(found):
            raise _NOT_JSON.error()  # before it is read: a client that waits to send it need not
        if _declared_length(found) > BODY_LIMIT:
            raise _TOO_LARGE.error()
        try:
            body = await self._bodies.read(receive, seconds=self._policy.body_seconds)
        except BodyError as error:
            if type(error) not in _BODY_REFUSALS:
                raise
            raise _BODY_REFUSALS[type(error)].error() from None
        if body.size and not _is_json(found):  # HTTP/2 announces no body
            body.release()
            raise _NOT_JSON.error()
        return body


def _asks_for_health(scope: Scope) -> bool:
    return scope["path"] == HEALTH and scope["method"] in _READING


def _is_old_program(scope: Scope, host: bytes | None) -> bool:
    """Whether a program on this machine speaks HTTP/1.0, which knows no Host. Browsers send one."""
    if host is not None or scope.get("http_version") != "1.0":
        return False
    return is_loopback(_address_of(scope))


def _looked_at(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers that decide. One given twice is joined (RFC 9110, 5.3), and so fits no rule."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            found[name] = value if name not in found else found[name] + b", " + value
    return found


def _adding(send: Send, added: Headers) -> Send:
    """``send``, with headers added to the answer. No coroutine of its own: this runs every time."""

    def send_with(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), *added]
            for name, _ in headers:
                if name == b"cache-control":
                    break
            else:
                headers.append(_NOT_STORED)
            message = {**message, "headers": headers}
        return send(message)

    return send_with


def _is_preflight(method: str, found: dict[bytes, bytes]) -> bool:
    return method == "OPTIONS" and b"access-control-request-method" in found


async def _answer_preflight(send: Send) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
    await send({"type": "http.response.body", "body": b""})


def _declares_body(found: dict[bytes, bytes]) -> bool:
    return b"transfer-encoding" in found or found.get(b"content-length", b"0") != b"0"


def _declared_length(found: dict[bytes, bytes]) -> int:
    """Bytes, 0 where it is not said."""
    length = found.get(b"content-length", b"0")
    if not length.isdigit():
        raise _BAD_LENGTH.error()
    # More digits than this are no length; int() would refuse thousands of them.
    return int(length[:20])


def _is_json(found: dict[bytes, bytes]) -> bool:
    media_type = found.get(b"content-type", b"").partition(b";")[0]
    return media_type.strip().lower() == b"application/json"


def _too_many(wait: float) -> _Refused:
    seconds = max(1, math.ceil(wait))
    body = error_bytes(
        "Too many failed attempts", "too_many_attempts", hint=f"try again in {seconds} s"
    )
    headers = [(b"retry-after", str(seconds).encode())]
    return _Refused(429, body, "too many wrong tokens", headers)


def _address_of(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _escaped(text: str | bytes | None) -> str:
    """Without control characters, and not long: a log line stays one line."""
    if text is None:
        return "(none)"
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return ascii(text[:_LOGGED_PATH])[1:-1]
