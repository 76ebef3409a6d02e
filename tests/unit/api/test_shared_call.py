"""A slow look that requests share: one at a time, and nobody's end is another's."""

from __future__ import annotations

import asyncio
import threading

import pytest

from claude_tasks.api.shared_call import SharedCall


class Look:
    """Counts its calls, and waits until it may return."""

    def __init__(self) -> None:
        self.calls = 0
        self.may_end = threading.Event()
        self.error: Exception | None = None

    def __call__(self) -> int:
        self.calls += 1
        self.may_end.wait(10)
        if self.error is not None:
            raise self.error
        return self.calls


def test_all_who_wait_share_one_look_and_the_next_gets_a_new_one() -> None:
    async def scene() -> list[int]:
        look = Look()
        shared = SharedCall(look)
        waiting = [asyncio.create_task(shared()) for _ in range(5)]
        await asyncio.sleep(0)
        look.may_end.set()
        return [*await asyncio.gather(*waiting), await shared()]

    assert asyncio.run(scene()) == [1, 1, 1, 1, 1, 2]


def test_an_error_reaches_all_who_wait_and_not_those_who_come_later() -> None:
    async def scene() -> int:
        look = Look()
        look.error = ValueError("no")
        shared = SharedCall(look)
        waiting = [asyncio.create_task(shared()) for _ in range(2)]
        await asyncio.sleep(0)
        look.may_end.set()
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(each, ValueError)
        look.error = None
        return await shared()

    assert asyncio.run(scene()) == 2


def test_a_client_that_hangs_up_ends_nothing_for_the_others() -> None:
    async def scene() -> int:
        look = Look()
        shared = SharedCall(look)
        leaving, staying = asyncio.create_task(shared()), asyncio.create_task(shared())
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        look.may_end.set()
        return await staying

    assert asyncio.run(scene()) == 1


def test_a_look_that_hangs_does_not_keep_the_loop_from_ending() -> None:
    look = Look()

    async def scene() -> None:
        shared = asyncio.create_task(SharedCall(look)())
        await asyncio.sleep(0)
        shared.cancel()

    asyncio.run(scene())  # returns although the look is under way
    assert look.calls == 1
    look.may_end.set()
