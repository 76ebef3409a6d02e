"""``demo``: a task from ``add`` to its runs, in a temporary data folder, in a few seconds."""

from __future__ import annotations

import os

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError, SpawnError
from claude_tasks.domain.hint import Command, Hint, Placeholder, quoted
from claude_tasks.text.blocks import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context
    from claude_tasks.domain.run import Run
    from claude_tasks.domain.task import Task
    from claude_tasks.domain.task_fields import TaskSpec
    from claude_tasks.text.blocks import Block

DESCRIPTION = (
    "A task every 2 s, a real scheduler, three runs. The agent is simulated unless --agent claude"
    " (or AGENT=claude) asks for the installed one, which costs what three short prompts cost."
)
EXAMPLES = """
claude-tasks demo
claude-tasks demo --agent claude
"""
_AGENTS = ("simulated", "claude")
_RUNS = 3
_LOOK_SECONDS = 0.05
_PATIENCE_MS = {"simulated": 60_000, "claude": 300_000}
_PROMPT = "Say hello in one short sentence."


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("--agent", metavar="simulated|claude", help="default: simulated")


def run(context: Context, arguments: Namespace) -> Result:
    """Show it."""
    agent = _agent(context, arguments.agent)
    if agent == "claude":
        _check_agent(context)
    root = _prepare(context, agent)
    _introduce(context, agent)
    task = context.operations.tasks.add(_spec(root))
    context.printer.note(f'Added task {task.id} "{task.name}": {task.spec.cron_expr} (every 2 s).')
    runs = _watch(context, task, context.now() + _PATIENCE_MS[agent])
    good = sum(run.state.value == "completed" for run in runs) >= _RUNS
    return Result(
        data=lambda: _data(context, runs, agent),
        text=lambda: _text(context, runs, agent),
        exit_code=0 if good else 1,
    )


def _agent(context: Context, flag: str | None) -> str:
    if flag is not None:
        if flag.lower() not in _AGENTS:
            raise InvalidInputError(f"--agent: {flag!r}", hint=f"one of: {', '.join(_AGENTS)}")
        return flag.lower()
    return "claude" if context.environment.get("AGENT", "").lower() == "claude" else "simulated"


def _check_agent(context: Context) -> None:
    """Fail at the start, rather than in three failed runs. Errors: `SpawnError`."""
    from claude_tasks.execution.agent_binary import find_agent_binary

    try:
        # The demo's own data folder has no other setting than the environment's.
        find_agent_binary(context.environment.get("CLAUDE_TASKS_CLAUDE_BIN"))
    except SpawnError as error:
        simulated = Command("demo", "--agent", "simulated")
        hint = Hint(error.hint or "", "; or see it simulated: ", simulated)
        raise SpawnError(error.message, hint=hint) from error


def _prepare(context: Context, agent: str) -> str:
    """Make the data folder. Its settings name the stand-in, for the user's later commands."""
    import tempfile
    from pathlib import Path

    from claude_tasks.settings import load_settings

    root = tempfile.mkdtemp(prefix="claude-tasks-demo-")
    data = Path(root, "data")
    data.mkdir(mode=0o700)
    Path(root, "work").mkdir()
    environment = dict(context.environment)
    if agent == "simulated":
        from claude_tasks.standin import install

        environment.pop("CLAUDE_TASKS_CLAUDE_BIN", None)
        environment["CLAUDE_TASKS_DISABLE_USAGE_CHECK"] = "1"  # it has no subscription
        binary = install(Path(root, "bin"))
        config = Path(data, "config.toml")
        config.touch(0o600)
        config.write_text(f"claude_bin = '{binary}'\ndisable_usage_check = true\n", "utf-8")
    context.use_settings(load_settings(environment, {"data": str(data)}))
    return root


