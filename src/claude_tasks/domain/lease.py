"""The lease: the singleton record that says which node may schedule, and when it may change hands.

No wall clock decides anything here. A follower takes the lease when

* the row is free (its holder released it), or
* the holder is provably dead (the kernel released its lifetime lock), or
* ``(epoch, renew_seq)`` has not moved for a full ``ttl`` on the follower's own monotonic clock.

``expires_at`` is written for people and for diagnosis; no decision reads it.
"""

from enum import StrEnum
from typing import NamedTuple

from claude_tasks.domain.node import is_node_id

LEASE_NAME = "scheduler"

DEFAULT_TTL_MS = 15_000
"""The ttl of a lease that no node has taken yet."""

HIGHEST = 2**62
"""A larger epoch or number of renewals is an invalid value, not a count; 64 bits leave room
above."""

CREDIBLE = HIGHEST // 2
"""Epochs found elsewhere count only up to here, so that the next ones stay below `HIGHEST`."""

_LONGEST_TTL_MS = 24 * 3_600_000
"""Longer than any setting allows: a follower would wait for it for ever."""


class Lease(NamedTuple):
    """The lease row. ``holder`` is a node id, None when free. The epoch never goes back."""

    name: str
    holder: str | None
    epoch: int
    renew_seq: int
    ttl_ms: int
    acquired_at: int | None
    renewed_at: int | None
    expires_at: int | None
    host: str | None
    pid: int | None
    role: str | None
    version: str | None


def require_written_by_a_node(lease: Lease) -> None:
    """Raise `ValueError` for a row with which other nodes could not compare or count on.

    Values of another type than declared are not checked.
    """
    if isinstance(lease.holder, str) and not is_node_id(lease.holder):
        raise ValueError(f"holder is {lease.holder!r}")
    for name, value, end in (
        ("epoch", lease.epoch, HIGHEST),
        ("renew_seq", lease.renew_seq, HIGHEST),
        ("ttl_ms", lease.ttl_ms, _LONGEST_TTL_MS),
    ):
        if isinstance(value, int) and not 0 <= value < end:
            raise ValueError(f"{name} is {value}")


class LeaseTimes(NamedTuple):
    """How long a term lasts without renewal, how often it is renewed, when it is not trusted.

    In seconds; a leader stops acting ``margin`` before others may take over.
    """

    ttl: float
    renew: float
    margin: float

    @property
    def ttl_ms(self) -> int:
        """The ttl in the row's unit."""
        return round(self.ttl * 1000)

    @property
    def trust(self) -> float:
        """How long a renewal is trusted, counted from before the request."""
        return self.ttl - self.margin


class Term(NamedTuple):
    """One term of leadership: the fencing token of every write of a leader."""

    node_id: str
    epoch: int


class Takeover(StrEnum):
    """Why a follower may take the lease now."""

    FREE = "free"
    HOLDER_DEAD = "holder_dead"
    EXPIRED = "expired"
    OWN = "own"
    """The node is the holder, whose trust had run out: it hung, or could not write."""


class Observation(NamedTuple):
    """When this follower first saw the lease at ``(epoch, renew_seq)``, monotonic seconds."""

    epoch: int
    renew_seq: int
    since: float


def observe(previous: Observation | None, lease: Lease, *, monotonic: float) -> Observation:
    """The earlier observation while the lease is unchanged, else a new one."""
    if previous is not None and (previous.epoch, previous.renew_seq) == (
        lease.epoch,
        lease.renew_seq,
    ):
        return previous
    return Observation(lease.epoch, lease.renew_seq, monotonic)


def takeover_ground(
    lease: Lease,
    seen: Observation,
    *,
    monotonic: float,
    holder_dead: bool = False,
    waits: bool = False,
) -> Takeover | None:
    """The ground on which a follower may take the lease, None while it must wait.

    A follower that ``waits`` lets others go first: it takes even a free lease only after a ttl.
    """
    if lease.holder is None and not waits:
        return Takeover.FREE
    if holder_dead and not waits:
        return Takeover.HOLDER_DEAD
    if monotonic - seen.since >= lease.ttl_ms / 1000:
        return Takeover.EXPIRED
    return None
