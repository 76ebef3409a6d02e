"""What the faces are given: the HTTP API its backend, the doctor its facts. See `wiring`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

from claude_tasks import __version__
from claude_tasks.clock import SystemClock
from claude_tasks.wiring import (
    PROMPT_BUSY_TIMEOUT,
    open_data,
    open_operations,
    refresh_usage,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from claude_tasks.api.asgi import Application
    from claude_tasks.api.server import ApiServer
    from claude_tasks.doctor.facts import Facts
    from claude_tasks.doctor.ports import Inspect, Inspected
    from claude_tasks.domain.ports import Clock, NodeStore
    from claude_tasks.scheduling.node import RunningNode
    from claude_tasks.settings import Settings
    from claude_tasks.tokens import Tokens
    from claude_tasks.usage.credentials import Credentials

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
    import asyncio  # noqa: PLC0415 (see `build_node`)
    import socket as sockets  # noqa: PLC0415
    import uuid  # noqa: PLC0415

    from claude_tasks.api.answers import Answers  # noqa: PLC0415
    from claude_tasks.api.application import build_application  # noqa: PLC0415
    from claude_tasks.api.backend import Backend  # noqa: PLC0415
    from claude_tasks.api.change_counter import ChangeCounter  # noqa: PLC0415
    from claude_tasks.api.desk import Desk  # noqa: PLC0415
    from claude_tasks.api.guard import Guard, build_policy  # noqa: PLC0415
    from claude_tasks.api.server import ApiServer  # noqa: PLC0415
    from claude_tasks.api.task_list import TaskListEncoder  # noqa: PLC0415
    from claude_tasks.api.watcher import Watcher  # noqa: PLC0415
    from claude_tasks.execution.run_log import events_path  # noqa: PLC0415
    from claude_tasks.operations.facts import RunLedger  # noqa: PLC0415

    clock = clock or SystemClock()
    policy = build_policy(settings, tokens, hostname=sockets.gethostname())
    feed = open_data(settings, clock=clock, busy_timeout=_LOOP_BUSY_TIMEOUT)
    desk = Desk(lambda: open_operations(settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT))
    counter = ChangeCounter(feed)
    backend = Backend(
        version=__version__,
        start_id=uuid.uuid4().hex[:8],
        desk=desk,
        counter=counter,
        watcher=Watcher(counter),
        task_list=TaskListEncoder(),
        ledger=RunLedger(),
        node_id=node.node.id,
        wake=node.wake,
        run_concurrency=settings.api_run_concurrency,
        events_path=lambda task, run: events_path(settings.folder.logs, task, run),
        refresh_usage=lambda: refresh_usage(settings, clock=clock),
        examine=lambda: _examine(settings),
        closing=asyncio.Event(),
    )

    def close() -> None:
        desk.close()
        feed.close()

    # Litestar types ASGI by itself, with the same shapes.
    app = Answers(cast("Application", build_application(backend)), counter)
    return ApiServer(
        Guard(app, policy, monotonic=clock.monotonic),
        bound,
        closing=backend.closing,
        watcher=backend.watcher,
        close=close,
    )


def doctor_facts(
    settings: Settings, environment: Mapping[str, str], *, clock: Clock | None = None
) -> Facts:
    """What doctor looks at, gathered as it is asked for. Changes nothing, opens nothing for good.

    For any thread; a check of the agent may take seconds.
    """
    from claude_tasks.doctor.gathering import Sources, gather  # noqa: PLC0415 (see `build_node`)
    from claude_tasks.execution.agent_environment import agent_environment  # noqa: PLC0415
    from claude_tasks.scheduling.lifetime import Register  # noqa: PLC0415
    from claude_tasks.storage.sqlite.inspection import inspect  # noqa: PLC0415

    def find_agent(setting: str | None, search_path: str | None) -> str:
        from claude_tasks.execution.agent_binary import find_agent_binary  # noqa: PLC0415

        return find_agent_binary(setting, search_path=search_path)

    def credentials(environment: Mapping[str, str], at: int) -> Credentials:
        from claude_tasks.usage.credentials import find_credentials  # noqa: PLC0415

        return find_credentials(environment, at=at)

    def billing(environment: Mapping[str, str]) -> str | None:
        from claude_tasks.usage.credentials import other_billing  # noqa: PLC0415

        return other_billing(environment)

    def is_loopback(host: str) -> bool:
        if host == "127.0.0.1":  # as it is unless somebody said otherwise
            return True
        from claude_tasks.api.access import is_loopback  # noqa: PLC0415 (loads hashlib)

        return is_loopback(host)

    def is_dead(seen: Inspected, node_id: str) -> bool:
        return Register(cast("NodeStore", seen), settings.folder.nodes).is_dead(node_id)

    return gather(
        settings,
        Sources(
            find_agent=find_agent,
            agent_environment=agent_environment(environment),
            find_credentials=credentials,
            other_billing=billing,
            inspect=cast("Inspect", inspect),
            is_dead=is_dead,
            is_loopback=is_loopback,
            host=os.uname().nodename,
        ),
        environment=environment,
        at=(clock or SystemClock()).now(),
        version=__version__,
    )


def _examine(settings: Settings) -> dict[str, Any]:
    """The doctor's report."""
    from claude_tasks.doctor.catalog import run_checks  # noqa: PLC0415
    from claude_tasks.doctor.views import report_view  # noqa: PLC0415

    return report_view(run_checks(doctor_facts(settings, os.environ)))
