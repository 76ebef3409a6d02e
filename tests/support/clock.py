"""A clock that moves when told."""

from __future__ import annotations

START = 1_790_000_000_000  # 2026-09-21T14:13:20Z
SECOND = 1000


class FakeClock:
    """`claude_tasks.domain.ports.Clock`: wall and monotonic time, moved by hand."""

    def __init__(self, at: int = START) -> None:
        self._now = at
        self._monotonic = 1000.0

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * 1000)
        self._monotonic += seconds

    def set_wall(self, at: int) -> None:
        """Somebody sets the clock; no time passes."""
        self._now = at
