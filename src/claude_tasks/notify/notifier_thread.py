"""The notifier's thread: a step every second, and at every answer, until told to stop."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import StorageError, traceback_of
from claude_tasks.system.service_thread import ServiceThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.notify.notifier import Notifier

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_GOODBYE_SECONDS = 2.0
"""How long to wait for attempts under way when stopping: an unrecorded one is sent again."""


class NotifierThread(ServiceThread):
    """Steps a `Notifier`. `stop` lets the attempts under way end, if they end soon."""

    patience = _GOODBYE_SECONDS + 1

    def __init__(self, notifier: Notifier, *, close: Callable[[], None]) -> None:
        """``close`` closes the notifier's connection when the thread ends."""
        super().__init__("notifier")
        self._notifier = notifier
        self._close = close
        self._blind = False

    def run(self) -> None:
        """Step at every answer, and every second; at the end wait for the remaining answers."""
        while not self.stopping.is_set():
            self._notifier.wait(_LOOK_SECONDS)
            self._try(self._notifier.step)
        self._hear_the_last()

    def interrupt(self) -> None:
        """End the wait, and begin no more attempts."""
        self._notifier.stop()

    def finish(self) -> None:
        """Close the database."""
        self._close()

    def _hear_the_last(self) -> None:
        deadline = time.monotonic() + _GOODBYE_SECONDS
        while self._notifier.busy and time.monotonic() < deadline:
            self._notifier.wait(_GOODBYE_SECONDS / 20)
            self._try(self._notifier.record_answers)

    def _try(self, work: Callable[[], None]) -> None:
        """Do work whose errors are logged only: they must not end the node."""
        try:
            work()
        except StorageError as error:
            self._complain("messages have to wait: %s", error)
        except Exception as error:  # noqa: BLE001 (see above)
            self._complain("messages have to wait, for the notifier failed: %r", error)
        else:
            self._blind = False

    def _complain(self, text: str, error: Exception) -> None:
        if not self._blind:  # once a second would fill the log
            log.error(text, error, exc_info=traceback_of(error))
        self._blind = True
