"""The usage keeper: asks the sources on request, in one process at a time.

It has its own thread, so that a source that hangs delays no tick: runs wait in the queue until
there is an answer or a recorded failure. An error of a source never ends the node.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from claude_tasks.domain.errors import StorageError, UsageUnavailableError
from claude_tasks.domain.instant import SECOND_MS
from claude_tasks.domain.usage import (
    NO_AGENT,
    Decision,
    Failure,
    Reading,
    decide,
    is_local_trouble,
)
from claude_tasks.system.service_thread import ServiceThread
from claude_tasks.usage.backoff import failure_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.usage_ports import UsageSource, UsageStore

log = logging.getLogger(__name__)

ASKING_SECONDS = 30.0
"""Longer than all sources together may take: after it the asking process counts as dead."""

_LOOK_SECONDS = 0.2
_STOP_SECONDS = 1.0

_SERIES_MS = 5 * SECOND_MS
_PROCESS_EVERY = 10
"""While trouble on this machine is checked every second, only every tenth check starts a process:
an agent takes half a second of CPU time, reading the credentials almost none."""


@runtime_checkable
class ProcessSource(Protocol):
    """A source that starts a process to ask, which must be ended when the node stops."""

    def cancel(self) -> None:
        """End the process, and start no more. For any thread. Repeatable."""
        ...


class UsageKeeper:
    """Asks in `step`. Only this actor uses its store."""

    def __init__(
        self,
        *,
        store: UsageStore,
        sources: Sequence[UsageSource],
        clock: Clock,
        node_id: str,
    ) -> None:
        """``sources`` are asked in this order until one answers."""
        self._store = store
        self._sources = sources
        self._clock = clock
        self._node_id = node_id
        self._cancelled = False
        self.notify: Callable[[], None] = lambda: None
        """Called after an answer or a failure was recorded."""

    def cancel(self) -> None:
        """End a request under way, and begin no more. For any thread. Repeatable."""
        self._cancelled = True
        for source in self._sources:
            if isinstance(source, ProcessSource):
                source.cancel()

    def step(self) -> bool:
        """Ask, unless the answer is known or another process asks; False while that does."""
        if not self._is_known():
            at = self._clock.now()
            until = at + round(ASKING_SECONDS * SECOND_MS)
            if not self._store.begin_asking(self._node_id, at=at, until=until):
                return False
            self._ask_once()
        self.notify()
        return True

    def _is_known(self) -> bool:
        judgement = decide(self._store.read_usage(), threshold=0, at=self._clock.now())
        return judgement.decision is not Decision.ASK

    def _ask_once(self) -> None:
        """Ask for all processes; record the result, or let others ask at once."""
        recorded = False
        try:
            # Another process may have recorded an answer before our turn.
            recorded = not self._is_known() and self._ask()
        finally:
            if not recorded:
                self._give_back()

    def _ask(self) -> bool:
        """Ask the sources; whether something was recorded, which a stop prevents."""
        last = self._store.read_usage().failure
        errors: list[tuple[str, UsageUnavailableError]] = []
        for source in self._worth_asking(last):
            answer = self._answer_of(source)
            if isinstance(answer, Reading):
                self._store.record_reading(answer)
                return True
            if self._cancelled:
                return False
            if answer.code != "subscription":  # not a failure
                errors.append((source.name, answer))
        failure = failure_of(errors, last, at=self._clock.now())
        log.info("usage is not known: %s", failure.message)  # runs that it stops log a warning
        self._store.record_failure(failure)
        return True

    def _worth_asking(self, last: Failure | None) -> Sequence[UsageSource]:
        """The sources to ask: in local trouble, those that start a process each tenth time.

        Without an agent they start none, so they are asked each time: a newly installed one counts.
        """
        if last is None or not is_local_trouble(last.code) or last.code == NO_AGENT:
            return self._sources
        if last.repeated % _PROCESS_EVERY == 0:
            return self._sources
        if not 0 <= self._clock.now() - last.at < _SERIES_MS:
            return self._sources
        cheap = [source for source in self._sources if not isinstance(source, ProcessSource)]
        return cheap or self._sources

    def _answer_of(self, source: UsageSource) -> Reading | UsageUnavailableError:
        try:
            return source.ask(at=self._clock.now())._replace(at=self._clock.now())
        except UsageUnavailableError as error:
            return error
        except Exception as error:
            log.exception("the usage source %s failed", source.name)
            return UsageUnavailableError(
                f"the usage source {source.name} failed: {type(error).__name__}",
                hint="the log of the node tells more",
                code="usage_error",
            )

    def _give_back(self) -> None:
        try:
            self._store.end_asking(self._node_id)
        except StorageError as error:
            log.info("others ask about usage only in %g s: %s", ASKING_SECONDS, error)


def ask_now(keeper: UsageKeeper, *, sleep: Callable[[float], None]) -> None:
    """Wait until an answer is recorded, by this keeper or another's. Errors: `StorageError`."""
    looks = round(ASKING_SECONDS / _LOOK_SECONDS) + 1
    for _ in range(looks):
        if keeper.step():
            return
        sleep(_LOOK_SECONDS)


class UsageThread(ServiceThread):
    """Steps a `UsageKeeper` whenever it is asked to.

    `stop` ends the process that is being asked. A request that hangs ends with this process.
    """

    patience = _STOP_SECONDS

    def __init__(self, keeper: UsageKeeper, *, close: Callable[[], None]) -> None:
        """``close`` closes the keeper's connection when the thread ends."""
        super().__init__("usage keeper")
        self._keeper = keeper
        self._close = close
        self._wanted = threading.Event()

    def tell(self, notify: Callable[[], None]) -> None:
        """Have ``notify`` called after each answer or failure. Call it before `start`."""
        self._keeper.notify = notify

    def want(self) -> None:
        """Request an answer. Does nothing while one is on its way."""
        self._wanted.set()

    def run(self) -> None:
        """Wait for a request, and step until there is an answer."""
        while self._wanted.wait() and not self.stopping.is_set():
            self._wanted.clear()
            if not self._try_step():
                self.stopping.wait(_LOOK_SECONDS)
                self._wanted.set()

    def interrupt(self) -> None:
        """End the wait for a request or an answer."""
        self._wanted.set()
        self._keeper.cancel()

    def finish(self) -> None:
        """Close the database."""
        self._close()

    def _try_step(self) -> bool:
        try:
            return self._keeper.step()
        except StorageError as error:
            log.warning("usage could not be recorded: %s", error)
            return False
