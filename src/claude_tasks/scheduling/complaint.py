"""A warning about lasting trouble: logged once, repeated rarely, and logged again when it is over.

A full disk fails five passes a second; a line for each would fill the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging

REPEAT_SECONDS = 60.0


class Complaint:
    """The lasting trouble of one actor. ``monotonic`` is in seconds, from the actor's clock."""

    def __init__(self, log: logging.Logger) -> None:
        """Begin without trouble."""
        self._log = log
        self._text: str | None = None
        self._again_at = 0.0

    def state(self, text: str, *, monotonic: float) -> None:
        """Log what is wrong, unless it was just logged."""
        if text != self._text or monotonic >= self._again_at:
            self._log.warning("%s", text)
            self._text = text
            self._again_at = monotonic + REPEAT_SECONDS

    def settle(self) -> None:
        """Log that the trouble is over, where there was any."""
        if self._text is not None:
            self._log.info("over: %s", self._text)
            self._text = None
