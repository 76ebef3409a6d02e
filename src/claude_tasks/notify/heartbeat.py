"""A dead man's switch: the leader calls an outside service at intervals.

When the calls stop, the service raises the alarm: a dead machine cannot.
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
    """GETs an address once an interval, while the node is healthy."""

    def __init__(
        self, url: str, *, interval: float, healthy: Callable[[], bool], clock: Clock
    ) -> None:
        """``interval`` is in seconds; ``healthy`` is called before each beat."""
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
        """Beat if it is due: on its own thread, because the service may not answer."""
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
