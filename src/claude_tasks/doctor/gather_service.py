"""The systemd unit or launchd plist that starts us, and whether it would find the agent."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from claude_tasks.doctor.facts import ServiceFacts, Trouble
from claude_tasks.domain.errors import SpawnError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_NAME = "claude-tasks"
_SYSTEM_FOLDER = "/etc/systemd/system"
_SYSTEMD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAUNCHD_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_AGENT_VARIABLE = "CLAUDE_TASKS_CLAUDE_BIN"


def service_facts(
    find_agent: Callable[[str | None, str | None], str],
    setting: str | None,
    *,
    environment: Mapping[str, str],
    platform: str = sys.platform,
    system_folder: str = _SYSTEM_FOLDER,
) -> ServiceFacts:
    """What is installed; the first of several. ``setting`` is the configuration file's agent."""
    home = environment.get("HOME") or os.path.expanduser("~")
    if platform == "darwin":
        facts, variables = _launchd(os.path.join(home, "Library", "LaunchAgents"))
    else:
        configuration = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        user = os.path.join(configuration, "systemd", "user")
        facts, variables = _systemd((user, "/etc/systemd/user", system_folder), system_folder)
    if facts.kind is None:
        return facts
    return _with_agent(facts, variables, find_agent, setting)


def _with_agent(
    facts: ServiceFacts,
    variables: Mapping[str, str],
    find_agent: Callable[[str | None, str | None], str],
    setting: str | None,
) -> ServiceFacts:
    bare = _LAUNCHD_PATH if facts.kind == "launchd" else _SYSTEMD_PATH
    try:
        found = find_agent(variables.get(_AGENT_VARIABLE) or setting, variables.get("PATH") or bare)
    except SpawnError as error:
        return facts._replace(agent=Trouble(error.message, error.hint, error.code))
    return facts._replace(agent_path=found)


def _systemd(folders: tuple[str, ...], system: str) -> tuple[ServiceFacts, dict[str, str]]:
    for folder in folders:
        for path in _files(folder, ".service"):
            unit = os.path.basename(path)
            # What is enabled is linked from the targets that want it (systemd.unit(5)).
            targets = _files(folder, ".wants", named="")
            wanted = [True for target in targets if os.path.lexists(os.path.join(target, unit))]
            facts = ServiceFacts("systemd", path, enabled=bool(wanted), by_system=folder == system)
            return facts, unit_environment(_text_of(path))
    return ServiceFacts(None), {}


def unit_environment(text: str) -> dict[str, str]:
    """The variables that a unit's ``Environment=`` lines set (systemd.exec(5))."""
    import shlex  # noqa: PLC0415 (only where there is a unit)

    variables: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if name.strip() != "Environment":
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # an open quote: systemd ignores the line as well
            continue
        variables.update((key, rest) for key, _, rest in (word.partition("=") for word in words))
    return variables


def _launchd(folder: str) -> tuple[ServiceFacts, dict[str, str]]:
    for path in _files(folder, ".plist"):
        entries = _plist(path)
        enabled = bool(entries.get("RunAtLoad") or entries.get("KeepAlive"))
        facts = ServiceFacts("launchd", path, enabled=enabled and not entries.get("Disabled"))
        variables = entries.get("EnvironmentVariables")
        return facts, dict(variables) if isinstance(variables, dict) else {}
    return ServiceFacts(None), {}


def _plist(path: str) -> dict[str, Any]:
    import plistlib  # noqa: PLC0415 (macOS only)

    try:
        with open(path, "rb") as file:
            entries = plistlib.load(file)
    except (OSError, ValueError):  # shown as not enabled: launchd cannot read it either
        return {}
    return entries if isinstance(entries, dict) else {}


def _text_of(path: str) -> str:
    """With its drop-ins, which are read after it."""
    texts = []
    for part in (path, *_files(path + ".d", ".conf", named="")):
        try:
            with open(part, encoding="utf-8", errors="replace") as file:
                texts.append(file.read())
        except OSError:  # a link to nowhere, which systemd passes over too
            continue
    return "\n".join(texts)


def _files(folder: str, ending: str, *, named: str = _NAME) -> list[str]:
    """The entries of a folder, sorted; none where there is no such folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [
        os.path.join(folder, name)
        for name in sorted(names)
        if name.endswith(ending) and named in name
    ]
