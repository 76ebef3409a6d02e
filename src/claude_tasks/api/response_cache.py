"""Keeps the bytes of answers, and sends them again to the same request while nothing changed.

An answer with an ETag depends on the database only, so it is valid as long as the change counter is
unchanged. It is then sent again without a route, a thread or a query: half as fast again as
the shortest way through the application, and many times as fast as one that asks the database
(`make bench`, one task beside health). Clients that ask for a long list at once share one answer. A
client that names the ETag gets a 304 without a body.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import StorageError

if TYPE_CHECKING:
    from claude_tasks.api.asgi import Application, Headers, Message, Receive, Scope, Send
    from claude_tasks.api.authorization import Access
    from claude_tasks.api.change_counter import ChangeCounter

MOST_BYTES = 64 * 1024 * 1024
_LARGEST = MOST_BYTES // 2
_LONGEST_KEY = 512
_OVERHEAD = 1024
"""What an answer costs besides its bytes, and a packed form that may follow, roughly."""
_WORTH_PACKING = 1024
_HEAVY = "/api/v1/tasks"
"""A path whose answer takes so long that simultaneous clients should share one."""

_VARY = (b"vary", b"Accept-Encoding, Authorization")
_REVALIDATE = (b"cache-control", b"no-cache, private")

_Key = tuple[str, bytes, "Access"]


class _Kept:
    """A whole answer, ready to be sent; packed when somebody first accepts that."""

    __slots__ = ("_packing", "body", "etag", "headers", "packed")

    def __init__(self, etag: bytes, headers: Headers, body: bytes) -> None:
        self.etag = etag
        self.headers = headers
        self.body = body
        self.packed: _Kept | None = None
        self._packing: asyncio.Task[_Kept] | None = None

    async def pack(self) -> _Kept:
        """The same with gzip, made once however many ask for it at the same time."""
        if self._packing is None:
            self._packing = asyncio.create_task(asyncio.to_thread(self._pack))
        self.packed = await asyncio.shield(self._packing)
        return self.packed

    def _pack(self) -> _Kept:
        body = gzip.compress(self.body, compresslevel=1, mtime=0)
        headers = [
            (name, value)
            for name, value in self.headers
            if name not in (b"content-length", b"etag")
        ]
        # Other bytes need another strong tag (RFC 9110, section 8.8.1).
        headers += [
            (b"content-length", str(len(body)).encode()),
            (b"content-encoding", b"gzip"),
            (b"etag", b"W/" + self.etag),
        ]
        return _Kept(self.etag, headers, body)


class ResponseCache:
    """The layer between request filter and application. Belongs to the event loop."""

    def __init__(self, app: Application, counter: ChangeCounter) -> None:
        """Keep nothing yet."""
        self._app = app
        self._counter = counter
        self._change = -1
        self._kept: dict[_Key, _Kept] = {}
        self._size = 0
        self._making: dict[_Key, asyncio.Event] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or ask the application and keep what it says."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        key: _Key = (scope["path"], scope["query_string"], scope["state"]["access"])
        kept = self._find(scope, key)
        if kept is None and scope["path"] == _HEAVY:
            kept = await self._make_once(scope, receive, send, key)
        elif kept is None:
            await self._make(scope, receive, send, key)
        if kept is not None:
            await self._send(kept, scope, send)

    def _find(self, scope: Scope, key: _Key) -> _Kept | None:
        """What is kept and still good. Tells the application where the counter stands."""
        try:
            change = self._counter.value()
        except StorageError:  # the application will say so, or find the database well again
            change = -1
        scope["state"]["change"] = change
        if change != self._change or change < 0:
            self._kept.clear()
            self._size, self._change = 0, change
        return self._kept.get(key)

    async def _make_once(
        self, scope: Scope, receive: Receive, send: Send, key: _Key
    ) -> _Kept | None:
        """Wait for the same request of another client, or ask; None when it has been answered."""
        while (making := self._making.get(key)) is not None:
            await making.wait()
            kept = self._find(scope, key)
            if kept is not None:
                return kept
        self._making[key] = made = asyncio.Event()
        try:
            await self._make(scope, receive, send, key)
        finally:
            del self._making[key]
            made.set()
        return None

    async def _make(self, scope: Scope, receive: Receive, send: Send, key: _Key) -> None:
        """Have the application answer. With an ETag the answer is collected, kept, then sent."""
        start: Message | None = None
        parts: list[bytes] = []

        async def collect(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if message["status"] == 200 and _etag(message["headers"]):  # noqa: PLR2004
                    start = message
                    return
            elif start is not None:
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send(self._keep(scope, key, start, b"".join(parts)), scope, send)
                return
            await send(message)

        await self._app(scope, receive, collect)

    def _keep(self, scope: Scope, key: _Key, start: Message, body: bytes) -> _Kept:
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers += [
            (b"content-length", str(len(body)).encode()),
            _VARY,
            _REVALIDATE,
        ]
        kept = _Kept(_etag(headers), headers, body)
        good = scope["state"]["change"] == self._change >= 0 and scope["method"] == "GET"
        if good and len(body) <= _LARGEST and len(key[0]) + len(key[1]) <= _LONGEST_KEY:
            cost = len(body) + len(body) // 4 + _OVERHEAD
            if self._size + cost > MOST_BYTES:
                self._kept.clear()
                self._size = 0
            self._kept[key] = kept
            self._size += cost
        return kept

    async def _send(self, kept: _Kept, scope: Scope, send: Send) -> None:
        status, headers, body = 200, kept.headers, kept.body
        known = packs = False
        for name, value in scope["headers"]:
            if name == b"if-none-match":
                known = known or _names(value, kept.etag)
            elif name == b"accept-encoding":
                packs = len(body) > _WORTH_PACKING and _takes_gzip(value)
        if known:
            status, body = 304, b""
            headers = [
                (b"etag", kept.etag),
                _VARY,
                _REVALIDATE,
            ]
        elif packs:
            packed = kept.packed or await kept.pack()
            headers, body = packed.headers, packed.body
        await send({"type": "http.response.start", "status": status, "headers": headers})
        sent = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": sent})


def _takes_gzip(accept_encoding: bytes) -> bool:
    """Whether gzip is named, and not with a weight of 0 (RFC 9110, section 12.5.3)."""
    for entry in accept_encoding.split(b","):
        coding, _, weight = entry.partition(b";")
        if coding.strip().lower() == b"gzip":
            return weight.replace(b" ", b"").lower().strip(b"0.") != b"q="
    return False


def _etag(headers: Headers) -> bytes:
    return next((value for name, value in headers if name == b"etag"), b"")


def _names(if_none_match: bytes, etag: bytes) -> bool:
    """The weak comparison of RFC 9110, section 13.1.2."""
    tags = (tag.strip().removeprefix(b"W/") for tag in if_none_match.split(b","))
    return any(tag in (etag, b"*") for tag in tags)
