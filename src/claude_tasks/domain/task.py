"""A task: what to run, and when."""

from enum import StrEnum
from typing import Annotated, NamedTuple

ONE_OFF = ""
"""The cron expression of a task that runs once (API v1)."""

DEFAULT_TIMEOUT_SECONDS = 30 * 60
DEFAULT_CATCHUP_WINDOW_SECONDS = 24 * 60 * 60

PERMISSION_MODES = (
    "acceptEdits",
    "auto",
    "bypassPermissions",
    "default",
    "dontAsk",
    "manual",
    "plan",
)

DEFAULT_PERMISSION_MODE = "default"
"""The mode in force where a task names none."""

NOTIFY_ON = ("failure", "always", "change")
"""When the owner of a task wants to hear of its runs."""


class Overlap(StrEnum):
    """What happens to a tick while an earlier run of the same task is queued or running."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    CANCEL_OTHER = "cancel_other"


class Catchup(StrEnum):
    """What happens to ticks that passed while nobody scheduled."""

    LATEST = "latest"
    NONE = "none"
    ALL = "all"


class OnUsageLimit(StrEnum):
    """What happens to a run that the usage limit stands in the way of."""

    SKIP = "skip"
    DEFER = "defer"


class Task(NamedTuple):
    """One task as stored. Field names are those of the API, the command line and the run log.

    ``cron_expr`` is "" for a one-off, which then fires at ``scheduled_at``. ``anchor_at`` is when
    the schedule was set, where ``@every`` counts from. ``cursor_at`` is the last instant up to
    which ticks were accounted for; ``next_run_at`` is the first tick after it, None when nothing is
    to come. Edits bump
    ``revision``; the scheduler's own columns (``cursor_at``, ``next_run_at``, ``last_run_id``)
    move without touching it. ``on_usage_limit`` None leaves it to the settings. ``decided_until``
    is set with a cursor that a clock which was ahead had moved: every tick of the schedule up to
    there has a row of its own.
    """

    id: int
    name: str
    prompt: str
    cron_expr: str
    timezone: str
    scheduled_at: int | None
    working_dir: str
    enabled: bool
    model: str | None
    permission_mode: str | None
    allowed_tools: tuple[str, ...]
    disallowed_tools: tuple[str, ...]
    max_turns: int | None
    max_budget_usd: float | None
    append_system_prompt: str | None
    extra_args: tuple[str, ...]
    timeout_seconds: int
    overlap: Overlap
    catchup: Catchup
    catchup_window_seconds: int
    jitter_seconds: int
    max_retries: int
    max_concurrency: int | None
    on_usage_limit: OnUsageLimit | None
    notify_on: str | None
    tags: tuple[str, ...]
    discord_webhook: str | None
    slack_webhook: str | None
    webhook_url: str | None
    apprise_url: str | None
    revision: int
    anchor_at: int
    cursor_at: int
    next_run_at: int | None
    last_run_id: int | None
    created_at: int
    updated_at: int
    deleted_at: int | None
    decided_until: int | None = None

    @property
    def is_one_off(self) -> bool:
        """True when the task fires once, at ``scheduled_at``."""
        return self.cron_expr == ONE_OFF

    @property
    def runs_at_once(self) -> bool:
        """True for a one-off that nobody named a time for: it was due when it was made so."""
        # What was kept before the anchor told has the time of its making.
        return self.is_one_off and self.scheduled_at in (self.anchor_at, self.created_at)


Address = Annotated[str | None, "an address for messages"]
"""The mark of a field that says where messages go: a secret, for those who may change it."""


class TaskSpec(NamedTuple):
    """What a person says about a task: the columns that people own, with their defaults."""

    name: str
    prompt: str
    cron_expr: str = ONE_OFF
    timezone: str = "UTC"
    scheduled_at: int | None = None
    working_dir: str = "."
    enabled: bool = True
    model: str | None = None
    permission_mode: str | None = None
    allowed_tools: tuple[str, ...] = ()
    disallowed_tools: tuple[str, ...] = ()
    max_turns: int | None = None
    max_budget_usd: float | None = None
    append_system_prompt: str | None = None
    extra_args: tuple[str, ...] = ()
    timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS
    overlap: Overlap = Overlap.SKIP
    catchup: Catchup = Catchup.LATEST
    catchup_window_seconds: int = DEFAULT_CATCHUP_WINDOW_SECONDS
    jitter_seconds: int = 0
    max_retries: int = 0
    max_concurrency: int | None = None
    on_usage_limit: OnUsageLimit | None = None
    notify_on: str | None = None
    tags: tuple[str, ...] = ()
    discord_webhook: Address = None
    slack_webhook: Address = None
    webhook_url: Address = None
    apprise_url: Address = None


ADDRESS_FIELDS = tuple(name for name, kind in TaskSpec.__annotations__.items() if kind is Address)
"""The fields of a task that say where messages go; the settings have them too."""
