"""The content of the files in a run's folder: one process writes them, another reads them.

    spec.json     RunSpec       executor   ─▶ supervisor; executor that adopts
    started.json  StartedFacts  supervisor ─▶ node that cancels the run, or finds the claim
    exit.json     ExitFacts     supervisor, rescuer ─▶ recorder

and beside the agent's events in ``logs``, which outlive the folder:

    N.events.run  EventsOwner   supervisor ─▶ executor that finds the folder removed, next claim

The reader validates each file against its record: a disk fault, another version or an agent may
have changed it. A file without a ``version`` is of version 1. Every supervisor loads this module,
so it stays small: records of plain types, and one function that checks a value against an
annotation.

``from __future__ import annotations`` is left out: the types are read at run time.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

VERSION = 1
_LARGEST = 2**53
"""No count of ours is larger, and not every JSON reader keeps larger numbers exact."""
_LAST_INSTANT = 253_402_300_800_000
"""The end of the year 9999, ms: the last that ``datetime`` can represent."""

Record = TypeVar("Record", bound=tuple[Any, ...])


class EndedBy(StrEnum):
    """What ended a claim."""

    EXIT = "exit"
    """The agent itself."""
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SPAWN = "spawn"
    """The agent could not be started, for a reason that lies in the task."""
    INTERNAL = "internal"
    """The supervisor failed."""
    LOST = "lost"
    """The supervisor died before it recorded how the agent ended."""
    UNSTARTED = "unstarted"
    """The claim was closed before its agent was started: the run is queued again."""
    PREFLIGHT = "preflight"


class TaskSnapshot(NamedTuple):
    """The task as it was when its run was claimed: later edits do not change it."""

    id: int
    name: str
    prompt: str
    working_dir: str
    cron_expr: str
    timezone: str
    model: str | None
    permission_mode: str | None
    timeout_seconds: int
    max_retries: int
    on_usage_limit: str | None
    is_one_off: bool


class RunSpec(NamedTuple):
    """What a supervisor is to do.

    ``cwd`` is absolute and not checked yet: the supervisor enters it. ``marker`` names the claim in
    the environment of every process below the agent, ``environment`` is added to what they inherit.
    ``run_id``, ``queued_at`` and ``claim`` distinguish the run from one with the same number in
    another database. Durations are in seconds.
    """

    argv: list[str]
    cwd: str
    marker: str
    events: str
    timeout_seconds: float
    kill_grace_seconds: float
    task: TaskSnapshot
    linger_seconds: float = 60.0
    environment: dict[str, str] = {}  # noqa: RUF012 (read, never changed)
    run_id: int = 0
    queued_at: int = 0
    claim: int = 1

    def is_of(self, run_id: int, queued_at: int) -> bool:
        """Whether the record is of this run; one of an earlier version, without ids, counts too."""
        return self.run_id == 0 or (self.run_id, self.queued_at) == (run_id, queued_at)


class StartedFacts(NamedTuple):
    """Written just before the agent is started: when, and by which supervisor.

    ``started_at`` is ms by the wall clock; ``monotonic`` is the machine's own, in seconds since its
    boot. ``process_started`` is the kernel's start time of the supervisor, so that a later process
    with the same pid is not taken for it; "" where the system does not tell.
    """

    supervisor_pid: int
    started_at: int
    monotonic: float | None = None
    process_started: str = ""


class EventsOwner(NamedTuple):
    """Which claim writes the event file beside it; written before the claim's agent starts.

    An earlier version did not name the claim.
    """

    run_id: int
    queued_at: int
    claim: int | None = None


class Said(NamedTuple):
    """What the agent's event stream contained. None means unknown; instants are ms.

    ``errors`` are the causes that the result names. ``answered``: the model answered at least once.
    ``output`` is the last text of any kind; ``result_text`` is the text of the result event, and
    ``api_error_text`` the CLI's last own message about an error. ``streamed``: there was an event.
    """

    output: str = ""
    has_result: bool = False
    is_error: bool = False
    subtype: str | None = None
    api_error_status: int | None = None
    api_error: str | None = None
    errors: list[str] = []  # noqa: RUF012 (read, never changed)
    session_id: str | None = None
    model: str | None = None
    cost_usd: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_creation_tokens: int | None = None
    num_turns: int | None = None
    permission_denials: list[str] = []  # noqa: RUF012 (read, never changed)
    rate_limit: dict[str, Any] | None = None
    rate_limit_at: int | None = None
    answered: bool = False
    result_text: str = ""
    api_error_text: str = ""
    streamed: bool = False


class ExitFacts(NamedTuple):
    """How a claim ended. ``error`` is a cause that lies outside the agent.

    ``claimed_by`` is set where another node closed the claim unstarted: the node that hung with it.
    ``lingered`` is for how many seconds an agent that had reported its result printed nothing,
    until the supervisor ended it.
    """

    ended_by: EndedBy
    started_at: int | None = None
    ended_at: int | None = None
    exit_code: int | None = None
    stderr: str = ""
    error: str | None = None
    events_failure: str | None = None
    transcript: Said = Said()
    claimed_by: str | None = None
    lingered: float | None = None


class UnreadableError(ValueError):
    """The content of a file does not fit its record."""


class TornError(UnreadableError):
    """The file is not JSON: it is empty, or was written only in part."""


def encode(record: tuple[Any, ...]) -> bytes:
    """A record as the bytes of its file."""
    return json.dumps({"version": VERSION, **_plain(record)}).encode()


def decode(kind: type[Record], data: bytes) -> Record:
    """The record in a file's bytes. Errors: `UnreadableError` for all that does not fit."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TornError(f"no JSON: {error}") from None
    version: Any = value.get("version", 1) if isinstance(value, dict) else None
    if not _is_version(version) or not 1 <= version <= VERSION:
        raise UnreadableError(f"not of a version up to {VERSION}")
    return _record(kind, value)


