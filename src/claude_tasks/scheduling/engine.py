"""The engine: passes of named steps, one after the other, on one thread.

A pass reads the clock once. Between passes the engine sleeps until the next tick, the next start,
an answer from the spawner, a wake-up, or at most `LOOK_SECONDS`, within which it also notices what
other processes wrote and whether the wall clock jumped.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from claude_tasks.domain.clock_step import AHEAD_MS
from claude_tasks.domain.errors import (
    DatabaseGoneError,
    IllegibleError,
    LeadershipLostError,
    StorageError,
    StorageValueError,
)
from claude_tasks.scheduling.complaint import Complaint
from claude_tasks.system.service_thread import ServiceThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.lease import Term
    from claude_tasks.domain.ports import ChangeFeed, Clock, Execution
    from claude_tasks.scheduling.dispatcher import Dispatcher
    from claude_tasks.scheduling.leadership import Leadership
    from claude_tasks.scheduling.rescuer import Rescuer
    from claude_tasks.scheduling.ticker import Ticker

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 0.2
"""The longest sleep: changes by other processes are noticed within this."""

RESCUE_SECONDS = 1.0
TIDY_SECONDS = 60.0
_AFTER_FAILURE_SECONDS = 0.5
_GATHER_SECONDS = 0.02
"""Runs that end together are recorded together: one transaction for many."""
_NEVER = 1 << 62


class _Look(NamedTuple):
    """What an idle pass saw: valid from ``at`` until ``quiet_until``."""

    term: Term | None
    at: int
    quiet_until: int


class Engine:
    """One node's scheduling and execution: `run_pass` does one pass."""

    def __init__(
        self,
        *,
        clock: Clock,
        ticker: Ticker,
        dispatcher: Dispatcher,
        rescuer: Rescuer,
        execution: Execution,
        leadership: Leadership,
        changes: ChangeFeed,
        rescues: bool = False,
        require_same: Callable[[], None],
    ) -> None:
        """``leadership`` gives the term; with ``rescues`` a node without a term rescues too.

        ``require_same`` belongs to the store that all the parts share.
        """
        self._require_same = require_same
        self._clock = clock
        self._ticker = ticker
        self._dispatcher = dispatcher
        self._rescuer = rescuer
        self._execution = execution
        self._leadership = leadership
        self._changes = changes
        self._rescues = rescues
        self._rescue_after = 0.0
        self._tidy_after = 0.0
        self._rescued_in: Term | None = None
        self._progressed_at = clock.monotonic()
        self._clock_offset: float | None = None
        self._last_look: _Look | None = None
        self._complaint = Complaint(log)
        self._failed_steps: dict[str, str] = {}

    def progressed_at(self) -> float:
        """When the last pass was completed, monotonic seconds. Read by the lease keeper."""
        return self._progressed_at

    def run_pass(self) -> float:
        """Do all that is due now; the seconds until there may be more.

        Errors: those of the store; `DatabaseGoneError`, and then nothing was done.
        """
        self._require_same()
        at = self._clock.now()
        term = self._leadership.term()
        self._watch_clock(at)
        if self._nothing_new(term, at):
            self._note_progress()
            return LOOK_SECONDS
        # Before ticks: runs that have ended, here or on a dead node, must not count as overlap, and
        # free their places.
        self._try(lambda: self._rescue(term, at=at), "rescue")
        self._try(lambda: self._execution.settle(at=at), "settle")
        more = self._try(lambda: self._set_clock_back(term, at=at), "clock") or False
        more = self._try(lambda: self._take_ticks(term, at=at), "ticks") or more
        self._try(lambda: self._dispatcher.start_queued(term, at=at), "start")
        self._try(self._dispatcher.cancel_requested, "cancel")
        self._note_progress()
        more = more or self._execution.pending
        if more:
            return 0.0
        wait = self._try(lambda: self._sleep_for(term, at=at), "sleep")
        return LOOK_SECONDS if wait is None else wait

    def _try(self, step: Callable[[], T], name: str) -> T | None:
        """Do one step; an unforeseen error in it is logged and does not stop the other steps.

        An error of the database or the lease ends the pass: see `try_pass`.
        """
        try:
            result = step()
        except (IllegibleError, StorageValueError) as error:
            failure: Exception = error
        except (DatabaseGoneError, LeadershipLostError, StorageError):
            raise
        except Exception as error:  # noqa: BLE001 (said below)
            failure = error
        else:
            self._failed_steps.pop(name, None)
            return result
        if self._failed_steps.get(name) != repr(failure):
            log.error("the step %r of a pass failed, the others go on", name, exc_info=failure)
        self._failed_steps[name] = repr(failure)
        return None

    def _note_progress(self) -> None:
        """Count a pass as progress, unless the spawner hangs: then no agent could start."""
        if not self._execution.stuck:
            self._progressed_at = self._clock.monotonic()

    def _nothing_new(self, term: Term | None, at: int) -> bool:
        """Whether a pass would find the same as the last one: a cheap check for an idle node."""
        changed = self._changes.changed()
        last, self._last_look = self._last_look, None
        if (
            changed
            or last is None
            or self._execution.busy
            or term != last.term
            or not last.at <= at < last.quiet_until
            or self._clock.monotonic() >= self._rescue_after
        ):
            return False
        self._last_look = last
        return True

    def try_pass(self) -> float:
        """Do a pass and handle errors of database and disk; the seconds to wait."""
        try:
            wait = self.run_pass()
        except LeadershipLostError as error:
            log.info("%s", error)
            self._leadership.doubt()
            return LOOK_SECONDS
        except StorageError as error:
            text = f"this pass could not be completed: {error}"
            self._complaint.state(text, monotonic=self._clock.monotonic())
            return _AFTER_FAILURE_SECONDS
        self._complaint.settle()
        return wait

    def _set_clock_back(self, term: Term | None, *, at: int) -> bool:
        """Before ticks are taken: undo what a clock that was ahead moved into the future."""
        return term is not None and self._ticker.set_clock_back(term, at=at)

    def _take_ticks(self, term: Term | None, *, at: int) -> bool:
        return term is not None and self._ticker.take_due(term, at=at)

    def _rescue(self, term: Term | None, *, at: int) -> None:
        """Rescue at the start of a term and at intervals; a follower rescues its own runs only."""
        monotonic = self._clock.monotonic()
        if term == self._rescued_in and monotonic < self._rescue_after:
            return
        self._rescuer.resume_own()
        if term is not None or self._rescues:
            self._rescuer.take_over(term, at=at)
        if term is not None:
            self._try(lambda: self._ticker.resume(term, at=at), "resume")
        begins = term != self._rescued_in and term is not None
        self._rescued_in = term
        self._rescue_after = monotonic + RESCUE_SECONDS
        if begins or monotonic >= self._tidy_after:
            self._tidy_after = monotonic + TIDY_SECONDS
            self._try(self._rescuer.tidy, "tidy")

    def _sleep_for(self, term: Term | None, *, at: int) -> float:
        nexts = [self._dispatcher.next_start_at(leading=term is not None, after=at)]
        if term is not None:
            nexts.append(self._ticker.next_at())
        next_at = min((instant for instant in nexts if instant is not None), default=_NEVER)
        # One look earlier, so that the last sleep before the instant is computed afresh.
        self._last_look = _Look(term, at, next_at - round(LOOK_SECONDS * 1000))
        return max(0.0, min(LOOK_SECONDS, (next_at - self._clock.now()) / 1000))

    def _watch_clock(self, at: int) -> None:
        """Log that the wall clock was set: ticks then come early, late or again."""
        offset = at / 1000 - self._clock.monotonic()
        if self._clock_offset is not None:
            jump = round(offset - self._clock_offset, 3)
            if abs(jump) * 1000 > AHEAD_MS:
                log.warning("the wall clock jumped by %+.1f s", jump)
        self._clock_offset = offset


