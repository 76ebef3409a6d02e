"""The server, its scheduler and its settings on the wire."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from claude_tasks.api.schemas.fields import Count, Id, Time

_ZONE = "an IANA name; absent: the zone of the server's machine"


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
    """A process of claude-tasks.

    ``listens`` is the address of its API, null without one; ``open`` is true
    where it asks for no token. ``beat_at`` is when it last said that it makes
    progress; ``hung`` is true where it lives and does not.
    """

    id: str
    role: str
    host: str
    pid: int
    version: str
    scheduler: bool
    started_at: Time
    max_concurrent_runs: int
    listens: str | None
    open: bool
    alive: bool
    leads: bool
    beat_at: Time | None
    hung: bool


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


class DeliveryCounts(Struct):
    """Messages that wait, and those sent and given up in the last 24 hours."""

    pending: Count
    sent: Count
    failed: Count


class ClockStep(Struct):
    """The wall clock went back by so much: it had been ahead."""

    seen_at: Time
    back_seconds: float


class ClockTrouble(Struct):
    """A task that waits for a false future, or was used up in it; ``fix`` is a command."""

    task_id: Id
    task_name: str
    text: str
    fix: str


class Clock(Struct):
    """What a clock that was ahead left: the last step that was settled, and what is not."""

    last_step: ClockStep | None
    troubles: list[ClockTrouble]


class Scheduler(Struct):
    """Who schedules, what waits, what runs, what comes next."""

    at: Time
    leader: Annotated[str | None, Meta(description="id of the living leader")]
    lease: Lease | None
    lease_problem: Annotated[
        str | None, Meta(description="why there is no lease: its row cannot be read")
    ]
    nodes: list[Node]
    queued: Count
    running: Count
    max_concurrent_runs: int
    next_ticks: list[NextTick]
    agent: str | None
    agent_problem: str | None
    deliveries: DeliveryCounts
    usage_obstacle: Annotated[str | None, Meta(description="what usage keeps from running")]
    clock: Clock


class PreviewRequest(Struct, forbid_unknown_fields=True):
    """A schedule to look at."""

    cron_expr: Annotated[str, Meta(max_length=1000)]
    timezone: Annotated[str, Meta(max_length=200, description=_ZONE)] | UnsetType = UNSET
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
    """What the doctor found of one thing, and the command that fixes it."""

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
