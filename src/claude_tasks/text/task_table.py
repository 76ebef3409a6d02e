"""The table of all tasks: when each runs next, how it last went. Light: ``list`` shows it."""

from __future__ import annotations

from claude_tasks.text.blocks import Column, Table, Toned
from claude_tasks.text.run_words import outcome_word
from claude_tasks.text.task_words import schedule_word, switch_word
from claude_tasks.text.times import relative, table_time, zone_titles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.clock_step import LeftTask
    from claude_tasks.domain.store_records import TaskSummary


def task_table(
    found: Sequence[TaskSummary], left: Sequence[LeftTask], zone: str, *, now: int
) -> Table:
    """Tasks, a line each, all times in ``zone``; ``left`` is what a clock that was ahead left."""
    skipped = {each.task_id for each in left if each.was_skipped}
    rows = [_row(each, zone, now, skipped=each.task.id in skipped) for each in found]
    return Table(_columns(zone, now), rows)


def _columns(zone: str, now: int) -> tuple[Column, ...]:
    title, short = zone_titles("NEXT RUN", zone, now=now)
    return (
        Column("ID", right=True),
        Column("NAME", flexible=4),
        Column("SCHEDULE", flexible=2),
        Column("ON"),
        Column(title, short=short, flexible=1),
        Column("LAST RUN", flexible=3, droppable=True),
    )


def _row(summary: TaskSummary, zone: str, now: int, *, skipped: bool) -> tuple[str, ...]:
    task = summary.task
    switch = switch_word(task, waits=summary.deferred_until is not None, skipped=skipped)
    return (
        str(task.id),
        Toned(task.name, "bold"),
        schedule_word(task, zone, now=now),
        switch if switch == "on" else Toned(switch, "dim"),
        _next(summary, zone, now),
        _last(summary, now),
    )


def _next(summary: TaskSummary, zone: str, now: int) -> str:
    task, deferred_until = summary.task, summary.deferred_until
    if deferred_until is not None:
        shown = f"deferred, {table_time(deferred_until, zone, now=now)}"
        return Toned(f"{shown} ({relative(deferred_until, now=now)})", "warn", short=shown)
    if task.next_run_at is None:
        return "-"
    if task.next_run_at <= now:
        return Toned(f"due {relative(task.next_run_at, now=now)}", "warn", short="due")
    shown = table_time(task.next_run_at, zone, now=now)
    return Toned(f"{shown} ({relative(task.next_run_at, now=now)})", short=shown)


def _last(summary: TaskSummary, now: int) -> str:
    state = summary.last_run_state
    if state is None:
        return "-"
    word = outcome_word(state, summary.last_run_reason)
    began = "" if summary.last_run_at is None else f", {relative(summary.last_run_at, now=now)}"
    return Toned(f"{word}{began}", word.tone, short=str(word))
