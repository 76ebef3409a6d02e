"""One structured JSON file a run: the record to read without the database."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

from claude_tasks.domain.instant import to_rfc3339
from claude_tasks.domain.run import V1_STATUS
from claude_tasks.execution.contract import TaskSnapshot
from claude_tasks.system.durable import write_atomically

if TYPE_CHECKING:
    from typing import Any

    from claude_tasks.domain.run import Outcome, Run
    from claude_tasks.domain.task import Task


def events_path(logs: str, task_id: int, run_id: int) -> str:
    """Where the agent's event stream of a run goes, live."""
    return os.path.join(logs, str(task_id), f"{run_id}.events.jsonl")


def log_path(logs: str, task_id: int, run_id: int, outcome: Outcome) -> str:
    """``<task_id>/<run_id>_<status>_<UTC time>.json``: the same for the same outcome."""
    stamp = to_rfc3339(outcome.ended_at // 1000 * 1000).replace("-", "").replace(":", "")
    name = f"{run_id}_{V1_STATUS[outcome.state]}_{stamp}.json"
    return os.path.join(logs, str(task_id), name)


def write_run_log(path: str, snapshot: TaskSnapshot, run: Run, outcome: Outcome) -> None:
    """Write the log of one ended run. Errors: `OSError`.

    Not flushed to the disk: the database row is, and holds the same facts.
    """
    folder = os.path.dirname(path)
    if os.path.islink(folder):  # an agent may have made it, to lead the engine elsewhere
        raise OSError(errno.ELOOP, "its folder is a link", folder)
    os.makedirs(folder, mode=0o700, exist_ok=True)
    text = json.dumps(run_record(snapshot, run, outcome), indent=2, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode(), sync=False)


def snapshot_of(task: Task) -> TaskSnapshot:
    """The task as it stands now."""
    names = TaskSnapshot._fields[1:]
    return TaskSnapshot(task.id, *(getattr(task.spec, name) for name in names))


def run_record(snapshot: TaskSnapshot, run: Run, outcome: Outcome) -> dict[str, Any]:
    """What the log says, under the API's names."""
    started_at = outcome.started_at or run.started_at or outcome.ended_at
    return {
        "run_id": run.id,
        "task_id": run.task_id,
        "task_name": snapshot.name,
        "prompt": snapshot.prompt,
        "working_dir": snapshot.working_dir,
        "cron_expr": snapshot.cron_expr,
        "timezone": snapshot.timezone,
        "trigger": run.trigger,
        "attempt": run.attempt,
        "scheduled_for": _time(run.scheduled_for),
        "covers": _time(run.covers),
        "started_at": _time(started_at),
        "ended_at": _time(outcome.ended_at),
        "duration_ms": max(0, outcome.ended_at - started_at),
        "status": V1_STATUS[outcome.state],
        "state": outcome.state,
        "reason": outcome.reason,
        "output": outcome.output,
        "error": outcome.error,
        "model": outcome.model or snapshot.model,
        "permission_mode": snapshot.permission_mode,
        "session_id": outcome.session_id or run.session_id,
        "resumes": run.resumes,
        "exit_code": outcome.exit_code,
        "cost_usd": outcome.cost_usd,
        "input_tokens": outcome.input_tokens,
        "output_tokens": outcome.output_tokens,
        "cache_read_tokens": outcome.cache_read_tokens,
        "cache_creation_tokens": outcome.cache_creation_tokens,
        "num_turns": outcome.num_turns,
        "permission_denials": list(outcome.permission_denials),
    }


def _time(at: int | None) -> str | None:
    return None if at is None else to_rfc3339(at)
