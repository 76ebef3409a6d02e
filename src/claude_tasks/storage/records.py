"""Converts rows to records and back: lists are JSON in text, booleans are 0 and 1."""

from __future__ import annotations

import json
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from claude_tasks.domain.errors import DELETED_TASK, IllegibleError
from claude_tasks.domain.instant import EARLIEST, LATEST
from claude_tasks.domain.lease import Lease, require_written_by_a_node
from claude_tasks.domain.node import Node, Role, is_node_id
from claude_tasks.domain.run import NOT_STORED, Reason, Run, State, Trigger
from claude_tasks.domain.store_records import RunFacts
from claude_tasks.domain.task import Task
from claude_tasks.domain.task_fields import ADDRESS_FIELDS, FIELDS, Kind, TaskSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from claude_tasks.domain.run import Outcome
    from claude_tasks.domain.task_fields import Field

SPEC_COLUMNS = tuple(name for name in FIELDS if name not in ADDRESS_FIELDS)
"""The fields that people set which are columns of a task's row; addresses have their own table."""

TASK_COLUMNS = ("id", *SPEC_COLUMNS, *Task._fields[2:], "addresses")
"""The columns of a task, in the order in which `task_from_row` takes them; addresses as JSON."""

_SPEC = len(SPEC_COLUMNS)
_NAME = TASK_COLUMNS.index("name")
_NO_ADDRESSES = "{}"
_INSTANTS = ("scheduled_at", "anchor_at", "next_run_at", "created_at", "updated_at", "deleted_at")
"""Columns of a task, ms, that must lie within the calendar: later ones can be neither shown nor
counted from. (A cursor may: a clock that was ahead left it there, and it is set back.)"""
_SHOWN = 120
"""Characters of a cell in a message."""

_EMPTY_LIST = "[]"
_PLAIN_TYPES = (int, str, int | None, str | None, float | None)

Record = TypeVar("Record", bound=tuple[Any, ...])


def sound(kind: str, row: Sequence[Any], read: Callable[[Sequence[Any]], Record]) -> Record:
    """The record of a row, with the type of each cell checked. Errors: `IllegibleError`.

    SQLite may hold a text in a column of numbers. ``read`` alone does not check each cell.
    """
    try:
        record = read(row)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _illegible(kind, row, str(error)) from error
    for part in (record, record.spec) if isinstance(record, Task) else (record,):
        names, cells, kinds = _plain_fields(type(part))  # type: ignore[arg-type]
        if not all(map(isinstance, cells(part), kinds)):
            all_ = zip(names, cells(part), kinds, strict=True)
            name, value = next(
                (name, it) for name, it, wanted in all_ if not isinstance(it, wanted)
            )
            raise _illegible(kind, row, f"{name} is {_shown(value)}")
    if isinstance(record, Task):
        _require_instants(kind, record, row)
    return record


def _require_instants(kind: str, task: Task, row: Sequence[Any]) -> None:
    """Check that each instant lies in the calendar. Errors: `IllegibleError`."""
    for name in _INSTANTS:
        at = task.spec.scheduled_at if name == "scheduled_at" else getattr(task, name)
        if at is not None and not EARLIEST <= at <= LATEST:
            raise _illegible(kind, row, f"{name} is {at}")


def _illegible(kind: str, row: Sequence[Any], detail: str) -> IllegibleError:
    name = row[_NAME] if kind in ("task", DELETED_TASK) else None
    if isinstance(name, str):
        name = name[:_SHOWN]
    return IllegibleError(kind, row[0], detail[:_SHOWN], name=name)


def _shown(value: object) -> str:
    """A cell shortened for a message: it may be a gigabyte."""
    return repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)


def legible(
    kind: str, rows: Iterable[Sequence[Any]], read: Callable[[Sequence[Any]], Record]
) -> list[Record]:
    """The records of the rows that can be read; a bad row must not stop the others.

    ``doctor`` names the bad ones.
    """
    return told_apart(kind, rows, read)[0]


def told_apart(
    kind: str, rows: Iterable[Sequence[Any]], read: Callable[[Sequence[Any]], Record]
) -> tuple[list[Record], list[IllegibleError]]:
    """The records of the readable rows, and the errors of the others."""
    records, illegible = [], []
    for row in rows:
        try:
            records.append(sound(kind, row, read))
        except IllegibleError as error:
            illegible.append(error)
    return records, illegible


