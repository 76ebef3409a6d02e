"""Runs whose rows somebody spoiled: set right where that is sure, ended where it is not.

What tells one claim from another is never guessed: an agent might be started twice. Nor is a state,
for the database takes a run in one that it does not know for ended.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from claude_tasks.domain.errors import IllegibleError
from claude_tasks.domain.lease import UNDECODABLE
from claude_tasks.domain.run import Reason, Run, Trigger
from claude_tasks.domain.store_records import IllegibleRun
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import SPEC_COLUMNS, run_from_row, sound, texts_from
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.run_filter import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claude_tasks.domain.task import Task

_FIXED = {"id", "task_id", "task_name", "state"}
"""What is never written anew."""
_TELLING = {*_FIXED, "claim", "claimed_by", "queued_at"}
"""By these a run's folder is known for its own, who watches it, and that it has ended."""
_CLAIM = Run._fields.index("claim")
_TEXTS = tuple[str, ...]
_UNKNOWN: dict[Any, object] = {
    int: 0,
    str: "",
    _TEXTS: "[]",
    Trigger: Trigger.MANUAL,
    "attempt": 1,
}
"""What stands for nothing known, by name or by type, where that is not NULL."""


class SpoiledRuns(Tables):
    """The room of rows that make no record."""

    def illegible_running(self) -> list[IllegibleRun]:
        """What reads as running and no node can watch: its row makes no record."""
        found = []
        for row in self._connection.rows(select("all_running")):
            error = _why_unwatched(row)
            if error is not None:
                found.append(IllegibleRun(row[0], row[_CLAIM], error))
        return found

    def mend_run(self, run_id: int, *, at: int) -> bool:
        """Set the cells right that make no sense, unless what tells one claim from another does."""
        with self._connection.write():
            wrong = self._wrong_cells(run_id)
            if not wrong or wrong.keys() & _TELLING:
                return False
            self._set_right(run_id, wrong)
            self._note("run", run_id, at)
        return True

    def fail_illegible_run(self, run: IllegibleRun, *, at: int) -> None:
        """Let one of these end, so that it holds no place."""
        with self._connection.write():
            self._fail_illegible(run.run_id, Reason.LOST, run.error, at=at)
            self._note("run", run.run_id, at)

    def _require_whole_texts(self, task: Task) -> None:
        """No agent is told what somebody only half wrote. Errors: `IllegibleError`.

        A text that is no UTF-8 was read with `UNDECODABLE` in it; another may hold that itself.
        """
        for column in SPEC_COLUMNS:
            if UNDECODABLE not in str(getattr(task.spec, column)) or column == "name":
                continue
            sql = load("tasks")["bytes_of"].replace("{column}", column)
            try:
                self._connection.value(sql, {"task_id": task.id}).decode()
            except UnicodeDecodeError:
                wrong = f"{column} is no UTF-8"
                raise IllegibleError("task", task.id, wrong, name=task.spec.name) from None

    def _fail_illegible(self, run_id: int, reason: Reason, error: str, *, at: int) -> None:
        parameters = {"run_id": run_id, "reason": reason, "error": error, "at": at}
        self._set_right(run_id, self._wrong_cells(run_id))
        self._connection.execute(load("runs")["fail_illegible"], parameters)

    def _wrong_cells(self, run_id: int) -> dict[str, object]:
        """The columns that cannot be read, with what stands for nothing known."""
        rows = self._connection.rows(select("any_run"), {"run_id": run_id})
        kinds = get_type_hints(Run)
        return {
            name: None
            if _fits(kinds[name], None)
            else _UNKNOWN.get(name, _UNKNOWN.get(kinds[name]))
            for row in rows
            for name, cell in zip(Run._fields, row, strict=True)
            if not _fits(kinds[name], cell)
        }

    def _set_right(self, run_id: int, columns: Mapping[str, object]) -> None:
        names = columns.keys() - _FIXED
        if names:
            assignments = ", ".join(f"{name} = :{name}" for name in sorted(names))
            sql = load("runs")["set_right"].replace("{assignments}", assignments)
            self._connection.execute(sql, {**columns, "run_id": run_id})


def _why_unwatched(row: Sequence[Any]) -> str | None:
    """Why no node watches a run that reads as running; None where one may."""
    try:
        run = sound("run", row, run_from_row)
    except IllegibleError as error:
        return error.message
    if run.claimed_by is None or UNDECODABLE in run.claimed_by:
        return f"run {run.id}: it is with no node"
    return None


def _fits(kind: Any, cell: Any) -> bool:
    """Whether a cell can be read as a field of a run."""
    if kind == _TEXTS:
        try:
            texts_from(cell)
        except (TypeError, ValueError):
            return False
        return True
    return any(
        cell in set(option) if issubclass(option, StrEnum) else isinstance(cell, option)
        for option in get_args(kind) or (kind,)
    )
