"""The database threads: each lane does units of work, one after the other, off the event loop.

Readers never wait for writers (because of SQLite's write-ahead log), so they have their own lane;
so have searches, which read the whole history. A unit that could not begin in time is dropped: its
client is told to try again, and nothing is done for a client that gave up.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from claude_tasks.domain.errors import StorageBusyError

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.operations.facade import Operations

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
"""How long a unit may wait for its turn: clients of API v1 give up after 15 s."""


class Lane(Enum):
    """Which thread does it."""

    READ = "read"
    WRITE = "write"
    SEARCH = "search"


class _Worker(NamedTuple):
    thread: ThreadPoolExecutor
    operations: Operations


class DatabaseThreads:
    """Runs the handlers' work. A unit that has begun is finished even if its client disconnects."""

    def __init__(self, open_operations: Callable[[], Operations]) -> None:
        """Open the operations of each lane on its thread. Errors: `StorageError`."""
        self._workers: dict[Lane, _Worker] = {}
        try:
            for lane in Lane:
                self._workers[lane] = _hire(lane, open_operations)
        except BaseException:
            self.close()
            raise

    async def read(self, work: Callable[[Operations], T]) -> T:
        """What ``work`` finds. Errors: its own; `StorageBusyError` when its turn did not come."""
        return await self._do(Lane.READ, work)

    async def write(self, work: Callable[[Operations], T]) -> T:
        """What ``work`` changed. Errors: as `read`, and then nothing was done."""
        return await self._do(Lane.WRITE, work)

    async def search(self, work: Callable[[Operations], T]) -> T:
        """What ``work`` finds, however long it looks; one at a time. Errors: as `read`."""
        return await self._do(Lane.SEARCH, work)

    def close(self) -> None:
        """Finish what was begun, then let the database go. Safe to repeat."""
        for worker in self._workers.values():
            worker.thread.shutdown(cancel_futures=True)
            worker.operations.close()
        self._workers.clear()

    async def _do(self, lane: Lane, work: Callable[[Operations], T]) -> T:
        worker = self._workers.get(lane)
        if worker is None:
            raise _not_in_time()
        begin_by = time.monotonic() + PATIENCE_SECONDS
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            worker.thread, _in_time, begin_by, work, worker.operations
        )


def _hire(lane: Lane, open_operations: Callable[[], Operations]) -> _Worker:
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"database-{lane.value}")
    try:
        return _Worker(thread, thread.submit(open_operations).result())
    except BaseException:
        thread.shutdown()
        raise


def _in_time(begin_by: float, work: Callable[[Operations], T], operations: Operations) -> T:
    if time.monotonic() > begin_by:
        raise _not_in_time()
    return work(operations)


def _not_in_time() -> StorageBusyError:
    return StorageBusyError("too much to do: this request was not begun")
