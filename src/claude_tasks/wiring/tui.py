"""What the terminal UI works with, made of the real parts."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import ConfigurationError
from claude_tasks.execution.run_log import events_path
from claude_tasks.operations.database_threads import DatabaseThreads
from claude_tasks.settings import KEYS, SETTINGS, file_settings
from claude_tasks.system.clock import SystemClock
from claude_tasks.system.config_file import read_config
from claude_tasks.tokens import variable_of
from claude_tasks.tui.actions import BY_ID
from claude_tasks.tui.backend import Backend, SettingLine
from claude_tasks.wiring.data import PROMPT_BUSY_TIMEOUT
from claude_tasks.wiring.operations import open_operations

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claude_tasks.doctor.finding import Report
    from claude_tasks.domain.ports import Clock
    from claude_tasks.scheduling.node import RunningNode
    from claude_tasks.settings import Settings


class _OwnNode:
    """A node as the UI sees it."""

    def __init__(self, node: RunningNode) -> None:
        self._node = node

    @property
    def id(self) -> str:
        return self._node.node.id

    @property
    def leads(self) -> bool:
        return self._node.term is not None

    @property
    def failure(self) -> BaseException | None:
        return self._node.failure

    def wake(self) -> None:
        self._node.wake()


def build_backend(
    settings: Settings,
    node: RunningNode,
    environment: Mapping[str, str],
    *,
    mode: str,
    zone: str,
    call: str,
    clock: Clock | None = None,
) -> Backend:
    """``call`` is how this program is started. Errors: `StorageError`, `ConfigurationError`."""
    clock = clock or SystemClock()
    threads = DatabaseThreads(
        lambda: open_operations(
            settings, clock=clock, busy_timeout=PROMPT_BUSY_TIMEOUT, existing=True
        )
    )
    return Backend(
        threads=threads,
        node=_OwnNode(node),
        mode=mode,
        zone=zone,
        call=call,
        now=clock.now,
        examine=partial(_examine, settings, environment),
        settings=partial(_setting_lines, settings, environment),
        events_path=partial(events_path, settings.folder.logs),
        resume_argv=partial(_resume_argv, settings),
        crash_file=partial(_crash_file, settings),
        keymap=_keymap(settings.folder.config),
    )


def _examine(settings: Settings, environment: Mapping[str, str]) -> Report:
    from claude_tasks.doctor.catalog import run_checks
    from claude_tasks.wiring.doctor import look_around

    return run_checks(look_around(settings, environment))


def _resume_argv(settings: Settings, session_id: str) -> Sequence[str]:
    from claude_tasks.execution.agent_binary import find_agent_binary

    return [find_agent_binary(settings.claude_bin), "--resume", session_id]


def _crash_file(settings: Settings) -> str:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    return os.path.join(settings.data, f"tui-crash-{stamp}.txt")


def _keymap(path: str) -> dict[str, str]:
    """The table ``[keys]`` of ``config.toml``, by action. Errors: `ConfigurationError`."""
    table = read_config(path).get(KEYS, {})
    if not isinstance(table, dict) or not all(isinstance(key, str) for key in table.values()):
        raise ConfigurationError(f"{path}: {KEYS} is no table of texts", hint='such as run = "x"')
    unknown = sorted(set(table) - set(BY_ID))
    if unknown:
        raise ConfigurationError(
            f"{path}: {KEYS}: there is no action {unknown[0]}",
            hint=f"known: {', '.join(sorted(BY_ID))}",
        )
    return table


def _setting_lines(settings: Settings, environment: Mapping[str, str]) -> list[SettingLine]:
    """Every setting with its value, and whether a variable, the file or nothing says so."""
    in_file = file_settings(settings.folder.config)
    lines = []
    for name, setting in SETTINGS.items():
        variable = variable_of(name)
        origin = "default"
        if environment.get(variable):
            origin = variable
        elif name in in_file:
            origin = "config.toml"
        value = getattr(settings, name, None)
        shown = setting.unset or "not set" if value in (None, "") else str(value)
        if setting.secret:
            shown = "set (secret)" if origin != "default" else "not set"
        lines.append(SettingLine(name, shown, origin, setting.help))
    return lines
