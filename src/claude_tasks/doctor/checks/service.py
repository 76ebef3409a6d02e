"""Something starts us with the machine, and finds the agent then."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.facts import Trouble
from claude_tasks.doctor.finding import (
    passed,
    shell,
    warned,
)
from claude_tasks.domain.errors import (
    SpawnError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from claude_tasks.doctor.finding import Finding
    from claude_tasks.settings import Settings

import sys
from typing import Any

from claude_tasks.doctor.checks.claude_binary import agent_here

_UNIT_NAME = "claude-tasks"
_SYSTEM_FOLDER = "/etc/systemd/system"
_LINGER_FOLDER = "/var/lib/systemd/linger"
_SYSTEMD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAUNCHD_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
_AGENT_VARIABLE = "CLAUDE_TASKS_CLAUDE_BIN"


class ServiceFacts(NamedTuple):
    """What would start us with the machine. ``kind`` is systemd or launchd, None without any.

    ``agent`` says why its search path does not lead to the agent; ``agent_here`` is where this
    shell finds it. ``unread`` is a file of variables that could not be read. ``lingers`` is
    whether a user's own services start before that user logs in, None where that is not asked.
    """

    kind: str | None
    path: str = ""
    enabled: bool = False
    by_system: bool = False
    agent_path: str | None = None
    agent: Trouble | None = None
    agent_here: str | None = None
    masked: bool = False
    unread: str | None = None
    lingers: bool | None = None


def service(
    *,
    settings: Settings,
    environment: Mapping[str, str],
    find_agent: Callable[[str | None, str | None], str],
) -> ServiceFacts:
    """What would start us with the machine."""
    # Only the file's setting reaches a service: the environment is this shell's.
    setting = None if environment.get(_AGENT_VARIABLE) else settings.claude_bin
    facts = service_facts(find_agent, setting, environment=environment)
    if facts.agent is None:
        return facts
    return facts._replace(agent_here=agent_here(find_agent, settings.claude_bin))


def service_facts(
    find_agent: Callable[[str | None, str | None], str],
    setting: str | None,
    *,
    environment: Mapping[str, str],
    platform: str = sys.platform,
    system_folder: str = _SYSTEM_FOLDER,
    linger_folder: str = _LINGER_FOLDER,
) -> ServiceFacts:
    """What is installed; the first of several. ``setting`` is the configuration file's agent."""
    home = environment.get("HOME") or os.path.expanduser("~")
    if platform == "darwin":
        facts, variables = _launchd(os.path.join(home, "Library", "LaunchAgents"))
    else:
        configuration = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
        user = os.path.join(configuration, "systemd", "user")
        folders = (user, "/etc/systemd/user", system_folder)
        facts, variables = _systemd(folders, system_folder, home, linger_folder)
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


def _systemd(
    folders: tuple[str, ...], system: str, home: str, linger: str
) -> tuple[ServiceFacts, dict[str, str]]:
    for folder in folders:
        for path in sorted(_files(folder, ".service"), key=lambda it: not _is_named_ours(it)):
            text = _text_of(path)
            if _is_named_ours(path) or _runs_us(text):
                facts = _unit_facts(folder, path, by_system=folder == system)
                facts = facts._replace(lingers=_lingers(linger) if folder == folders[0] else None)
                variables, unread = unit_environment(text, home)
                return facts._replace(unread=unread), variables
    return ServiceFacts(None), {}


def _unit_facts(folder: str, path: str, *, by_system: bool) -> ServiceFacts:
    unit = os.path.basename(path)
    # What is enabled is linked from the targets that want it (systemd.unit(5)).
    targets = _files(folder, ".wants", named="")
    enabled = any(os.path.lexists(os.path.join(target, unit)) for target in targets)
    masked = os.path.realpath(path) == os.devnull
    return ServiceFacts("systemd", path, enabled=enabled, by_system=by_system, masked=masked)


def _is_named_ours(path: str) -> bool:
    """``claude-tasks.service``, and not that of a backup of it."""
    return os.path.basename(path) == f"{_UNIT_NAME}.service"


def _runs_us(text: str) -> bool:
    """Whether it starts what schedules, whatever it is called."""
    words = [word for line in _values(text, "ExecStart") for word in line.split()]
    program = any(word.endswith((_UNIT_NAME, "claude_tasks")) for word in words)
    return program and any(command in words for command in ("daemon", "serve", "tui"))


def _lingers(folder: str) -> bool | None:
    """Whether this user's services start with the machine (loginctl(1)); None without logind."""
    if not os.path.isdir(folder):
        return None
    import pwd

    try:
        return os.path.exists(os.path.join(folder, pwd.getpwuid(os.geteuid()).pw_name))
    except KeyError:  # a user without a name
        return None


