"""The interfaces of the store, the clock and the execution. Adapters implement these.

Every store method is one transaction, done completely or not at all. State changes are
compare-and-swap; where another process won the race, the result says so.

Errors of every method: `StorageBusyError` when the write lock could not be had in time,
`StorageError` when the database cannot be used, `DatabaseGoneError` from a write to one that was
removed or replaced: the caller must then do nothing that depends on the write.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from claude_tasks.domain.clock_ports import ClockStore
from claude_tasks.domain.notification_ports import NotificationStore
from claude_tasks.domain.run_ports import RunStore
from claude_tasks.domain.usage_ports import UsageStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.errors import IllegibleError
    from claude_tasks.domain.lease import Lease, Term
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.planned import TickPlan
    from claude_tasks.domain.revision import Actor, TaskRevision
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import (
        ArmedSpec,
        Change,
        Claimed,
        NextTick,
        TaskEdit,
        TaskSummary,
        TickOutcome,
    )
    from claude_tasks.domain.task import Task


class Clock(Protocol):
    """The two clocks. Only loops and commands read them; computation takes ``at``."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC. May jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, the same for all processes of one boot. Never jumps."""
        ...


class TaskStore(Protocol):
    """Tasks, as people own them."""

    def add_tasks(self, armed: Sequence[ArmedSpec], *, actor: Actor, at: int) -> list[int]:
        """Insert all or none; returns the new ids in order."""
        ...

    def get_task(self, task_id: int, *, include_deleted: bool = False) -> Task:
        """One task. Errors: `NotFoundError`."""
        ...

    def find_tasks(self, name: str) -> list[Task]:
        """Live tasks of exactly this name, oldest first. Errors: `IllegibleError`."""
        ...

    def list_tasks(
        self, *, include_deleted: bool = False, limit: int | None = None
    ) -> list[TaskSummary]:
        """All tasks, newest first, each with its last run, from one query."""
        ...

    def illegible_tasks(self) -> list[IllegibleError]:
        """What is wrong with the live tasks that `list_tasks` leaves out."""
        ...

    def count_tasks(self) -> tuple[int, int]:
        """How many live tasks are enabled, and how many are not."""
        ...

    def tick_is_taken(self, task_id: int, scheduled_for: int) -> bool:
        """Whether a tick of the task already has its row: it can never have another."""
        ...

    def edit_task(self, edit: TaskEdit, *, actor: Actor, at: int) -> bool:
        """Write the edit and increment the revision; False when the task changed since its read."""
        ...

    def remove_illegible(self, task_id: int, *, actor: Actor, at: int) -> bool:
        """Delete a task whose row cannot be read; its queued runs are skipped.

        False where another process was faster.
        """
        ...

    def task_revisions(self, task_id: int, *, limit: int) -> list[TaskRevision]:
        """Who made the revisions of a task, and what they changed, newest first."""
        ...


class OneDatabase(Protocol):
    """A database that was opened at a path, and may be replaced there while it is in use."""

    def require_same(self) -> None:
        """Errors: `DatabaseGoneError` when it was removed, or replaced by another."""
        ...


class Execution(Protocol):
    """Carries runs out. Used by one thread."""

    @property
    def descriptor(self) -> int | None:
        """Readable when `settle` has something to do; None while there is no descriptor."""
        ...

    @property
    def busy(self) -> bool:
        """Whether any run is watched."""
        ...

    @property
    def pending(self) -> bool:
        """Whether `settle` has something to do at once, even if `descriptor` is not readable."""
        ...

    @property
    def stuck(self) -> bool:
        """Whether no run could be started now, for a cause outside the runs."""
        ...

    def start(self) -> None:
        """Get ready. Errors: `OSError`."""
        ...

    def stop(self) -> None:
        """Stop watching; runs go on. Safe to repeat."""
        ...

    def launch(self, claimed: Claimed) -> None:
        """Start the agent of a run just claimed."""
        ...

    def refuse(self, claimed: Claimed, why: str, *, at: int) -> None:
        """Let a run just claimed fail its preflight: it ends without an agent."""
        ...

    def adopt(self, run: Run, task: Task | None) -> None:
        """Watch a run of another node; ``task`` is None where it cannot be read."""
        ...

    def watches(self, run: Run) -> bool:
        """Whether this claim is watched here."""
        ...

    def lives(self, run_id: int) -> bool:
        """Whether a process of a run lives, of any claim; the store is not asked."""
        ...

    def cancel(self, run_id: int) -> None:
        """End a run. May be repeated until it has ended."""
        ...

    def tidy(self, launches_no_more: Callable[[str], bool]) -> None:
        """Remove the folders of claims that are over.

        A claim that was closed while its node hung stays closed as long as that node may launch it.
        """
        ...

    def settle(self, *, at: int) -> int:
        """Record the runs that ended since the last call; how many."""
        ...


