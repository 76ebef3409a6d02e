"""Why a task did or did not run, as people read it."""

from __future__ import annotations

from claude_tasks.text.blocks import Pairs, Toned
from claude_tasks.text.run_text import run_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.operations.explanation import Explanation
    from claude_tasks.text.blocks import Block


def why_text(found: Explanation, *, now: int) -> list[Block]:
    """What decides it, line by line, and its last ticks and runs; ``now`` is in ms."""
    task = found.task
    pairs = [
        (
            f"{'!' if finding.stands_in_the_way else ' '} {finding.topic}",
            Toned(finding.text, "warn" if finding.stands_in_the_way else ""),
        )
        for finding in found.findings
    ]
    table = run_table(found.last_runs, task.spec.timezone, now=now, empty="  none yet")
    head = Toned(f'Task {task.id} "{task.name}"', "bold")
    return [head, Pairs(pairs), "", "Last ticks and runs", table]
