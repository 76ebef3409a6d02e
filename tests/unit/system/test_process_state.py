"""What the kernel says of another process."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from claude_tasks.system.process_state import names_this_program, runs_this_program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("python3 -m claude_tasks daemon", True),
        ("python3 -I -m claude_tasks.execution.supervisor", True),
        ("/usr/local/bin/claude-tasks daemon", True),
        ("/usr/bin/python3 /usr/local/bin/claude-tasks daemon", True),
        ("sqlite3 /home/me/.claude-tasks/tasks.db", False),
        ("vim src/claude_tasks/clock.py", False),
        ("tail -f claude-tasks", False),
        ("grep -m claude_tasks_notes", False),
        ("", False),
    ],
)
def test_a_command_line_is_ours_by_whole_words_alone(line: str, *, ours: bool) -> None:
    assert names_this_program([word.encode() for word in line.split()]) is ours


@pytest.mark.parametrize(
    ("words", "ours"),
    [(["-m", "claude_tasks"], True), (["/home/me/.claude-tasks/tasks.db"], False)],
)
def test_the_command_line_of_a_living_process_is_read(words: list[str], *, ours: bool) -> None:
    wait = [sys.executable, "-c", "print(flush=True); input()", *words]
    with subprocess.Popen(wait, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert runs_this_program(process.pid) is ours
        process.communicate(b"\n")


def test_a_program_started_through_a_link_of_another_name_is_known(tmp_path: Path) -> None:
    link = tmp_path / "ct"
    link.write_text(
        f"#!{sys.executable}\n"
        "from claude_tasks.cli import process\n"
        "process.run = lambda *_, **__: print(flush=True) or input()\n"
        "process.run_process([])\n"
    )
    link.chmod(0o700)
    with subprocess.Popen([link], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert runs_this_program(process.pid)
        process.communicate(b"\n")
    assert not runs_this_program(process.pid)
