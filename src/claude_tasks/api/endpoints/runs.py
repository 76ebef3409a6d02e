"""Runs: asked for, listed, cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from claude_tasks.api import schemas
from claude_tasks.api.endpoint import ApiResponse, Call, endpoint, instant_of
from claude_tasks.domain.errors import ClaudeTasksError, ConflictError, NotFoundError
from claude_tasks.domain.run import Run, State
from claude_tasks.domain.store_records import MOST_COUNTED, RunFilter
from claude_tasks.operations.notifications import delivery_view
from claude_tasks.operations.views import run_view

if TYPE_CHECKING:
    from claude_tasks.domain.notification import DeliveryRecord
    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations

T = TypeVar("T")

LONGEST_QUEUE = 1000
"""Runs asked for here that may wait."""


@endpoint(
    "POST", "/tasks/{task_id}/run", tag="runs", answer=schemas.RunStarted, status=202,
    errors=(404, 409, 503),
)  # fmt: skip
async def run_task(call: Call) -> ApiResponse:
    """Run a task now. 409 when the task's overlap rule skips it: that is recorded too."""
    backend = call.backend

    def start(operations: Operations) -> Run:
        task = operations.tasks.get(call.task_id)
        _require_room(operations, backend.node_id, backend.run_concurrency)
        run = operations.runs.start(call.task_id, assigned_to=backend.node_id)
        if run.state is State.SKIPPED:
            raise SkippedError(run, task, _in_the_way(operations, task))
        return run

    run = await backend.database.write(start)
    backend.wake()
    return ApiResponse(
        {
            "success": True,
            "message": "Task execution started",
            "run_id": run.id,
            "state": run.state,
        },
        202,
    )


@endpoint(
    "GET", "/tasks/{task_id}/runs", tag="runs", answer=schemas.RunList,
    query=schemas.TaskRunsQuery, errors=(404,), also=(304,))  # fmt: skip
async def list_task_runs(call: Call) -> ApiResponse:
    """The runs of a task, newest first."""
    wanted = RunFilter(task_id=call.task_id, limit=call.parameters(schemas.TaskRunsQuery).limit)

    def look(operations: Operations) -> dict[str, object]:
        operations.tasks.get(call.task_id)
        return _page(operations, wanted)

    return ApiResponse(await call.backend.database.read(look), headers=call.tag())


@endpoint(
    "GET",
    "/tasks/{task_id}/runs/latest",
    tag="runs",
    answer=schemas.Run,
    errors=(404,),
    also=(304,),
)
async def latest_task_run(call: Call) -> ApiResponse:
    """The newest run of a task."""

    def look(operations: Operations) -> Run:
        operations.tasks.get(call.task_id)
        found = operations.runs.latest(call.task_id)
        if found is None:
            raise NotFoundError("No runs found")
        return found

    return ApiResponse(run_view(await call.backend.database.read(look)), headers=call.tag())


@endpoint(
    "GET",
    "/tasks/{task_id}/runs/{run_id}",
    tag="runs",
    answer=schemas.Run,
    errors=(404,),
    also=(304,),
)
async def get_task_run(call: Call) -> ApiResponse:
    """One run of a task."""
    run = await call.backend.database.read(lambda operations: operations.runs.get(call.run_id))
    if run.task_id != call.task_id:
        raise NotFoundError("Run not found", hint=f"run {run.id} is of task {run.task_id}")
    return ApiResponse(run_view(run), headers=call.tag())


@endpoint(
    "GET",
    "/runs",
    tag="runs",
    answer=schemas.RunPage,
    query=schemas.RunFilterQuery,
    also=(304,),
)
async def list_runs(call: Call) -> ApiResponse:
    """Runs of all tasks, newest first; the next page begins before ``next_before``."""
    asked = call.parameters(schemas.RunFilterQuery)
    wanted = RunFilter(
        task_id=_set(asked.task),
        states=tuple(asked.state),
        before_id=_set(asked.before),
        limit=asked.limit,
        reasons=tuple(asked.reason),
        since=instant_of("since", asked.since),
        until=instant_of("until", asked.until),
        text=_set(asked.text) or None,
    )

    def look(operations: Operations) -> dict[str, object]:
        page = _page(operations, wanted._replace(limit=wanted.limit + 1), most=MOST_COUNTED)
        runs = page["runs"]
        assert isinstance(runs, list)
        more = len(runs) > wanted.limit
        del runs[wanted.limit :]
        return {**page, "next_before": runs[-1]["id"] if more else None}

    database = call.backend.database
    found = await (database.read(look) if wanted.text is None else database.search(look))
    return ApiResponse(found, headers=call.tag())


