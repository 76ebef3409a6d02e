"""The lease, the registry of nodes and the change feed."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import IllegibleError
from claude_tasks.domain.lease import (
    CREDIBLE,
    DEFAULT_TTL_MS,
    LEASE_NAME,
    Lease,
    Term,
    require_written_by_a_node,
)
from claude_tasks.domain.store_records import Change
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import lease_from_row, legible, node_from_row, sound
from claude_tasks.storage.tables.base import Tables

if TYPE_CHECKING:
    from claude_tasks.domain.node import Node


def missing_lease() -> IllegibleError:
    """The error of a missing lease row."""
    return IllegibleError("lease", LEASE_NAME, "it is missing")


class LeaseTable(Tables):
    """The store's part about the lease."""

    def read_lease(self) -> Lease:
        """The lease as it stands."""
        rows = self._connection.rows(load("lease")["read_lease"])
        if not rows:
            raise missing_lease()
        return sound("lease", rows[0], lease_from_row)

    def mend_lease(self, *, at: int) -> Lease:
        """Repair a missing or unreadable row."""
        with self._connection.write():
            return self._mended(at)

    def _mended(self, at: int) -> Lease:
        """The lease after repair of its row; call it inside a transaction."""
        with contextlib.suppress(IllegibleError):
            return self.read_lease()
        lease = self._what_can_be_read() or self._free()
        self._connection.execute(load("lease")["write_lease"], lease._asdict())
        self._note("lease", lease.epoch, at)
        return lease

    def _what_can_be_read(self) -> Lease | None:
        """The lease from its readable cells, None where holder or counts are unreadable."""
        for row in self._connection.rows(load("lease")["read_lease"]):
            _, holder, epoch, renew_seq, ttl_ms, *others = row
            for ttl in (ttl_ms, DEFAULT_TTL_MS):
                cells = (LEASE_NAME, holder, epoch, renew_seq, ttl, *[None] * len(others))
                with contextlib.suppress(IllegibleError):
                    lease = sound("lease", cells, lease_from_row)
                    return lease._replace(renew_seq=lease.renew_seq + 1)
        return None

    def _free(self) -> Lease:
        """A free lease, in an epoch above all known ones."""
        highest = self._connection.value(load("lease")["highest_epoch"], {"end": CREDIBLE})
        free = Lease(LEASE_NAME, None, max(0, highest) + 1, 0, DEFAULT_TTL_MS, *[None] * 7)
        require_written_by_a_node(free)
        return free

    def take_lease(self, seen: Lease, node: Node, *, ttl_ms: int, at: int) -> Term | None:
        """Become holder in a new epoch, if the lease has not changed since ``seen``."""
        parameters = {
            "node_id": node.id,
            "host": node.host,
            "pid": node.pid,
            "role": node.role,
            "version": node.version,
            "ttl_ms": ttl_ms,
            "at": at,
            "seen_holder": seen.holder,
            "seen_epoch": seen.epoch,
            "seen_renew_seq": seen.renew_seq,
        }
        with self._connection.write():
            taken = self._connection.execute(load("lease")["take_lease"], parameters).rowcount == 1
            if taken:
                self._note("lease", seen.epoch + 1, at)
        return Term(node.id, seen.epoch + 1) if taken else None

    def renew_lease(self, term: Term, *, ttl_ms: int, at: int, monotonic: float) -> bool:
        """Extend the term; False when it is over."""
        parameters = {**term._asdict(), "ttl_ms": ttl_ms, "at": at, "monotonic": monotonic}
        with self._connection.write():
            renewed = self._connection.execute(load("lease")["renew_lease"], parameters)
            if renewed.rowcount != 1:
                return False
            self._connection.execute(load("nodes")["move_beat"], parameters)
            lease = self._mended(at)
        return (lease.holder, lease.epoch) == term

    def release_lease(self, term: Term, *, at: int) -> bool:
        """Free the lease; False when the term was over already."""
        parameters = {**term._asdict(), "at": at}
        with self._connection.write():
            cursor = self._connection.execute(load("lease")["release_lease"], parameters)
            if cursor.rowcount == 1:
                self._note("lease", term.epoch, at)
        return cursor.rowcount == 1


class NodeTable(Tables):
    """The store's part about nodes."""

    def register_node(self, node: Node) -> None:
        """Insert a node's row."""
        parameters = node._asdict()
        parameters.update(scheduler=int(node.scheduler), open=int(node.open))
        with self._connection.write():
            self._connection.execute(load("nodes")["register_node"], parameters)
            self._note("node", node.id, node.started_at)

    def list_nodes(self) -> list[Node]:
        """All registered nodes."""
        return legible("node", self._connection.rows(load("nodes")["list_nodes"]), node_from_row)

    def move_beat(self, node_id: str, *, at: int, monotonic: float) -> bool:
        """Record that a node makes progress."""
        parameters = {"node_id": node_id, "at": at, "monotonic": monotonic}
        with self._connection.write():
            return self._connection.execute(load("nodes")["move_beat"], parameters).rowcount == 1

    def strike_illegible_nodes(self) -> None:
        """Remove unreadable rows: a living node registers again with its next beat."""
        rows = self._connection.rows(load("nodes")["keys_of_nodes"])
        wrong = [key for key, *row in rows if not legible("node", [row], node_from_row)]
        if wrong:
            with self._connection.write():
                for key in wrong:
                    self._connection.execute(load("nodes")["strike_node"], {"key": key})

    def remove_node(self, node_id: str) -> None:
        """Remove the row of a node that stops, or was found dead."""
        with self._connection.write():
            self._connection.execute(load("nodes")["remove_node"], {"node_id": node_id})


class ChangeTable(Tables):
    """The store's part about the change feed."""

    def last_change(self) -> int:
        """The newest sequence number, 0 in an empty feed."""
        return int(self._connection.value(load("changes")["last_change"]))

    def changes_since(self, seq: int, *, limit: int = 1000) -> list[Change]:
        """Entries after ``seq``, oldest first."""
        rows = self._connection.rows(load("changes")["changes_since"], {"seq": seq, "limit": limit})
        return [Change._make(row) for row in rows]
