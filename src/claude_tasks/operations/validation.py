"""Is this a task that can be kept? Every field has its rule here and nowhere else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.notification import check_address
from claude_tasks.domain.schedule import parse_schedule
from claude_tasks.domain.task import (
    ADDRESS_FIELDS,
    NOTIFY_ON,
    ONE_OFF,
    PERMISSION_MODES,
    Catchup,
    OnUsageLimit,
    Overlap,
    TaskSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_LIMIT = 200
PROMPT_LIMIT_BYTES = 10_000_000
"""What the agent takes on its standard input."""

_OUR_FLAGS = ("-p", "--print", "--output-format", "--input-format", "--verbose")
"""Without these as we set them there is no result, cost or session to record."""


class Range(NamedTuple):
    """From ``lowest`` to ``highest``, both included; ``optional``: or not at all."""

    lowest: float
    highest: float
    optional: bool


_DAY = 24 * 60 * 60
RANGES = {
    "timeout_seconds": Range(1, 7 * _DAY, optional=False),
    "catchup_window_seconds": Range(0, 366 * _DAY, optional=False),
    "jitter_seconds": Range(0, _DAY, optional=False),
    "max_retries": Range(0, 20, optional=False),
    "max_concurrency": Range(1, 1000, optional=True),
    "max_turns": Range(1, 100_000, optional=True),
    "max_budget_usd": Range(0.000001, 1_000_000, optional=True),
}

_CHOICES: dict[str, tuple[str, ...]] = {
    "overlap": tuple(Overlap),
    "catchup": tuple(Catchup),
    "on_usage_limit": tuple(OnUsageLimit),
}


def checked(spec: TaskSpec) -> TaskSpec:
    """The task with its fields trimmed and typed. Errors: `InvalidInputError` naming the field."""
    spec = spec._replace(name=spec.name.strip())
    _check_text(spec)
    _check_numbers(spec)
    _check_extra_args(spec.extra_args)
    _check_permission_mode(spec.permission_mode)
    if spec.notify_on is not None:
        _choose("notify_on", spec.notify_on, NOTIFY_ON)
    if spec.cron_expr.strip() == ONE_OFF:
        spec = spec._replace(cron_expr=ONE_OFF)
        parse_schedule(ONE_OFF, timezone=spec.timezone, scheduled_at=spec.scheduled_at or 0)
    else:
        spec = spec._replace(cron_expr=spec.cron_expr.strip(), scheduled_at=None)
        parse_schedule(spec.cron_expr, timezone=spec.timezone)
    return spec._replace(
        overlap=Overlap(_choose("overlap", spec.overlap, _CHOICES["overlap"])),
        catchup=Catchup(_choose("catchup", spec.catchup, _CHOICES["catchup"])),
        on_usage_limit=_usage_rule(spec.on_usage_limit),
        working_dir=spec.working_dir or ".",
    )


def _check_text(spec: TaskSpec) -> None:
    if not spec.name:
        raise InvalidInputError("Name is required")
    if len(spec.name) > NAME_LIMIT:
        raise InvalidInputError(f"Name is too long: at most {NAME_LIMIT} characters")
    if any(not character.isprintable() for character in spec.name):
        raise InvalidInputError("Name must be one line without control characters")
    if not spec.prompt.strip():
        raise InvalidInputError("Prompt is required")
    for name, value in spec._asdict().items():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                _check_characters(name, text)
    if len(spec.prompt.encode()) > PROMPT_LIMIT_BYTES:
        raise InvalidInputError("Prompt is too long: the agent takes at most 10 MB")


def check_addresses(fields: Mapping[str, object]) -> None:
    """Whether messages could go there. Errors: `InvalidInputError` naming the field.

    Only for what somebody says now: a task that was kept with less must stay editable.
    """
    for name in ADDRESS_FIELDS:
        address = fields.get(name)
        if isinstance(address, str) and address:
            check_address(name, address)


def _check_characters(name: str, text: str) -> None:
    """What no database, command line or file name can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(f"{name}: not valid Unicode (half a surrogate pair)") from None
    if "\0" in text:
        raise InvalidInputError(f"{name}: a NUL character cannot be part of it")


def _check_extra_args(arguments: tuple[str, ...]) -> None:
    for argument in arguments:
        if argument.partition("=")[0] in _OUR_FLAGS:
            raise InvalidInputError(
                f"extra_args: {argument} is what runs depend on",
                hint=f"leave out: {', '.join(_OUR_FLAGS)}",
            )


def _check_numbers(spec: TaskSpec) -> None:
    for name, allowed in RANGES.items():
        value = getattr(spec, name)
        if value is None and allowed.optional:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInputError(f"{name} must be a number")
        if not allowed.lowest <= value <= allowed.highest:
            raise InvalidInputError(
                f"{name} must be between {allowed.lowest:g} and {allowed.highest:g}"
            )


def _check_permission_mode(mode: str | None) -> None:
    if mode is not None:
        _choose("permission_mode", mode, PERMISSION_MODES)


def _usage_rule(rule: Any) -> OnUsageLimit | None:
    if rule is None:
        return None
    return OnUsageLimit(_choose("on_usage_limit", rule, _CHOICES["on_usage_limit"]))


def _choose(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise InvalidInputError(f"{name}: {value!r}", hint=f"one of: {', '.join(choices)}")
    return value
