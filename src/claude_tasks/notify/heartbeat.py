"""A dead man's switch: somebody outside hears that the leader lives.

When that stops, they raise the alarm: silence is all that a dead machine can say.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from claude_tasks.notify.sending import ping

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.ports import Clock

log = logging.getLogger(__name__)

_SECONDS = 10.0


class Heartbeat:
    """GETs an address once an interval, as long as all is well."""

    def __init__(
        self, url: str, *, interval: float, healthy: Callable[[], bool], clock: Clock
    ) -> None:
        """``interval`` is in seconds; ``healthy`` is asked before each beat."""
        self._url = url
        self._interval = interval
        self._healthy = healthy
        self._clock = clock
        self._next: float | None = None
        self._beating: threading.Thread | None = None

    @property
    def busy(self) -> bool:
        """Whether a beat is under way."""
        return self._beating is not None and self._beating.is_alive()

    def beat(self) -> None:
        """Beat if it is time: on a thread of its own, for nobody may answer."""
        now = self._clock.monotonic()
        early = self._next is not None and now < self._next
        if early or self.busy or not self._healthy():
            return
        self._next = now + self._interval
        self._beating = threading.Thread(target=self._ping, name="heartbeat", daemon=True)
        self._beating.start()

    def _ping(self) -> None:
        came = ping(self._url, seconds=_SECONDS, at=self._clock.now())
        if not came.delivered:
            log.warning("the heartbeat was not heard: %s", came.detail)
