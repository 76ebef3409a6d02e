"""Import and export: ``{"tasks": […]}`` with the API's TaskRequest fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import FieldError, InvalidInputError
from claude_tasks.domain.instant import from_rfc3339
from claude_tasks.domain.task_fields import FIELDS, Kind, TaskSpec
from claude_tasks.operations.views import task_request

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.task import Task

_OURS = frozenset({
    "id", "is_one_off", "created_at", "updated_at", "deleted_at", "last_run_at", "next_run_at",
    "last_run_status", "last_run_reason", "revision",
})  # fmt: skip
"""Read-only fields of a task: a client that sends a task back includes them."""


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
    field = FIELDS.get(name)
    if field is None:
        raise InvalidInputError(f"unknown field {name!r}", hint=f"known: {', '.join(FIELDS)}")
    if value is None and field.optional:
        return None
    return _TYPED[field.kind](name, value)


def _instant(name: str, value: Any) -> int | None:
    text = _text(name, value)
    return from_rfc3339(text) if text else None


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise FieldError(name, " must be a list of texts")
    return tuple(value)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # JSON knows one kind of number
    if isinstance(value, bool) or not isinstance(value, int):
        raise FieldError(name, " must be a whole number")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(name, " must be a number")
    return value


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise FieldError(name, " must be true or false")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise FieldError(name, " must be text")
    return value


_TYPED: dict[Kind, Callable[[str, Any], Any]] = {
    Kind.TEXT: _text,
    Kind.LIST: _texts,
    Kind.SWITCH: _switch,
    Kind.WHOLE: _whole,
    Kind.NUMBER: _number,
    Kind.INSTANT: _instant,
}
