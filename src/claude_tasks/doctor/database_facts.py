"""The content of the database, read by a connection that changes nothing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from claude_tasks.doctor.facts import (
    Contents,
    DatabaseFacts,
    Illegible,
    NodeFact,
    RunningFact,
    TaskFact,
    Trouble,
    trouble_of,
)
from claude_tasks.doctor.folders import barred
from claude_tasks.domain.errors import IllegibleError, StorageError
from claude_tasks.domain.instant import DAY_MS
from claude_tasks.domain.notification import DeliveryState
from claude_tasks.domain.run import State
from claude_tasks.domain.signs import ClaimSigns
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.system.data_folder import mount_point_above
from claude_tasks.system.path_probe import Looked, absolute, look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from claude_tasks.doctor.facts import Barred, MachineFacts
    from claude_tasks.settings import Settings
    from claude_tasks.storage.sqlite.inspection import Inspection

    Inspect = Callable[[str, Callable[[Inspection], DatabaseFacts]], DatabaseFacts]
    """Opens a database without changing it, calls a function on it, closes it. Errors:
    `StorageError`."""
    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.signs import Signs
    from claude_tasks.domain.task import Task
    from claude_tasks.system.data_folder import DataFolder

_Read = TypeVar("_Read")

ALWAYS = 5
"""A task whose last so many runs all failed is failing always."""

_MOST_RUNS = 1000
_MOST_MESSAGES = 1000
_SQLITE_OWN = ("-wal", "-shm")


class NodeSigns(NamedTuple):
    """What can be told of a node.

    ``is_dead(registered, node_id)``, with the ids of all registered nodes, is None where it cannot
    be told. ``is_process`` is whether the process of the node's number, here, is the node.
    ``machine`` tells what keeps those that hang, at ``monotonic`` seconds.
    """

    is_dead: Callable[[Collection[str], str], bool | None]
    is_process: Callable[[Node], bool]
    machine: Signs
    version: str
    monotonic: float


def database(
    *,
    settings: Settings,
    machine: MachineFacts,
    at: int,
    monotonic: float,
    inspect: Inspect,
    is_dead: Callable[[Collection[str], str], bool | None],
    is_process: Callable[[Node], bool],
    signs: Signs,
    thorough: bool,
) -> DatabaseFacts:
    """The database, with its contents; see `database_facts` for ``thorough``."""
    folder = settings.folder
    try:
        folder.refuse_network_file_system()
    except StorageError as error:
        trouble, exists = trouble_of(error), os.path.exists(folder.database)
        return DatabaseFacts(
            folder.database, exists, network=trouble, trouble=trouble, unread=error.message
        )
    node_signs = NodeSigns(is_dead, is_process, signs, machine.version, monotonic)
    return database_facts(
        folder.database, inspect, node_signs, at=at, thorough=thorough, lost=_lost(folder)
    )


def _lost(folder: DataFolder) -> Trouble | None:
    """What is wrong where there are runs or logs, and no database to make sense of them."""
    if not folder.holds_history():
        return None
    try:
        folder.require_database()
    except StorageError as error:
        return trouble_of(error)
    return None


def database_facts(
    path: str,
    inspect: Inspect,
    signs: NodeSigns,
    *,
    at: int,
    thorough: bool,
    lost: Trouble | None = None,
) -> DatabaseFacts:
    """The database at ``path``. What is wrong with it is a fact, never an error.

    Only a ``thorough`` look reads every page, which takes as long as the file is large. ``lost``
    says what is wrong if it is not there.
    """
    left_over = _left_over(path)
    if not os.path.exists(path):
        hidden = _hidden(path) or lost
        exists = hidden is not None
        return DatabaseFacts(
            path, exists, trouble=hidden, left_over=left_over, unread="it cannot be read"
        )
    if not os.access(path, os.R_OK):
        trouble = Trouble(f"{path} cannot be read by this user", code="storage_cannot_open")
        return _unreadable(path, trouble)
    try:
        facts = inspect(path, lambda seen: _look(path, seen, signs, at, thorough))
    except StorageError as error:
        return _unreadable(path, trouble_of(error))
    return facts._replace(left_over=left_over)


def _hidden(path: str) -> Trouble | None:
    """A folder that this user may not enter does not tell whether the file is there."""
    folder = os.path.dirname(path)
    if os.path.lexists(folder) and not os.path.isdir(folder):
        text = f"not looked at: {folder} is no folder (see data_dir)"
        return Trouble(text, code="storage_no_folder")
    if not os.path.isdir(folder) or os.access(folder, os.X_OK):
        return None
    return Trouble(f"{folder} cannot be entered by this user", code="storage_cannot_open")


def _left_over(path: str) -> tuple[str, ...]:
    """What was rescued, or put aside, beside the database."""
    beside = (f"{path}{ending}" for ending in (".recovered", ".damaged"))
    return tuple(name for name in beside if os.path.exists(name) and os.path.getsize(name))


def _unreadable(path: str, trouble: Trouble) -> DatabaseFacts:
    return DatabaseFacts(
        path, exists=True, barred=_barred(path), trouble=trouble, unread="it cannot be read"
    )


def _look(
    path: str,
    seen: Inspection,
    signs: NodeSigns,
    at: int,
    thorough: bool,  # noqa: FBT001 (one caller)
) -> DatabaseFacts:
    """Check file, schema and damage first: contents are read only where they can be trusted."""
    facts = DatabaseFacts(
        path,
        exists=True,
        barred=_barred(path),
        schema=-1,
        newest_schema=seen.newest_schema,
        unseen=seen.unseen,
        is_large=seen.is_large,
        unread="the database is damaged",
    )
    if seen.unseen is not None:
        return _look_at_a_part(facts, seen, signs, at)
    damage = seen.damage() if thorough else []
    return facts._replace(damage=tuple(damage)) if damage else _inside(facts, seen, signs, at)


def _look_at_a_part(
    facts: DatabaseFacts, seen: Inspection, signs: NodeSigns, at: int
) -> DatabaseFacts:
    """Without its log a file may be halfway through a checkpoint: no reason to call it damaged."""
    try:
        return _inside(facts, seen, signs, at)
    except StorageError:
        return facts._replace(unread="without its log it cannot be read")


def _inside(facts: DatabaseFacts, seen: Inspection, signs: NodeSigns, at: int) -> DatabaseFacts:
    schema = seen.schema()
    facts = facts._replace(schema=schema, journal_mode=seen.journal_mode())
    if schema != seen.newest_schema:
        return facts._replace(unread=f"its schema is {schema}, not {seen.newest_schema}")
    return facts._replace(contents=_Reading(seen, signs, at).contents(), unread="")


class _Reading:
    """One reading of all contents: what cannot be read of one part leaves the others alone."""

    def __init__(self, seen: Inspection, signs: NodeSigns, at: int) -> None:
        self._seen = seen
        self._signs = signs
        self._at = at
        self._illegible: list[Illegible] = []

    def contents(self) -> Contents:
        seen, since = self._seen, self._at - DAY_MS
        lease = self._part("lease", seen.legible_lease, None)
        nodes: list[Node] = self._part("nodes", seen.legible_nodes, [])
        tasks: list[Task] = self._part("tasks", seen.legible_tasks, [])
        runs: list[Run] = self._part("runs", self._legible_runs, [])
        return Contents(
            lease=lease,
            nodes=tuple(self._node_facts(nodes)),
            tasks=_task_facts(tasks),
            running=tuple(self._run_facts(runs, nodes)),
            lost=tuple(self._whole("runs", lambda: seen.lost_since(since))),
            failing=tuple(self._whole("runs", lambda: seen.failing_always(last=ALWAYS))),
            usage=seen.read_usage(),
            left_by_clock=tuple(self._whole("tasks", lambda: seen.left_by_clock(at=self._at))),
            furthest_instant=seen.furthest_instant(),
            given_up=tuple(self._whole("messages", lambda: _given_up(seen, since=since))),
            stalled=tuple(self._whole("messages", seen.stalled_channels)),
            illegible=tuple(dict.fromkeys(self._illegible)),
        )

    def _part(
        self, part: str, read: Callable[[], tuple[_Read, list[IllegibleError]]], none: _Read
    ) -> _Read:
        try:
            records, illegible = read()
        except StorageError as error:
            self._illegible.append(Illegible(part, error.message, of_all=True))
            return none
        self._illegible += [Illegible(part, error.what, error.remedy) for error in illegible]
        return records

    def _whole(self, part: str, read: Callable[[], list[_Read]]) -> list[_Read]:
        """What is read in one piece."""
        try:
            return read()
        except StorageError as error:
            self._illegible.append(Illegible(part, error.message, of_all=True))
        except (TypeError, ValueError) as error:
            self._illegible.append(Illegible(part, f"the {part}: {error}", of_all=True))
        return []

    def _legible_runs(self) -> tuple[list[Run], list[IllegibleError]]:
        states = (State.RUNNING, State.QUEUED)
        return self._seen.legible_runs(RunFilter(states=states, limit=_MOST_RUNS))

    def _node_facts(self, nodes: Iterable[Node]) -> Iterable[NodeFact]:
        registered = {node.id for node in nodes}
        for node in nodes:
            dead = self._signs.is_dead(registered, node.id)
            alive = None if dead is None else not dead
            silent = node.silent_ms(monotonic=self._signs.monotonic) if alive else None
            # Only of what may have to be ended is asked whether its process is it.
            asked = alive and (node.version != self._signs.version or silent)
            is_process = bool(asked) and self._signs.is_process(node)
            stall = self._signs.machine.stall(node) if silent and is_process else None
            yield NodeFact(node, alive, is_process, silent, stall)

    def _run_facts(self, runs: Iterable[Run], nodes: Iterable[Node]) -> Iterable[RunningFact]:
        registered = {node.id for node in nodes}
        dead: dict[str | None, bool] = {None: False}
        for run in runs:
            waits = run.state is State.QUEUED
            node_id = run.assigned_to if waits else run.claimed_by
            if node_id is not None and node_id not in dead:
                dead[node_id] = bool(self._signs.is_dead(registered, node_id))
            waited = max(0, self._at - max(run.queued_at, run.not_before or 0)) if waits else None
            signs = ClaimSigns() if waits else self._signs.machine.of_claim(run, at=self._at)
            yield RunningFact(run.id, run.task_name, not dead[node_id], waited, node_id, signs)


def _task_facts(tasks: Iterable[Task]) -> tuple[TaskFact, ...]:
    """The enabled ones; each folder is looked at once."""
    enabled = [task for task in tasks if task.spec.enabled]
    folders = {task.spec.working_dir: absolute(task.spec.working_dir or ".") for task in enabled}
    found = look_at(folders.values())
    dead = [folder for folder, looked in found.items() if looked is Looked.NO_ANSWER]
    mounts = {folder: mount_point_above(folder) for folder in dead}
    return tuple(
        TaskFact(task, folder, found[folder], mounts.get(folder))
        for task, folder in ((task, folders[task.spec.working_dir]) for task in enabled)
    )


def _given_up(seen: Inspection, *, since: int) -> list[str]:
    """Of channels that have taken no message since: what works again is no trouble."""
    works: set[str] = set()
    given_up = []
    for record in seen.list_deliveries(limit=_MOST_MESSAGES):
        if record.state is DeliveryState.SENT:
            works.add(record.channel)
        late = record.state is DeliveryState.FAILED and (record.ended_at or 0) >= since
        if late and record.channel not in works:
            given_up.append(f"{record.channel}, of task {record.task_id}: {record.error}")
    return given_up


def _barred(path: str) -> tuple[Barred, ...]:
    """What of database, folder, log and index this user cannot write: a writer needs all."""
    beside = [path + ending for ending in _SQLITE_OWN if os.path.exists(path + ending)]
    found = (barred(name) for name in (os.path.dirname(path), path, *beside))
    return tuple(it for it in found if it is not None)
