"""Import and export: ``{"tasks": […]}`` with the API's TaskRequest fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import from_rfc3339
from claude_tasks.domain.task import TaskSpec
from claude_tasks.operations.views import task_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.task import Task

_LISTS = frozenset({"allowed_tools", "disallowed_tools", "extra_args", "tags"})
_NUMBERS = frozenset(
    name for name in TaskSpec._fields if name.endswith("_seconds") or name.startswith("max_")
)
_OURS = frozenset({
    "id", "is_one_off", "created_at", "updated_at", "deleted_at", "last_run_at", "next_run_at",
    "last_run_status", "last_run_reason", "revision",
})  # fmt: skip
"""What a task shows and nobody sets: they come along when one is read and sent back."""

_NULLABLE = frozenset(name for name, default in TaskSpec._field_defaults.items() if default is None)


def export_tasks(tasks: list[Task]) -> dict[str, Any]:
    """What `parse_tasks` reads back into equal tasks."""
    return {"tasks": [task_request(task) for task in tasks]}


def parse_tasks(document: Any, *, local_zone: Callable[[], str]) -> list[TaskSpec]:
    """The tasks of a document. Errors: `InvalidInputError` that names task and field.

    ``local_zone`` is as for `parse_task`. An export names the zone of each task.
    """
    entries = document.get("tasks") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise InvalidInputError(
            "the document has no list of tasks", hint='it looks like {"tasks": [{"name": …}]}'
        )
    return [_numbered(entry, place, local_zone) for place, entry in enumerate(entries, start=1)]


def parse_task(entry: Any, *, local_zone: Callable[[], str]) -> TaskSpec:
    """One TaskRequest. Errors: `InvalidInputError` for a wrong type or an unknown field.

    ``local_zone`` is asked for the zone of a task that names none: "daily at 9" means the clocks of
    the machine that it runs on, as with ``add``.
    """
    if not isinstance(entry, dict):
        raise InvalidInputError("a task is an object with fields")
    fields = {"name": "", "prompt": "", **fields_of(entry)}
    if "timezone" not in fields:
        fields["timezone"] = local_zone()
    return TaskSpec(**fields)


def fields_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The fields that a request names, typed as a `TaskSpec` keeps them."""
    return {name: _field(name, value) for name, value in entry.items()}


def _numbered(entry: Any, place: int, local_zone: Callable[[], str]) -> TaskSpec:
    try:
        return parse_task(entry, local_zone=local_zone)
    except InvalidInputError as error:
        raise InvalidInputError(f"task {place}: {error.message}", hint=error.hint) from error


def _field(name: str, value: Any) -> Any:
    if name in _OURS:
        raise InvalidInputError(
            f"field {name!r} cannot be set", hint=f"leave out: {', '.join(sorted(_OURS))}"
        )
    if name not in TaskSpec._fields:
        raise InvalidInputError(
            f"unknown field {name!r}", hint=f"known: {', '.join(TaskSpec._fields)}"
        )
    if value is None and name in _NULLABLE:
        return None
    if name == "scheduled_at":
        return _instant(value)
    if name in _LISTS:
        return _texts(name, value)
    if name == "enabled":
        return _typed(name, value, bool, "true or false")
    if name in _NUMBERS:
        whole = name != "max_budget_usd"
        return _number(name, value, whole=whole)
    return _typed(name, value, str, "text")


def _instant(value: Any) -> int | None:
    text = _typed("scheduled_at", value, str, "text")
    return from_rfc3339(text) if text else None


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise InvalidInputError(f"{name} must be a list of texts")
    return tuple(value)


def _number(name: str, value: Any, *, whole: bool) -> Any:
    if whole and isinstance(value, float) and value.is_integer():
        return int(value)  # JSON knows one kind of number
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind):
        raise InvalidInputError(f"{name} must be a {'whole ' if whole else ''}number")
    return value


def _typed(name: str, value: Any, kind: type, words: str) -> Any:
    if not isinstance(value, kind):
        raise InvalidInputError(f"{name} must be {words}")
    return value
