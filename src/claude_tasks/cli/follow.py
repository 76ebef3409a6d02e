"""Follows a run until it ends: its event stream as it grows, its row as it changes."""

from __future__ import annotations

from claude_tasks.domain.hint import Command, Hint
from claude_tasks.operations.event_tail import EventTail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run

_LOOK_SECONDS = 0.05
_LOOKS_BETWEEN_SETTLINGS = 10
_LOOKS_BETWEEN_CHECKS = 40
UNWATCHED = "running under its supervisor; no daemon to record it"


def event_tail(context: Context, run: Run) -> EventTail:
    """What a run's agent printed, from its first line on."""
    from claude_tasks.execution.run_log import events_path

    return EventTail(events_path(context.settings.folder.logs, run.task_id, run.id))


def follow(
    context: Context,
    run_id: int,
    *,
    show: Callable[[bytes], None] | None = None,
    own: bool = False,
    leave: Callable[[float], bool] | None = None,
) -> Run:
    """Wait until a run ended; ``show`` gets each line of its event stream meanwhile.

    Unless the run is this process's ``own``, its end is recorded here where no node lives, and it
    is printed on standard error when no node lives that could execute it. ``leave`` waits so many
    seconds at most and tells whether to stop following, ended or not.
    """
    operations = context.operations
    operations.changes.changed()  # what comes after this look counts
    run = operations.runs.get(run_id)
    tail = event_tail(context, run)
    looks, warned, told = 0, own, None
    while not run.state.is_terminal:
        _show(tail.lines(), show)
        waits_for = run.deferred_until or (run.unreachable_since if _is_queued(run) else None)
        if waits_for is not None and waits_for != told:
            told = waits_for
            context.printer.note(f"Run {run.id} waits. {run.error}")
        if leave is None:
            context.sleep(_LOOK_SECONDS)
        elif leave(_LOOK_SECONDS):
            run = operations.runs.get(run_id)
            break
        looks += 1
        if not own and looks % _LOOKS_BETWEEN_SETTLINGS == 0:
            context.settle()
        # The feed does not report what this process wrote, such as a cancel.
        if operations.changes.changed() or looks % _LOOKS_BETWEEN_SETTLINGS == 0:
            run = operations.runs.get(run_id)
        if not warned and looks % _LOOKS_BETWEEN_CHECKS == 0:
            warned = _warn_if_alone(context, run)
    _show(tail.close(), show)
    return run


def _is_queued(run: Run) -> bool:
    return run.state.value == "queued"


def is_alone(context: Context, run: Run) -> bool:
    """Whether no living node watches a run or could take it."""
    status = context.operations.status
    living = {node.id for node in status.living_nodes()}
    return run.claimed_by not in living and not status.scheduler_lives()


def unwatched_notes(context: Context, runs: Iterable[Run]) -> list[str]:
    """Which of these run on although no node lives that would record their end."""
    running = [run for run in runs if run.state.value == "running" and is_alone(context, run)]
    if not running:
        return []
    unwatched = f"Run {running[0].id} is {UNWATCHED}."
    if len(running) > 1:
        ids = ", ".join(str(run.id) for run in running)
        unwatched = f"Runs {ids} are running under their supervisors; no daemon to record them."
    return [Hint(f"{unwatched} Start one with: ", Command("daemon"))]


def _show(lines: Iterator[bytes], show: Callable[[bytes], None] | None) -> None:
    if show is not None:
        for line in lines:
            show(line)


def _warn_if_alone(context: Context, run: Run) -> bool:
    if not is_alone(context, run):
        return False
    if run.state.value == "running":
        context.printer.note(f"Run {run.id} is {UNWATCHED}.")
        return True
    text = f"Run {run.id} is {run.state}, and no scheduler lives: start one with: "
    context.printer.note(Hint(text, Command("daemon")))
    return True
