"""The clocks of this machine."""

from __future__ import annotations

import time


class SystemClock:
    """`claude_tasks.domain.ports.Clock`."""

    def now(self) -> int:
        """Milliseconds since the epoch, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()
