"""The notifier: turns ends of runs into messages, sends due ones, and sends the heartbeat.

It runs in the leader's process, on its own thread: a channel that hangs delays no tick. While no
node leads, all other nodes do it at the same time; the database keeps a message from being sent
twice. The transaction that ends a run puts it into the outbox, so none is lost when a process dies.
An attempt is recorded before it is made, so no other node repeats it at once.

    outbox ─policy─▶ deliveries (one a channel) ─send─▶ sent
                              ▲                    │
                              └── later (back-off) ┴──▶ failed, visibly, after the last attempt
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from claude_tasks.domain.errors import IllegibleError, NotFoundError
from claude_tasks.domain.notification import (
    Addresses,
    DeliveryState,
    DueDelivery,
    NewDelivery,
    addresses_of,
)
from claude_tasks.domain.permission import denied_text, permitted
from claude_tasks.notify.channels import send
from claude_tasks.notify.delivery import FIRST_WAIT_MS, Attempt, next_attempt_at
from claude_tasks.notify.flights import Flights
from claude_tasks.notify.notice import Event, Notice
from claude_tasks.notify.overdue import OverdueWatch
from claude_tasks.notify.policy import NotifyOn, event_of, is_failure
from claude_tasks.notify.routing import targets

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.notification import Unannounced
    from claude_tasks.domain.notification_ports import NotificationStore
    from claude_tasks.domain.ports import Clock, TaskStore
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.run_ports import RunStore
    from claude_tasks.domain.task import Task
    from claude_tasks.notify.delivery import Delivery
    from claude_tasks.notify.heartbeat import Heartbeat

    class NotifyingStore(NotificationStore, RunStore, TaskStore, Protocol):
        """The parts of the store that the notifier needs."""


log = logging.getLogger(__name__)

_BATCH = 500
_SEND_SECONDS = 10.0
_ATTEMPT_MS = 60_000
"""Longer than an attempt may take: after it the node that made it counts as dead."""


class Defaults(NamedTuple):
    """The settings for what a task leaves open."""

    notify_on: str
    addresses: Addresses
    webhook_secret: str | None
    overdue_after_ms: int

    def __repr__(self) -> str:
        """Without the secrets."""
        return f"Defaults(notify_on={self.notify_on!r}, channels={sorted(self.addresses)})"


class Notifier:
    """Does its work in `step`. Only this actor uses its store."""

    def __init__(
        self,
        *,
        store: NotifyingStore,
        clock: Clock,
        defaults: Defaults,
        acts: Callable[[], bool],
        heartbeat: Heartbeat | None,
        host: str,
        version: str,
    ) -> None:
        """``acts`` is called at each step: whether this node sends messages now."""
        self._store = store
        self._clock = clock
        self._defaults = defaults
        self._acts = acts
        self._heartbeat = heartbeat
        self._host = host
        self._version = version
        self._overdue = OverdueWatch(
            store, after_ms=defaults.overdue_after_ms, targets=self._targets_of
        )
        self._quiet: dict[tuple[str, str], float] = {}
        """Addresses that did not answer, or asked to wait, and until when nothing is sent to
        them."""
        self._flights = Flights()
        self._all_indexed = False
        """Whether the search index contains the texts of all older runs."""
        self._answered: list[tuple[DueDelivery, Delivery]] = []
        """Results of attempts that are not recorded yet."""
        self._stopping = threading.Event()

    @property
    def busy(self) -> bool:
        """Whether an attempt or a beat is under way."""
        beats = self._heartbeat is not None and self._heartbeat.busy
        return self._flights.busy or bool(self._answered) or beats

    def stop(self) -> None:
        """Begin no more attempts. For any thread."""
        self._stopping.set()
        self._flights.wake()

    def wait(self, seconds: float) -> None:
        """Wait for a result to record or `stop`, at most ``seconds``."""
        self._flights.wait(seconds)

    def step(self) -> None:
        """Do all that is due now. Waits for the database only."""
        if self._heartbeat is not None:
            self._heartbeat.beat()
        self.record_answers()
        if self._stopping.is_set() or not self._acts():
            return
        at = self._clock.now()
        self._announce(at)
        self._overdue.look(at)
        for due in self._store.due_deliveries(at=at, limit=_BATCH):
            current = self._as_addressed_now(due)
            if self._may_go(current):
                self._begin(current)

    def record_answers(self) -> None:
        """Record the results of attempts. Those that the database refuses now are kept."""
        self._answered += self._flights.collect()
        while self._answered:
            self._record(*self._answered[0])
            self._answered.pop(0)

    def _announce(self, at: int) -> None:
        """Announce one batch of ended runs; the next steps do the rest."""
        ended = self._store.unannounced(limit=_BATCH)
        if ended:
            messages = [message for each in ended for message in self._messages(each)]
            self._store.announce([each.run_id for each in ended], messages, at=at)
        if len(ended) == _BATCH:
            self._flights.wake()
        if not ended and not self._all_indexed:
            self._all_indexed = not self._store.index_older_texts()

    def _messages(self, ended: Unannounced) -> list[NewDelivery]:
        if ended.state is None:
            return []
        event = event_of(
            _rule(ended.notify_on or self._defaults.notify_on),
            ended.state,
            ended.reason,
            previous_state=ended.previous_state,
            previous_reason=ended.previous_reason,
            newly_denied=ended.newly_denied,
        )
        if event is None:
            return []
        return [
            NewDelivery(ended.task_id, ended.run_id, None, channel, target, event)
            for channel, target in targets(ended.addresses, self._defaults.addresses)
        ]

    def _targets_of(self, task_id: int) -> list[tuple[str, str]]:
        own = addresses_of(self._store.get_task(task_id, include_deleted=True).spec)
        return targets(own, self._defaults.addresses)

    def _as_addressed_now(self, due: DueDelivery) -> DueDelivery:
        """The message with its task's present address, which may have changed while it waited."""
        now = dict(self._targets_of(due.task_id))
        return due._replace(target=now.get(due.channel, due.target))

    def _may_go(self, due: DueDelivery) -> bool:
        quiet_until = self._quiet.get((due.channel, due.target), 0.0)
        return self._flights.has_room_for(due) and self._clock.monotonic() >= quiet_until

    def _begin(self, due: DueDelivery) -> None:
        """Begin one attempt: mark it first; its result is recorded later."""
        if not self._store.begin_delivery(due, until=self._clock.now() + _ATTEMPT_MS):
            return
        try:
            notice = self._notice(due)
        except (IllegibleError, NotFoundError, ValueError) as error:  # gone, or unreadable
            self._end(due, DeliveryState.FAILED, None, f"it cannot be made: {error}")
            return
        secret, at = self._defaults.webhook_secret, self._clock.now()
        attempt = Attempt(str(due.id), secret, _SEND_SECONDS, at)
        self._flights.begin(due, lambda: send(due.channel, due.target, notice, attempt))

    def _record(self, due: DueDelivery, came: Delivery) -> None:
        address = (due.channel, due.target)
        if came.delivered:
            self._quiet.pop(address, None)
            self._end(due, DeliveryState.SENT, None, None)
            return
        now = self._clock.now()
        again = next_attempt_at(due.attempts + 1, came, now)
        if not came.permanent:
            wait = FIRST_WAIT_MS / 1000 if came.retry_after is None else came.retry_after
            self._quiet[address] = self._clock.monotonic() + wait
        state = DeliveryState.FAILED if again is None else DeliveryState.PENDING
        end = "given up" if again is None else "to be tried again"
        about = f"task {due.task_id}" if due.run_id is None else f"run {due.run_id}"
        log.warning("message about %s to %s: %s, %s", about, due.channel, came.detail, end)
        self._end(due, state, again, came.detail)

    def _end(
        self, due: DueDelivery, state: DeliveryState, again: int | None, error: str | None
    ) -> None:
        self._store.end_delivery(
            due.id,
            state,
            attempts=due.attempts + 1,
            next_attempt_at=again,
            error=error,
            at=self._clock.now(),
        )

    def _notice(self, due: DueDelivery) -> Notice:
        task = self._store.get_task(due.task_id, include_deleted=True)
        about = Notice(Event(due.event), task.id, task.name, host=self._host, version=self._version)
        if due.run_id is None:
            return about._replace(scheduled_for=due.tick)
        run = self._store.get_run(due.run_id)
        return about._replace(
            run_id=run.id,
            state=run.state,
            reason=run.reason,
            error=_error_of(run, task),
            output=run.output,
            scheduled_for=run.tick,
            started_at=run.started_at,
            ended_at=run.ended_at,
            duration_ms=run.duration_ms,
            cost_usd=run.cost_usd,
            attempt=run.attempt,
            session_id=run.session_id,
            failures_in_a_row=self._failures_in_a_row(run),
        )

    def _failures_in_a_row(self, run: Run) -> int:
        return (
            self._store.failures_in_a_row(run.task_id, until=run.ended_at)
            if run.ended_at is not None and is_failure(run.state, run.reason)
            else 0
        )


def _error_of(run: Run, task: Task) -> str | None:
    """The error of a run, and the command that helps against denials."""
    if not run.permission_denials:
        return run.error
    denied = denied_text(permitted(task), run.permission_denials)
    return f"{run.error}\n{denied}" if run.error else denied


def _rule(text: str) -> NotifyOn:
    """The task's rule; an unknown one must not stop the messages of other tasks."""
    try:
        return NotifyOn(text)
    except ValueError:
        return NotifyOn.FAILURE
