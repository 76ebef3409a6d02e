"""A node: one process start of claude-tasks, whatever its role. Its id is a fresh UUID."""

from enum import StrEnum
from typing import NamedTuple


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
    ``ttl_ms`` is how long its ``beat`` may stand still before it counts as hung; ``beat_at`` (ms)
    is when it last moved, for people. ``listens`` is the address of its API, None without one;
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

    def silent_ms(self, *, at: int) -> int | None:
        """For how long its beat stands still, where that is longer than its ttl: then it hangs.

        By the wall clock, for people: the leader goes by its monotonic one.
        """
        since = None if self.beat_at is None else at - self.beat_at
        return since if since is not None and since > self.ttl_ms else None
