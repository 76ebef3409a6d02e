"""The bench's own arithmetic: a check that cannot see a fault proves nothing."""

from __future__ import annotations

from bench.failover import Row, account
from bench.report import HOLDS, MISSED, Section, as_markdown, at_most, none_of, times
from bench.statistics_of import median, percentile

SECOND = 1000


def test_a_second_without_row_or_range_is_lost() -> None:
    rows = [Row(0, "completed", None), Row(2 * SECOND, "completed", None)]
    assert account(rows, []).lost == 1


def test_a_skipped_range_covers_its_seconds_but_counts_as_missed() -> None:
    rows = [
        Row(0, "completed", None),
        Row(SECOND, "skipped", 3 * SECOND),
        Row(4 * SECOND, "completed", None),
    ]
    ticks = account(rows, [])
    assert (ticks.due, ticks.lost, ticks.missed) == (5, 0, 3)


def test_two_rows_of_one_second_are_doubled() -> None:
    rows = [Row(0, "completed", None), Row(0, "failed", None)]
    assert account(rows, []).doubled == 1


def test_two_stamps_of_one_run_are_a_second_start_whatever_the_claim() -> None:
    rows = [Row(0, "completed", None)]
    assert account(rows, ["1.1.500", "2.1.501"]).started_twice == 0
    assert account(rows, ["1.1.500", "1.2.501"]).started_twice == 1


def test_percentiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert median(values) == 3.0
    assert percentile(values, 0.99) == 5.0
    assert percentile(values, 0.2) == 1.0


def test_a_verdict_names_the_missed_budget() -> None:
    assert at_most("start", 0.3, 0.3, "s").verdict == HOLDS
    assert at_most("start", 0.31, 0.3, "s").verdict == MISSED
    assert none_of("lost", 0).verdict == HOLDS
    assert none_of("lost", 1).verdict == MISSED


def test_a_ratio_is_ours_over_theirs() -> None:
    assert times(1.0, 4.0) == "0.25x"


def test_the_file_keeps_its_columns_whatever_a_cell_holds() -> None:
    section = Section("Title", "How.", [at_most("a | b", 1, 2, "s")])
    row = as_markdown([section], mode="full", load=0.0).splitlines()[-1]
    assert row == "| a / b | ≤ 2 s | 1 s | ok |  |  |"
