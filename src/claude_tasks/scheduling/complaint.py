"""A warning that stands until it is over: said once, now and then again, and when all is well.

A full disk fails five looks a second; a line for each would fill the next disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

REPEAT_SECONDS = 60.0


class Complaint:
    """One actor's standing trouble. ``monotonic`` is in seconds, from the actor's clock."""

    def __init__(self, log: logging.Logger) -> None:
        """Nothing is wrong yet."""
        self._log = log
        self._text: str | None = None
        self._again_at = 0.0

    def state(self, text: str, *, monotonic: float) -> None:
        """Say what is wrong, unless that was just said."""
        if text != self._text or monotonic >= self._again_at:
            self._log.warning("%s", text)
            self._text = text
            self._again_at = monotonic + REPEAT_SECONDS

    def settle(self) -> None:
        """All is well; say so when it was not."""
        if self._text is not None:
            self._log.info("over: %s", self._text)
            self._text = None
