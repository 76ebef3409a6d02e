"""Add, edit, enable, disable, remove and restore tasks.

An edit that takes a schedule away also accounts for the ticks that were due under it: they become
skips that say why, in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.clock_step import is_ahead, is_doubtful, is_stuck
from claude_tasks.domain.errors import ConflictError, IllegibleError, InvalidInputError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import MINUTE_MS
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.schedule import parse_schedule
from claude_tasks.domain.set_back import set_back
from claude_tasks.domain.store_records import ArmedSpec, TaskEdit
from claude_tasks.domain.task_fields import DEFAULT_PERMISSION_MODE, ONE_OFF, TaskSpec
from claude_tasks.domain.tick import plan_withdrawal
from claude_tasks.operations.lookup import TaskLookup
from claude_tasks.operations.validation import check_addresses, checked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from claude_tasks.domain.ports import Clock
    from claude_tasks.domain.revision import Actor
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.lookup import OwnedStore

_ATTEMPTS = 10
_SCHEDULE = ("cron_expr", "timezone", "scheduled_at")
_WHEN = (*_SCHEDULE, "enabled")


class TaskOperations(TaskLookup):
    """What can be done with tasks, besides looking at them."""

    def __init__(self, store: OwnedStore, clock: Clock, *, actor: Actor) -> None:
        """Work on this store. ``actor`` is who makes the changes."""
        super().__init__(store)
        self._clock = clock
        self._actor = actor

    def by(self, actor: Actor) -> TaskOperations:
        """The same, for changes that another makes."""
        return TaskOperations(self._store, self._clock, actor=actor)

    def add(self, spec: TaskSpec) -> Task:
        """Keep a new task. A one-off without a time fires now. Errors: `InvalidInputError`."""
        return self._store.get_task(self.add_all([spec])[0])

    def add_all(self, specs: Sequence[TaskSpec]) -> list[int]:
        """Keep all of them or none; the new ids. Errors: `InvalidInputError` naming the task."""
        at = self._clock.now()
        return self._store.add_tasks(self._armed(specs, at), actor=self._actor, at=at)

    def check_all(self, specs: Sequence[TaskSpec]) -> None:
        """Whether `add_all` would keep them. Errors: `InvalidInputError` naming the task."""
        self._armed(specs, self._clock.now())

    def edit(
        self, task_id: int, changes: Mapping[str, Any], *, expected_revision: int | None = None
    ) -> Task:
        """Change what is named, leave the rest. Errors: `ConflictError` on a lost update."""
        return self._edit(task_id, lambda _: changes, expected_revision)

    def replace(
        self, task_id: int, fields: Mapping[str, Any], *, expected_revision: int | None = None
    ) -> Task:
        """`edit` for a task that was read and is sent back whole: an echo changes nothing."""
        return self._edit(task_id, lambda task: _without_echo(task, fields), expected_revision)

    def _edit(
        self,
        task_id: int,
        changes_of: Callable[[Task], Mapping[str, Any]],
        expected_revision: int | None,
    ) -> Task:
        for _ in range(_ATTEMPTS):
            task = self._expected(task_id, expected_revision)
            changes = changes_of(task)
            unknown = set(changes) - set(TaskSpec._fields)
            if unknown:
                raise InvalidInputError(f"unknown field {min(unknown)!r}")
            at = self._clock.now()
            edit = _edit_of(task, changes, lost=self._is_lost(task, at=at), at=at)
            if edit is None:
                return task
            edit = self._with_free_tick(task, edit, at=at)
            if self._store.edit_task(edit, actor=self._actor, at=at):
                return self._store.get_task(task_id)
        raise _busy(task_id)

    def enable(self, task_id: int) -> Task:
        """Let it fire again, from now on. Errors: `ConflictError` for a one-off that has fired."""
        return self.edit(task_id, {"enabled": True})

    def disable(self, task_id: int) -> Task:
        """Stop it from firing; what waits in the queue is skipped."""
        return self.edit(task_id, {"enabled": False})

    def toggle(self, task_id: int, *, expected_revision: int | None = None) -> Task:
        """Enable what is disabled, disable what is enabled. Errors: as `edit` and `enable`."""
        for _ in range(_ATTEMPTS):
            task = self._expected(task_id, expected_revision)
            try:
                # On this revision only: two who toggle at once must toggle twice.
                return self.edit(
                    task_id, {"enabled": not task.spec.enabled}, expected_revision=task.revision
                )
            except ConflictError as error:
                if error.code != "revision_conflict" or expected_revision is not None:
                    raise
        raise _busy(task_id)

    def remove(self, task_id: int, *, expected_revision: int | None = None) -> Task | None:
        """Delete softly: its runs stay, and it can be restored.

        None for one whose row cannot be read: it is deleted, and cannot be restored.
        """
        for _ in range(_ATTEMPTS):
            at = self._clock.now()
            try:
                task = self._expected(task_id, expected_revision)
            except IllegibleError:
                if self._store.remove_illegible(task_id, actor=self._actor, at=at):
                    return None
                continue  # it was deleted meanwhile, or set right
            edit = _edit(
                task,
                {
                    "deleted_at": at,
                    "next_run_at": None,
                    "cursor_at": _cursor_after_withdrawal(task, at=at),
                },
                withdrawn=plan_withdrawal(task, at=at, reason=Reason.DELETED),
                drop_queued=(State.SKIPPED, Reason.DELETED),
            )
            if self._store.edit_task(edit, actor=self._actor, at=at):
                return self._store.get_task(task_id, include_deleted=True)
        raise _busy(task_id)

    def restore(self, task_id: int) -> Task:
        """Bring a deleted task back. Ticks that passed meanwhile are not made up for."""
        for _ in range(_ATTEMPTS):
            task = self._store.get_task(task_id, include_deleted=True)
            if task.deleted_at is None:
                raise ConflictError(f"Task {task_id} is not deleted")
            at = self._clock.now()
            revived = task._replace(deleted_at=None)
            columns: dict[str, object] = {"deleted_at": None}
            if task.spec.enabled and not _is_spent(revived):
                columns.update(_armed_columns(revived, at=at))
            edit = self._with_free_tick(task, _edit(task, columns), at=at)
            if self._store.edit_task(edit, actor=self._actor, at=at):
                return self._store.get_task(task_id)
        raise _busy(task_id)

    def _expected(self, task_id: int, expected_revision: int | None) -> Task:
        """The task as it stands. Errors: `ConflictError` when it left the expected revision."""
        task = self._store.get_task(task_id)
        if expected_revision not in (None, task.revision):
            raise ConflictError(
                f"Task {task_id} was changed meanwhile (revision {task.revision})",
                hint=Hint("look at it again: ", Command("show", task_id)),
                code="revision_conflict",
            )
        return task

    def _is_lost(self, task: Task, *, at: int) -> bool:
        """Whether a clock that was ahead skipped a one-off whose time is to come."""
        if not (_is_spent(task) and is_ahead(task.spec.scheduled_at, at=at)):
            return False
        return bool(self._store.left_by_clock(at=at, task_id=task.id))

    def _armed(self, specs: Sequence[TaskSpec], at: int) -> list[ArmedSpec]:
        return [self._arm_numbered(spec, place, len(specs), at) for place, spec in enumerate(specs)]

    def _with_free_tick(self, task: Task, edit: TaskEdit, *, at: int) -> TaskEdit:
        """A one-off armed for an instant that had its run would be used up without another.

        One that keeps its time and is not done had a run that never got as far as its agent: it is
        due now. Errors: `ConflictError` for one moved to such an instant.
        """
        one_off = edit.columns.get("cron_expr", task.spec.cron_expr) == ONE_OFF
        tick = edit.columns.get("next_run_at")
        if not (one_off and isinstance(tick, int) and self._store.tick_is_taken(task.id, tick)):
            return edit
        if "scheduled_at" not in edit.columns and "cron_expr" not in edit.columns:
            return edit._replace(columns={**edit.columns, "next_run_at": max(at, tick + 1)})
        raise ConflictError(
            f"Task {task.id} had its run for that time already",
            hint=Hint("choose another time, or run it now: ", Command("run", task.id)),
        )

    @staticmethod
    def _arm_numbered(spec: TaskSpec, place: int, total: int, at: int) -> ArmedSpec:
        try:
            return arm(spec, at=at)
        except InvalidInputError as error:
            if total == 1:
                raise
            name = f"task {place + 1} ({spec.name.strip() or 'no name'})"
            raise InvalidInputError(f"{name}: {error.message}", hint=error.hint) from error


def _busy(task_id: int) -> ConflictError:
    return ConflictError(f"Task {task_id} is being changed by others all the time")


def arm(spec: TaskSpec, *, at: int) -> ArmedSpec:
    """A validated task with its first tick."""
    spec = checked(spec)
    check_addresses(spec._asdict())
    if spec.is_one_off:
        scheduled_at = at if spec.scheduled_at is None else spec.scheduled_at
        spec = spec._replace(scheduled_at=scheduled_at)
        # The cursor stands before the tick: a one-off is spent once it has passed it.
        cursor_at = min(at, scheduled_at) - 1
        return ArmedSpec(spec, at, cursor_at, scheduled_at if spec.enabled else None)
    schedule = parse_schedule(spec.cron_expr, timezone=spec.timezone, anchor_at=at)
    return ArmedSpec(spec, at, at, schedule.next_after(at) if spec.enabled else None)


def _without_echo(task: Task, fields: Mapping[str, Any]) -> dict[str, Any]:
    """What ``fields`` really say, sent by who was shown ``task``.

    A task without a permission mode shows the default one. A one-off whose time has passed is armed
    again by a new time alone: neither by that time as a form shows it, in whole minutes, nor by a
    switch that was read before it fired. Its run, which may still wait, is not dropped either.
    """
    said = dict(fields)
    if task.spec.permission_mode is None and said.get("permission_mode") == DEFAULT_PERMISSION_MODE:
        said["permission_mode"] = None
    if _is_spent(task) and said.get("cron_expr", ONE_OFF).strip() == ONE_OFF:
        if _is_shown_as(said.get("scheduled_at"), task.spec.scheduled_at):
            said.pop("scheduled_at", None)
        if "scheduled_at" not in said:
            said.pop("enabled", None)
    return said


def _is_shown_as(named: int | None, kept: int | None) -> bool:
    """Whether a form that knows no seconds may have made the one of the other, or says nothing."""
    return named is None or (kept is not None and kept - kept % MINUTE_MS <= named <= kept)


def _edit_of(task: Task, changes: Mapping[str, Any], *, lost: bool, at: int) -> TaskEdit | None:
    """The edit that makes ``task`` as wanted; None when it is so already.

    ``lost`` says of a one-off that a clock which was ahead skipped it: it may be armed again.
    """
    before = task.spec
    wanted = checked(before._replace(**changes))
    if wanted.is_one_off and wanted.scheduled_at is None:
        wanted = wanted._replace(scheduled_at=at)
    if _is_spent(task) and "enabled" not in changes and wanted.scheduled_at != before.scheduled_at:
        wanted = wanted._replace(enabled=True)  # a new time for a one-off that has fired
    columns: dict[str, object] = {
        name: value for name, value in wanted._asdict().items() if value != getattr(before, name)
    }
    check_addresses(columns)
    if changes.get("enabled") is not False and any(name in changes for name in _WHEN):
        columns.update(_set_right(task, wanted, columns, lost=lost, at=at))
    if not columns:
        return _drop_of_spent(task) if changes.get("enabled") is False else None
    if "cursor_at" in columns or not any(name in columns for name in _WHEN):
        return _edit(task, columns)
    return _reschedule(task, wanted, columns, at=at)


def _set_right(
    task: Task, wanted: TaskSpec, columns: Mapping[str, object], *, lost: bool, at: int
) -> dict[str, object]:
    """What an edit that asks for the schedule as it is changes where a clock was ahead."""
    if any(name in columns for name in _SCHEDULE):
        return {}  # another schedule begins anew anyway
    if task.spec.enabled and wanted.enabled and task.next_run_at is None and not task.is_one_off:
        return _armed_columns(task, at=at)  # it was parked: see the ticker
    if lost:
        return {**_armed_columns(task, at=at), "enabled": True}
    if is_doubtful(task, at=at):
        return {**_armed_columns(task, at=at), "anchor_at": at}  # meant: somebody said so now
    if is_stuck(task, at=at) and wanted.enabled:
        back = set_back(task, None, at=at)
        names = ("anchor_at", "cursor_at", "next_run_at", "decided_until")
        return {name: getattr(back, name) for name in names}
    return {}


def _drop_of_spent(task: Task) -> TaskEdit | None:
    """A one-off whose time has passed is switched off already; its run may still wait."""
    if not _is_spent(task):
        return None
    return _edit(task, {}, drop_queued=(State.SKIPPED, Reason.DISABLED))


def _reschedule(task: Task, wanted: TaskSpec, columns: dict[str, object], *, at: int) -> TaskEdit:
    """Take the old schedule away, put the new one in its place."""
    reason = Reason.RESCHEDULED if wanted.enabled else Reason.DISABLED
    revised = task._replace(spec=wanted)
    # The instant of a one-off does not depend on its zone.
    decides = ("cron_expr", "scheduled_at") if wanted.is_one_off else _SCHEDULE
    moved = any(name in columns for name in decides)
    if wanted.enabled and not moved and _is_spent(task):
        raise _spent(task)
    if moved or ("enabled" in columns and wanted.enabled):
        columns.update(_armed_columns(revised, at=at))
    else:
        columns.update(cursor_at=_cursor_after_withdrawal(task, at=at))
    if not wanted.enabled:
        columns.update(next_run_at=None)
    drop = not wanted.enabled or task.is_one_off
    return _edit(
        task,
        columns,
        withdrawn=plan_withdrawal(task, at=at, reason=reason),
        drop_queued=(State.SKIPPED, reason) if drop else None,
    )


def _spent(task: Task) -> ConflictError:
    return ConflictError(
        f"The time of task {task.id} has passed: it runs once",
        hint=Hint(
            "give it a new time: ",
            Command("edit", task.id, "--at", "tomorrow 9am"),
            ", or run it now: ",
            Command("run", task.id),
        ),
    )


def _armed_columns(task: Task, *, at: int) -> dict[str, object]:
    if task.is_one_off:
        scheduled_at = at if task.spec.scheduled_at is None else task.spec.scheduled_at
        return {
            "anchor_at": scheduled_at if task.runs_at_once else at,
            "cursor_at": min(at, scheduled_at) - 1,
            "next_run_at": scheduled_at,
            "decided_until": None,
        }
    schedule = parse_schedule(task.spec.cron_expr, timezone=task.spec.timezone, anchor_at=at)
    return {
        "anchor_at": at,
        "cursor_at": at,
        "next_run_at": schedule.next_after(at),
        "decided_until": None,
    }


def _cursor_after_withdrawal(task: Task, *, at: int) -> int:
    """Past what was due by now; what was not armed, or not due yet, stays unaccounted for."""
    if task.next_run_at is None or task.next_run_at > at:
        return task.cursor_at
    return max(at, task.cursor_at)


def _is_spent(task: Task) -> bool:
    """Whether a one-off's time has been accounted for."""
    time = task.spec.scheduled_at
    return task.is_one_off and time is not None and task.cursor_at >= time


def _edit(task: Task, columns: Mapping[str, object], **more: Any) -> TaskEdit:
    return TaskEdit(
        task_id=task.id,
        expected_revision=task.revision,
        expected_cursor_at=task.cursor_at,
        expected_next_run_at=task.next_run_at,
        columns=columns,
        **more,
    )
