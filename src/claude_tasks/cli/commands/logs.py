"""``logs``: one run's record and output, or its events as they come."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError, NotFoundError
from claude_tasks.domain.hint import Command, Hint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run

DESCRIPTION = (
    "A number is a run; a name is a task, and means the latest run of it that really began."
)
EXAMPLES = """
claude-tasks logs 128
claude-tasks logs nightly
claude-tasks logs --task 7
claude-tasks logs -f 128
claude-tasks logs 128 --events | jq -r .type
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("run", metavar="RUN", nargs="?", help="a run's id, or a task's name")
    parser.add_argument("--task", metavar="TASK", help="the latest run of this task, id or name")
    parser.add_argument("-f", "--follow", action="store_true", help="until the run has ended")
    parser.add_argument("--events", action="store_true", help="the event stream, JSON Lines")


def run(context: Context, arguments: Namespace) -> Result:
    """Show it."""
    context.settle()
    wanted = _find(context, arguments)
    if arguments.follow:
        return _follow(context, wanted, arguments)
    if arguments.events:
        return _events(context, wanted)
    return _record(context, wanted, exit_code=0)


def _find(context: Context, arguments: Namespace) -> Run:
    if (arguments.run is None) == (arguments.task is None):
        raise InvalidInputError("which run?", hint=Hint(Command("logs", "RUN"), ", or --task TASK"))
    from claude_tasks.operations.lookup import as_id

    if arguments.run is not None and arguments.run.isdecimal():
        return context.operations.runs.get(as_id(arguments.run))
    reference = arguments.run if arguments.task is None else arguments.task
    task = context.operations.tasks.get(reference, include_deleted=True)
    latest = context.operations.runs.latest(task.id)
    waits = latest is not None and arguments.follow and not latest.state.is_terminal
    if task.last_run_id is not None and not waits:
        return context.operations.runs.get(task.last_run_id)
    if latest is None:
        raise NotFoundError(
            f'Task {task.id} "{task.name}" has no runs yet', hint=Command("why", task.id)
        )
    return latest


def _record(context: Context, run: Run, *, exit_code: int) -> Result:
    from claude_tasks.cli.follow import unwatched_notes
    from claude_tasks.operations.notifications import delivery_view
    from claude_tasks.operations.views import run_view
    from claude_tasks.text.run_text import allow_text, record, zone_of

    notes: list[str] = []
    if not run.state.is_terminal:
        following = Command("logs", "-f", run.id)
        notes.append(Hint(f"Run {run.id} is {run.state}; follow it with: ", following))
    notes += unwatched_notes(context, [run])
    zone = zone_of(context.operations, run)
    messages = context.operations.notifications.of_run(run.id)
    return Result(
        data=lambda: {**run_view(run), "deliveries": [delivery_view(each) for each in messages]},
        text=lambda: record(
            run, messages, zone, now=context.now(), allow=allow_text(context.operations, run)
        ),
        notes=notes,
        exit_code=exit_code,
    )


def _events(context: Context, run: Run) -> Result:
    from claude_tasks.cli.follow import event_tail

    tail = event_tail(context, run)
    amount = 0
    for line in tail.close():
        _raw(context)(line)
        amount += 1
    return _nothing_more(0, notes=[] if amount else [_no_events(run)])


def _no_events(run: Run) -> Hint:
    began = (
        f"it is {run.state}" if run.started_at is None else "its agent wrote none, or they are gone"
    )
    return Hint(f"Run {run.id} has no events: {began}. Its record: ", Command("logs", run.id))


def _follow(context: Context, run: Run, arguments: Namespace) -> Result:
    from claude_tasks.cli.follow import follow
    from claude_tasks.domain.run import State
    from claude_tasks.text.run_text import allow_notes, ending

    ended = follow(context, run.id, show=_shower(context, events=arguments.events))
    code = 0 if ended.state is State.COMPLETED else 1
    if context.printer.as_json and not arguments.events:
        return _record(context, ended, exit_code=code)
    for note in (ending(ended), *allow_notes(context.operations, [ended])):
        context.printer.note(note)
    return _nothing_more(code)


def _shower(context: Context, *, events: bool) -> Callable[[bytes], None] | None:
    if events:
        return _raw(context)
    if context.printer.as_json:
        return None  # one object at the end
    from claude_tasks.text.event_text import event_lines

    def show(line: bytes) -> None:
        for text in event_lines(line):
            context.printer.line(text)

    return show


def _raw(context: Context) -> Callable[[bytes], None]:
    return lambda line: context.printer.raw_line(line.decode("utf-8", "replace")) if line else None


def _nothing_more(exit_code: int, *, notes: Sequence[str] = ()) -> Result:
    """All has been printed line by line."""
    return Result(data=lambda: None, text=list, notes=notes, exit_code=exit_code, streamed=True)
