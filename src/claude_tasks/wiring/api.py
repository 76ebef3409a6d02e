"""The HTTP API, put together: request filter, response cache, endpoints, database threads."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from typing import TYPE_CHECKING

from claude_tasks import __version__
from claude_tasks.api.application import build_application
from claude_tasks.api.backend import Backend
from claude_tasks.api.change_broadcast import ChangeBroadcast
from claude_tasks.api.change_counter import ChangeCounter
from claude_tasks.api.request_filter import RequestFilter, build_policy
from claude_tasks.api.response_cache import ResponseCache
from claude_tasks.api.server import ApiServer
from claude_tasks.api.shared_call import SharedCall
from claude_tasks.api.task_list import TaskListEncoder
from claude_tasks.execution.run_log import events_path
from claude_tasks.operations.database_threads import DatabaseThreads
from claude_tasks.system.clock import SystemClock
from claude_tasks.system.local_zone import local_zone
from claude_tasks.tokens import TokenWatch
from claude_tasks.wiring.data import PROMPT_BUSY_TIMEOUT, open_data
from claude_tasks.wiring.doctor import examine
from claude_tasks.wiring.operations import open_operations
from claude_tasks.wiring.usage import refresh_usage

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Clock
    from claude_tasks.scheduling.node import RunningNode
    from claude_tasks.settings import Settings
    from claude_tasks.tokens import Tokens

log = logging.getLogger(__name__)

_LOOP_BUSY_TIMEOUT = 0.05
"""Seconds for which the event loop may stand still: it reads only, which hardly ever waits."""


def build_api(
    settings: Settings,
    bound: socket.socket,
    *,
    tokens: Tokens,
    node: RunningNode,
    clock: Clock | None = None,
) -> ApiServer:
    """The HTTP API on a listening socket; ``node`` executes the runs that are asked for there.

    Two connections: the event loop's, for the change feed alone, and the database thread's.
    """
    clock = clock or SystemClock()
    local_zone(os.environ, warn=log.warning)
    watch = TokenWatch(settings, monotonic=clock.monotonic)
    policy = build_policy(settings, tokens, hostname=socket.gethostname(), watch=watch)
    feed = open_data(settings, clock=clock, busy_timeout=_LOOP_BUSY_TIMEOUT, existing=True)
    backend = _build_backend(settings, ChangeCounter(feed), node, clock)

    def close() -> None:
        backend.database.close()
        feed.close()

    app = ResponseCache(build_application(backend), backend.counter)
    return ApiServer(
        RequestFilter(app, policy, monotonic=clock.monotonic),
        bound,
        closing=backend.closing,
        broadcast=backend.broadcast,
        close=close,
    )


def _build_backend(
    settings: Settings, counter: ChangeCounter, node: RunningNode, clock: Clock
) -> Backend:
    """What the endpoints work with."""
    return Backend(
        version=__version__,
        start_id=uuid.uuid4().hex[:8],
        database=_database_threads(settings, clock),
        counter=counter,
        broadcast=ChangeBroadcast(counter),
        task_list=TaskListEncoder(),
        node_id=node.node.id,
        wake=node.wake,
        run_concurrency=settings.api_run_concurrency,
        events_path=lambda task, run: events_path(settings.folder.logs, task, run),
        refresh_usage=SharedCall(lambda: refresh_usage(settings, clock=clock, existing=True)),
        examine=SharedCall(lambda: examine(settings)),
        closing=asyncio.Event(),
        # As the command line does: asked for anew each time, so that a zone set meanwhile counts.
        local_zone=lambda: local_zone(os.environ),
    )


def _database_threads(settings: Settings, clock: Clock) -> DatabaseThreads:
    """Each of its threads has operations, and a connection, of its own."""
    return DatabaseThreads(
        lambda: open_operations(
            settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT, existing=True
        )
    )
