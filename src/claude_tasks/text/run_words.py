"""How a run stands, in a word or two. Light: ``list`` shows it."""

from __future__ import annotations

from claude_tasks.text.blocks import Toned

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.domain.run import Reason, State

_TONES = {"completed": "good", "failed": "bad", "cancelled": "warn", "skipped": "warn"}


def outcome_word(state: State, reason: Reason | None) -> Toned:
    """``completed``, ``failed: timeout``, ``skipped: overlap``."""
    said = reason is not None and reason.value != state.value
    text = f"{state.value}: {reason.value}" if said and reason is not None else state.value
    if state.value == "completed" and said:  # it was denied something: no plain success
        return Toned(text, "warn")
    return Toned(text, _TONES.get(state.value, ""))
