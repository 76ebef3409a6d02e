"""The usage keeper: asks the sources when somebody wants to know, one process at a time.

It works on a thread of its own, so that a source that hangs delays no tick: runs wait in the queue
until it has an answer, or a reason why there is none.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import StorageError, UsageUnavailableError
from claude_tasks.domain.usage import Answer, Failure, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.usage_ports import UsageSource, UsageStore

log = logging.getLogger(__name__)

ASKING_SECONDS = 30.0
"""Longer than all sources together may take: after it whoever asks is taken for dead."""

_LOOK_SECONDS = 0.2
_FIRST_BACKOFF_MS = 30_000
_LONGEST_BACKOFF_MS = 15 * 60_000
_LOCAL_BACKOFF_MS = 1_000
_LOCAL = frozenset({"no_credentials", "credentials_expired", "usage_no_agent"})
"""What costs nobody anything to ask again: a login must count at once, without a restart."""


class UsageKeeper:
    """One `step` at a time. The store is for this actor alone."""

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
        self.notify: Callable[[], None] = lambda: None
        """Called when there is news."""

    def step(self) -> bool:
        """Ask, unless the answer is known or somebody else asks; False while that one does."""
        at = self._clock.now()
        snapshot = self._store.read_usage()
        if judge(snapshot, threshold=0, at=at).answer is not Answer.ASK:
            self.notify()
            return True
        until = at + round(ASKING_SECONDS * 1000)
        if not self._store.begin_asking(self._node_id, at=at, until=until):
            return False
        failures = snapshot.failure.repeated if snapshot.failure is not None else 0
        self._ask(failures)
        self.notify()
        return True

    def _ask(self, failures: int) -> None:
        errors: list[UsageUnavailableError] = []
        for source in self._sources:
            try:
                reading = source.ask(at=self._clock.now())
            except UsageUnavailableError as error:
                if error.code != "subscription":  # that is no trouble
                    errors.append(error)
                continue
            self._store.record_reading(reading._replace(at=self._clock.now()))
            return
        failure = _failure(errors, failures, at=self._clock.now())
        log.info("usage is not known: %s", failure.message)  # what that stops is a warning
        self._store.record_failure(failure)


def ask_now(keeper: UsageKeeper, *, sleep: Callable[[float], None]) -> None:
    """Wait until an answer is recorded, by this keeper or another's. Errors: `StorageError`."""
    looks = round(ASKING_SECONDS / _LOOK_SECONDS)
    for _ in range(looks):
        if keeper.step():
            return
        sleep(_LOOK_SECONDS)


class UsageThread:
    """Steps a `UsageKeeper` whenever it is asked to."""

    def __init__(self, keeper: UsageKeeper, *, close: Callable[[], None]) -> None:
        """``close`` lets the keeper's connection go when the thread ends."""
        self._keeper = keeper
        self._close = close
        self._wanted = threading.Event()
        self._stopping = False
        self.failure: BaseException | None = None
        """What ended the thread, when it was not `stop`."""
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)

    def start(self) -> None:
        """Wait to be asked."""
        self._thread.start()

    def tell(self, notify: Callable[[], None]) -> None:
        """Call this when there is news. To be said before `start`."""
        self._keeper.notify = notify

    def want(self) -> None:
        """Have an answer as soon as may be. Costs nothing while one is on its way."""
        self._wanted.set()

    def stop(self) -> None:
        """End. A source that hangs is left behind: it ends with the process. Repeatable."""
        self._stopping = True
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_LOOK_SECONDS)

    def _run(self) -> None:
        try:
            while self._wanted.wait() and not self._stopping:
                self._wanted.clear()
                if not self._try_step():
                    threading.Event().wait(_LOOK_SECONDS)
                    self._wanted.set()
        except BaseException as error:
            log.critical("the usage keeper failed", exc_info=error)
            self.failure = error
        finally:
            self._close()

    def _try_step(self) -> bool:
        try:
            return self._keeper.step()
        except StorageError as error:
            log.warning("usage could not be recorded: %s", error)
            return False


def _failure(errors: Sequence[UsageUnavailableError], before: int, *, at: int) -> Failure:
    """What all sources said; the last one's reason counts: whoever came before could not help."""
    nobody = UsageUnavailableError("there is no source to ask", code="no_source")
    told = errors[-1] if errors else nobody
    text = "; ".join(dict.fromkeys(error.message for error in errors)) or told.message
    return Failure(told.code, text, at, at + _backoff_ms(told, before), before + 1)


def _backoff_ms(error: UsageUnavailableError, before: int) -> int:
    if error.retry_after is not None:
        return min(max(round(error.retry_after * 1000), _LOCAL_BACKOFF_MS), _LONGEST_BACKOFF_MS)
    if error.code in _LOCAL:
        return _LOCAL_BACKOFF_MS
    return int(min(_FIRST_BACKOFF_MS * 2 ** min(before, 10), _LONGEST_BACKOFF_MS))
