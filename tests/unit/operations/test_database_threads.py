"""The database: lanes that do not wait for one another, and units that are not begun too late."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.errors import StorageBusyError
from claude_tasks.operations import database_threads as threads_module
from claude_tasks.operations.database_threads import DatabaseThreads

if TYPE_CHECKING:
    from collections.abc import Iterator


class Closable:
    def close(self) -> None:
        return None


@pytest.fixture
def database() -> Iterator[DatabaseThreads]:
    made = DatabaseThreads(Closable)  # type: ignore[arg-type]
    yield made
    made.close()


def test_readers_do_not_wait_for_writers_nor_for_searches(database: DatabaseThreads) -> None:
    async def scene() -> str:
        held = threading.Event()
        slow = [asyncio.create_task(database.write(lambda _: held.wait())),
                asyncio.create_task(database.search(lambda _: held.wait()))]  # fmt: skip
        found = await database.read(lambda _: "found")
        held.set()
        await asyncio.gather(*slow)
        return found

    assert asyncio.run(scene()) == "found"


def test_what_could_not_begin_in_time_is_never_done(
    database: DatabaseThreads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client has been told, or has given up: doing it later would do it twice."""
    monkeypatch.setattr(threads_module, "PATIENCE_SECONDS", 0.05)
    done: list[str] = []

    async def scene() -> Any:
        held = threading.Event()
        first = asyncio.create_task(database.write(lambda _: held.wait()))
        late = asyncio.create_task(database.write(lambda _: done.append("late")))
        await asyncio.sleep(0.1)  # the time that passes is what this is about
        held.set()
        return await asyncio.gather(first, late, return_exceptions=True)

    _, late = asyncio.run(scene())
    assert isinstance(late, StorageBusyError)
    assert done == []


def test_a_closed_database_takes_no_more(database: DatabaseThreads) -> None:
    database.close()
    with pytest.raises(StorageBusyError):
        asyncio.run(database.read(lambda _: None))
