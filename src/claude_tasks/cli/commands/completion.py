"""``completion``: a script for the shell, with every command and flag; it asks for task names."""

from __future__ import annotations

from claude_tasks.cli.results import Raw, Result
from claude_tasks.domain.errors import InvalidInputError

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


def run(context: Context, arguments: Namespace) -> Result:
    """Write the script."""
    if arguments.task_names:
        names = [summary.task.name for summary in context.tasks.list()]
        return Result(data=lambda: names, text=lambda: names)
    from claude_tasks.cli.completion_scripts import SCRIPTS  # noqa: PLC0415 (loads every command)

    make = SCRIPTS.get((arguments.shell or "").lower())
    if make is None:
        raise InvalidInputError(
            f"no completion for {arguments.shell}" if arguments.shell else "for which shell?",
            hint=f"one of: {', '.join(SCRIPTS)}",
            code="usage",
        )
    script = make()
    return Result(data=lambda: {"script": script}, text=lambda: [Raw(script)])
