"""A process whose node has failed ends with an error instead of waiting for its runs."""

from __future__ import annotations

from claude_tasks.domain.errors import ClaudeTasksError, DatabaseGoneError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.scheduling.node import RunningNode


def raise_failure(node: RunningNode, beside: BaseException | None = None) -> None:
    """Raise what ended one of the node's threads, or one ``beside`` them, if anything did."""
    failure = node.failure or beside
    if isinstance(failure, DatabaseGoneError):
        raise failure
    if failure is not None:
        part = "its scheduler" if node.failure is not None else "its API"
        raise ClaudeTasksError(
            f"this process ends, {part} failed: {failure!r}",
            hint="the log above says where; agents go on, and the next daemon adopts them",
            code="engine_failed",
        )
