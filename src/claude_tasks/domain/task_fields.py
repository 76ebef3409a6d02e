"""The fields of a task that a person sets: the one table of them.

A field is a line of `TaskSpec`: its name, type and default, and in its `Field` everything the
command line and the API need to ask for it, check it, show it and keep it secret. `FIELDS` is that
table with name, kind and default filled in. These follow from it:

    requests, patches and answers of the API   api/schemas/tasks.py
    types of import and of requests            operations/exchange.py
    bounds and choices                         operations/validation.py
    views and export                           operations/views.py
    flags, help, completion, ``show``          cli/task_flags.py, text/task_text.py
    columns, and the reading of a row          storage/records.py

A new field is a line here, a migration that adds its column, and the place that uses it.

No ``annotations`` import from the future: the types are read as they stand.
"""

from enum import StrEnum
from typing import Annotated, Any, NamedTuple, get_args, get_origin

ONE_OFF = ""
"""The cron expression of a task that runs once (API v1)."""

DEFAULT_PERMISSION_MODE = "default"
"""The mode in force where a task names none."""

PERMISSION_MODES = (
    "acceptEdits",
    "auto",
    "bypassPermissions",
    "default",
    "dontAsk",
    "manual",
    "plan",
)

NOTIFY_ON = ("failure", "always", "change")
"""When the owner of a task wants to hear of its runs."""

WEB_ADDRESS = "web-address"
APPRISE_ADDRESS = "apprise-address"
"""The formats of addresses, see `domain.notification.check_address`."""

_DAY = 24 * 60 * 60


class Overlap(StrEnum):
    """What happens to a tick while an earlier run of the same task is queued or running."""

    SKIP = "skip"
    QUEUE = "queue"
    ALLOW = "allow"
    CANCEL_OTHER = "cancel_other"


class Catchup(StrEnum):
    """What happens to ticks that passed while no node scheduled."""

    LATEST = "latest"
    NONE = "none"
    ALL = "all"


class OnUsageLimit(StrEnum):
    """What happens to a run that the usage limit keeps from starting."""

    SKIP = "skip"
    DEFER = "defer"


class Group(StrEnum):
    """Which part of a form or of ``--help`` a field belongs to."""

    WHAT = "what"
    WHEN = "when"
    AGENT = "the agent"
    RUNS = "how it runs"
    MESSAGES = "messages"


class Kind(StrEnum):
    """What a value is, on the wire and in a row."""

    TEXT = "text"
    LIST = "list of texts"
    SWITCH = "true or false"
    WHOLE = "whole number"
    NUMBER = "number"
    INSTANT = "time"
    """Milliseconds since the epoch in a record and a row, RFC 3339 on the wire."""


class Unit(StrEnum):
    """What a number counts."""

    SECONDS = "seconds"
    USD = "US dollars"


class Field(NamedTuple):
    """A field of a task.

    ``flag`` is its flag where it has one of its own, with ``metavar`` as the value's name in the
    help. ``unset`` says what applies where it is not set. ``lowest`` and ``highest`` are included.
    ``format`` tells programs what a text is. A ``secret`` is shown only to clients that may change
    it. ``channel`` is the one that messages to this address go through, a module of
    `notify.channels`. ``in_v1``: API v1 has it, so a PUT without it unsets it; ``absent``: an
    answer leaves it out when it is unset, as API v1 does. ``is_line``: one line, without controls.

    From ``name`` on it is what the line in `TaskSpec` says: ``words`` is the enumeration of a field
    that has one, ``optional`` whether None is a value.
    """

    label: str
    help: str
    group: Group
    flag: str = ""
    metavar: str = ""
    unset: str = ""
    lowest: float | None = None
    highest: float | None = None
    longest: int | None = None
    unit: Unit | None = None
    format: str = ""
    is_line: bool = False
    channel: str = ""
    secret: bool = False
    in_v1: bool = False
    absent: bool = False
    choices: tuple[str, ...] = ()
    name: str = ""
    kind: Kind = Kind.TEXT
    words: type[StrEnum] | None = None
    optional: bool = False
    required: bool = False
    default: Any = None