class EngineThread(ServiceThread):
    """Runs an engine's passes. `stop` waits for the pass under way; agents go on without it."""

    def __init__(self, engine: Engine, execution: Execution, *, close: Callable[[], None]) -> None:
        """``close`` closes the engine's connection when the thread ends."""
        super().__init__("engine")
        self._engine = engine
        self._execution = execution
        self._close = close
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)

    def prepare(self) -> None:
        """Get execution ready. Errors: `OSError`."""
        self._execution.start()

    def wake(self) -> None:
        """Make the thread begin a pass now."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._writing, b".")

    def run(self) -> None:
        """Do passes until `stop`."""
        while not self.stopping.is_set():
            self._sleep(self._engine.try_pass())

    def interrupt(self) -> None:
        """End the sleep between two passes."""
        self.wake()

    def finish(self) -> None:
        """Stop watching runs, and close the database."""
        self._execution.stop()
        self._close()

    def _sleep(self, seconds: float) -> None:
        poller = select.poll()
        poller.register(self._reading, select.POLLIN)
        descriptor = self._execution.descriptor
        if descriptor is not None:
            poller.register(descriptor, select.POLLIN)
        # Rounded up: a poll that ends a hair early would spin until the tick is due.
        for woken, _ in poller.poll(int(seconds * 1000) + 1 if seconds > 0 else 0):
            if woken == self._reading:
                os.read(self._reading, 4096)
            else:
                self.stopping.wait(_GATHER_SECONDS)
