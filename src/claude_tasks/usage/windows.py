"""Windows as sources spell them: ``{"five_hour": {"utilization": 37.0, "resets_at": …}, …}``."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.instant import from_datetime
from claude_tasks.domain.usage import BUCKETS, Reading, Window

_MOST = 1_000_000.0


def reading_of(answer: Any, *, source: str, at: int) -> Reading:
    """The windows of an answer. Errors: `UsageUnavailableError` where it holds none that decides.

    Other keys come and go with versions of the service: only what has the shape of a window counts.
    """
    entries = answer.items() if isinstance(answer, dict) else ()
    windows = [_window(name, entry) for name, entry in entries if isinstance(entry, dict)]
    found = tuple(window for window in windows if window is not None)
    if not any(window.name in BUCKETS for window in found):
        raise UsageUnavailableError(
            f"{source} answered without a usage window", code="usage_garbage"
        )
    return Reading(found, source, at)


def _window(name: object, entry: dict[str, Any]) -> Window | None:
    used = entry.get("utilization")
    if isinstance(used, bool) or not isinstance(used, int | float) or not math.isfinite(used):
        return None
    return Window(str(name), min(max(float(used), 0.0), _MOST), instant_of(entry.get("resets_at")))


def instant_of(value: Any) -> int | None:
    """An ISO time, or seconds since the epoch; None for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**33:
        return int(value * 1000)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return from_datetime(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