def _address(channel: str, help_: str, *, kind: str = WEB_ADDRESS, in_v1: bool = False) -> Field:
    return Field(
        channel, help_, Group.MESSAGES, f"--{channel}", "URL",
        format=kind, channel=channel, secret=True, in_v1=in_v1, absent=True,
    )  # fmt: skip


class TaskSpec(NamedTuple):
    """The fields of a task that a person sets, with their defaults."""

    name: Annotated[
        str, Field("name", "what people call it", Group.WHAT, longest=200, in_v1=True,
                   format="task-name", is_line=True),
    ]  # fmt: skip
    prompt: Annotated[
        str, Field("prompt", "what the agent is to do", Group.WHAT, in_v1=True, format="prompt")
    ]
    cron_expr: Annotated[
        str, Field("schedule", '5 or 6 fields (seconds first), @daily, @every 90s, …; "" = once',
                   Group.WHEN, in_v1=True, format="cron"),
    ] = ONE_OFF  # fmt: skip
    timezone: Annotated[
        str, Field("time zone", "IANA zone", Group.WHEN, "--tz", "ZONE",
                   unset="this machine's", format="time-zone"),
    ] = "UTC"  # fmt: skip
    scheduled_at: Annotated[
        int | None, Field("time", "RFC 3339; absent or empty = now", Group.WHEN,
                          in_v1=True, absent=True),
    ] = None  # fmt: skip
    working_dir: Annotated[
        str, Field("works in", "where the agent works", Group.WHAT, in_v1=True, format="text")
    ] = "."
    enabled: Annotated[bool, Field("enabled", "whether it fires", Group.WHEN, in_v1=True)] = True
    model: Annotated[
        str | None, Field("model", "the agent's model", Group.AGENT, "--model", "NAME",
                          format="text", is_line=True, in_v1=True, absent=True),
    ] = None  # fmt: skip
    permission_mode: Annotated[
        str | None, Field("permissions", "what it may do unasked", Group.AGENT,
                          "--permission-mode", "MODE", choices=PERMISSION_MODES, in_v1=True,
                          absent=True),
    ] = None  # fmt: skip
    allowed_tools: Annotated[
        tuple[str, ...], Field("allowed tools", "a tool the agent may use; repeatable",
                               Group.AGENT, "--allow-tool", "TOOL", format="text", is_line=True),
    ] = ()  # fmt: skip
    disallowed_tools: Annotated[
        tuple[str, ...], Field("denied tools", "a tool it may not use; repeatable",
                               Group.AGENT, "--deny-tool", "TOOL", format="text", is_line=True),
    ] = ()  # fmt: skip
    max_turns: Annotated[
        int | None, Field("max turns", "turns of the agent", Group.AGENT, "--max-turns", "N",
                          lowest=1, highest=100_000),
    ] = None  # fmt: skip
    max_budget_usd: Annotated[
        float | None, Field("max budget", "US dollars a run", Group.AGENT, "--max-budget", "N",
                            lowest=0.000001, highest=1_000_000, unit=Unit.USD),
    ] = None  # fmt: skip
    append_system_prompt: Annotated[
        str | None, Field("system prompt", "added to the system prompt", Group.AGENT,
                          "--append-system-prompt", "TEXT", format="text"),
    ] = None  # fmt: skip
    extra_args: Annotated[
        tuple[str, ...], Field("extra flags", "go to the agent as they are", Group.AGENT,
                               format="agent-flag"),
    ] = ()  # fmt: skip
    timeout_seconds: Annotated[
        int, Field("timeout", "end a run after this long, such as 30m", Group.RUNS, "--timeout",
                   "SPAN", lowest=1, highest=7 * _DAY, unit=Unit.SECONDS),
    ] = 30 * 60  # fmt: skip
    overlap: Annotated[
        Overlap, Field("overlap", "while it still runs", Group.RUNS, "--overlap", "RULE")
    ] = Overlap.SKIP
    catchup: Annotated[
        Catchup, Field("missed ticks", "missed ticks", Group.RUNS, "--catchup", "RULE")
    ] = Catchup.LATEST
    catchup_window_seconds: Annotated[
        int, Field("at most late", "how late a missed tick still runs", Group.RUNS,
                   "--catchup-window", "SPAN", lowest=0, highest=366 * _DAY, unit=Unit.SECONDS),
    ] = _DAY  # fmt: skip
    jitter_seconds: Annotated[
        int, Field("jitter", "start up to this much later, always the same for a task", Group.RUNS,
                   "--jitter", "SPAN", lowest=0, highest=_DAY, unit=Unit.SECONDS),
    ] = 0  # fmt: skip
    max_retries: Annotated[
        int, Field("retries", "after a transient failure", Group.RUNS, "--retries", "N",
                   lowest=0, highest=20),
    ] = 0  # fmt: skip
    max_concurrency: Annotated[
        int | None, Field("at once", "runs of this task at once", Group.RUNS,
                          "--max-concurrency", "N", lowest=1, highest=1000),
    ] = None  # fmt: skip
    on_usage_limit: Annotated[
        OnUsageLimit | None, Field("usage limit", "while a usage window is full", Group.RUNS,
                                   "--on-usage-limit", "RULE", unset="as the settings say"),
    ] = None  # fmt: skip
    notify_on: Annotated[
        str | None, Field("notify on", "which ends of runs are told", Group.MESSAGES,
                          "--notify-on", "WHEN", choices=NOTIFY_ON, unset="as the settings say"),
    ] = None  # fmt: skip
    tags: Annotated[
        tuple[str, ...], Field("tags", "a word to find it by; repeatable", Group.WHAT, "--tag",
                               "TAG", format="text", is_line=True),
    ] = ()  # fmt: skip
    # The addresses of messages come last: they have their own table, a row for each channel.
    discord_webhook: Annotated[
        str | None, _address("discord", "a Discord webhook to tell", in_v1=True)
    ] = None
    slack_webhook: Annotated[
        str | None, _address("slack", "a Slack webhook to tell", in_v1=True)
    ] = None
    webhook_url: Annotated[str | None, _address("webhook", "an address that gets signed JSON")] = (
        None
    )
    apprise_url: Annotated[
        str | None, _address("apprise", "any service of Apprise (needs claude-tasks[apprise])",
                             kind=APPRISE_ADDRESS),
    ] = None  # fmt: skip

    @property
    def is_one_off(self) -> bool:
        """True when the task fires once, at ``scheduled_at``."""
        return self.cron_expr == ONE_OFF


