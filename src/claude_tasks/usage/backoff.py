"""Why no source answered, in one record: which source's reason counts, and when to ask again.

trouble on this machine  ─▶ 1 s: a look is cheap, and a login must count at once
the token is refused     ─▶ 30 s: a new login may replace it any time
everything else          ─▶ 30 s, doubled each time up to 15 min; a longer `retry-after` counts
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.domain.errors import UsageUnavailableError
from claude_tasks.domain.instant import HOUR_MS, MINUTE_MS, SECOND_MS
from claude_tasks.domain.usage import NO_AGENT, Failure, is_local_trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_RETRY_AFTER_MS = HOUR_MS
"""A longer `retry-after` is cut to this."""

_FIRST_MS = 30 * SECOND_MS
_LONGEST_MS = 15 * MINUTE_MS
_LOCAL_MS = SECOND_MS
_MOST_DOUBLINGS = 10


def failure_of(
    errors: Sequence[tuple[str, UsageUnavailableError]], last: Failure | None, *, at: int
) -> Failure:
    """The failure of all sources, given by name; ``last`` is the failure before.

    The last source's reason comes first. But where no source was asked over the network, a missing
    agent comes first: a login does not help without it.
    """
    if not errors:
        errors = [("", UsageUnavailableError("there is no source to ask", code="no_source"))]
    if is_local_trouble(errors[-1][1].code):
        errors = sorted(errors, key=lambda told: told[1].code == NO_AGENT)
    told = errors[-1][1]
    before = _failures_alike(last, told.code)
    return Failure(told.code, _text(errors), at, at + _wait_ms(told, before), before + 1)


def _text(errors: Sequence[tuple[str, UsageUnavailableError]]) -> str:
    """``the reason that counts (cli: another's); what helps``."""
    told = errors[-1][1]
    if told.code == NO_AGENT:
        errors = errors[-1:]  # without an agent the other sources' reasons do not matter
    others = [f"{name}: {error.message}" for name, error in errors[:-1]]
    text = f"{told.message} ({'; '.join(others)})" if others else told.message
    return f"{text}; {told.hint}" if told.hint else text


def _failures_alike(last: Failure | None, code: str) -> int:
    """How many failures of this kind (local, or of a service) came in a row before this one."""
    return (
        last.repeated
        if last is not None and is_local_trouble(last.code) == is_local_trouble(code)
        else 0
    )


def _wait_ms(error: UsageUnavailableError, before: int) -> int:
    if is_local_trouble(error.code):
        return _LOCAL_MS
    doublings = 0 if error.code == "usage_unauthorized" else min(before, _MOST_DOUBLINGS)
    own = min(_FIRST_MS << doublings, _LONGEST_MS)
    if error.retry_after is None:
        return own
    return max(own, round(min(error.retry_after * SECOND_MS, LONGEST_RETRY_AFTER_MS)))
