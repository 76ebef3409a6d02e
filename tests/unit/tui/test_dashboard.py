"""A look that builds on the one before shows the same as one that reads everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.tui.dashboard import take
from unit.tui.test_run_screens import begin, end

if TYPE_CHECKING:
    from unit.tui.conftest import Desk


def test_a_look_reads_anew_only_what_changed_and_misses_nothing(desk: Desk) -> None:
    tasks = [desk.add(f"task {number}") for number in range(5)]
    look = take(desk.operations)
    assert look.changed is None

    def again() -> frozenset[int]:
        nonlocal look
        look = take(desk.operations, look)
        assert list(look.tasks) == desk.operations.tasks.list()
        assert look.changed is not None
        return look.changed

    assert again() == frozenset()
    desk.operations.tasks.toggle(tasks[1].id)
    added = desk.add("another")
    assert again() == {tasks[1].id, added.id}
    run = begin(desk, tasks[2])
    assert again() == {tasks[2].id}
    end(desk, run, cost_usd=1.0)
    assert again() == {tasks[2].id}
    desk.operations.tasks.remove(tasks[0].id)
    assert again() == {tasks[0].id}
    desk.operations.tasks.restore(tasks[0].id)
    assert again() == {tasks[0].id}


def test_after_many_changes_everything_is_read_anew(desk: Desk) -> None:
    look = take(desk.operations)
    for number in range(201):
        desk.add(f"task {number}")
    look = take(desk.operations, look)
    assert look.changed is None
    assert len(look.tasks) == 201