_KINDS: dict[Any, Kind] = {
    str: Kind.TEXT,
    bool: Kind.SWITCH,
    int: Kind.WHOLE,
    float: Kind.NUMBER,
    tuple: Kind.LIST,
}


def _declared(name: str, annotation: Any) -> Field:
    """The field with what its line says: name, kind, choices, default."""
    kind, field = get_args(annotation)
    options = [each for each in get_args(kind) if each is not type(None)]
    optional = type(None) in get_args(kind)
    plain = get_origin(kind) if get_origin(kind) is tuple else options[0] if optional else kind
    words = plain if issubclass(plain, StrEnum) else None
    return field._replace(  # type: ignore[no-any-return]
        name=name,
        kind=Kind.INSTANT if name.endswith("_at") else _KINDS[str if words else plain],
        words=words,
        choices=tuple(words) if words else field.choices,
        optional=optional,
        default=TaskSpec._field_defaults.get(name, ""),
        required=name not in TaskSpec._field_defaults,
    )


FIELDS = {name: _declared(name, kind) for name, kind in TaskSpec.__annotations__.items()}
"""Every field of a task by its name, in the order of forms and columns."""

ADDRESS_FIELDS = {name: field.channel for name, field in FIELDS.items() if field.channel}
"""The fields with addresses for messages, and their channels; the settings have them too."""

SECRET_FIELDS = tuple(name for name, field in FIELDS.items() if field.secret)
