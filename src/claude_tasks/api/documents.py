"""What goes over the wire, as types, for the OpenAPI document.

Answers are built by the views that every face shares, and tasks are checked by the operations; a
test holds both against these types. A field that API v1 leaves out when unset may be missing; what
we add is always there.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

from claude_tasks.domain.run import Reason, State, Trigger
from claude_tasks.domain.task import NOTIFY_ON, PERMISSION_MODES, Catchup, OnUsageLimit, Overlap
from claude_tasks.operations.validation import NAME_LIMIT, RANGES

LARGEST_ID = 2**63 - 1
_TIME = {"format": "date-time"}

Time: TypeAlias = Annotated[str, Meta(extra_json_schema=_TIME)]
Id: TypeAlias = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
Count: TypeAlias = Annotated[int, Meta(ge=0)]
V1Status: TypeAlias = Literal["pending", "running", "completed", "failed"]
PermissionMode: TypeAlias = Literal[PERMISSION_MODES]  # type: ignore[valid-type]
NotifyOn: TypeAlias = Literal[NOTIFY_ON]  # type: ignore[valid-type]

Name: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=NAME_LIMIT, extra_json_schema={"format": "task-name"})
]
Prompt: TypeAlias = Annotated[str, Meta(min_length=1, extra_json_schema={"format": "prompt"})]
Cron: TypeAlias = Annotated[
    str,
    Meta(
        description='5 or 6 fields (seconds first), @daily, @every 90s, …; "" = once',
        extra_json_schema={"format": "cron"},
    ),
]
Zone: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "time-zone"})]
Text: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "text"})]
AgentFlag: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "agent-flag"})]
When: TypeAlias = Annotated[
    str, Meta(description="RFC 3339; absent or empty = now", extra_json_schema=_TIME)
]


def _between(field: str) -> Meta:
    """The rule that the operations check this field by."""
    return Meta(ge=RANGES[field].lowest, le=RANGES[field].highest)


class _Changes(Struct, kw_only=True, forbid_unknown_fields=True):
    """The fields that clients of API v1 may not know: whoever leaves one out leaves it as it is."""

    timezone: Zone | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    catchup: Catchup | UnsetType = UNSET
    catchup_window_seconds: Annotated[int, _between("catchup_window_seconds")] | UnsetType = UNSET
    jitter_seconds: Annotated[int, _between("jitter_seconds")] | UnsetType = UNSET
    timeout_seconds: Annotated[int, _between("timeout_seconds")] | UnsetType = UNSET
    max_retries: Annotated[int, _between("max_retries")] | UnsetType = UNSET
    max_concurrency: Annotated[int, _between("max_concurrency")] | UnsetType | None = UNSET
    allowed_tools: list[Text] | UnsetType = UNSET
    disallowed_tools: list[Text] | UnsetType = UNSET
    max_turns: Annotated[int, _between("max_turns")] | UnsetType | None = UNSET
    max_budget_usd: Annotated[float, _between("max_budget_usd")] | UnsetType | None = UNSET
    append_system_prompt: Text | UnsetType | None = UNSET
    extra_args: list[AgentFlag] | UnsetType = UNSET
    on_usage_limit: OnUsageLimit | UnsetType | None = UNSET
    notify_on: NotifyOn | UnsetType | None = UNSET
    tags: list[Text] | UnsetType = UNSET
    webhook_url: Text | UnsetType | None = UNSET
    apprise_url: Text | UnsetType | None = UNSET


class TaskRequest(_Changes, kw_only=True, forbid_unknown_fields=True):
    """A task as asked for. null says as much as leaving out, where it is allowed."""

    name: Name
    prompt: Prompt
    cron_expr: Cron | None = ""
    scheduled_at: When | Literal[""] | UnsetType | None = UNSET
    working_dir: Text | None = "."
    discord_webhook: Text | None = None
    slack_webhook: Text | None = None
    model: Text | None = None
    permission_mode: PermissionMode | Literal[""] | None = None
    enabled: bool | UnsetType | None = UNSET


class TaskPatch(_Changes, kw_only=True, forbid_unknown_fields=True):
    """The fields to change; null clears one that may be unset."""

    name: Name | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    cron_expr: Cron | UnsetType = UNSET
    scheduled_at: When | Literal[""] | UnsetType | None = UNSET
    working_dir: Text | UnsetType = UNSET
    discord_webhook: Text | UnsetType | None = UNSET
    slack_webhook: Text | UnsetType | None = UNSET
    model: Text | UnsetType | None = UNSET
    permission_mode: PermissionMode | Literal[""] | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class Task(Struct, kw_only=True):
    """A task as kept, with what its last run did."""

    id: Id
    name: str
    prompt: str
    cron_expr: str
    scheduled_at: Time | UnsetType = UNSET
    is_one_off: bool
    working_dir: str
    discord_webhook: str | UnsetType = UNSET
    slack_webhook: str | UnsetType = UNSET
    webhook_url: str | UnsetType = UNSET
    apprise_url: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    permission_mode: str | UnsetType = UNSET
    enabled: bool
    created_at: Time
    updated_at: Time
    deleted_at: Time | UnsetType = UNSET
    last_run_at: Time | UnsetType = UNSET
    next_run_at: Time | UnsetType = UNSET
    last_run_status: V1Status | UnsetType = UNSET
    last_run_reason: Reason | UnsetType | None = UNSET
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


class Run(Struct, kw_only=True):
    """A run. ``status`` is what clients of API v1 know, ``state`` and ``reason`` are exact."""

    id: Id
    task_id: Id
    task_name: str
    started_at: Time
    ended_at: Time | UnsetType = UNSET
    status: V1Status
    output: str
    error: str | UnsetType = UNSET
    session_id: str | UnsetType = UNSET
    duration_ms: Count | UnsetType = UNSET
    state: State
    reason: Reason | None
    trigger: Trigger
    scheduled_for: Time | None
    queued_at: Time
    attempt: int
    exit_code: int | None
    model: str | None
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    cache_creation_tokens: int | None
    num_turns: int | None
    permission_denials: list[str]
    skipped_count: int | None
    skipped_until: Time | None
    resumes: Count
    log_path: str | None


class RunList(Struct):
    """Runs, newest first. ``total`` counts all that match."""

    runs: list[Run]
    total: Count


class RunPage(Struct):
    """A page of runs, newest first. ``next_before`` asks for the page after it; null at the end."""

    runs: list[Run]
    total: Count
    next_before: Id | None


class Done(Struct):
    """It was done."""

    success: Literal[True]
    message: str


class RunStarted(Done):
    """A run stands in the queue."""

    run_id: Id
    state: State


class Health(Struct):
    """The server answers."""

    status: Literal["ok"]
    version: str


class Settings(Struct, forbid_unknown_fields=True):
    """What can be changed while the program runs."""

    usage_threshold: Annotated[float, Meta(description="percent, 0 to 100")]


class SettingsRequest(Struct, forbid_unknown_fields=True):
    """The same, to be kept."""

    usage_threshold: Annotated[float, Meta(ge=0, le=100, description="percent")]


class UsageBucket(Struct):
    """One usage window."""

    utilization: float
    resets_at: Time


class Usage(Struct):
    """How much of the agent's usage windows is spent, in percent.

    ``blocked_by`` names the window that keeps runs from starting. ``trouble`` says why a newer
    answer than this could not be had.
    """

    five_hour: UsageBucket
    seven_day: UsageBucket
    windows: dict[str, UsageBucket]
    source: str
    read_at: Time
    age_seconds: Count
    threshold: float
    blocked_by: str | None
    trouble: str | None


class Node(Struct):
    """A process of claude-tasks."""

    id: str
    role: str
    host: str
    pid: int
    version: str
    scheduler: bool
    started_at: Time
    max_concurrent_runs: int
    alive: bool
    leads: bool


class Lease(Struct):
    """The record that says who may schedule."""

    name: str
    holder: str | None
    epoch: Count
    ttl_seconds: float
    acquired_at: Time | None
    renewed_at: Time | None
    expires_at: Time | None
    host: str | None
    pid: int | None
    role: str | None
    version: str | None


class NextTick(Struct):
    """A tick to come."""

    task_id: Id
    task_name: str
    at: Time


class Scheduler(Struct):
    """Who schedules, what waits, what runs, what comes next."""

    at: Time
    leader: Annotated[str | None, Meta(description="id of the living leader")]
    lease: Lease
    nodes: list[Node]
    queued: Count
    running: Count
    max_concurrent_runs: int
    next_ticks: list[NextTick]
    agent: str | None
    agent_problem: str | None


class PreviewRequest(Struct, forbid_unknown_fields=True):
    """A schedule to look at."""

    cron_expr: Annotated[str, Meta(max_length=1000)]
    timezone: Annotated[str, Meta(max_length=200)] = "UTC"
    count: Annotated[int, Meta(ge=1, le=100)] = 5


class PreviewTick(Struct):
    """One tick: ``local`` by the clocks of its zone, ``note`` what a change of them does to it."""

    at: Time
    local: str
    note: str | None


class Preview(Struct):
    """What a schedule means; or why it means nothing."""

    valid: bool
    cron_expr: str
    timezone: str
    description: str | None
    next_runs: list[PreviewTick]
    error: str | None
    hint: str | None


class Diagnosis(Struct):
    """What the doctor found of one thing, and the command that mends it."""

    id: str
    verdict: Literal["PASS", "WARN", "FAIL"]
    detail: str
    fix: str | None


class Report(Struct):
    """Whether this installation is ready."""

    at: Time
    version: str
    ready: bool
    problems: Count
    warnings: Count
    findings: list[Diagnosis]


class Finding(Struct):
    """One line of an explanation."""

    topic: str
    text: str
    stands_in_the_way: bool


class Explanation(Struct):
    """Why a task did or did not run."""

    task_id: Id
    task_name: str
    findings: list[Finding]
    runs: list[Run]


class RunFilterQuery(Struct, kw_only=True, forbid_unknown_fields=True):
    """Which runs. ``state`` and ``reason`` may be repeated."""

    state: list[State] = []
    reason: list[Reason] = []
    task: Id | UnsetType = UNSET
    since: Time | UnsetType = UNSET
    until: Time | UnsetType = UNSET
    text: str | UnsetType = UNSET
    before: Id | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=200)] = 20


class TaskRunsQuery(Struct):
    """How many runs of a task."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 20
