"""Sessions of the agent: which one a run uses, and whether the task names it."""

from __future__ import annotations

from claude_tasks.domain.agent_flags import flags_of

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = frozenset({"--session-id", "--resume", "--continue", "-r", "-c"})


def names_a_session(extra_args: Sequence[str]) -> bool:
    """Whether a task's extra arguments name the session."""
    return any(given.name in _FLAGS for given in flags_of(extra_args))


def without_session(extra_args: Sequence[str]) -> tuple[str, ...]:
    """The extra arguments without those that name a session: for a run that resumes its own."""
    kept = [given.words for given in flags_of(extra_args) if given.name not in _FLAGS]
    return tuple(word for words in kept for word in words)


def fresh_session() -> str:
    """An id for a session that does not exist yet."""
    import uuid  # noqa: PLC0415 (only a node that starts runs needs it)

    return str(uuid.uuid4())
