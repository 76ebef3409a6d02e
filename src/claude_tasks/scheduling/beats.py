"""Beats: how a node tells whether another node works or hangs.

A held lifetime lock proves that a process lives; a process that is stopped (SIGSTOP, Ctrl-Z,
``docker pause``) holds it too and does nothing. So each node moves a beat in the registry, every
third of its ttl, while its scheduling loop makes progress:

    BeatKeeper (each node's keeper thread) ─▶ nodes.beat ─▶ BeatWatch of every other node

A beat that stands still for its node's ttl, on the observer's monotonic clock, means that the node
hangs. Wall clocks are not used. The leader then settles what the node held; claims and epochs keep
the node from writing once it wakes up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.errors import StorageBusyError, StorageError
from claude_tasks.scheduling.complaint import Complaint
from claude_tasks.system.process_state import runs_this_program
from claude_tasks.system.stall import stall_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.node import Node
    from claude_tasks.domain.ports import Clock, NodeStore

log = logging.getLogger(__name__)

STUCK_SECONDS = 5.0
"""A scheduling loop without a finished pass for longer is stuck: no pass takes so long. The leader
settles what it holds a ttl after its last beat."""

_LONGEST_LOOK_SECONDS = 1.0
_SHORTEST_LOOK_SECONDS = 0.1
_RETRY_SECONDS = 0.5


class _Seen(NamedTuple):
    """A node's beat, and since when it has not moved, monotonic seconds."""

    beat: int
    since: float
    ttl: float


def _look_seconds(nodes: Sequence[Node]) -> float:
    """How often to look: many times within the shortest ttl of the nodes."""
    shortest = min(node.ttl_ms for node in nodes) / 1000
    return max(_SHORTEST_LOOK_SECONDS, min(_LONGEST_LOOK_SECONDS, shortest / 6))


class BeatWatch:
    """Knows which of the other nodes hang. One thread calls `look`, others `is_hung`."""

    def __init__(self) -> None:
        """Nothing was seen."""
        self._seen: dict[str, _Seen] = {}
        self._looked_at = 0.0

    def look(self, nodes: Sequence[Node], *, monotonic: float) -> None:
        """Compare the registry with the last look.

        An observer that slept saw nothing meanwhile: it starts again with each node for whose ttl
        its own gap was too long.
        """
        gap = monotonic - self._looked_at
        seen = {}
        for node in nodes:
            ttl, before = node.ttl_ms / 1000, self._seen.get(node.id)
            stands = before is not None and before.beat == node.beat and gap < ttl / 2
            since = before.since if before is not None and stands else monotonic
            seen[node.id] = _Seen(node.beat, since, ttl)
        self._seen, self._looked_at = seen, monotonic

    def condemn(self, node_id: str) -> None:
        """Count a node as hung until its beat moves: it did not renew its lease for a whole ttl."""
        seen = self._seen.get(node_id)
        if seen is not None:
            self._seen = {**self._seen, node_id: seen._replace(since=float("-inf"))}

    def is_hung(self, node_id: str) -> bool:
        """Whether a node's beat had not moved for its ttl at the last look."""
        seen = self._seen.get(node_id)
        return seen is not None and self._looked_at - seen.since >= seen.ttl