class TickStore(Protocol):
    """The tick transaction."""

    def due_tasks(self, *, at: int, limit: int) -> list[Task]:
        """Readable tasks with a tick at or before ``at``, latest tick first."""
        ...

    def park_illegible(self, term: Term, *, at: int, limit: int) -> list[str]:
        """Skip the due ticks of unreadable tasks, and give them no next tick; the reasons.

        Errors: `LeadershipLostError`, and then nothing was written.
        """
        ...

    def park_task(self, term: Term, task: Task, why: str, *, at: int) -> None:
        """Skip the due tick of one task whose plan cannot be written, and give it no next tick.

        Errors: `LeadershipLostError`, and then nothing was written.
        """
        ...

    def parked_tasks(self, *, after: int, limit: int) -> tuple[list[Task], int]:
        """Readable recurring tasks that are enabled and have no next tick, after an id.

        And the id to go on after, 0 where these were all.
        """
        ...

    def resume_task(self, term: Term, task: Task, next_run_at: int, *, at: int) -> None:
        """Let one of these fire again from now on. Errors: `LeadershipLostError`."""
        ...

    def next_tick_at(self) -> int | None:
        """The earliest tick of all."""
        ...

    def next_ticks(self, *, limit: int) -> list[NextTick]:
        """The next tick of each task that has one, earliest first."""
        ...

    def record_ticks(self, term: Term, plans: Sequence[TickPlan], *, at: int) -> TickOutcome:
        """Check the epoch, write every plan's rows, advance cursors. All or nothing.

        A task that was edited since it was read is left for the next pass. Errors:
        `LeadershipLostError`, and then nothing was written.
        """
        ...


class LeaseStore(Protocol):
    """The lease record. Every change is a compare-and-swap."""

    def read_lease(self) -> Lease:
        """The lease as it is now. Errors: `IllegibleError` for an unreadable row."""
        ...

    def mend_lease(self, *, at: int) -> Lease:
        """Repair a missing or unreadable row, and return the lease.

        A readable term goes on; else the lease is free, in an epoch above all known ones.
        """
        ...

    def take_lease(self, seen: Lease, node: Node, *, ttl_ms: int, at: int) -> Term | None:
        """Become holder in a new epoch if the lease is still as ``seen``; None if it changed."""
        ...

    def renew_lease(self, term: Term, *, ttl_ms: int, at: int, monotonic: float) -> bool:
        """Extend the term, and move its holder's beat; False when it is over.

        Other unreadable cells in the row are repaired.
        """
        ...

    def release_lease(self, term: Term, *, at: int) -> bool:
        """Free the lease; False when the term was over already."""
        ...


class NodeStore(OneDatabase, Protocol):
    """The registry of nodes. A lifetime lock tells whether one lives, its beat whether it works."""

    def register_node(self, node: Node) -> None:
        """Insert the node, or replace it."""
        ...

    def list_nodes(self) -> list[Node]:
        """Registered nodes, oldest first."""
        ...

    def move_beat(self, node_id: str, *, at: int, monotonic: float) -> bool:
        """Record that a node makes progress; False when it is not registered."""
        ...

    def writer(self) -> int | None:
        """The process on this machine that keeps others from writing now, if one is known."""
        ...

    def strike_illegible_nodes(self) -> None:
        """Remove unreadable rows; a living node registers again."""
        ...

    def remove_node(self, node_id: str) -> None:
        """Remove a node from the registry."""
        ...


class NodeLiveness(Protocol):
    """Tells which nodes live."""

    def is_dead(self, node_id: str) -> bool:
        """Whether a node is certain to be gone."""
        ...


class SettingsStore(Protocol):
    """Settings that people change while the program runs: text by key."""

    def get_setting(self, key: str) -> str | None:
        """The value of the key, None when it was never set."""
        ...

    def put_setting(self, key: str, value: str, *, at: int) -> None:
        """Replace the value of the key. The feed notes ``settings`` and the key."""
        ...


class ChangeFeed(Protocol):
    """How a process learns what others wrote."""

    def changed(self) -> bool:
        """Whether another connection committed since the last call. Costs microseconds."""
        ...

    def last_change(self) -> int:
        """The newest sequence number."""
        ...

    def changes_since(self, seq: int, *, limit: int = 1000) -> list[Change]:
        """Entries after ``seq``, oldest first."""
        ...


class Store(
    TaskStore,
    RunStore,
    TickStore,
    ClockStore,
    LeaseStore,
    NodeStore,
    SettingsStore,
    UsageStore,
    NotificationStore,
    ChangeFeed,
    Protocol,
):
    """Everything in one place, for one thread at a time."""

    def close(self) -> None:
        """Close the database. Safe to repeat."""
        ...
