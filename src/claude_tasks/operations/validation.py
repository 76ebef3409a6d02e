"""Checks whether a task can be stored, by the table of its fields.

The table has the bounds and choices; here are their checks and the few rules beyond them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.errors import FieldError, InvalidInputError
from claude_tasks.domain.notification import check_address
from claude_tasks.domain.schedule import parse_schedule
from claude_tasks.domain.task_fields import ADDRESS_FIELDS, FIELDS, Field, Kind, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

PROMPT_LIMIT_BYTES = 10_000_000
"""What the agent takes on its standard input."""

_OUR_FLAGS = ("-p", "--print", "--output-format", "--input-format", "--verbose")
"""Without these as we set them there is no result, cost or session to record."""


def checked(spec: TaskSpec) -> TaskSpec:
    """The task with its fields trimmed and typed. Errors: `InvalidInputError` naming the field."""
    spec = spec._replace(
        name=spec.name.strip(),
        cron_expr=spec.cron_expr.strip(),
        working_dir=spec.working_dir or ".",
    )
    _check_name_and_prompt(spec)
    spec = TaskSpec._make(
        _checked_field(field, value) for field, value in zip(FIELDS.values(), spec, strict=True)
    )
    _check_extra_args(spec.extra_args)
    if spec.is_one_off:
        parse_schedule(spec.cron_expr, timezone=spec.timezone, scheduled_at=spec.scheduled_at or 0)
        return spec
    parse_schedule(spec.cron_expr, timezone=spec.timezone)
    return spec._replace(scheduled_at=None)


def check_addresses(fields: Mapping[str, object]) -> None:
    """Whether messages could go there. Errors: `InvalidInputError` naming the field.

    Only new values are checked: a task that was stored under older rules must stay editable.
    """
    for name in ADDRESS_FIELDS:
        address = fields.get(name)
        if isinstance(address, str) and address:
            check_address(name, address)


def _check_name_and_prompt(spec: TaskSpec) -> None:
    """The sentences that clients of API v1 show as they are."""
    longest = FIELDS["name"].longest
    if not spec.name:
        raise InvalidInputError("Name is required")
    if longest is not None and len(spec.name) > longest:
        raise InvalidInputError(f"Name is too long: at most {longest} characters")
    if not spec.name.isprintable():
        raise InvalidInputError("Name must be one line without control characters")
    if not spec.prompt.strip():
        raise InvalidInputError("Prompt is required")


def _checked_field(field: Field, value: Any) -> Any:
    if value is None and field.optional:
        return None
    if field.kind in (Kind.WHOLE, Kind.NUMBER):
        _check_number(field, value)
    for text in value if field.kind is Kind.LIST else (value,):
        if isinstance(text, str):
            _check_text(field, text)
    if field.choices and value not in field.choices:
        raise FieldError(field.name, f": {value!r}", hint=f"one of: {', '.join(field.choices)}")
    return field.words(value) if field.words else value


def _check_text(field: Field, text: str) -> None:
    """Nothing that no database, command line or file name can hold."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise FieldError(field.name, ": not valid Unicode (half a surrogate pair)") from None
    if "\0" in text:
        raise FieldError(field.name, ": a NUL character cannot be part of it")
    if field.longest is not None and field.name != "name" and len(text) > field.longest:
        raise FieldError(field.name, f" is too long: at most {field.longest} characters")
    if field.name == "prompt" and size > PROMPT_LIMIT_BYTES:
        raise InvalidInputError("Prompt is too long: the agent takes at most 10 MB")


def _check_number(field: Field, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FieldError(field.name, " must be a number")
    if field.lowest is None or field.highest is None:
        return
    if not field.lowest <= value <= field.highest:
        unit = f" {field.unit}" if field.unit else ""
        problem = f" must be between {field.lowest:g} and {field.highest:g}{unit}"
        raise FieldError(field.name, problem)


def _check_extra_args(arguments: tuple[str, ...]) -> None:
    for argument in arguments:
        if argument.partition("=")[0] in _OUR_FLAGS:
            raise FieldError(
                "extra_args",
                f": {argument} is what runs depend on",
                hint=f"leave out: {', '.join(_OUR_FLAGS)}",
            )
