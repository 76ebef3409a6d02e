"""Durations as people type them: ``90s``, ``1h30m``, ``1.5h`` (Go's spelling)."""

from __future__ import annotations

import re

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

# ``d`` is ours: Go has none, and people write it.
_UNIT_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS, "ms": 1}
_PART = r"(\d{1,12})(?:\.(\d{1,9}))?(ms|[dhms])"  # compiled on first use: import time

DURATION_HINT = "Write a duration such as 90s, 30m, 1h30m or 2d."


def duration_ms(text: str) -> int | None:
    """Milliseconds of a spelled duration; None when it is not one, or finer than a millisecond."""
    pattern, total, position = re.compile(_PART, re.ASCII), 0, 0
    while position < len(text):
        part = pattern.match(text, position)
        if part is None:
            return None
        whole, fraction, unit = part.groups(default="")
        amount, rest = divmod(int(whole + fraction) * _UNIT_MS[unit], 10 ** len(fraction))
        if rest:
            return None
        total += amount
        position = part.end()
    return total if text else None


def parse_duration(text: str) -> int:
    """Whole seconds of ``1h30m``, ``90s`` or a bare number of seconds such as ``45``.

    Raises:
        InvalidInputError: not a duration, or not a whole number of seconds.
    """
    compact = text.strip().lower().replace(" ", "")
    if compact.isascii() and compact.isdigit():
        compact += "s"
    milliseconds = duration_ms(compact)
    if milliseconds is None:
        raise InvalidInputError(f"Invalid duration {text!r}", hint=DURATION_HINT)
    if milliseconds % SECOND_MS:
        raise InvalidInputError(
            f"Invalid duration {text!r}: it is not a whole number of seconds", hint=DURATION_HINT
        )
    return milliseconds // SECOND_MS
