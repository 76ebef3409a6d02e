"""Runs in words: a table of many, the record of one."""

from __future__ import annotations

from claude_tasks.domain.errors import NotFoundError
from claude_tasks.domain.hint import Hint
from claude_tasks.domain.instant import human_duration
from claude_tasks.domain.run import State
from claude_tasks.text.blocks import Column, Pairs, Raw, Table, Toned
from claude_tasks.text.layout import cut
from claude_tasks.text.message_text import message_line
from claude_tasks.text.run_words import outcome_word
from claude_tasks.text.times import clock_time, coarse, relative, table_time, zone_titles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from claude_tasks.domain.notification import DeliveryRecord
    from claude_tasks.domain.run import Run
    from claude_tasks.operations.facade import Operations
    from claude_tasks.text.blocks import Block

_MOST_NOTES = 3
_NOTE_WIDTH = 200
"""Where no terminal's width cuts it."""


def run_table(runs: Sequence[Run], zone: str, *, now: int, empty: str) -> Table:
    """Runs, a line each, all times in ``zone``."""
    return Table(_columns(zone, now), [_row(run, zone, now) for run in runs], empty=empty)


def zone_of(operations: Operations, run: Run) -> str:
    """The time zone of a run's task."""
    try:
        return operations.tasks.get(run.task_id, include_deleted=True).spec.timezone
    except NotFoundError:
        return "UTC"  # shown all the same


def allow_notes(operations: Operations, runs: Sequence[Run]) -> list[str]:
    """Of each task whose last of these runs was denied something, what helps; of a few tasks."""
    newest: dict[int, Run] = {}
    for run in runs:
        if run.state in (State.COMPLETED, State.FAILED):
            newest.setdefault(run.task_id, run)
    denied = [run for run in newest.values() if run.permission_denials][:_MOST_NOTES]
    return [Hint(f"Note: run {run.id}: ", allow_text(operations, run)) for run in denied]


def allow_text(operations: Operations, run: Run) -> str:
    """What was denied to a run, and what would let exactly it pass; "" for nothing."""
    from claude_tasks.domain.permission import (
        denied_text,
        permitted,
    )

    if not run.permission_denials:
        return ""
    try:
        task = operations.tasks.get(run.task_id, include_deleted=True)
    except NotFoundError:
        return ""
    return denied_text(permitted(task), run.permission_denials)


def ending(run: Run) -> str:
    """One sentence on how a run stands: ``Run 7 failed: timeout after 30m: …``."""
    took = "" if run.duration_ms is None else f" after {human_duration(run.duration_ms)}"
    cost = "" if run.cost_usd is None else f", {money(run.cost_usd)}"
    denied = f", {_denials(run)}" if run.permission_denials else ""
    reason = f": {run.error}" if run.error else ""
    tried = f", attempt {run.attempt}" if run.attempt > 1 else ""
    word = outcome_word(run.state, run.reason)
    return f"Run {run.id} {word}{took}{tried}{cost}{denied}{reason}"


def record(
    run: Run, messages: Sequence[DeliveryRecord], timezone: str, *, now: int, allow: str = ""
) -> list[Block]:
    """All that is known about one run, what it said, and who was told.

    ``allow`` is what helps against what was denied to it.
    """
    word = outcome_word(run.state, run.reason)
    head = Toned(f'Run {run.id} of task {run.task_id} "{run.task_name}": {word}', word.tone)
    told = [message_line(message, now=now) for message in messages]
    facts = [
        *_facts(run, timezone, now=now),
        ("to allow it", Toned(allow, "warn")),
        ("messages", "\n".join(told)),
    ]
    blocks: list[Block] = [head, Pairs(facts)]
    if run.output:
        blocks += ["", Raw(run.output)]
    return blocks


def money(usd: float) -> str:
    """``$0``, ``$0.0123``, ``$1.50``: four digits where cents would say nothing."""
    if not usd:
        return "$0"
    return f"${usd:.2f}" if usd >= 1 else f"${usd:.4f}"


