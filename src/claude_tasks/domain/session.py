"""Sessions of the agent: which ones a run begins, and who says so."""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = ("--session-id", "--resume", "--continue")
_SHORT = "rc"
"""``-r`` and ``-c``, also with a value behind (``-rID``)."""


def names_a_session(extra_args: Sequence[str]) -> bool:
    """Whether a task's own words for the agent say in which session it works."""
    return any(_names(word) for word in extra_args)


def _names(word: str) -> bool:
    if word.startswith("--"):
        return word.partition("=")[0] in _FLAGS
    return len(word) > 1 and word[0] == "-" and word[1] in _SHORT


def fresh_session() -> str:
    """An id for a session that does not exist yet."""
    import uuid  # noqa: PLC0415 (only whoever starts runs needs it)

    return str(uuid.uuid4())
