"""Messages about runs and tasks: what is stored of them until they are delivered."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from claude_tasks.domain.errors import FieldError
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.task_fields import ADDRESS_FIELDS, APPRISE_ADDRESS, FIELDS, TaskSpec


class DeliveryState(StrEnum):
    """The state of a message."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


Addresses: TypeAlias = Mapping[str, str]
"""Where messages go, by channel. Each is a secret."""


def addresses_of(spec: TaskSpec) -> Addresses:
    """A task's own addresses for messages."""
    named = ((channel, getattr(spec, name)) for name, channel in ADDRESS_FIELDS.items())
    return {channel: address for channel, address in named if address}


_NEVER_IN_A_URL = frozenset('"<>\\^`{|}')
"""Not allowed, like non-ASCII and invisible characters (RFC 3986, section 2)."""


def check_address(field: str, address: str) -> None:
    """Check that a message could be sent to an address. Errors: `FieldError`.

    An address is a secret, so no error shows it. Apprise has its own kinds of addresses, which
    contain names and passwords: only line breaks and invisible characters are refused in them.
    """
    if any(character.isspace() or not character.isprintable() for character in address):
        raise FieldError(
            field,
            ": an address has no spaces, line breaks or control characters",
            hint="write a space that belongs to it as %20",
        )
    if field in FIELDS and FIELDS[field].format == APPRISE_ADDRESS:
        good, wanted = "://" in address, "SERVICE://…, as Apprise has it"
    else:
        good, wanted = _is_web_address(address), "https://…"
    if not good:
        raise FieldError(field, ": this is no address", hint=f"it looks like {wanted}")


def _is_web_address(address: str) -> bool:
    from urllib.parse import urlsplit  # noqa: PLC0415 (most tasks name no address)

    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").encode("idna")  # as the resolver will want it
        port = parts.port
    except ValueError:
        return False
    sent_as_it_is = parts.path + parts.query + parts.fragment
    return (
        parts.scheme in ("http", "https")
        and bool(host)
        and port != 0
        and sent_as_it_is.isascii()
        and _NEVER_IN_A_URL.isdisjoint(address)
    )


class Unannounced(NamedTuple):
    """An ended run that is not announced yet, its task's addresses, and the end of an earlier run.

    ``state`` is None where it is unknown.
    ``newly_denied``: a tool was denied to it that was not denied to its task before.
    """

    run_id: int
    task_id: int
    state: State | None
    reason: Reason | None
    notify_on: str | None
    addresses: Addresses
    previous_state: State | None
    previous_reason: Reason | None
    newly_denied: bool = False


class NewDelivery(NamedTuple):
    """A message to send: about a run, or, with its ``tick``, about a task that is overdue."""

    task_id: int
    run_id: int | None
    tick: int | None
    channel: str
    target: str
    event: str


class DueDelivery(NamedTuple):
    """A message to send now, after ``attempts`` earlier attempts."""

    id: int
    task_id: int
    run_id: int | None
    tick: int | None
    channel: str
    target: str
    event: str
    attempts: int


class DeliveryRecord(NamedTuple):
    """A message for display, without its address.

    ``run_id`` is None for one about the task itself. ``next_attempt_at`` is set only while
    ``pending``.
    """

    id: int
    task_id: int
    task_name: str
    run_id: int | None
    channel: str
    event: str
    state: DeliveryState
    attempts: int
    created_at: int
    next_attempt_at: int | None
    ended_at: int | None
    error: str | None


class DeliveryCounts(NamedTuple):
    """Messages that still wait, and those sent and given up since an instant."""

    pending: int
    sent: int
    failed: int


class StalledChannel(NamedTuple):
    """A channel's address that takes no message now: how many wait, and why."""

    channel: str
    waiting: int
    error: str

    @property
    def line(self) -> str:
        """In a sentence."""
        wait = "message waits" if self.waiting == 1 else "messages wait"
        return f"{self.waiting} {wait} for {self.channel}, which takes none just now: {self.error}"


class OverdueTask(NamedTuple):
    """A task whose tick did not begin in time."""

    task_id: int
    name: str
    tick: int
