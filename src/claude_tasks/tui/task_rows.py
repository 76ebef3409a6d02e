"""The line of a task on the main screen, and the lines above the list."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.run import State
from claude_tasks.domain.schedule import parse_schedule
from claude_tasks.domain.usage_text import window_name
from claude_tasks.text.blocks import Toned
from claude_tasks.text.run_text import first_line, money
from claude_tasks.text.run_words import outcome_word
from claude_tasks.text.task_words import schedule_word, switch_word
from claude_tasks.text.times import coarse, relative, zone_clock
from claude_tasks.tui.row_table import Title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.run import Run
    from claude_tasks.domain.store_records import TaskSummary
    from claude_tasks.domain.task import Task
    from claude_tasks.tui.dashboard import Dashboard

TITLES = (
    Title("", 1),
    Title("NAME", 14, share=3),
    Title("SCHEDULE", 12, share=3, rank=2),
    Title("NEXT RUN", 22, share=2, rank=1),
    Title("LAST RUN", 19, share=1),
    Title("TOOK", 7, rank=6, right=True),
    Title("COST", 7, rank=7, right=True),
    Title("RECENT", 8, rank=8),
    Title("SAID", 10, share=4, rank=9),
)
_GLYPHS = {
    State.COMPLETED: "✓", State.FAILED: "✗", State.CANCELLED: "■", State.SKIPPED: "-",
    State.QUEUED: "…", State.RUNNING: "▶",
}  # fmt: skip
_EVERY = "@every "
_BARS = "▁▂▃▄▅▆▇█"
_BAR_CELLS = 10


def task_cells(
    summary: TaskSummary,
    dashboard: Dashboard,
    recent: Sequence[Run],
    said: str,
    *,
    now: int,
    zone: str,
) -> Sequence[str]:
    """The cells of `TITLES`. ``recent`` are its newest runs, ``said`` what its agent said last."""
    task = summary.task
    running = dashboard.running_of(task.id)
    last = next((run for run in recent if run.state.is_terminal), None)
    glyph, outcome = _outcome(summary, dashboard, last, now=now)
    took = cost = ""
    note = ""
    if running is not None:
        took = coarse(max(0, now - (running.started_at or running.queued_at)))
        note = said
    elif last is not None:
        took = "" if last.duration_ms is None else human_duration(last.duration_ms).replace(" ", "")
        cost = "" if last.cost_usd is None else money(last.cost_usd)
        note = first_line(last.error) or first_line(last.output)
    failed = running is None and last is not None and last.state is State.FAILED
    return (
        glyph,
        Toned(task.name, "bold" if task.spec.enabled else "dim"),
        in_english(task, zone, now=now),
        _next(summary, dashboard, now=now, zone=zone),
        outcome,
        took,
        cost,
        Toned(sparkline(recent), "dim"),
        Toned(note, "bad" if failed else "dim"),
    )


def in_english(task: Task, zone: str, *, now: int) -> str:
    """The schedule in English."""
    if task.is_one_off:
        return schedule_word(task, zone, now=now)
    if task.spec.cron_expr.startswith(_EVERY):
        return task.spec.cron_expr.removeprefix("@")
    return _described(task.spec.cron_expr, task.spec.timezone, task.anchor_at)


@lru_cache(maxsize=4096)
def _described(cron_expr: str, timezone: str, anchor_at: int) -> str:
    try:
        return parse_schedule(cron_expr, timezone=timezone, anchor_at=anchor_at).describe()
    except InvalidInputError:
        return f"{cron_expr} (makes no sense)"


def _next(summary: TaskSummary, dashboard: Dashboard, *, now: int, zone: str) -> str:
    task = summary.task
    if summary.deferred_until is not None:
        return Toned(f"deferred, {relative(summary.deferred_until, now=now)}", "warn")
    if task.next_run_at is None:
        skipped = task.id in dashboard.skipped
        return Toned(switch_word(task, skipped=skipped), "dim")
    if task.next_run_at <= now:
        return Toned(f"due {relative(task.next_run_at, now=now)}", "warn")
    clock = zone_clock(task.next_run_at, task.spec.timezone or zone, now=now)
    return f"{relative(task.next_run_at, now=now)} · {clock}"


def _outcome(
    summary: TaskSummary, dashboard: Dashboard, last: Run | None, *, now: int
) -> tuple[Toned, Toned]:
    """A glyph, and the words: of the run under way, else of the last of any kind."""
    task_id = summary.task.id
    if dashboard.running_of(task_id) is not None:
        return Toned(_GLYPHS[State.RUNNING], "good"), Toned("running", "good")
    if dashboard.queued_of(task_id):
        return Toned(_GLYPHS[State.QUEUED], "warn"), Toned("queued", "warn")
    state = summary.last_run_state if last is None else last.state
    if state is None:
        return Toned("·", "dim"), Toned("never ran", "dim")
    word = outcome_word(state, summary.last_run_reason if last is None else last.reason)
    at = summary.last_run_at if last is None else last.ended_at
    ago = "" if at is None else f", {relative(at, now=now)}"
    doubtful = state is State.COMPLETED and word.tone != "good"  # it was denied something
    return Toned("!" if doubtful else _GLYPHS[state], word.tone), Toned(f"{word}{ago}", word.tone)


def sparkline(runs: Sequence[Run]) -> str:
    """How long the runs took, the newest at the right; the longest is a full bar."""
    spans = [run.duration_ms for run in reversed(runs) if run.duration_ms is not None]
    longest = max(spans, default=0) or 1
    return "".join(_BARS[min(7, span * 8 // (longest + 1))] for span in spans)


def usage_line(dashboard: Dashboard, *, now: int) -> Toned:
    """Both windows as bars, when they begin anew, the threshold."""
    if dashboard.usage is None:
        return Toned(dashboard.no_usage, "warn")
    usage = dashboard.usage
    parts = [
        f"{window_name(window.name)} {_bar(window.utilization)} {window.utilization:g} %"
        + (f", resets {relative(window.resets_at, now=now)}" if window.resets_at else "")
        for window in usage.reading.windows[:2]
    ]
    if not parts:
        return Toned(f"usage: {usage.reading.source}", "dim")
    tone = "bad" if usage.blocking is not None else ""
    return Toned(f"{'   '.join(parts)}   stops at {usage.threshold:g} %", tone)


def _bar(percent: float) -> str:
    full = max(0, min(_BAR_CELLS, round(percent * _BAR_CELLS / 100)))
    return "█" * full + "░" * (_BAR_CELLS - full)


def counts_line(dashboard: Dashboard) -> Toned:
    """``2 of 8 running, 1 queued · 24 h: 40 ok, 10 failed, 9 skipped``."""
    status, day = dashboard.status, dashboard.day
    counted = ", ".join(
        f"{day[state]} {word}"
        for state, word in (
            (State.COMPLETED, "ok"), (State.FAILED, "failed"),
            (State.SKIPPED, "skipped"), (State.CANCELLED, "cancelled"),
        )
        if day.get(state) or state is not State.CANCELLED
    )  # fmt: skip
    text = (
        f"{len(status.running)} of {status.max_concurrent_runs} running, "
        f"{len(status.queued)} queued · 24 h: {counted}"
    )
    return Toned(text, "warn" if day.get(State.FAILED) else "")


def leadership_line(dashboard: Dashboard, mode: str, *, leads: bool, own_id: str) -> Toned:
    """Whether this process schedules, and who does."""
    leading = dashboard.status.leading
    if leads or (leading is not None and leading.node.id == own_id):
        return Toned(f"{mode}: leader", "good")
    if leading is None:
        return Toned(f"{mode}: no leader", "warn")
    if leading.hung:
        return Toned(f"{mode}: {leading.how_it_hangs()}", "bad")
    who = f"{leading.node.role} pid {leading.node.pid}"
    return Toned(f"{mode}: {'leader is' if mode == 'off' else 'follower of'} {who}")
