"""Runs a task in this process where no scheduler lives: with a node for this one run.

Signals are collected, not raised, so that one that arrives at any time is handled here.
"""

from __future__ import annotations

import signal

from claude_tasks.cli.exit_codes import Terminated
from claude_tasks.cli.follow import follow
from claude_tasks.cli.log_output import start_plain_logging
from claude_tasks.cli.node_failure import raise_failure
from claude_tasks.cli.outlet import outlet_of
from claude_tasks.cli.signals import SignalPipe
from claude_tasks.domain.errors import ConflictError
from claude_tasks.domain.hint import Command, Hint
from claude_tasks.domain.node import Role
from claude_tasks.domain.run import State
from claude_tasks.wiring.node import RUN_ENDS_LOG, build_node

TYPE_CHECKING = False
if TYPE_CHECKING:
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task
    from claude_tasks.scheduling.node import RunningNode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_here(context: Context, task: Task) -> Run:
    """Run it and wait for its end. Ctrl-C cancels; a second one leaves it to its supervisor.

    Raises:
        KeyboardInterrupt: after the second; or after the first, once the run has ended.
        Terminated: after SIGTERM, which leaves it at once.
    """
    pipe = SignalPipe(_SIGNALS)
    # The node waits for no reader; how the run ended is our answer.
    start_plain_logging(outlet_of(context.printer.stderr), without=RUN_ENDS_LOG)
    try:
        node = build_node(context.settings, role=Role.CLI, schedules=False)
        try:
            node.start()
            run = context.operations.runs.start(task.id, assigned_to=node.node.id)
            if run.state.is_terminal:  # skipped: overlap
                return run
            node.wake()
            context.printer.note(
                f'No scheduler lives: running task {task.id} "{task.name}" here, as run {run.id}.'
            )
            return _Attendance(context, node, run, pipe).stay()
        finally:
            node.stop()
    finally:
        pipe.close()


def run_elsewhere(context: Context, task: Task) -> Run:
    """Have a living node run it, and wait for its end. Ctrl-C and SIGTERM leave it.

    Raises:
        KeyboardInterrupt: it was left (`Terminated` for SIGTERM).
    """
    # Before there is a run: a signal that comes with it must not be lost.
    pipe = SignalPipe(_SIGNALS)
    got: list[signal.Signals] = []

    def leave(seconds: float) -> bool:
        got.extend(pipe.wait(seconds))
        return bool(got)

    try:
        run = context.operations.runs.start(task.id)
        if run.state.is_terminal:  # skipped: overlap
            return run
        context.printer.note(f"Run {run.id} of task {run.task_id} is queued.")
        seen = follow(context, run.id, leave=leave)
    finally:
        pipe.close()
    if seen.state.is_terminal:
        return seen
    context.printer.note(Hint(f"Run {run.id} goes on; end it with: ", Command("cancel", run.id)))
    raise Terminated if signal.SIGTERM in got else KeyboardInterrupt


class _Attendance:
    """Waits for a run of this process, and handles Ctrl-C and SIGTERM meanwhile."""

    def __init__(self, context: Context, node: RunningNode, run: Run, pipe: SignalPipe) -> None:
        self._context = context
        self._node = node
        self._run = run
        self._pipe = pipe
        self._interrupts = 0
        self._terminated = False

    def stay(self) -> Run:
        """The run as it ended. Raises: see `run_here`."""
        seen = follow(self._context, self._run.id, own=True, leave=self._leave)
        if not seen.state.is_terminal:
            self._context.printer.note(_left(seen))
        elif self._interrupts:
            self._context.printer.note(f"Run {seen.id} {seen.state}.")
        else:
            return seen
        raise Terminated if self._terminated else KeyboardInterrupt

    def _leave(self, seconds: float) -> bool:
        """Handle signals for some seconds; whether to leave the run to its supervisor."""
        raise_failure(self._node)
        for number in self._pipe.wait(seconds):
            if number is signal.SIGTERM:
                self._terminated = True
            elif self._interrupts or self._cancels():
                self._interrupts += 1
        return self._terminated or self._interrupts > 1

    def _cancels(self) -> bool:
        """Ask for the end; False when it had ended already, and there is nothing to interrupt."""
        try:
            self._context.operations.runs.cancel(self._run.id)
        except ConflictError:
            return False
        self._context.printer.note(
            f"Cancelling run {self._run.id}; Ctrl-C again to leave it behind."
        )
        return True


def _left(run: Run) -> Hint:
    if run.state is State.QUEUED:
        not_begun = f"Run {run.id} has not begun; the next daemon takes it: "
        return Hint(not_begun, Command("daemon"))
    if run.cancel_requested_at is not None:
        goes_on = "ends under its supervisor"
    else:
        goes_on = "goes on under its supervisor"
    return Hint(f"Run {run.id} {goes_on}; see later: ", Command("logs", run.id))
