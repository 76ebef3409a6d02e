"""Messages about runs and tasks, on their way to their channels."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from claude_tasks.domain.errors import FieldError
from claude_tasks.domain.run import Reason, State
from claude_tasks.domain.task_fields import ADDRESS_FIELDS, APPRISE_ADDRESS, FIELDS, TaskSpec


class DeliveryState(StrEnum):
    """How far a message got."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


Addresses: TypeAlias = Mapping[str, str]
"""Where messages go, by channel. Each is a secret."""


def addresses_of(spec: TaskSpec) -> Addresses:
    """What a task says of where its messages go."""
    named = ((channel, getattr(spec, name)) for name, channel in ADDRESS_FIELDS.items())
    return {channel: address for channel, address in named if address}


_NEVER_IN_A_URL = frozenset('"<>\\^`{|}')
"""Besides what is not ASCII and what nobody can see (RFC 3986, section 2)."""


def check_address(field: str, address: str) -> None:
    """Whether a message could be sent there. Errors: `FieldError`.

    An address is a secret, so no error shows it. Apprise has addresses of its own kinds, with names
    and passwords in them: of those only what breaks a line, or looks like nothing, is refused.
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
    """A run that ended, whom its task tells, and how the run before ended that says anything.

    ``state`` is None where it is no word of ours.
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
    """A message to send now. ``attempts`` were made before."""

    id: int
    task_id: int
    run_id: int | None
    tick: int | None
    channel: str
    target: str
    event: str
    attempts: int


class DeliveryRecord(NamedTuple):
    """A message as it is shown: without its address.

    ``run_id`` is None for one about the task itself. ``next_attempt_at`` only while ``pending``.
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
    """An address of a channel that takes no message just now: how many wait, and why."""

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
