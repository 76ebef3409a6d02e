"""A service with its own thread: the life cycle of all threads besides the main one.

    made ──start──▶ running ──stop──▶ ended
                       └── an error ──▶ failed: it is logged, and kept in `failure`

`start` reports failure, `stop` blocks until the thread has ended, and both may be called again.
"""

from __future__ import annotations

import logging
import threading

from claude_tasks.domain.errors import traceback_of

log = logging.getLogger(__name__)


class ServiceThread:
    """The base of a service, which says what to `run`; the other steps may be left out.

    The thread that starts and stops the service calls `prepare`, `confirm` and `interrupt`; the
    service's own thread calls `run` and `finish`.
    """

    patience: float | None = None
    """Seconds that `stop` waits for the thread, None for as long as it takes."""

    def __init__(self, name: str) -> None:
        """``name`` is the thread's, and the service's in the log."""
        self.name = name
        self.failure: BaseException | None = None
        """What ended `run`, when it was not `stop`: the process must not go on without it."""
        self.stopping = threading.Event()
        """Set by `stop`: `run` returns soon after."""
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)

    def run(self) -> None:
        """Do the work until ``stopping`` is set."""
        raise NotImplementedError

    def prepare(self) -> None:
        """What may fail before there is a thread. Errors: its own, and then nothing was started."""

    def confirm(self) -> None:
        """Wait until the thread is at work. Errors: what keeps it from that."""

    def interrupt(self) -> None:
        """Have `run` notice at once that it is to stop. Called by every `stop`."""

    def finish(self) -> None:
        """Release what `run` used, also after an error."""

    def start(self) -> None:
        """Begin. Errors: those of `prepare` and `confirm`."""
        if self._thread.ident is not None:
            return
        self.prepare()
        self._thread.start()
        self.confirm()

    def stop(self) -> None:
        """End, and wait for it as long as ``patience`` says."""
        self.stopping.set()
        self.interrupt()
        if self._thread.is_alive():
            self._thread.join(self.patience)

    def _live(self) -> None:
        try:
            self.run()
        except BaseException as error:
            log.critical("the %s failed: %s", self.name, error, exc_info=traceback_of(error))
            self.failure = error
        finally:
            self.finish()
