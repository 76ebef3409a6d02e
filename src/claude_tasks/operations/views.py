"""Tasks and runs under the API's names: what every face shows, as JSON values.

Times are RFC 3339. Optional fields of API v1 are absent when unset; what we add is always there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.run import V1_STATUS, State
from claude_tasks.domain.task import ADDRESS_FIELDS

if TYPE_CHECKING:
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task

_OPTIONAL = (*ADDRESS_FIELDS, "model", "permission_mode")
"""Absent when unset, as in API v1; the addresses that it does not know too."""

_ADDED = (
    "timezone",
    "overlap",
    "catchup",
    "catchup_window_seconds",
    "jitter_seconds",
    "timeout_seconds",
    "max_retries",
    "max_concurrency",
    "allowed_tools",
    "disallowed_tools",
    "max_turns",
    "max_budget_usd",
    "append_system_prompt",
    "extra_args",
    "on_usage_limit",
    "notify_on",
    "tags",
    "revision",
)


def task_view(summary: TaskSummary) -> dict[str, Any]:
    """One task of a list."""
    task = summary.task
    view = {
        "id": task.id,
        "name": task.name,
        "prompt": task.prompt,
        "cron_expr": task.cron_expr,
        "is_one_off": task.is_one_off,
        "working_dir": task.working_dir,
        "enabled": task.enabled,
        "created_at": to_rfc3339(task.created_at),
        "updated_at": to_rfc3339(task.updated_at),
    }
    view.update({name: _plain(getattr(task, name)) for name in _ADDED})
    optional = {name: getattr(task, name) for name in _OPTIONAL}
    optional["scheduled_at"] = _time(task.scheduled_at)
    optional["next_run_at"] = _time(task.next_run_at)
    optional["deleted_at"] = _time(task.deleted_at)
    optional["last_run_at"] = _time(summary.last_run_at)
    optional["deferred_until"] = _time(summary.deferred_until)
    if summary.last_run_state is not None:
        optional["last_run_status"] = V1_STATUS[summary.last_run_state]
        optional["last_run_reason"] = summary.last_run_reason
    view.update({name: value for name, value in optional.items() if value is not None})
    return view


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
    view = {
        "name": task.name,
        "prompt": task.prompt,
        "cron_expr": task.cron_expr,
        "working_dir": task.working_dir,
        "enabled": task.enabled,
    }
    if task.scheduled_at is not None:
        view["scheduled_at"] = to_rfc3339(task.scheduled_at)
    names = (*_OPTIONAL, *(name for name in _ADDED if name != "revision"))
    more = {name: _plain(getattr(task, name)) for name in names}
    view.update({name: value for name, value in more.items() if value not in (None, [])})
    return view


def _error_for_v1(run: Run) -> str | None:
    """v1 clients show ``error`` next to "failed": it must never be empty then."""
    failed = run.state in (State.FAILED, State.CANCELLED, State.SKIPPED)
    return str(run.reason or run.state) if failed else None


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
