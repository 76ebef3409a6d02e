"""``completion``: a script for the shell, with every command and flag; it asks for task names."""

from __future__ import annotations

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import InvalidInputError
from claude_tasks.text.blocks import Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = "The script holds every command and flag; make it anew after an upgrade."
EXAMPLES = """
bash:  echo 'source <(claude-tasks completion bash)' >> ~/.bashrc
zsh:   claude-tasks completion zsh > "${fpath[1]}/_claude-tasks"
fish:  claude-tasks completion fish > ~/.config/fish/completions/claude-tasks.fish
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("shell", metavar="SHELL", nargs="?", help="bash, zsh or fish")
    parser.add_argument("--task-names", action="store_true", help="what the scripts ask for")
    parser.add_argument("--run-ids", action="store_true", help="the same: what can be cancelled")
    parser.add_argument("--zones", action="store_true", help="the same: time zones")


def run(context: Context, arguments: Namespace) -> Result:
    """Write the script."""
    words = _words(context, arguments)
    if words is not None:
        return Result(data=lambda: words, text=lambda: words)
    from claude_tasks.cli.completion_scripts import SCRIPTS

    make = SCRIPTS.get((arguments.shell or "").lower())
    if make is None:
        raise InvalidInputError(
            f"no completion for {arguments.shell}" if arguments.shell else "for which shell?",
            hint=f"one of: {', '.join(SCRIPTS)}",
            code="usage",
        )
    script = make()
    return Result(data=lambda: {"script": script}, text=lambda: [Raw(script)])


def _words(context: Context, arguments: Namespace) -> list[str] | None:
    """What a script asks for while its user presses TAB; None for the script itself."""
    if arguments.task_names:
        return [summary.task.name for summary in context.tasks.list() if _leads(summary.task.name)]
    if arguments.run_ids:
        from claude_tasks.domain.run import State
        from claude_tasks.domain.store_records import RunFilter

        active = RunFilter(states=(State.RUNNING, State.QUEUED), limit=100)
        return [str(run.id) for run in context.operations.runs.list(active)]
    if arguments.zones:
        from zoneinfo import available_timezones

        return sorted(available_timezones())
    return None


def _leads(name: str) -> bool:
    """Whether the name, as typed, finds its task: it is not a flag, an id or two lines."""
    return name.isprintable() and not name.startswith("-") and not name.isdecimal()
