"""Runs in SQL: their columns, and a filter as a condition with its parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.storage.named_sql import fragment, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.store_records import RunFilter


def select(name: str) -> str:
    """A statement with the run's columns filled in."""
    return load("runs")[name].replace("{run_columns}", fragment("runs", "run_columns"))


def conditions(wanted: RunFilter) -> tuple[str, dict[str, Any]]:
    """The condition on a run ``r``, without the text, and its parameters."""
    plain = {
        "of_task": ("task_id", wanted.task_id),
        "before": ("before_id", wanted.before_id),
        "since": ("since", wanted.since),
        "until": ("until", wanted.until),
    }
    used = {name: pair for name, pair in plain.items() if pair[1] is not None}
    texts = ["1 = 1", *(fragment("run_filter", name) for name in used)]
    parameters: dict[str, Any] = dict(used.values())
    for name, values in (("in_states", wanted.states), ("for_reasons", wanted.reasons)):
        if values:
            names, more = placeholders(name, values)
            texts.append(fragment("run_filter", name).replace("{names}", names))
            parameters.update(more)
    return " AND ".join(texts), parameters


def placeholders(prefix: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """The inside of ``IN (…)``: a named parameter for each value."""
    named = {f"{prefix}_{place}": value for place, value in enumerate(values)}
    return ", ".join(f":{name}" for name in named), named