def first_line(text: str | None) -> str:
    """The first line that says something."""
    return next((line.strip() for line in (text or "").splitlines() if line.strip()), "")


def _columns(zone: str, now: int) -> tuple[Column, ...]:
    title, short = zone_titles("WHEN", zone, now=now)
    return (
        Column("RUN", right=True),
        Column("TASK", flexible=3),
        Column("OUTCOME", flexible=2),
        Column(title, short=short, flexible=1),
        Column("TOOK", right=True),
        Column("COST", right=True, droppable=True),
        Column("NOTE", flexible=4, droppable=True),
    )


def _row(run: Run, zone: str, now: int) -> tuple[str, ...]:
    at = run.started_at or run.tick or run.queued_at
    shown = table_time(at, zone, now=now, exact=True)
    took = "" if run.duration_ms is None else human_duration(run.duration_ms)
    if run.state is State.RUNNING and run.started_at is not None:
        took = f"{coarse(max(0, now - run.started_at))} so far"
    return (
        str(run.id),
        run.task_name,
        outcome_word(run.state, run.reason),
        Toned(f"{shown} ({relative(at, now=now)})", short=shown),
        took,
        "" if run.cost_usd is None else money(run.cost_usd),
        cut(_note(run), _NOTE_WIDTH),
    )


def _note(run: Run) -> str:
    """Why it ended as it did; of a good run what is to be known of it, else what it said."""
    noted = first_line(run.error)
    if run.state is not State.COMPLETED:
        return noted
    if run.permission_denials:
        return f"{_denials(run)}; {noted}" if noted else _denials(run)
    return noted or first_line(run.output)


def _denials(run: Run) -> str:
    amount = len(run.permission_denials)
    return f"{amount} tool use{'' if amount == 1 else 's'} denied"


def _facts(run: Run, timezone: str, *, now: int) -> list[tuple[str, str]]:
    def time(at: int | None) -> str:
        if at is None:
            return ""
        return f"{clock_time(at, timezone, now=now)} ({relative(at, now=now)})"

    took = "" if run.duration_ms is None else human_duration(run.duration_ms)
    return [
        ("why", Toned(run.error or "", "bad" if run.state is State.FAILED else "warn")),
        ("trigger", _trigger(run, time(run.tick))),
        ("queued", time(run.queued_at) if run.started_at is None else ""),
        ("started", time(run.started_at)),
        ("ended", time(run.ended_at)),
        ("took", took),
        ("attempts", f"{run.attempt}, this is the last" if run.attempt > 1 else ""),
        ("agent", _agent(run)),
        ("tokens", _tokens(run)),
        ("denied", "\n".join(run.permission_denials)),
        ("exit code", "" if run.exit_code is None else str(run.exit_code)),
        ("goes on in", f"session {run.resume_of}" if _goes_on(run) else ""),
        ("skipped", _skipped(run, time(run.skipped_until))),
        ("log", run.log_path or ""),
    ]


def _trigger(run: Run, tick: str) -> str:
    if run.covers is not None:
        return f"tick {tick}, given again: the clock was ahead when it was first counted"
    return f"tick {tick}" if run.trigger.is_tick else "by hand"


def _goes_on(run: Run) -> bool:
    return run.resume_of is not None and not run.state.is_terminal


def _agent(run: Run) -> str:
    turns = f"{run.num_turns} turn{'' if run.num_turns == 1 else 's'}" if run.num_turns else ""
    cost = "" if run.cost_usd is None else money(run.cost_usd)
    session = f"session {run.session_id}" if run.session_id else ""
    return ", ".join(part for part in (run.model, turns, cost, session) if part)


def _tokens(run: Run) -> str:
    counts = (
        (run.input_tokens, "in"),
        (run.output_tokens, "out"),
        (run.cache_read_tokens, "from cache"),
        (run.cache_creation_tokens, "into cache"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in counts if count)


def _skipped(run: Run, until: str) -> str:
    if not run.skipped_count:
        return ""
    ticks = f"{run.skipped_count} tick{'' if run.skipped_count == 1 else 's'}"
    return f"{ticks}, until {until}" if until else ticks
