"""Where facts come from: the file system, the environment, and the adapters that are passed in."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.doctor.facts import (
    AgentFacts,
    ChannelFacts,
    CredentialFacts,
    DatabaseFacts,
    ExposureFacts,
    Facts,
    LivenessFacts,
    MachineFacts,
    ServiceFacts,
    Trouble,
    ZoneFacts,
)
from claude_tasks.doctor.gather_folders import disk_facts, folder_facts
from claude_tasks.domain.errors import (
    ClaudeTasksError,
    ConfigurationError,
    SpawnError,
    StorageError,
)
from claude_tasks.domain.notification import addresses_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from claude_tasks.doctor.facts import (
        DiskFacts,
        FolderFacts,
        NodeFact,
        PermissionFacts,
        TaskFact,
    )
    from claude_tasks.doctor.ports import Found, Inspect
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.signs import Signs
    from claude_tasks.settings import Settings

_SYSTEM_ZONES = "/usr/share/zoneinfo"
_ANY_ZONE = "America/New_York"
"""A zone that every copy of the zone data has."""


class Sources(NamedTuple):
    """What the wiring passes in. None of it changes anything.

    ``find_agent(setting, search_path)`` raises `SpawnError`; ``find_credentials(environment, at)``
    raises `UsageUnavailableError`; ``other_billing`` names what pays instead of a subscription;
    ``agent_environment`` is what any agent would get, ``environment_of`` the one at a path;
    ``find_node`` looks for a node beyond PATH; ``is_dead`` and ``is_process`` are those of
    `claude_tasks.doctor.gather_database.NodeSigns`, and so is ``monotonic``, in seconds.
    """

    find_agent: Callable[[str | None, str | None], str]
    agent_environment: Mapping[str, str]
    environment_of: Callable[[str], Mapping[str, str]]
    find_node: Callable[[], str | None]
    find_credentials: Callable[[Mapping[str, str], int], Found]
    other_billing: Callable[[Mapping[str, str]], str | None]
    inspect: Inspect
    is_dead: Callable[[Collection[str], str], bool | None]
    is_process: Callable[[Node], bool]
    signs: Signs
    is_loopback: Callable[[str], bool]
    host: str
    monotonic: float


def gather(
    settings: Settings,
    sources: Sources,
    *,
    environment: Mapping[str, str],
    at: int,
    version: str,
    thorough: bool,
) -> Facts:
    """Facts that gather themselves as they are asked for; see `database_facts` for ``thorough``."""
    refuses = os.geteuid() == 0 and environment.get("IS_SANDBOX") != "1"
    machine = MachineFacts(version=version, host=sources.host, refuses_bypass=refuses)
    gathering = _Gathering(settings, sources, environment, at, thorough=thorough, version=version)
    return Facts(gathering, at=at, machine=machine)


class _Gathering:
    """`claude_tasks.doctor.facts.Gatherers` on one installation."""

    def __init__(
        self,
        settings: Settings,
        sources: Sources,
        environment: Mapping[str, str],
        at: int,
        *,
        thorough: bool,
        version: str,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._environment = environment
        self._at = at
        self._thorough = thorough
        self._version = version

    def data(self) -> FolderFacts:
        return folder_facts(self._settings.folder.root)

    def logs(self) -> FolderFacts:
        return folder_facts(self._settings.folder.logs)

    def inner(self) -> tuple[FolderFacts, ...]:
        folder = self._settings.folder
        return folder_facts(folder.runs), folder_facts(folder.nodes)

    def agent(self) -> AgentFacts:
        from claude_tasks.doctor.gather_agent import agent_facts

        sources = self._sources
        facts = agent_facts(
            partial(sources.find_agent, self._settings.claude_bin, None),
            from_setting=bool(self._settings.claude_bin),
            environment_of=sources.environment_of,
            find_node=sources.find_node,
        )
        return facts._replace(elsewhere=self._agent_here(None)) if facts.missing else facts

    def _agent_here(self, setting: str | None) -> str | None:
        try:
            return self._sources.find_agent(setting, None)
        except SpawnError:  # the check of the agent says so
            return None

    def credentials(self) -> CredentialFacts:
        """Asked for as a run would: nothing is looked at where nothing is needed."""
        if self._settings.disable_usage_check:
            return CredentialFacts(self._at, check_disabled=True)
        environment = self._sources.agent_environment
        billed_by = self._sources.other_billing(environment)
        if billed_by is not None:
            return CredentialFacts(self._at, billed_by=billed_by)
        try:
            found = self._sources.find_credentials(environment, self._at)
        except ClaudeTasksError as error:
            unreadable = _unreadable_credentials(environment)
            return CredentialFacts(self._at, trouble=trouble_of(error), unreadable=unreadable)
        return CredentialFacts(self._at, source=found.source, expires_at=found.expires_at)

    def disk(self) -> tuple[DiskFacts, ...]:
        return disk_facts(self._settings.data, self._settings.folder.logs)

    def permissions(self) -> PermissionFacts:
        from claude_tasks.doctor.gather_permissions import permission_facts

        return permission_facts(self._settings.folder)

    def database(self) -> DatabaseFacts:
        from claude_tasks.doctor.gather_database import (
            NodeSigns,
            database_facts,
        )

        folder = self._settings.folder
        try:
            folder.refuse_network_file_system()
        except StorageError as error:
            trouble = trouble_of(error)
            exists = os.path.exists(folder.database)
            return DatabaseFacts(
                folder.database, exists, network=trouble, trouble=trouble, unread=error.message
            )
        sources = self._sources
        return database_facts(
            folder.database,
            sources.inspect,
            NodeSigns(
                sources.is_dead,
                sources.is_process,
                sources.signs,
                self._version,
                sources.monotonic,
            ),
            at=self._at,
            thorough=self._thorough,
            lost=self._lost(),
        )

    def _lost(self) -> Trouble | None:
        """What is wrong where there are runs or logs, and no database to make sense of them."""
        folder = self._settings.folder
        if not folder.holds_history():
            return None
        try:
            folder.require_database()
        except StorageError as error:
            return trouble_of(error)
        return None

    def liveness(self, database: DatabaseFacts) -> LivenessFacts:
        signs = self._sources.signs
        contents, trouble = database.contents, database.trouble
        gone = trouble is not None and trouble.code == "storage_gone"
        if contents is None and not gone:  # nobody knows who is registered
            return LivenessFacts()
        nodes = () if contents is None else contents.nodes
        strangers = signs.strangers([entry.node.id for entry in nodes])
        return LivenessFacts(tuple(strangers), None if gone else signs.writer())

    def zone(self, recorded_at: int | None) -> ZoneFacts:
        variable = self._environment.get("TZ", "").removeprefix(":")
        data = _zone_trouble(_ANY_ZONE)
        known = not variable or _zone_trouble(_zone_name(variable)) is None
        return ZoneFacts(
            self._at,
            variable=variable,
            variable_known=known,
            data=data,
            recorded_at=recorded_at,
        )

    def service(self) -> ServiceFacts:
        from claude_tasks.doctor.gather_service import service_facts

        # Only the file's setting reaches a service: the environment is this shell's.
        here = self._environment.get("CLAUDE_TASKS_CLAUDE_BIN")
        setting = None if here else self._settings.claude_bin
        facts = service_facts(self._sources.find_agent, setting, environment=self._environment)
        if facts.agent is None:
            return facts
        return facts._replace(agent_here=self._agent_here(self._settings.claude_bin))

    def channels(self, tasks: Sequence[TaskFact]) -> ChannelFacts:
        general = self._settings.addresses
        own = [addresses_of(fact.task.spec) for fact in tasks]
        wanted = any("apprise" in addresses for addresses in (general, *own))
        return ChannelFacts(
            tuple(general),
            sum(map(bool, own)),
            apprise=_is_installed("apprise") if wanted else None,
        )

    def exposure(self, nodes: Sequence[NodeFact]) -> ExposureFacts:
        from claude_tasks.system.trust import UNTRUSTED
        from claude_tasks.tokens import load_tokens

        host = self._settings.host
        loopback = self._sources.is_loopback(host)
        open_to = tuple(entry.node for entry in nodes if entry.alive and self._is_open(entry.node))
        facts = ExposureFacts(host, loopback, has_token=False, open_to=open_to)
        try:
            return facts._replace(has_token=any(load_tokens(self._settings)))
        except ConfigurationError as error:
            mends = error.hint if error.code == UNTRUSTED else self._token_fix(error.message)
            return facts._replace(trouble=trouble_of(error), fix=mends)

    def _is_open(self, node: Node) -> bool:
        if node.listens is None or not node.open:
            return False
        return not self._sources.is_loopback(_host_of(node.listens))

    def _token_fix(self, message: str) -> str | None:
        """What puts another in the place of the token that this message of `load_tokens` blames."""
        folder = self._settings.folder
        if not os.path.isdir(folder.root):  # the check of the data folder says what helps
            return None
        for setting, path, flag in (
            ("AUTH_TOKEN", folder.auth_token, ""),
            ("READ_TOKEN", folder.read_token, "--read-only "),
        ):
            if message.startswith(path):
                if not os.access(path, os.R_OK):  # another's, and perhaps a good one
                    return None
                return f"claude-tasks token new {flag}--replace"
            if message.startswith(f"CLAUDE_TASKS_{setting}"):
                is_variable = self._environment.get(f"CLAUDE_TASKS_{setting}")
                return f"unset CLAUDE_TASKS_{setting}" if is_variable else None
        if self._environment.get("CLAUDE_TASKS_READ_TOKEN"):  # both are the same
            return "unset CLAUDE_TASKS_READ_TOKEN"
        return "claude-tasks token new --read-only --replace"


def trouble_of(error: ClaudeTasksError) -> Trouble:
    """An error, kept as a fact."""
    return Trouble(error.message, error.hint, error.code)


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def _host_of(address: str) -> str:
    """``http://[::]:8080`` → ``::``."""
    return address.partition("://")[2].rpartition(":")[0].strip("[]")


def _unreadable_credentials(environment: Mapping[str, str]) -> str | None:
    """The file of credentials, where it is there and this user may not read it."""
    home = environment.get("HOME") or os.path.expanduser("~")
    folder = environment.get("CLAUDE_CONFIG_DIR") or os.path.join(home, ".claude")
    path = os.path.join(folder, ".credentials.json")
    return path if os.path.exists(path) and not os.access(path, os.R_OK) else None


def _zone_name(variable: str) -> str:
    """The zone that TZ names: a file of the system's zone data is one by its path."""
    return variable.rpartition("zoneinfo/")[2]


def _zone_trouble(name: str) -> Trouble | None:
    # What lies in the system's folder is there; asking zoneinfo takes 3 ms to load it.
    within = "/" in name and not os.path.isabs(name) and ".." not in name
    if within and os.path.isfile(os.path.join(_SYSTEM_ZONES, name)):
        return None
    from claude_tasks.domain.schedule.zones import find_zone

    try:
        find_zone(name)
    except ClaudeTasksError as error:
        return trouble_of(error)
    return None
