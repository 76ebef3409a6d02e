"""The notifier: turns ends of runs into messages, sends what is due, and says that it lives.

It works where the leader is, on a thread of its own: a channel that hangs delays no tick. That a
run ended stands in the outbox since the transaction that ended it, so nothing is forgotten when a
process dies; an attempt is marked before it is made, so nobody repeats it in haste.

    outbox ─policy─▶ deliveries (one a channel) ─send─▶ sent
                              ▲                    │
                              └── later (back-off) ┴──▶ failed, visibly, after the last attempt
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, NamedTuple, Protocol

from claude_tasks.domain.errors import NotFoundError, StorageError
from claude_tasks.domain.notification import DeliveryState, DueDelivery, NewDelivery
from claude_tasks.notify.delivery import next_attempt_at
from claude_tasks.notify.notice import Event, Notice
from claude_tasks.notify.policy import NotifyOn, event_of, is_failure
from claude_tasks.notify.sending import Channel, ping, send

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.notification import Unannounced
    from claude_tasks.domain.notification_ports import NotificationStore
    from claude_tasks.domain.ports import Clock, RunStore, TaskStore
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task

log = logging.getLogger(__name__)

_BATCH = 50
_SEND_SECONDS = 10.0
_ATTEMPT_MS = 60_000
"""Longer than an attempt may take: after it whoever made it is taken for dead."""

_LOOK_SECONDS = 1.0
_OVERDUE_LOOK_MS = 30_000


class Defaults(NamedTuple):
    """What tasks say nothing of. Addresses are secrets."""

    notify_on: str
    discord: str | None
    slack: str | None
    webhook: str | None
    apprise: str | None
    webhook_secret: str | None
    heartbeat_url: str | None
    heartbeat_interval_ms: int
    overdue_after_ms: int

    def __repr__(self) -> str:
        """Without addresses."""
        return f"Defaults(notify_on={self.notify_on!r})"


if TYPE_CHECKING:

    class NotifyingStore(NotificationStore, RunStore, TaskStore, Protocol):
        """What the notifier looks at and writes to."""


class Notifier:
    """One `step` at a time. The store is for this actor alone."""

    def __init__(
        self,
        *,
        store: NotifyingStore,
        clock: Clock,
        defaults: Defaults,
        leads: Callable[[], bool],
        healthy: Callable[[], bool],
        host: str,
        version: str,
    ) -> None:
        """``leads`` and ``healthy`` are asked at each step: only a healthy leader's heart beats."""
        self._store = store
        self._clock = clock
        self._defaults = defaults
        self._leads = leads
        self._healthy = healthy
        self._host = host
        self._version = version
        self._beat_at = 0
        self._overdue_at = 0

    def step(self) -> None:
        """Do all that is due now."""
        at = self._clock.now()
        if not self._leads():
            return
        for ended in self._store.unannounced(limit=_BATCH):
            self._store.announce(ended.run.id, self._messages(ended), at=at)
        self._look_for_overdue(at)
        for due in self._store.due_deliveries(at=at, limit=_BATCH):
            self._deliver(due)
        self._beat(at)

    def _messages(self, ended: Unannounced) -> list[NewDelivery]:
        run, task = ended.run, ended.task
        event = event_of(
            NotifyOn(task.notify_on or self._defaults.notify_on),
            run.state,
            run.reason,
            previous_state=ended.previous_state,
            previous_reason=ended.previous_reason,
        )
        if event is None:
            return []
        return [
            NewDelivery(task.id, run.id, None, channel, target, event)
            for channel, target in self._targets(task)
        ]

    def _targets(self, task: Task) -> list[tuple[Channel, str]]:
        """Where messages about a task go: its own address, else the one of the settings."""
        wanted = (
            (Channel.DISCORD, task.discord_webhook or self._defaults.discord),
            (Channel.SLACK, task.slack_webhook or self._defaults.slack),
            (Channel.WEBHOOK, task.webhook_url or self._defaults.webhook),
            (Channel.APPRISE, task.apprise_url or self._defaults.apprise),
        )
        return [(channel, target) for channel, target in wanted if target]

    def _look_for_overdue(self, at: int) -> None:
        if self._overdue_at <= at < self._overdue_at + _OVERDUE_LOOK_MS:
            return
        self._overdue_at = at
        before = at - self._defaults.overdue_after_ms
        for overdue in self._store.overdue_tasks(before=before, limit=_BATCH):
            log.warning('task %d "%s" is overdue', overdue.task_id, overdue.name)
            task = self._store.get_task(overdue.task_id)
            self._store.add_deliveries(
                [
                    NewDelivery(task.id, None, overdue.tick, channel, target, Event.OVERDUE)
                    for channel, target in self._targets(task)
                ],
                at=at,
            )

    def _deliver(self, due: DueDelivery) -> None:
        """One attempt, between two marks in the database."""
        if not self._store.begin_delivery(due, until=self._clock.now() + _ATTEMPT_MS):
            return
        try:
            notice = self._notice(due)
        except NotFoundError as error:  # the run or the task is gone
            self._end(due, DeliveryState.FAILED, None, str(error))
            return
        came = send(
            Channel(due.channel),
            due.target,
            notice,
            delivery_id=str(due.id),
            secret=self._defaults.webhook_secret,
            seconds=_SEND_SECONDS,
            at=self._clock.now(),
        )
        if came.delivered:
            self._end(due, DeliveryState.SENT, None, None)
            return
        again = next_attempt_at(due.attempts + 1, came, self._clock.now())
        state = DeliveryState.FAILED if again is None else DeliveryState.PENDING
        end = "given up" if again is None else "to be tried again"
        log.warning("message %d (%s): %s, %s", due.id, due.channel, came.detail, end)
        self._end(due, state, again, came.detail)

    def _end(
        self, due: DueDelivery, state: DeliveryState, again: int | None, error: str | None
    ) -> None:
        self._store.end_delivery(
            due.id, state, next_attempt_at=again, error=error, at=self._clock.now()
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
            error=run.error,
            output=run.output,
            scheduled_for=run.scheduled_for,
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
            self._store.failures_in_a_row(run.task_id, until=run.id)
            if is_failure(run.state, run.reason)
            else 0
        )

    def _beat(self, at: int) -> None:
        """Tell somebody outside that the leader lives: when this stops, they raise the alarm."""
        url = self._defaults.heartbeat_url
        interval = self._defaults.heartbeat_interval_ms
        if not url or not self._healthy() or self._beat_at <= at < self._beat_at + interval:
            return
        self._beat_at = at
        came = ping(url, seconds=_SEND_SECONDS, at=at)
        if not came.delivered:
            log.warning("the heartbeat was not heard: %s", came.detail)


class NotifierThread:
    """Steps a `Notifier` every second until told to stop."""

    def __init__(self, notifier: Notifier, *, close: Callable[[], None]) -> None:
        """``close`` lets the notifier's connection go when the thread ends."""
        self._notifier = notifier
        self._close = close
        self._stopping = threading.Event()
        self._blind = False
        self.failure: BaseException | None = None
        """What ended the thread, when it was not `stop`."""
        self._thread = threading.Thread(target=self._run, name="notifier", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End. An attempt under way is left behind: it ends with the process. Repeatable."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_LOOK_SECONDS / 5)

    def _run(self) -> None:
        try:
            while not self._stopping.wait(_LOOK_SECONDS):
                self._try_step()
        except BaseException as error:
            log.critical("the notifier failed", exc_info=error)
            self.failure = error
        finally:
            self._close()

    def _try_step(self) -> None:
        try:
            self._notifier.step()
        except StorageError as error:
            if not self._blind:  # once a second would fill the log
                log.warning("messages have to wait: %s", error)
            self._blind = True
        else:
            self._blind = False
