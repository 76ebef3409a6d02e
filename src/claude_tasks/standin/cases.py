"""What the simulated agent does, by case. The tests add theirs: how runs of the real one end."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.standin.conversation import Conversation

ANSWER = (
    "Simulated answer: this is the simulated agent of claude-tasks; no model was asked. "
    "Everything around it is real: the schedule, the process, the record and the log."
)


def success(talk: Conversation) -> int:
    """One message, exit 0."""
    talk.open()
    return talk.finish(ANSWER)


CASES: dict[str, Callable[[Conversation], int]] = {"success": success}
