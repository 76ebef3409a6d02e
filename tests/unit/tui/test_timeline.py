"""The lanes of the timeline: what ran, what failed, what is due, what overlaps."""

from __future__ import annotations

from typing import Any

from claude_tasks.domain.instant import DAY_MS, HOUR_MS
from claude_tasks.domain.run import Run, State
from claude_tasks.operations.agenda import Due
from claude_tasks.tui.timeline import lanes, scale

NOW = 1_796_083_200_000  # a midnight, UTC
WIDTH = 18 + 1 + 48
"""A cell is an hour."""


def run(began: int, *, hours: float = 0, state: State = State.COMPLETED, task: int = 1) -> Run:
    fields: dict[str, Any] = dict.fromkeys(Run._fields)
    at = NOW + began * HOUR_MS
    fields.update(
        id=1, task_id=task, task_name=f"task {task}", state=state, queued_at=at, started_at=at,
        ended_at=None if state is State.RUNNING else round(at + hours * HOUR_MS),
    )  # fmt: skip
    return Run(**fields)


def drawn(*runs: Run, due: tuple[Due, ...] = ()) -> str:
    [lane] = lanes(runs, due, now=NOW, width=WIDTH)
    return "".join(sign for sign, _ in lane.cells)


def test_a_run_takes_the_cells_of_its_hours() -> None:
    cells = drawn(run(-3, hours=2))
    assert cells == "·" * 21 + "===" + "|" + "·" * 23


def test_a_run_under_way_reaches_to_now() -> None:
    assert drawn(run(-2, state=State.RUNNING))[22:26] == "===·"


def test_a_failure_is_seen_whatever_else_is_there_and_others_are_several() -> None:
    skipped = run(-1, state=State.SKIPPED)
    assert drawn(run(-1), run(-1, state=State.FAILED), skipped)[23] == "x"
    assert drawn(run(-1), skipped)[23] == "+"


def test_what_is_due_is_marked_and_what_is_due_often_fills_the_rest() -> None:
    cells = drawn(due=(Due(NOW + 2 * HOUR_MS, 1, "task 1", "UTC"),))
    assert cells[24:28] == "|·o·"
    often = drawn(due=(Due(NOW + 2 * HOUR_MS, 1, "task 1", "UTC", "Every 90 s"),))
    assert often[26:] == "~" * 22


def test_every_task_has_a_lane_of_the_width_and_the_scale_fits() -> None:
    found = lanes(
        [run(-30), run(5, task=2)], [Due(NOW + 2 * DAY_MS, 3, "three", "UTC")], now=NOW, width=100
    )
    assert [(lane.name, len(lane.cells)) for lane in found] == [
        ("task 1", 81),
        ("task 2", 81),
        ("three", 81),
    ]
    line = scale(now=NOW, timezone="UTC", width=100)
    assert len(line) == 100
    assert [word for word in line.split() if ":" in word][:3] == ["06:00", "12:00", "18:00"]