def _spec(root: str) -> TaskSpec:
    from claude_tasks.domain.task_fields import TaskSpec

    return TaskSpec(
        name="hello",
        prompt=_PROMPT,
        cron_expr="*/2 * * * * *",
        working_dir=os.path.join(root, "work"),
        timeout_seconds=120,
        max_turns=1,
    )


def _introduce(context: Context, agent: str) -> None:
    say = context.printer.note
    if agent == "simulated":
        say("The agent in this demo is SIMULATED: no model is asked, nothing is spent.")
        say("Everything else is real: the schedule, the processes, the records, the logs.")
        say(Hint("With the installed one: ", Command("demo", "--agent", "claude")))
    else:
        say("This demo asks the installed claude, three times: it costs what that costs.")
    say(f"Data folder: {context.settings.data}")
    say("")


def _watch(context: Context, task: Task, deadline: int) -> list[Run]:
    """A node of this process until three runs completed, or it is clear that they will not."""
    from claude_tasks.cli.log_output import start_plain_logging
    from claude_tasks.cli.outlet import outlet_of
    from claude_tasks.domain.node import Role
    from claude_tasks.wiring.node import build_node

    began = context.now()
    start_plain_logging(outlet_of(context.printer.stderr))  # the node waits for no reader
    node = build_node(context.settings, role=Role.DAEMON, schedules=True)
    node.start()
    try:
        told: set[int] = set()
        while True:
            runs = _runs(context, task)
            _narrate(context, runs, told, began)
            ended = [run for run in runs if run.state.is_terminal]
            if _enough(ended) or context.now() > deadline:
                break
            context.sleep(_LOOK_SECONDS)
        context.operations.tasks.disable(task.id)
        _let_end(context, task, deadline)
        return _runs(context, task)
    finally:
        node.stop()


def _enough(ended: list[Run]) -> bool:
    completed = sum(run.state.value == "completed" for run in ended)
    failed = sum(run.state.value == "failed" for run in ended)
    return completed >= _RUNS or failed >= _RUNS


def _let_end(context: Context, task: Task, deadline: int) -> None:
    """Wait for running runs to end before the node stops."""
    while context.now() < deadline and not all(r.state.is_terminal for r in _runs(context, task)):
        context.sleep(_LOOK_SECONDS)


def _narrate(context: Context, runs: list[Run], told: set[int], began: int) -> None:
    from claude_tasks.text.run_text import ending

    for run in reversed(runs):
        if run.state.is_terminal and run.id not in told:
            told.add(run.id)
            context.printer.note(f"{(context.now() - began) / 1000:5.1f} s  {ending(run)}")


def _runs(context: Context, task: Task) -> list[Run]:
    from claude_tasks.domain.store_records import RunFilter

    return context.operations.runs.list(RunFilter(task_id=task.id, limit=200))


def _text(context: Context, runs: list[Run], agent: str) -> list[Block]:
    from claude_tasks.text.run_text import run_table

    data = context.settings.data
    latest = next((run for run in runs if run.log_path), None)
    again = ("--data", data)
    add = Command("add", "NAME", Placeholder('"PROMPT"'), "--every", "1h")
    steps = [
        ("log", latest.log_path or "" if latest else ""),
        ("look", Command(*again, "logs", latest.id) if latest else ""),
        ("go on", Hint(Command(*again, "enable", "hello"), " && ", Command(*again, "daemon"))),
        ("tidy up", f"rm -r {quoted(os.path.dirname(data))}"),
        ("yours", Hint(add, " && ", Command("daemon"))),
    ]
    said = "The answers above are simulated." if agent == "simulated" else ""
    table = run_table(runs, context.zone, now=context.now(), empty="no runs")
    return ["", "Run history", table, *([said] if said else []), "", Pairs(steps)]


def _data(context: Context, runs: list[Run], agent: str) -> dict[str, object]:
    from claude_tasks.operations.views import run_view

    return {
        "agent": agent,
        "data": context.settings.data,
        "runs": [run_view(run) for run in runs],
        "total": len(runs),
    }
