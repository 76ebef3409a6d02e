"""Run a task in this process, where no scheduler lives: a node of its own, for this one run."""

from __future__ import annotations

from claude_tasks.cli.follow import follow
from claude_tasks.domain.errors import ConflictError
from claude_tasks.domain.node import Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task


def run_here(context: Context, task: Task) -> Run:
    """Run it and wait for its end. Ctrl-C cancels; a second one leaves it to its supervisor.

    Raises:
        KeyboardInterrupt: after the second; or after the first, once the run has ended.
    """
    node = context.build_node(Role.CLI, schedules=False)
    node.start()
    try:
        run = context.operations.runs.start(task.id, assigned_to=node.node.id)
        if run.state.is_terminal:  # skipped: overlap
            return run
        node.wake()
        context.printer.note(
            f'No scheduler lives: running task {task.id} "{task.name}" here, as run {run.id}.'
        )
        return _stay(context, run)
    finally:
        node.stop()


def _stay(context: Context, run: Run) -> Run:
    try:
        return follow(context, run.id, own=True)
    except KeyboardInterrupt:
        if not _cancel(context, run):
            return context.operations.runs.get(run.id)
    try:
        ended = follow(context, run.id, own=True)
    except KeyboardInterrupt:
        context.printer.note(
            f"Run {run.id} ends under its supervisor; see later: claude-tasks logs {run.id}"
        )
        raise
    context.printer.note(f"Run {ended.id} {ended.state}.")
    raise KeyboardInterrupt


def _cancel(context: Context, run: Run) -> bool:
    """Ask for the end; False when it had ended already."""
    try:
        context.operations.runs.cancel(run.id)
    except ConflictError:
        return False
    context.printer.note(f"Cancelling run {run.id}; Ctrl-C again to leave it behind.")
    return True
