"""Reads the windows in an answer: ``{"five_hour": {"utilization": 37.0, "resets_at": …}, …}``."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.instant import SECOND_MS, from_datetime
from claude_tasks.domain.usage import BUCKETS, FURTHEST_RESET_MS, Reading, Window

_MOST = 1_000_000.0
_MOST_OTHERS = 32
_LONGEST_NAME = 64


def reading_of(answer: Any, *, source: str, at: int) -> Reading:
    """The windows of an answer, which came ``at``.

    Of the two deciding windows, one that is absent or null is left out: a plan may not have it. One
    that is present and cannot be read invalidates the answer: else it would count as unused. Other
    keys differ between versions of the service: only those with the shape of a window count.
    Errors: `UsageUnavailableError` where both are absent, or one cannot be read.
    """
    entries = answer if isinstance(answer, dict) else {}
    told = {name: entries[name] for name in BUCKETS if entries.get(name) is not None}
    if not told:
        raise _garbage(f"{source} answered without a usage window")
    deciding = {name: _window(name, entry, at) for name, entry in told.items()}
    windows = [window for window in deciding.values() if window is not None]
    if len(windows) < len(deciding):
        names = " and ".join(name for name, window in deciding.items() if window is None)
        raise _garbage(f"{source} answered with a usage window that makes no sense: {names}")
    return Reading((*windows, *_others(entries, at)), source, at)


def instant_of(value: Any, *, at: int) -> int | None:
    """An ISO time, or seconds since the epoch, in ms; None for anything else, or far from now."""
    moment = _moment(value)
    near = moment is not None and at - FURTHEST_RESET_MS <= moment <= at + FURTHEST_RESET_MS
    return moment if near else None


def _moment(value: Any) -> int | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value * SECOND_MS)
        moment = datetime.fromisoformat(value)
        return from_datetime(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError, TypeError):  # infinite, not a date, not a text
        return None


def _others(entries: dict[Any, Any], at: int) -> list[Window]:
    """The other windows, which are only shown: a few, with printable names."""
    named = [
        (name, entry)
        for name, entry in entries.items()
        if name not in BUCKETS and _is_name(name) and isinstance(entry, dict)
    ]
    windows = (_window(name, entry, at) for name, entry in named[:_MOST_OTHERS])
    return [window for window in windows if window is not None]


def _is_name(name: str) -> bool:
    return name.isascii() and name.isidentifier() and len(name) <= _LONGEST_NAME


def _window(name: str, entry: Any, at: int) -> Window | None:
    if not isinstance(entry, dict):
        return None
    used = _percent(entry.get("utilization"))
    return None if used is None else Window(name, used, instant_of(entry.get("resets_at"), at=at))


def _percent(value: Any) -> float | None:
    """A percentage from a number or a text; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        used = float(value)
    except (ValueError, OverflowError):  # not a number, or one of hundreds of digits
        return None
    return min(used, _MOST) if math.isfinite(used) and used >= 0 else None


def _garbage(message: str) -> UsageUnavailableError:
    return UsageUnavailableError(message, code="usage_garbage")
