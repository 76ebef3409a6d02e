"""Tasks and runs under the API's names: what every face shows, as JSON values.

Times are RFC 3339. Optional fields of API v1 are absent when unset; what we add is always there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.run import V1_STATUS, State
from claude_tasks.domain.task_fields import FIELDS, Kind

if TYPE_CHECKING:
    from claude_tasks.domain.revision import TaskRevision
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_fields import Field, TaskSpec


def task_view(summary: TaskSummary) -> dict[str, Any]:
    """One task of a list."""
    task = summary.task
    view = {
        "id": task.id,
        "is_one_off": task.is_one_off,
        "created_at": to_rfc3339(task.created_at),
        "updated_at": to_rfc3339(task.updated_at),
        "revision": task.revision,
    }
    view.update(spec_view(task.spec))
    optional: dict[str, Any] = {
        "next_run_at": _time(task.next_run_at),
        "deleted_at": _time(task.deleted_at),
        "last_run_at": _time(summary.last_run_at),
        "deferred_until": _time(summary.deferred_until),
    }
    if summary.last_run_state is not None:
        optional["last_run_status"] = V1_STATUS[summary.last_run_state]
        optional["last_run_reason"] = summary.last_run_reason
    view.update({name: value for name, value in optional.items() if value is not None})
    return view


def spec_view(spec: TaskSpec) -> dict[str, Any]:
    """What its owner says of a task."""
    return {
        name: shown_value(field, value)
        for (name, field), value in zip(FIELDS.items(), spec, strict=True)
        if not (field.absent and value is None)
    }


def shown_value(field: Field, value: Any) -> Any:
    """The value of a field as JSON has it."""
    if field.kind is Kind.INSTANT:
        return _time(value)
    return list(value) if field.kind is Kind.LIST else value


def revision_view(revision: TaskRevision) -> dict[str, Any]:
    """Who changed a task, when, and what: old and new value of each field."""
    changes = [
        {"field": name, "old": _as_shown(name, old), "new": _as_shown(name, new)}
        for name, (old, new) in revision.changes.items()
    ]
    return {
        "revision": revision.revision,
        "at": to_rfc3339(revision.at),
        "actor": revision.actor,
        "changes": changes,
    }


def _as_shown(name: str, value: Any) -> Any:
    field = FIELDS.get(name)
    return value if field is None else shown_value(field, value)


def run_view(run: Run) -> dict[str, Any]:
    """One run. A client that knows only v1 finds its four statuses, the reason in ``error``."""
    view: dict[str, Any] = {
        "id": run.id,
        "task_id": run.task_id,
        "task_name": run.task_name,
        "started_at": to_rfc3339(run.started_at or run.queued_at),
        "status": V1_STATUS[run.state],
        "output": run.output,
        "state": run.state,
        "reason": run.reason,
        "trigger": run.trigger,
        "scheduled_for": _time(run.scheduled_for),
        "covers": _time(run.covers),
        "queued_at": to_rfc3339(run.queued_at),
        "attempt": run.attempt,
        "exit_code": run.exit_code,
        "model": run.model,
        "cost_usd": run.cost_usd,
        "input_tokens": run.input_tokens,
        "output_tokens": run.output_tokens,
        "cache_read_tokens": run.cache_read_tokens,
        "cache_creation_tokens": run.cache_creation_tokens,
        "num_turns": run.num_turns,
        "permission_denials": list(run.permission_denials),
        "skipped_count": run.skipped_count,
        "skipped_until": _time(run.skipped_until),
        "resumes": run.resumes,
        "unreachable_since": _time(run.unreachable_since),
        "deferred_until": _time(run.deferred_until),
        "log_path": run.log_path,
    }
    optional = {
        "ended_at": _time(run.ended_at),
        "error": run.error or _error_for_v1(run),
        "session_id": run.session_id,
        "duration_ms": run.duration_ms,
    }
    view.update({name: value for name, value in optional.items() if value is not None})
    return view


def run_brief(run: Run) -> dict[str, Any]:
    """What a list needs of a run when it changes, without its output."""
    names = ("id", "task_id", "task_name", "started_at", "ended_at", "status", "state", "reason",
             "trigger", "attempt", "error", "duration_ms")  # fmt: skip
    view = run_view(run)
    return {name: view[name] for name in names if name in view}


def task_request(task: Task) -> dict[str, Any]:
    """A task as one would ask for it: the TaskRequest of the API, for export."""
    return {name: value for name, value in spec_view(task.spec).items() if value not in (None, [])}


def _error_for_v1(run: Run) -> str | None:
    """v1 clients show ``error`` next to "failed": it must never be empty then."""
    failed = run.state in (State.FAILED, State.CANCELLED, State.SKIPPED)
    return str(run.reason or run.state) if failed else None


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
