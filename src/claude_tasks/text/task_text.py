"""A task in words: its schedule and next ticks, its settings."""

from __future__ import annotations

from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.task_fields import FIELDS, Kind, Unit
from claude_tasks.operations.preview import Preview, preview_task
from claude_tasks.text.blocks import Column, Pairs, Table, Toned
from claude_tasks.text.task_words import switch_word
from claude_tasks.text.times import clock_time, relative, table_time, when

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from claude_tasks.domain.revision import TaskRevision
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_fields import Field
    from claude_tasks.operations.facade import Operations
    from claude_tasks.text.blocks import Block

ECHOED_TICKS = 3
_LONGEST_VALUE = 48
"""Characters of an old or a new value."""
_NO_MODE = "no permission mode"
_PERMITTING = (
    "--permission-mode",
    "--dangerously-skip-permissions",
    "--allowedTools",
    "--allowed-tools",
    "--settings",
)
NOBODY = Hint("Nobody schedules at the moment: start a daemon with: ", Command("daemon"))


def confirmation(done: str, task: Task, *, now: int) -> list[Block]:
    """What was done, and what the task's schedule now means."""
    preview = preview_task(task, count=ECHOED_TICKS)
    pairs = [
        ("schedule", preview.description),
        ("next", next_ticks_text(preview, switch_word(task), now=now)),
        ("works in", task.spec.working_dir),
    ]
    return [f'{done} task {task.id} "{task.name}".', Pairs(pairs)]


def next_ticks_text(preview: Preview, why_none: str, *, now: int) -> str:
    """The next ticks, one a line, or why there are none."""
    if not preview.ticks:
        return Toned("never" if preview.is_senseless else why_none, "warn")
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


_SHOWN_APART = frozenset({
    "name", "prompt", "cron_expr", "timezone", "scheduled_at", "working_dir", "enabled",
})  # fmt: skip


def settings_of(task: Task) -> list[tuple[str, str]]:
    """Label and value of what was said of how it runs; "" where nothing was."""
    fields = zip(FIELDS.values(), task.spec, strict=True)
    return [
        (field.label, _value_text(field, value))
        for field, value in fields
        if not field.secret and field.name not in _SHOWN_APART
    ]


def folder_notes(task: Task) -> list[str]:
    """A warning where the agent could not start today."""
    from claude_tasks.operations.folders import folder_obstacles

    obstacles = folder_obstacles([task.spec.working_dir])
    return [f"Note: {folder} {obstacle}." for folder, obstacle in obstacles.items()]


def permission_notes(task: Task) -> list[str]:
    """What an agent may do where its task names nothing."""
    told = any(argument.startswith(_PERMITTING) for argument in task.spec.extra_args)
    if (
        task.spec.allowed_tools
        or told
        or task.spec.permission_mode not in (None, "default", "manual")
    ):
        return []
    mode = f"permission mode {task.spec.permission_mode}" if task.spec.permission_mode else _NO_MODE
    text = f"Note: {mode}: it can read; edits and commands will be denied. To let it work: "
    flags = ("--permission-mode", "acceptEdits", "--allow-tool", "Bash(npm test)")
    return [Hint(text, Command("edit", task.id, *flags))]


def scheduler_notes(operations: Operations, task: Task) -> list[str]:
    """A warning where the task would wait for a scheduler that does not live."""
    if task.next_run_at is None or operations.status.scheduler_lives():
        return []
    return [NOBODY]


def changed_times(task: Task, *, now: int) -> str:
    """When the task was made and last changed."""
    created = when(task.created_at, task.spec.timezone, now=now)
    if task.revision <= 1:
        return created
    changed = relative(task.updated_at, now=now)
    return f"{created}; changed {changed} (revision {task.revision})"


def _note(note: str | None) -> str:
    return f"  ({note})" if note else ""


def _value_text(field: Field, value: Any) -> str:
    if value in (None, (), []) or value == field.default == 0:
        return ""
    if field.kind is Kind.SWITCH:
        return "on" if value else "off"
    if field.kind is Kind.LIST:
        return (" " if field.format == "agent-flag" else ", ").join(value)
    if field.unit is Unit.SECONDS:
        return human_duration(value * 1000)
    if field.unit is Unit.USD:
        return f"${value:g} a run"
    return str(value)


def revision_table(revisions: Sequence[TaskRevision], zone: str, *, now: int) -> Table:
    """Who changed a task: a line for each field, newest first."""
    columns = [Column("WHEN"), Column("BY"), Column("WHAT")]
    rows = []
    for each in revisions:
        told = [_change_text(name, *values, zone, now) for name, values in each.changes.items()]
        if not told:
            told = ["added" if each.revision == 1 else "set right after a step of the clock"]
        firsts = table_time(each.at, zone, now=now), each.actor
        rows += [(*(firsts if place == 0 else ("", "")), text) for place, text in enumerate(told)]
    return Table(columns, rows, empty="  not known: it was last changed by an earlier version")


def _change_text(name: str, old: Any, new: Any, zone: str, now: int) -> str:
    if name == "deleted":
        return "deleted" if new else "restored"
    field = FIELDS.get(name)
    if field is None:  # of another version
        return f"{name}: {old} → {new}"
    if field.kind is Kind.INSTANT:
        old, new = (at and table_time(at, zone, now=now) for at in (old, new))
    before, after = (_short(_value_text(field, value)) or "-" for value in (old, new))
    return f"{field.label}: {before} → {after}"


def _short(text: str) -> str:
    line = text.partition("\n")[0]
    return text if line == text and len(text) <= _LONGEST_VALUE else f"{line[:_LONGEST_VALUE]}…"
