"""The values and functions that the handlers use; the wiring builds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable

    from claude_tasks.api.change_broadcast import ChangeBroadcast
    from claude_tasks.api.change_counter import ChangeCounter
    from claude_tasks.api.task_list import TaskListEncoder
    from claude_tasks.operations.database_threads import DatabaseThreads


class Backend(NamedTuple):
    """The server's side of every request. ``start_id`` is of this start alone.

    ``node_id`` executes the runs asked for here, at most ``run_concurrency`` at once (0: none are
    taken), after ``wake``. ``events_path`` is where the event stream of a run of a task is;
    ``refresh_usage`` takes as long as the sources, ``examine``, the doctor, as long as its checks.
    ``local_zone`` is this machine's present zone, for schedules without one.
    """

    version: str
    start_id: str
    database: DatabaseThreads
    counter: ChangeCounter
    broadcast: ChangeBroadcast
    task_list: TaskListEncoder
    node_id: str
    wake: Callable[[], None]
    run_concurrency: int
    events_path: Callable[[int, int], str]
    refresh_usage: Callable[[], Awaitable[None]]
    examine: Callable[[], Awaitable[dict[str, Any]]]
    local_zone: Callable[[], str]
    closing: asyncio.Event
