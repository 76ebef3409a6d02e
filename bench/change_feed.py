"""How soon a running leader acts on what another process wrote."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from bench.processes import wait_until
from bench.report import Section, at_most
from bench.sandbox import Sandbox
from bench.statistics_of import median

if TYPE_CHECKING:
    from bench.report import Section as SectionType

_FAR_AWAY_MS = 90 * 24 * 3600 * 1000


def measure(*, quick: bool) -> SectionType:
    """Move a one-off from next season to now, at any phase of the leader's sleep."""
    with Sandbox() as box:
        box.start_leader()
        time.sleep(1)
        seconds = [_until_noticed(box, n) for n in range(10 if quick else 30)]
    return Section(
        "Changes by other processes",
        f"A one-off's time is moved to now in this process; from the commit until the leader's row "
        f"for the new tick is in the database, {len(seconds)} times.",
        [
            at_most("longest time until acted on", max(seconds) * 1000, 250, "ms"),
            at_most("median", median(seconds) * 1000, 250, "ms"),
        ],
    )


def _until_noticed(box: Sandbox, number: int) -> float:
    far = time.time_ns() // 1_000_000 + _FAR_AWAY_MS
    task = box.operations.tasks.add(box.spec(f"moved {number}", scheduled_at=far))
    time.sleep(0.3 + random.random() / 3)
    box.operations.tasks.edit(task.id, {"scheduled_at": time.time_ns() // 1_000_000})
    edited = time.monotonic()
    sql = "SELECT COUNT(*) FROM task_runs WHERE task_id = ?"
    seen = wait_until(lambda: box.value(sql, (task.id,)), seconds=10, pause=0.001)
    return seen - edited
