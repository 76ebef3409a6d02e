"""Completion in real shells: names come from agents and from clients of the API."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.terminal import TerminalSession
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from cli.program import Program

_PROMPT = "ready> "
_SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
_SETUPS = {
    "bash": "PS1='ready''> '; source ./script\r",
    "zsh": "autoload -U compinit; compinit -u -D; source ./script;"
    " compdef _claude_tasks claude-tasks; PROMPT='ready''> '\r",
    "fish": "source ./script; function fish_prompt; echo -n 'ready''> '; end\r",
}
_HOSTILE = (
    "x$(touch evil)", "x`touch evil`", "x;touch evil", "x|touch evil", "x&touch evil", "x>evil",
    "x'$(touch evil)", 'x"$(touch evil)', "x\\$(touch evil)", "x(touch evil)", "x$HOME",
    "x${IFS}y", "x*", "x?", "x[a-z]", "x{a,b}", "x!!", "x #y", "~root", "~", "$(touch evil)",
    "`touch evil`", "#x", "=ls", "%self", "^x", "x <(touch evil)", "x  two  spaces ",
    "é $(touch evil)", "-rf", "--help", "@x", "*", "x:y",
)  # fmt: skip


@pytest.fixture(params=_SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if (
        shutil.which(name) is None and "CLAUDE_TASKS_SKIP_NOTHING" not in os.environ
    ):  # there it is a failure
        pytest.skip(f"{name} is not installed here")
    return name


def test_no_shell_evaluates_the_name_of_a_task(
    shell: str, program: Program, tmp_path: Path
) -> None:
    """Every name is completed and sent off: it arrives as one word, as it is."""
    stub = tmp_path / "stub" / "claude-tasks"
    stub.parent.mkdir()
    names, asked, arrived = tmp_path / "names", tmp_path / "asked", tmp_path / "arrived"
    # Written beside and renamed: it is there whole, or not yet.
    stub.write_text(
        f'#!/bin/sh\n[ "$1" = completion ] && touch {asked} && exec cat {names}\n'
        f"printf '%s\\0' \"$@\" > {arrived}.new && mv {arrived}.new {arrived}\n"
    )
    stub.chmod(0o755)
    work = tmp_path / "work"
    work.mkdir()
    (work / "script").write_text(program("completion", shell).stdout)
    (work / "xa").touch()  # what a glob would find
    environment = {
        **program.environment,
        "PATH": f"{stub.parent}{os.pathsep}{program.environment['PATH']}",
        "HOME": str(tmp_path),
        "TERM": "dumb" if shell == "fish" else "xterm",
        "LC_ALL": "C.UTF-8",
    }
    with TerminalSession(_SHELLS[shell], environment, str(work)) as session:
        session.press(_SETUPS[shell])
        session.wait_for(_PROMPT)
        for name in (each for each in _HOSTILE if shell != "fish" or not each.startswith("~")):
            names.write_text(f"{name}\n")
            session.press("claude-tasks show \t")
            wait_until(asked.exists, what=f"{shell} asks for names")
            session.press("\r")
            wait_until(arrived.exists, seconds=10, what=f"{shell} sends {name!r} off")
            words = arrived.read_bytes().decode().split("\0")
            arrived.unlink()
            asked.unlink()
            session.wait_for(_PROMPT)
            assert words == ["show", name, ""]
    assert sorted(os.listdir(work)) == ["script", "xa"]


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_bash_quotes_a_name_as_its_beginning_was_quoted(
    quote: str, program: Program, tmp_path: Path
) -> None:
    """Inside quotes only what cannot end or leave them is offered."""
    program.installation.add(name="x y")
    program.installation.add(name="x$(touch evil)")
    program.installation.add(name="x'\"z")
    script = tmp_path / "script"
    script.write_text(program("completion", "bash").stdout)
    ask = f"COMP_WORDS=(claude-tasks show {chr(92)}{quote}x); COMP_CWORD=2; _claude_tasks"
    ask = ask if quote else ask.replace("\\", "")
    done = program.shell("bash", "-c", f". {script}; {ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    assert (
        set(done.splitlines())
        == {
            "": {"x\\$\\(touch\\ evil\\)", "x\\'\\\"z", "x\\ y"},
            "'": {"x$(touch evil)", "x y"},
            '"': {"x y"},
        }[quote]
    )


def test_only_names_that_lead_to_their_task_are_offered(program: Program) -> None:
    for name in ("good one", "--data=/elsewhere", "-f", "123"):
        program.installation.add(name=name)
    program.installation.add(name="two lines")
    program.installation.rewrite("UPDATE tasks SET name = 'two' || char(10) || 'x' WHERE id = 5")
    assert program("completion", "--task-names").stdout == "good one\n"


def test_bash_quotes_the_names_of_files(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "$(touch evil)").touch()
    (folder / "a b*").touch()
    script = tmp_path / "script"
    script.write_text(program("completion", "bash").stdout)
    ask = "COMP_WORDS=(claude-tasks import ''); COMP_CWORD=2; _claude_tasks"
    done = subprocess.run(
        ["bash", "-c", f". {script}; {ask}; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert sorted(done.stdout.splitlines()) == ["\\$\\(touch\\ evil\\)", "a\\ b\\*"]
    assert len(os.listdir(folder)) == 2
