"""What gathering asks of the world. Types only: nothing loads this module to work with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.doctor.facts import (
        AgentFacts,
        ChannelFacts,
        CredentialFacts,
        DatabaseFacts,
        DiskFacts,
        ExposureFacts,
        FolderFacts,
        PermissionFacts,
        ServiceFacts,
        TaskFact,
        ZoneFacts,
    )
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.notification import DeliveryRecord
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import RunFilter, TaskSummary

_Seen = TypeVar("_Seen")


class Gatherers(Protocol):
    """Where facts come from; each is called once at most."""

    def agent(self) -> AgentFacts:
        """The agent's binary."""
        ...

    def credentials(self) -> CredentialFacts:
        """What pays for the agent."""
        ...

    def data(self) -> FolderFacts:
        """The data folder."""
        ...

    def logs(self) -> FolderFacts:
        """The logs' folder."""
        ...

    def disk(self) -> DiskFacts:
        """Room left."""
        ...

    def permissions(self) -> PermissionFacts:
        """Who may look into the data folder."""
        ...

    def database(self) -> DatabaseFacts:
        """The database, with its contents."""
        ...

    def zone(self, recorded_at: int | None) -> ZoneFacts:
        """Clock and zone data, beside the newest instant that is recorded."""
        ...

    def service(self) -> ServiceFacts:
        """What would start us with the machine."""
        ...

    def channels(self, tasks: Sequence[TaskFact]) -> ChannelFacts:
        """Where messages go, those of tasks of their own included."""
        ...

    def exposure(self) -> ExposureFacts:
        """Where the API would listen."""
        ...


class Found(Protocol):
    """Credentials, as much of them as is shown."""

    @property
    def source(self) -> str:
        """Where they are kept."""
        ...

    @property
    def expires_at(self) -> int | None:
        """Until when (ms), where it is known."""
        ...


class Inspect(Protocol):
    """Opens a database without a trace, lets ``look`` see it, closes it. Errors: `StorageError`."""

    def __call__(self, path: str, look: Callable[[Inspected], _Seen]) -> _Seen:
        """What ``look`` returned."""
        ...


class Inspected(Protocol):
    """A database opened for looking. Errors of every method: `StorageError`."""

    newest_schema: int

    @property
    def complete(self) -> bool:
        """Whether all that was committed is seen."""
        ...

    def schema(self) -> int:
        """The schema's number, 0 for an empty file."""
        ...

    def damage(self) -> list[str]:
        """What is broken in the file."""
        ...

    def journal_mode(self) -> str | None:
        """``wal``, or what it is instead; None where it cannot be told."""
        ...

    def read_lease(self) -> Lease:
        """The lease as it stands."""
        ...

    def list_nodes(self) -> list[Node]:
        """Nodes that have not said goodbye."""
        ...

    def list_tasks(self, *, include_deleted: bool = False) -> list[TaskSummary]:
        """All tasks."""
        ...

    def list_runs(self, wanted: RunFilter) -> list[Run]:
        """Runs, newest first."""
        ...

    def failing_always(self, *, last: int) -> list[tuple[int, str]]:
        """Enabled tasks whose last runs all failed."""
        ...

    def list_deliveries(self, *, limit: int) -> list[DeliveryRecord]:
        """The newest messages, newest first."""
        ...

    def lost_since(self, at: int) -> list[tuple[int, str]]:
        """Lost runs."""
        ...
