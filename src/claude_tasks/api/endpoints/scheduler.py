"""Who schedules and what comes next; what a schedule means; why a task did or did not run."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from msgspec import UnsetType

from claude_tasks.api import schemas
from claude_tasks.api.endpoint import ApiResponse, Call, endpoint
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.run import State
from claude_tasks.domain.store_records import RunFilter
from claude_tasks.operations.folders import with_folder
from claude_tasks.operations.preview import preview_view
from claude_tasks.operations.status_views import explanation_view, scheduler_view

if TYPE_CHECKING:
    from claude_tasks.operations.facade import Operations

_NEXT_TICKS = 20


@endpoint("GET", "/scheduler", tag="scheduler", answer=schemas.Scheduler)
async def scheduler(call: Call) -> ApiResponse:
    """Nodes, the leader, the lease, the next ticks."""

    def look(operations: Operations) -> dict[str, Any]:
        status = operations.status.status()
        view = scheduler_view(status, operations.status.next_ticks(limit=_NEXT_TICKS))
        # A status names the newest few of them; here all are counted.
        for state in (State.QUEUED, State.RUNNING):
            view[state] = operations.runs.count(RunFilter(states=(state,)))
        return view

    return ApiResponse(await call.backend.database.read(look))


@endpoint(
    "POST", "/schedules/preview", tag="scheduler", answer=schemas.Preview,
    body=schemas.PreviewRequest,
)  # fmt: skip
async def preview_schedule(call: Call) -> ApiResponse:
    """What a cron expression means: in words, its next ticks, what changes of the clocks do."""
    asked = call.body(schemas.PreviewRequest)
    named = asked.timezone
    timezone = call.backend.local_zone() if isinstance(named, UnsetType) else named
    try:
        preview = await call.backend.database.read(
            lambda operations: operations.status.preview(
                asked.cron_expr, timezone=timezone, count=asked.count
            )
        )
    except InvalidInputError as error:
        return ApiResponse(_refused(asked.cron_expr, timezone, error))
    return ApiResponse({"valid": True, **preview_view(preview), "error": None, "hint": None})


@endpoint("GET", "/tasks/{task_id}/why", tag="tasks", answer=schemas.Explanation, errors=(404,))
async def why(call: Call) -> ApiResponse:
    """Why a task did or did not run: all that decides it."""
    explanation = await call.backend.database.read(
        lambda operations: operations.status.why(call.task_id)
    )
    # Off the database's thread: a folder on a dead mount would have all readers wait for it.
    return ApiResponse(explanation_view(await asyncio.to_thread(with_folder, explanation)))


def _refused(cron_expr: str, timezone: str, error: InvalidInputError) -> dict[str, Any]:
    return {
        "valid": False,
        "cron_expr": cron_expr,
        "timezone": timezone,
        "description": None,
        "next_runs": [],
        "error": error.message,
        "hint": error.hint,
    }


ENDPOINTS = (scheduler, preview_schedule, why)
