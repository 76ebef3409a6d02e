"""``claude-tasks --help``: the commands by group, the exit codes, how to begin."""

from __future__ import annotations

from claude_tasks.cli import exit_codes
from claude_tasks.cli.catalog import COMMANDS, GROUPS

_BEGIN = """\
claude-tasks: the scheduler for coding agents

usage: claude-tasks [--data DIR] [--json] COMMAND …

begin:
  claude-tasks demo
  claude-tasks add nightly "Run npm test and fix what fails" --cron "0 2 * * *" \\
      --permission-mode acceptEdits --allow-tool "Bash(npm test)"
  claude-tasks daemon
"""

_END = """\
everywhere:
  --data DIR   data folder (else CLAUDE_TASKS_DATA, else ~/.claude-tasks)
  --json       print JSON with the API's field names; errors too, on standard error
  -h, --help   a command's flags and examples
  NO_COLOR=1   no colours

A task is named by its id, or by its name where only one task has it.
"""


def overview() -> str:
    """The page."""
    groups = [
        f"{title.lower()}:\n" + "\n".join(f"  {name:<12}{COMMANDS[name][1]}" for name in names)
        for title, names in GROUPS.items()
    ]
    codes = f"exit codes:\n{exit_codes.table()}\n"
    return "\n".join([_BEGIN, *(f"{group}\n" for group in groups), _END, codes])
