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
        LivenessFacts,
        NodeFact,
        PermissionFacts,
        ServiceFacts,
        TaskFact,
        ZoneFacts,
    )
    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.lease import Lease
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.notification import DeliveryRecord
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import RunFilter
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.usage import UsageState

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

    def inner(self) -> tuple[FolderFacts, ...]:
        """The folders within the data folder without which no node starts."""
        ...

    def disk(self) -> tuple[DiskFacts, ...]:
        """Room left."""
        ...

    def permissions(self) -> PermissionFacts:
        """Who may look into the data folder."""
        ...

    def database(self) -> DatabaseFacts:
        """The database, with its contents."""
        ...

    def liveness(self, database: DatabaseFacts) -> LivenessFacts:
        """Who lives beside the registry of this database, or in its way."""
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

    def exposure(self, nodes: Sequence[NodeFact]) -> ExposureFacts:
        """Where the API would listen, and which of these nodes are open to others."""
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
    def unseen(self) -> str | None:
        """Why the newest commits are not seen, None where all are."""
        ...

    @property
    def is_large(self) -> bool:
        """Whether `damage` looks at less."""
        ...

    def schema(self) -> int:
        """The schema's number, 0 for an empty file."""
        ...

    def damage(self) -> list[str]:
        """What is broken in the file."""
        ...

    def journal_mode(self) -> str:
        """``wal``, or what it is instead."""
        ...

    def legible_lease(self) -> tuple[Lease | None, list[str]]:
        """The lease as it stands, and what is wrong with its row."""
        ...

    def legible_nodes(self) -> tuple[list[Node], list[str]]:
        """Nodes that have not said goodbye, and rows that cannot be read."""
        ...

    def legible_tasks(self) -> tuple[list[Task], list[str]]:
        """All tasks, and rows that cannot be read."""
        ...

    def legible_runs(self, wanted: RunFilter) -> tuple[list[Run], list[str]]:
        """Runs, newest first, and rows that cannot be read."""
        ...

    def failing_always(self, *, last: int) -> list[tuple[int, str]]:
        """Enabled tasks whose last runs all failed."""
        ...

    def left_by_clock(self, *, at: int) -> list[LeftTask]:
        """Tasks that wait for a false future, or were used up in it."""
        ...

    def furthest_instant(self) -> int:
        """The furthest instant that anybody wrote."""
        ...

    def read_usage(self) -> UsageState:
        """What is known of usage."""
        ...

    def list_deliveries(self, *, limit: int) -> list[DeliveryRecord]:
        """The newest messages, newest first."""
        ...

    def lost_since(self, at: int) -> list[tuple[int, str]]:
        """Lost runs."""
        ...
