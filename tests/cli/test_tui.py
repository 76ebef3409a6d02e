"""The terminal UI as a process, on a terminal of its own."""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from claude_tasks.domain.run import Reason, State
from support.terminal import TerminalSession
from support.waiting import wait_until

if TYPE_CHECKING:
    from cli.program import Program


def open_ui(program: Program, *argv: str, **environment: str) -> TerminalSession:
    session = TerminalSession(
        [sys.executable, "-m", "claude_tasks", *argv],
        {**program.environment, **environment},
        str(program.installation.folder),
    )
    session.resize(160, 40)
    program.sessions.append(session)
    return session


def test_r_with_the_scheduler_off_runs_the_task(program: Program) -> None:
    """Plan, cycle 2."""
    task = program.installation.add(name="by hand", cron_expr="0 3 1 1 *")
    session = open_ui(program, "--scheduler=off")
    session.wait_for("TUI scheduler mode: off")
    session.wait_for("off: no leader")
    session.press("r")
    [run] = program.installation.wait_for_runs(1, State.COMPLETED)
    assert (run.task_id, run.lease_epoch) == (task.id, None)
    session.wait_for("completed")
    session.press("q")
    assert "TUI scheduler mode: off\r\n" in session.all()
    assert session.exit_code == 0
    assert program.installation.query("SELECT epoch FROM scheduler_leases") == [(0,)]


def test_a_preflight_failure_is_in_the_history_with_its_cause(program: Program) -> None:
    """Plan, cycle 4."""
    program.installation.add(name="checked", cron_expr="0 3 1 1 *")
    session = open_ui(
        program, "tui",
        CLAUDE_TASKS_DISABLE_USAGE_CHECK="0",
        CLAUDE_TASKS_USAGE_URL="http://127.0.0.1:9/",
        CLAUDE_CONFIG_DIR=str(program.installation.folder / "nobody"),
        HOME=str(program.installation.folder),
    )  # fmt: skip
    session.wait_for("auto: leader")
    session.press("r")
    [run] = program.installation.wait_for_runs(1, State.FAILED)
    assert run.reason is Reason.PREFLIGHT
    session.wait_for("failed: preflight")
    session.press("\r")
    session.wait_for("usage could not be checked")
    session.press("q")
    session.all()
    assert session.exit_code == 0


@pytest.mark.parametrize("argv", [("tui",), ("tui", "--json"), ("--scheduler=on",)])
def test_without_a_terminal_it_is_an_error_before_anything_is_led(
    program: Program, argv: tuple[str, ...]
) -> None:
    """Defect 15: it took the leadership first, and then failed."""
    done = program(*argv)
    assert done.returncode == 2
    assert "the terminal UI" in done.stderr
    assert not program.installation.query("SELECT id FROM nodes")
    assert program.installation.epoch() == 0


def test_two_of_them_and_a_daemon_run_each_thing_once(program: Program) -> None:
    task = program.installation.add(name="once each", cron_expr="0 3 1 1 *")
    daemon = program.open("daemon")
    wait_until(lambda: program.installation.leader_pid() == daemon.pid)
    sessions = [open_ui(program, "tui") for _ in range(2)]
    for session in sessions:
        session.wait_for(f"auto: follower of daemon pid {daemon.pid}")
        session.press("r")
        session.wait_for("Run")
    runs = wait_until(lambda: [r for r in program.installation.runs() if r.state.is_terminal])
    assert {run.task_id for run in runs} == {task.id}
    for session in sessions:
        session.press("q")
        session.all()
    program.installation.settle()
    starts = program.installation.starts.read_text().splitlines()
    assert len(starts) == len(program.installation.runs(State.COMPLETED))
    assert program.installation.epoch() == 1


def test_what_it_logs_is_in_a_file_and_never_on_the_screen(program: Program) -> None:
    """Defect 3: messages of the scheduler were printed into the screen."""
    session = open_ui(program, "tui")
    session.wait_for("auto: leader")
    session.press("q")
    shown = session.all()
    assert "leadership" not in shown
    log = (program.installation.data / "tui.log").read_text()
    assert "leadership gained: epoch 1 (free)" in log
    assert (program.installation.data / "tui.log").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal_and_frees_the_lease(
    program: Program, number: signal.Signals
) -> None:
    session = open_ui(program, "tui")
    session.wait_for("auto: leader")
    os.kill(session.pid, number)
    shown = session.all()
    assert session.exit_code == 0
    assert shown.rindex("\x1b[?1049l") > shown.rindex("\x1b[?1049h") if "1049h" in shown else True
    assert shown.endswith("TUI scheduler mode: auto (leader)\r\n")
    assert program.installation.leader_pid() is None


def test_ctrl_z_and_fg_leave_a_working_terminal(program: Program) -> None:
    program.installation.add(name="still here", cron_expr="0 3 1 1 *")
    environment = {**program.environment, "PS1": "shell> ", "TERM": "xterm"}
    shell = TerminalSession(
        ["bash", "--norc", "--noprofile", "-i"], environment, str(program.installation.folder)
    )
    program.sessions.append(shell)
    shell.wait_for("shell> ")
    shell.press("claude-tasks tui\r")
    shell.wait_for("auto: leader")
    shell.press("\x1a")
    shell.wait_for("Stopped")
    shell.press("echo works\r")
    shell.wait_for("works\r\n")
    shell.press("fg\r")
    shell.wait_for("still here")
    shell.press("q")
    assert "TUI scheduler mode: auto (leader)" in shell.wait_for("shell> ")
    shell.press("echo again\r")
    shell.wait_for("again\r\n")


def test_o_goes_on_in_the_session_in_the_same_terminal_and_comes_back(program: Program) -> None:
    """Defect 11: it worked on one system only."""
    agent = program.installation.folder / "interactive"
    agent.write_text(
        f'#!/bin/sh\ncase "$1" in --resume) echo "in session $2"; read -r line; exit 0;; esac\n'
        f'exec {program.installation.agent} "$@"\n'
    )
    agent.chmod(0o755)
    program.installation.add(name="talks", cron_expr="0 3 1 1 *")
    session = open_ui(program, CLAUDE_TASKS_CLAUDE_BIN=str(agent))
    session.wait_for("auto: leader")
    session.press("r")
    [run] = program.installation.wait_for_runs(1, State.COMPLETED)
    session.wait_for("completed")
    session.press("o")
    session.wait_for(f"in session {run.session_id}")
    session.press("\r")
    session.wait_for("talks")
    session.press("q")
    session.all()
    assert session.exit_code == 0


def test_a_run_whose_node_and_supervisor_died_does_not_read_as_running_for_ever(
    program: Program,
) -> None:
    """Defect 7: dead running rows stayed, and nothing cleared them."""
    installation = program.installation
    task = installation.add(name="dead", enabled=False, prompt="[case:slow seconds=60]")
    node = installation.start_leader()
    run = installation.operations.runs.start(task.id)
    wait_until(installation.starts.exists, what="its agent started")
    supervisor = installation.supervisor_pid(run)
    node.kill()
    node.wait()
    os.kill(supervisor, signal.SIGKILL)
    session = open_ui(program, "--scheduler=off")
    session.wait_for("failed: lost")
    session.press("q")
    session.all()
    assert session.exit_code == 0