class BeatKeeper:
    """Moves this node's beat, and looks at the others', one `step` at a time.

    ``progress`` returns the monotonic time at which the scheduling loop last completed a pass.
    ``watch`` is None for a node that never acts on other nodes' beats.
    """

    def __init__(
        self,
        *,
        store: NodeStore,
        node: Node,
        clock: Clock,
        progress: Callable[[], float],
        watch: BeatWatch | None,
        keep_alive: Callable[[], None],
    ) -> None:
        """Begin with the beat that the registry has. ``keep_alive`` is called with each beat."""
        self._store = store
        self._node = node
        self._clock = clock
        self._progress = progress
        self._watch = watch
        self._keep_alive = keep_alive
        ttl = node.ttl_ms / 1000
        self._every = ttl / 3
        self._stuck_after = min(STUCK_SECONDS, ttl * 5 / 6)
        self._due_at = 0.0
        self._keep_at = 0.0
        self._look_at = 0.0
        self._blocked_since: float | None = None
        self._complaint = Complaint(log)
        self._lock_complaint = Complaint(log)

    def is_stuck(self) -> bool:
        """Whether the scheduling loop makes no progress."""
        return self._clock.monotonic() - self._progress() > self._stuck_after

    def moved(self) -> None:
        """Note that the beat was moved just now, by the renewal of the lease."""
        self._due_at = self._clock.monotonic() + self._every

    def step(self) -> float:
        """Move the beat and look at the others' when due; the seconds until the next step."""
        monotonic, known = self._clock.monotonic(), True
        self._keep_the_lock(monotonic)
        try:
            if monotonic >= self._look_at and self._watch is not None:
                nodes = self._store.list_nodes()
                self._watch.look(nodes, monotonic=monotonic)
                self._look_at = monotonic + _look_seconds([self._node, *nodes])
                known = any(node.id == self._node.id for node in nodes)
            if monotonic >= self._due_at or not known:
                self._beat(monotonic, known=known)
        except StorageError as error:
            self._complain(f"the beat of this node cannot be moved: {error}")
            if isinstance(error, StorageBusyError):
                self._free_the_database(monotonic)
            return _RETRY_SECONDS
        self._blocked_since = None
        nexts = (self._due_at,) if self._watch is None else (self._due_at, self._look_at)
        return max(0.0, min(nexts) - self._clock.monotonic())

    def _keep_the_lock(self, monotonic: float) -> None:
        """Make the lifetime lock again where it was removed. A failure does not stop the beat."""
        if monotonic < self._keep_at:
            return
        self._keep_at = monotonic + self._every
        try:
            self._keep_alive()
        except StorageError as error:
            text = f"the lock of this node was removed, and cannot be made again: {error}"
            self._lock_complaint.state(text, monotonic=monotonic)
        else:
            self._lock_complaint.settle()

    def _beat(self, monotonic: float, *, known: bool) -> None:
        """Move the beat; register this node again where its row is missing or unreadable."""
        if self.is_stuck():
            self._complain("the scheduling loop makes no progress: what it holds goes to others")
            self._due_at = monotonic + _RETRY_SECONDS
            return
        at = self._clock.now()
        moved = known and self._store.move_beat(self._node.id, at=at, monotonic=monotonic)
        if not moved:
            self._store.register_node(self._node._replace(beat_at=at, beat_monotonic=monotonic))
        self._due_at = monotonic + self._every
        self._complaint.settle()

    def _free_the_database(self, monotonic: float) -> None:
        """End a process of ours that was stopped during a write and so blocks all other writers.

        Its transaction is rolled back, and its agents go on. It is ended only once a beat was
        missed: until then it may go on by itself.
        """
        if self._blocked_since is None:
            self._blocked_since = monotonic
        if monotonic - self._blocked_since < self._stuck_after:
            return
        pid = self._store.writer()
        stall = None if pid is None else stall_of(pid)
        if pid is not None and stall is not None and stall.command and self._is_ours(pid):
            log.critical("process %d %s in the middle of a write: it is killed", pid, stall.why)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)

    def _is_ours(self, pid: int) -> bool:
        """Whether a process is a node of this machine, or runs a command of this program."""
        if runs_this_program(pid):
            return True
        try:
            nodes = self._store.list_nodes()
        except StorageError:  # unreadable while SQLite recovers the log
            return False
        host = self._node.host
        return any((node.pid, node.host) == (pid, host) for node in nodes)

    def _complain(self, text: str) -> None:
        self._complaint.state(text, monotonic=self._clock.monotonic())
