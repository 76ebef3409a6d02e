"""When a follower may take the lease: pure decisions on what it saw."""

from __future__ import annotations

import pytest

from claude_tasks.domain.lease import LEASE_NAME, Lease, Takeover, observe, takeover_ground

TTL_MS = 15_000


def _lease(holder: str | None = "a", *, epoch: int = 3, renew_seq: int = 7) -> Lease:
    return Lease(
        LEASE_NAME, holder, epoch, renew_seq, TTL_MS, 0, 0, 0, "host", 1, "daemon", "1.0.0"
    )


def test_an_observation_lasts_while_the_lease_stands_still() -> None:
    first = observe(None, _lease(), monotonic=100.0)
    assert observe(first, _lease(), monotonic=110.0) is first


@pytest.mark.parametrize("moved", [_lease(renew_seq=8), _lease(epoch=4)])
def test_an_observation_starts_anew_when_the_lease_moves(moved: Lease) -> None:
    first = observe(None, _lease(), monotonic=100.0)
    assert observe(first, moved, monotonic=110.0).since == 110.0


@pytest.mark.parametrize(
    ("holder", "dead", "waits", "seconds", "ground"),
    [
        (None, False, False, 0.0, Takeover.FREE),
        ("a", True, False, 0.0, Takeover.HOLDER_DEAD),
        ("a", False, False, 14.999, None),
        ("a", False, False, 15.0, Takeover.EXPIRED),
        (None, False, True, 0.0, None),
        (None, False, True, 14.999, None),
        (None, False, True, 15.0, Takeover.EXPIRED),
        ("a", True, True, 14.999, None),
        ("a", True, True, 15.0, Takeover.EXPIRED),
    ],
)
def test_ground_for_a_takeover(
    holder: str | None,
    dead: bool,  # noqa: FBT001 (a parameter of the table)
    waits: bool,  # noqa: FBT001 (likewise)
    seconds: float,
    ground: Takeover | None,
) -> None:
    lease = _lease(holder)
    seen = observe(None, lease, monotonic=100.0)
    found = takeover_ground(lease, seen, monotonic=100.0 + seconds, holder_dead=dead, waits=waits)
    assert found is ground


def test_no_wall_clock_decides() -> None:
    lease = _lease()._replace(expires_at=-(10**12))
    seen = observe(None, lease, monotonic=0.0)
    assert takeover_ground(lease, seen, monotonic=1.0) is None
