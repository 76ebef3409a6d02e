"""What ticks become: catch-up, gaps, jitter, withdrawals. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from claude_tasks.domain.run import AT_ONCE, Reason
from claude_tasks.domain.task_fields import Catchup, Overlap
from claude_tasks.domain.tick import (
    CATCHUP_ALL_CAP,
    COUNT_CAP,
    plan_ticks,
    plan_withdrawal,
    start_jitter_ms,
)
from support.builders import MINUTELY, add_task
from support.clock import START

if TYPE_CHECKING:
    from claude_tasks.domain.ports import Store
    from claude_tasks.domain.task import Task

MINUTE = 60_000
FIRST = START + 40_000
DAY = 86_400_000


@pytest.fixture
def make(store: Store) -> Any:
    def maker(**fields: Any) -> Task:
        return add_task(store, at=START, **{"cron_expr": MINUTELY, **fields})

    return maker


def test_nothing_is_due_before_the_first_tick(make: Any) -> None:
    plan = plan_ticks(make(), at=FIRST - 1)
    assert (plan.rows, plan.next_run_at) == ((), FIRST)


def test_a_tick_just_due_becomes_one_run(make: Any) -> None:
    plan = plan_ticks(make(), at=FIRST)
    [row] = plan.rows
    assert (row.scheduled_for, row.not_before, row.reason) == (FIRST, AT_ONCE, None)
    assert (plan.cursor_at, plan.next_run_at) == (FIRST, FIRST + MINUTE)


def test_latest_runs_the_newest_tick_and_collapses_the_gap(make: Any) -> None:
    plan = plan_ticks(make(), at=FIRST + 9 * MINUTE)
    gap, run = plan.rows
    assert (gap.reason, gap.scheduled_for, gap.skipped_until, gap.skipped_count) == (
        Reason.MISSED,
        FIRST,
        FIRST + 8 * MINUTE,
        9,
    )
    assert (run.scheduled_for, run.reason) == (FIRST + 9 * MINUTE, None)
    assert plan.cursor_at == FIRST + 9 * MINUTE


def test_latest_outside_its_window_is_missed_too(make: Any) -> None:
    task = make(cron_expr="@daily", catchup_window_seconds=3600)
    tick = task.next_run_at
    plan = plan_ticks(task, at=tick + 2 * 3600_000)
    [row] = plan.rows
    assert (row.reason, row.skipped_count) == (Reason.MISSED, 1)
    assert plan.cursor_at == tick


def test_none_runs_what_is_on_time_and_nothing_late(make: Any) -> None:
    task = make(catchup=Catchup.NONE, cron_expr="@hourly")
    tick = task.next_run_at
    assert [row.reason for row in plan_ticks(task, at=tick + 59_000).rows] == [None]
    assert [row.reason for row in plan_ticks(task, at=tick + 61_000).rows] == [Reason.MISSED]


def test_all_runs_every_tick_up_to_its_cap_without_yielding(make: Any) -> None:
    task = make(catchup=Catchup.ALL, overlap=Overlap.SKIP)
    plan = plan_ticks(task, at=FIRST + (CATCHUP_ALL_CAP + 4) * MINUTE)
    gap, *runs = plan.rows
    assert (gap.reason, gap.skipped_count) == (Reason.MISSED, 5)
    assert len(runs) == CATCHUP_ALL_CAP
    assert not any(row.yields for row in runs)
    assert [row.scheduled_for for row in runs] == sorted(row.scheduled_for for row in runs)


def test_a_year_of_missed_seconds_costs_no_year(make: Any) -> None:
    plan = plan_ticks(make(cron_expr="* * * * * *"), at=START + 365 * DAY)
    gap, run = plan.rows
    assert gap.skipped_count == COUNT_CAP
    assert gap.error is not None
    assert gap.error.startswith("at least")
    assert gap.skipped_until == run.scheduled_for - 1000 == START + 365 * DAY - 1000


@pytest.mark.parametrize("late", [0, MINUTE, 30 * DAY])
def test_a_one_off_runs_however_late(make: Any, late: int) -> None:
    plan = plan_ticks(make(cron_expr="", scheduled_at=FIRST), at=FIRST + late)
    [row] = plan.rows
    assert (row.scheduled_for, row.reason, row.yields) == (FIRST, None, False)
    assert (plan.cursor_at, plan.next_run_at) == (FIRST, None)


def test_a_one_off_that_must_not_be_late_is_missed(make: Any) -> None:
    task = make(cron_expr="", scheduled_at=FIRST, catchup=Catchup.NONE)
    [row] = plan_ticks(task, at=FIRST + 2 * MINUTE).rows
    assert row.reason is Reason.MISSED


def test_jitter_moves_the_start_and_never_the_key(make: Any) -> None:
    task = make(jitter_seconds=30)
    [row] = plan_ticks(task, at=FIRST).rows
    assert row.scheduled_for == FIRST
    assert row.not_before == FIRST + start_jitter_ms(task.id, 30)


def test_jitter_is_stable_bounded_and_spread() -> None:
    delays = [start_jitter_ms(task_id, 60) for task_id in range(500)]
    assert delays == [start_jitter_ms(task_id, 60) for task_id in range(500)]
    assert min(delays) >= 0
    assert max(delays) <= 60_000
    assert len(set(delays)) > 450
    assert start_jitter_ms(1, 0) == 0


def test_a_due_tick_that_an_edit_takes_away_becomes_a_skip(make: Any) -> None:
    [row] = plan_withdrawal(make(), at=FIRST + MINUTE, reason=Reason.DISABLED)
    assert (row.reason, row.scheduled_for, row.skipped_count) == (Reason.DISABLED, FIRST, 2)


def test_an_edit_before_the_tick_takes_nothing_away(make: Any) -> None:
    assert plan_withdrawal(make(), at=FIRST - 1, reason=Reason.RESCHEDULED) == ()


def test_only_a_tick_under_the_skip_rule_yields(make: Any) -> None:
    for overlap in Overlap:
        [row] = plan_ticks(make(overlap=overlap), at=FIRST).rows
        assert row.yields is (overlap is Overlap.SKIP)
