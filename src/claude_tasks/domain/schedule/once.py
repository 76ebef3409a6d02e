"""A one-off: one tick, at a given instant."""

from __future__ import annotations

from typing import NamedTuple

from claude_tasks.domain.schedule.zones import in_zone


class Once(NamedTuple):
    """The schedule of a one-off task. The zone is only for showing the time to people."""

    scheduled_at: int
    timezone: str
    expression: str = ""

    def next_after(self, at: int) -> int | None:
        """The tick while it lies ahead of ``at``, then None."""
        return self.scheduled_at if self.scheduled_at > at else None

    def latest_at_or_before(self, at: int, *, after: int) -> int | None:
        """The tick when ``after`` < tick <= ``at``, or None."""
        return self.scheduled_at if after < self.scheduled_at <= at else None

    def describe(self) -> str:
        """One English sentence, with the zone."""
        return f"Once, at {in_zone(self.scheduled_at, self.timezone)} ({self.timezone})."

    def dst_note(self, tick: int) -> str | None:
        """Which pass it is when the clocks show this time twice."""
        from claude_tasks.domain.schedule.words import repeated_note  # noqa: PLC0415
        from claude_tasks.domain.schedule.zones import zone_clock  # noqa: PLC0415

        return repeated_note(zone_clock(self.timezone), tick, fires_twice=False)