def unit_environment(text: str, home: str) -> tuple[dict[str, str], str | None]:
    """The variables that a unit sets (systemd.exec(5)), and a file of them that is not readable.

    ``EnvironmentFile=`` wins over ``Environment=``, wherever they stand.
    """
    variables: dict[str, str] = {}
    for value in _values(text, "Environment"):
        variables |= _assignments(_resolved(value, home))
    unread = None
    for value in _values(text, "EnvironmentFile"):
        path = _resolved(value, home)
        try:
            with open(path.removeprefix("-"), encoding="utf-8", errors="replace") as file:
                for line in file:
                    variables |= {} if line.startswith(("#", ";")) else _assignments(line)
        except OSError:
            unread = unread if path.startswith("-") else path
    return variables, unread


def _values(text: str, wanted: str) -> list[str]:
    """What a unit says under one name; a line that ends in a backslash goes on."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        name, _, value = line.strip().partition("=")
        if name.strip() == wanted:
            found.append(value.strip())
    return found


def _resolved(text: str, home: str) -> str:
    """With the specifiers that lead to the agent: the home folder, and a percent sign."""
    return "%".join(part.replace("%h", home) for part in text.split("%%"))


def _assignments(text: str) -> dict[str, str]:
    import shlex

    try:
        words = shlex.split(text)
    except ValueError:  # an open quote: systemd ignores the line as well
        return {}
    return {name: value for name, _, value in (word.partition("=") for word in words)}


def _launchd(folder: str) -> tuple[ServiceFacts, dict[str, str]]:
    for path in _files(folder, ".plist"):
        entries = _plist(path)
        enabled = bool(entries.get("RunAtLoad") or entries.get("KeepAlive"))
        facts = ServiceFacts("launchd", path, enabled=enabled and not entries.get("Disabled"))
        variables = entries.get("EnvironmentVariables")
        return facts, dict(variables) if isinstance(variables, dict) else {}
    return ServiceFacts(None), {}


def _plist(path: str) -> dict[str, Any]:
    import plistlib

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


def _files(folder: str, ending: str, *, named: str = _UNIT_NAME) -> list[str]:
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


def judge(service: ServiceFacts) -> Finding:
    """Something starts us with the machine, and finds the agent then. WARN at most."""
    name = "service"
    if service.kind is None:
        text = (
            "none is installed: after a restart of the machine nobody schedules until somebody"
            " starts a daemon; have systemd, launchd or the like run one"
        )
        return warned(name, text)
    wrong = _wrong_with(service)
    if wrong is not None:
        return warned(name, *wrong)
    unread = "" if service.unread is None else f" (without a look at {service.unread})"
    return passed(name, f"{service.path} is enabled{unread}")


def _wrong_with(service: ServiceFacts) -> tuple[str, str | None] | None:
    """What keeps it from starting, or from working; and what helps."""
    path = service.path
    if service.masked:
        unmask = f"{_systemctl(service)} unmask {shell(_unit(service))}"
        return f"{path} is masked: nothing starts it", unmask
    if not service.enabled:
        return f"{path} is not enabled: it does not start with the machine", _enable(service)
    if service.agent is not None:
        return f"{path} would not find the agent: {service.agent.message}", _edit(service)
    if service.lingers is False:
        text = f"{path} is enabled, but starts only once its user has logged in"
        return text, "loginctl enable-linger"
    return None


def _enable(service: ServiceFacts) -> str:
    if service.kind == "launchd":
        return f'launchctl bootstrap "gui/$(id -u)" {shell(service.path)}'
    return f"{_systemctl(service)} enable --now {shell(_unit(service))}"


def _edit(service: ServiceFacts) -> str | None:
    """Tell the service where this shell finds the agent; None where it does not either."""
    if service.agent_here is None:
        return None
    if service.kind == "launchd":
        path = shell(service.path)
        add = "plutil -replace EnvironmentVariables.CLAUDE_TASKS_CLAUDE_BIN -string"
        domain = '"gui/$(id -u)"'
        return (
            f"{add} {shell(service.agent_here)} {path}"
            f" && launchctl bootout {domain} {path} && launchctl bootstrap {domain} {path}"
        )
    sudo = "sudo " if service.by_system else ""
    folder = shell(f"{service.path}.d")
    value = service.agent_here.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    lines = shell("[Service]", f'Environment="CLAUDE_TASKS_CLAUDE_BIN={value}"')
    systemctl = _systemctl(service)
    return (
        f"{sudo}mkdir -p {folder}"
        f" && printf '%s\\n' {lines} | {sudo}tee {folder}/agent.conf"
        f" && {systemctl} daemon-reload && {systemctl} restart {shell(_unit(service))}"
    )


def _systemctl(service: ServiceFacts) -> str:
    return "sudo systemctl" if service.by_system else "systemctl --user"


def _unit(service: ServiceFacts) -> str:
    return service.path.rpartition("/")[2]
