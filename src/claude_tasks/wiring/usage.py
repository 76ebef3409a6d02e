"""Builds the usage keeper and the preflight, and finds what pays instead of a subscription."""

from __future__ import annotations

import os
import time
import uuid
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from claude_tasks.execution.agent_binary import find_agent_binary
from claude_tasks.execution.agent_environment import agent_environment, with_binary_folder
from claude_tasks.operations.settings import SettingsOperations
from claude_tasks.scheduling.preflight import Preflight
from claude_tasks.system.clock import SystemClock
from claude_tasks.usage.cli_source import CliSource
from claude_tasks.usage.credentials import other_billing
from claude_tasks.usage.keeper import UsageKeeper, UsageThread, ask_now
from claude_tasks.usage.oauth_source import OAuthSource
from claude_tasks.wiring.data import open_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Clock, Store
    from claude_tasks.settings import Settings


def build_usage(settings: Settings, node_id: str, clock: Clock) -> UsageThread:
    """The usage keeper, on its own thread and connection."""
    store = open_data(settings, clock=clock, existing=True)
    return UsageThread(_usage_keeper(settings, store, node_id, clock), close=store.close)


def _usage_keeper(settings: Settings, store: Store, node_id: str, clock: Clock) -> UsageKeeper:
    """The keeper. Its sources in order: the agent, which needs no token of ours; the service."""
    environment = agent_environment(os.environ)
    seconds = settings.usage_timeout
    return UsageKeeper(
        store=store,
        sources=(
            CliSource(
                lambda: find_agent_binary(settings.claude_bin),
                partial(with_binary_folder, environment),
                folder=settings.data,
                seconds=seconds,
            ),
            OAuthSource(settings.usage_url, environment, seconds=seconds),
        ),
        clock=clock,
        node_id=node_id,
    )


def refresh_usage(
    settings: Settings, *, clock: Clock | None = None, existing: bool = False
) -> None:
    """Have the sources asked now, where nothing fresh is known. Takes as long as they do.

    ``existing`` is that of `open_data`.
    """
    clock = clock or SystemClock()
    with closing(open_data(settings, clock=clock, existing=existing)) as store:
        keeper = _usage_keeper(settings, store, str(uuid.uuid4()), clock)
        ask_now(keeper, sleep=time.sleep)


def build_preflight(
    settings: Settings, store: Store, clock: Clock, ask: Callable[[], None]
) -> Preflight:
    """The preflight for the dispatcher, on its connection; ``ask`` makes the keeper ask."""
    return Preflight(
        store=store,
        threshold=SettingsOperations(store, clock).usage_threshold,
        ask=ask,
        defers=settings.on_usage_limit == "defer",
        billed_by=billed_by_now,
    )


def billed_by_now() -> str | None:
    """What pays for the agents of this process instead of a subscription, as it stands now."""
    return other_billing(agent_environment(os.environ))
