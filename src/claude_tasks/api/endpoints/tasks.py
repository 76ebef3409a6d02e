"""Tasks: listed, added, changed, switched, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from claude_tasks.api import schemas
from claude_tasks.api.authorization import Access
from claude_tasks.api.endpoint import ApiResponse, Call, endpoint
from claude_tasks.api.schemas.tasks import V1_FIELDS
from claude_tasks.api.task_list import shown
from claude_tasks.domain.task_fields import FIELDS
from claude_tasks.operations.exchange import fields_of, parse_task
from claude_tasks.operations.views import revision_view

if TYPE_CHECKING:
    from collections.abc import Callable

    from claude_tasks.domain.task import Task
    from claude_tasks.operations.facade import Operations

_REPLACED = tuple(name for name in V1_FIELDS if name not in ("enabled", "scheduled_at"))
"""What a PUT says about, also by leaving it out: the fields of API v1, but for two.

Without ``enabled`` the switch stays. Without ``scheduled_at`` a one-off keeps its time, for the
answer of one that was to run at once had none; a task that was none until then runs now.
"""

_BLANKS = frozenset(name for name in V1_FIELDS if FIELDS[name].optional)
"""What may be unset: of these "" says as much as null."""


@endpoint("GET", "/tasks", tag="tasks", answer=schemas.TaskList, also=(304,))
async def list_tasks(call: Call) -> ApiResponse:
    """All tasks, newest first."""
    secrets = call.access is Access.FULL
    encoder = call.backend.task_list
    body = await call.backend.database.read(
        lambda operations: encoder.encode(operations.tasks.list(), secrets=secrets)
    )
    return ApiResponse(body, headers=call.tag())


@endpoint("POST", "/tasks", tag="tasks", answer=schemas.Task, status=201, body=schemas.TaskRequest)
async def add_task(call: Call) -> ApiResponse:
    """Add a task. Without a cron expression it runs once: at a time, or now."""
    spec = parse_task(_asked(call), local_zone=call.backend.local_zone)
    return await _task_answer(
        call, lambda operations: operations.tasks.by(call.actor).add(spec), status=201
    )


@endpoint("GET", "/tasks/{task_id}", tag="tasks", answer=schemas.Task, errors=(404,), also=(304,))
async def get_task(call: Call) -> ApiResponse:
    """One task. Its ETag begins with the revision, and serves as If-Match."""

    def look(operations: Operations) -> Task:
        return operations.tasks.get(call.task_id)

    return await _task_answer(call, look, changed=False)


@endpoint(
    "GET", "/tasks/{task_id}/revisions", tag="tasks", answer=schemas.TaskRevisionList,
    query=schemas.RevisionsQuery, errors=(404,),
)  # fmt: skip
async def list_revisions(call: Call) -> ApiResponse:
    """Who changed a task, when, and what; newest first."""
    limit = call.parameters(schemas.RevisionsQuery).limit

    def look(operations: Operations) -> list[dict[str, Any]]:
        task = operations.tasks.get(call.task_id)
        return [revision_view(each) for each in operations.tasks.revisions(task, limit=limit)]

    return ApiResponse({"revisions": await call.backend.database.read(look)})


@endpoint(
    "PUT", "/tasks/{task_id}", tag="tasks", answer=schemas.Task, body=schemas.TaskRequest,
    errors=(404, 409), if_match=True,
)  # fmt: skip
async def replace_task(call: Call) -> ApiResponse:
    """Replace a task. What API v1 does not know stays as it is where it is not named."""
    fields = {name: FIELDS[name].default for name in _REPLACED}
    fields.update(fields_of(_asked(call)))
    revision = call.expected_revision()
    return await _task_answer(
        call,
        lambda operations: operations.tasks.by(call.actor).replace(
            call.task_id, fields, expected_revision=revision
        ),
    )


@endpoint(
    "PATCH", "/tasks/{task_id}", tag="tasks", answer=schemas.Task, body=schemas.TaskPatch,
    errors=(404, 409), if_match=True,
)  # fmt: skip
async def change_task(call: Call) -> ApiResponse:
    """Change what is named, leave the rest."""
    changes = fields_of(_without_blanks(call.fields()))
    revision = call.expected_revision()
    return await _task_answer(
        call,
        lambda operations: operations.tasks.by(call.actor).edit(
            call.task_id, changes, expected_revision=revision
        ),
    )


@endpoint(
    "DELETE", "/tasks/{task_id}", tag="tasks", answer=schemas.Done, errors=(404, 409),
    if_match=True,
)  # fmt: skip
async def delete_task(call: Call) -> ApiResponse:
    """Delete a task; its runs stay."""
    revision = call.expected_revision()
    await call.backend.database.write(
        lambda operations: operations.tasks.by(call.actor).remove(
            call.task_id, expected_revision=revision
        )
    )
    return ApiResponse({"success": True, "message": "Task deleted"})


@endpoint(
    "POST", "/tasks/{task_id}/toggle", tag="tasks", answer=schemas.Task, errors=(404, 409),
    if_match=True,
)  # fmt: skip
async def toggle_task(call: Call) -> ApiResponse:
    """Enable what is disabled, disable what is enabled."""
    revision = call.expected_revision()
    return await _task_answer(
        call,
        lambda operations: operations.tasks.by(call.actor).toggle(
            call.task_id, expected_revision=revision
        ),
    )


async def _task_answer(
    call: Call, work: Callable[[Operations], Task], *, status: int = 200, changed: bool = True
) -> ApiResponse:
    """The task that ``work`` returns, as it stands after it."""

    def done(operations: Operations) -> tuple[Task, dict[str, Any]]:
        task = work(operations)
        summary = operations.runs.summary(task)
        return task, shown(summary, secrets=call.access is Access.FULL)

    database = call.backend.database
    task, view = await (database.write(done) if changed else database.read(done))
    # After a change the counter of this call is of before: the revision alone names the state.
    tag = {"etag": f'"{task.revision}"'} if changed else call.tag(str(task.revision))
    return ApiResponse(view, status, tag)


def _asked(call: Call) -> dict[str, Any]:
    """A TaskRequest. Of a field of API v1 null says as much as leaving it out."""
    return {
        name: value
        for name, value in _without_blanks(call.fields()).items()
        if not (value is None and name in V1_FIELDS)
    }


def _without_blanks(fields: dict[str, Any]) -> dict[str, Any]:
    """Clients of API v1 write "" for an option that is not set."""
    return {
        name: None if value == "" and name in _BLANKS else value for name, value in fields.items()
    }


ENDPOINTS = (
    list_tasks,
    add_task,
    get_task,
    list_revisions,
    replace_task,
    change_task,
    delete_task,
    toggle_task,
)
