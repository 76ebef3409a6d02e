"""Short ways to the records that tests are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.node import Node, Role
from claude_tasks.domain.revision import Actor, Face
from claude_tasks.domain.run import Outcome, State
from claude_tasks.domain.task_fields import TaskSpec
from claude_tasks.operations.tasks import arm

if TYPE_CHECKING:
    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task

MINUTELY = "* * * * *"
ME = Actor(Face.CLI, "me")


def spec(**fields: Any) -> TaskSpec:
    return TaskSpec(**{"name": "review", "prompt": "Review the day.", **fields})


def add_task(store: Store, *, at: int, **fields: Any) -> Task:
    [task_id] = store.add_tasks([arm(spec(**fields), at=at)], actor=ME, at=at)
    return store.get_task(task_id)


def node(node_id: str = "node-a", **fields: Any) -> Node:
    values: dict[str, Any] = {
        "id": node_id,
        "role": Role.DAEMON,
        "host": "host",
        "pid": 4242,
        "version": "1.0.0",
        "scheduler": True,
        "started_at": 0,
        "max_concurrent_runs": 8,
        **fields,
    }
    return Node(**values)


def lead(store: Store, *, at: int, node_id: str = "node-a") -> Term:
    """Take the lease, whoever has it."""
    term = store.take_lease(store.read_lease(), node(node_id), ttl_ms=15_000, at=at)
    assert term is not None
    return term


def completed(*, at: int, **fields: Any) -> Outcome:
    values: dict[str, Any] = {
        "state": State.COMPLETED,
        "reason": None,
        "started_at": at,
        "ended_at": at,
        **fields,
    }
    return Outcome(**values)
