"""The database thread: whole units of work, one after the other, off the event loop."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.operations.facade import Operations

T = TypeVar("T")


class Desk:
    """Where handlers bring their work. A unit that was begun is done, whoever hangs up."""

    def __init__(self, open_operations: Callable[[], Operations]) -> None:
        """Open the operations on a thread of their own. Errors: `StorageError`."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="api-database")
        try:
            self._operations = self._thread.submit(open_operations).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def do(self, work: Callable[[Operations], T]) -> T:
        """The result of ``work``, which gets the operations for itself."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, work, self._operations)

    def close(self) -> None:
        """Finish what was brought, then let the database go. Safe to repeat."""
        self._thread.shutdown()
        self._operations.close()
