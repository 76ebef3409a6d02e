"""What a light command must not load, and how it behaves in a pipe."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from cli.program import Program

HEAVY = {
    "asyncio", "cronsim", "dataclasses", "inspect", "logging", "psutil", "shutil", "socket",
    "subprocess", "tempfile", "uuid", "zoneinfo",
}  # fmt: skip


def _imported(done: subprocess.CompletedProcess[str]) -> set[str]:
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


def test_list_loads_nothing_heavy(program: Program) -> None:
    program.installation.add(name="a", cron_expr="0 2 * * *")
    for flags in ((), ("--json",)):
        done = program("list", *flags, python=("-X", "importtime"))
        assert done.returncode == 0
        imported = _imported(done)
        assert "claude_tasks.cli.commands.list_tasks" in imported  # the measurement measures
        assert not imported & HEAVY
        assert not {name for name in imported if name.startswith("claude_tasks.scheduling")}


def test_version_loads_nothing_at_all(program: Program) -> None:
    done = program("version", python=("-X", "importtime"))
    ours = {name for name in _imported(done) if name.startswith("claude_tasks")}
    assert ours <= {"claude_tasks"}
    assert not _imported(done) & {*HEAVY, "argparse", "sqlite3", "typing"}


def test_only_the_asked_command_is_loaded(program: Program) -> None:
    imported = _imported(program("status", python=("-X", "importtime")))
    commands = {name for name in imported if name.startswith("claude_tasks.cli.commands.")}
    assert commands == {"claude_tasks.cli.commands.status"}


def test_a_reader_that_leaves_is_no_error(program: Program) -> None:
    specs = [{"name": f"task {number}", "prompt": "p"} for number in range(3000)]
    program("import", "-", stdin=json.dumps({"tasks": specs}))
    process = program.open("list")
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline().startswith("  ID")
    process.stdout.close()
    assert process.wait(timeout=20) == 141
    assert process.stderr.read() == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_valid(program: Program, shell: str, tmp_path: Path) -> None:
    done = program("completion", shell)
    assert done.returncode == 0
    assert "restore" in done.stdout
    assert "--catchup-window" in done.stdout or "-l catchup-window" in done.stdout
    if shutil.which(shell) is None:
        return
    script = tmp_path / f"script.{shell}"
    script.write_text(done.stdout)
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_bash_completes_commands_flags_and_values(program: Program, tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(program("completion", "bash").stdout)
    for words, expected in (
        ("claude-tasks res", "restore"),
        ("claude-tasks --data /x sta", "status"),
        ("claude-tasks add --cat", "--catchup --catchup-window"),
        ("claude-tasks add --overlap c", "cancel_other"),
    ):
        count = len(words.split()) - 1
        ask = f"COMP_WORDS=({words}); COMP_CWORD={count}; _claude_tasks; echo ${{COMPREPLY[*]}}"
        done = subprocess.run(
            ["bash", "-c", f". {script}; {ask}"], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == expected


def test_task_names_are_there_for_completion(program: Program) -> None:
    program.installation.add(name="two words")
    assert program("completion", "--task-names").stdout == "two words\n"
