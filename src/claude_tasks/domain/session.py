"""Sessions of the agent: which ones a run begins, and who says so."""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without paying for the import
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = ("--session-id", "--resume", "--continue")
_TAKE_A_WORD = ("--session-id", "--resume", "-r")
_SHORT = "rc"
"""``-r`` and ``-c``, also with a value behind (``-rID``)."""


def names_a_session(extra_args: Sequence[str]) -> bool:
    """Whether a task's own words for the agent say in which session it works."""
    return any(_names(word) for word in extra_args)


def without_session(extra_args: Sequence[str]) -> tuple[str, ...]:
    """The words without those that name a session: for a run that goes on in its own."""
    kept: list[str] = []
    behind_a_flag = False
    for word in extra_args:
        if behind_a_flag and not word.startswith("-"):
            behind_a_flag = False
            continue
        named = _names(word)
        behind_a_flag = named and word in _TAKE_A_WORD
        if not named:
            kept.append(word)
    return tuple(kept)


def _names(word: str) -> bool:
    if word.startswith("--"):
        return word.partition("=")[0] in _FLAGS
    return len(word) > 1 and word[0] == "-" and word[1] in _SHORT


def fresh_session() -> str:
    """An id for a session that does not exist yet."""
    import uuid  # noqa: PLC0415 (only whoever starts runs needs it)

    return str(uuid.uuid4())
