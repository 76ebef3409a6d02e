"""Bodies of requests: what all of them may hold together, and who gives way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.api import bodies
from claude_tasks.api.bodies import (
    Body,
    BodyMemory,
    CrowdedOutError,
    HungUpError,
    TooLargeError,
    TooSlowError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

SECONDS = 30.0


class Upload:
    """A client that sends when it is told to."""

    def __init__(self, memory: BodyMemory, *, seconds: float = SECONDS) -> None:
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.reading = asyncio.ensure_future(memory.read(self._messages.get, seconds=seconds))

    async def send(self, size: int, *, more: bool = True) -> None:
        part = {"type": "http.request", "body": b"x" * size, "more_body": more}
        await self._messages.put(part)
        for _ in range(5):  # it is taken in, and whoever gives way notices
            await asyncio.sleep(0)

    async def hang_up(self) -> None:
        await self._messages.put({"type": "http.disconnect"})

    async def whole(self) -> Body:
        async with asyncio.timeout(10):
            return await self.reading


def run(talk: Awaitable[None]) -> None:
    async def within_seconds() -> None:
        async with asyncio.timeout(20):
            await talk

    asyncio.run(within_seconds())


def test_the_largest_that_has_not_arrived_gives_way_to_a_small_one() -> None:
    async def talk() -> None:
        memory = BodyMemory(1000)
        crowd = [Upload(memory) for _ in range(3)]
        for upload, size in zip(crowd, (300, 400, 290), strict=True):
            await upload.send(size)
        small = Upload(memory)
        await small.send(50, more=False)
        assert (await small.whole()).size == 50
        with pytest.raises(CrowdedOutError):
            await crowd[1].whole()
        assert memory.held == 300 + 290 + 50
        await crowd[0].send(1, more=False)
        assert (await crowd[0].whole()).size == 301, "the others go on"

    run(talk())


def test_of_equal_ones_the_first_gives_way_and_who_asks_for_most_gets_nothing() -> None:
    async def talk() -> None:
        memory = BodyMemory(1000)
        first, second = Upload(memory), Upload(memory)
        await first.send(400)
        await second.send(400)
        third = Upload(memory)
        await third.send(400)
        with pytest.raises(CrowdedOutError):
            await first.whole()
        await third.send(250)
        with pytest.raises(CrowdedOutError):
            await third.whole()
        assert memory.held == 400

    run(talk())


def test_a_body_that_has_arrived_counts_until_it_is_released_and_gives_way_to_none() -> None:
    async def talk() -> None:
        memory = BodyMemory(1000)
        whole = Upload(memory)
        await whole.send(900, more=False)
        body = await whole.whole()
        late = Upload(memory)
        await late.send(200)
        with pytest.raises(CrowdedOutError):
            await late.whole()
        assert memory.held == 900
        body.release()
        body.release()
        assert memory.held == 0
        again = Upload(memory)
        await again.send(1000, more=False)
        assert (await again.whole()).size == 1000

    run(talk())


def test_whatever_ends_a_body_its_room_is_free_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_LIMIT", 500)

    async def talk() -> None:
        memory = BodyMemory(1000)
        large, slow, gone = Upload(memory), Upload(memory, seconds=0.05), Upload(memory)
        for upload in (large, slow, gone):
            await upload.send(300)
        await large.send(201)
        await gone.hang_up()
        for upload, error in ((large, TooLargeError), (slow, TooSlowError), (gone, HungUpError)):
            with pytest.raises(error):
                await upload.whole()
        cancelled = Upload(memory)
        await cancelled.send(300)
        cancelled.reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled.whole()
        assert memory.held == 0
        assert not memory._arriving

    run(talk())


def test_a_body_is_given_once_and_then_what_is_real() -> None:
    async def talk() -> None:
        async def gone() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        upload = Upload(BodyMemory())
        await upload.send(3, more=False)
        receive = (await upload.whole()).replayed(gone)
        assert await receive() == {"type": "http.request", "body": b"xxx", "more_body": False}
        assert await receive() == {"type": "http.disconnect"}

    run(talk())
