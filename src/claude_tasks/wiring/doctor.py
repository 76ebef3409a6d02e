"""What the doctor may ask for: adapters that look, and change nothing."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from claude_tasks import __version__
from claude_tasks.system.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from claude_tasks.doctor.finding import Report
    from claude_tasks.doctor.looking import Look
    from claude_tasks.domain.ports import Clock
    from claude_tasks.settings import Settings
    from claude_tasks.usage.credentials import Credentials


def look_around(
    settings: Settings,
    environment: Mapping[str, str],
    *,
    thorough: bool = True,
    clock: Clock | None = None,
) -> Look:
    """What doctor's checks may ask for. Changes nothing, opens nothing for good.

    Only a ``thorough`` look reads every page of the database. For any thread; a check of the agent
    may take seconds.
    """
    from claude_tasks.doctor.database_facts import database
    from claude_tasks.doctor.facts import MachineFacts
    from claude_tasks.doctor.folders import data, logs
    from claude_tasks.doctor.looking import Look
    from claude_tasks.execution.agent_environment import agent_environment, with_binary_folder
    from claude_tasks.scheduling.lifetime import Sign, probe
    from claude_tasks.storage.sqlite.inspection import inspect
    from claude_tasks.wiring.signs import MachineSigns, is_process

    def is_dead(registered: Collection[str], node_id: str) -> bool | None:
        sign = probe(settings.folder.nodes, node_id)
        if sign is Sign.NONE:
            return node_id not in registered
        return None if sign is Sign.UNKNOWN else sign is Sign.DEAD

    clock = clock or SystemClock()
    agents = agent_environment(environment)
    refuses_bypass = os.geteuid() == 0 and environment.get("IS_SANDBOX") != "1"
    values = {
        "settings": settings,
        "environment": environment,
        "thorough": thorough,
        "at": clock.now(),
        "monotonic": clock.monotonic(),
        "machine": MachineFacts(__version__, os.uname().nodename, refuses_bypass),
        "find_agent": _find_agent,
        "agent_environment": agents,
        "environment_of": partial(with_binary_folder, agents),
        "find_node": _find_node,
        "find_credentials": _credentials,
        "other_billing": _billing,
        "inspect": inspect,
        "is_dead": is_dead,
        "is_process": is_process,
        "signs": MachineSigns(settings),
        "is_loopback": _is_loopback,
    }
    return Look(values, {"data": data, "logs": logs, "database": database})


def quick_report(settings: Settings, environment: Mapping[str, str]) -> Report:
    """What the quick checks find."""
    from claude_tasks.doctor.catalog import QUICK, run_checks

    return run_checks(look_around(settings, environment, thorough=False), QUICK)


def examine(settings: Settings) -> dict[str, Any]:
    """The doctor's whole report, as a JSON value. For any thread; takes as long as the agent."""
    from claude_tasks.doctor.catalog import run_checks
    from claude_tasks.doctor.views import report_view

    return report_view(run_checks(look_around(settings, os.environ)))


# What a check needs alone is loaded by it alone: many look at a few things only.


def _find_agent(setting: str | None, search_path: str | None) -> str:
    from claude_tasks.execution.agent_binary import find_agent_binary

    return find_agent_binary(setting, search_path=search_path)


def _find_node() -> str | None:
    from claude_tasks.execution.agent_binary import find_node

    return find_node()


def _credentials(environment: Mapping[str, str], at: int) -> Credentials:
    from claude_tasks.usage.credentials import find_credentials

    return find_credentials(environment, at=at)


def _billing(environment: Mapping[str, str]) -> str | None:
    from claude_tasks.usage.credentials import other_billing

    return other_billing(environment)


def _is_loopback(host: str) -> bool:
    if host == "127.0.0.1":  # as it is unless somebody said otherwise
        return True
    from claude_tasks.api.authorization import is_loopback

    return is_loopback(host)
