"""The use cases on the data folder's store."""

from __future__ import annotations

import os
import pwd
from functools import partial
from typing import TYPE_CHECKING

from claude_tasks.domain.revision import Actor, Face
from claude_tasks.domain.run_marker import MARKER, run_of
from claude_tasks.operations.facade import Operations
from claude_tasks.operations.notifications import NotificationOperations
from claude_tasks.operations.runs import RunOperations
from claude_tasks.operations.settings import SettingsOperations
from claude_tasks.operations.status import StatusOperations
from claude_tasks.operations.tasks import TaskOperations
from claude_tasks.operations.usage import UsageOperations
from claude_tasks.scheduling.lifetime import NodeRegistry
from claude_tasks.storage.sqlite.store import DEFAULT_BUSY_TIMEOUT
from claude_tasks.system.clock import SystemClock
from claude_tasks.wiring.data import open_data
from claude_tasks.wiring.signs import MachineSigns

if TYPE_CHECKING:
    from collections.abc import Mapping

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.run import Run
    from claude_tasks.settings import Settings


def open_operations(
    settings: Settings,
    *,
    actor: Actor | None = None,
    clock: Clock | None = None,
    busy_timeout: float = DEFAULT_BUSY_TIMEOUT,
    existing: bool = False,
) -> Operations:
    """The use cases on the data folder's store. Light: no thread, no process.

    ``actor`` makes the changes, by default the user or agent that started this process.
    ``existing`` is that of `open_data`.
    """
    clock = clock or SystemClock()
    store = open_data(settings, clock=clock, busy_timeout=busy_timeout, existing=existing)
    changeable = SettingsOperations(store, clock)
    usage = UsageOperations(
        store,
        clock,
        changeable,
        check_disabled=settings.disable_usage_check,
        billed_by=_billed_by,
    )
    return Operations(
        tasks=TaskOperations(store, clock, actor=actor or local_actor(os.environ)),
        runs=RunOperations(store, clock, ask_to_end=partial(_ask_to_end, settings)),
        status=StatusOperations(
            store,
            NodeRegistry(store, settings.folder.nodes),
            clock,
            max_concurrent_runs=settings.max_concurrent_runs,
            find_agent=partial(_find_agent, settings),
            usage=usage,
            signs=MachineSigns(settings),
        ),
        settings=changeable,
        usage=usage,
        notifications=NotificationOperations(store),
        changes=store,
        close=store.close,
    )


def _ask_to_end(settings: Settings, run: Run) -> bool:
    from claude_tasks.execution.run_folder import RunFolder

    return RunFolder.of(settings.folder.runs, run.id, run.claim).ask_to_end()


def _find_agent(settings: Settings) -> str:
    from claude_tasks.execution.agent_binary import find_agent_binary

    return find_agent_binary(settings.claude_bin)


def local_actor(environment: Mapping[str, str]) -> Actor:
    """Who started this process: the agent of a run, or a user of this machine."""
    marker = environment.get(MARKER)
    if marker:
        return Actor(Face.AGENT, f"run {run_of(marker)}")
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # no name, as in a container
        name = str(os.getuid())
    return Actor(Face.CLI, name)


def _billed_by() -> str | None:
    from claude_tasks.wiring.usage import billed_by_now

    return billed_by_now()
