"""Leaving a run behind, and finding out later how it went, without any daemon."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from claude_tasks.cli import foreground
from claude_tasks.cli.context import Context
from claude_tasks.cli.exit_codes import Terminated
from claude_tasks.cli.render import Printer
from claude_tasks.domain.run import State
from claude_tasks.execution.run_folder import RunFolder
from cli.program import ended
from support.profile import some
from support.waiting import wait_until

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from cli.program import Program

LONG = "[case:slow_tool seconds=60]"


def _started(program: Program, prompt: str, *argv: str) -> subprocess.Popen[str]:
    """The program with a run of task 1 whose agent has begun."""
    program.installation.add(name="slow", prompt=prompt, cron_expr="0 2 * * *")
    process = program.open(*(argv or ("run", "slow")))
    events = program.installation.data / "logs" / "1" / "1.events.jsonl"
    wait_until(lambda: events.exists() and events.read_bytes().count(b"\n") >= 1)
    return process


def _left_behind(program: Program, prompt: str) -> None:
    """A run whose node is dead and whose supervisor lives."""
    process = _started(program, prompt)
    process.kill()
    process.wait()


class _Scripted:
    """A signal pipe that gives these batches, one a look."""

    def __init__(self, batches: list[list[signal.Signals]]) -> None:
        self._batches = batches

    def wait(self, _seconds: float) -> list[signal.Signals]:
        return self._batches.pop(0) if self._batches else []


INT, TERM = signal.SIGINT, signal.SIGTERM


class _Healthy:
    """A node none of whose threads has failed."""

    failure = None


@pytest.mark.parametrize(
    ("batches", "said", "raised"),
    [
        ([[INT, INT]], "ends under its supervisor", KeyboardInterrupt),
        ([[INT], [INT]], "ends under its supervisor", KeyboardInterrupt),
        ([[INT], [], [], [INT]], "ends under its supervisor", KeyboardInterrupt),
        ([[INT, TERM]], "ends under its supervisor", Terminated),
        ([[TERM]], "goes on under its supervisor", Terminated),
    ],
)
def test_leaving_says_so_whenever_the_signals_come(
    program: Program,
    tmp_path: Path,
    batches: list[list[signal.Signals]],
    said: str,
    raised: type[BaseException],
) -> None:
    program.environment["CLAUDE_TASKS_KILL_GRACE"] = "60"
    _left_behind(program, "[case:ignore_term]")
    log = tmp_path / "stderr"
    with log.open("w") as err, open(os.devnull) as stdin:
        printer = Printer(err, err, program.environment, as_json=False)
        context = Context(program.environment, printer, stdin)
        run = context.operations.runs.get(1)
        pipe = _Scripted(batches)
        with pytest.raises(raised) as caught:
            foreground._Attendance(context, _Healthy(), run, pipe).stay()  # type: ignore[arg-type]
        context.close()
    assert caught.type is raised
    assert said in log.read_text()


def test_sigterm_leaves_a_run_in_the_foreground(program: Program) -> None:
    process = _started(program, LONG)
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
    assert (code, out) == (143, "")
    assert "Run 1 goes on under its supervisor" in err
    assert [run.state for run in program.installation.runs()] == [State.RUNNING]


def test_sigterm_leaves_a_run_that_was_waited_for(program: Program) -> None:
    daemon = program.open("daemon")
    wait_until(lambda: program.installation.leader_pid() == daemon.pid)
    process = _started(program, LONG, "run", "slow", "--wait")
    process.send_signal(signal.SIGTERM)
    code, _, err = ended(process)
    assert code == 143
    assert "Run 1 goes on" in err


@pytest.mark.parametrize(
    "words", some([("runs",), ("logs", "1"), ("show", "slow"), ("why", "slow")], quick=1)
)
def test_run_that_ended_without_a_daemon_does_not_read_as_running(
    program: Program, words: tuple[str, ...]
) -> None:
    _left_behind(program, "[case:slow_tool seconds=1]")
    wait_until(lambda: _supervisor_is_gone(program))
    assert program.installation.runs()[0].state is State.RUNNING  # nobody has looked yet
    done = program(*words)
    assert done.returncode == 0
    assert "completed" in done.stdout
    assert "running" not in done.stdout + done.stderr


def test_run_that_ended_without_a_daemon_does_not_stand_in_the_way(program: Program) -> None:
    _left_behind(program, "[case:slow_tool seconds=1]")
    wait_until(lambda: _supervisor_is_gone(program))
    done = program("run", "slow")
    assert done.returncode == 0, done.stderr
    assert [run.state for run in program.installation.runs()] == [State.COMPLETED] * 2


def test_run_that_goes_on_without_a_daemon_is_said_to(program: Program) -> None:
    _left_behind(program, LONG)
    for words in (("runs",), ("logs", "1"), ("status",)):
        done = program(*words)
        assert "running under its supervisor; no daemon to record it" in done.stdout + done.stderr


def test_cancel_waits_for_the_end_without_a_daemon(program: Program) -> None:
    _left_behind(program, LONG)
    done = program("cancel", "1", "--wait")
    assert (done.returncode, done.stdout) == (0, "Run 1 cancelled.\n"), done.stderr


def test_logs_of_a_task_show_the_run_that_really_began(program: Program) -> None:
    process = _started(program, LONG)
    assert program("run", "slow").returncode == 1  # run 2: skipped, overlap
    process.send_signal(signal.SIGINT)
    ended(process)
    assert program.json("logs", "slow")["id"] == 1
    silent = program("logs", "2", "--events")
    assert (silent.returncode, silent.stdout) == (0, "")
    assert "Run 2 has no events: it is skipped" in silent.stderr


def test_daemon_logs_its_surroundings_and_a_missing_agent(program: Program) -> None:
    program.environment["CLAUDE_TASKS_CLAUDE_BIN"] = "/not/there"
    daemon = program.open("daemon")
    wait_until(lambda: program.installation.leader_pid() == daemon.pid)
    daemon.send_signal(signal.SIGTERM)
    _, _, err = ended(daemon)
    [about] = [line for line in err.splitlines() if "data folder" in line]
    assert str(program.installation.data) in about
    assert "at most 8 runs at once" in about
    [warning] = [line for line in err.splitlines() if " WARNING " in line]
    assert "the claude binary /not/there does not exist" in warning


def test_bash_completes_fields_zones_and_runs(program: Program, tmp_path: Path) -> None:
    process = _started(program, LONG)
    script = tmp_path / "completion.bash"
    script.write_text(program("completion", "bash").stdout)
    for words, expected in (
        ("claude-tasks edit x --clear tim", "timeout"),
        ("claude-tasks add x --tz Europe/Berl", "Europe/Berlin"),
        ("claude-tasks cancel ''", "1"),
    ):
        count = len(words.split()) - 1
        ask = f"COMP_WORDS=({words}); COMP_CWORD={count}; _claude_tasks; echo ${{COMPREPLY[*]}}"
        assert program.shell("bash", "-c", f". {script}; {ask}").strip() == expected
    process.send_signal(signal.SIGINT)
    ended(process)


def _supervisor_is_gone(program: Program) -> bool:
    """Whether the run's end has been written down by its supervisor."""
    return RunFolder.of(str(program.installation.data / "runs"), 1, 1).ended() is not None
