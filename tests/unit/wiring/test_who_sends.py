"""Who sends messages: the leader, and where it is silent everybody."""

from __future__ import annotations

import pytest

from claude_tasks.wiring.messages import nobody_leads
from unit.doctor.made import NOW, lease


@pytest.mark.parametrize(
    ("fields", "dead", "nobody"),
    [
        ({}, False, False),
        ({"holder": None}, False, True),
        ({}, True, True),
        ({"renewed_at": NOW - 29_000}, False, False),
        ({"renewed_at": NOW - 31_000}, False, True),  # stopped, or it hangs
        ({"renewed_at": NOW + 4_000}, False, False),
        ({"renewed_at": NOW + 86_400_000}, False, True),  # before the clock was set back
    ],
)
def test_a_free_lease_a_dead_holder_and_a_silent_one_are_nobody(
    fields: dict[str, int | None],
    dead: bool,  # noqa: FBT001 (a parameter of the test)
    nobody: bool,  # noqa: FBT001 (the same)
) -> None:
    assert nobody_leads(lease(**fields), lambda _: dead, at=NOW) is nobody
