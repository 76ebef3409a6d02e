"""``@every 90s``: a fixed period of real time, from an anchor. No clock change touches it."""

from __future__ import annotations

from typing import NamedTuple

from claude_tasks.domain.instant import DAY_MS, SECOND_MS, human_duration
from claude_tasks.domain.schedule.duration import duration_ms
from claude_tasks.domain.schedule.refusal import refuse
from claude_tasks.domain.schedule.zones import in_zone

PREFIX = "@every"
_MAX_PERIOD_MS = 366 * DAY_MS
_EVERY_HINT = (
    "Write '@every' and a duration of whole seconds, such as '@every 90s' or '@every 1h30m'."
)


class Every(NamedTuple):
    """Ticks at ``anchor_at`` + k * ``period_ms`` for k = 1, 2, …; the first is one period away."""

    expression: str
    timezone: str
    anchor_at: int
    period_ms: int

    def next_after(self, at: int) -> int | None:
        """The first tick strictly after ``at``; there always is one."""
        return self.anchor_at + max(1, self._periods_until(at) + 1) * self.period_ms

    def latest_at_or_before(self, at: int, *, after: int) -> int | None:
        """The latest tick t with ``after`` < t <= ``at``, or None."""
        periods = self._periods_until(at)
        tick = self.anchor_at + periods * self.period_ms
        return tick if periods >= 1 and tick > after else None

    def count_between(self, after: int, until: int) -> int:
        """How many ticks t have ``after`` < t <= ``until``."""
        return max(0, self._periods_until(until) - max(0, self._periods_until(after)))

    def describe(self) -> str:
        """One English sentence, with the zone."""
        period, anchor_at = human_duration(self.period_ms), self.anchor_at
        since = f", counted from {in_zone(anchor_at, self.timezone)}" if anchor_at else ""
        zone = "" if since.endswith(f" {self.timezone}") else f" ({self.timezone})"
        return f"Every {period}{since}{zone}."

    def dst_note(self, tick: int) -> str | None:  # noqa: ARG002  (the protocol's signature)
        """Never anything: real time has no gaps."""
        return None

    def _periods_until(self, at: int) -> int:
        return (at - self.anchor_at) // self.period_ms


def parse_every(expression: str, *, timezone: str, anchor_at: int, text: str) -> Every:
    """Read ``text``, what follows ``@every``. Raises InvalidInputError."""
    period = duration_ms(text.strip().lower().replace(" ", ""))
    if period is None:
        raise refuse(f"{text.strip()!r} is not a duration", _EVERY_HINT)
    if period % SECOND_MS:
        raise refuse(f"the period {text.strip()!r} is not a whole number of seconds", _EVERY_HINT)
    if period < SECOND_MS:
        raise refuse("a period of nothing would fire without end", _EVERY_HINT)
    if period > _MAX_PERIOD_MS:
        raise refuse(
            f"the period {text.strip()!r} is longer than a year", "Write @yearly, or a one-off."
        )
    return Every(expression, timezone, anchor_at // SECOND_MS * SECOND_MS, period)
