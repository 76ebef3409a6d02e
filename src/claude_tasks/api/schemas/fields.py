"""Types of single fields, as the schemas share them."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from claude_tasks.domain.task import NOTIFY_ON, PERMISSION_MODES
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
ZONE_UNSAID = "an IANA name; absent: the zone of the server's machine"
Zone: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "time-zone"})]
Text: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "text"})]
WebAddress: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "web-address"})]
AgentFlag: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "agent-flag"})]
When: TypeAlias = Annotated[
    str, Meta(description="RFC 3339; absent or empty = now", extra_json_schema=_TIME)
]


def between(field: str) -> Meta:
    """The rule that the operations check this field by."""
    return Meta(ge=RANGES[field].lowest, le=RANGES[field].highest)
