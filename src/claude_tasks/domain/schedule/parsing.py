"""From what a person wrote to a schedule: prefixes, macros, ``@every``, cron, one-off."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.schedule.every import PREFIX, parse_every
from claude_tasks.domain.schedule.once import Once
from claude_tasks.domain.schedule.refusal import refuse
from claude_tasks.domain.schedule.zones import find_zone

if TYPE_CHECKING:
    from claude_tasks.domain.schedule.protocol import Schedule

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_ZONE_PREFIXES = ("CRON_TZ=", "TZ=")
_MAX_LENGTH = 1000


def parse_schedule(
    cron_expr: str, *, timezone: str = "UTC", scheduled_at: int | None = None, anchor_at: int = 0
) -> Schedule:
    """The schedule of a task.

    ``cron_expr`` is one of: "" (once, at ``scheduled_at``); 5 cron fields, or 6 with seconds first;
    a macro such as ``@daily``; ``@every`` and a duration, counted from ``anchor_at``. A prefix
    ``CRON_TZ=Zone`` or ``TZ=Zone`` wins over ``timezone``. Cheap to call again: what is parsed is
    kept.

    Raises:
        InvalidInputError: it makes no sense, would never fire, or names an unknown zone
            (`UnknownZoneError`).
    """
    expression = cron_expr.strip()
    if not expression:
        return _once(scheduled_at, timezone)
    body, timezone = _split_zone(expression, timezone)
    word, _, rest = body.partition(" ")
    if word.lower() == PREFIX:
        find_zone(timezone)
        return parse_every(expression, timezone=timezone, anchor_at=anchor_at, text=rest)
    return _cron(expression, body, timezone)


def _once(scheduled_at: int | None, timezone: str) -> Once:
    if scheduled_at is None:
        raise InvalidInputError(
            "A task without a cron expression needs the time at which it runs once",
            hint="Give a time such as 2026-11-22T12:00:00Z, or a cron expression such as @daily.",
        )
    find_zone(timezone)
    return Once(scheduled_at, timezone)


def _split_zone(expression: str, timezone: str) -> tuple[str, str]:
    if len(expression) > _MAX_LENGTH:
        raise refuse(f"it is longer than {_MAX_LENGTH} characters")
    first, *others = expression.split()
    if not first.startswith(_ZONE_PREFIXES):
        return " ".join([first, *others]), timezone
    return " ".join(others), first.partition("=")[2]


# Room for every expression of 10,000 tasks: the scheduler asks for them again at each tick.
@lru_cache(maxsize=16_384)
def _cron(expression: str, body: str, timezone: str) -> Schedule:
    # Loaded here: the cron library, which a one-off and most commands do not need.
    from claude_tasks.domain.schedule.cron import CronSchedule  # noqa: PLC0415
    from claude_tasks.domain.schedule.fields import parse_fields  # noqa: PLC0415

    find_zone(timezone)
    if not body:
        raise refuse("there is only a time zone")
    fields = parse_fields(_expand_macro(body) if body.startswith("@") else body)
    return CronSchedule(expression, fields, timezone)


def _expand_macro(body: str) -> str:
    macro = body.lower()
    if macro in MACROS:
        return MACROS[macro]
    if macro == "@reboot":
        raise refuse(
            "@reboot has no meaning here: tasks do not depend on when this machine starts",
            "Write a time, such as @daily, or run the task by hand when it is needed.",
        )
    if macro.startswith(PREFIX):
        raise refuse(f"{body!r} lacks a duration", "Write '@every 90s', with a space.")
    raise refuse(f"there is no {body!r}", f"Write {', '.join(MACROS)} or '@every 90s'.")
