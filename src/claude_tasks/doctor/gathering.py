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
    DiskFacts,
    ExposureFacts,
    Facts,
    FolderFacts,
    MachineFacts,
    ServiceFacts,
    Trouble,
    ZoneFacts,
)
from claude_tasks.domain.errors import ClaudeTasksError, ConfigurationError, StorageError
from claude_tasks.domain.notification import addresses_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from claude_tasks.doctor.facts import PermissionFacts, TaskFact
    from claude_tasks.doctor.ports import Found, Inspect, Inspected
    from claude_tasks.settings import Settings

_SYSTEM_ZONES = "/usr/share/zoneinfo"
_ANY_ZONE = "America/New_York"
"""A zone that every copy of the zone data has."""


class Sources(NamedTuple):
    """What the wiring passes in. None of it changes anything.

    ``find_agent(setting, search_path)`` raises `SpawnError`; ``find_credentials(environment, at)``
    raises `UsageUnavailableError`; ``other_billing`` names what pays instead of a subscription;
    ``agent_environment`` is what the agent would get; ``is_dead`` knows whether a node died, by its
    lifetime lock.
    """

    find_agent: Callable[[str | None, str | None], str]
    agent_environment: Mapping[str, str]
    find_credentials: Callable[[Mapping[str, str], int], Found]
    other_billing: Callable[[Mapping[str, str]], str | None]
    inspect: Inspect
    is_dead: Callable[[Inspected, str], bool]
    is_loopback: Callable[[str], bool]
    host: str


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
    gathering = _Gathering(settings, sources, environment, at, thorough=thorough)
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
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._environment = environment
        self._at = at
        self._thorough = thorough

    def data(self) -> FolderFacts:
        return folder_facts(self._settings.folder.root)

    def logs(self) -> FolderFacts:
        return folder_facts(self._settings.folder.logs)

    def agent(self) -> AgentFacts:
        from claude_tasks.doctor.gather_agent import agent_facts  # noqa: PLC0415 (starts a process)

        sources = self._sources
        return agent_facts(
            partial(sources.find_agent, self._settings.claude_bin, None),
            from_setting=bool(self._settings.claude_bin),
            environment=sources.agent_environment,
        )

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
            return CredentialFacts(self._at, trouble=trouble_of(error))
        return CredentialFacts(self._at, source=found.source, expires_at=found.expires_at)

    def disk(self) -> DiskFacts:
        base = _nearest(self._settings.data)
        room = os.statvfs(base)
        return DiskFacts(base, room.f_bavail * room.f_frsize)

    def permissions(self) -> PermissionFacts:
        from claude_tasks.doctor.gather_permissions import permission_facts  # noqa: PLC0415 (rare)

        return permission_facts(self._settings.folder)

    def database(self) -> DatabaseFacts:
        from claude_tasks.doctor.gather_database import database_facts  # noqa: PLC0415 (rare)

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
            sources.is_dead,
            at=self._at,
            thorough=self._thorough,
        )

    def zone(self, recorded_at: int | None) -> ZoneFacts:
        variable = self._environment.get("TZ", "").removeprefix(":")
        data = _zone_trouble(_ANY_ZONE)
        known = not variable or _zone_trouble(variable.rpartition("zoneinfo/")[2]) is None
        return ZoneFacts(
            self._at,
            variable=variable,
            variable_known=known,
            data=data,
            recorded_at=recorded_at,
        )

    def service(self) -> ServiceFacts:
        from claude_tasks.doctor.gather_service import service_facts  # noqa: PLC0415 (rare)

        # Only the file's setting reaches a service: the environment is this shell's.
        here = self._environment.get("CLAUDE_TASKS_CLAUDE_BIN")
        setting = None if here else self._settings.claude_bin
        return service_facts(self._sources.find_agent, setting, environment=self._environment)

    def channels(self, tasks: Sequence[TaskFact]) -> ChannelFacts:
        settings = self._settings
        general = {
            "discord": settings.discord_webhook,
            "slack": settings.slack_webhook,
            "webhook": settings.webhook_url,
            "apprise": settings.apprise_url,
        }
        own = [addresses_of(fact.task) for fact in tasks]
        wanted = bool(settings.apprise_url) or any(addresses.apprise for addresses in own)
        return ChannelFacts(
            tuple(name for name, address in general.items() if address),
            sum(any(addresses) for addresses in own),
            apprise=_is_installed("apprise") if wanted else None,
        )

    def exposure(self) -> ExposureFacts:
        from claude_tasks.tokens import load_tokens  # noqa: PLC0415 (rare)

        host = self._settings.host
        loopback = self._sources.is_loopback(host)
        try:
            tokens = load_tokens(self._settings)
        except ConfigurationError as error:
            return ExposureFacts(host, loopback, has_token=False, trouble=trouble_of(error))
        return ExposureFacts(host, loopback, has_token=any(tokens))


def folder_facts(path: str) -> FolderFacts:
    """One folder, as this user may use it; nothing is tried, the kernel is asked."""
    base = _nearest(path)
    return FolderFacts(
        path=path,
        exists=os.path.lexists(path),
        is_folder=os.path.isdir(path),
        base=base,
        writable=os.path.isdir(base) and os.access(base, os.W_OK | os.X_OK),
    )


def trouble_of(error: ClaudeTasksError) -> Trouble:
    """An error, kept as a fact."""
    return Trouble(error.message, error.hint, error.code)


def _is_installed(package: str) -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 (rarely asked)

    return find_spec(package) is not None


def _nearest(path: str) -> str:
    """``path``, or its nearest ancestor that exists."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _zone_trouble(name: str) -> Trouble | None:
    # What lies in the system's folder is there; asking zoneinfo takes 3 ms to load it.
    if "/" in name and os.path.isfile(os.path.join(_SYSTEM_ZONES, name)):
        return None
    from claude_tasks.domain.schedule.zones import find_zone  # noqa: PLC0415 (see above)

    try:
        find_zone(name)
    except ClaudeTasksError as error:
        return trouble_of(error)
    return None
