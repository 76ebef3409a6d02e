"""A node: one process start of claude-tasks, whatever its role. Its id is a fresh UUID."""

from enum import StrEnum
from typing import NamedTuple

_LONGEST_ID = 100
_ID_CHARACTERS = frozenset("-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def is_node_id(value: object) -> bool:
    """Whether it can be a node's: then it is also the name of a file, and equals itself."""
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
    """One row of ``nodes``. ``scheduler`` is whether the node stands for the lease at all.

    ``max_concurrent_runs`` is the limit it works with: settings differ from process to process.
    ``ttl_ms`` is how long its ``beat`` may stand still before it counts as hung. When it last moved
    ``beat_at`` (ms) tells people, and ``beat_monotonic`` (seconds) whoever decides anything by it.
    ``listens`` is the address of its API, None without one;
    ``open`` is whether that asks for no token.
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
        """For how long its beat stands still, where that is longer than its ttl: then it hangs.

        All processes of one boot share the monotonic clock, and nobody sets it. A node that lives
        is of this boot; what lies in the future is of another, and says nothing.
        """
        if self.beat_monotonic is None:
            return None
        since = round((monotonic - self.beat_monotonic) * 1000)
        return since if since > self.ttl_ms else None
