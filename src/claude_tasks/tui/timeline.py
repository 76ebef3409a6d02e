"""A lane for each task: what ran in the last 24 hours, what is due in the next 24. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from claude_tasks.domain.instant import DAY_MS, HOUR_MS
from claude_tasks.domain.run import State
from claude_tasks.text.times import table_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from claude_tasks.domain.run import Run
    from claude_tasks.operations.agenda import Due

_NAME_WIDTH = 18
_NARROWEST = 24
_SPAN_MS = 2 * DAY_MS
_MARK_EVERY_MS = 6 * HOUR_MS
_DUE, _OFTEN, _OVERLAP = "o", "~", "+"
_SIGNS = {
    State.COMPLETED: ("=", "good"),
    State.FAILED: ("x", "bad"),
    State.CANCELLED: ("c", "warn"),
    State.SKIPPED: ("s", "warn"),
    State.RUNNING: ("=", "good"),
    State.QUEUED: ("q", "warn"),
}
LEGEND = (
    "= ran   x failed   s skipped   c cancelled   q queued   + several at once   "
    "o due   ~ due often   | now"
)


class Lane(NamedTuple):
    """A task and its cells: one sign, and its tone, for each stretch of time."""

    name: str
    cells: Sequence[tuple[str, str]]


def lanes(runs: Iterable[Run], due: Iterable[Due], *, now: int, width: int) -> list[Lane]:
    """The lanes of all tasks that ran or are due, newest activity first; ``now`` is in ms.

    ``width`` is in cells of the terminal. The sign of a cell is that of the worst run in it; runs
    of one task that overlap there are marked.
    """
    room = max(_NARROWEST, width - _NAME_WIDTH - 1)
    drawn: dict[tuple[int, str], list[tuple[str, str]]] = {}

    def lane_of(task_id: int, name: str) -> list[tuple[str, str]]:
        empty = [("·", "dim")] * room
        return drawn.setdefault((task_id, name), empty)

    def place(at: int) -> int:
        return min(room - 1, max(0, (at - now + DAY_MS) * room // _SPAN_MS))

    for run in runs:
        sign, tone = _SIGNS[run.state]
        began = run.started_at or run.tick or run.queued_at
        ended = run.ended_at or (now if run.state is State.RUNNING else began)
        cells = lane_of(run.task_id, run.task_name)
        for at in range(place(began), place(ended) + 1):
            cells[at] = _together(cells[at], (sign, tone))
    for entry in due:
        cells = lane_of(entry.task_id, entry.task_name)
        for at in range(place(entry.at), room if entry.often else place(entry.at) + 1):
            if cells[at][0] == "·":
                cells[at] = (_OFTEN if entry.often else _DUE, "")
    for cells in drawn.values():
        middle = place(now)
        if cells[middle][0] == "·":
            cells[middle] = ("|", "bold")
    return [Lane(name, cells) for (_, name), cells in drawn.items()]


def scale(*, now: int, timezone: str, width: int) -> str:
    """The line above the lanes: the time every six hours."""
    room = max(_NARROWEST, width - _NAME_WIDTH - 1)
    line = [" "] * (room + _NAME_WIDTH + 1)
    first = (now - DAY_MS) // _MARK_EVERY_MS * _MARK_EVERY_MS + _MARK_EVERY_MS
    for at in range(first, now + DAY_MS, _MARK_EVERY_MS):
        text = table_time(at, timezone, now=at)
        start = _NAME_WIDTH + 1 + (at - now + DAY_MS) * room // _SPAN_MS
        if start + len(text) <= len(line):
            line[start : start + len(text)] = text
    return "".join(line)


def name_cell(name: str) -> str:
    """The name as it stands before a lane."""
    shown = name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"
    return shown.ljust(_NAME_WIDTH)


def _together(before: tuple[str, str], new: tuple[str, str]) -> tuple[str, str]:
    """The sign of a cell with two runs in it: a failure is seen, else that there are several."""
    if before[0] == "·" or before == new:
        return new
    if "x" in (before[0], new[0]):
        return "x", "bad"
    return _OVERLAP, "warn"
