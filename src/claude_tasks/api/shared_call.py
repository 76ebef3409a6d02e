"""A slow call that requests share: one at a time, on its own thread.

Not a thread of the event loop's pool: the call may hang, and must neither take the threads that
stream files to others nor keep the process from ending.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class SharedCall(Generic[T]):
    """Calls ``look`` for all who wait at the moment. For one event loop."""

    def __init__(self, look: Callable[[], T]) -> None:
        """``look`` may take long, and may raise: then everybody who waits gets the error."""
        self._look = look
        self._flight: asyncio.Future[T] | None = None

    async def __call__(self) -> T:
        """What the look under way sees; begins one where there is none."""
        flight = self._flight
        if flight is None:
            flight = self._flight = self._begin()
        return await asyncio.shield(flight)  # one client that hangs up must not end it for others

    def _begin(self) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        flight: asyncio.Future[T] = loop.create_future()

        def land(value: T | None, error: BaseException | None) -> None:
            self._flight = None
            if flight.cancelled():
                return
            if error is not None:
                flight.set_exception(error)
                flight.exception()  # there may be no waiter left
            else:
                flight.set_result(value)  # type: ignore[arg-type]

        def fly() -> None:
            value, error = None, None
            try:
                value = self._look()
            except Exception as failure:  # noqa: BLE001 (it belongs to those who wait)
                error = failure
            try:
                loop.call_soon_threadsafe(land, value, error)
            except RuntimeError:
                return  # the loop has ended, and with it everybody who waited

        threading.Thread(target=fly, name="shared-call", daemon=True).start()
        return flight
