"""What stands in the database, seen through a connection that leaves no trace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from claude_tasks.doctor.facts import (
    Contents,
    DatabaseFacts,
    NodeFact,
    RunningFact,
    TaskFact,
    Trouble,
)
from claude_tasks.domain.errors import StorageError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.notification import DeliveryState
from claude_tasks.domain.run import State
from claude_tasks.domain.store_records import RunFilter

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.doctor.ports import Inspect, Inspected

ALWAYS = 5
"""A task whose last so many runs all failed is failing always."""

_MOST_RUNNING = 1000
_MOST_MESSAGES = 1000


def database_facts(
    path: str,
    inspect: Inspect,
    is_dead: Callable[[Inspected, str], bool],
    *,
    at: int,
    thorough: bool,
) -> DatabaseFacts:
    """The database at ``path``. What is wrong with it is a fact, never an error.

    Only a ``thorough`` look reads every page, which takes as long as the file is large.
    """
    if not os.path.exists(path):
        hidden = _hidden(path)
        return DatabaseFacts(path, exists=hidden is not None, trouble=hidden)
    if not os.access(path, os.R_OK):
        trouble = Trouble(f"{path} cannot be read by this user", code="storage_cannot_open")
        return _unreadable(path, trouble)
    try:
        return inspect(path, lambda seen: _look(path, seen, is_dead, at, thorough))
    except StorageError as error:
        return _unreadable(path, Trouble(error.message, error.hint, error.code))


def _hidden(path: str) -> Trouble | None:
    """A folder that this user may not enter does not tell whether the file is there."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder) or os.access(folder, os.X_OK):
        return None
    return Trouble(f"{folder} cannot be entered by this user", code="storage_cannot_open")


def _unreadable(path: str, trouble: Trouble) -> DatabaseFacts:
    return DatabaseFacts(
        path, exists=True, writable=_writable(path), trouble=trouble, unread="it cannot be read"
    )


def _look(
    path: str,
    seen: Inspected,
    is_dead: Callable[[Inspected, str], bool],
    at: int,
    thorough: bool,  # noqa: FBT001 (one caller)
) -> DatabaseFacts:
    """From the outside in: contents are read only where they can be trusted."""
    damage = seen.damage() if thorough else []
    facts = DatabaseFacts(
        path,
        exists=True,
        writable=_writable(path),
        damage=tuple(damage),
        newest_schema=seen.newest_schema,
        complete=seen.complete,
        unread="the database is damaged",
    )
    if damage:
        return facts._replace(trouble=None, schema=-1)
    schema = seen.schema()
    facts = facts._replace(schema=schema, journal_mode=seen.journal_mode())
    if schema != seen.newest_schema:
        return facts._replace(unread=f"its schema is {schema}, not {seen.newest_schema}")
    return facts._replace(contents=_contents(seen, is_dead, at), unread="")


def _contents(seen: Inspected, is_dead: Callable[[Inspected, str], bool], at: int) -> Contents:
    running = seen.list_runs(RunFilter(states=(State.RUNNING,), limit=_MOST_RUNNING))
    watchers = {run.claimed_by for run in running if run.claimed_by}
    dead = {node_id for node_id in watchers if is_dead(seen, node_id)}
    return Contents(
        lease=seen.read_lease(),
        nodes=tuple(NodeFact(node, not is_dead(seen, node.id)) for node in seen.list_nodes()),
        tasks=_tasks(seen),
        running=tuple(
            RunningFact(run.id, run.task_name, watched=run.claimed_by not in dead)
            for run in running
        ),
        lost=tuple(seen.lost_since(at - DAY_MS)),
        failing=tuple(seen.failing_always(last=ALWAYS)),
        given_up=tuple(_given_up(seen, since=at - DAY_MS)),
    )


def _tasks(seen: Inspected) -> tuple[TaskFact, ...]:
    """The enabled ones; each folder is looked at once."""
    folders: dict[str, tuple[str, bool]] = {}
    facts = []
    for task, *_ in seen.list_tasks():
        if not task.enabled:
            continue
        if task.working_dir not in folders:
            path = os.path.abspath(os.path.expanduser(task.working_dir or "."))
            folders[task.working_dir] = (path, os.path.isdir(path))
        facts.append(TaskFact(task, *folders[task.working_dir]))
    return tuple(facts)


def _given_up(seen: Inspected, *, since: int) -> list[str]:
    return [
        f"{record.channel}: {record.error}"
        for record in seen.list_deliveries(limit=_MOST_MESSAGES)
        if record.state is DeliveryState.FAILED and (record.ended_at or 0) >= since
    ]


def _writable(path: str) -> bool:
    """Both: SQLite makes its log and its index beside the file."""
    folder = os.path.dirname(path)
    return os.access(path, os.W_OK) and os.access(folder, os.W_OK | os.X_OK)
