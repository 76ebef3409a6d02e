"""No run is stuck, none was lost, no task fails always."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_tasks.doctor.finding import (
    failed,
    passed,
    some,
    warned,
)
from claude_tasks.doctor.node_help import (
    START,
    illegible,
    node_of,
    standing_by,
    unread,
    wake_up,
)
from claude_tasks.domain.hint import Command
from claude_tasks.domain.instant import human_duration

if TYPE_CHECKING:
    from claude_tasks.doctor.facts import (
        Contents,
        DatabaseFacts,
        MachineFacts,
        RunningFact,
    )
    from claude_tasks.doctor.finding import Finding

from claude_tasks.domain.signs import UNRECORDED_MS

if TYPE_CHECKING:
    _Stuck = tuple[list[RunningFact], str, str | None]
    """Runs, what is said of them, the command that helps."""


LONG_MS = 3_600_000
"""A run that waits for longer is worth a look."""
_MOST_READ = 1000
"""So many runs are read at most."""


def judge(database: DatabaseFacts, machine: MachineFacts) -> Finding:
    """No running run that no node watches; none lost; no task that always fails.

    FAIL where a run stays so until a person acts.
    """
    name = "runs"
    contents = database.contents
    if contents is None:
        return unread(name, database)
    if contents.what_is_illegible("runs"):
        return illegible(name, contents, "runs")
    leadership = _standing_still(contents, machine)
    found = [
        (_run_names(runs), words, fix) for runs, words, fix in (*leadership, *_stuck(contents))
    ] + [
        (
            [f'{run_id} "{task}"' for run_id, task in contents.lost],
            "lost in the last day (nobody saw how it ended): run",
            Command("runs"),
        ),
        (
            [f'{task_id} "{task}"' for task_id, task in contents.failing],
            "its last 5 runs all failed: task",
            _runs_of(contents),
        ),
    ]
    texts = [f"{words} {_several(which)}" for which, words, _ in found if which]
    if not texts:
        running = sum(run.queued_for_ms is None for run in contents.running)
        return passed(name, f"{running} running, all watched")
    fix = next((command for which, _, command in found if which and command), None)
    return (failed if any(runs for runs, _, _ in leadership) else warned)(
        name, "; ".join(texts), fix
    )


def _standing_still(contents: Contents, machine: MachineFacts) -> list[_Stuck]:
    """Runs that are over, or should be, and whose end no node will record."""
    running = [run for run in contents.running if run.queued_for_ms is None]
    ended = [run for run in running if (run.signs.ended_ms or 0) > UNRECORDED_MS]
    silent = [run for run in running if run.signs.silent_ms is not None]
    return [
        (ended, "ended, but not recorded: run", _who_records(contents, ended, machine)),
        (silent, *_what_ends(silent)),
    ]


def _who_records(contents: Contents, ended: list[RunningFact], machine: MachineFacts) -> str | None:
    """The command that gets the end recorded: wake or end its node, or start one."""
    holder = node_of(contents, ended[0].node_id) if ended else None
    if holder is not None and holder.silent_ms is not None and not standing_by(contents):
        return wake_up(holder, machine)
    return Command("status") if standing_by(contents) else START


def _what_ends(silent: list[RunningFact]) -> tuple[str, str | None]:
    """The text about silent runs, and the command that ends the first of them."""
    if not silent:
        return "", None
    signs = silent[0].signs
    past = human_duration((signs.silent_ms or 0) // 1000 * 1000)
    words = f"should have ended {past} ago, process {signs.pid}"
    if signs.stall is None:
        return f"{words} is left of it: run", f"kill -9 {signs.pid}"
    return f"{words} {signs.stall.why}: run", signs.stall.command


def _stuck(contents: Contents) -> list[_Stuck]:
    """Runs that do not go on, why, and what helps: a new node adopts or ends them."""
    running = [run for run in contents.running if run.queued_for_ms is None]
    queued = [run for run in contents.running if run.queued_for_ms is not None]
    led = standing_by(contents)
    help_ = Command("runs", "--state", "running") if led else START
    waiting = Command("runs", "--state", "queued") if led else START
    orphaned = [run for run in queued if not run.watched and not led]
    unwatched = [run for run in running if not run.watched and run.signs.ended_ms is None]
    long = [run for run in queued if run not in orphaned and (run.queued_for_ms or 0) > LONG_MS]
    return [
        (
            unwatched,
            "running, but the node that watched it is dead: run",
            help_,
        ),
        (orphaned, "queued for a node that is dead: run", waiting),
        (long, "queued for more than an hour: run", waiting),
    ]


def _run_names(runs: list[RunningFact]) -> list[str]:
    return [f'{run.run_id} "{run.task_name}"' for run in runs]


def _several(which: list[str]) -> str:
    return some(which, at_least=len(which) >= _MOST_READ)


def _runs_of(contents: Contents) -> str:
    return Command("runs", contents.failing[0][0]) if contents.failing else ""
