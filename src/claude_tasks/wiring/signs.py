"""What this machine tells about nodes and claims, for ``status``, ``why`` and ``doctor``."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import ClaudeTasksError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from claude_tasks.domain.node import Node
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.signs import ClaimSigns, Stall
    from claude_tasks.settings import Settings

_CLOCK_SLACK_MS = 2_000
_START_MS = 60_000
"""From the start of a process to its node's: long on a machine that has much to do."""
_FRESH_SECONDS = 2.0
"""How long an answer about the writer is reused: the question comes once for each hung node."""
_LOOKS, _BETWEEN_SECONDS = 5, 0.2
_SETTLING_SECONDS = 0.3
"""A node that starts or leaves is locked, and not registered, for a moment."""


class MachineSigns:
    """`claude_tasks.domain.signs.Signs` of one installation. Loads what it needs when asked."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is looked at yet."""
        self._settings = settings
        self._asked: tuple[float, tuple[int, Stall] | None] | None = None

    def of_claim(self, run: Run, *, at: int) -> ClaimSigns:
        """A running run."""
        from claude_tasks.execution.claim_signs import claim_signs

        settings = self._settings
        return claim_signs(settings.folder.runs, run, kill_grace=settings.kill_grace, at=at)

    def stall(self, node: Node) -> Stall | None:
        """What keeps a node's process."""
        from claude_tasks.domain.signs import Stall
        from claude_tasks.system.stall import stall_of

        if not is_process(node):
            return None
        stall = stall_of(node.pid)
        writer = None if stall is not None else self.writer()
        if writer is None or writer[0] == node.pid:
            return stall
        pid, keeps = writer
        why = f"waits for the database, which process {pid} keeps locked"
        return Stall(why, keeps.command, waits=True)

    def strangers(self, registered: Collection[str]) -> list[int]:
        """Living nodes that no registry names, by process; looked at twice."""
        found = set(self._unregistered(registered))
        if found:
            time.sleep(_SETTLING_SECONDS)
            found &= set(self._unregistered([*registered, *self._registered_now()]))
        return sorted(filter(None, map(self._holder, found)))

    def writer(self) -> tuple[int, Stall] | None:
        """The process that keeps others from writing while stopped, or for more than a second."""
        now = time.monotonic()
        if self._asked is None or now - self._asked[0] > _FRESH_SECONDS:
            self._asked = now, self._writer()
        return self._asked[1]

    def _writer(self) -> tuple[int, Stall] | None:
        from claude_tasks.domain.signs import Stall
        from claude_tasks.storage.sqlite.write_lock import write_lock_holder
        from claude_tasks.system.process_state import name_of
        from claude_tasks.system.stall import stall_of

        pid = write_lock_holder(self._settings.folder.database)
        if pid is None:
            return None
        stall = stall_of(pid)
        if stall is not None and stall.command is not None:
            return pid, stall
        written = _written(self._settings.folder.database)
        for _ in range(_LOOKS):
            time.sleep(_BETWEEN_SECONDS)
            if write_lock_holder(self._settings.folder.database) != pid:
                return None
        if _written(self._settings.folder.database) != written:
            return None  # it writes again and again, and lets others in between
        return pid, Stall(f"is {name_of(pid)}, and does not end it", f"kill {pid}")

    def _unregistered(self, registered: Collection[str]) -> Iterator[str]:
        from claude_tasks.scheduling.lifetime import Sign, probe

        folder = self._settings.folder.nodes
        try:
            names = os.listdir(folder)
        except OSError:  # the checks of the folders say so
            return
        for name in names:
            node_id, _, ending = name.rpartition(".")
            unknown = ending == "lock" and node_id not in registered
            if unknown and probe(folder, node_id) is Sign.ALIVE:
                yield node_id

    def _registered_now(self) -> list[str]:
        from claude_tasks.storage.sqlite.inspection import inspect

        try:
            nodes = inspect(self._settings.folder.database, lambda seen: seen.list_nodes())
        except ClaudeTasksError:  # the check of the database says so
            return []
        return [node.id for node in nodes]

    def _holder(self, node_id: str) -> int | None:
        from claude_tasks.execution.process_tree import holders_of
        from claude_tasks.scheduling.lifetime import lock_path

        return next(iter(holders_of(lock_path(self._settings.folder.nodes, node_id))), None)


def _written(path: str) -> tuple[int, int] | None:
    """A value that changes with each commit."""
    try:
        status = os.stat(f"{path}-wal")
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def is_process(node: Node) -> bool:
    """Whether the process of the node's number, on this machine, is the node.

    It is if the process started when the node did: a pid is reused only later, and a process with
    this pid in another container started at another time.
    """
    if node.host != os.uname().nodename:
        return False
    import psutil

    try:
        began_at = psutil.Process(node.pid).create_time() * 1000
    except psutil.Error:
        return False
    return -_CLOCK_SLACK_MS <= node.started_at - began_at <= _START_MS
