"""A task in words: its schedule and next ticks, its settings."""

from __future__ import annotations

from claude_tasks.cli.results import Pairs, Toned
from claude_tasks.cli.task_words import switch_word
from claude_tasks.cli.times import clock_time, relative, when
from claude_tasks.domain.instant import human_duration
from claude_tasks.operations.preview import Preview, preview_task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.cli.context import Context
    from claude_tasks.cli.results import Block
    from claude_tasks.domain.task import Task

ECHOED_TICKS = 3
_NO_MODE = "no permission mode"
_PERMITTING = (
    "--permission-mode",
    "--dangerously-skip-permissions",
    "--allowedTools",
    "--allowed-tools",
    "--settings",
)
NOBODY = "Nobody schedules at the moment: start a daemon with: claude-tasks daemon"


def confirmation(done: str, task: Task, *, now: int) -> list[Block]:
    """What was done, and what the task's schedule now means."""
    preview = preview_task(task, count=ECHOED_TICKS)
    pairs = [
        ("schedule", preview.description),
        ("next", next_ticks_text(preview, switch_word(task), now=now)),
        ("works in", task.working_dir),
    ]
    return [f'{done} task {task.id} "{task.name}".', Pairs(pairs)]


def next_ticks_text(preview: Preview, why_none: str, *, now: int) -> str:
    """The next ticks, one a line, or why there are none."""
    if not preview.ticks:
        return Toned(why_none, "warn")
    return ticks_text(preview, now=now)


def ticks_text(preview: Preview, *, now: int) -> str:
    """Ticks in a column, how far off in the next, then what the clocks do to them."""
    zone = preview.timezone
    rows = [(clock_time(tick.at, zone, now=now), tick) for tick in preview.ticks]
    width = max(len(shown) for shown, _ in rows)
    return "\n".join(
        f"{shown.ljust(width)}  {relative(tick.at, now=now)}{_note(tick.note)}"
        for shown, tick in rows
    )


def settings_of(task: Task) -> list[tuple[str, str]]:
    """Label and value of everything that was set otherwise than by default."""
    return [
        ("model", task.model or ""),
        ("permissions", task.permission_mode or ""),
        ("allowed tools", ", ".join(task.allowed_tools)),
        ("denied tools", ", ".join(task.disallowed_tools)),
        ("max turns", _number(task.max_turns)),
        ("max budget", "" if task.max_budget_usd is None else f"${task.max_budget_usd:g} a run"),
        ("system prompt", task.append_system_prompt or ""),
        ("extra flags", " ".join(task.extra_args)),
        ("timeout", _span(task.timeout_seconds)),
        ("overlap", task.overlap),
        ("missed ticks", f"{task.catchup}, at most {_span(task.catchup_window_seconds)} late"),
        ("jitter", _span(task.jitter_seconds) if task.jitter_seconds else ""),
        ("retries", _number(task.max_retries or None)),
        ("at once", _number(task.max_concurrency)),
        ("usage limit", task.on_usage_limit or ""),
        ("notify on", task.notify_on or ""),
        ("tags", ", ".join(task.tags)),
    ]


def folder_notes(task: Task) -> list[str]:
    """A warning where the agent could not start today."""
    from claude_tasks.operations.folders import folder_obstacles

    obstacles = folder_obstacles([task.working_dir])
    return [f"Note: {folder} {obstacle}." for folder, obstacle in obstacles.items()]


def permission_notes(task: Task) -> list[str]:
    """What an agent may do where nobody says what."""
    told = any(argument.startswith(_PERMITTING) for argument in task.extra_args)
    if task.allowed_tools or told or task.permission_mode not in (None, "default", "manual"):
        return []
    mode = f"permission mode {task.permission_mode}" if task.permission_mode else _NO_MODE
    helps = (
        f"claude-tasks edit {task.id} --permission-mode acceptEdits --allow-tool 'Bash(npm test)'"
    )
    return [
        f"Note: {mode}: it can read; edits and commands will be denied. To let it work: {helps}"
    ]


def scheduler_notes(context: Context, task: Task) -> list[str]:
    """A warning where the task would wait for a scheduler that does not live."""
    if task.next_run_at is None or context.operations.status.scheduler_lives():
        return []
    return [NOBODY]


def changed_times(task: Task, *, now: int) -> str:
    """When the task was made and last changed."""
    created = when(task.created_at, task.timezone, now=now)
    if task.revision <= 1:
        return created
    changed = relative(task.updated_at, now=now)
    return f"{created}; changed {changed} (revision {task.revision})"


def _note(note: str | None) -> str:
    return f"  ({note})" if note else ""


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def _span(seconds: int) -> str:
    return human_duration(seconds * 1000)
