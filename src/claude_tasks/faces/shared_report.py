"""One look of the doctor's at a time, shared by all who ask meanwhile."""

from __future__ import annotations

import threading
import time
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.settings import Settings

FRESH_SECONDS = 2.0


class SharedReport:
    """Whoever comes during a look waits for it, and gets what it found.

    An agent that hangs takes ten seconds of one look, however many ask.
    """

    def __init__(
        self, look: Callable[[], dict[str, Any]], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """``look`` takes as long as it takes."""
        self._look = look
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._report: dict[str, Any] = {}
        self._ended = float("-inf")

    def get(self) -> dict[str, Any]:
        """A report that is at most two seconds old. For any thread."""
        with self._lock:
            if self._monotonic() - self._ended > FRESH_SECONDS:
                self._report = self._look()
                self._ended = self._monotonic()
            return self._report


@cache
def shared_report(settings: Settings, look: Callable[[Settings], dict[str, Any]]) -> SharedReport:
    """The one of these settings."""
    return SharedReport(lambda: look(settings))
