"""Damaged rows of runs: repaired where that is safe, else the run is ended.

The columns that identify a claim are never guessed: an agent might be started twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from claude_tasks.domain.errors import IllegibleError
from claude_tasks.domain.node import is_node_id
from claude_tasks.domain.run import Reason, Run, State, Trigger
from claude_tasks.domain.store_records import IllegibleRun
from claude_tasks.storage.named_sql import load
from claude_tasks.storage.records import SPEC_COLUMNS, run_from_row, sound, texts_from
from claude_tasks.storage.tables.base import Tables
from claude_tasks.storage.tables.run_filter import select

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from claude_tasks.domain.task import Task

UNDECODABLE = "\ufffd"
"""Replaces bytes that are not UTF-8."""
_FIXED = {"id", "task_id", "task_name"}
"""Columns that are never rewritten."""
_TELLING = {*_FIXED, "claim", "queued_at", "launched_by"}
"""Columns that identify a claim's folder, and the node that may still launch it."""
_MOST = 1000
"""How many rows with an unknown state are repaired at a time."""
_TEXTS = tuple[str, ...]
_UNKNOWN: dict[Any, object] = {
    int: 0,
    str: "",
    _TEXTS: "[]",
    Trigger: Trigger.MANUAL,
    "attempt": 1,
}
"""The value for "unknown", by column name or type, where it is not NULL."""


class SpoiledRuns(Tables):
    """The store's part about unreadable rows of runs."""

    def illegible_running(self) -> list[IllegibleRun]:
        """Unreadable rows that are running, or in no known state: no node can watch them."""
        rows = self._connection.rows(select("all_running"))
        rows += self._connection.rows(select("in_no_state"), {"limit": _MOST})
        found = []
        for row in rows:
            error = _why_unwatched(row)
            if error is not None:
                found.append(IllegibleRun(row[0], error))
        return found

    def mend_run(self, run_id: int, *, node_id: str, lives: bool, at: int) -> bool:
        """Repair the unreadable cells, unless a column that identifies the claim is among them."""
        with self._connection.write():
            mended = self._set_right_row(run_id, node_id=node_id, lives=lives, at=at)
            if mended:
                self._note("run", run_id, at)
        return mended

    def fail_illegible_run(self, run: IllegibleRun, *, at: int) -> None:
        """End such a run, so that it takes no place."""
        with self._connection.write():
            self._fail_illegible(run.run_id, Reason.LOST, run.error, at=at)
            self._note("run", run.run_id, at)

    def release_nobodys(self, *, at: int) -> int:
        """Leave to the leader the queued runs whose assigned node id is invalid."""
        rows = self._connection.rows(load("runs")["assigned_runs"])
        wrong = [run_id for run_id, node_id in rows if not is_node_id(node_id)]
        if wrong:
            with self._connection.write():
                for run_id in wrong:
                    self._connection.execute(load("runs")["release_run"], {"run_id": run_id})
                    self._note("run", run_id, at)
        return len(wrong)

    def _require_whole_texts(self, task: Task) -> None:
        """Refuse a task with damaged texts: no agent gets such a prompt. Errors: `IllegibleError`.

        Invalid UTF-8 was read as `UNDECODABLE`; a sound text may contain that character too.
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

    def _set_right_row(self, run_id: int, *, node_id: str, lives: bool, at: int) -> bool:
        """Whether the row could be repaired; call it inside a transaction."""
        wrong = self._wrong_cells(run_id, node_id=node_id, lives=lives, at=at)
        if not wrong or wrong.keys() & _TELLING:
            return False
        self._set_right(run_id, wrong)
        return True

    def _fail_illegible(self, run_id: int, reason: Reason, error: str, *, at: int) -> None:
        parameters = {"run_id": run_id, "reason": reason, "error": error, "at": at}
        self._set_right(run_id, self._wrong_cells(run_id, node_id=None, lives=False, at=at))
        self._connection.execute(load("runs")["fail_illegible"], parameters)

    def _wrong_cells(
        self, run_id: int, *, node_id: str | None, lives: bool, at: int
    ) -> dict[str, object]:
        """The unreadable columns, with their new values.

        An unknown value becomes empty; an unreadable cancel request stays a request. A claim
        without a valid node becomes ``node_id``'s.
        """
        kinds = get_type_hints(Run)
        wrong: dict[str, object] = {}
        for row in self._connection.rows(select("any_run"), {"run_id": run_id}):
            cells = dict(zip(Run._fields, row, strict=True))
            for name, cell in cells.items():
                if not _fits(kinds[name], cell):
                    wrong[name] = _UNKNOWN.get(name, _UNKNOWN.get(kinds[name]))
            if "state" in wrong:
                wrong |= _state(cells, lives=lives, at=at)
            runs = wrong.get("state", cells["state"]) == State.RUNNING
            if runs and not is_node_id(cells["claimed_by"]):
                wrong["claimed_by"] = node_id
            ticks = (cells["scheduled_for"], cells["covers"])
            if "trigger" in wrong and any(isinstance(tick, int) for tick in ticks):
                wrong["trigger"] = Trigger.SCHEDULE
            if "cancel_requested_at" in wrong:
                wrong["cancel_requested_at"] = at
        return wrong

    def _set_right(self, run_id: int, columns: Mapping[str, object]) -> None:
        """Write these columns, except those that are never rewritten."""
        names = columns.keys() - _FIXED
        if names:
            assignments = ", ".join(f"{name} = :{name}" for name in sorted(names))
            sql = load("runs")["set_right"].replace("{assignments}", assignments)
            self._connection.execute(sql, {**columns, "run_id": run_id})


def _why_unwatched(row: Sequence[Any]) -> str | None:
    """Why no node can watch a running row; None where one can."""
    try:
        run = sound("run", row, run_from_row)
    except IllegibleError as error:
        return error.message
    if not is_node_id(run.claimed_by):
        return f"run {run.id}: it is with no node"
    return None


def _state(cells: Mapping[str, object], *, lives: bool, at: int) -> dict[str, object]:
    """The state of a run, derived from its other columns, with the columns that depend on it.

    A claimed run counts as running until its folder tells more. Any other run ends: the damaged
    state may have meant anything, but hardly that it should start.
    """
    is_over = isinstance(cells["ended_at"], int)
    if lives or (not is_over and (cells["claimed_by"], cells["started_at"]) != (None, None)):
        return {"state": State.RUNNING, "ended_at": None}
    if is_over:
        return {"state": State.FAILED}
    error = "its row said a state that there is not"
    return {"state": State.FAILED, "reason": Reason.LOST, "error": error, "ended_at": at}


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
