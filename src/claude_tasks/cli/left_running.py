"""What goes on without a process that ends, as notes."""

from __future__ import annotations

from claude_tasks.domain.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.cli.context import Context


def left_running(context: Context, node_id: str) -> list[str]:
    """The agents that the node watched."""
    try:
        left = len(context.operations.runs.running_of(node_id))
    except StorageError as error:  # it has stopped well all the same
        return [f"What still runs could not be counted: {error.message}"]
    if not left:
        return []
    agents = "1 agent goes" if left == 1 else f"{left} agents go"
    return [f"{agents} on under supervision; the next daemon adopts what it finds."]