@cache
def _plain_fields(record: type[Any]) -> tuple[list[str], itemgetter[Any], list[Any]]:
    """For the fields that are a number or a text: names, a getter of their values, types."""
    fields = enumerate(get_type_hints(record).items())
    plain = [(place, name, kind) for place, (name, kind) in fields if kind in _PLAIN_TYPES]
    # isinstance with a tuple of types is four times as fast as with a union.
    kinds = [get_args(kind) or kind for _, _, kind in plain]
    return [name for _, name, _ in plain], itemgetter(*[place for place, _, _ in plain]), kinds


def task_from_row(row: Sequence[Any]) -> Task:
    """A row that begins with `TASK_COLUMNS`."""
    last = len(TASK_COLUMNS) - 1
    addresses = addresses_from(row[last])
    spec = TaskSpec(*row[1 : 1 + _SPEC], *map(addresses.get, ADDRESS_FIELDS.values()))
    spec = spec._replace(**{name: read(getattr(spec, name)) for name, read in _READ.items()})
    return Task(row[0], spec, *row[1 + _SPEC : last])


def addresses_from(text: str) -> dict[str, str]:
    """Addresses by channel, from their JSON. Errors: `ValueError`."""
    addresses: dict[str, str] = {} if text == _NO_ADDRESSES else document(text)
    for channel, address in addresses.items():
        if address is None:
            raise ValueError(f"its address of {channel} is no text")
    return addresses


def document(text: str) -> Any:
    """The JSON value in a cell. Errors: `TypeError`, `ValueError`."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError(f"brackets in brackets without end: {text[:80]}") from None


def denials_from(text: str) -> tuple[str, ...]:
    """The denials of a run; none where the cell cannot be read."""
    try:
        return texts_from(text)
    except (TypeError, ValueError):
        return ()


def run_from_row(row: Sequence[Any]) -> Run:
    """A row of ``run_columns``."""
    run = Run._make(row)
    return run._replace(
        trigger=Trigger(run.trigger),
        state=State(run.state),
        reason=_reason(run.reason),
        cancel_reason=_reason(run.cancel_reason),
        permission_denials=texts_from(row[29]),
    )


def facts_from_row(row: Sequence[Any]) -> RunFacts:
    """A row of ``fact_columns``."""
    run_id, trigger, state, reason, *others = row
    return RunFacts(run_id, Trigger(trigger), State(state), _reason(reason), *others)


def node_from_row(row: Sequence[Any]) -> Node:
    """A row of ``nodes``."""
    node = Node._make(row)
    if not is_node_id(node.id):
        raise ValueError("its id is none of a node")
    return node._replace(role=Role(node.role), scheduler=bool(node.scheduler), open=bool(node.open))


def lease_from_row(row: Sequence[Any]) -> Lease:
    """The row of ``scheduler_leases``."""
    lease = Lease._make(row)
    require_written_by_a_node(lease)
    return lease


def column_values(columns: Mapping[str, object]) -> dict[str, object]:
    """Values as the database keeps them."""
    return {
        name: json.dumps(list(value), ensure_ascii=False)  # type: ignore[call-overload]
        if name in FIELDS and FIELDS[name].kind is Kind.LIST
        else (int(value) if isinstance(value, bool) else value)
        for name, value in columns.items()
    }


def outcome_values(outcome: Outcome) -> dict[str, object]:
    """The columns of a run that its outcome fills."""
    values = outcome._asdict()
    for name in NOT_STORED:
        del values[name]
    values["permission_denials"] = json.dumps(list(outcome.permission_denials), ensure_ascii=False)
    return values


def texts_from(text: str) -> tuple[str, ...]:
    """A list of texts, from its JSON. Errors: `TypeError`, `ValueError`."""
    if text == _EMPTY_LIST:
        return ()
    items = document(text)
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise ValueError(f"no list of texts: {text[:80]}")
    "".join(items).encode()  # fails on a lone surrogate, which no answer can hold
    return tuple(items)


def _reason(text: str | None) -> Reason | None:
    return None if text is None else Reason(text)


def _reader_of(field: Field) -> Callable[[Any], Any] | None:
    """The function from a field's cell to its value; None where the cell is the value."""
    if field.words is not None:
        words = field.words
        return lambda text: None if text is None else words(text)
    if field.kind is Kind.LIST:
        return texts_from
    return bool if field.kind is Kind.SWITCH else None


_READ = {name: read for name, field in FIELDS.items() if (read := _reader_of(field))}
