"""What stands in the files of a run's folder: written by one process, read by another.

    spec.json     RunSpec       executor   ─▶ supervisor; executor that adopts
    started.json  StartedFacts  supervisor ─▶ whoever cancels, or finds the claim
    exit.json     ExitFacts     supervisor, rescuer ─▶ recorder

and beside the agent's events in ``logs``, which outlive the folder:

    N.events.run  EventsOwner   supervisor ─▶ executor that finds the folder removed, next claim

Whatever stands there is held against its record before it is believed: a disk, another version or
an agent may have put anything in its place. A file without a ``version`` is of the first one. The
supervisors share this module, so it stays small: records of plain types, and one function that
holds a value against an annotation.

No ``annotations`` import from the future: the types are read as they stand.
"""

import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeVar, get_args, get_origin

VERSION = 1
_LARGEST = 2**53
"""Numbers beyond this are no count of ours, and not every reader keeps them exact."""
_LAST_INSTANT = 253_402_300_800_000
"""The end of the year 9999, ms: calendars end there."""

Record = TypeVar("Record", bound=tuple[Any, ...])


class EndedBy(StrEnum):
    """What ended a claim."""

    EXIT = "exit"
    """The agent itself."""
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    SPAWN = "spawn"
    """It could not be started, for a reason of the task's own."""
    INTERNAL = "internal"
    """The supervisor failed."""
    LOST = "lost"
    """The supervisor died, and nobody saw the end."""
    UNSTARTED = "unstarted"
    """The claim was closed before its agent was started: it goes back into the queue."""
    PREFLIGHT = "preflight"


class TaskSnapshot(NamedTuple):
    """The task as it was when its run was claimed: edits come later."""

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

    ``cwd`` is absolute and was not looked at yet: the supervisor enters it. ``marker`` names the
    claim in the environment of every process below the agent, ``environment`` is added to what they
    inherit. ``run_id``, ``queued_at`` and ``claim`` tell the run from that of another database with
    the same number. Durations are in seconds.
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
        """Whether it is for this very run; an earlier version did not say."""
        return self.run_id == 0 or (self.run_id, self.queued_at) == (run_id, queued_at)


class StartedFacts(NamedTuple):
    """That the agent is about to be started, by which process.

    ``started_at`` is ms by the wall clock; ``monotonic`` is the machine's own, in seconds since its
    boot. ``process_started`` is when the kernel says that the supervisor's process began, so that
    another one that got its number is not taken for it; "" where that cannot be told.
    """

    supervisor_pid: int
    started_at: int
    monotonic: float | None = None
    process_started: str = ""


class EventsOwner(NamedTuple):
    """Whose events stand beside it: the claim that began to write last, before its agent started.

    An earlier version did not say the claim.
    """

    run_id: int
    queued_at: int
    claim: int | None = None


class Said(NamedTuple):
    """What the agent's stream told. None means unknown; instants are ms.

    ``errors`` are the causes that its result names. ``answered``: its model did, at least once.
    ``output`` is the last thing said, by whomever; ``result_text`` is the result's own text, and
    ``api_error_text`` what the CLI itself last said of an error. ``streamed``: there was an event.
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
    """How a claim ended. ``error`` is for what is not the agent's own doing.

    ``claimed_by`` names the node that hung with a claim which another closed unstarted.
    ``lingered`` is for how many seconds an agent did nothing any more that had reported its result
    and had to be ended.
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
    """A file's content is not what its record declares."""


class TornError(UnreadableError):
    """It is no JSON at all: nothing, or the beginning of what was to be written."""


def encode(record: tuple[Any, ...]) -> bytes:
    """A record as the file that holds it."""
    return json.dumps({"version": VERSION, **_plain(record)}).encode()


def decode(kind: type[Record], data: bytes) -> Record:
    """The record that a file holds. Errors: `UnreadableError`, whatever the file holds."""
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
    """Of each field its name, what takes a JSON value for it, and whether it must be there."""
    fields = kind.__annotations__.items()
    return [
        (name, _taker(name, wanted), name not in kind._field_defaults) for name, wanted in fields
    ]


def _taker(name: str, wanted: Any) -> Callable[[Any], Any]:
    """What makes a field of a JSON value. Errors: `UnreadableError`."""
    if isinstance(wanted, type) and hasattr(wanted, "_field_defaults"):
        return lambda value: _record(wanted, value)
    fits, is_instant = _checker(wanted), name.endswith("_at")

    def take(value: Any) -> Any:
        sound = fits(value) and (not is_instant or value is None or 0 <= value < _LAST_INSTANT)
        # A signal to process 0, 1 or -1 would go to others than meant.
        if not sound or (name == "supervisor_pid" and value <= 1):
            raise UnreadableError(f"{name} is not what it should be")
        return EndedBy(value) if wanted is EndedBy else value

    return take


def _checker(wanted: Any) -> Callable[[Any], bool]:
    """What tells whether a JSON value is of an annotation's type."""
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
    if wanted in (int, float):  # to Python a bool is a number
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
    """Whether it is whole characters: JSON may spell half a pair, which no database takes."""
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
