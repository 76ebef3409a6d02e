"""Facts to judge, in order unless a test says otherwise."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from claude_tasks.doctor.facts import Contents, DatabaseFacts, MachineFacts, NodeFact, TaskFact
from claude_tasks.domain.lease import Lease
from claude_tasks.domain.signs import ClaimSigns
from claude_tasks.domain.task import Task
from claude_tasks.system.path_probe import Looked
from support.builders import node, spec

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.signs import Stall

NOW = 1_800_000_000_000
MACHINE = MachineFacts(version="1.0.0", host="host", refuses_bypass=False)


def lease(**fields: Any) -> Lease:
    values: dict[str, Any] = {
        "name": "scheduler", "holder": "node-a", "epoch": 3, "renew_seq": 1, "ttl_ms": 15_000,
        "acquired_at": NOW - 60_000, "renewed_at": NOW - 2_000, "expires_at": NOW + 13_000,
        "host": "host", "pid": 4242, "role": "daemon", "version": "1.0.0", **fields,
    }  # fmt: skip
    return Lease(**values)


def task(**fields: Any) -> Task:
    own: dict[str, Any] = {
        "id": 7, "revision": 1, "anchor_at": 0, "cursor_at": 0, "next_run_at": None,
        "last_run_id": None, "created_at": 0, "updated_at": 0, "deleted_at": None,
    }  # fmt: skip
    own.update({name: fields.pop(name) for name in own if name in fields})
    return Task(spec=spec(**{"cron_expr": "0 9 * * *", **fields}), **own)


def task_fact(*, folder: str = "/work", looked: Looked = Looked.FOLDER, **fields: Any) -> TaskFact:
    return TaskFact(task(**fields), folder, looked)


def node_fact(
    node_id: str = "node-a",
    *,
    alive: bool | None = True,
    is_process: bool = True,
    silent_ms: int | None = None,
    stall: Stall | None = None,
    **fields: Any,
) -> NodeFact:
    return NodeFact(node(node_id, **fields), alive, is_process, silent_ms, stall)


class NoSigns:
    """Of a machine on which nothing hangs."""

    def of_claim(self, _run: Run, *, at: int) -> ClaimSigns:  # noqa: ARG002
        return ClaimSigns()

    def stall(self, _node: Node) -> Stall | None:
        return None

    def strangers(self, _registered: Collection[str]) -> list[int]:
        return []

    def writer(self) -> tuple[int, Stall] | None:
        return None


def database(**fields: Any) -> DatabaseFacts:
    """A whole database; fields of its contents may be named too."""
    inside = {name: fields.pop(name) for name in Contents._fields if name in fields}
    contents = Contents(**{"lease": lease(), "nodes": (node_fact(),), **inside})
    values: dict[str, Any] = {
        "path": "/data/tasks.db", "exists": True, "schema": 5, "newest_schema": 5,
        "contents": contents, "unread": "", **fields,
    }  # fmt: skip
    return DatabaseFacts(**values)


NO_DATABASE = DatabaseFacts("/data/tasks.db", exists=False)
UNREAD = DatabaseFacts("/data/tasks.db", exists=True, schema=-1, unread="the database is damaged")

_READ_ALL = """
import os, pickle, sys
def about(path):
    status = os.stat(path)
    # Run by root, SQLite sets the owner of log and index to what it is: that moves their ctime.
    moves = os.geteuid() == 0 and path.endswith(("-wal", "-shm", "-journal"))
    return (status.st_mtime_ns, status.st_mode, status.st_uid, status.st_gid,
            None if moves else status.st_ctime_ns)
found = {}
for folder, _, names in os.walk(sys.argv[1]):
    found[folder] = (sorted(names), *about(folder))
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            found[path] = (file.read(), *about(path))
sys.stdout.buffer.write(pickle.dumps(found))
"""


def files(folder: Path) -> dict[str, Any]:
    """All of a folder: names, bytes, times, modes, owners.

    Read by another process: closing a descriptor of a database would drop this one's locks on it.
    """
    read = subprocess.run(
        [sys.executable, "-c", _READ_ALL, folder], capture_output=True, check=True
    )
    found: dict[str, Any] = pickle.loads(read.stdout)
    return found
