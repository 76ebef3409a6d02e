"""The queue of one node: which of the runs it may start do start now.

A leader starts runs from two queues: the runs assigned to it, and the common queue. Each query
returns at most as many runs as there are free places, and the two are merged, oldest first. That
suffices: a run of one queue is skipped only for a run of the other that took the last place of
their task, and that run took a free place too. So no query reads more rows than there are free
places, and a run that must wait takes none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.queueing import Startable, merge_queues
from claude_tasks.domain.usage import LONGEST_LOOK_MS
from claude_tasks.storage.named_sql import load

if TYPE_CHECKING:
    from claude_tasks.storage.tables.base import Connection

_EVERYTHING = 1_000_000


class Queue:
    """The runs that one node may start at one instant."""

    def __init__(self, connection: Connection, node_id: str, *, leading: bool, at: int) -> None:
        """With ``leading`` the common queue is this node's too. ``at`` is ms."""
        self._connection = connection
        self._node_id = node_id
        self._leading = leading
        self._at = at

    def has_startable(self) -> bool:
        """Whether any run could start if there were a free place."""
        return bool(self._startable(own=True, common=self._leading, limit=1))

    def all_startable(self) -> list[int]:
        """Every run that could start now or after another of its task, oldest first."""
        rows = self._startable(own=True, common=self._leading, limit=_EVERYTHING, every=True)
        return [each.run_id for each in rows]

    def choose(self, *, limit: int, per_node: bool, own_limit: int | None) -> list[int]:
        """The runs to start now, oldest first. To be asked inside the transaction that starts them.

        The limits are those of `claude_tasks.domain.run_ports.RunStore.claim_runs`.
        """
        room = limit - self._count("count_running", self._node_id if per_node else None)
        if room <= 0:
            return []
        if own_limit is None:
            both = self._startable(own=True, common=self._leading, limit=room)
            return [each.run_id for each in both]
        own_room = own_limit - self._count("count_own_running", self._node_id)
        own = self._startable(own=True, common=False, limit=room) if own_room > 0 else []
        common = self._startable(own=False, common=True, limit=room) if self._leading else []
        return merge_queues(own, common, room=room, own_room=own_room)

    def _count(self, name: str, node_id: str | None) -> int:
        return int(self._connection.value(load("runs")[name], {"node_id": node_id}))

    def _startable(
        self, *, own: bool, common: bool, limit: int, every: bool = False
    ) -> list[Startable]:
        parameters = {
            "node_id": self._node_id,
            "own": int(own),
            "common": int(common),
            "at": self._at,
            "furthest": self._at + LONGEST_LOOK_MS,
            "limit": limit,
            "all": int(every),
        }
        rows = self._connection.rows(load("runs")["startable"], parameters)
        return [Startable._make(row) for row in rows]
