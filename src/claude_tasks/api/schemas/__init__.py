"""What goes over the wire, as types, for the OpenAPI document.

Answers are built by the views that every face shares, and tasks are checked by the operations; a
test holds both against these types. A field that API v1 leaves out when unset may be missing; what
we add is always there.
"""

from claude_tasks.api.schemas.runs import (
    DeliveriesQuery,
    Delivery,
    DeliveryList,
    Done,
    Explanation,
    Finding,
    Run,
    RunFilterQuery,
    RunList,
    RunPage,
    RunStarted,
    TaskRunsQuery,
)
from claude_tasks.api.schemas.server import (
    Clock,
    ClockStep,
    ClockTrouble,
    DeliveryCounts,
    Diagnosis,
    Health,
    Lease,
    NextTick,
    Node,
    Preview,
    PreviewRequest,
    PreviewTick,
    Report,
    Scheduler,
    Settings,
    SettingsRequest,
    Usage,
    UsageBucket,
)
from claude_tasks.api.schemas.tasks import (
    Task,
    TaskList,
    TaskPatch,
    TaskRequest,
)

__all__ = [
    "Clock",
    "ClockStep",
    "ClockTrouble",
    "DeliveriesQuery",
    "Delivery",
    "DeliveryCounts",
    "DeliveryList",
    "Diagnosis",
    "Done",
    "Explanation",
    "Finding",
    "Health",
    "Lease",
    "NextTick",
    "Node",
    "Preview",
    "PreviewRequest",
    "PreviewTick",
    "Report",
    "Run",
    "RunFilterQuery",
    "RunList",
    "RunPage",
    "RunStarted",
    "Scheduler",
    "Settings",
    "SettingsRequest",
    "Task",
    "TaskList",
    "TaskPatch",
    "TaskRequest",
    "TaskRunsQuery",
    "Usage",
    "UsageBucket",
]
