"""Tasks on the wire, made from the table of their fields."""

from typing import Annotated, Any, Literal

from msgspec import NODEFAULT, UNSET, Meta, Struct, UnsetType, defstruct

from claude_tasks.api.schemas.fields import Count, Id, Time, V1Status
from claude_tasks.domain.run import Reason
from claude_tasks.domain.task_fields import DEFAULT_PERMISSION_MODE, FIELDS, Field, Kind

V1_FIELDS = tuple(name for name, field in FIELDS.items() if field.in_v1)
"""What a client of API v1 knows of a task that it asks for."""

_JSON_KINDS: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.LIST: list[str],
    Kind.SWITCH: bool,
    Kind.WHOLE: int,
    Kind.NUMBER: float,
    Kind.INSTANT: Time,
}


def _asked(field: Field) -> Any:
    """The type of a field's value in a request."""
    kind = field.words or _JSON_KINDS[field.kind]
    if field.choices and not field.words:
        kind = Literal[field.choices]
    if field.kind in (Kind.WHOLE, Kind.NUMBER):
        kind = Annotated[kind, Meta(ge=field.lowest, le=field.highest)]
    if field.format:
        about = Meta(description=field.help, extra_json_schema={"format": field.format})
        lengths = Meta(min_length=1 if field.required else None, max_length=field.longest)
        text = Annotated[str, about, lengths]
        kind = list[text] if field.kind is Kind.LIST else text
    if field.absent:
        kind = kind | Literal[""]  # as clients of API v1 write an option that is not set
    return kind


def _told(field: Field) -> Any:
    """The type of a field's value in an answer."""
    kind = field.words or _JSON_KINDS[field.kind]
    if field.name == "permission_mode":  # a client of v1 takes a missing one for bypass
        return Annotated[kind, Meta(description=f"{DEFAULT_PERMISSION_MODE} where none was chosen")]
    if field.absent:
        return kind | UnsetType
    if field.optional:
        return Annotated[kind | None, Meta(description=f"null: {field.unset or 'not set'}")]
    return kind


def _in_request(field: Field) -> tuple[str, Any, Any]:
    if field.required:
        return field.name, _asked(field), NODEFAULT
    kind = _asked(field) | UnsetType
    return field.name, kind | None if field.in_v1 or field.optional else kind, UNSET


def _in_patch(field: Field) -> tuple[str, Any, Any]:
    kind = _asked(field) | UnsetType
    return field.name, kind | None if field.optional else kind, UNSET


def _in_answer(field: Field) -> tuple[str, Any, Any]:
    kind = _told(field)
    may_be_absent = field.absent and field.name != "permission_mode"
    return field.name, kind, UNSET if may_be_absent else NODEFAULT


TaskRequest = defstruct(
    "TaskRequest",
    [_in_request(field) for field in FIELDS.values()],
    namespace={
        "__doc__": "A task as asked for. null says as much as leaving out, where it is allowed.\n\n"
        "A new task without ``timezone`` fires by the clocks of the server's machine."
    },
    kw_only=True,
    forbid_unknown_fields=True,
)

TaskPatch = defstruct(
    "TaskPatch",
    [_in_patch(field) for field in FIELDS.values()],
    namespace={"__doc__": "The fields to change; null clears one that may be unset."},
    kw_only=True,
    forbid_unknown_fields=True,
)

_Spec: Any = defstruct("_Spec", [_in_answer(field) for field in FIELDS.values()], kw_only=True)


class Task(_Spec, kw_only=True):  # type: ignore[misc, call-arg]
    """A task as kept, with what its last run did.

    A one-off without ``scheduled_at`` was to run at once.
    """

    id: Id
    is_one_off: bool
    created_at: Time
    updated_at: Time
    deleted_at: Time | UnsetType = UNSET
    last_run_at: Time | UnsetType = UNSET
    next_run_at: Time | UnsetType = UNSET
    last_run_status: V1Status | UnsetType = UNSET
    last_run_reason: Reason | UnsetType | None = UNSET
    deferred_until: Annotated[
        Time | UnsetType, Meta(description="a queued run waits for this usage reset")
    ] = UNSET
    revision: Annotated[int, Meta(ge=1, description="what If-Match names")]


class FieldChange(Struct):
    """A field before and after. Of an address only that it is one."""

    field: str
    old: Any
    new: Any


class TaskRevision(Struct):
    """Who changed a task, when, and what."""

    revision: Annotated[int, Meta(ge=1)]
    at: Time
    actor: Annotated[str, Meta(description="face and name: cli:root, api:full, agent:run 12")]
    changes: list[FieldChange]


class TaskRevisionList(Struct):
    """The revisions of a task, newest first."""

    revisions: list[TaskRevision]


class RevisionsQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """How many."""

    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class TaskList(Struct):
    """Every task, newest first."""

    tasks: list[Task]
    total: Count
