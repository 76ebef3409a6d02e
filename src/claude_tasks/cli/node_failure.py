"""A process whose node has failed ends with an error: it must not wait for what nobody does."""

from __future__ import annotations

from claude_tasks.domain.errors import ClaudeTasksError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.scheduling.node import RunningNode


def raise_failure(node: RunningNode) -> None:
    """Raise what ended one of the node's threads, if anything did."""
    if node.failure is not None:
        raise ClaudeTasksError(
            f"this process ends, its scheduler failed: {node.failure!r}",
            hint="the log above says where; agents go on, and the next daemon adopts them",
            code="engine_failed",
        )
