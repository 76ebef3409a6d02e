"""Tasks on the wire."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from claude_tasks.api.schemas.fields import (
    AgentFlag,
    Count,
    Cron,
    Id,
    Name,
    NotifyOn,
    PermissionMode,
    Prompt,
    Text,
    Time,
    V1Status,
    WebAddress,
    When,
    Zone,
    between,
)
from claude_tasks.domain.run import Reason
from claude_tasks.domain.task import Catchup, OnUsageLimit, Overlap


class _Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields that clients of API v1 may not know: whoever leaves one out leaves it as it is."""

    timezone: Zone | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    catchup: Catchup | UnsetType = UNSET
    catchup_window_seconds: Annotated[int, between("catchup_window_seconds")] | UnsetType = UNSET
    jitter_seconds: Annotated[int, between("jitter_seconds")] | UnsetType = UNSET
    timeout_seconds: Annotated[int, between("timeout_seconds")] | UnsetType = UNSET
    max_retries: Annotated[int, between("max_retries")] | UnsetType = UNSET
    max_concurrency: Annotated[int, between("max_concurrency")] | UnsetType | None = UNSET
    allowed_tools: list[Text] | UnsetType = UNSET
    disallowed_tools: list[Text] | UnsetType = UNSET
    max_turns: Annotated[int, between("max_turns")] | UnsetType | None = UNSET
    max_budget_usd: Annotated[float, between("max_budget_usd")] | UnsetType | None = UNSET
    append_system_prompt: Text | UnsetType | None = UNSET
    extra_args: list[AgentFlag] | UnsetType = UNSET
    on_usage_limit: OnUsageLimit | UnsetType | None = UNSET
    notify_on: NotifyOn | UnsetType | None = UNSET
    tags: list[Text] | UnsetType = UNSET
    webhook_url: WebAddress | UnsetType | None = UNSET
    apprise_url: WebAddress | UnsetType | None = UNSET


class TaskRequest(_Changes, kw_only=True, forbid_unknown_fields=True):
    """A task as asked for. null says as much as leaving out, where it is allowed.

    A new task without ``timezone`` fires by the clocks of the server's machine.
    """

    name: Name
    prompt: Prompt
    cron_expr: Cron | None = ""
    scheduled_at: When | Literal[""] | UnsetType | None = UNSET
    working_dir: Text | None = "."
    discord_webhook: WebAddress | None = None
    slack_webhook: WebAddress | None = None
    model: Text | None = None
    permission_mode: PermissionMode | Literal[""] | None = None
    enabled: bool | UnsetType | None = UNSET


V1_FIELDS = tuple(
    name for name in TaskRequest.__struct_fields__ if name not in _Changes.__struct_fields__
)
"""What a client of API v1 knows of a task that it asks for."""


class TaskPatch(_Changes, kw_only=True, forbid_unknown_fields=True):
    """The fields to change; null clears one that may be unset."""

    name: Name | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    cron_expr: Cron | UnsetType = UNSET
    scheduled_at: When | Literal[""] | UnsetType | None = UNSET
    working_dir: Text | UnsetType = UNSET
    discord_webhook: WebAddress | UnsetType | None = UNSET
    slack_webhook: WebAddress | UnsetType | None = UNSET
    model: Text | UnsetType | None = UNSET
    permission_mode: PermissionMode | Literal[""] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Task(Struct, kw_only=True):
    """A task as kept, with what its last run did."""

    id: Id
    name: str
    prompt: str
    cron_expr: str
    scheduled_at: Annotated[
        Time | UnsetType, Meta(description="absent where it was to run at once")
    ] = UNSET
    is_one_off: bool
    working_dir: str
    discord_webhook: str | UnsetType = UNSET
    slack_webhook: str | UnsetType = UNSET
    webhook_url: str | UnsetType = UNSET
    apprise_url: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    permission_mode: Annotated[str, Meta(description="default where none was chosen")]
    enabled: bool
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
    timezone: str
    overlap: Overlap
    catchup: Catchup
    catchup_window_seconds: int
    jitter_seconds: int
    timeout_seconds: int
    max_retries: int
    max_concurrency: int | None
    allowed_tools: list[str]
    disallowed_tools: list[str]
    max_turns: int | None
    max_budget_usd: float | None
    append_system_prompt: str | None
    extra_args: list[str]
    on_usage_limit: Annotated[OnUsageLimit | None, Meta(description="null: as the settings say")]
    notify_on: str | None
    tags: list[str]
    revision: Annotated[int, Meta(ge=1, description="what If-Match names")]


class TaskList(Struct):
    """Every task, newest first."""

    tasks: list[Task]
    total: Count
