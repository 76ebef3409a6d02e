"""Which tasks a person means by a few words typed: ``nightly state:failed tag:docs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claude_tasks.domain.store_records import TaskSummary

_OFF = {"on": True, "off": False}


def matching(found: Iterable[TaskSummary], text: str) -> list[TaskSummary]:
    """Those that all words fit.

    ``state:WORD`` is the state or the reason of the last run, or ``on``, ``off``, ``running``;
    ``tag:WORD`` the beginning of a tag. Any other word has its letters in the name, in order.
    """
    words = text.lower().split()
    return [summary for summary in found if all(_fits(summary, word) for word in words)]


def _fits(summary: TaskSummary, word: str) -> bool:
    kind, colon, value = word.partition(":")
    task = summary.task
    if colon and kind == "tag":
        return any(tag.lower().startswith(value) for tag in task.spec.tags)
    if colon and kind == "state":
        if value in _OFF:
            return task.spec.enabled is _OFF[value]
        last = (summary.last_run_state, summary.last_run_reason)
        return any(each is not None and each.value.startswith(value) for each in last)
    return word in task.name.lower() or in_order(word, task.name.lower())


def in_order(letters: Sequence[str], text: str) -> bool:
    """Whether the letters come in the text in this order, with others between them."""
    rest = iter(text)
    return all(letter in rest for letter in letters)