def _plain(record: tuple[Any, ...]) -> dict[str, Any]:
    values: dict[str, Any] = record._asdict()  # type: ignore[attr-defined]
    return {
        name: _plain(value) if hasattr(value, "_asdict") else value
        for name, value in values.items()
    }


def _record(kind: type[Record], value: Any) -> Record:
    if not isinstance(value, dict):
        raise UnreadableError(f"no {kind.__name__}")
    given = {}
    for name, take, is_needed in _SHAPES[kind]:
        if name in value:
            given[name] = take(value[name])
        elif is_needed:
            raise UnreadableError(f"{name} is missing")
    return kind(**given)


def _shape(kind: Any) -> list[tuple[str, Callable[[Any], Any], bool]]:
    """For each field: its name, the function that validates it, whether it is required."""
    fields = kind.__annotations__.items()
    return [
        (name, _taker(name, wanted), name not in kind._field_defaults) for name, wanted in fields
    ]


def _taker(name: str, wanted: Any) -> Callable[[Any], Any]:
    """The function that validates a field's JSON value. It raises `UnreadableError`."""
    if isinstance(wanted, type) and hasattr(wanted, "_field_defaults"):
        return lambda value: _record(wanted, value)
    fits, is_instant = _checker(wanted), name.endswith("_at")

    def take(value: Any) -> Any:
        sound = fits(value) and (not is_instant or value is None or 0 <= value < _LAST_INSTANT)
        # A signal to pid 0, 1 or -1 would reach other processes.
        if not sound or (name == "supervisor_pid" and value <= 1):
            raise UnreadableError(f"{name} is not what it should be")
        return EndedBy(value) if wanted is EndedBy else value

    return take


def _checker(wanted: Any) -> Callable[[Any], bool]:
    """The function that tells whether a JSON value has the annotated type."""
    origin, options = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return lambda _: True
    if origin is list:
        item = _checker(options[0])
        return lambda value: isinstance(value, list) and all(map(item, value))
    if origin is dict:
        item = _checker(options[1])
        return lambda value: isinstance(value, dict) and all(map(item, value.values()))
    if options:  # a union
        checks = [_checker(option) for option in options]
        return lambda value: any(check(value) for check in checks)
    return _plain_checker(wanted)


def _plain_checker(wanted: Any) -> Callable[[Any], bool]:
    if wanted is bool:
        return lambda value: value is True or value is False
    if wanted in (int, float):  # Python counts a bool as an int
        kinds = (int, wanted)
        return lambda value: (
            isinstance(value, kinds) and not isinstance(value, bool) and abs(value) <= _LARGEST
        )
    if wanted is str:
        return lambda value: isinstance(value, str) and (value.isascii() or _is_text(value))
    if wanted is EndedBy:
        return lambda value: isinstance(value, str) and value in _ENDS
    return lambda value: isinstance(value, wanted)


def _is_text(value: str) -> bool:
    """Whether a text has no lone surrogate: JSON may contain one, and no database stores it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_ENDS = frozenset(EndedBy)
_is_version = _checker(int)
_SHAPES: dict[Any, list[tuple[str, Callable[[Any], Any], bool]]] = {
    kind: _shape(kind)
    for kind in (TaskSnapshot, RunSpec, StartedFacts, EventsOwner, Said, ExitFacts)
}
"""Made once, before the supervisors are forked."""
