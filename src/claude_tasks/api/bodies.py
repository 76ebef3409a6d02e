"""Reads the bodies of requests whole, with limits on size, time and the memory of all together.

A body takes memory from its first byte until its request is answered. Where there is no room for
another part, the largest incomplete body is dropped: a client that sends many large bodies without
ending them cannot keep out a small one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.api.asgi import Message, Receive

BODY_LIMIT = 1024 * 1024
BODY_SECONDS = 30.0
BODY_MEMORY = 6 * BODY_LIMIT
"""Bytes of all bodies together. Few bodies are near their limit."""


class BodyError(Exception):
    """A body that is not read to its end."""


class TooLargeError(BodyError):
    """It has more than `BODY_LIMIT` bytes."""


class TooSlowError(BodyError):
    """It was not there in time."""


class CrowdedOutError(BodyError):
    """It was dropped to make room for others."""


class HungUpError(BodyError):
    """The client closed the connection before the end of the body."""


class BodyMemory:
    """The memory of all bodies, at most ``most`` bytes. For one event loop."""

    def __init__(self, most: int = BODY_MEMORY) -> None:
        """There is none yet."""
        self.most = most
        self.held = 0
        self._arriving: dict[Body, None] = {}  # the longest there first

    async def read(self, receive: Receive, *, seconds: float) -> Body:
        """A whole body, to be released by the caller. Errors: `BodyError`; nothing is kept then."""
        body = Body(self)
        try:
            async with asyncio.timeout(seconds) as waiting:
                body.stop_waiting = lambda: _end_now(waiting)
                await _read(receive, body)
                self._arriving.pop(body, None)
        except BaseException as error:
            body.release()
            if isinstance(error, TimeoutError):
                raise (CrowdedOutError if body.crowded_out else TooSlowError) from None
            raise
        return body

    def make_room(self, asking: Body, size: int) -> None:
        """Let ``size`` bytes more be held by ``asking``. Errors: `CrowdedOutError`."""
        self._arriving[asking] = None
        while self.held + size > self.most:
            largest = max(self._arriving, key=lambda body: body.size + size * (body is asking))
            largest.crowd_out()
            if largest is asking:
                raise CrowdedOutError
        self.held += size

    def forget(self, body: Body) -> None:
        """It is not held any more."""
        self._arriving.pop(body, None)
        self.held -= body.size


class Body:
    """One body, as far as it is there."""

    def __init__(self, memory: BodyMemory) -> None:
        """Nothing is there yet."""
        self.size = 0
        self.crowded_out = False
        self.stop_waiting: Callable[[], None] | None = None
        self._memory = memory
        # A list of parts: one growing piece would be copied again and again, and fragment memory.
        self._parts: list[bytes] = []

    def add(self, part: bytes) -> None:
        """Keep a part. Errors: `TooLargeError`, `CrowdedOutError`."""
        if self.crowded_out:  # by another, a moment ago
            raise CrowdedOutError
        if self.size + len(part) > BODY_LIMIT:
            raise TooLargeError
        if part:
            self._memory.make_room(self, len(part))
            self.size += len(part)
            self._parts.append(part)

    def replayed(self, receive: Receive) -> Receive:
        """``receive`` that returns the body, then real messages: a stream must see a disconnect."""
        pending: bytes | None = b"".join(self._parts)
        self._parts = []

        async def receive_again() -> Message:
            nonlocal pending
            if pending is None:
                return await receive()
            body, pending = pending, None
            return {"type": "http.request", "body": body, "more_body": False}

        return receive_again

    def crowd_out(self) -> None:
        """Drop the parts, and end the wait for more."""
        self.crowded_out = True
        self.release()
        if self.stop_waiting is not None:
            self.stop_waiting()

    def release(self) -> None:
        """It is not needed any more. Safe to repeat."""
        self._memory.forget(self)
        self.size = 0
        self._parts = []


async def _read(receive: Receive, body: Body) -> None:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HungUpError
        body.add(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _end_now(waiting: asyncio.Timeout) -> None:
    if not waiting.expired():
        waiting.reschedule(asyncio.get_running_loop().time())
