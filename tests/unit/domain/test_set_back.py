"""Where a task stands once a clock that was ahead is set right. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.clock_step import AHEAD_MS, Counted, is_ahead, is_doubtful, is_stuck
from claude_tasks.domain.run import Reason
from claude_tasks.domain.set_back import set_back
from claude_tasks.domain.tick import plan_ticks, plan_withdrawal
from support.builders import MINUTELY, add_task
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task

MINUTE = 60_000
HOUR = 3_600_000
FIRST = START + 40_000
NOTHING = Counted(None, None)


@pytest.fixture
def ahead(store: Store) -> Any:
    """A task as a clock that was an hour ahead leaves it."""

    def maker(**fields: Any) -> Task:
        task = add_task(store, at=START, **{"cron_expr": MINUTELY, **fields})
        reached = FIRST + HOUR
        return task._replace(cursor_at=reached, next_run_at=reached + MINUTE)

    return maker


def said(task: Task, **fields: Any) -> Task:
    return task._replace(spec=task.spec._replace(**fields))


def test_the_cursor_goes_back_to_the_true_now(ahead: Any) -> None:
    back = set_back(ahead(), NOTHING, at=FIRST + 5000)
    assert (back.cursor_at, back.next_run_at) == (FIRST + 5000, FIRST + MINUTE)
    assert back.anchor_at == START


def test_ticks_that_passed_and_were_only_counted_are_due_again(ahead: Any) -> None:
    back = set_back(ahead(), Counted(FIRST, None), at=FIRST + 5000)
    assert (back.cursor_at, back.next_run_at) == (FIRST - 1, FIRST)


def test_nothing_before_the_schedule_itself_is_due_again(ahead: Any) -> None:
    back = set_back(ahead(), Counted(START - HOUR, None), at=FIRST + 5000)
    assert back.cursor_at == START


def test_a_task_made_in_the_false_future_counts_from_now(ahead: Any) -> None:
    made = ahead(cron_expr="@every 7s")._replace(anchor_at=START + HOUR)
    back = set_back(made, Counted(START, START + MINUTE), at=START)
    assert (back.anchor_at, back.cursor_at, back.next_run_at) == (START, START, START + 7000)
    assert back.decided_until is None


def test_a_schedule_that_makes_no_sense_stops_no_other(ahead: Any) -> None:
    back = set_back(said(ahead(), cron_expr="nonsense"), NOTHING, at=START)
    assert back.next_run_at == START + 1


def test_ticks_that_have_rows_of_their_own_are_not_missed_again(ahead: Any) -> None:
    task = ahead()._replace(
        cursor_at=FIRST, next_run_at=FIRST + MINUTE, decided_until=FIRST + 3 * MINUTE
    )
    gap, run = plan_ticks(task, at=FIRST + 6 * MINUTE).rows
    assert (gap.scheduled_for, gap.skipped_until) == (FIRST + 4 * MINUTE, FIRST + 5 * MINUTE)
    assert (gap.skipped_count, run.scheduled_for) == (2, FIRST + 6 * MINUTE)
    assert len(plan_ticks(task, at=FIRST + 3 * MINUTE).rows) == 1
    assert plan_withdrawal(task, at=FIRST + 2 * MINUTE, reason=Reason.DISABLED) == ()


def test_only_what_lies_further_ahead_than_clocks_differ_was_written_ahead() -> None:
    assert is_ahead(START + AHEAD_MS + 1, at=START)
    assert not is_ahead(START + AHEAD_MS, at=START)
    assert not is_ahead(None, at=START)
    assert not is_ahead(START, at=0), "a clock that was never set knows nothing"


def test_who_is_stuck_and_who_is_in_doubt(ahead: Any) -> None:
    assert is_stuck(ahead(), at=START)
    assert not is_stuck(said(ahead(), enabled=False), at=START)
    one_off = ahead(cron_expr="", scheduled_at=START + 2 * HOUR)
    assert not is_stuck(one_off, at=START)
    assert not is_doubtful(one_off, at=START)
    assert is_doubtful(one_off._replace(anchor_at=START + HOUR), at=START)
