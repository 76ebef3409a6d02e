"""Daemons and supervisors die with agents at work: nothing starts twice, none is lost quietly."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from claude_tasks.domain.run import Reason, State
from support.installation import EVERY_SECOND
from support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from support.installation import Installation


def start_run(installation: Installation, prompt: str, **fields: object) -> int:
    task = installation.add(prompt=prompt, enabled=False, **fields)  # it runs when we say so
    run = installation.operations.runs.start(task.id)
    wait_until(
        lambda: (
            installation.starts.exists()
            and f"{run.id}.1" in installation.starts.read_text().split()
        ),
        what="the agent has started",
    )
    return run.id


def test_a_daemon_killed_with_a_live_agent_is_replaced_and_the_run_adopted(
    installation: Installation, tmp_path: Path
) -> None:
    done = tmp_path / "done"
    daemon = installation.start_leader()
    run_id = start_run(installation, f"[case:slow seconds=2 leave_file={done}]")
    daemon.kill()
    daemon.wait()
    successor = installation.start_leader()
    wait_until(
        lambda: (
            installation.query(
                "SELECT n.pid FROM task_runs r JOIN nodes n ON n.id = r.claimed_by WHERE r.id = ?",
                run_id,
            )
            == [(successor.pid,)]
        ),
        what="the run is adopted",
    )
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert (run.id, run.exit_code, run.claim, run.attempt) == (run_id, 0, 1, 1)
    assert run.session_id
    assert len(done.read_text().splitlines()) == 1, "the agent was started once"
    installation.check()


def test_a_run_that_ends_while_no_daemon_lives_gets_its_true_result(
    installation: Installation,
) -> None:
    daemon = installation.start_leader()
    run_id = start_run(installation, "[case:slow seconds=1]")
    supervisor = installation.supervisor_pid(installation.operations.runs.get(run_id))
    daemon.kill()
    daemon.wait()

    psutil.Process(supervisor).wait(timeout=20)
    assert installation.operations.runs.get(run_id).state is State.RUNNING
    installation.start_leader()
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.exit_code == 0
    assert run.duration_ms is not None
    assert run.duration_ms < 10_000, "the end is when the agent ended, not when it was found"
    installation.check()


def test_a_daemon_and_a_supervisor_killed_leave_one_lost_run(installation: Installation) -> None:
    daemon = installation.start_leader()
    run_id = start_run(installation, "[case:slow seconds=60]")
    supervisor = installation.supervisor_pid(installation.operations.runs.get(run_id))
    daemon.kill()

    os.kill(supervisor, signal.SIGKILL)
    daemon.wait()
    installation.start_leader()
    [run] = installation.wait_for_runs(1, State.FAILED)
    assert (run.id, run.reason) == (run_id, Reason.LOST)
    assert run.error is not None
    assert run.log_path is not None
    installation.check()
    assert installation.starts.read_text().split() == [f"{run_id}.1"]


def test_stopping_the_daemon_leaves_agents_running_and_the_next_one_records_them(
    installation: Installation,
) -> None:
    daemon = installation.start_leader()
    run_id = start_run(installation, "[case:slow seconds=2]")
    daemon.terminate()
    assert daemon.wait(timeout=10) == 0
    assert installation.leader_pid() is None
    assert installation.operations.runs.get(run_id).state is State.RUNNING
    installation.start_leader()
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.id == run_id
    installation.check()


def test_a_run_is_cancelled_by_another_process_with_everything_it_started(
    installation: Installation, tmp_path: Path
) -> None:
    stray = tmp_path / "stray"
    installation.start_leader()
    run_id = start_run(installation, f"[case:escaped seconds=60 pid_file={stray}]")
    wait_until(lambda: stray.exists() and stray.read_text().strip())
    pid = int(stray.read_text().split()[0])
    installation.operations.runs.cancel(run_id)
    [run] = installation.wait_for_runs(1, State.CANCELLED)
    assert run.reason is Reason.CANCELLED
    wait_until(lambda: not psutil.pid_exists(pid), what="the escaped grandchild is gone")
    installation.check()


def test_killing_the_daemon_again_and_again_starts_each_run_once(
    installation: Installation,
) -> None:
    installation.add(cron_expr=EVERY_SECOND, prompt="[case:slow seconds=0.3]", overlap="allow")
    for _ in range(4):
        before = len(installation.runs())
        daemon = installation.start_leader()
        wait_until(lambda before=before: len(installation.runs()) > before)  # type: ignore[misc]
        daemon.kill()
        daemon.wait()
    installation.start_leader()
    installation.settle()
    installation.check()
    assert not [run for run in installation.runs() if run.reason is Reason.LOST]


@pytest.mark.parametrize("change", ["move", "disable", "delete"])
def test_a_one_off_changed_while_due_does_not_fire_and_says_why(
    installation: Installation, change: str
) -> None:
    """Nobody schedules; the time comes; then its owner changes his mind; then a daemon starts."""
    at = time.time_ns() // 1_000_000
    task = installation.add(scheduled_at=at)
    later = at + 3_600_000
    if change == "move":
        installation.operations.tasks.edit(task.id, {"scheduled_at": later})
    elif change == "disable":
        installation.operations.tasks.disable(task.id)
    else:
        installation.operations.tasks.remove(task.id)
    installation.start_leader()
    other = installation.add(cron_expr=EVERY_SECOND)
    installation.wait_for_runs(1, State.COMPLETED)
    mine = [run for run in installation.runs() if run.task_id == task.id]
    assert [(run.state, run.reason) for run in mine] == [
        (
            State.SKIPPED,
            {
                "move": Reason.RESCHEDULED,
                "disable": Reason.DISABLED,
                "delete": Reason.DELETED,
            }[change],
        )
    ]
    if change == "move":
        assert installation.operations.tasks.get(task.id).next_run_at == later
    assert {run.task_id for run in installation.runs(State.COMPLETED)} == {other.id}
    installation.settle()


def test_moving_a_one_off_in_another_process_is_noticed_at_once(
    installation: Installation,
) -> None:
    installation.start_leader()
    at = time.time_ns() // 1_000_000
    task = installation.add(scheduled_at=at + 3_600_000)
    moved_to = time.time_ns() // 1_000_000 + 500
    installation.operations.tasks.edit(task.id, {"scheduled_at": moved_to})
    [run] = installation.wait_for_runs(1, State.COMPLETED)
    assert run.scheduled_for == moved_to
    assert run.started_at is not None
    assert run.started_at >= moved_to
    after = installation.operations.tasks.get(task.id)
    assert (after.spec.enabled, after.next_run_at) == (False, None)
    installation.check()
