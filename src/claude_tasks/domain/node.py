"""A node: one process of claude-tasks, of any role. Each start has a new UUID."""

from enum import StrEnum
from typing import NamedTuple

_LONGEST_ID = 100
_ID_CHARACTERS = frozenset("-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def is_node_id(value: object) -> bool:
    """Whether a value can be a node's id: only then is it safe as a file name."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _LONGEST_ID
        and _ID_CHARACTERS.issuperset(value)
    )


class Role(StrEnum):
    """What kind of process a node is."""

    DAEMON = "daemon"
    SERVE = "serve"
    TUI = "tui"
    CLI = "cli"
    WORKER = "worker"


class Node(NamedTuple):
    """One row of ``nodes``. ``scheduler`` is whether the node may take the lease.

    ``max_concurrent_runs`` is this process's limit: settings differ between processes. A node
    counts as hung when its ``beat`` has not moved for ``ttl_ms``. ``beat_at`` (ms) shows people
    when it last moved; code decides by ``beat_monotonic`` (seconds). ``listens`` is the address of
    its API, None without one; ``open`` is whether the API asks for no token.
    """

    id: str
    role: Role
    host: str
    pid: int
    version: str
    scheduler: bool
    started_at: int
    max_concurrent_runs: int
    listens: str | None = None
    open: bool = False
    ttl_ms: int = 15_000
    beat: int = 0
    beat_at: int | None = None
    beat_monotonic: float | None = None

    def silent_ms(self, *, monotonic: float) -> int | None:
        """For how long its beat has not moved, None where that is not longer than its ttl.

        All processes of one boot share the monotonic clock, which cannot be set. A living node is
        of this boot; a beat in the future is of another boot and is ignored.
        """
        if self.beat_monotonic is None:
            return None
        since = round((monotonic - self.beat_monotonic) * 1000)
        return since if since > self.ttl_ms else None
