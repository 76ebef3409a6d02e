"""``export``: all tasks as JSON, as ``import`` takes them."""

from __future__ import annotations

import os

from claude_tasks.cli.results import Result
from claude_tasks.domain.errors import ClaudeTasksError, InvalidInputError
from claude_tasks.text.blocks import Raw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from claude_tasks.cli.arguments import Parser
    from claude_tasks.cli.context import Context

DESCRIPTION = "Tasks without their runs, oldest first."
EXAMPLES = """
claude-tasks export > tasks.json
claude-tasks export --output tasks.json
"""


def configure(parser: Parser) -> None:
    """Flags."""
    parser.add_argument("--output", metavar="FILE", help="instead of standard output; 0600")


def run(context: Context, arguments: Namespace) -> Result:
    """Write them."""
    from claude_tasks.cli.json_text import json_text
    from claude_tasks.operations.exchange import export_tasks

    found = [summary.task for summary in context.operations.tasks.list()]
    document = export_tasks(found[::-1])
    text = json_text(document, indent=2) + "\n"
    if arguments.output is None:
        return Result(data=lambda: document, text=lambda: [Raw(text)])
    _write(arguments.output, text)
    said = f"Wrote {len(found)} task{'' if len(found) == 1 else 's'} to {arguments.output}."
    return Result(
        data=lambda: {"exported": len(found), "output": arguments.output}, text=lambda: [said]
    )


def _write(path: str, text: str) -> None:
    """Write a new file with mode 0600: prompts are private."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise InvalidInputError(f"--output: {path}: {error.strerror}") from error
    except OSError as error:
        raise ClaudeTasksError(f"{path}: {error.strerror}") from error
