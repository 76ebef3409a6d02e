"""Why nobody answered, in one record: whose reason counts, and when to ask again.

trouble on this machine  ─▶ 1 s: looking costs nobody anything, and a login must count at once
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
"""Nobody who is asked keeps runs waiting for longer."""

_FIRST_MS = 30 * SECOND_MS
_LONGEST_MS = 15 * MINUTE_MS
_LOCAL_MS = SECOND_MS
_MOST_DOUBLINGS = 10


def failure_of(
    errors: Sequence[tuple[str, UsageUnavailableError]], last: Failure | None, *, at: int
) -> Failure:
    """What all sources said, by their names; ``last`` is the failure before.

    The last source's reason leads: whoever came before could not help. But where nobody was asked
    over the network, an agent that is missing does: a login helps nothing without it.
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
        errors = errors[-1:]  # what others lack is not worth a word before there is one
    others = [f"{name}: {error.message}" for name, error in errors[:-1]]
    text = f"{told.message} ({'; '.join(others)})" if others else told.message
    return f"{text}; {told.hint}" if told.hint else text


def _failures_alike(last: Failure | None, code: str) -> int:
    """A minute without a login, which is sixty failures, says nothing of the service's troubles."""
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