@endpoint("GET", "/runs/{run_id}", tag="runs", answer=schemas.Run, errors=(404,), also=(304,))
async def get_run(call: Call) -> ApiResponse:
    """One run."""
    run = await call.backend.database.read(lambda operations: operations.runs.get(call.run_id))
    return ApiResponse(run_view(run), headers=call.tag())


# Without a tag: what becomes of a message is not in the change feed.
@endpoint(
    "GET", "/runs/{run_id}/deliveries", tag="runs", answer=schemas.DeliveryList, errors=(404,)
)
async def list_run_deliveries(call: Call) -> ApiResponse:
    """The messages about a run, oldest first: sent, on their way, or given up."""

    def look(operations: Operations) -> list[DeliveryRecord]:
        operations.runs.get(call.run_id)
        return operations.notifications.of_run(call.run_id)

    found = await call.backend.database.read(look)
    return ApiResponse({"deliveries": [delivery_view(record) for record in found]})


@endpoint(
    "GET",
    "/deliveries",
    tag="runs",
    answer=schemas.DeliveryList,
    query=schemas.DeliveriesQuery,
)
async def list_deliveries(call: Call) -> ApiResponse:
    """The newest messages about runs and overdue tasks, newest first."""
    limit = call.parameters(schemas.DeliveriesQuery).limit
    found = await call.backend.database.read(lambda o: o.notifications.latest(limit=limit))
    return ApiResponse({"deliveries": [delivery_view(record) for record in found]})


@endpoint(
    "POST", "/runs/{run_id}/cancel", tag="runs", answer=schemas.Run, status=202,
    errors=(404, 409),
)  # fmt: skip
async def cancel_run(call: Call) -> ApiResponse:
    """End a run with all it started; what has not begun is cancelled at once."""
    run = await call.backend.database.write(lambda operations: operations.runs.cancel(call.run_id))
    return ApiResponse(run_view(run), 202)


class SkippedError(ConflictError):
    """A run asked for was recorded as a skip."""

    code = "overlap"

    def __init__(self, run: Run, task: Task, other: Run | None) -> None:
        """Say why: by which rule, and for which run. ``run`` is the record of it."""
        # It may have ended in this very moment.
        busy = f"; run {other.id} is {other.state}" if other is not None else ""
        super().__init__(
            f"Not started: {run.error} (overlap = {task.spec.overlap}{busy})",
            hint="the overlap rule of the task decides: change it, or cancel the other run",
        )
        self.run_id = run.id


def _in_the_way(operations: Operations, task: Task) -> Run | None:
    """The run that is at work, or the one that waits."""
    for state in (State.RUNNING, State.QUEUED):
        found = operations.runs.list(RunFilter(task_id=task.id, states=(state,), limit=1))
        if found:
            return found[0]
    return None


def _require_room(operations: Operations, node_id: str, run_concurrency: int) -> None:
    if run_concurrency == 0:
        raise ClaudeTasksError(
            "Task execution queue is disabled",
            hint="CLAUDE_TASKS_API_RUN_CONCURRENCY is 0",
            code="queue_disabled",
        )
    if operations.runs.waiting_for(node_id) >= LONGEST_QUEUE:
        raise ClaudeTasksError("Task execution queue is full", code="queue_full")


def _page(
    operations: Operations, wanted: RunFilter, *, most: int | None = None
) -> dict[str, object]:
    return {
        "runs": [run_view(run) for run in operations.runs.list(wanted)],
        "total": operations.runs.count(wanted, most=most),
    }


def _set(value: T | msgspec.UnsetType) -> T | None:
    return None if isinstance(value, msgspec.UnsetType) else value


ENDPOINTS = (
    run_task,
    list_task_runs,
    latest_task_run,
    get_task_run,
    list_runs,
    get_run,
    list_run_deliveries,
    list_deliveries,
    cancel_run,
)
